//! The routes, one file for each thing that they are about.

mod advice;
mod forecasts;
mod freezes;
mod health;
mod journal;
mod permits;
mod plans;
mod requests;
mod rollouts;

use super::route::Route;

/// Every route.
pub fn table() -> Vec<Route> {
    let mut all = health::routes();
    all.extend(rollouts::routes());
    all.extend(requests::routes());
    all.extend(plans::routes());
    all.extend(advice::routes());
    all.extend(forecasts::routes());
    all.extend(permits::routes());
    all.extend(freezes::routes());
    all.extend(journal::routes());
    all
}
