//! What a server was taken to carry, in a line.

use domain::plan::Carries;

/// `which` is `fleet/dimension`.
pub fn capacity_line(which: &str, carries: &Carries) -> String {
    let Carries { p05, p50, carried, observations, missing } = carries;
    let learned = format!(
        "a server carries {p50:.1} of {which} (at least {p05:.1} in 95 %), learned from {observations} \
         observations; it has carried {carried:.1}"
    );
    match missing {
        Some(_) => format!("{learned}, and not enough was seen to know more"),
        None => learned,
    }
}
