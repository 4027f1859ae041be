//! Mixes against trying every count.

use super::*;

fn line(offer: usize, cost: f64, most: u32, unit: &[f64]) -> Line {
    Line { offer, cost, most, unit: unit.to_vec(), lots: None, risky: false }
}

fn bounds(room: u32, risky: usize) -> Bounds {
    Bounds { room, risky, ceilings: Vec::new() }
}

/// The least cost over all counts.
fn every_count(lines: &[Line], need: &[f64], room: u32, risky: usize) -> f64 {
    fn go(lines: &[Line], need: &[f64], room: u32, risky: usize) -> f64 {
        let Some((line, rest)) = lines.split_first() else {
            return if need.iter().all(|n| *n <= 1e-9) { 0.0 } else { f64::INFINITY };
        };
        let mut best = f64::INFINITY;
        for count in 0..=line.most.min(room) {
            let lossy = usize::from(line.lots.is_some() && count > 0);
            if lossy > risky {
                break;
            }
            let sure = f64::from(line.sure(count));
            let left: Vec<f64> = need.iter().zip(&line.unit).map(|(n, u)| n - u * sure).collect();
            let cost = line.cost * f64::from(count) + go(rest, &left, room - count, risky - lossy);
            best = if cost < best { cost } else { best };
        }
        best
    }
    go(lines, need, room, risky)
}

fn number(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

#[test]
fn no_count_is_cheaper_than_the_mix() {
    let mut state = 11;
    let (mut mixed, mut none) = (0, 0);
    for round in 0..150 {
        let dimensions = 1 + round % 2;
        let whole = round % 3 > 0;
        let mut next = |below: u64| number(&mut state, below) as f64;
        let mut lines: Vec<Line> = (0..3)
            .map(|offer| {
                let grain = if whole { 50.0 } else { 37.1 + next(100) / 7.0 };
                let unit: Vec<f64> = (0..dimensions).map(|_| grain * next(6)).collect();
                let most = next(6) as u32 + 1;
                line(offer, 0.1 + next(40) / 13.0, most, &unit)
            })
            .collect();
        lines[0].lots = Some(lots(lines[0].most, 0.1, 0.0, 0.02, 0)).filter(|_| round % 2 > 0);
        lines[0].risky = lines[0].lots.is_some();
        let need: Vec<f64> = (0..dimensions).map(|_| 20.0 + next(900)).collect();
        let room = next(12) as u32 + 1;
        let best = every_count(&lines, &need, room, 1);
        let mut family = Family::new(lines, 0.0, bounds(room, 1));
        assert!(family.at_least(&need) <= best + 1e-9);
        match family.cheapest(&need, f64::INFINITY) {
            Some((counts, cost)) => {
                assert!((cost - best).abs() < 1e-9, "round {round}: {cost} against {best}");
                mixed += usize::from(counts.len() > 1);
            }
            None => {
                assert!(best.is_infinite(), "round {round}: nothing against {best}");
                none += 1;
            }
        }
        // What is known bounds what is not, and answers what it covers.
        assert!((family.at_least(&need) - best).abs() < 1e-9 || best.is_infinite());
        let less: Vec<f64> = need.iter().map(|n| n - 1.0).collect();
        let again = family.cheapest(&less, f64::INFINITY).map_or(f64::INFINITY, |(_, cost)| cost);
        assert!(again <= best + 1e-9);
    }
    assert!(mixed > 20 && none > 10, "{mixed} mixed, {none} without");
}

#[test]
fn free_instances_are_not_bought_for_nothing() {
    let lines = vec![line(0, 0.0, 9, &[100.0]), line(1, 1.0, 9, &[100.0])];
    let mut family = Family::new(lines, 0.0, bounds(20, 0));
    assert_eq!(family.cheapest(&[250.0], f64::INFINITY), Some((vec![(0, 3)], 0.0)));
    let (counts, cost) = family.cheapest(&[1050.0], f64::INFINITY).unwrap();
    assert_eq!((counts, cost), (vec![(0, 9), (1, 2)], 2.0));
}

#[test]
fn a_common_measure_is_found_where_there_is_one() {
    assert_eq!(grain([850.0, 1700.0, 425.0].into_iter()), Some(425.0));
    assert_eq!(grain([0.0, 300.0].into_iter()), Some(300.0));
    let tenth = grain([0.3, 0.7].into_iter()).unwrap();
    assert!((tenth - 0.1).abs() < 1e-9, "{tenth}");
    assert_eq!(grain([1.0, std::f64::consts::SQRT_2].into_iter()), None);
    assert_eq!(grain([0.0].into_iter()), None);
}

#[test]
fn a_lot_spares_what_is_rarely_exceeded() {
    // Of ten, each lost with 0.1, more than four are lost with 0.0016, more than three with 0.0128.
    let list = lots(10, 0.1, 0.0, 0.01, 0);
    assert_eq!(list.last(), Some(&Lot { most: 10, spare: 4 }));
    assert!(list.windows(2).all(|w| w[0].most < w[1].most && w[0].spare < w[1].spare));
    assert_eq!(lots(10, 0.1, 0.0, 0.01, 2).last(), Some(&Lot { most: 10, spare: 6 }));
    // A pool that goes as a whole too often is not counted on at all.
    assert!(lots(10, 0.0, 0.1, 0.01, 0).is_empty());
    assert_eq!(lots(10, 0.0, 0.001, 0.01, 0), [Lot { most: 10, spare: 0 }]);
}

/// The units have no common measure, and 3 × 50 + 150 meets the need to the last bit.
#[test]
fn a_mix_that_meets_the_need_exactly_covers_it() {
    let lines = [(0.04, 3, 50.0), (1.63, 1, 233.284_014_327_717_05), (1.2, 1, 150.0)];
    let lines = lines.into_iter().enumerate();
    let lines: Vec<Line> =
        lines.map(|(o, (cost, most, unit))| line(o, cost, most, &[unit])).collect();
    for need in [299.9, 300.0, 300.1] {
        let found = Family::new(lines.clone(), 1.0, bounds(4, 0)).cheapest(&[need], f64::INFINITY);
        let best = every_count(&lines, &[need], 4, 0);
        assert!((found.unwrap().1 - best).abs() < 1e-9, "{need}");
    }
}
