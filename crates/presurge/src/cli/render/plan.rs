//! A plan as a page that can be read aloud: what will happen, when, what it costs, how sure.

use std::io::{self, Write};

use domain::learned::Quantity;
use domain::plan::{Batch, Plan, Refused, SurgePurchase, TimelineEntry};
use jiff::Timestamp;

use super::brought::signal_line;
use super::capacity::capacity_line;
use super::time::{Teller, length, number, percent};
use crate::pipeline::Prepared;

/// The most steps, servers and alternatives that are listed.
const MAX_STEPS: usize = 60;
const MAX_SERVERS: usize = 4;
const MAX_REJECTED: usize = 5;

/// Prints a plan for people: a page for each fleet, after the whole where there are several.
pub fn text(
    out: &mut impl Write,
    fleets: &[Prepared],
    plan: &Plan,
    now: Timestamp,
) -> io::Result<()> {
    if !plan.fleets.is_empty() {
        whole(out, plan, now)?;
    }
    for (index, part) in plan.parts().iter().enumerate() {
        let of =
            |prepared: &&Prepared| part.timeline.iter().any(|e| e.fleet == prepared.fleet.name);
        let Some(prepared) = fleets.iter().find(of) else { continue };
        if index > 0 {
            writeln!(out)?;
        }
        page(out, prepared, part, now)?;
    }
    Ok(())
}

/// What several fleets make together.
fn whole(out: &mut impl Write, plan: &Plan, now: Timestamp) -> io::Result<()> {
    let (tell, risk) = (Teller::local(now), &plan.risk);
    let names: Vec<&str> = plan.fleets.iter().map(|part| part.fleet.as_str()).collect();
    writeln!(out, "Rollout {} over {} fleets: {}\n", plan.rollout, names.len(), names.join(", "))?;
    writeln!(
        out,
        "  first order or removal {}, last back {}, extra capacity for {} {} in all",
        tell.day_and_zone(plan.start_at),
        tell.day(plan.finish_at),
        money(plan.cost.surge),
        plan.cost.currency,
    )?;
    writeln!(
        out,
        "  joint risk of overload {}, at most {} with 95 % confidence in each; {} is allowed, \
         shared out for the least cost\n",
        percent(risk.planned),
        percent(risk.upper95),
        percent(risk.target),
    )?;
    writeln!(out, "  {:<24} {:>10} {:>10} {:>10}", "fleet", "share", "planned", "cost")?;
    for part in &plan.fleets {
        let (fleet, risk) = (part.fleet.as_str(), &part.risk);
        let (share, planned) = (percent(risk.target), percent(risk.planned));
        writeln!(out, "  {fleet:<24} {share:>10} {planned:>10} {:>10}", money(part.cost.surge))?;
    }
    writeln!(out)
}

fn page(out: &mut impl Write, prepared: &Prepared, plan: &Plan, now: Timestamp) -> io::Result<()> {
    let page = Page { prepared, plan, tell: Teller::local(now) };
    page.heading(out)?;
    page.steps(out)?;
    page.surge(out)?;
    page.load(out)?;
    page.certainty(out)?;
    page.rejected(out)
}

/// Prints why there is no plan.
pub fn refused(out: &mut impl Write, refused: &Refused) -> io::Result<()> {
    writeln!(out, "No plan fits.")?;
    writeln!(out, "  {} binds: {}", refused.binding, refused.detail)?;
    if refused.would_fit.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nIt would fit with one of these changes:")?;
    for fit in &refused.would_fit {
        let (cost, risk) = (number(fit.cost), percent(fit.risk));
        writeln!(out, "  {}: done at {}, cost {cost}, risk {risk}", fit.change, fit.finish_at)?;
    }
    Ok(())
}

struct Page<'a> {
    prepared: &'a Prepared,
    plan: &'a Plan,
    tell: Teller,
}

/// Something that happens.
struct Step {
    at: Timestamp,
    sign: char,
    what: String,
}

impl Page<'_> {
    fn heading(&self, out: &mut impl Write) -> io::Result<()> {
        let (plan, tell) = (self.plan, &self.tell);
        let (fleet, target) = (&self.prepared.fleet, &self.prepared.rollout.target);
        writeln!(out, "Rollout {}: fleet {} to {target}\n", plan.rollout, fleet.name)?;
        let servers: usize = plan.batches.iter().map(|batch| batch.servers.len()).sum();
        let out_at = plan.batches.first().map_or(plan.start_at, |batch| batch.out_at);
        let learned = self.prepared.learned.iter();
        let configured = |what: &Quantity| {
            let day = what.of_day();
            self.prepared.configured.get(day.as_ref().unwrap_or(what))
        };
        let learned = learned.map(|(what, figure)| match configured(what) {
            Some(configured) => format!("{what} {figure} (configured {configured})"),
            None => format!("{what} {figure}"),
        });
        let learned: Vec<String> = learned.collect();
        if !learned.is_empty() {
            writeln!(out, "  by what was learned or pinned: {}", learned.join(", "))?;
        }
        for (which, signals) in &plan.inputs.signals {
            for signal in signals {
                writeln!(out, "  {}", signal_line(which, signal))?;
            }
        }
        for (which, carries) in &plan.inputs.capacity {
            writeln!(out, "  {}", capacity_line(which, carries))?;
        }
        writeln!(
            out,
            "  {} in {}, first out {} ({}), last back {} ({})",
            counted(servers, "server", "servers"),
            counted(plan.batches.len(), "batch", "batches"),
            tell.day_and_zone(out_at),
            tell.away(out_at),
            tell.day(plan.finish_at),
            tell.away(plan.finish_at),
        )?;
        let surge: u32 = plan.surge.iter().map(|order| order.count).sum();
        match surge {
            0 => writeln!(out, "  no extra capacity: what is in service carries the load")?,
            _ => writeln!(
                out,
                "  {} of extra capacity for {} {}",
                counted(surge as usize, "instance", "instances"),
                money(plan.cost.surge),
                plan.cost.currency
            )?,
        }
        writeln!(
            out,
            "  risk of overload {}, at most {} with 95 % confidence; {} is allowed\n",
            percent(plan.risk.planned),
            percent(plan.risk.upper95),
            percent(plan.risk.target),
        )
    }

    fn steps(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "What will happen (times are “not before”)")?;
        let steps = self.all_steps();
        let fine = steps.iter().any(|step| step.at.as_second() % 60 != 0);
        let mut day = String::new();
        for step in steps.iter().take(MAX_STEPS) {
            let (date, clock) = (self.tell.date(step.at), self.tell.clock(step.at, fine));
            let shown = if date == day { String::new() } else { date.clone() };
            day = date;
            let away = self.tell.away(step.at);
            writeln!(out, "  {shown:<10} {clock}  {away:>10}  {} {}", step.sign, step.what)?;
        }
        if steps.len() > MAX_STEPS {
            writeln!(out, "  … and {} more steps", steps.len() - MAX_STEPS)?;
        }
        writeln!(out)
    }

    fn all_steps(&self) -> Vec<Step> {
        let plan = self.plan;
        let mut steps = Vec::new();
        let mut add = |at, sign, what| steps.push(Step { at, sign, what });
        for order in &plan.surge {
            let (count, offer) = (order.count, &order.offer);
            add(order.order_at, '+', format!("order {count} × {offer}"));
            add(order.ready_at, '·', format!("{count} × {offer} carry load"));
            add(order.release_at, '-', format!("give back {count} × {offer}"));
        }
        for batch in &plan.batches {
            let canary = if batch.index == 1 && plan.batches.len() > 1 { " (canary)" } else { "" };
            let (index, servers) = (batch.index, servers(batch));
            add(batch.out_at, '↓', format!("batch {index}{canary} out: {servers}"));
            add(batch.back_at, '↑', format!("batch {index} back in full service"));
        }
        if plan.stabilised_at > plan.finish_at {
            let watch = plan.stabilised_at.duration_since(plan.finish_at).unsigned_abs();
            add(plan.stabilised_at, '✓', format!("watched for {}", length(watch)));
        }
        steps.sort_by_key(|step| step.at);
        steps
    }

    fn surge(&self, out: &mut impl Write) -> io::Result<()> {
        if self.plan.surge.is_empty() {
            return Ok(());
        }
        writeln!(out, "What is bought, and why")?;
        for order in &self.plan.surge {
            let paid = order.end_at.duration_since(order.order_at).unsigned_abs();
            writeln!(
                out,
                "  {} × {} at {} {} per hour for {}, until {}",
                order.count,
                order.offer,
                money(order.price_per_hour),
                self.plan.cost.currency,
                length(paid),
                self.tell.day(order.end_at),
            )?;
            if let Some(reason) = self.reason(order) {
                writeln!(out, "    {reason}")?;
            }
        }
        writeln!(out)
    }

    /// The interval in which an order is needed most.
    fn reason(&self, order: &SurgePurchase) -> Option<String> {
        let offer = self.prepared.fleet.offers.iter().find(|offer| offer.name == order.offer)?;
        let mut worst: Option<(f64, String)> = None;
        for entry in &self.plan.timeline {
            if entry.to <= order.ready_at || entry.from >= order.release_at {
                continue;
            }
            for (dimension, load) in &entry.load {
                let (Some(capacity), Some(each)) =
                    (entry.capacity.get(dimension), offer.capacity.get(dimension))
                else {
                    continue;
                };
                let balance = self.prepared.fleet.balance;
                let without = capacity - each * balance * f64::from(entry.surge.min(order.count));
                let lack = (load.upper - without) / load.upper.abs().max(f64::MIN_POSITIVE);
                if worst.as_ref().is_none_or(|(known, _)| lack > *known) {
                    let (from, to) =
                        (self.tell.clock(entry.from, false), self.tell.clock(entry.to, false));
                    let text = format!(
                        "without it, {} servers carry {} {dimension} from {from} to {to}; the load \
                         may reach {}",
                        entry.in_service,
                        number(without),
                        number(load.upper),
                    );
                    worst = Some((lack, text));
                }
            }
        }
        worst.map(|(_, text)| text)
    }

    /// The tightest moment of each batch.
    fn load(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(first) = self.plan.timeline.first() else { return Ok(()) };
        for dimension in first.load.keys() {
            let unit =
                self.prepared.fleet.load.get(dimension).and_then(|load| load.unit.as_deref());
            let unit = unit.map_or(String::new(), |unit| format!(" in {unit}"));
            writeln!(
                out,
                "Capacity and load of {dimension}{unit}, at the tightest moment of each batch"
            )?;
            writeln!(
                out,
                "  batch  in service  surge    capacity  load expected  load upper  overload"
            )?;
            for batch in self.plan.batches.iter().take(MAX_STEPS) {
                let headroom = |entry: &&TimelineEntry| {
                    let load = entry.load.get(dimension).map_or(0.0, |band| band.upper);
                    entry.capacity.get(dimension).map_or(f64::INFINITY, |capacity| capacity - load)
                };
                let inside = self.plan.timeline.iter().filter(|entry| {
                    entry.fleet == batch.fleet
                        && entry.from < batch.back_at
                        && entry.to > batch.out_at
                });
                let tightest = inside.min_by(|a, b| headroom(a).total_cmp(&headroom(b)));
                let Some(entry) = tightest else { continue };
                let (Some(capacity), Some(load)) =
                    (entry.capacity.get(dimension), entry.load.get(dimension))
                else {
                    continue;
                };
                writeln!(
                    out,
                    "  {:>5}  {:>10}  {:>5}  {:>10}  {:>13}  {:>10}  {:>8}",
                    batch.index,
                    entry.in_service,
                    entry.surge,
                    number(*capacity),
                    number(load.mean),
                    number(load.upper),
                    percent(entry.overload_probability),
                )?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn certainty(&self, out: &mut impl Write) -> io::Result<()> {
        let (plan, risk) = (self.plan, &self.plan.risk);
        writeln!(out, "How sure")?;
        writeln!(
            out,
            "  {} of the futures that were not used to choose the plan meet overload that the \
             rollout is to blame for",
            percent(risk.planned)
        )?;
        if risk.baseline > 0.0 {
            let baseline = percent(risk.baseline);
            writeln!(out, "  {baseline} exceed what the whole fleet carries, rollout or not")?;
        }
        if risk.extrapolated {
            writeln!(
                out,
                "  the history shows risks down to {}; below that the tail is extrapolated",
                percent(risk.resolution)
            )?;
        }
        if let Some(tail) = &risk.tail {
            writeln!(
                out,
                "  a generalised Pareto tail on the {} nearest futures says {} (standard error {})",
                tail.exceedances,
                percent(tail.probability),
                percent(tail.standard_error)
            )?;
        }
        if let Some(exposure) = &plan.exposure {
            let room: Vec<String> = exposure
                .headroom
                .iter()
                .map(|(dimension, room)| {
                    let what = if *room < 0.0 { "too few" } else { "to spare" };
                    format!("{} {what} in {dimension}", number(room.abs()))
                })
                .collect();
            let peak = self.tell.day(exposure.next_peak_at);
            writeln!(out, "  next peak {peak}: {}", room.join(", "))?;
        }
        writeln!(
            out,
            "  load known until {}; valid until {}",
            self.tell.day(plan.inputs.until),
            self.tell.day(plan.valid_until)
        )
    }

    fn rejected(&self, out: &mut impl Write) -> io::Result<()> {
        if self.plan.rejected.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nWhat was looked at and not taken")?;
        for other in self.plan.rejected.iter().take(MAX_REJECTED) {
            let start = self.tell.day(other.start_at);
            writeln!(out, "  start {start}, {} at a time: {}", other.batch, other.reason)?;
        }
        let more = self.plan.rejected.len().saturating_sub(MAX_REJECTED);
        if more > 0 {
            writeln!(out, "  … and {more} more (-o json lists them)")?;
        }
        Ok(())
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Money with at least two digits after the point, as prices have.
fn money(amount: f64) -> String {
    let amount = amount + 0.0;
    if amount >= 1.0 || amount == 0.0 { format!("{amount:.2}") } else { format!("{amount:.4}") }
}

fn servers(batch: &Batch) -> String {
    let names: Vec<&str> = batch.servers.iter().map(|server| server.as_str()).collect();
    if names.len() <= MAX_SERVERS {
        return names.join(", ");
    }
    let shown = names.iter().take(MAX_SERVERS - 1).copied().collect::<Vec<_>>().join(", ");
    format!("{shown} and {} more", names.len() + 1 - MAX_SERVERS)
}
