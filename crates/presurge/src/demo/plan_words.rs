//! A plan in one line.

use domain::plan::Plan;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// When, how many, what for, how sure.
pub fn in_words(plan: &Plan) -> String {
    let sizes: Vec<_> = plan.batches.iter().map(|b| b.servers.len().to_string()).collect();
    let surge: u32 = plan.surge.iter().map(|s| s.count).sum();
    let first = plan.batches.first().map_or(plan.start_at, |b| b.out_at);
    format!(
        "plan: {} batches ({}) from {} to {}, {surge} surge for {:.2} {}, risk {:.2} % of {:.0} % allowed",
        plan.batches.len(),
        sizes.join("+"),
        time_of_day(first),
        time_of_day(plan.finish_at),
        plan.cost.surge,
        plan.cost.currency,
        plan.risk.planned * 100.0,
        plan.risk.target * 100.0,
    )
}

/// `Wed 17:30` in UTC.
pub fn moment(at: Timestamp) -> String {
    TimeZone::UTC.to_datetime(at).strftime("%a %H:%M").to_string()
}

/// `HH:MM` in UTC.
pub fn time_of_day(at: Timestamp) -> String {
    TimeZone::UTC.to_datetime(at).strftime("%H:%M").to_string()
}
