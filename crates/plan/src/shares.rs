//! One joint risk over several independent fleets: how it is shared out, and the plans that follow.
//!
//! The joint risk is 1 − Π(1 − rᵢ), so that −ln(1 − rᵢ) adds up. It is cut into equal units; each
//! fleet gets at least one. The cost of a fleet's cheapest plan never rises with its share, which
//! leaves few shares to be searched; a dynamic program over fleets and units then takes the least
//! total cost, then the earliest finish, then the most equal shares.

use domain::forecast::Probability;
use domain::name::FleetName;
use domain::plan::{Plan, Refused, WouldFit};
use jiff::Timestamp;

use crate::demand::after;
use crate::problem::Fleet;
use crate::request::{Request, paths_for};
use crate::search::Problem;
use crate::settings::{COST_UNIT, UNITS_PER_FLEET};
use crate::{allowed_hits, layouts, refused_at_once};

/// How many sampled paths each of several fleets needs, so that the least share of the joint risk
/// can be planned at: twice as many as an equal share alone would need.
pub fn paths_for_each(risk: Probability, fleets: usize) -> usize {
    if fleets < 2 {
        return paths_for(risk);
    }
    let half = Probability::new(risk.get() / (2.0 * fleets as f64));
    half.map_or_else(|_| paths_for(risk), paths_for)
}

/// The plans of several fleets whose joint risk is at most `risk`, cheapest in total, in the order
/// of the requests. The risk and the budget of each request are replaced; `budget` bounds them all.
///
/// # Errors
/// [`Refused`] names the fleet, or says which share each fleet needs, or what all of them cost.
pub fn plan_together(
    requests: &[Request],
    risk: Probability,
    budget: Option<f64>,
) -> Result<Vec<Plan>, Refused> {
    let units = Units::of(risk, requests.len());
    let mut prices = Vec::with_capacity(requests.len());
    for request in requests {
        let request = Request { budget: None, ..request.clone() };
        let named = |refused| of_fleet(&request.facts.fleet, refused);
        let known = prices_of(&request, &units).map_err(named)?;
        if known.iter().all(Option::is_none) {
            // The largest share that there is does not suffice: the planner says why.
            let largest = Request { risk: units.share(known.len()), ..request.clone() };
            let why = crate::plan(&largest).err().unwrap_or_else(|| nothing_fits(risk));
            return Err(named(why));
        }
        prices.push(known);
    }
    let chosen = cheapest(&prices, units.count).ok_or_else(|| short(requests, &prices, &units))?;
    if let Some(budget) = budget
        && chosen.cost > budget + COST_UNIT
    {
        return Err(over_budget(requests, &chosen, budget, risk));
    }
    let plan = |(request, units_of): (&Request, &usize)| {
        let request = Request { risk: units.share(*units_of), budget: None, ..request.clone() };
        crate::plan(&request).map_err(|refused| of_fleet(&request.facts.fleet, refused))
    };
    requests.iter().zip(&chosen.units).map(plan).collect()
}

/// A joint risk in equal units of −ln(1 − risk).
struct Units {
    /// How many there are.
    count: usize,
    /// At most so many go to one fleet, since each of the others gets one.
    most: usize,
    each: f64,
}

impl Units {
    fn of(risk: Probability, fleets: usize) -> Self {
        let count = UNITS_PER_FLEET * fleets.clamp(1, usize::MAX);
        let each = -(-risk.get()).ln_1p() / count as f64;
        Self { count, most: count + 1 - fleets.clamp(1, count), each }
    }

    /// The risk of so many units, a little below so that the joint one is not above by rounding.
    fn share(&self, units: usize) -> Probability {
        let share = -(-self.each * units as f64).exp_m1() * (1.0 - 1e-12);
        Probability::new(share).expect("a share of a probability is one")
    }
}

/// What the cheapest plan of a fleet costs, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Price {
    cost: f64,
    finish: Timestamp,
}

impl Price {
    fn same(self, other: Self) -> bool {
        (self.cost - other.cost).abs() <= COST_UNIT && self.finish == other.finish
    }
}

/// The price at 1, 2, … units, as far as one fleet can have; `None` where no plan fits.
fn prices_of(request: &Request, units: &Units) -> Result<Vec<Option<Price>>, Refused> {
    request.check()?;
    let any = Request { strict_risk: false, ..request.clone() };
    refused_at_once(&any)?;
    let fleet = Fleet::new(&request.facts, request.choosing.keys()).surviving(request.survive);
    let layouts = layouts(request, &fleet)?;
    let problem = Problem::new(request, &fleet, &layouts, request.facts.deadline);
    let price = |units_of: usize| {
        let risk = units.share(units_of).get();
        let resolution = 1.0 / (f64::from(request.comparable_windows) + 1.0);
        if request.strict_risk && risk < resolution {
            return None;
        }
        let choice = problem.search(&problem.limits(allowed_hits(request, risk)?))?;
        let finish = layouts[choice.layout].finish;
        let finish = after(problem.grid.at(choice.start), finish);
        Some(Price { cost: choice.quote.cost, finish })
    };
    let mut list = vec![None; units.most];
    let last = units.most - 1;
    list[0] = price(1);
    list[last] = price(last + 1);
    fill(&mut list, 0, last, &price);
    Ok(list)
}

/// Fills what lies between two known prices. A larger share never costs more, so that everything
/// between two equal ones is equal.
fn fill(
    list: &mut [Option<Price>],
    from: usize,
    to: usize,
    price: &impl Fn(usize) -> Option<Price>,
) {
    if to - from < 2 {
        return;
    }
    let same = match (list[from], list[to]) {
        (Some(a), Some(b)) => a.same(b),
        (None, None) => true,
        _ => false,
    };
    if same {
        let known = list[to];
        list[from + 1..to].fill(known);
        return;
    }
    let middle = from + (to - from) / 2;
    list[middle] = price(middle + 1);
    fill(list, from, middle, price);
    fill(list, middle, to, price);
}

/// A choice of units for some fleets.
#[derive(Debug, Clone)]
struct Shares {
    units: Vec<usize>,
    cost: f64,
    finish: Timestamp,
    /// The sum of the squares of the units: least for equal shares.
    squares: usize,
}

impl Shares {
    fn and(&self, units: usize, price: Price) -> Self {
        let mut all = self.units.clone();
        all.push(units);
        Self {
            units: all,
            cost: self.cost + price.cost,
            finish: self.finish.max(price.finish),
            squares: self.squares + units * units,
        }
    }

    fn better_than(&self, other: &Self) -> bool {
        let rounded = |shares: &Self| (shares.cost / COST_UNIT).round();
        let order = rounded(self).total_cmp(&rounded(other));
        order.then((self.finish, self.squares).cmp(&(other.finish, other.squares))).is_lt()
    }
}

/// The best way to spend all units; `None` where no plan fits for some fleet.
fn cheapest(prices: &[Vec<Option<Price>>], count: usize) -> Option<Shares> {
    let none = Shares { units: Vec::new(), cost: 0.0, finish: Timestamp::MIN, squares: 0 };
    let mut best: Vec<Option<Shares>> = vec![None; count + 1];
    best[0] = Some(none);
    for fleet in prices {
        let mut next: Vec<Option<Shares>> = vec![None; count + 1];
        for (spent, known) in best.iter().enumerate() {
            let Some(known) = known else { continue };
            let priced = fleet.iter().enumerate().filter_map(|(i, p)| Some((i + 1, (*p)?)));
            for (units, price) in priced.take_while(|(units, _)| spent + units <= count) {
                let shares = known.and(units, price);
                let place = &mut next[spent + units];
                if place.as_ref().is_none_or(|there| shares.better_than(there)) {
                    *place = Some(shares);
                }
            }
        }
        best = next;
    }
    best.pop().flatten()
}

/// The refusal of one fleet, with its name.
fn of_fleet(fleet: &FleetName, refused: Refused) -> Refused {
    let named =
        |fit: WouldFit| WouldFit { change: format!("fleet {fleet}: {}", fit.change), ..fit };
    Refused {
        binding: refused.binding,
        detail: format!("fleet {fleet}: {}", refused.detail),
        would_fit: refused.would_fit.into_iter().map(named).collect(),
    }
}

fn nothing_fits(risk: Probability) -> Refused {
    let detail = format!("no share of the joint risk {} suffices", risk.get());
    Refused { binding: "risk".into(), detail, would_fit: Vec::new() }
}

/// Every fleet has a plan, but not all of them at shares that fit together.
fn short(requests: &[Request], prices: &[Vec<Option<Price>>], units: &Units) -> Refused {
    let least = |prices: &Vec<Option<Price>>| prices.iter().position(Option::is_some);
    let least: Vec<usize> = prices.iter().filter_map(least).map(|index| index + 1).collect();
    let needs = |(request, units_of): (&Request, &usize)| {
        format!("{} at least {:.3e}", request.facts.fleet, units.share(*units_of).get())
    };
    let needs: Vec<String> = requests.iter().zip(&least).map(needs).collect();
    let total: usize = least.iter().sum();
    let joint = -(-units.each * total as f64).exp_m1();
    let allowed = -(-units.each * units.count as f64).exp_m1();
    let detail = format!(
        "the fleets need these shares of the joint risk: {}; together {joint:.3e}, {allowed:.3e} \
         is allowed",
        needs.join(", ")
    );
    let at_least = prices.iter().zip(&least).filter_map(|(prices, units)| prices[units - 1]);
    let finish_at = at_least.clone().map(|price| price.finish).max();
    let cost = at_least.map(|price| price.cost).sum();
    let change = format!("risk: {}", (joint * 1e4).ceil() / 1e4);
    let would_fit = finish_at.map(|finish_at| WouldFit { change, finish_at, cost, risk: joint });
    Refused { binding: "risk".into(), detail, would_fit: would_fit.into_iter().collect() }
}

fn over_budget(requests: &[Request], chosen: &Shares, budget: f64, risk: Probability) -> Refused {
    let currency = requests.first().map_or("", |request| request.facts.currency.as_str());
    let fleets: Vec<&str> = requests.iter().map(|r| r.facts.fleet.as_str()).collect();
    let detail = format!(
        "the cheapest plans of {} cost {:.2} {currency} together, the budget is {budget:.2}",
        fleets.join(", "),
        chosen.cost
    );
    let change = format!("budget: {:.2}", (chosen.cost * 100.0).ceil() / 100.0);
    let (finish_at, cost) = (chosen.finish, chosen.cost);
    let would_fit = vec![WouldFit { change, finish_at, cost, risk: risk.get() }];
    Refused { binding: "budget".into(), detail, would_fit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(cost: f64) -> Option<Price> {
        Some(Price { cost, finish: Timestamp::UNIX_EPOCH })
    }

    #[test]
    fn units_add_up_to_the_joint_risk() {
        let risk = Probability::new(0.05).unwrap();
        let units = Units::of(risk, 3);
        for shares in [[6, 6, 6], [1, 1, 16], [2, 11, 5]] {
            let parts = shares.map(|n| units.share(n).get());
            let joint = domain::plan::joint_probability(parts);
            assert!(joint <= 0.05 && joint > 0.049_999_999, "{joint}");
        }
        assert_eq!(units.most, 16);
    }

    #[test]
    fn the_cheapest_shares_are_those_of_every_choice_tried() {
        let a = vec![None, price(9.0), price(4.0), price(4.0), price(1.0)];
        let b = vec![price(8.0), price(8.0), price(2.0), price(2.0), price(2.0)];
        let best = cheapest(&[a.clone(), b.clone()], 6).unwrap();
        let mut least = f64::INFINITY;
        for m in 1..=5 {
            if let (Some(x), Some(y)) = (a[m - 1], b[5 - m]) {
                least = if x.cost + y.cost < least { x.cost + y.cost } else { least };
            }
        }
        assert_eq!((best.cost, best.units), (least, vec![3, 3]));
        // Nothing is gained by an unequal share: the shares are equal.
        let flat = vec![price(1.0); 5];
        assert_eq!(cheapest(&[flat.clone(), flat], 6).unwrap().units, [3, 3]);
        assert!(cheapest(&[vec![None; 5], b], 6).is_none());
    }

    #[test]
    fn prices_between_equal_ones_are_not_computed() {
        let asked = std::cell::Cell::new(0);
        let steps = |units: usize| {
            asked.set(asked.get() + 1);
            if units < 40 { None } else { price(if units < 70 { 5.0 } else { 3.0 }) }
        };
        let mut list = vec![None; 100];
        (list[0], list[99]) = (steps(1), steps(100));
        fill(&mut list, 0, 99, &steps);
        let plain: Vec<_> = (1..=100).map(steps).collect();
        assert_eq!(list, plain);
        assert!(asked.get() < 125, "{}", asked.get());
    }
}
