use super::*;
use crate::season::Seasons;
use crate::state::fnv1a;
use domain::series::Step as Grid;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn series(values: Vec<f64>) -> Series {
    from(0, values)
}

fn from(second: i64, values: Vec<f64>) -> Series {
    let start = Timestamp::from_second(second).unwrap();
    Series::new(start, Grid::from_seconds(3_600).unwrap(), values)
}

fn seasons(periods: &[usize]) -> Context {
    Context { seasons: Seasons::given(periods), ..Context::default() }
}

/// A day, noise, and weekends that are half as high.
fn load(i: usize) -> f64 {
    let noise = ((i * i) as f64 * 0.618).sin();
    let day = (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin();
    let weekend = if i % 168 >= 120 { 0.5 } else { 1.0 };
    weekend * (40.0 + 15.0 * day) + noise
}

/// A network of drawn weights.
fn drawn(shape: Shape) -> Weights {
    let mut draw = ChaCha8Rng::seed_from_u64(7);
    let numbers = (0..shape.parameters()).map(|_| draw.random_range(-0.3..0.3)).collect();
    Weights::new(shape, Origin { seed: 7, epochs: 3, loss: 0.5 }, numbers).unwrap()
}

fn small() -> Shape {
    Shape { cell: 2, head: 3, regressors: 0, calendar: Calendar::Unused }
}

fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 8;
    let hash = fnv1a(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&hash);
    bytes
}

fn centre(weights: &Arc<Weights>, series: &Series, context: &Context, horizon: usize) -> Vec<f64> {
    let fitted = Lstm::of(Arc::clone(weights)).fit(series, context).unwrap();
    fitted.forecast(horizon, &Regressors::NONE).centre
}

#[test]
fn weights_come_back_from_their_file() {
    for shape in [small(), Shape { regressors: 2, calendar: Calendar::Used, ..small() }] {
        let weights = drawn(shape);
        let back = Weights::from_bytes(&weights.to_bytes()).unwrap();
        assert_eq!(back, weights);
        assert_eq!((back.shape(), back.origin().seed), (shape, 7));
    }
    let shape = shipped().shape();
    assert_eq!((shape.cell, shape.head), (Shape::CELL, Shape::HEAD));
    assert_eq!((shape.regressors, shape.calendar), (0, Calendar::Unused));
}

#[test]
fn every_cut_and_every_flipped_bit_is_found() {
    let bytes = drawn(small()).to_bytes();
    for cut in 0..bytes.len() {
        let error = Weights::from_bytes(&bytes[..cut]).unwrap_err();
        let wanted = if cut < 8 { "no file of LSTM weights" } else { "cut off" };
        assert!(error.to_string().contains(wanted), "{cut}: {error}");
    }
    for place in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[place / 8] ^= 1 << (place % 8);
        assert!(Weights::from_bytes(&damaged).is_err(), "bit {place}");
    }
    let longer = [bytes, vec![0]].concat();
    assert!(matches!(Weights::from_bytes(&longer), Err(WeightsError::Length { .. })));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let bytes = drawn(small()).to_bytes();
    let with = |place: usize, new: &[u8]| {
        let mut changed = bytes.clone();
        changed[place..place + new.len()].copy_from_slice(new);
        Weights::from_bytes(&signed(changed)).unwrap_err()
    };
    assert_eq!(Weights::from_bytes(b"PK\x03\x04 a zip file"), Err(WeightsError::Foreign));
    assert_eq!(with(8, &[2, 0]), WeightsError::Newer { found: 2 });
    assert_eq!(with(8, &[0, 0]), WeightsError::Field { field: "the format", found: 0 });
    assert!(with(10, &[0, 0]).to_string().contains("units of the cell is 0"));
    assert!(with(12, &[255, 255]).to_string().contains("units of the head is 65535"));
    assert!(with(16, &[2, 0]).to_string().contains("calendar is 2"));
    assert!(matches!(with(10, &[3, 0]), WeightsError::Length { .. }));
    let count = small().parameters();
    assert_eq!(with(38, &f32::NAN.to_le_bytes()), WeightsError::NotFinite { place: 2, count });
    let mut changed = bytes.clone();
    changed[40] ^= 1;
    assert_eq!(Weights::from_bytes(&changed), Err(WeightsError::Checksum));
    let numbers = vec![0.0; count - 1];
    let origin = drawn(small()).origin();
    assert!(matches!(Weights::new(small(), origin, numbers), Err(WeightsError::Length { .. })));
}

#[test]
fn a_season_goes_on() {
    let context = seasons(&[24, 168]);
    let past = series((0..1_000).map(load).collect());
    let said = centre(&shipped(), &past, &context, 200);
    for (h, value) in said.iter().enumerate() {
        assert!((value - load(1_000 + h)).abs() < 4.0, "{h}: {value} and {}", load(1_000 + h));
    }
}

#[test]
fn quantiles_do_not_cross_and_grow_apart() {
    let past = series((0..700).map(load).collect());
    let running = Running::fit(shipped(), &past, &seasons(&[24])).unwrap();
    let rows = running.quantiles(48, &Regressors::NONE);
    for row in &rows {
        assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
    }
    assert!(rows[47][6] - rows[47][0] > 0.0);
}

#[test]
fn unit_and_level_of_a_series_do_not_matter() {
    let context = seasons(&[24, 168]);
    let plain: Vec<f64> = (0..800).map(load).collect();
    let moved = plain.iter().map(|v| 1e6 + 250.0 * v).collect();
    let one = centre(&shipped(), &series(plain), &context, 60);
    let other = centre(&shipped(), &series(moved), &context, 60);
    for (one, other) in one.iter().zip(other) {
        assert!((one - (other - 1e6) / 250.0).abs() < 0.01, "{one} {other}");
    }
}

#[test]
fn constants_stay_and_what_breaks_arithmetic_does_not() {
    let context = seasons(&[24]);
    let flat = centre(&shipped(), &series(vec![42.0; 200]), &context, 30);
    assert!(flat.iter().all(|v| (v - 42.0).abs() < 1e-6), "{flat:?}");
    let error = Lstm::default().fit(&series(vec![1.0; 9]), &context).err();
    assert!(matches!(error, Some(FitError::TooShort { model: "lstm", .. })), "{error:?}");
    let nothing = series(vec![f64::NAN; 300]);
    assert!(Lstm::default().fit(&nothing, &context).is_err());
    let shapes: [fn(usize) -> f64; 5] = [
        |i| if i % 3 == 0 { f64::NAN } else { load(i) },
        |i| if (50..170).contains(&i) { f64::NAN } else { load(i) },
        |i| if i % 2 == 0 { 1e300 } else { -1e300 },
        |i| 1e-300 * (i % 24) as f64,
        |i| if i > 290 { 1e9 } else { (i % 24) as f64 },
    ];
    for (which, shape) in shapes.iter().enumerate() {
        for length in [16, 40, 60, 300] {
            let past = series((0..length).map(shape).collect());
            let Ok(mut fitted) = Lstm::default().fit(&past, &context) else { continue };
            for value in [f64::NAN, 1e300, -1e300, f64::INFINITY, 0.0, 5.0] {
                fitted.update(Observation::of(value));
                let said = fitted.forecast(60, &Regressors::NONE);
                let scale = said.scale.unwrap();
                let finite = said.centre.iter().chain(&scale).all(|v| v.is_finite());
                assert!(finite, "shape {which} of {length}: {:?}", said.centre);
                assert!(scale.iter().all(|s| *s >= 0.0), "{scale:?}");
            }
        }
    }
}

#[test]
fn a_new_value_changes_what_comes_and_a_gap_hardly() {
    let past = series((0..800).map(load).collect());
    let mut high = Lstm::default().fit(&past, &seasons(&[24, 168])).unwrap();
    let mut gap = high.clone();
    let before = high.forecast(2, &Regressors::NONE).centre;
    high.update(Observation::of(load(800) + 20.0));
    gap.update(Observation::of(f64::NAN));
    let (high, gap) =
        (high.forecast(1, &Regressors::NONE).centre, gap.forecast(1, &Regressors::NONE).centre);
    assert!(high[0] > before[1] + 2.0, "{high:?} after {before:?}");
    assert!((gap[0] - before[1]).abs() < 2.0, "{gap:?} after {before:?}");
}

#[test]
fn timestamps_count_only_where_the_network_was_trained_with_them() {
    let values: Vec<f64> = (0..300).map(load).collect();
    for calendar in [Calendar::Unused, Calendar::Used] {
        let weights = Arc::new(drawn(Shape { calendar, ..small() }));
        let said = |second| centre(&weights, &from(second, values.clone()), &seasons(&[24]), 24);
        assert_eq!(said(0) == said(5 * 3_600), calendar == Calendar::Unused, "{calendar:?}");
        assert_eq!(said(0), said(14 * 86_400), "{calendar:?}");
    }
}

#[test]
fn regressors_that_are_known_ahead_count() {
    let weights = Arc::new(drawn(Shape { regressors: 1, ..small() }));
    let past = series((0..300).map(load).collect());
    let column: Vec<f64> = (0..330).map(|i| f64::from(u8::from(i % 50 < 5))).collect();
    let regressors = Regressors { ahead: vec![column.clone()], past: Vec::new() };
    let context = Context { seasons: Seasons::given(&[24]), regressors };
    let mut fitted = Lstm::of(weights).fit(&past, &context).unwrap();
    let ahead = |value: f64| Regressors { ahead: vec![vec![value; 24]], past: Vec::new() };
    let (off, on) = (fitted.forecast(24, &ahead(0.0)), fitted.forecast(24, &ahead(1.0)));
    assert_ne!(off.centre, on.centre);
    let mut other = fitted.clone();
    fitted.update(Observation { value: load(300), regressors: &[0.0] });
    other.update(Observation { value: load(300), regressors: &[1.0] });
    assert_ne!(fitted.forecast(24, &ahead(0.0)), other.forecast(24, &ahead(0.0)));
}

#[test]
fn saved_state_keeps_weights_of_ones_own_and_names_those_of_the_program() {
    let past = series((0..400).map(load).collect());
    let context = seasons(&[24]);
    let own = Arc::new(drawn(Shape { cell: 32, head: 32, ..small() }));
    let fitted = Lstm::of(Arc::clone(&own)).fit(&past, &context).unwrap();
    let bytes = fitted.save();
    let back = Lstm::default().restore(&bytes).unwrap();
    assert_eq!(back.forecast(9, &Regressors::NONE), fitted.forecast(9, &Regressors::NONE));
    let plain = Lstm::default().fit(&past, &context).unwrap();
    assert!(plain.save().len() < 2_048 && bytes.len() > 20_000, "{}", plain.save().len());
    assert_ne!(plain.forecast(9, &Regressors::NONE), fitted.forecast(9, &Regressors::NONE));
    let mut other = plain.save();
    other[0] ^= 1;
    assert!(Lstm::default().restore(&other).is_err(), "weights of another id");
}

/// A window repeats what inference does at its first origin.
#[test]
fn windows_are_what_inference_sees() {
    let past = series((0..700).map(load).collect());
    let given = examples::Given {
        series: past.clone(),
        seasons: Seasons::given(&[24, 168]),
        regressors: Vec::new(),
    };
    let weights = drawn(small());
    let mut draw = ChaCha8Rng::seed_from_u64(1);
    let part = (examples::Part::HeldOut, 0.2);
    let windows = examples::windows(&given, small(), part, 5, &mut draw);
    assert_eq!(windows.len(), 5);
    for window in &windows {
        let said = examples::forecast(&weights, window);
        assert_eq!(said.len(), examples::ORIGINS * examples::STEPS);
        // The fit that the window was cut at is the one whose inputs to the cell are the same.
        let found = (560..700).find(|fit| {
            let past = series(past.values()[..*fit].to_vec());
            let mut cell = Vec::new();
            let see = |row: &[f32]| cell.extend_from_slice(row);
            Scaled::learn(&past, &seasons(&[24, 168]), small(), see).unwrap();
            window.cell.starts_with(&cell)
        });
        let past = series(past.values()[..found.expect("a fit within what is held out")].to_vec());
        let running = Running::fit(Arc::new(weights.clone()), &past, &seasons(&[24, 168])).unwrap();
        let rows = running.quantiles(48, &Regressors::NONE);
        let unit = running.scaled.track.unit();
        for (quantiles, own) in said.iter().zip(window.candidates.chunks(shape::CANDIDATES)).take(3)
        {
            let mut step = Step::default();
            let same = (0..48).any(|h| {
                running.scaled.track.step(h, &mut step);
                step.candidates == own
                    && rows[h]
                        .iter()
                        .zip(quantiles)
                        .all(|(row, said)| (row - step.base - unit * said).abs() < 1e-5)
            });
            assert!(same, "{quantiles:?}");
        }
    }
}

#[test]
fn nothing_that_is_held_out_is_learned_from() {
    let mut values: Vec<f64> = (0..700).map(load).collect();
    let given = |values: &[f64]| examples::Given {
        series: series(values.to_vec()),
        seasons: Seasons::given(&[24]),
        regressors: Vec::new(),
    };
    let cut = |values: &[f64], part| {
        let mut draw = ChaCha8Rng::seed_from_u64(3);
        examples::windows(&given(values), small(), (part, 0.2), 200, &mut draw)
            .into_iter()
            .map(|w| (w.cell, w.targets.iter().map(|t| t.to_bits()).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    let (learned, held_out) =
        (cut(&values, examples::Part::Learned), cut(&values, examples::Part::HeldOut));
    values[560..].iter_mut().for_each(|v| *v *= 3.0);
    assert!(cut(&values, examples::Part::Learned) == learned);
    assert!(cut(&values, examples::Part::HeldOut) != held_out);
}
