//! What a server was taken to carry, in a line.

use domain::plan::{Carries, ShareOfBefore, UnderTarget};

/// `which` is `fleet/dimension`.
pub fn capacity_line(which: &str, carries: &Carries) -> String {
    let Carries { p05, p50, carried, observations, missing, updated } = carries;
    let learned = format!(
        "a server carries {p50:.1} of {which} (at least {p05:.1} in 95 %), learned from {observations} \
         observations; it has carried {carried:.1}"
    );
    let learned = match missing {
        Some(_) => format!("{learned}, and not enough was seen to know more"),
        None => learned,
    };
    match updated {
        Some(updated) => format!("{learned}; {}", under_target(updated)),
        None => learned,
    }
}

fn under_target(updated: &UnderTarget) -> String {
    let seen = updated.observations;
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    match (updated.share, &updated.missing) {
        (Some(ShareOfBefore { p05, p50 }), _) if updated.slower => format!(
            "under the new version {} of that (at least {} in 95 %), learned from {seen} observations",
            percent(p50),
            percent(p05),
        ),
        (Some(ShareOfBefore { p05, .. }), _) => format!(
            "the new version is not slower by more than chance (at least {} of that in 95 %), by {seen} \
             observations",
            percent(p05),
        ),
        (None, missing) => {
            let why = missing.as_deref().unwrap_or("it was not seen");
            format!("what it carries under the new version is not known: {why}")
        }
    }
}
