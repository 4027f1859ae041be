//! The pressure of the deadline: how long the rest of a rollout takes, and how long there is.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::state::State;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// So long the batches that are left take by the plan in force, from now on without a wait.
    pub needs: SignedDuration,
    /// The deadline is in so long; below zero when it has passed.
    pub left: SignedDuration,
}

impl Pressure {
    /// What may be waited for without missing the deadline; below zero where it is missed already.
    pub fn slack(&self) -> SignedDuration {
        self.left.saturating_sub(self.needs)
    }
}

impl State {
    /// The pressure of the deadline; `None` where nothing is left to go out, or there is no plan.
    pub fn pressure(&self, now: Timestamp) -> Option<Pressure> {
        let plan = self.plan.as_ref()?;
        let open = self.open.as_ref().map(|open| &open.batch);
        let next = self.next_batch();
        if self.pending().is_empty() || open.or(next).is_none() {
            return None;
        }
        let here = open.map_or(SignedDuration::ZERO, |batch| batch.back_at.duration_since(now));
        let here = here.max(SignedDuration::ZERO);
        let after =
            next.map_or(SignedDuration::ZERO, |batch| plan.finish_at.duration_since(batch.out_at));
        let needs = here.saturating_add(after);
        Some(Pressure { needs, left: self.deadline().duration_since(now) })
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs = Length(self.needs);
        if self.left.is_negative() {
            let ago = Length(self.left.abs());
            return write!(f, "the rest takes {needs}, and the deadline has passed {ago} ago");
        }
        write!(f, "the rest takes {needs}, and the deadline is in {}", Length(self.left))?;
        if self.slack().is_negative() {
            write!(f, ", which is too late as it is planned")?;
        }
        Ok(())
    }
}

/// A length in minutes, and hours where it has several.
struct Length(SignedDuration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 3600, seconds / 60 % 60) {
            (0, 0) => write!(f, "{seconds} s"),
            (0, minutes) => write!(f, "{minutes} min"),
            (hours, 0) => write!(f, "{hours} h"),
            (hours, minutes) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(needs: i64, left: i64) -> String {
        let minutes = SignedDuration::from_mins;
        Pressure { needs: minutes(needs), left: minutes(left) }.to_string()
    }

    #[test]
    fn it_says_whether_the_time_suffices() {
        assert_eq!(told(24, 150), "the rest takes 24 min, and the deadline is in 2 h 30 min");
        let late = "the rest takes 1 h, and the deadline is in 59 min, which is too late as it is \
                    planned";
        assert_eq!(told(60, 59), late);
        assert_eq!(told(24, -3), "the rest takes 24 min, and the deadline has passed 3 min ago");
    }
}
