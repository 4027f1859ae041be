//! What came of the regimes, each alone and together.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;

use serde_json::{Value, json};

use super::scenario::RISKS;
use super::{Options, Part};
use crate::cli::output::{self, Format};
use crate::cli::render::time::percent;
use crate::replay::summary::bounds;
use crate::replay::{Ended, Row, Strategy};

const COLUMNS: [&str; 14] = [
    "regime",
    "risk",
    "rollouts",
    "refused",
    "avoidable",
    "late",
    "overload",
    "lower95",
    "upper95",
    "minutes",
    "of-fixed-0",
    "cost",
    "of-fixed-25",
    "of-any-25",
];

const COSTS: [&str; 6] = ["regime", "risk", "presurge", "fixed-25", "fixed-25-any", "clairvoyant"];

/// Prints the tables.
pub fn print(
    parts: &[Part],
    traces: &[&str],
    options: &Options,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    writeln!(out, "{} traces: {}\n", traces.len(), traces.join(", "))?;
    let (mut lines, mut costs) = (Vec::new(), Vec::new());
    for risk in RISKS {
        let own: Vec<&Part> = parts.iter().filter(|part| part.risk == risk).collect();
        let pooled = own.iter().flat_map(|part| &part.rows).collect();
        let each = own.iter().map(|part| (part.regime, part.rows.iter().collect::<Vec<_>>()));
        for (regime, rows) in each.chain([("pooled", pooled)]) {
            let beside = Beside::new(&rows);
            lines.push(beside.line(regime, risk, options.seed));
            costs.push(beside.costs(regime, risk));
        }
    }
    output::rows(out, Format::Table, &COLUMNS, &lines)?;
    writeln!(
        out,
        "\nrefused: no plan fitted; avoidable: of these, the clairvoyant found one; overload: \
         share of performed rollouts with any attributable overload; minutes: of attributable \
         overload, and as a share of those of 25 % batches without surge; cost: of Presurge, and \
         as a share of a fixed 25 % surge, on demand and from the cheapest offer.\n\nmean cost of \
         a rollout that Presurge performed:"
    )?;
    output::rows(out, Format::Table, &COSTS, &costs)?;
    worst(parts, out)
}

/// The rows of every strategy at the instants at which Presurge was asked.
struct Beside<'a> {
    own: Vec<&'a Row>,
    others: BTreeMap<(&'a str, i64, Strategy), &'a Row>,
}

impl<'a> Beside<'a> {
    fn new(rows: &[&'a Row]) -> Self {
        let own = rows.iter().copied().filter(|row| row.strategy == Strategy::Presurge);
        let key = |row: &'a Row| (row.block.as_str(), row.instant.as_second(), row.strategy);
        let others = rows.iter().map(|row| (key(row), *row));
        Self { own: own.collect(), others: others.collect() }
    }

    fn other(&self, row: &Row, strategy: Strategy) -> Option<&Row> {
        self.others.get(&(row.block.as_str(), row.instant.as_second(), strategy)).copied()
    }

    fn performed(&self) -> impl Iterator<Item = &'a Row> {
        self.own.iter().copied().filter(|row| row.performed())
    }

    /// A sum over the instants at which Presurge performed the rollout.
    fn sum(&self, strategy: Strategy, value: fn(&Row) -> f64) -> f64 {
        let rows = self.performed().filter_map(|row| self.other(row, strategy));
        rows.map(value).sum()
    }

    fn line(&self, regime: &str, risk: f64, seed: u64) -> Value {
        let refused: Vec<&&Row> = self.own.iter().filter(|row| !row.performed()).collect();
        let could =
            |row: &&&&Row| self.other(row, Strategy::Clairvoyant).is_some_and(Row::performed);
        let avoidable = refused.iter().filter(could).count();
        let late = self.performed().filter(|row| row.course.ended != Ended::Done).count();
        let performed = self.performed().count();
        let breached = self.performed().filter(|row| row.breached()).count();
        let blocks: Vec<(&str, bool)> =
            self.performed().map(|row| (row.block.as_str(), row.breached())).collect();
        let (lower, upper) = bounds(&blocks, seed);
        let minutes = |strategy| self.sum(strategy, |row| row.account.attributable_minutes);
        let cost = |strategy| self.sum(strategy, |row| row.account.cost);
        let share = |own: f64, other: f64| match other > 0.0 {
            true => format!("{:.4}", own / other),
            false => "-".to_owned(),
        };
        let (own, paid) = (minutes(Strategy::Presurge), cost(Strategy::Presurge));
        json!({
            "regime": regime,
            "risk": percent(risk),
            "rollouts": self.own.len(),
            "refused": refused.len(),
            "avoidable": avoidable,
            "late": late,
            "overload": format!("{breached} ({})", percent(breached as f64 / performed.max(1) as f64)),
            "lower95": percent(lower),
            "upper95": percent(upper),
            "minutes": own,
            "of-fixed-0": share(own, minutes(Strategy::Fixed(0))),
            "cost": format!("{paid:.2}"),
            "of-fixed-25": share(paid, cost(Strategy::Fixed(25))),
            "of-any-25": share(paid, cost(Strategy::FixedAny(25))),
        })
    }

    fn costs(&self, regime: &str, risk: f64) -> Value {
        let count = self.performed().count().max(1) as f64;
        let mean = |strategy| format!("{:.4}", self.sum(strategy, |row| row.account.cost) / count);
        json!({
            "regime": regime,
            "risk": percent(risk),
            "presurge": mean(Strategy::Presurge),
            "fixed-25": mean(Strategy::Fixed(25)),
            "fixed-25-any": mean(Strategy::FixedAny(25)),
            "clairvoyant": mean(Strategy::Clairvoyant),
        })
    }
}

/// Names the rollouts that lacked capacity, were late or were refused, so that they can be looked
/// at.
fn worst(parts: &[Part], out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    writeln!(out, "\nrollouts by Presurge with overload, late or refused:")?;
    for part in parts {
        let own = part.rows.iter().filter(|row| row.strategy == Strategy::Presurge);
        for row in own.filter(|row| row.breached() || row.course.ended != Ended::Done) {
            let trace = row.block.rsplit_once(' ').map_or("", |(trace, _)| trace);
            let told = &row.course.told;
            let refused = row.course.refused.as_ref().map(ToString::to_string);
            writeln!(
                out,
                "  {} {} {trace} {} seed {}: {:?}, {} minutes, headroom {:.1} % of the fleet, {} \
                 lost, {} revisions, {}",
                part.regime,
                percent(part.risk),
                row.instant,
                row.seed,
                row.course.ended,
                row.account.attributable_minutes,
                row.account.headroom_ratio * 100.0,
                told.lost,
                told.revisions,
                refused.or_else(|| told.last_hold.clone()).unwrap_or_else(|| "no hold".to_owned())
            )?;
        }
    }
    Ok(())
}
