//! The document `Rollout` as it is written.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::adapter::NotifySpec;
use super::count::{CountOrPercent, Percent};
use super::gate::{ApprovalSpec, GateSpec, HoldSpec, HooksSpec};
use super::margin::MarginSpec;
use super::number::{Chance, Money, OpenShare};
use super::schedule::{DeadlineSpec, FreezeSpec, Instant, WindowSpec};
use super::span::{PositiveSpan, Span};
use crate::event::OnFailure;
use crate::name::{FleetName, ServerName, Version};

/// What a rollout is.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Which fleets are updated.
    pub fleets: Vec<FleetName>,
    /// To what.
    pub target: TargetSpec,
    /// A schedule that is given instead of searched.
    #[serde(default)]
    pub schedule: ScheduleSpec,
    /// Allowed probability of attributable overload over the whole rollout; 0.01 unless given.
    #[serde(default = "one_percent")]
    pub risk: OpenShare,
    /// Whether a risk that the history cannot show is refused.
    #[serde(default)]
    pub strict_risk: bool,
    /// Capacity that is bought on top of the forecast.
    #[serde(default)]
    pub margin: MarginSpec,
    /// The step of the plan; 1m unless given.
    #[serde(default = "one_minute")]
    pub step: PositiveSpan,
    /// The quantile of durations at which the plan's times stand; 0.95 unless given.
    #[serde(default = "ninety_five_percent")]
    pub plan_at: OpenShare,
    /// How many servers may be out, and how the first batch is treated.
    #[serde(default)]
    pub batch: BatchSpec,
    /// Which losses the fleet has to survive while servers are out.
    #[serde(default)]
    pub survive: SurviveSpec,
    /// When servers may be out; always unless given.
    #[serde(default)]
    pub windows: Vec<WindowSpec>,
    /// Whether a rollout may pause between windows.
    #[serde(default)]
    pub span_windows: bool,
    /// When servers may not be out.
    #[serde(default)]
    pub freezes: Vec<FreezeSpec>,
    /// When the last server has to be back; 24h unless given.
    #[serde(default = "one_day")]
    pub deadline: DeadlineSpec,
    /// What the surge may cost.
    #[serde(default)]
    pub budget: BudgetSpec,
    /// How long to watch after the last batch; 10m unless given.
    #[serde(default)]
    pub stabilisation: StabilisationSpec,
    /// What a server has to show before it gets traffic again.
    #[serde(default)]
    pub gates: Vec<GateSpec>,
    /// Probability that the update of one server fails, so that it stays out; 0 unless given.
    #[serde(default)]
    pub update_failure: Option<Chance>,
    /// So many servers of each fleet may fail, be tried once more, fail again and stay out.
    #[serde(default)]
    pub failure_budget: u32,
    /// What happens when more fail; hold unless given.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long the rollout may hold, and what then.
    #[serde(default)]
    pub hold: Option<HoldSpec>,
    /// Whether the update can be undone; a rollout that says false is never rolled back.
    #[serde(default = "yes")]
    pub reversible: bool,
    /// Who has to agree.
    #[serde(default)]
    pub approval: ApprovalSpec,
    /// Commands around the rollout.
    #[serde(default)]
    pub hooks: HooksSpec,
    /// Whom to tell.
    #[serde(default)]
    pub notify: Vec<NotifySpec>,
}

fn one_percent() -> OpenShare {
    OpenShare::new(0.01).expect("0.01 lies between 0 and 1")
}

fn ninety_five_percent() -> OpenShare {
    OpenShare::new(0.95).expect("0.95 lies between 0 and 1")
}

fn one_minute() -> PositiveSpan {
    PositiveSpan::seconds(60)
}

fn one_day() -> DeadlineSpec {
    DeadlineSpec::After(Span::seconds(86_400))
}

fn yes() -> bool {
    true
}

/// What every server shall run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// The version.
    pub version: Version,
}

/// A schedule that is given instead of searched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScheduleSpec {
    /// When the first batch goes out.
    #[serde(default)]
    pub start_at: Option<Instant>,
    /// Who goes out together, in order.
    #[serde(default)]
    pub batches: Option<Vec<Vec<ServerName>>>,
}

/// How many servers may be out.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BatchSpec {
    /// At most so many at once; 50% unless given. A share rounds down.
    #[serde(default = "half")]
    pub max_unavailable: CountOrPercent,
    /// At most so much surge at once; 100% unless given. A share rounds up.
    #[serde(default = "whole")]
    pub max_surge: CountOrPercent,
    /// The first batch.
    #[serde(default)]
    pub canary: CanarySpec,
    /// Further bounds, by zone.
    #[serde(default)]
    pub limits: Vec<LimitSpec>,
}

fn half() -> CountOrPercent {
    CountOrPercent::Percent("50%".parse().expect("50% is a percentage"))
}

fn whole() -> CountOrPercent {
    CountOrPercent::Percent(Percent::WHOLE)
}

impl Default for BatchSpec {
    fn default() -> Self {
        Self {
            max_unavailable: half(),
            max_surge: whole(),
            canary: CanarySpec::default(),
            limits: Vec::new(),
        }
    }
}

/// The first batch, which shows whether the target works.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CanarySpec {
    /// How many servers: `auto`, or a count.
    #[serde(default)]
    pub size: CanarySize,
    /// How long it is watched before the next batch.
    #[serde(default)]
    pub watch: Span,
}

/// The size of the first batch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum CanarySize {
    /// The planner chooses.
    #[default]
    Auto,
    /// So many servers; a share rounds down, but not to nothing.
    Fixed(CountOrPercent),
}

impl<'de> Deserialize<'de> for CanarySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = CanarySize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, a whole number of at least 1, or a percentage such as \"5%\"")
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<CanarySize, E> {
                match u32::try_from(count) {
                    Ok(count) if count > 0 => Ok(CanarySize::Fixed(CountOrPercent::Count(count))),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(count), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<CanarySize, E> {
                if text == "auto" {
                    return Ok(CanarySize::Auto);
                }
                match text.parse::<Percent>() {
                    Ok(percent) if percent > Percent::ZERO => {
                        Ok(CanarySize::Fixed(CountOrPercent::Percent(percent)))
                    }
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for CanarySize {
    fn schema_name() -> Cow<'static, str> {
        "CanarySize".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let count = generator.subschema_for::<CountOrPercent>();
        json_schema!({ "anyOf": [{ "const": "auto" }, count] })
    }
}

/// What servers are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LimitBy {
    /// By availability zone.
    Zone,
}

/// A bound on the servers that are out within each group.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LimitSpec {
    /// What servers are grouped by.
    pub by: LimitBy,
    /// At most so many of a group at once.
    pub max_unavailable: CountOrPercent,
}

/// Which losses the fleet has to survive while servers are out, all of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurviveSpec {
    /// So many servers.
    #[serde(default)]
    pub servers: u32,
    /// So many zones.
    #[serde(default)]
    pub zones: u32,
}

/// What the surge may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// At most so much, in the currency of the fleet.
    #[serde(default)]
    pub amount: Option<Money>,
}

/// How long to watch after the last batch: `10m`, or `{min: 10m, untilLoad: "80%"}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StabilisationSpec {
    /// At least so long.
    pub min: Span,
    /// Until the fleet carried this share of its capacity.
    pub until_load: Option<Percent>,
}

impl Default for StabilisationSpec {
    fn default() -> Self {
        Self { min: Span::seconds(600), until_load: None }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "StabilisationParts")]
struct Watch {
    min: Span,
    #[serde(default)]
    until_load: Option<Percent>,
}

impl<'de> Deserialize<'de> for StabilisationSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = StabilisationSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 10m, or { min: 10m, untilLoad: \"80%\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StabilisationSpec, E> {
                let min = text.parse().map_err(E::custom)?;
                Ok(StabilisationSpec { min, until_load: None })
            }
            fn visit_map<A: de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<StabilisationSpec, A::Error> {
                let watch = Watch::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(StabilisationSpec { min: watch.min, until_load: watch.until_load })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for StabilisationSpec {
    fn schema_name() -> Cow<'static, str> {
        "Stabilisation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (span, watch) = (generator.subschema_for::<Span>(), generator.subschema_for::<Watch>());
        json_schema!({ "oneOf": [span, watch] })
    }
}
