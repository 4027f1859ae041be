//! `apply --mode observe`: the load of the time that the rollout may take is forecast and told, and what that
//! was made from is kept in the archive. Nothing is planned, journaled or done.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use domain::forecast::{Forecast, Probability};
use domain::name::Dimension;
use domain::ports::Clock;
use domain::series::Series;
use jiff::Timestamp;
use serde_json::json;

use super::Apply;
use crate::apply::planner;
use crate::cli::output::{self, Format};
use crate::cli::render::chart;
use crate::cli::render::time::{Teller, number, percent};
use crate::cli::{Code, Failed, plan_failed};
use crate::pipeline::{History, PlanError, Prepared, Together, forecaster};

/// The table has about so many rows, whatever the length of the time.
const ROWS: usize = 24;

/// The lower edge of the band.
const LOW: f64 = 0.05;

/// The upper edge of the band, as that of plans: or `1 − risk`, where that is higher.
const HIGH: f64 = 0.95;

/// The load to come of one dimension.
struct Outlook<'a> {
    prepared: &'a Prepared,
    dimension: &'a Dimension,
    series: Series,
    ahead: Forecast,
    levels: [Probability; 2],
}

impl Apply {
    /// Forecasts, says, and keeps what that was made from.
    pub(super) async fn observe(
        &self,
        all: &Together,
        clock: &Arc<dyn Clock>,
    ) -> Result<Code, Failed> {
        let store = self.store.open()?;
        let now = clock.now();
        for prepared in &all.parts {
            let deadline = prepared.rollout.deadline(now).map_err(PlanError::Deadline);
            let until = deadline.map_err(plan_failed)? + prepared.rollout.stabilisation;
            let histories = prepared.histories(now).await.map_err(plan_failed)?;
            planner::keep(store.as_ref(), &histories, &[]).await?;
            for warning in histories.values().flat_map(|history| &history.warnings) {
                eprintln!("warning: {warning}");
            }
            for (dimension, history) in &histories {
                let outlook = outlook(prepared, dimension, history, until).await?;
                outlook.tell(&mut io::stdout().lock(), now, until)?;
                let digest = &history.digest;
                eprintln!("{}/{dimension} is kept under {digest}", prepared.fleet.name);
            }
        }
        eprintln!("\nobserved only (--mode observe): nothing was planned or done");
        Ok(Code::Done)
    }
}

async fn outlook<'a>(
    prepared: &'a Prepared,
    dimension: &'a Dimension,
    history: &History,
    until: Timestamp,
) -> Result<Outlook<'a>, Failed> {
    let level = |level| Probability::new(level).map_err(|error| Failed::data(error.to_string()));
    let levels = [level(LOW)?, level(f64::max(HIGH, 1.0 - prepared.rollout.risk.get()))?];
    let (mut own, name) = (history.clone(), dimension.clone());
    let fleet = prepared.fleet.name.clone();
    let steps = until.as_second() - history.series.end().as_second();
    let steps = usize::try_from(steps.div_euclid(history.series.step().seconds()) + 1).unwrap_or(1);
    let work = move || {
        let (forecaster, _) = forecaster((&fleet, &name), &mut own, until, None)?;
        let ahead = forecaster.forecast(steps, &levels);
        ahead.map_err(|source| PlanError::Forecast { dimension: name, source })
    };
    let ahead = tokio::task::spawn_blocking(work).await?.map_err(plan_failed)?;
    Ok(Outlook { prepared, dimension, series: history.series.clone(), ahead, levels })
}

impl Outlook<'_> {
    /// What the whole fleet carries, where that is configured.
    fn whole(&self) -> Option<f64> {
        let fleet = &self.prepared.fleet;
        if fleet.objectives.contains_key(self.dimension) {
            return None;
        }
        let each = fleet.servers.iter().filter_map(|server| server.capacity.get(self.dimension));
        Some(each.sum::<f64>() * fleet.balance)
    }

    fn tell(&self, out: &mut impl Write, now: Timestamp, until: Timestamp) -> io::Result<()> {
        let (ahead, [low, high]) = (&self.ahead, self.levels);
        let (tell, fleet) = (Teller::local(now), &self.prepared.fleet.name);
        let title = format!(
            "{fleet}/{}: {}, {} to {} (band {} to {})",
            self.dimension,
            ahead.model,
            tell.day(now),
            tell.day_and_zone(until),
            percent(low.get()),
            percent(high.get()),
        );
        let edge = |level| (0..ahead.horizon()).map(|step| ahead.quantile(step, level)).collect();
        if io::stdout().is_terminal() {
            let (low, high) = (edge(low), edge(high));
            let (history, mean) = (&self.series, &ahead.mean[..]);
            chart::draw(out, &chart::Picture { title, history, mean, low, high })?;
        } else {
            writeln!(out, "{title}")?;
        }
        let upper: Vec<f64> = edge(high);
        let whole = self.whole();
        let rows = (0..ahead.horizon()).collect::<Vec<_>>();
        let rows = rows.chunks(ahead.horizon().div_ceil(ROWS).max(1)).map(|steps| {
            // The worst of the stretch is what matters.
            let worst = |a: &usize, b: &usize| upper[*a].total_cmp(&upper[*b]);
            let step = steps.iter().copied().max_by(worst).unwrap_or(steps[0]);
            json!({
                "from": tell.day(ahead.at(steps[0])),
                "expected": number(ahead.mean[step]),
                "upper": number(upper[step]),
                "of the fleet": whole.map(|whole| format!("{:.0} %", 100.0 * upper[step] / whole)),
            })
        });
        let rows: Vec<_> = rows.collect();
        output::rows(out, Format::Table, &["from", "expected", "upper", "of the fleet"], &rows)
    }
}
