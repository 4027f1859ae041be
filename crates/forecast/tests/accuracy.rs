//! Measured accuracy on the developers' data must not get worse. The bounds are what was
//! measured (see the example `accuracy`) plus a small allowance.

use forecast::{ModelChoice, Options, SeasonChoice};

mod data;
#[path = "data/score.rs"]
mod score;

#[test]
fn m4_hourly_keeps_its_accuracy() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let score = score::m4(&Options { horizon: Some(48), ..Options::default() });
    println!("{}\n{score}", score::HEADER);
    assert!(score.owa < 0.405, "OWA {}", score.owa);
    assert!(score.pinball[2] < 0.125, "pinball at 0.95 {}", score.pinball[2]);
    for (found, wanted) in score.coverage.iter().zip([0.80, 0.90, 0.95]) {
        assert!((found - wanted).abs() < 0.02, "coverage {found} at {wanted}");
    }
}

/// Python's Prophet has an OWA of 0.821 on these series (`bench/compare.py --only prophet`).
#[test]
fn prophet_is_as_good_as_the_reference() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let models = ModelChoice::Named(vec!["prophet".to_owned()]);
    let score = score::m4(&Options { models, horizon: Some(48), ..Options::default() });
    println!("{}\n{score}", score::HEADER);
    assert!((score.owa / 0.821 - 1.0).abs() < 0.01, "OWA {}", score.owa);
    for (found, wanted) in score.coverage.iter().zip([0.80, 0.90, 0.95]) {
        assert!((found - wanted).abs() < 0.04, "coverage {found} at {wanted}");
    }
}

/// The network that is part of the program has seen none of these series; seasonal naive of a day
/// has an OWA of 0.574 here.
#[test]
fn the_network_is_better_than_seasonal_naive_on_series_it_never_saw() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let alone = |model: &str, seasons: SeasonChoice| {
        let models = ModelChoice::Named(vec![model.to_owned()]);
        score::m4(&Options { models, seasons, horizon: Some(48), ..Options::default() })
    };
    let naive = alone("seasonal-naive", SeasonChoice::Given(vec![24]));
    let network = alone("lstm", SeasonChoice::Auto);
    println!("{}\n{naive}\n{network}", score::HEADER);
    assert!(network.owa < naive.owa, "OWA {} and {}", network.owa, naive.owa);
    assert!(network.owa < 0.46, "OWA {}", network.owa);
}

#[test]
fn server_traces_keep_their_accuracy() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let (score, fits) = score::traces(&Options::default(), false);
    println!("{fits} fits\n{}\n{score}", score::HEADER);
    assert!(score.owa < 0.72, "loss against seasonal naive {}", score.owa);
    for (found, wanted) in score.coverage.iter().zip([0.80, 0.90, 0.95]) {
        assert!((found - wanted).abs() < 0.02, "coverage {found} at {wanted}");
    }
}
