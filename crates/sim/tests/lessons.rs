//! What finished rollouts teach: the plan of the next one ends when it says.

mod support;

use std::time::Duration;

use domain::event::{Event, Outcome};
use domain::hour::Hour;
use domain::journal::Record;
use domain::learned::{Figure, Figures, Hourly, Quantity};
use domain::name::OfferName;
use domain::ports::Clock;
use domain::spread::Spread;
use rollout::compared::compared;
use rollout::driver::Ended;
use rollout::lessons::{self, Length, Observed};
use sim::{Fuse, Settings, run_until_stuck};
use support::Stage;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn lead() -> Quantity {
    Quantity::Lead(OfferName::new("spare").unwrap())
}

/// What the configuration says, which is far too short.
fn configured() -> Figures {
    let exactly = |count| Figure::duration(Spread::exactly(seconds(count)));
    [
        (Quantity::Drain, exactly(20)),
        (Quantity::Update, exactly(200)),
        (Quantity::Verify, exactly(10)),
        (lead(), exactly(60)),
    ]
    .into()
}

/// How things are.
fn world(seed: u64) -> Settings {
    let spread = |p50, p95| Spread::between(seconds(p50), seconds(p95)).unwrap();
    Settings {
        drain: spread(45, 80),
        update: spread(420, 520),
        start: seconds(25),
        boot: spread(150, 200),
        seed,
        ..Settings::default()
    }
}

/// One server after the other, at the distance that the figures give.
fn stage(seed: u64, figures: &Figures) -> Stage {
    let p95 = |what: &Quantity| figures[what].spread().unwrap().p95();
    let parts = [Quantity::Drain, Quantity::Update, Quantity::Verify];
    let work: Duration = parts.iter().map(p95).sum();
    Stage::under(world(seed), |timetable, policy| {
        let warmup = Duration::from_secs_f64(policy.warmup_seconds);
        (timetable.batch, timetable.every) = (1, work + warmup);
        timetable.lead = p95(&lead()) + warmup;
        policy.canary_watch_seconds = 0.0;
        policy.retries = 2;
    })
}

/// The journal of a rollout, and how far its end was from where its first plan saw it, as a share of
/// its length.
fn perform(seed: u64, figures: &Figures) -> (Vec<Record>, f64) {
    let mut stage = stage(seed, figures);
    assert_eq!(stage.drive(&Fuse::at(400_000)).unwrap(), Ended::Finished(Outcome::Done));
    let records = stage.records();
    let plan = records.iter().find_map(|record| match record.event().unwrap() {
        Event::PlanAdopted { plan } => Some(plan),
        _ => None,
    });
    let plan = plan.unwrap();
    let back = records.iter().filter(|record| record.kind == "BatchClosed").map(|r| r.at).max();
    let length = |end: jiff::Timestamp| end.duration_since(plan.created_at).as_secs_f64();
    let (said, came) = (length(plan.finish_at), length(back.unwrap()));
    (records, (came - said).abs() / came)
}

fn observed(records: &[Record]) -> Observed {
    lessons::observed(records).unwrap().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn after_ten_rollouts_a_plan_ends_when_it_says() {
    let (mut history, mut before) = (Vec::new(), Vec::new());
    for seed in 0..10 {
        let (records, error) = perform(seed, &configured());
        before.push(error);
        history.insert(0, observed(&records));
    }
    assert!(median(before.clone()) > 0.2, "the configuration is not far off: {before:?}");
    let found = lessons::findings(&configured(), &history);
    let figures: Figures = found.iter().map(|(what, of)| (what.clone(), of.figure)).collect();
    assert_eq!(figures.len(), 4, "{found:#?}");
    assert!(found.values().all(|finding| finding.evidence.rollouts == 10));
    let errors: Vec<f64> = (100..110).map(|seed| perform(seed, &figures).1).collect();
    assert!(median(errors.clone()) < 0.1, "{errors:?}");
}

#[test]
fn a_finished_rollout_is_held_against_its_first_plan() {
    let (records, error) = perform(3, &configured());
    let compared = compared(&records).unwrap().unwrap();
    let (planned, came) = (compared.planned, compared.came);
    assert_eq!((planned.batches, came.batches, planned.surge, came.surge), (6, 6, 2, 2));
    let length =
        |end: Option<jiff::Timestamp>| end.unwrap().duration_since(records[1].at).as_secs_f64();
    let late = length(came.back) - length(planned.back);
    assert!((late / length(came.back) - error).abs() < 1e-9 && late > 0.0, "{compared:#?}");
    assert!(came.done > came.back && came.out >= planned.out, "{compared:#?}");
    assert!(came.risk > 0.0 && came.cost.unwrap() > 0.0, "{compared:#?}");
    assert_eq!(compared.load.len(), 6);
    assert!(compared.load.iter().all(|load| load.came < load.upper), "{compared:#?}");
}

#[test]
fn what_was_learned_is_what_the_world_does() {
    let history: Vec<Observed> =
        (0..10).map(|seed| observed(&perform(seed, &configured()).0)).collect();
    let found = lessons::findings(&configured(), &history);
    let (update, truth) = (found[&Quantity::Update].figure.spread().unwrap(), world(0).update);
    let near = |learned: Duration, truth: Duration| {
        (learned.as_secs_f64() / truth.as_secs_f64() - 1.0).abs() < 0.1
    };
    assert!(near(update.p50(), truth.p50()) && near(update.p95(), truth.p95()), "{update:?}");
}

#[test]
fn what_began_in_an_hour_stands_under_it() {
    let (records, _) = perform(3, &configured());
    let seen = observed(&records);
    for what in [Quantity::Drain, Quantity::Update, lead()] {
        let hourly = what.hourly().unwrap();
        let in_hour = |hour| {
            let at = Quantity::At(hourly.clone(), hour);
            seen.lengths.get(&at).map_or(0, Vec::len)
        };
        assert_eq!(Hour::all().map(in_hour).sum::<usize>(), seen.lengths[&what].len(), "{what}");
    }
    let begun = |record: &&Record| record.kind == "UpdateStarted";
    for hour in Hour::all() {
        let began = records.iter().filter(begun).filter(|record| Hour::of(record.at) == hour);
        let at = Quantity::At(Hourly::Update, hour);
        assert_eq!(seen.lengths.get(&at).map_or(0, Vec::len), began.count(), "{hour}");
    }
}

#[test]
fn what_nobody_saw_end_is_not_taken_for_short_or_long() {
    // The driver dies in the middle of an update, and comes back an hour later.
    let updates = |crossings: &u64| {
        let mut stage = stage(7, &configured());
        let died = stage.drive(&Fuse::at(*crossings)).is_none();
        let updates = stage.kinds().last().is_some_and(|kind| kind == "UpdateStarted");
        (died && updates).then_some(stage)
    };
    let mut stage = (50..3000).find_map(|crossings| updates(&crossings)).expect("an update");
    run_until_stuck(stage.clock.sleep_until(stage.clock.now() + seconds(3600)));
    assert_eq!(stage.drive(&Fuse::at(400_000)).unwrap(), Ended::Finished(Outcome::Done));
    let lengths = &observed(&stage.records()).lengths[&Quantity::Update];
    let ended = |length: &&Length| matches!(length, Length::Ended(_));
    // The one that nobody saw end was given up and tried again.
    assert_eq!(lengths.iter().filter(ended).count(), 6, "{lengths:?}");
    assert_eq!(lengths.len(), 7, "{lengths:?}");
    let longest = lengths.iter().map(|length| match length {
        Length::Ended(seconds) | Length::AtLeast(seconds) | Length::AtMost(seconds) => *seconds,
    });
    assert!(longest.fold(0.0, f64::max) < 1500.0, "{lengths:?}");
}
