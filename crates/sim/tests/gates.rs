//! Gates that fail, pass and cannot tell: what is done then, and what the journal says of it.

mod support;

use domain::event::{Event, GateVerdict, HoldReason, Outcome};
use domain::journal::Record;
use rollout::driver::Ended;
use sim::{Fuse, Settings};
use support::{Hands, Stage, all, crossing_after, new};

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

/// What the journal says of the gates of a server, in its order.
fn judged(stage: &Hands, name: &str) -> Vec<(GateVerdict, String)> {
    let of = |record: Record| match record.event().unwrap() {
        Event::GateJudged { server, gate, verdict, saw } if server.as_str() == name => {
            assert_eq!(gate, "http");
            Some((verdict, saw))
        }
        _ => None,
    };
    all(stage, "GateJudged").into_iter().filter_map(of).collect()
}

fn failed_then_passed() -> Vec<(GateVerdict, String)> {
    let fail = (GateVerdict::Fail, "connection refused".to_owned());
    vec![fail, (GateVerdict::Pass, "it answers".to_owned())]
}

#[test]
fn a_verdict_is_journaled_when_it_changes_with_what_was_seen() {
    let mut stage = Stage::new(Settings::default());
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    for server in 1..=6 {
        assert_eq!(judged(&stage, &format!("web-{server}")), failed_then_passed());
    }
    // Surge is asked as well, and is well when it runs.
    let surge = stage.world.facts().purchases.into_keys();
    for name in surge {
        let well = vec![(GateVerdict::Pass, "it answers".to_owned())];
        assert_eq!(judged(&stage, name.as_str()), well, "{name}");
    }
}

#[test]
fn a_driver_that_takes_over_does_not_say_it_again() {
    let crossing = crossing_after("Verified");
    for crossing in crossing - 40..crossing + 10 {
        let mut stage = Stage::new(Settings::default());
        assert_eq!(stage.drive(&Fuse::at(crossing)), None);
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
        for server in 1..=6 {
            let said = judged(&stage, &format!("web-{server}"));
            // Whoever takes over late finds the server well at once.
            let whole = failed_then_passed();
            assert!(said == whole || said == whole[1..], "crossing {crossing}: {said:?}");
        }
    }
}

#[test]
fn a_gate_that_cannot_tell_holds_with_its_reason_and_goes_on_when_it_can() {
    let mut stage = Stage::new(Settings::default());
    stage.later(300, |h| h.world.blind_checks(Some("the query gives nothing")));
    stage.later(2700, |h| {
        let held = all(h, "Held");
        let [held] = held.as_slice() else { panic!("{held:#?}") };
        let Event::Held { hold, detail } = held.event().unwrap() else { panic!("{held:#?}") };
        assert_eq!(hold, HoldReason::GateInconclusive);
        let why = "gate http cannot tell after 300 s: the query gives nothing";
        assert!(detail.starts_with("web-") && detail.ends_with(why), "{detail}");
        assert_eq!(h.world.out().len(), 2, "nobody knows whether the two are well");
        assert!(all(h, "Verified").is_empty() && all(h, "ServerFailed").is_empty());
        h.world.blind_checks(None);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(stage.world.not_back(&new()).is_empty());
    assert_eq!(all(&stage, "HoldEnded").len(), 1);
    assert!(all(&stage, "ServerFailed").is_empty());
    let said: Vec<_> = judged(&stage, "web-1").into_iter().map(|(verdict, _)| verdict).collect();
    assert_eq!(said, [GateVerdict::Inconclusive, GateVerdict::Pass]);
}

#[test]
fn an_abort_takes_back_nobody_whose_gate_cannot_tell_before_it_can() {
    let mut stage = Stage::new(Settings::default());
    stage.later(300, |h| h.world.blind_checks(Some("NaN")));
    stage.later(2700, |h| h.append(vec![Event::AbortRequested {}]));
    stage.later(4000, |h| {
        assert_eq!(h.world.out().len(), 2);
        assert_eq!(all(h, "Held").len(), 2, "the abort ended the first, and it is so still");
        h.world.blind_checks(None);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted));
    assert!(stage.world.out().is_empty());
}
