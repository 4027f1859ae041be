//! Which figures change by what was found.

use std::collections::BTreeMap;

use domain::learned::{Evidence, Figure, Figures, Lessons, Quantity};

use super::{Finding, moves};

/// A figure that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Of what.
    pub quantity: Quantity,
    /// Until now.
    pub before: Figure,
    /// From now on.
    pub after: Figure,
}

/// A change, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// The change.
    pub change: Change,
    /// What it was learned from; of an hour that is taken back, what the day was.
    pub evidence: Evidence,
    /// Why.
    pub reason: Reason,
}

/// Why a figure changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was found to be another.
    Seen,
    /// The hour does not differ from the whole day any more.
    LikeTheDay,
}

/// What changes of what is known of a fleet, the whole day before its hours. An hour that had a figure and
/// was not found to differ is adjusted to what the whole day has from now on.
pub fn moved(
    configured: &Figures,
    known: &Lessons,
    found: &BTreeMap<Quantity, Finding>,
) -> Vec<Moved> {
    let mut in_force = configured.clone();
    in_force.extend(known.learned.iter().map(|(what, lesson)| (what.clone(), lesson.figure)));
    let mut all = Vec::new();
    let mut adjust = |quantity: &Quantity, before, after, evidence, reason| {
        let quantity = quantity.clone();
        all.push(Moved { change: Change { quantity, before, after }, evidence, reason });
    };
    // Hours stand behind the days that they belong to.
    for (quantity, Finding { figure, evidence }) in found {
        let day = quantity.of_day().and_then(|day| in_force.get(&day));
        let Some(before) = in_force.get(quantity).or(day).copied() else { continue };
        if moves(quantity, before, *figure) {
            adjust(quantity, before, *figure, *evidence, Reason::Seen);
            in_force.insert(quantity.clone(), *figure);
        }
    }
    for (quantity, lesson) in known.learned.iter().filter(|(what, _)| !found.contains_key(*what)) {
        // Where nothing was seen of the day either, nobody knows better.
        let Some(day) = quantity.of_day().filter(|day| found.contains_key(day)) else { continue };
        if let Some(after) = in_force.get(&day).filter(|after| **after != lesson.figure) {
            adjust(quantity, lesson.figure, *after, found[&day].evidence, Reason::LikeTheDay);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use domain::event::Event;
    use domain::journal::{Actor, Entry, Head, Record};
    use domain::learned::Learned;
    use domain::name::FleetName;
    use jiff::Timestamp;

    use super::*;

    const EVIDENCE: Evidence = Evidence { rollouts: 3, seen: 40.0, of_which: 0.0 };

    fn figures(of: &[(&str, &str)]) -> Figures {
        of.iter().map(|(what, figure)| (what.parse().unwrap(), figure.parse().unwrap())).collect()
    }

    fn found(of: &[(&str, &str)]) -> BTreeMap<Quantity, Finding> {
        let finding = |(what, figure)| (what, Finding { figure, evidence: EVIDENCE });
        figures(of).into_iter().map(finding).collect()
    }

    fn fleet() -> FleetName {
        FleetName::new("web").unwrap()
    }

    /// The chain, and what it comes to.
    #[derive(Default)]
    struct Chain {
        learned: Learned,
        records: Vec<Record>,
    }

    impl Chain {
        /// Writes down what moves, and says it in words.
        fn learn(&mut self, found: &BTreeMap<Quantity, Finding>) -> Vec<String> {
            let configured = figures(&[("update", "5m")]);
            let all = moved(&configured, &self.learned.of(&fleet()), found);
            for Moved { change: Change { quantity, before, after }, evidence, .. } in all.clone() {
                let event = Event::Adjusted { fleet: fleet(), quantity, before, after, evidence };
                let (actor, reason) = (Actor("learner".into()), "it was seen".into());
                let at = Timestamp::UNIX_EPOCH;
                let entry = Entry { at, actor, cause: None, reason, inputs: None, event };
                let head = self.records.last().map_or_else(Head::empty, Record::head);
                let record = Record::chain(&Learned::chain(), &head, entry);
                self.learned.take(&record).unwrap();
                self.records.push(record);
            }
            let words = |m: Moved| {
                let Change { quantity, before, after } = m.change;
                format!("{quantity} {before} {after} {:?}", m.reason)
            };
            all.into_iter().map(words).collect()
        }

        fn in_force(&self) -> Figures {
            self.learned.of(&fleet()).figures()
        }
    }

    #[test]
    fn an_hour_comes_and_goes() {
        let mut chain = Chain::default();
        // The day is as configured; the hour moves from what the day has.
        assert_eq!(
            chain.learn(&found(&[("update", "5m"), ("update@03", "8m")])),
            ["update@03 5m 8m Seen"]
        );
        assert_eq!(chain.learn(&found(&[("update", "5m"), ("update@03", "8m10s")])), [""; 0]);
        // It differs no more: it gets what the day has, and follows it.
        assert_eq!(chain.learn(&found(&[("update", "5m")])), ["update@03 8m 5m LikeTheDay"]);
        assert_eq!(chain.learn(&found(&[("update", "5m")])), [""; 0]);
        assert_eq!(
            chain.learn(&found(&[("update", "6m")])),
            ["update 5m 6m Seen", "update@03 5m 6m LikeTheDay"]
        );
        // From what was learned of the day it has no figure of its own.
        assert_eq!(chain.in_force(), figures(&[("update", "6m")]));
        assert_eq!(chain.learn(&found(&[("update", "7m")])), ["update 6m 7m Seen"]);
        assert_eq!(chain.in_force(), figures(&[("update", "7m")]));
        // And gets one again.
        assert_eq!(
            chain.learn(&found(&[("update", "7m"), ("update@03", "9m")])),
            ["update@03 7m 9m Seen"]
        );
    }

    #[test]
    fn an_hour_stays_where_nothing_was_seen_of_the_day() {
        let mut chain = Chain::default();
        chain.learn(&found(&[("update", "5m"), ("update@03", "8m")]));
        assert_eq!(chain.learn(&found(&[])), [""; 0]);
        assert_eq!(chain.in_force(), figures(&[("update@03", "8m")]));
    }
}
