//! The configuration: the whole schema of `Fleet` and `Rollout` documents.
//!
//! The types named `…Spec` and `…Document` are the documents as they are written. They refuse
//! unknown fields, wrong types and numbers out of range.
//!
//! [`FleetDocument::check`] and [`RolloutDocument::check`] turn them into [`Fleet`] and
//! [`Rollout`], which can be trusted, or into everything that is wrong with them.
//!
//! A field that names an adapter is an [`AdapterSlot`]: the domain knows that there is one,
//! never which.

mod adapter;
mod capacity;
mod check;
mod count;
mod document;
mod durations;
mod fleet;
mod gate;
mod load;
mod margin;
mod number;
mod offer;
mod place;
mod rollout;
mod schedule;
mod size;
mod slo;
mod span;

pub use adapter::{
    AdapterRef, AdapterSlot, NotifySpec, PORT_MARK, ProvisionerSpec, SignalSpec, TrafficSpec,
    UpdateSpec,
};
pub use capacity::{CapacitiesSpec, CapacitySpec};
pub use check::{
    Canary, DrainPolicy, Fleet, FleetServer, FreezeFile, Gate, GivenSchedule, Hook, LoadInput,
    Objective, Offer, Quota, Rollout, SaturationInput, Scaler, UpdateDurations, hint, nearest,
};
pub use count::{BadPercent, CountOrPercent, Percent};
pub use document::{
    ApiVersion, BadRolloutName, FleetDocument, Kind, LONGEST_ROLLOUT_NAME, Metadata,
    RolloutDocument, RolloutName,
};
pub use durations::{DurationsSpec, SpreadSpec};
pub use fleet::{
    DrainSpec, FleetSpec, MOST_SERVERS, ServerSpec, ServersSpec, StaticServers, SurgeSpec,
    SurgeVersion,
};
pub use gate::{ApprovalSpec, GateSpec, HoldSpec, HookSpec, HooksSpec};
pub use load::{LoadSpec, Measure, SaturationSpec};
pub use margin::{Extra, MarginSpec};
pub use number::{Amount, Capacity, Money, OpenShare, OutOfRange, PositiveShare, Share};
pub use offer::{BillingSpec, InterruptionSpec, Market, OfferSpec, QuotaSpec};
pub use place::{Finding, Findings, Part, Place};
pub use rollout::{
    BatchSpec, BudgetSpec, CanarySize, CanarySpec, LimitBy, LimitSpec, RolloutSpec, ScheduleSpec,
    StabilisationSpec, SurviveSpec, TargetSpec,
};
pub use schedule::{
    BadInstant, Day, DeadlineSpec, FreezeSpec, IcalSpec, Instant, TimeOfDay, WindowSpec,
};
pub use size::SizeSpec;
pub use slo::{Is, SloSpec, SlosSpec};
pub use span::{BadSpan, LONGEST, PositiveSpan, Span};
