use domain::event::Known;

use super::*;

/// A server whose answers take so long, one after the other, as a load balancer counts them; the mean
/// is rounded to so many microseconds.
fn counted(millis: impl Fn(u64) -> f64, rounded_to: u64) -> impl Fn(u64) -> Served {
    move |requests| {
        let mut mean = 0.0;
        for request in 0..requests {
            let over = (request + 1).min(Served::SMOOTHED_OVER) as f64;
            mean += (1000.0 * millis(request) - mean) / over;
        }
        let rounded = (mean / rounded_to as f64).round() as u64 * rounded_to;
        Served { requests, response_micros: (requests > 0).then_some(rounded) }
    }
}

#[test]
fn response_times_are_got_back_from_a_moving_mean() {
    // From the first request on, across the 512th, and where the times change.
    let millis = |request: u64| if request < 1500 { 80.0 } else { 20.0 };
    let fine = counted(millis, 1);
    for (from, to, mean) in
        [(0, 100, 80.0), (400, 700, 80.0), (1500, 1900, 20.0), (1500, 4000, 20.0)]
    {
        let mut sum = Counted { requests: 0.0, busy: Some(0.0) };
        // Looks that lie at most 64 requests apart.
        let mut at = from;
        while at < to {
            let next = (at + 64).min(to);
            sum.add(Counted::between(fine(at), fine(next)).unwrap());
            at = next;
        }
        assert_eq!(sum.requests, (to - from) as f64);
        let found = 1000.0 * sum.mean().unwrap();
        assert!((found - mean).abs() < 0.02 * mean, "{from}..{to}: {found} ms");
    }
}

#[test]
fn rounding_to_milliseconds_does_not_add_up_over_many_looks() {
    let coarse = counted(|_| 20.4, 1000);
    let mut sum = Counted { requests: 0.0, busy: Some(0.0) };
    for look in 0..200 {
        sum.add(Counted::between(coarse(2000 + 8 * look), coarse(2008 + 8 * look)).unwrap());
    }
    assert!((1000.0 * sum.mean().unwrap() - 20.4).abs() < 1.0, "{sum:?}");
}

#[test]
fn a_count_that_begins_anew_says_nothing() {
    let served = |requests, micros| Served { requests, response_micros: micros };
    assert_eq!(Counted::between(served(500, Some(1)), served(20, Some(1))), None);
    let untimed = Counted::between(served(5, None), served(20, None)).unwrap();
    assert_eq!((untimed.requests, untimed.busy, untimed.mean()), (15.0, None, None));
}

fn names(count: usize) -> Vec<ServerName> {
    (1..=count).map(|n| ServerName::new(format!("web-{n}")).unwrap()).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_323_200 + second).unwrap()
}

/// What is told of minutes in which the servers get so many requests each.
fn shared(minutes: &[&[f64]], shares: &[f64]) -> Option<SharedOut> {
    let mut share = Share::default();
    for (minute, got) in minutes.iter().enumerate() {
        let names = names(got.len());
        let settled: Vec<&ServerName> = names.iter().collect();
        let each = |requests: &f64| Counted { requests: *requests, busy: None };
        let counted = names.iter().zip(got.iter().map(each)).collect();
        let share_of = |name: &ServerName| {
            names.iter().position(|other| other == name).map_or(1.0, |i| shares[i])
        };
        share.take(&settled, &counted, share_of, at(60 * minute as i64));
    }
    share.tell()
}

#[test]
fn balance_is_mean_over_peak_of_what_servers_get_for_what_they_carry() {
    let even: &[f64] = &[1000.0, 1000.0, 1000.0];
    // The first look begins the stretch.
    let told = shared(&[even, even, even], &[1.0; 3]).unwrap();
    assert_eq!(told, SharedOut { stretches: 2, balance: 1.0, least: 1.0 });
    let told = shared(&[even, &[1500.0, 750.0, 750.0], even], &[1.0; 3]).unwrap();
    assert_eq!(
        told,
        SharedOut { stretches: 2, balance: (2.0 / 3.0 + 1.0) / 2.0, least: 2.0 / 3.0 }
    );
    // The first carries twice as much as the others and gets as much as they do.
    let told = shared(&[even, even], &[1.0, 0.5, 0.5]).unwrap();
    assert!((told.balance - 0.75).abs() < 1e-12, "{told:?}");
}

#[test]
fn chance_and_other_servers_are_no_imbalance() {
    let few: &[f64] = &[90.0, 30.0];
    assert_eq!(shared(&[few; 4], &[1.0; 2]), None, "too few to tell");
    let told = shared(&[few; 5], &[1.0; 2]).unwrap();
    assert_eq!(told.stretches, 1, "together they are enough");
    let two: &[f64] = &[900.0, 900.0];
    let three: &[f64] = &[300.0, 900.0, 900.0];
    assert_eq!(shared(&[two, three, two, three], &[1.0; 3]), None, "a stretch never ends");
}

#[test]
fn what_does_not_come_within_a_quarter_of_an_hour_says_nothing() {
    // Two hundred for each would be there after twenty minutes.
    let few: &[f64] = &[15.0, 5.0];
    assert_eq!(shared(&[few; 60], &[1.0; 2]), None);
}

/// What is told of a server that has its full weight after half a minute and whose answers take so many
/// milliseconds in each five seconds; those of the others take as many as `others`, where there are any.
fn warmed(millis: &[f64], others: Option<f64>) -> Option<WarmUp> {
    let mut curve = Curve::new(at(0), at(30));
    curve.skip(at(0));
    let of = |requests: f64, millis: f64| Counted { requests, busy: Some(requests * millis / 1e3) };
    for (own, look) in millis.iter().zip(1..) {
        let peers = others.map_or(of(0.0, 0.0), |millis| of(9000.0, millis));
        curve.take(of(1000.0, *own), peers, at(5 * look));
    }
    curve.tell(names(1).remove(0))
}

fn told(seconds: f64, known: Known) -> Option<WarmUp> {
    Some(WarmUp { server: names(1).remove(0), seconds, known })
}

#[test]
fn a_server_that_still_gets_faster_takes_at_least_so_long() {
    // From 250 ms down by 15 ms every five seconds, to the last.
    let falls: Vec<f64> = (0..12).map(|look| 250.0 - 15.0 * f64::from(look)).collect();
    let some = warmed(&falls, Some(20.0)).unwrap();
    assert_eq!((some.known, warmed(&falls, None)), (Known::AtLeast, Some(some)));
    // It has come to its end.
    let ends: Vec<f64> = falls.iter().copied().chain([85.0; 12]).collect();
    assert_eq!(warmed(&ends, Some(20.0)).unwrap().known, Known::Exactly);
    // Hardly slower than the others, and faster in the end: it may not be over.
    let little: Vec<f64> = (0..12).map(|look| if look < 9 { 1170.0 } else { 1000.0 }).collect();
    assert_eq!(warmed(&little, Some(1000.0)), None);
}

#[test]
fn without_others_a_server_is_held_against_itself() {
    let cold: Vec<f64> = (0..12).map(|look| if look < 4 { 60.0 } else { 20.0 }).collect();
    assert_eq!(warmed(&cold, None), told(20.0, Known::Exactly));
    assert_eq!(warmed(&cold, Some(20.0)), told(20.0, Known::Exactly));
    // Always the same: with others it is as fast as they are; alone it may be cold all the time.
    assert_eq!(warmed(&[20.0; 12], Some(20.0)), told(30.0, Known::AtMost));
    assert_eq!(warmed(&[20.0; 12], None), None);
    assert_eq!(warmed(&[30.0; 12], Some(20.0)), None, "slower than they are all the time");
}
