//! The timeline of a plan: the ledger beside the forecast, on intervals of the grid.

use domain::forecast::{Paths, Probability};
use domain::name::{Dimension, FleetName};
use domain::plan::{Exposure, LoadBand, PerDimension, TimelineEntry};
use jiff::Timestamp;

use crate::demand::{Demand, Grid, Shape, after};
use crate::ledger::Ledger;
use crate::settings::{EXPOSURE_SECONDS, TIMELINE_LONGEST_SECONDS};

/// Load per step: its mean over the paths and the upper edge of its band.
pub(crate) struct Bands {
    per_dimension: PerDimension<Vec<LoadBand>>,
}

impl Bands {
    /// The load on each step of `grid`; `upper` is the quantile of the paths at `level`: the
    /// least value that at least that share of the paths does not exceed.
    pub(crate) fn new(paths: &PerDimension<Paths>, grid: &Grid, level: Probability) -> Self {
        let bands = |paths: &Paths| {
            let demand = Demand::new(paths, grid, Shape::PLAIN);
            let upper = demand.upper(level.get());
            let both = demand.means().into_iter().zip(upper);
            both.map(|(mean, upper)| LoadBand { mean, upper }).collect()
        };
        let per_dimension = paths.iter().map(|(d, paths)| (d.clone(), bands(paths))).collect();
        Self { per_dimension }
    }

    /// The highest mean and the highest upper edge over the steps `[from, to)`.
    fn over(&self, from: usize, to: usize) -> PerDimension<LoadBand> {
        let highest = |bands: &Vec<LoadBand>| {
            let mut top = bands[from];
            for band in &bands[from..to] {
                top.mean = if band.mean > top.mean { band.mean } else { top.mean };
                top.upper = if band.upper > top.upper { band.upper } else { top.upper };
            }
            top
        };
        self.per_dimension.iter().map(|(d, bands)| (d.clone(), highest(bands))).collect()
    }
}

/// The intervals of a timeline: neighbours in which the same is in service are one, up to
/// `longest` seconds, so that the band follows the forecast.
pub(crate) fn entries(
    ledger: &Ledger,
    fleet: &FleetName,
    grid: &Grid,
    bands: &Bands,
    load_step_seconds: i64,
) -> Vec<TimelineEntry> {
    let longest = load_step_seconds.max(TIMELINE_LONGEST_SECONDS);
    let longest = usize::try_from(longest / grid.step.seconds()).unwrap_or(1).max(1);
    let moments = ledger.moments();
    let mut list: Vec<TimelineEntry> = Vec::new();
    let mut from = 0;
    while from < grid.steps {
        let mut to = from + 1;
        let first = state(ledger, grid, from);
        while to < grid.steps
            && to - from < longest
            && !ledger.warms(grid.at(from), grid.at(to + 1))
        {
            let changes = moments.partition_point(|m| *m <= grid.at(from));
            let next = moments.get(changes).copied();
            let quiet = next.is_none_or(|m| m >= grid.at(to + 1));
            if !quiet && state(ledger, grid, to) != first {
                break;
            }
            to += 1;
        }
        let (in_service, surge, capacity) = first;
        list.push(TimelineEntry {
            fleet: fleet.clone(),
            from: grid.at(from),
            to: grid.at(to),
            in_service,
            surge,
            capacity,
            load: bands.over(from, to),
            overload_probability: 0.0,
        });
        from = to;
    }
    list
}

fn state(ledger: &Ledger, grid: &Grid, step: usize) -> (u32, u32, PerDimension<f64>) {
    let (from, to) = (grid.at(step), grid.at(step + 1));
    (ledger.in_service(from, to), ledger.surge(from, to), ledger.least(from, to))
}

/// Headroom of the whole fleet, which carries `full` by then, at the next forecast peak within a day after `end`: the moment at
/// which the mean load takes the largest share of the capacity in any dimension.
pub(crate) fn exposure(
    paths: &PerDimension<Paths>,
    full: &PerDimension<f64>,
    end: Timestamp,
    level: Probability,
) -> Option<Exposure> {
    let first = paths.values().next()?;
    let known = paths.values().map(Paths::end).min()?;
    let until = after(end, EXPOSURE_SECONDS).min(known);
    if until <= end {
        return None;
    }
    let grid = Grid::covering(first.step(), first.step().ceil(end), until);
    let bands = Bands::new(paths, &grid, level);
    let share = |step: usize| {
        let share = |(d, bands): (&Dimension, &Vec<LoadBand>)| bands[step].mean / full[d];
        bands.per_dimension.iter().map(share).max_by(f64::total_cmp)
    };
    let peak = (0..grid.steps).max_by(|a, b| {
        share(*a).partial_cmp(&share(*b)).unwrap_or(std::cmp::Ordering::Equal).then(b.cmp(a))
    })?;
    let headroom = bands.per_dimension.iter().map(|(d, b)| (d.clone(), full[d] - b[peak].upper));
    Some(Exposure { next_peak_at: grid.at(peak), headroom: headroom.collect() })
}
