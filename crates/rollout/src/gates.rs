//! Debouncing of health gates: one verdict proves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::name::ServerName;
use domain::ports::{Health, Verdict};
use jiff::Timestamp;

use crate::observe::GateState;

/// A gate as it is configured.
#[derive(Clone)]
pub struct Gate {
    /// Its name in messages.
    pub name: String,
    /// Who is asked.
    pub health: Arc<dyn Health>,
    /// How often.
    pub every: Duration,
    /// So many passes in a row open it.
    pub successes: u32,
    /// So many failures in a row, once it had passed, make it red.
    pub failures: u32,
    /// It has to open within this time from when it is first asked.
    pub timeout: Duration,
}

/// The recent verdicts of one gate on one server.
#[derive(Debug, Clone, Default)]
struct Tally {
    passes: u32,
    failures: u32,
    ever_passed: bool,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    newest: Option<Verdict>,
    /// What it said last that was no pass.
    complaint: String,
}

impl Tally {
    fn state(&self, gate: &Gate, now: Timestamp) -> GateState {
        if self.passes >= gate.successes {
            return GateState::Passed;
        }
        let (name, complaint) = (&gate.name, &self.complaint);
        let late = self.first.is_some_and(|first| now >= first + gate.timeout);
        let limit = gate.timeout.as_secs_f64();
        match &self.newest {
            Some(Verdict::Fail(_)) if self.failures >= gate.failures => match self.ever_passed {
                true => GateState::Red(format!("gate {name}: {complaint}")),
                false if late => GateState::Red(format!(
                    "gate {name} did not pass within {limit} s: {complaint}"
                )),
                false => GateState::Open,
            },
            Some(Verdict::Inconclusive(why)) if late => {
                GateState::Vague(format!("gate {name} cannot tell after {limit} s: {why}"))
            }
            // One that could not tell for all its time, and now can, is given its row.
            _ => GateState::Open,
        }
    }
}

/// The tallies of all servers that are being asked. Lives in the driver's memory: after a restart
/// a server has to prove itself again.
#[derive(Debug, Default)]
pub struct Tallies {
    of: BTreeMap<(ServerName, usize), Tally>,
}

impl Tallies {
    /// Whether gate number `index` should be asked about a server now.
    pub fn is_due(&self, server: &ServerName, index: usize, gate: &Gate, now: Timestamp) -> bool {
        let last = self.of.get(&(server.clone(), index)).and_then(|t| t.last);
        last.is_none_or(|last| now >= last + gate.every)
    }

    /// When each gate that has been asked is to be asked again.
    pub fn due<'a>(&'a self, gates: &'a [Gate]) -> impl Iterator<Item = Timestamp> + 'a {
        let asked = self.of.iter().filter_map(|((_, gate), tally)| Some((*gate, tally.last?)));
        asked.filter_map(|(gate, last)| Some(last + gates.get(gate)?.every))
    }

    /// Counts a verdict. An inconclusive one ends a row of passes and counts as no failure.
    pub fn count(&mut self, server: &ServerName, index: usize, now: Timestamp, verdict: &Verdict) {
        let tally = self.of.entry((server.clone(), index)).or_default();
        tally.last = Some(now);
        tally.first.get_or_insert(now);
        tally.newest = Some(verdict.clone());
        match verdict {
            Verdict::Pass(_) => {
                tally.passes += 1;
                tally.failures = 0;
                tally.ever_passed = true;
            }
            Verdict::Fail(said) => {
                tally.passes = 0;
                tally.failures += 1;
                tally.complaint.clone_from(said);
            }
            Verdict::Inconclusive(said) => {
                tally.passes = 0;
                tally.complaint.clone_from(said);
            }
        }
    }

    /// What the gates say together: what is red weighs more than what cannot be told. A server that
    /// never passed is starting up: it is not red before its time runs out. Without gates there is
    /// nothing to wait for.
    pub fn state(&self, server: &ServerName, gates: &[Gate], now: Timestamp) -> GateState {
        let mut all = GateState::Passed;
        for (index, gate) in gates.iter().enumerate() {
            let tally = self.of.get(&(server.clone(), index));
            match (tally.map_or(GateState::Open, |tally| tally.state(gate, now)), &all) {
                (red @ GateState::Red(_), _) => return red,
                (GateState::Passed, _) | (_, GateState::Vague(_)) => {}
                (other, _) => all = other,
            }
        }
        all
    }

    /// The newest verdict of gate number `index` on a server.
    pub fn newest(&self, server: &ServerName, index: usize) -> Option<&Verdict> {
        self.of.get(&(server.clone(), index))?.newest.as_ref()
    }

    /// Forgets every server that is not asked any more.
    pub fn keep(&mut self, asked: impl Fn(&ServerName) -> bool) {
        self.of.retain(|(server, _), _| asked(server));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;
    #[async_trait::async_trait]
    impl Health for Nobody {
        async fn check(
            &self,
            _: &domain::ports::Target,
        ) -> Result<Verdict, domain::ports::PortError> {
            Ok(Verdict::Pass("200".into()))
        }
    }

    fn gate() -> Gate {
        Gate {
            name: "http".into(),
            health: Arc::new(Nobody),
            every: Duration::from_secs(5),
            successes: 3,
            failures: 2,
            timeout: Duration::from_secs(60),
        }
    }

    fn after(verdicts: &[Verdict]) -> GateState {
        at_second(verdicts.len() as i64, verdicts)
    }

    /// What a gate says at a moment, after a verdict a second.
    fn at_second(now: i64, verdicts: &[Verdict]) -> GateState {
        let (mut tallies, web) = (Tallies::default(), ServerName::new("web-1").unwrap());
        for (i, verdict) in verdicts.iter().enumerate() {
            tallies.count(&web, 0, Timestamp::from_second(i as i64).unwrap(), verdict);
        }
        tallies.state(&web, &[gate()], Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn three_passes_in_a_row_open_the_gate_and_two_failures_after_a_pass_make_it_red() {
        let pass = || Verdict::Pass("200".into());
        let fail = || Verdict::Fail("503".into());
        let vague = || Verdict::Inconclusive("empty".into());
        assert_eq!(after(&[pass(), pass()]), GateState::Open);
        assert_eq!(after(&[pass(), pass(), pass()]), GateState::Passed);
        assert_eq!(after(&[pass(), pass(), vague(), pass()]), GateState::Open);
        assert_eq!(after(&[fail(), fail(), fail()]), GateState::Open);
        assert_eq!(after(&[fail(), pass(), fail()]), GateState::Open);
        assert_eq!(after(&[pass(), fail(), fail()]), GateState::Red("gate http: 503".into()));
    }

    #[test]
    fn a_gate_whose_time_is_over_is_red_or_cannot_tell() {
        let (pass, fail) = (|| Verdict::Pass("200".into()), || Verdict::Fail("503".into()));
        let vague = || Verdict::Inconclusive("empty".into());
        assert_eq!(at_second(59, &[fail(), vague()]), GateState::Open);
        let late = "gate http cannot tell after 60 s: empty";
        assert_eq!(at_second(60, &[fail(), vague()]), GateState::Vague(late.into()));
        let red = "gate http did not pass within 60 s: 503";
        assert_eq!(at_second(60, &[vague(), fail()]), GateState::Open);
        assert_eq!(at_second(60, &[vague(), fail(), fail()]), GateState::Red(red.into()));
        assert_eq!(at_second(60, &[vague(), pass(), pass()]), GateState::Open);
        assert_eq!(at_second(60, &[pass(), pass(), pass()]), GateState::Passed);
        assert_eq!(at_second(60, &[]), GateState::Open);
    }

    #[test]
    fn red_weighs_more_than_what_cannot_be_told() {
        let (mut tallies, web) = (Tallies::default(), ServerName::new("web-1").unwrap());
        let at = |s| Timestamp::from_second(s).unwrap();
        let gates = [gate(), gate(), gate()];
        tallies.count(&web, 0, at(0), &Verdict::Inconclusive("empty".into()));
        assert_eq!(tallies.state(&web, &gates, at(5)), GateState::Open);
        assert!(matches!(tallies.state(&web, &gates, at(60)), GateState::Vague(_)));
        tallies.count(&web, 2, at(0), &Verdict::Fail("503".into()));
        tallies.count(&web, 2, at(5), &Verdict::Fail("503".into()));
        assert!(matches!(tallies.state(&web, &gates, at(60)), GateState::Red(_)));
    }

    #[test]
    fn gates_are_asked_at_their_pace() {
        let (mut tallies, web) = (Tallies::default(), ServerName::new("web-1").unwrap());
        let at = |s| Timestamp::from_second(s).unwrap();
        assert!(tallies.is_due(&web, 0, &gate(), at(0)));
        tallies.count(&web, 0, at(0), &Verdict::Pass("200".into()));
        assert!(!tallies.is_due(&web, 0, &gate(), at(4)));
        assert!(tallies.is_due(&web, 0, &gate(), at(5)));
    }
}
