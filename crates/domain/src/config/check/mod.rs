//! From documents to values that can be trusted: names that have to exist, units that have to
//! agree, and features that are part of the schema and not built yet.
//!
//! Every check runs, so that one answer names everything that is wrong.

mod approval;
mod calendar;
mod fleet;
mod hooks;
mod objectives;
mod offers;
mod own;
mod quotas;
mod rollout;
mod servers;
mod zones;

pub use calendar::FreezeFile;
pub use fleet::{DrainPolicy, Fleet, LoadInput, SaturationInput, Scaler, UpdateDurations};
pub use hooks::Hook;
pub use objectives::Objective;
pub use offers::Offer;
pub use quotas::Quota;
pub use rollout::{Canary, Gate, GivenSchedule, Rollout};
pub use servers::FleetServer;

/// The known name that is most like `wanted`, if one is like it at all.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let edits = strsim::damerau_levenshtein(&lower, &name);
        // A short name may differ in one place, a long one in a third of its length.
        let allowed = (lower.chars().count().max(name.chars().count()) / 3).max(1);
        let near = if name.len() > 3 { strsim::jaro_winkler(&lower, &name) } else { 0.0 };
        (edits <= allowed || near > 0.9).then_some((edits, name.len()))
    };
    let candidates = known.into_iter().filter_map(|name| Some((likeness(name)?, name)));
    candidates.min_by_key(|(likeness, _)| *likeness).map(|(_, name)| name)
}

/// A list of known names for a message, with the nearest one first.
pub fn hint<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const MOST: usize = 10;
    let near = nearest(wanted, known.clone());
    let near = near.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    let all: Vec<&str> = known.into_iter().collect();
    let more = if all.len() > MOST { format!(", … {} in all", all.len()) } else { String::new() };
    let shown = all.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    let shown = if shown.is_empty() { "none".to_owned() } else { shown };
    format!("{near} (there are: {shown}{more})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["price", "lead", "max", "capacity", "name"];
        assert_eq!(nearest("prce", known), Some("price"));
        assert_eq!(nearest("Price", known), Some("price"));
        assert_eq!(nearest("cpacity", known), Some("capacity"));
        assert_eq!(nearest("maxx", known), Some("max"));
        assert_eq!(nearest("zone", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(hint("web", ["web-eu"]), " (there are: web-eu)");
        assert_eq!(hint("web-ue", ["web-eu"]), "; did you mean \"web-eu\"? (there are: web-eu)");
        assert_eq!(hint("x", []), " (there are: none)");
    }
}
