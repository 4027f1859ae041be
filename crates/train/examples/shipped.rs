//! Trains the network that is part of the program, on generated load alone:
//! `cargo run --release -p train --example shipped -- [OUT [SEED [SERIES [EPOCHS [WINDOWS]]]]]`.
#![allow(clippy::disallowed_methods)] // it measures time

use std::time::Instant;

use forecast::models::lstm::Calendar;
use train::{Options, generated, train};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| {
        arguments.get(place).map_or(default, |text| text.parse().expect("a number"))
    };
    let default =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../forecast/src/models/lstm/shipped.weights");
    let out = arguments.first().map_or(default, String::as_str);
    let seed = number(1, 1);
    let options = Options {
        seed,
        epochs: number(3, 20) as u32,
        windows: number(4, 4_096) as usize,
        // The hours of generated load mean nothing to other load.
        calendar: Calendar::Unused,
        ..Options::default()
    };
    let begun = Instant::now();
    let given = generated::load(seed, number(2, 3_000) as usize);
    println!("{} series after {:.0} s", given.len(), begun.elapsed().as_secs_f64());
    let outcome = train(&given, &options, &|| begun.elapsed(), &mut |epoch| {
        let (learned, held_out) = (epoch.learned, epoch.held_out);
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "epoch {:2}: loss {learned:.4}, held out {held_out:.4}, {seconds:.0} s",
            epoch.number
        );
    });
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    println!(
        "held-out loss {:.4}, before {:.4}; ended by {:?}",
        outcome.held_out, outcome.shipped, outcome.ended
    );
    let bytes = outcome.weights.to_bytes();
    std::fs::write(out, &bytes).unwrap_or_else(|error| panic!("{out}: {error}"));
    println!("{out}: {} bytes", bytes.len());
}
