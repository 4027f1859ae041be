//! The search: least cost, then earliest finish, over every start, every number of batches, and
//! the batch from which on there is surge.
//!
//! Best-first branch and bound, exact. A node is a layout with an interval of starts. Its bound
//! is the quote for the steps that all these starts have in common: each of them has to cover at
//! least those, so that none can be cheaper. The cheapest node is halved until it is one start;
//! when that is the cheapest, its quote is made exact. The first exact node on top is a best plan.
//! Where a node need not buy anything, later surge is no cheaper, so that it stands for the layouts
//! of the same batches with later surge as well.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use domain::calendar::{Interval, union};
use domain::name::Dimension;
use jiff::Timestamp;

use crate::deficit::Deficits;
use crate::demand::{Demand, Grid, Shape, after};
use crate::held;
use crate::layout::Layout;
use crate::problem::Fleet;
use crate::purchase::{Limits, Quotas, Quote, Shop};
use crate::request::Request;
use crate::settings::{COST_UNIT, WATCHED_FOR_LOSSES};

/// A request made ready for searching.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) request: &'a Request,
    pub(crate) fleet: &'a Fleet<'a>,
    pub(crate) grid: Grid,
    /// Load with its margin, at most what the whole fleet carries; per dimension.
    pub(crate) choosing: Rc<Vec<Demand<'a>>>,
    pub(crate) layouts: &'a [Layout],
    /// The last server is back by then.
    pub(crate) deadline: Timestamp,
    /// The windows, apart from each other.
    windows: Vec<Interval>,
}

/// A layout with its start and what is bought for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) layout: usize,
    /// The step of the first removal.
    pub(crate) start: usize,
    pub(crate) quote: Quote,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        request: &'a Request,
        fleet: &'a Fleet<'a>,
        layouts: &'a [Layout],
        deadline: Timestamp,
    ) -> Self {
        let known = horizon(request);
        // Late runs and retreats go on after the deadline.
        let longest = layouts.iter().flat_map(|l| &l.slots).map(|slot| slot.lengths.back).max();
        let later = longest.unwrap_or(0).max(request.facts.followed_seconds());
        let end = after(deadline, later).min(known);
        let grid = Grid::covering(request.facts.step, request.now, end);
        let windows = union(request.facts.windows.clone());
        let demand = |(index, dimension): (usize, &&Dimension)| {
            let full = fleet.full[index];
            let margin = request.margin.get(*dimension).copied();
            let shape = Shape { margin, most: full };
            Demand::new(&request.choosing[*dimension], &grid, shape)
        };
        let choosing = Rc::new(fleet.dimensions.iter().enumerate().map(demand).collect());
        Self { request, fleet, grid, choosing, layouts, deadline: deadline.min(known), windows }
    }

    /// The intervals of steps, first and last, at which a layout may start.
    pub(crate) fn starts(&self, layout: &Layout) -> Vec<(usize, usize)> {
        let step = self.grid.step.seconds();
        let now = self.grid.seconds_up(self.request.now);
        let deadline = self.grid.seconds(self.deadline);
        let given = self.request.schedule.start_at.map(|at| self.grid.seconds(at));
        let run = |window: &Interval| {
            let (from, to) = (self.grid.seconds_up(window.from()), self.grid.seconds(window.to()));
            let (mut first, mut last) = (from.max(now), to.min(deadline) - layout.finish);
            if let Some(given) = given {
                (first, last) = (first.max(given), last.min(given));
            }
            let first = (first + step - 1).div_euclid(step);
            let last = last.div_euclid(step);
            let run = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
            (run.0 <= run.1).then_some(run)
        };
        let runs = self.windows.iter().filter_map(run);
        runs.flat_map(|run| layout.starts.cut(run, &self.grid)).collect()
    }

    /// The windows that are open between now and the deadline.
    pub(crate) fn open_windows(&self) -> Vec<Interval> {
        let (now, deadline) = (self.request.now, self.deadline);
        let cut = |w: &Interval| Interval::new(w.from().max(now), w.to().min(deadline)).ok();
        self.windows.iter().filter_map(cut).collect()
    }

    /// The first step at which the batches of layout `index` may start, with the layout that they have then.
    pub(crate) fn soonest(&self, index: usize) -> Option<(usize, usize)> {
        let of = |layout: &Layout| (layout.bare, layout.sizes().collect::<Vec<_>>());
        let wanted = of(&self.layouts[index]);
        let same = self.layouts.iter().enumerate().filter(|(_, layout)| of(layout) == wanted);
        let first =
            |(index, layout)| Some((self.starts(layout).iter().map(|run| run.0).min()?, index));
        same.filter_map(first).min().map(|(start, index)| (index, start))
    }

    /// What the request allows to buy.
    pub(crate) fn limits(&self, hits: f64) -> Limits {
        let budget = self.request.budget.unwrap_or(f64::INFINITY);
        let hits = hits * held::share_of_load(&self.request.facts);
        Limits { hits, max_surge: self.request.facts.max_surge, budget, quotas: Quotas::Hold }
    }

    /// The same problem for other facts or another request.
    pub(crate) fn with<'b>(&self, request: &'b Request, fleet: &'b Fleet<'b>) -> Problem<'b>
    where
        'a: 'b,
    {
        Problem {
            request,
            fleet,
            grid: self.grid,
            choosing: Rc::clone(&self.choosing),
            layouts: self.layouts,
            deadline: self.deadline,
            windows: self.windows.clone(),
        }
    }

    /// The best plan within the limits.
    pub(crate) fn search(&self, limits: &Limits) -> Option<Choice> {
        Search::new(self, limits).best()
    }

    /// The highest deficits of one start by the planned times.
    pub(crate) fn deficits(&self, layout: &Layout, start: usize, count: usize) -> Deficits {
        let mut deficits = Deficits::new(self.fleet.rows.len(), self.paths());
        let (starts, besides) = ((start, start), self.besides(layout, (start, start)));
        deficits.highest(self.fleet, &self.choosing, layout, starts, &besides, count);
        deficits
    }

    /// What each offer alone costs for one start, `None` where it does not cover it.
    pub(crate) fn singles(
        &self,
        layout: usize,
        start: usize,
        limits: &Limits,
    ) -> Vec<(usize, Option<Quote>)> {
        let mut search = Search::new(self, limits);
        search.settle(layout, start);
        let start = search.instant(start);
        search.shop.singles(&search.deficits, &self.layouts[layout], start)
    }

    /// The quote for one start.
    pub(crate) fn quote(&self, layout: usize, start: usize, limits: &Limits) -> Option<Quote> {
        let mut search = Search::new(self, limits);
        search.settle(layout, start)
    }

    /// Seconds from the present moment until a step begins.
    pub(crate) fn instant(&self, step: usize) -> i64 {
        step as i64 * self.grid.step.seconds() - self.grid.seconds_up(self.request.now)
    }

    fn paths(&self) -> usize {
        self.choosing.first().map_or(0, Demand::paths)
    }

    /// What is there besides the servers: exact for one start, at most this for several.
    pub(crate) fn besides(&self, layout: &Layout, starts: (usize, usize)) -> Vec<f64> {
        let times = (self.grid.at(starts.1), after(self.grid.at(starts.0), layout.finish));
        let mut besides = self.fleet.besides(times.0, times.1);
        let doubtful = held::doubtful(self.fleet, layout, times, self.request.risk.get());
        besides.iter_mut().zip(doubtful).for_each(|(besides, doubtful)| *besides -= doubtful);
        besides
    }
}

/// The layouts with the batches of layout `index` and later surge; they follow it.
fn later(layouts: &[Layout], index: usize) -> impl Iterator<Item = usize> + use<> {
    let count = layouts[index + 1..].iter().take_while(|layout| layout.bare > 0).count();
    index + 1..index + 1 + count
}

/// The layout with the batches of layout `index` and surge from the first of them on.
pub(crate) fn soonest_surge(layouts: &[Layout], index: usize) -> usize {
    (0..=index).rev().find(|i| layouts[*i].bare == 0).unwrap_or(index)
}

/// Where the sampled load ends, in all dimensions and in both sets of paths.
pub(crate) fn horizon(request: &Request) -> Timestamp {
    let ends = request.choosing.values().chain(request.fresh.values()).map(|p| p.end());
    ends.min().unwrap_or(request.now)
}

/// How far a node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The quote is a lower bound.
    Bound,
    /// One start, of which the quote is a lower bound.
    Single,
    /// The quote is exact, by the planned times and by the sampled ones.
    Settled,
}

#[derive(Debug, Clone)]
struct Node {
    quote: Quote,
    /// Seconds from the origin until the earliest of its starts is done.
    finish: i64,
    layout: usize,
    /// Its first and its last start.
    starts: (usize, usize),
    stage: Stage,
    /// Whether it stands for the same batches with later surge as well.
    for_all: bool,
}

impl Ord for Node {
    /// The greatest node is the one to look at next.
    fn cmp(&self, other: &Self) -> Ordering {
        let unit = |node: &Self| (node.quote.cost / COST_UNIT).round();
        let cheaper = unit(other).total_cmp(&unit(self));
        let sooner = other.finish.cmp(&self.finish);
        let nearer = (self.stage as u8).cmp(&(other.stage as u8));
        let first = (other.layout, other.starts).cmp(&(self.layout, self.starts));
        cheaper.then(sooner).then(nearer).then(first)
    }
}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Node {}

struct Search<'a> {
    problem: &'a Problem<'a>,
    shop: Shop<'a>,
    deficits: Deficits,
    nodes: BinaryHeap<Node>,
    /// How many of the highest paths bound a node; all of them where that is `None`.
    watched: Option<usize>,
    /// Whether these paths make a quote exact as well.
    suffices: bool,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem<'a>, limits: &Limits) -> Self {
        let now = problem.grid.seconds_up(problem.request.now);
        let shop = Shop::new(problem.fleet, now, *limits, problem.paths());
        let many = if shop.can_lose() { WATCHED_FOR_LOSSES } else { 1 };
        let watched = (limits.hits as usize + 1) * many;
        let suffices =
            problem.fleet.facts.are_certain() && problem.fleet.rows.len() == 1 && !shop.can_lose();
        Self {
            problem,
            shop,
            watched: Some(watched).filter(|watched| 2 * watched < problem.paths()),
            suffices,
            deficits: Deficits::new(problem.fleet.rows.len(), problem.paths()),
            nodes: BinaryHeap::new(),
        }
    }

    fn best(mut self) -> Option<Choice> {
        let layouts = self.problem.layouts;
        for (index, layout) in layouts.iter().enumerate().filter(|(_, l)| l.bare == 0) {
            for starts in self.problem.starts(layout) {
                self.push_all(index, starts);
            }
        }
        while let Some(node) = self.nodes.pop() {
            let (first, last) = node.starts;
            match node.stage {
                Stage::Settled => {
                    let Node { layout, quote, .. } = node;
                    return Some(Choice { layout, start: first, quote });
                }
                Stage::Single => {
                    let (layout, for_all) = (node.layout, node.for_all);
                    if let Some(quote) = self.settle(layout, first) {
                        self.nodes.push(Node { quote, stage: Stage::Settled, ..node });
                    }
                    if for_all && self.buys() {
                        self.push_later(layout, (first, first));
                    }
                }
                Stage::Bound => {
                    let middle = first + (last - first) / 2;
                    for starts in [(first, middle), (middle + 1, last)] {
                        match node.for_all {
                            true => self.push_all(node.layout, starts),
                            false => {
                                let half = self.node(node.layout, starts);
                                self.nodes.extend(half);
                            }
                        }
                    }
                }
            }
        }
        None
    }

    /// The same batches with surge from the first on, and with later surge where any is needed.
    fn push_all(&mut self, index: usize, starts: (usize, usize)) {
        let node = self.node(index, starts);
        let buys = self.buys();
        self.nodes.extend(node.map(|node| Node { for_all: !buys, ..node }));
        if buys {
            self.push_later(index, starts);
        }
    }

    fn push_later(&mut self, index: usize, starts: (usize, usize)) {
        for later in later(self.problem.layouts, index) {
            let node = self.node(later, starts);
            self.nodes.extend(node);
        }
    }

    /// Whether what was measured last takes a purchase.
    fn buys(&self) -> bool {
        self.deficits.lacking(self.problem.fleet) as f64 > self.shop.hits()
    }

    fn node(&mut self, index: usize, starts: (usize, usize)) -> Option<Node> {
        let layout = &self.problem.layouts[index];
        let certain = self.problem.fleet.facts.are_certain();
        // A mix is worth its program only where nothing else is cheaper than its bound.
        let (quote, stage) = match starts.0 == starts.1 {
            false => (self.bound(layout, starts), Stage::Bound),
            true if certain && !self.shop.can_mix() => {
                (self.settle(index, starts.0), Stage::Settled)
            }
            true => (self.bound(layout, starts), Stage::Single),
        };
        let finish = self.instant(starts.0) + layout.finish;
        Some(Node { quote: quote?, finish, layout: index, starts, stage, for_all: false })
    }

    fn instant(&self, step: usize) -> i64 {
        step as i64 * self.problem.grid.step.seconds()
    }

    fn bound(&mut self, layout: &Layout, starts: (usize, usize)) -> Option<Quote> {
        self.look(layout, starts, self.watched);
        let starts = (self.instant(starts.0), self.instant(starts.1));
        self.shop.at_least(&self.deficits, layout, starts)
    }

    /// Measures the deficits of some starts, of the highest paths or of all.
    fn look(&mut self, layout: &Layout, starts: (usize, usize), watched: Option<usize>) {
        let besides = self.problem.besides(layout, starts);
        let Problem { fleet, choosing, .. } = self.problem;
        match watched {
            Some(count) => {
                self.deficits.highest(fleet, choosing, layout, starts, &besides, count);
            }
            None => self.deficits.planned(fleet, choosing, layout, starts, &besides),
        }
    }

    /// The quote that covers both the planned and the sampled times of one start.
    fn settle(&mut self, index: usize, start: usize) -> Option<Quote> {
        let layout = &self.problem.layouts[index];
        let Problem { fleet, choosing, request, .. } = self.problem;
        self.look(layout, (start, start), self.watched.filter(|_| self.suffices));
        if !fleet.facts.are_certain() {
            let besides = self.problem.besides(layout, (start, start));
            self.deficits.raise_sampled(fleet, choosing, layout, start, &besides, request.seed);
        }
        let start = self.instant(start);
        self.shop.quote(&self.deficits, layout, start)
    }
}
