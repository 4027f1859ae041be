//! Data on standard output: as a table for people, or as JSON, YAML or CSV for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Comma-separated values
    Csv,
}

/// Prints one value. A table or CSV of a single value is its JSON.
pub fn value(out: &mut impl Write, format: Format, value: &impl Serialize) -> io::Result<()> {
    match format {
        Format::Yaml => yaml(out, &serde_json::to_value(value)?, 0, false),
        _ => {
            serde_json::to_writer_pretty(&mut *out, value)?;
            writeln!(out)
        }
    }
}

/// Prints rows of the same columns.
pub fn rows(
    out: &mut impl Write,
    format: Format,
    columns: &[&str],
    rows: &[Value],
) -> io::Result<()> {
    let cell = |row: &Value, column: &str| cell(&row[column]);
    match format {
        Format::Json | Format::Yaml => value(out, format, &rows),
        Format::Csv => {
            writeln!(out, "{}", columns.join(","))?;
            for row in rows {
                let cells = columns.iter().map(|c| quoted(&cell(row, c)));
                writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
            }
            Ok(())
        }
        Format::Table => {
            let all: Vec<Vec<String>> =
                rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()).collect();
            let width = |index: usize| {
                let cells = all.iter().map(|row| row[index].chars().count());
                cells.chain([columns[index].len()]).max().unwrap_or(0)
            };
            let widths: Vec<usize> = (0..columns.len()).map(width).collect();
            let heads: Vec<String> = columns.iter().map(|c| c.to_uppercase()).collect();
            for row in std::iter::once(&heads).chain(&all) {
                let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
                writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            }
            Ok(())
        }
    }
}

/// A value as a cell shows it.
pub fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// Block YAML: strings in JSON's quotes, which YAML reads as they are.
fn yaml(out: &mut impl Write, value: &Value, depth: usize, in_list: bool) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, inner)) in map.iter().enumerate() {
                if !(in_list && index == 0) {
                    write!(out, "{indent}")?;
                }
                write!(out, "{}:", serde_json::to_string(key)?)?;
                nested(out, inner, depth + 1)?;
            }
            Ok(())
        }
        Value::Array(list) if !list.is_empty() => {
            for inner in list {
                write!(out, "{indent}- ")?;
                yaml(out, inner, depth + 1, true)?;
            }
            Ok(())
        }
        scalar => writeln!(out, "{}", serde_json::to_string(scalar)?),
    }
}

fn nested(out: &mut impl Write, value: &Value, depth: usize) -> io::Result<()> {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_block {
        writeln!(out)?;
        return yaml(out, value, depth, false);
    }
    write!(out, " ")?;
    yaml(out, value, depth, false)
}
