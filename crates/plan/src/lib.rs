//! Plans of rollouts: which servers go out when, what surge is bought for it, what it costs, and
//! how likely it lacks capacity at any moment.

mod request;

pub use request::{
    Billing, Canary, Durations, Facts, Held, Interruption, Margin, Market, Offer, Request,
    Schedule, Server, Survive, paths_for,
};
