//! Which adapters there are: one line each, with its key in the configuration.
//!
//! A new adapter is one line in one of the tables below. Its configuration is checked with its
//! place in the file, its schema becomes part of the published one, and its name is offered when
//! somebody mistypes it. Nothing else in the program names an adapter.

mod adapter;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::health::command::{CommandConfig, CommandHealth};
use adapters::health::http::{HttpConfig, HttpHealth};
use adapters::health::promql::{PromqlConfig, PromqlHealth};
use adapters::health::tcp::{TcpConfig, TcpHealth};
use adapters::hook::exec::{ExecHook, ExecHookConfig};
use adapters::load::csv::{CsvConfig, CsvLoad};
use adapters::load::prometheus::{PrometheusConfig, PrometheusLoad};
use adapters::notify::alertmanager::{Alertmanager, AlertmanagerConfig};
use adapters::notify::slack::{Slack, SlackConfig};
use adapters::notify::webhook::{Webhook, WebhookConfig};
use adapters::provisioner::process::{ProcessConfig, Processes};
use adapters::signal::csv::{CsvSignals, CsvSignalsConfig};
use adapters::signal::holidays::{Holidays, HolidaysConfig};
use adapters::signal::ical::{IcalConfig, IcalSignals};
use adapters::size::exec::{ExecSize, ExecSizeConfig};
use adapters::traffic::haproxy::{Haproxy, HaproxyConfig};
use adapters::updater::exec::{Exec, ExecConfig};
use domain::config::{AdapterRef, Findings, nearest};
use domain::ports::{
    Clock, Health, Hook, LoadSource, Notify, PortError, Provisioner, Retry, SignalSource, Size,
    Traffic, Updater,
};

pub use self::adapter::BadAdapter;
use self::adapter::{Adapter, adapter};
pub use self::schema::published;

/// What adapters are made with.
#[derive(Clone)]
pub struct Here {
    /// The folder of the file that names the adapter: relative paths are relative to it.
    pub folder: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where adapters of one fleet remember what they started, beside the store whose keys they
    /// are given; `None` where nothing is started.
    pub state: Option<PathBuf>,
}

impl Here {
    /// The folder of the state, for adapters that cannot do without.
    fn state(&self) -> Result<&Path, PortError> {
        self.state.as_deref().ok_or_else(|| {
            let reason = "it keeps state on disk, and there is no store here";
            PortError::new("registry", "make an adapter", Retry::Never, reason)
        })
    }
}

/// Load sources, under `load.<dimension>`.
#[rustfmt::skip]
const LOAD: &[Adapter<dyn LoadSource>] = &[
    adapter!("csv": LoadSource, CsvConfig, |config, here| CsvLoad::new(config, &here.folder)),
    adapter!("prometheus": LoadSource, PrometheusConfig, |config, here| PrometheusLoad::new(config, &here.folder, here.clock.clone())?),
];

/// Events and outside series, in `signals`.
#[rustfmt::skip]
const SIGNAL: &[Adapter<dyn SignalSource>] = &[
    adapter!("ical": SignalSource, IcalConfig, |config, here| IcalSignals::new(config, &here.folder)),
    adapter!("holidays": SignalSource, HolidaysConfig, |config, _| Holidays::new(&config)?),
    adapter!("csv": SignalSource, CsvSignalsConfig, |config, here| CsvSignals::new(config, &here.folder)),
];

/// Load balancers, under `traffic`.
#[rustfmt::skip]
const TRAFFIC: &[Adapter<dyn Traffic>] = &[
    adapter!("haproxy": Traffic, HaproxyConfig, |config, here| Haproxy::new(config, &here.folder)?),
];

/// Health gates, in `gates`.
#[rustfmt::skip]
const HEALTH: &[Adapter<dyn Health>] = &[
    adapter!("http": Health, HttpConfig, |config, _| HttpHealth::new(config)?),
    adapter!("tcp": Health, TcpConfig, |config, _| TcpHealth::new(config)?),
    adapter!("promql": Health, PromqlConfig, |config, here| PromqlHealth::new(config, &here.folder)?),
    adapter!("command": Health, CommandConfig, |config, here| CommandHealth::new(config, &here.folder)?),
];

/// Updaters, under `update`.
#[rustfmt::skip]
const UPDATER: &[Adapter<dyn Updater>] = &[
    adapter!("exec": Updater, ExecConfig, |config, here| Exec::new(config, &here.folder, here.state()?)?),
];

/// Where surge comes from, under `surge.provisioner`.
#[rustfmt::skip]
const PROVISIONER: &[Adapter<dyn Provisioner>] = &[
    adapter!("process": Provisioner, ProcessConfig, |config, here| Processes::new(config, &here.folder, here.state()?)?),
];

/// Whom to tell, in `notify`.
#[rustfmt::skip]
const NOTIFY: &[Adapter<dyn Notify>] = &[
    adapter!("webhook": Notify, WebhookConfig, |config, _| Webhook::new(config)?),
    adapter!("slack": Notify, SlackConfig, |config, _| Slack::new(config)?),
    adapter!("alertmanager": Notify, AlertmanagerConfig, |config, _| Alertmanager::new(config)?),
];

/// What runs at the points of a rollout, in `hooks`.
#[rustfmt::skip]
const HOOK: &[Adapter<dyn Hook>] = &[
    adapter!("exec": Hook, ExecHookConfig, |config, here| ExecHook::new(config, &here.folder, here.state()?)?),
];

/// Auto-scalers that must not fight, under `size`.
#[rustfmt::skip]
const SIZE: &[Adapter<dyn Size>] = &[
    adapter!("exec": Size, ExecSizeConfig, |config, here| ExecSize::new(config, &here.folder, here.state()?)?),
];

/// A port, as the configuration knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// `servers`
    Servers,
    /// `load.<dimension>`
    Load,
    /// `traffic`
    Traffic,
    /// `update`
    Updater,
    /// `surge.provisioner`
    Provisioner,
    /// `gates[]`
    Health,
    /// `size`
    Size,
    /// `signals[]`
    Signal,
    /// `notify[]`
    Notify,
    /// `hooks.<point>`
    Hook,
}

impl Port {
    /// Every port, with the name that it has in [`domain::config::PORT_MARK`].
    const ALL: [(Self, &'static str); 10] = [
        (Self::Servers, "servers"),
        (Self::Load, "load"),
        (Self::Traffic, "traffic"),
        (Self::Updater, "updater"),
        (Self::Provisioner, "provisioner"),
        (Self::Health, "health"),
        (Self::Size, "size"),
        (Self::Signal, "signal"),
        (Self::Notify, "notify"),
        (Self::Hook, "hook"),
    ];

    /// The adapters that there are.
    pub fn names(self) -> Vec<&'static str> {
        fn of<P: ?Sized>(table: &'static [Adapter<P>]) -> Vec<&'static str> {
            table.iter().map(|adapter| adapter.name).collect()
        }
        match self {
            Self::Load => of(LOAD),
            Self::Traffic => of(TRAFFIC),
            Self::Updater => of(UPDATER),
            Self::Provisioner => of(PROVISIONER),
            Self::Health => of(HEALTH),
            Self::Notify => of(NOTIFY),
            Self::Hook => of(HOOK),
            Self::Size => of(SIZE),
            Self::Signal => of(SIGNAL),
            Self::Servers => Vec::new(),
        }
    }

    /// The adapters that the design names and that are not built yet.
    fn planned(self) -> &'static [&'static str] {
        match self {
            Self::Servers => &["asg", "kubernetes", "haproxy", "consul", "http"],
            Self::Load => &["cloudwatch", "datadog", "http", "kubernetes", "parquet"],
            Self::Traffic => &["alb", "nlb", "kubernetes", "nginx", "envoy", "traefik"],
            Self::Updater => &["ssh", "asg", "kubernetes", "ansible", "redfish"],
            Self::Provisioner => &["ec2", "asg", "kubernetes", "standby", "redfish"],
            Self::Health => &[],
            Self::Size => &["asg", "hpa", "keda"],
            Self::Signal => &["feed", "http", "prometheus"],
            Self::Notify => &["pagerduty", "email", "teams"],
            Self::Hook => &["http"],
        }
    }

    /// Whether an adapter of that name can be used, and if not, what to write instead.
    /// `fields` are the fields that may stand beside it.
    pub fn judge(self, name: &str, fields: &[&'static str]) -> Result<(), String> {
        let names = self.names();
        if names.contains(&name) {
            return Ok(());
        }
        let all: Vec<&str> = names.iter().chain(fields).copied().collect();
        let known = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        if self.planned().contains(&name) {
            return Err(format!("{name:?} is not supported yet (there are: {known})"));
        }
        let near = nearest(name, all.iter().copied());
        let near = near.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
        Err(format!("unknown field{near} (expected one of: {known})"))
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Servers => "servers",
            Self::Load => "source of load",
            Self::Traffic => "load balancer",
            Self::Updater => "updater",
            Self::Provisioner => "provisioner",
            Self::Health => "check",
            Self::Size => "auto-scaler",
            Self::Signal => "signal",
            Self::Notify => "receiver",
            Self::Hook => "hook",
        })
    }
}

/// Checks the configuration of an adapter of a port, without talking to anything outside.
/// An adapter that does not exist is not this function's business.
pub fn check(port: Port, entry: &AdapterRef, here: &Here) -> Result<(), Findings> {
    match port {
        Port::Load => adapter::check(LOAD, entry, here),
        Port::Traffic => adapter::check(TRAFFIC, entry, here),
        Port::Updater => adapter::check(UPDATER, entry, here),
        Port::Provisioner => adapter::check(PROVISIONER, entry, here),
        Port::Health => adapter::check(HEALTH, entry, here),
        Port::Notify => adapter::check(NOTIFY, entry, here),
        Port::Hook => adapter::check(HOOK, entry, here),
        Port::Size => adapter::check(SIZE, entry, here),
        Port::Signal => adapter::check(SIGNAL, entry, here),
        Port::Servers => Ok(()),
    }
}

/// The source of one dimension of load.
pub fn load(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn LoadSource>, BadAdapter> {
    adapter::build(LOAD, entry, here)
}

/// A source of events or outside series.
pub fn signal(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn SignalSource>, BadAdapter> {
    adapter::build(SIGNAL, entry, here)
}

/// The load balancer of a fleet.
pub fn traffic(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Traffic>, BadAdapter> {
    adapter::build(TRAFFIC, entry, here)
}

/// The updater of a fleet.
pub fn updater(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Updater>, BadAdapter> {
    adapter::build(UPDATER, entry, here)
}

/// Where the surge of a fleet comes from.
pub fn provisioner(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Provisioner>, BadAdapter> {
    adapter::build(PROVISIONER, entry, here)
}

/// A health gate.
pub fn health(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Health>, BadAdapter> {
    adapter::build(HEALTH, entry, here)
}

/// The auto-scaler of a fleet.
pub fn size(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Size>, BadAdapter> {
    adapter::build(SIZE, entry, here)
}

/// Something that runs at a point of a rollout.
pub fn hook(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Hook>, BadAdapter> {
    adapter::build(HOOK, entry, here)
}

/// Somebody to tell.
pub fn notify(entry: &AdapterRef, here: &Here) -> Result<Arc<dyn Notify>, BadAdapter> {
    adapter::build(NOTIFY, entry, here)
}
