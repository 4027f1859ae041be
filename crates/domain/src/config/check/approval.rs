//! Who has to agree, checked.

use crate::config::place::{Findings, Place};
use crate::config::rollout::RolloutSpec;

/// At most so many people are named.
const NAMES_AT_MOST: usize = 100;

/// Who has to agree, where somebody has to.
pub(super) fn approval(spec: &RolloutSpec, findings: &mut Findings) -> Option<Vec<String>> {
    let (given, place) = (&spec.approval, Place::spec().key("approval"));
    let by = place.key("by");
    if !given.required && !given.by.is_empty() {
        let message = "says who may agree, and nobody has to; write `required: true` beside it";
        findings.add(by.clone(), message);
    }
    if given.by.len() > NAMES_AT_MOST {
        findings.add(by.clone(), format!("at most {NAMES_AT_MOST} people are named"));
    }
    for (index, name) in given.by.iter().enumerate() {
        let good =
            !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
        if !good {
            let message = format!("expected a login name, found {name:?}");
            findings.add(by.index(index), message);
        } else if given.by[..index].contains(name) {
            findings.add(by.index(index), format!("names {name:?} twice"));
        }
    }
    given.required.then(|| given.by.clone())
}
