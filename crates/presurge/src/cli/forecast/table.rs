//! A forecast as rows: `unique_id,ds,model,mean,lo-80,hi-80,…`.

use std::io::Write;

use domain::forecast::Forecast as Future;
use serde_json::{Map, Value, json};

use super::levels::Levels;
use crate::cli::render::time::number;
use crate::cli::render::{added, brought};
use crate::cli::series::Named;
use crate::cli::{Failed, output};

/// The forecast in the long format.
pub(super) struct Table<'a> {
    pub(super) levels: &'a Levels,
    pub(super) rows: &'a [(&'a Named, Future)],
    /// What the signals brought, if some were given.
    pub(super) brought: &'a [Value],
    /// What each model added, if that was asked for.
    pub(super) added: &'a [Value],
}

impl Table<'_> {
    pub(super) fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> =
            ["unique_id", "ds", "model", "mean"].map(str::to_owned).into();
        for (name, _) in &self.levels.0 {
            columns.extend([format!("lo-{name}"), format!("hi-{name}")]);
        }
        columns
    }

    /// The numbers of one step: the mean, then both ends of each interval.
    pub(super) fn numbers(&self, future: &Future, step: usize) -> Vec<f64> {
        let mut numbers = vec![future.mean[step]];
        for (low, high) in self.levels.quantiles() {
            numbers.extend([future.quantile(step, low), future.quantile(step, high)]);
        }
        numbers
    }

    pub(super) fn csv(&self, out: &mut impl Write) -> Result<(), Failed> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(self.columns())?;
        for (named, future) in self.rows {
            for step in 0..future.horizon() {
                let mut record =
                    vec![named.name.clone(), future.at(step).to_string(), future.model.clone()];
                record.extend(self.numbers(future, step).iter().map(f64::to_string));
                writer.write_record(&record)?;
            }
        }
        writer.flush()?;
        Ok(())
    }

    /// The same with numbers as people read them.
    pub(super) fn readable(&self) -> Vec<Value> {
        let mut rows = self.values();
        for value in rows.iter_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
            if let Some(exact) = value.as_f64() {
                *value = json!(number(exact));
            }
        }
        rows
    }

    /// The rows, and what signals brought and models added where that is to be said.
    pub(super) fn whole(&self) -> Value {
        let told = [("signals", self.brought), ("models", self.added)];
        let told: Vec<_> = told.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        if told.is_empty() {
            return Value::from(self.values());
        }
        let told = told.into_iter().map(|(key, rows)| (key.to_owned(), Value::from(rows)));
        let forecast = ("forecast".to_owned(), Value::from(self.values()));
        Value::Object(std::iter::once(forecast).chain(told).collect())
    }

    /// The same without the forecast, for people.
    pub(super) fn tell(&self, out: &mut impl Write) -> std::io::Result<()> {
        let told = [(&brought::COLUMNS[..], self.brought), (&added::COLUMNS[..], self.added)];
        for (columns, rows) in told.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            writeln!(out)?;
            output::rows(out, output::Format::Table, columns, rows)?;
        }
        Ok(())
    }

    pub(super) fn values(&self) -> Vec<Value> {
        let columns = self.columns();
        let mut rows = Vec::new();
        for (named, future) in self.rows {
            for step in 0..future.horizon() {
                let mut row = Map::new();
                row.insert("unique_id".into(), json!(named.name));
                row.insert("ds".into(), json!(future.at(step)));
                row.insert("model".into(), json!(future.model));
                let numbers = self.numbers(future, step);
                row.extend(
                    columns.iter().skip(3).cloned().zip(numbers.into_iter().map(Value::from)),
                );
                rows.push(Value::Object(row));
            }
        }
        rows
    }
}
