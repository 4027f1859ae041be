//! What a finished rollout came to, beside what its first plan said.

use std::io::{self, Write};

use rollout::compared::{Compared, Course};
use serde_json::{Value, json};

use crate::cli::render::time::percent;

/// For people: one line for each figure.
pub(super) fn table(out: &mut impl Write, compared: &Compared) -> io::Result<()> {
    let (planned, came) = (&compared.planned, &compared.came);
    writeln!(out, "\n{:<20}{:<24}came", "", "first plan")?;
    let mut row = |what: &str, of: &dyn Fn(&Course) -> String| {
        writeln!(out, "  {what:<18}{:<24}{}", of(planned), of(came))
    };
    let moment = |at: Option<jiff::Timestamp>| at.map_or("-".into(), |at| format!("{at:.0}"));
    row("first out", &|course| moment(course.out))?;
    row("last back", &|course| moment(course.back))?;
    row("done", &|course| moment(course.done))?;
    row("batches", &|course| course.batches.to_string())?;
    row("surge instances", &|course| course.surge.to_string())?;
    row("cost of surge", &|course| match course.cost {
        Some(cost) => format!("{cost:.2} {}", compared.currency),
        None => "-".into(),
    })?;
    row("risk", &|course| percent(course.risk))?;
    if let Some(late) = late_seconds(compared) {
        let (words, share) = if late < 0.0 { ("earlier", -late) } else { ("later", late) };
        let length = length_seconds(&compared.planned).unwrap_or(1.0).max(1.0);
        writeln!(
            out,
            "  last back {:.0} s {words} than planned ({:.0} % of the length), {} plans, held for {:.0} s",
            share,
            100.0 * share / length,
            compared.plans,
            compared.held_seconds,
        )?;
    }
    for load in &compared.load {
        let share = load.came / load.upper;
        let bar = "#".repeat((share.clamp(0.0, 1.5) * 20.0).round() as usize);
        let over = if share > 1.0 { "  ABOVE" } else { "" };
        writeln!(
            out,
            "  {:.0}  {} {:.1}, {:.0} % of the upper edge {:.1}  {bar}{over}",
            load.at,
            load.dimension,
            load.came,
            100.0 * share,
            load.upper,
        )?;
    }
    Ok(())
}

/// How much later than planned the last batch was back, in seconds; below zero: earlier.
fn late_seconds(compared: &Compared) -> Option<f64> {
    let (planned, came) = (compared.planned.back?, compared.came.back?);
    Some(came.duration_since(planned).as_secs_f64())
}

fn length_seconds(course: &Course) -> Option<f64> {
    Some(course.back?.duration_since(course.out?).as_secs_f64())
}

/// For programs.
pub(super) fn as_json(compared: &Compared) -> Value {
    let course = |course: &Course| {
        json!({
            "firstOut": course.out, "lastBack": course.back, "done": course.done,
            "batches": course.batches, "surge": course.surge, "cost": course.cost,
            "risk": course.risk,
        })
    };
    json!({
        "planned": course(&compared.planned),
        "came": course(&compared.came),
        "lateSeconds": late_seconds(compared),
        "plans": compared.plans,
        "heldSeconds": compared.held_seconds,
        "currency": compared.currency,
        "load": compared.load.iter().map(|load| json!({
            "at": load.at, "dimension": load.dimension, "came": load.came, "upper": load.upper,
        })).collect::<Vec<_>>(),
    })
}
