//! An explanation as a page: every number with what it is made of.

use std::io::{self, Write};

use domain::plan::{Binding, NoTail, Plan};
use plan::{
    DimensionExplained, Explanation, FleetExplained, LineExplained, Moment, OrderExplained,
    RiskExplained,
};

use super::brought::signal_line;
use super::capacity::capacity_line;
use super::time::{Teller, number, percent};
use crate::cli::explain::Recomputed;

/// Intervals of the ledger that are shown, and alternatives that are listed.
const MAX_MOMENTS: usize = 40;
const MAX_REJECTED: usize = 12;

/// Prints an explanation for people.
pub fn text(
    out: &mut impl Write,
    plan: &Plan,
    explained: &Explanation,
    recomputed: Option<&Recomputed>,
) -> io::Result<()> {
    let tell = Teller::local(plan.created_at);
    let Explanation { rollout, revision, digest, inputs, .. } = explained;
    writeln!(out, "Plan {revision} of rollout {rollout}, {digest}")?;
    writeln!(out, "  configuration {}", inputs.config)?;
    for (which, digest) in &inputs.load {
        writeln!(out, "  load of {which} until {}, {digest}", tell.day(inputs.until))?;
    }
    for (which, signals) in &inputs.signals {
        for signal in signals {
            writeln!(out, "  {}", signal_line(which, signal))?;
        }
    }
    for (which, carries) in &inputs.capacity {
        writeln!(out, "  {}", capacity_line(which, carries))?;
    }
    if let Some(joint) = &explained.joint {
        writeln!(out, "\nJoint risk of {} fleets, taken as independent", explained.fleets.len())?;
        writeln!(
            out,
            "  1 − Π(1 − share) = {}, of {} allowed; planned {}; cost {:.4}",
            percent(joint.shares),
            percent(joint.risk.target),
            percent(joint.planned),
            joint.cost
        )?;
    }
    for fleet in &explained.fleets {
        Page { plan, fleet, tell: &tell }.write(out)?;
    }
    differences(out, explained)?;
    if let Some(recomputed) = recomputed { again(out, "plan", recomputed) } else { Ok(()) }
}

fn differences(out: &mut impl Write, explained: &Explanation) -> io::Result<()> {
    if explained.differences.is_empty() {
        return writeln!(out, "\nEvery figure of the plan follows from the basis that it states.");
    }
    writeln!(out, "\nFigures that do not follow from the basis that the plan states")?;
    for other in &explained.differences {
        writeln!(
            out,
            "  {}: {} is stated, {} follows",
            other.figure, other.stated, other.recomputed
        )?;
    }
    Ok(())
}

/// Prints what came of computing something again.
pub fn again(out: &mut impl Write, what: &str, recomputed: &Recomputed) -> io::Result<()> {
    if recomputed.same {
        return writeln!(
            out,
            "Computed again from the configuration and its load: the same {what}, to the last digit."
        );
    }
    writeln!(out, "\nComputed again from the configuration and its load: not the same {what}")?;
    for which in &recomputed.other_loads {
        writeln!(out, "  the history of {which} is not the one that the plan was made from")?;
    }
    if let Some(refused) = &recomputed.refused {
        writeln!(out, "  {refused}")?;
    }
    for changed in &recomputed.differences {
        writeln!(
            out,
            "  {}: {} is stated, {} comes out",
            changed.at, changed.stated, changed.recomputed
        )?;
    }
    let more = recomputed.count.saturating_sub(recomputed.differences.len());
    if more > 0 && recomputed.refused.is_none() {
        writeln!(out, "  … and {more} more")?;
    }
    Ok(())
}

struct Page<'a> {
    plan: &'a Plan,
    fleet: &'a FleetExplained,
    tell: &'a Teller,
}

impl Page<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nFleet {}", self.fleet.fleet)?;
        self.load(out)?;
        self.binding(out)?;
        self.ledger(out)?;
        self.offers(out)?;
        self.cost(out)?;
        risk(out, &self.fleet.risk)?;
        self.update_failures(out)?;
        self.rejected(out)
    }

    fn update_failures(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(failures) = self.fleet.update_failures else { return Ok(()) };
        writeln!(
            out,
            "    updates: one of {} fails with {}, so any with {} ({} of the fresh courses); it \
             stays out until the watch is over, and no further batch opens",
            failures.terms.servers,
            percent(failures.terms.each),
            percent(failures.any),
            failures.terms.paths
        )
    }

    fn load(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(load) = &self.fleet.load else {
            return writeln!(
                out,
                "  the plan was made by a release that did not write down what its figures are \
                 made of; --config computes it again"
            );
        };
        writeln!(out, "  Load")?;
        writeln!(
            out,
            "    “load upper” is the {} quantile of each step by itself",
            percent(load.band_level)
        )?;
        writeln!(
            out,
            "    chosen to cover {} of {} sampled courses: {:.2} may lack capacity, so that with \
             {} confidence at most {} do",
            percent(load.covered),
            load.paths,
            load.allowed_hits,
            percent(load.confidence),
            percent(self.fleet.risk.target)
        )
    }

    fn binding(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(Binding { at, dimension, load, in_service, short, quantile, .. }) =
            &self.fleet.binding
        else {
            return Ok(());
        };
        let binding = self.fleet.binding.as_ref();
        let zones: Vec<&str> =
            binding.iter().flat_map(|b| &b.lost_zones).map(|zone| zone.as_str()).collect();
        let servers = binding.map_or(0, |b| b.lost_servers);
        let lost = match (zones.as_slice(), servers) {
            ([], 0) => String::new(),
            ([], n) => format!(" after losing {n} servers"),
            (zones, 0) => format!(" after losing zone {}", zones.join(" and ")),
            (zones, n) => format!(" after losing zone {} and {n} servers", zones.join(" and ")),
        };
        writeln!(out, "  What binds")?;
        writeln!(
            out,
            "    {}: {dimension} reaches {} on the course at the {} quantile, {} are in service \
             without a purchase{lost}: {}",
            self.tell.day_and_zone(*at),
            number(*load),
            percent(*quantile),
            number(*in_service),
            if *short > 0.0 {
                format!("{} too few", number(*short))
            } else {
                format!("{} to spare", number(-short))
            }
        )?;
        for loss in &self.fleet.losses {
            let zones: Vec<&str> = loss.zones.iter().map(|zone| zone.as_str()).collect();
            writeln!(
                out,
                "    survives losing {} servers{}{}: {} of {}",
                loss.servers,
                if zones.is_empty() { "" } else { " and zone " },
                zones.join(" and "),
                number(loss.capacity),
                loss.dimension
            )?;
        }
        Ok(())
    }

    fn ledger(&self, out: &mut impl Write) -> io::Result<()> {
        if self.fleet.ledger.is_empty() {
            return Ok(());
        }
        writeln!(out, "  Capacity, line by line, where it is least")?;
        for moment in self.fleet.ledger.iter().take(MAX_MOMENTS) {
            self.moment(out, moment)?;
        }
        let more = self.fleet.ledger.len().saturating_sub(MAX_MOMENTS);
        if more > 0 {
            writeln!(out, "    … and {more} more intervals (-o json lists them)")?;
        }
        Ok(())
    }

    fn moment(&self, out: &mut impl Write, moment: &Moment) -> io::Result<()> {
        for (dimension, DimensionExplained { at, lines, capacity, load, headroom }) in
            &moment.dimensions
        {
            let lines: Vec<String> = lines.iter().map(line).collect();
            writeln!(
                out,
                "    {}  {dimension}: {} = {}; load {} to {}, {} {}; overload {}",
                self.tell.day(*at),
                lines.join(" "),
                number(*capacity),
                number(load.mean),
                number(load.upper),
                number(headroom.abs()),
                if *headroom < 0.0 { "too few" } else { "to spare" },
                percent(moment.overload_probability)
            )?;
        }
        Ok(())
    }

    fn offers(&self, out: &mut impl Write) -> io::Result<()> {
        if self.fleet.offers.is_empty() {
            return Ok(());
        }
        let currency = &self.plan.cost.currency;
        writeln!(out, "  Offers")?;
        for offer in &self.fleet.offers {
            let terms = &offer.terms;
            writeln!(
                out,
                "    {}: {} {currency} per hour, ready after {} s, needed for {} s, billed {} s \
                 (at least {} s, in units of {} s): {:.4} each",
                terms.offer,
                terms.price_per_hour,
                terms.lead_seconds,
                terms.run_seconds,
                terms.billed_seconds,
                terms.billing_minimum_seconds,
                terms.billing_granularity_seconds,
                terms.cost_each
            )?;
            if terms.lost_per_hour > 0.0 || terms.pool_lost_per_hour > 0.0 {
                writeln!(
                    out,
                    "      lost per hour: one with {}, all with {}",
                    percent(terms.lost_per_hour),
                    percent(terms.pool_lost_per_hour)
                )?;
            }
            if terms.fulfilment < 1.0 {
                let misses = percent(1.0 - terms.fulfilment);
                writeln!(out, "      one is not delivered with {misses}")?;
            }
            if terms.boot_failure > 0.0 {
                let fails = percent(terms.boot_failure);
                writeln!(out, "      one does not come up with {fails}")?;
            }
            writeln!(out, "      {} taken: {}", terms.count, offer.why)?;
        }
        Ok(())
    }

    fn cost(&self, out: &mut impl Write) -> io::Result<()> {
        let cost = &self.fleet.cost;
        writeln!(out, "  Cost: {:.4} {}", cost.surge, cost.currency)?;
        for OrderExplained { offer, count, price_per_hour, billed_seconds, cost, .. } in
            &cost.orders
        {
            match (billed_seconds, cost) {
                (Some(billed), Some(cost)) => writeln!(
                    out,
                    "    {count} × {offer} × {price_per_hour} per hour × {billed} s = {cost:.4}"
                )?,
                _ => writeln!(out, "    {count} × {offer} at {price_per_hour} per hour")?,
            }
        }
        for kept in &cost.kept {
            writeln!(
                out,
                "    {} × {} × {} per hour × {} s that run already = {:.4}",
                kept.count, kept.offer, kept.price_per_hour, kept.seconds, kept.cost
            )?;
        }
        Ok(())
    }

    fn rejected(&self, out: &mut impl Write) -> io::Result<()> {
        if self.fleet.rejected.is_empty() {
            return Ok(());
        }
        writeln!(out, "  Looked at and not taken")?;
        for other in self.fleet.rejected.iter().take(MAX_REJECTED) {
            let start = self.tell.day(other.start_at);
            writeln!(out, "    start {start}, {} at a time: {}", other.batch, other.reason)?;
        }
        Ok(())
    }
}

fn line(line: &LineExplained) -> String {
    let count = line.count.unwrap_or(0);
    let sign = if line.capacity < 0.0 { "−" } else { "+" };
    let amount = number(line.capacity.abs());
    match (line.what, line.batch, &line.offer) {
        ("servers", ..) => format!("{amount} ({count} servers)"),
        (_, Some(batch), _) => {
            let warming = line.share.filter(|share| *share < 1.0);
            let warming = warming.map_or(String::new(), |s| format!(", {} of it", percent(s)));
            format!("{sign} {amount} (batch {batch} out{warming})")
        }
        (.., Some(offer)) => format!("{sign} {amount} ({count} × {offer})"),
        _ => format!("{sign} {amount} (spare)"),
    }
}

/// Why the tail has no model, in words.
fn no_tail(reason: NoTail) -> &'static str {
    match reason {
        NoTail::Covered => "what is out is covered whatever the load",
        NoTail::TooFew => "too few courses come near to a lack of capacity",
        NoTail::NoSpread => "all courses come equally near to a lack of capacity",
        NoTail::WithinThePaths => "the courses show the risk themselves",
    }
}

fn risk(out: &mut impl Write, risk: &RiskExplained) -> io::Result<()> {
    writeln!(out, "  Risk")?;
    let of = |hits: Option<u64>| match (hits, risk.paths) {
        (Some(hits), Some(paths)) => format!(" = {hits} of {paths} fresh courses"),
        _ => String::new(),
    };
    writeln!(out, "    planned {}{}", percent(risk.planned), of(risk.hits))?;
    let upper = percent(risk.upper95);
    writeln!(out, "    upper95 {upper}, the one-sided bound of Clopper and Pearson on it")?;
    let windows = risk.comparable_windows;
    let windows = windows.map_or(String::new(), |n| format!(" = 1 / ({n} comparable windows + 1)"));
    writeln!(out, "    resolution {}{windows}", percent(risk.resolution))?;
    let (target, than) =
        (percent(risk.target), if risk.extrapolated { "below" } else { "not below" });
    writeln!(
        out,
        "    extrapolated: {}, since the target {target} is {than} it",
        if risk.extrapolated { "yes" } else { "no" }
    )?;
    if let Some(tail) = &risk.tail {
        writeln!(
            out,
            "    tail: {} (standard error {}) by a generalised Pareto distribution, shape {:.3}, \
             scale {}, on the {} courses that leave less than {} of the fleet's capacity free",
            percent(tail.probability),
            percent(tail.standard_error),
            tail.shape,
            percent(tail.scale),
            tail.exceedances,
            percent(tail.threshold.abs())
        )?;
    }
    if let Some(reason) = risk.no_tail {
        writeln!(out, "    tail: no model of it, since {}", no_tail(reason))?;
    }
    writeln!(
        out,
        "    baseline {}{} exceed the whole fleet, rollout or not",
        percent(risk.baseline),
        of(risk.baseline_hits)
    )?;
    if risk.batches.is_empty() {
        return Ok(());
    }
    let each: Vec<String> =
        risk.batches.iter().map(|b| format!("{} {}", b.batch, percent(b.risk))).collect();
    writeln!(
        out,
        "    account: the batches spend {} of {target} ({})",
        percent(risk.spent),
        each.join(", ")
    )
}
