//! A replay as data and as a table.

use std::io::{self, Write};
use std::time::Duration;

use domain::plan::API_VERSION;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::{self, Format};
use crate::cli::render::time::{length, number, percent};
use crate::pipeline::Prepared;
use crate::replay::{Account, Ended, Row, Summary};

/// The columns of the CSV, which are fields of a summary.
pub const COLUMNS: [&str; 14] = [
    "strategy",
    "rollouts",
    "refused",
    "late",
    "breached",
    "breachedShare",
    "breachedLower95",
    "breachedUpper95",
    "attributableMinutes",
    "baselineMinutes",
    "instanceHours",
    "cost",
    "meanDurationMinutes",
    "meanRegret",
];

/// What a replay checks and what it does not.
pub const CHECKED: &str = "A replay checks the forecast, the size of the purchase, and the decisions of the driver: \
    every plan is made from what was known at its instant, and judged by the load that came. It does not check the \
    adapters, the effect of overload on demand, or the new version.";

/// The document that `-o json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    api_version: &'static str,
    kind: &'static str,
    /// The name of the rollout.
    pub rollout: String,
    fleet: String,
    from: Timestamp,
    to: Timestamp,
    every_seconds: u64,
    seed: u64,
    /// The risk that is allowed.
    pub risk: f64,
    /// The unit of every cost.
    pub currency: String,
    instants: usize,
    checked: &'static str,
    /// The table.
    pub strategies: Vec<Summary>,
    rollouts: Vec<Line>,
}

/// One rollout.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    instant: Timestamp,
    strategy: String,
    seed: u64,
    outcome: Ended,
    binding: Option<String>,
    detail: Option<String>,
    start_at: Option<Timestamp>,
    finish_at: Option<Timestamp>,
    attributable_minutes: f64,
    baseline_minutes: f64,
    unobserved_minutes: f64,
    headroom_ratio: f64,
    instances: usize,
    lost: u32,
    instance_hours: f64,
    cost: f64,
    duration_minutes: Option<f64>,
    revisions: u32,
    holds: u32,
    last_hold: Option<String>,
    planned_risk: Option<f64>,
    planned_cost: Option<f64>,
    plan: Option<String>,
}

impl Line {
    /// What the document says of a row.
    pub fn new(row: &Row) -> Self {
        let (course, account) = (&row.course, &row.account);
        let Account { attributable_minutes, baseline_minutes, unobserved_minutes, .. } = *account;
        let plan = course.told.plan.as_deref();
        Self {
            instant: row.instant,
            strategy: row.strategy.to_string(),
            seed: row.seed,
            outcome: course.ended,
            binding: course.refused.as_ref().map(|refused| refused.binding.clone()),
            detail: course.refused.as_ref().map(|refused| refused.detail.clone()),
            start_at: course.span.map(|(start, _)| start),
            finish_at: course.span.map(|(_, finish)| finish),
            attributable_minutes,
            baseline_minutes,
            unobserved_minutes,
            headroom_ratio: account.headroom_ratio,
            instances: course.hires.len(),
            lost: course.told.lost,
            instance_hours: account.instance_hours,
            cost: account.cost,
            duration_minutes: account.duration_minutes,
            revisions: course.told.revisions,
            holds: course.told.holds,
            last_hold: course.told.last_hold.clone(),
            planned_risk: plan.map(|plan| plan.risk.planned),
            planned_cost: plan.map(|plan| plan.cost.surge),
            plan: plan.map(|plan| plan.digest.to_string()),
        }
    }
}

/// The summaries as rows of a table of data.
pub fn cells(summaries: &[Summary]) -> serde_json::Result<Vec<Value>> {
    summaries.iter().map(serde_json::to_value).collect()
}

impl Document {
    /// The document of some rows; `span` is the first and the last instant, and their distance.
    pub fn new(
        prepared: &Prepared,
        (from, to, every): (Timestamp, Timestamp, Duration),
        seed: u64,
        summaries: &[Summary],
        rows: &[Row],
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Replay",
            rollout: prepared.rollout.name.to_string(),
            fleet: prepared.fleet.name.to_string(),
            from,
            to,
            every_seconds: every.as_secs(),
            seed,
            risk: prepared.rollout.risk.get(),
            currency: prepared.fleet.currency.clone(),
            instants: summaries.iter().map(|s| s.rollouts).max().unwrap_or(0),
            checked: CHECKED,
            strategies: summaries.to_vec(),
            rollouts: rows.iter().map(Line::new).collect(),
        }
    }

    /// One line on what was replayed.
    pub fn heading(&self) -> String {
        format!(
            "Rollout {} of fleet {}, started {} times from {} to {}, every {}; allowed risk {}",
            self.rollout,
            self.fleet,
            self.instants,
            self.from,
            self.to,
            length(Duration::from_secs(self.every_seconds)),
            percent(self.risk)
        )
    }

    /// The table for people.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}\n", self.heading())?;
        let rows = self.table();
        let heads: Vec<&str> = rows[0].iter().map(String::as_str).collect();
        let value = |row: &Vec<String>| -> Value {
            let cells = heads.iter().zip(row);
            cells.map(|(head, cell)| ((*head).to_owned(), Value::from(cell.as_str()))).collect()
        };
        let values: Vec<Value> = rows[1..].iter().map(value).collect();
        output::rows(out, Format::Table, &heads, &values)?;
        writeln!(
            out,
            "\noverload: rollouts with any minute in which the rollout was to blame for missing \
             capacity, the bounds of their share (one-sided, 95 %, by days), and these minutes;\n\
             baseline: minutes in which the whole fleet would not have sufficed either; regret: \
             mean cost above the clairvoyant's.\n{CHECKED}"
        )
    }

    /// The table in words; the first row names the columns.
    pub fn table(&self) -> Vec<Vec<String>> {
        let heads = [
            "strategy",
            "rollouts",
            "refused",
            "late",
            "overload",
            "bounds",
            "minutes",
            "baseline",
            "inst-hours",
            "cost",
            "duration",
            "regret",
        ];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        rows.extend(self.strategies.iter().map(|s| {
            let dash = || "-".to_owned();
            let minutes = |m: f64| length(Duration::from_secs_f64((m * 60.0).round().max(0.0)));
            vec![
                s.strategy.clone(),
                s.rollouts.to_string(),
                s.refused.to_string(),
                s.late.to_string(),
                format!("{} ({})", s.breached, percent(s.breached_share)),
                format!("{} to {}", percent(s.breached_lower95), percent(s.breached_upper95)),
                number(s.attributable_minutes),
                number(s.baseline_minutes),
                format!("{:.1}", s.instance_hours),
                format!("{:.2}", s.cost),
                s.mean_duration_minutes.map_or_else(dash, minutes),
                s.mean_regret.map_or_else(dash, |regret| format!("{regret:.3}")),
            ]
        }));
        rows
    }
}
