//! How fast a server that is back answers, from its return on.

use domain::event::{Known, WarmUp};
use domain::name::ServerName;
use jiff::Timestamp;

use super::Counted;

/// A point of the curve has so many requests at least: rounded to milliseconds, their mean is within
/// [`ROUNDED`] …
const LEAST_REQUESTS: f64 = 256.0;

/// … and lasts so long at least, in seconds.
const LEAST_SECONDS: f64 = 5.0;

/// The mean of a point is off by so much at most for the moving mean having been rounded to
/// milliseconds at both ends: 512 · 2 · 0.5 ms over 256 requests. In seconds.
const ROUNDED: f64 = 0.002;

/// A server answers as it does later when it is within this share of that.
const IN_LINE: f64 = 0.2;

/// Where the last quarter of the curve lies so much below the quarter before it, it may be falling still.
const STILL_FALLS: f64 = 0.15;

/// Who was not looked at from so soon after its return on, in seconds, may have been slow before.
const SOON: f64 = 30.0;

/// With fewer points nothing can be told.
const LEAST_POINTS: usize = 8;

/// No more points than this are kept; each then lasts twice as long.
const MOST_POINTS: usize = 96;

/// One point: from when to when, in seconds after the return, and what was counted of the server and of
/// those that served beside it.
#[derive(Debug, Clone, Copy)]
struct Point {
    from: f64,
    to: f64,
    own: Counted,
    peers: Counted,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Curve {
    since: Timestamp,
    /// Seconds until it had its full weight.
    ramp: f64,
    points: Vec<Point>,
    under_way: Option<Point>,
    /// A point lasts so long, in seconds.
    length: f64,
}

impl Curve {
    /// Of a server that is back since then and has its full weight at `until`.
    pub(super) fn new(since: Timestamp, until: Timestamp) -> Self {
        let ramp = until.duration_since(since).as_secs_f64().max(0.0);
        Self { since, ramp, points: Vec::new(), under_way: None, length: LEAST_SECONDS }
    }

    /// Takes in what was counted since the last look, at `now`.
    pub(super) fn take(&mut self, own: Counted, peers: Counted, now: Timestamp) {
        let to = self.seconds(now);
        let Some(mut point) = self.under_way.take() else { return self.skip(now) };
        point.own.add(own);
        point.peers.add(peers);
        point.to = to;
        if point.own.requests < LEAST_REQUESTS || point.to - point.from < self.length {
            self.under_way = Some(point);
            return;
        }
        self.points.push(point);
        self.skip(now);
        if self.points.len() == MOST_POINTS {
            self.halve();
        }
    }

    /// From this look on; what was counted before it is not known.
    pub(super) fn skip(&mut self, now: Timestamp) {
        let at = self.seconds(now);
        let none = Counted { requests: 0.0, busy: Some(0.0) };
        self.under_way = Some(Point { from: at, to: at, own: none, peers: none });
    }

    fn seconds(&self, now: Timestamp) -> f64 {
        now.duration_since(self.since).as_secs_f64().max(0.0)
    }

    /// Joins the points in pairs.
    fn halve(&mut self) {
        let pairs = self.points.chunks(2).map(|pair| {
            let mut joined = pair[0];
            for next in &pair[1..] {
                joined.to = next.to;
                joined.own.add(next.own);
                joined.peers.add(next.peers);
            }
            joined
        });
        self.points = pairs.collect();
        self.length *= 2.0;
    }

    /// How long the warm-up took; `None` where it cannot be told.
    ///
    /// The measure is the mean response time, beside that of the others at the same time where there are
    /// any, and what it comes to in the last quarter of the curve: a new version that is slower than the
    /// others is not for ever warming up.
    pub(super) fn tell(self, server: ServerName) -> Option<WarmUp> {
        let late = self.points.first().is_none_or(|point| point.from > SOON);
        if late || self.points.len() < LEAST_POINTS {
            return None;
        }
        let beside = self.points.iter().all(|point| point.peers.requests >= LEAST_REQUESTS);
        let value = |point: &Point| {
            let own = point.own.mean()?;
            let other = if beside { point.peers.mean()? } else { 1.0 };
            (other > 0.0).then_some((own / other, ROUNDED / other))
        };
        let values: Vec<(f64, f64)> = self.points.iter().map(value).collect::<Option<_>>()?;
        let quarter = values.len() / 4;
        let level = |range: &[(f64, f64)]| median(range.iter().map(|(value, _)| *value).collect());
        let last = level(&values[values.len() - quarter..]);
        let before = level(&values[values.len() - 2 * quarter..values.len() - quarter]);
        let (_, rounded) = values[values.len() - 1];
        let falls = before - last > STILL_FALLS * last + rounded;
        let slow = |(value, rounded): &(f64, f64)| *value > last * (1.0 + IN_LINE) + rounded;
        // One slow point among fast ones is an accident; two in a row are not.
        let slow: Vec<bool> = values.iter().map(slow).collect();
        let warms =
            |i: &usize| slow[*i] && (*i == 0 || slow[*i - 1] || slow.get(*i + 1) == Some(&true));
        let newest = (0..slow.len()).rfind(warms);
        Some(match newest {
            Some(index) => {
                let known = if falls { Known::AtLeast } else { Known::Exactly };
                WarmUp { server, seconds: self.points[index].to, known }
            }
            None if falls => return None,
            // It was as fast as the others at every weight on its way: the way need not have been longer.
            // Slower than they are all the time, it is another version or still cold.
            None if beside && self.ramp > 0.0 && last <= 1.0 + IN_LINE + rounded => {
                WarmUp { server, seconds: self.ramp, known: Known::AtMost }
            }
            None => return None,
        })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
