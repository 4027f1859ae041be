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
}

/// The recent verdicts of one gate on one server.
#[derive(Debug, Clone, Default)]
struct Tally {
    passes: u32,
    failures: u32,
    ever_passed: bool,
    last: Option<Timestamp>,
    said: String,
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
        match verdict {
            Verdict::Pass => {
                tally.passes += 1;
                tally.failures = 0;
                tally.ever_passed = true;
            }
            Verdict::Fail(said) => {
                tally.passes = 0;
                tally.failures += 1;
                tally.said.clone_from(said);
            }
            Verdict::Inconclusive(said) => {
                tally.passes = 0;
                tally.said.clone_from(said);
            }
        }
    }

    /// What the gates say together. A server that never passed is starting up: it is not red, its
    /// time runs out instead. Without gates there is nothing to wait for.
    pub fn state(&self, server: &ServerName, gates: &[Gate]) -> GateState {
        let mut all = true;
        for (index, gate) in gates.iter().enumerate() {
            let tally = self.of.get(&(server.clone(), index)).cloned().unwrap_or_default();
            if tally.ever_passed && tally.failures >= gate.failures {
                return GateState::Red(format!("gate {}: {}", gate.name, tally.said));
            }
            all &= tally.passes >= gate.successes;
        }
        if all { GateState::Passed } else { GateState::Open }
    }

    /// What a gate said last that was not a pass, for the message when time runs out.
    pub fn complaint(&self, server: &ServerName) -> Option<&str> {
        let of_server = self.of.iter().filter(|((name, _), _)| name == server);
        of_server.map(|(_, t)| t.said.as_str()).find(|said| !said.is_empty())
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
            Ok(Verdict::Pass)
        }
    }

    fn gate() -> Gate {
        Gate {
            name: "http".into(),
            health: Arc::new(Nobody),
            every: Duration::from_secs(5),
            successes: 3,
            failures: 2,
        }
    }

    fn after(verdicts: &[Verdict]) -> GateState {
        let (mut tallies, web) = (Tallies::default(), ServerName::new("web-1").unwrap());
        for (i, verdict) in verdicts.iter().enumerate() {
            tallies.count(&web, 0, Timestamp::from_second(i as i64).unwrap(), verdict);
        }
        tallies.state(&web, &[gate()])
    }

    #[test]
    fn three_passes_in_a_row_open_the_gate_and_two_failures_after_a_pass_make_it_red() {
        use Verdict::Pass;
        let fail = || Verdict::Fail("503".into());
        let vague = || Verdict::Inconclusive("empty".into());
        assert_eq!(after(&[Pass, Pass]), GateState::Open);
        assert_eq!(after(&[Pass, Pass, Pass]), GateState::Passed);
        assert_eq!(after(&[Pass, Pass, vague(), Pass]), GateState::Open);
        assert_eq!(after(&[fail(), fail(), fail()]), GateState::Open);
        assert_eq!(after(&[fail(), Pass, fail()]), GateState::Open);
        assert_eq!(after(&[Pass, fail(), fail()]), GateState::Red("gate http: 503".into()));
    }

    #[test]
    fn gates_are_asked_at_their_pace() {
        let (mut tallies, web) = (Tallies::default(), ServerName::new("web-1").unwrap());
        let at = |s| Timestamp::from_second(s).unwrap();
        assert!(tallies.is_due(&web, 0, &gate(), at(0)));
        tallies.count(&web, 0, at(0), &Verdict::Pass);
        assert!(!tallies.is_due(&web, 0, &gate(), at(4)));
        assert!(tallies.is_due(&web, 0, &gate(), at(5)));
    }
}
