//! What every source of signals has to show.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::cut_short;
use crate::ports::{SignalSource, Tells};
use crate::signal::{Reach, Signal};

/// A source of signals, for one case.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same source, which tells of something in the week before `noon` and,
    /// where it knows what is to come, in the week after it.
    fn source(&self) -> Arc<dyn SignalSource>;

    /// The middle of what it tells of.
    fn noon(&self) -> Timestamp;
}

const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Runs every case.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(world: W) {
    let noon = world.noon();
    let (from, until) = (noon - WEEK, noon + WEEK);
    let whole = told(&world, from, noon, until).await;
    assert!(!whole.is_empty(), "it tells of nothing");
    names_are_there_once(&whole);
    what_it_tells_of_is_what_it_says(&world, &whole);
    times_lie_within(&whole, (from, noon, until));
    // What is not known yet is not told, whatever the source holds.
    for earlier in [noon - WEEK / 2, from] {
        times_lie_within(&told(&world, from, earlier, until).await, (from, earlier, until));
    }
    // What is known ahead is known whenever it is asked for.
    let early = told(&world, from, from, until).await;
    for (then, now) in early.iter().zip(&whole) {
        let is_ahead = !matches!(now, Signal::Series { reach: Reach::PastOnly, .. });
        assert!(!is_ahead || then == now, "{then:?} is not {now:?}");
    }
    // A time in which nothing is, and one that is empty, are no errors.
    let years = Duration::from_secs(20 * 365 * 86_400);
    for (from, until) in [(noon - years, noon - years + WEEK / 7), (noon, noon), (until, from)] {
        let none = told(&world, from, noon, until).await;
        assert_eq!(names(&none), names(&whole), "the same signals, with or without times");
    }
    for polls in 1..4 {
        let source = world.source();
        cut_short(source.signals(from, noon, until), polls).await;
        let again = source.signals(from, noon, until).await;
        assert_eq!(again.unwrap_or_else(|error| panic!("{}", error.chain())), whole);
    }
}

async fn told<W: World>(
    world: &W,
    from: Timestamp,
    now: Timestamp,
    until: Timestamp,
) -> Vec<Signal> {
    let told = world.source().signals(from, now, until).await;
    told.unwrap_or_else(|error| panic!("[{from}, {until}) at {now}: {}", error.chain()))
}

fn names(signals: &[Signal]) -> Vec<&str> {
    signals.iter().map(Signal::name).collect()
}

fn names_are_there_once(signals: &[Signal]) {
    let mut names = names(signals);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "twice: {names:?}");
}

fn what_it_tells_of_is_what_it_says<W: World>(world: &W, signals: &[Signal]) {
    let tells = world.source().tells();
    for signal in signals {
        let of = match signal {
            Signal::Events { .. } => Tells::Events,
            Signal::Series { .. } => Tells::Series,
        };
        assert_eq!(of, tells, "{}", signal.name());
    }
}

fn times_lie_within(signals: &[Signal], (from, now, until): (Timestamp, Timestamp, Timestamp)) {
    for signal in signals {
        match signal {
            Signal::Events { name, times } => {
                let within = times.iter().all(|time| time.to() > from && time.from() < until);
                assert!(within, "{name}: {times:?} is not within [{from}, {until})");
            }
            Signal::Series { name, reach, samples } => {
                let end = if *reach == Reach::PastOnly { now.min(until) } else { until };
                let within = samples.iter().all(|sample| from <= sample.at && sample.at < end);
                assert!(within, "{name}: a sample is not within [{from}, {end})");
                assert!(samples.iter().all(|s| s.value.is_finite()), "{name}: a gap is no sample");
                let rises = samples.windows(2).all(|pair| pair[0].at < pair[1].at);
                assert!(rises, "{name}: times do not rise");
            }
        }
    }
}
