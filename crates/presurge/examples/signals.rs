//! Prints what public events bring to the automatic choice on the developers' data.
//!
//! `cargo run --release -p presurge --example signals [-- --step 900] [--horizon 24] [--origins 12]`;
//! the data are in the folder that `PRESURGE_DATA` names, or beside the working copy.

use std::path::{Path, PathBuf};

use adapters::load::file::read_series;
use adapters::signal::ical::Calendar;
use domain::series::{Series, Step};
use domain::signal::Signal;
use forecast::Options;
use forecast::backtest::Backtest;
use forecast::hygiene::{Hygiene, clean};
use forecast::signals::{Category, Signals};
use jiff::Timestamp;

/// A trace, the events that the public knew, and the time that both are about.
struct Trace {
    file: &'static str,
    series: &'static str,
    events: &'static str,
    until: &'static str,
}

const fn tweets(series: &'static str) -> Trace {
    let events = "trading.ics";
    Trace { file: "nab_tweets_5min.csv", series, events, until: "2015-04-23T00:00:00Z" }
}

/// The load of the World Cup fades out after the last match.
const TRACES: [Trace; 4] = [
    Trace {
        file: "worldcup98_requests_5min.csv",
        series: "worldcup98",
        events: "worldcup98.ics",
        until: "1998-07-13T00:00:00Z",
    },
    tweets("Twitter_volume_AAPL"),
    tweets("Twitter_volume_CRM"),
    tweets("Twitter_volume_GOOG"),
];

fn main() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let beside = home.join("../shared/data");
    let data = std::env::var_os("PRESURGE_DATA").map_or(beside, PathBuf::from);
    if !data.is_dir() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let step = asked("--step", 3_600) as i64;
    let (horizon, origins) = (asked("--horizon", 24), asked("--origins", 12));
    println!("steps of {step} s, {horizon} ahead, {origins} origins in the newest third");
    println!("{:<22}{:>10}{:>9}{:>9}{:>9}", "trace", "events", "p50", "p95", "p99");
    let only = std::env::args().skip_while(|a| a != "--only").nth(1);
    for trace in TRACES.iter().filter(|t| only.as_ref().is_none_or(|name| t.series.contains(name)))
    {
        let series = read(&data.join(trace.file), trace, step);
        let calendar = Calendar::read(&home.join("bench/events").join(trace.events))
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let signals = calendar.between(series.start(), series.end()).expect("few events");
        let events = signals.into_iter().filter_map(category).collect();
        let row = |signals: Signals| ("auto".to_owned(), Options { signals, ..Options::default() });
        let rows = vec![row(Signals::default()), row(Signals { events, series: Vec::new() })];
        let runs = Backtest { horizon, origins, rows }.run(&series).expect("a long series");
        for (run, with) in runs.iter().zip(["without", "with"]) {
            let [p50, _, p95, p99] = run.row.pinball;
            println!("{:<22}{with:>10}{p50:9.4}{p95:9.4}{p99:9.4}", trace.series);
        }
        let ratio = |k: usize| runs[1].row.pinball[k] / runs[0].row.pinball[k];
        println!("{:<22}{:>10}{:9.3}{:9.3}{:9.3}", "", "ratio", ratio(0), ratio(2), ratio(3));
    }
}

fn category(signal: Signal) -> Option<Category> {
    match signal {
        Signal::Events { name, times } => Some(Category { name, times }),
        Signal::Series { .. } => None,
    }
}

fn asked(flag: &str, usual: usize) -> usize {
    let given = std::env::args().skip_while(|a| a != flag).nth(1);
    given.map_or(usual, |text| text.parse().unwrap_or_else(|e| panic!("{flag} {text}: {e}")))
}

/// A series of counts, added up to steps of that many seconds.
fn read(path: &Path, trace: &Trace, step: i64) -> Series {
    let all = read_series(path).unwrap_or_else(|error| panic!("{error}"));
    let (_, samples) = all.into_iter().find(|(name, _)| name == trace.series).expect("is there");
    let fine = clean(&samples, &Hygiene::default()).expect("a clean trace").series;
    let first = fine.start().as_second().div_euclid(step) + 1;
    let until: Timestamp = trace.until.parse().expect("a time");
    let end = fine.end().min(until).as_second().div_euclid(step);
    let mut sums = vec![(0.0, 0); usize::try_from(end - first).expect("a long trace")];
    for (index, value) in fine.values().iter().enumerate() {
        let place = usize::try_from(fine.at(index).as_second().div_euclid(step) - first);
        if let Some(sum) = place.ok().and_then(|place| sums.get_mut(place))
            && value.is_finite()
        {
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }
    let whole = (step / fine.step().seconds()) as f64;
    let value = |(sum, count): &(f64, i32)| sum * whole / f64::from(*count);
    let start = Timestamp::from_second(first * step).expect("near the present");
    let values = sums.iter().map(value).collect();
    Series::new(start, Step::from_seconds(step).expect("a usual step"), values)
}
