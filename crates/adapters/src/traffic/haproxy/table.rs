//! What HAProxy says about the servers of one backend, read by the names of its columns.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use domain::name::ServerName;
use domain::ports::{BackendState, Served};

use super::runtime::{Failure, quote};

/// Bits of `srv_admin_state`.
mod admin {
    /// Put into maintenance over the runtime API, inherited, or by the configuration.
    pub(super) const MAINTENANCE: u64 = 0x01 | 0x02 | 0x04;
    /// Put into maintenance over the runtime API.
    pub(super) const FORCED_MAINTENANCE: u64 = 0x01;
    /// Put into drain over the runtime API, or inherited.
    pub(super) const DRAIN: u64 = 0x08 | 0x10;
}

/// Bits of `srv_check_state`.
mod check {
    pub(super) const CONFIGURED: u64 = 0x02;
    pub(super) const ENABLED: u64 = 0x04;
}

/// One server of the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// `host:port` where HAProxy sends requests, if it has an address.
    pub(super) address: Option<String>,
    /// The weight that is set now, 0 to 256.
    pub(super) user_weight: u32,
    /// The weight of its configuration line.
    full_weight: u32,
    admin: u64,
    check: u64,
    status: String,
    check_status: String,
    sessions: u64,
    queued: u64,
    /// Sessions so far, where they are told; in HTTP mode each request is one.
    served: Option<u64>,
    /// The mean of the newest response times in milliseconds, where HAProxy speaks HTTP.
    response: Option<u64>,
}

impl Server {
    /// Whether new requests are kept away because somebody asked for that.
    pub(super) fn is_out(&self) -> bool {
        self.admin & (admin::MAINTENANCE | admin::DRAIN) != 0
    }

    pub(super) fn is_in_maintenance(&self) -> bool {
        self.admin & admin::MAINTENANCE != 0
    }

    /// A server that was added begins with its check asleep.
    pub(super) fn check_sleeps(&self) -> bool {
        self.admin & admin::FORCED_MAINTENANCE != 0
            && self.check & (check::CONFIGURED | check::ENABLED) == check::CONFIGURED
    }

    /// Requests under way, and those that wait for this server.
    pub(super) fn in_flight(&self) -> u64 {
        self.sessions.saturating_add(self.queued)
    }

    /// What HAProxy has counted of it. Its mean is a moving one over 512 responses, a plain one until
    /// there are so many (`swrate_add_dynamic` with `TIME_STATS_SAMPLES` in its source).
    pub(super) fn served(&self) -> Option<Served> {
        let response_micros = self.response.map(|millis| millis.saturating_mul(1000));
        Some(Served { requests: self.served?, response_micros })
    }

    /// Its share of the weight of its configuration line, in percent.
    pub(super) fn percent(&self) -> Option<u8> {
        let share = (100 * u64::from(self.user_weight)).checked_div(u64::from(self.full_weight))?;
        u8::try_from(share).ok()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight() == 0
    }

    /// Whether it gets new requests *and* its newest health check passed. `UP 1/2` is on its way
    /// down or up; `UP` alone can stem from before the first check when `fall` is 1.
    pub(super) fn serves(&self) -> bool {
        // The codes of a check that passed: L4OK, L6OK, L7OK, L7OKC, PROCOK.
        let checked = self.check_status.is_empty() || self.check_status.contains("OK");
        let up = self.status == "UP" && checked || self.status == "no check";
        up && !self.is_out() && self.user_weight > 0
    }

    pub(super) fn state(&self) -> BackendState {
        let asked = self.is_out() || self.user_weight == 0 || self.status.starts_with("DRAIN");
        if asked {
            BackendState::Drained
        } else if self.status.starts_with("UP") || self.status == "no check" {
            BackendState::InService
        } else {
            BackendState::Down
        }
    }

    /// The weight that is `percent` of the full one, but never nothing; `None` where the full
    /// weight is nothing.
    pub(super) fn weight_at(&self, percent: u8) -> Option<u32> {
        let share = (self.full_weight * u32::from(percent) + 50) / 100;
        (self.full_weight > 0).then(|| share.max(1))
    }
}

/// Every server of one backend.
#[derive(Debug)]
pub(super) struct Table {
    servers: BTreeMap<ServerName, Server>,
    proxy: Option<i64>,
}

impl Table {
    /// Reads the answers to `show servers state` and `show stat`, one after the other.
    ///
    /// A server whose name cannot be the name of a server of a fleet is left out.
    pub(super) fn parse(text: &str, backend: &str) -> Result<Self, Failure> {
        if text.trim_start().starts_with("Can't find backend") || text.contains("No such proxy") {
            return Err(Failure::never(format!("HAProxy has no backend {backend}")));
        }
        let strange = || {
            let what = format!("answered {} instead of its servers", quote(text));
            Failure::never(format!("{what}; is this the line `stats socket` of HAProxy?"))
        };
        if text.trim_start().starts_with("Permission denied") {
            return Err(Failure::refused(text));
        }
        let begin = text.find("# pxname,").ok_or_else(strange)?;
        let (states, stats) = text.split_at(begin);
        if !text.ends_with("\n\n") {
            return Err(Failure::later("the answer ends in the middle"));
        }
        let stats = read_stats(stats, backend).ok_or_else(strange)?;
        let mut states = read_states(states).ok_or_else(strange)?;
        let proxy = states.values().find_map(|row| row.get("be_id")?.parse().ok());
        let mut servers = BTreeMap::new();
        for row in stats {
            let Some(state) = row.get("svname").and_then(|name| states.remove(name)) else {
                continue;
            };
            let Some(Ok(name)) = row.get("svname").map(ServerName::new) else { continue };
            servers.insert(name, server(&row, &state).ok_or_else(strange)?);
        }
        Ok(Self { servers, proxy })
    }

    /// The number of the backend among the proxies; `None` where it has no servers.
    pub(super) fn proxy(&self) -> Option<i64> {
        self.proxy
    }

    pub(super) fn find(&self, name: &ServerName) -> Option<&Server> {
        self.servers.get(name)
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = (&ServerName, &Server)> {
        self.servers.iter()
    }

    /// The full weight that most servers have: the median. A newcomer with another weight would
    /// get a hundred times the share of its fellows, or a hundredth.
    pub(super) fn usual_weight(&self) -> Option<u32> {
        let mut weights: Vec<u32> =
            self.servers.values().map(|s| s.full_weight).filter(|weight| *weight > 0).collect();
        weights.sort_unstable();
        weights.get(weights.len() / 2).copied()
    }
}

/// One line of an answer, under the names of its head.
#[derive(Debug)]
struct Row {
    names: Rc<Vec<String>>,
    values: Vec<String>,
}

impl Row {
    fn get(&self, name: &str) -> Option<&String> {
        self.values.get(self.names.iter().position(|known| known == name)?)
    }
}

/// The rows of `show stat` that are servers of a backend.
fn read_stats(text: &str, backend: &str) -> Option<Vec<Row>> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).from_reader(text.strip_prefix("# ")?.as_bytes());
    let names: Rc<Vec<String>> = Rc::new(reader.headers().ok()?.iter().map(Into::into).collect());
    let place = |name: &str| names.iter().position(|known| known == name);
    let (kind, proxy) = (place("type")?, place("pxname")?);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.ok()?;
        if record.get(kind)? == "2" && record.get(proxy)? == backend {
            let values = record.iter().map(Into::into).collect();
            rows.push(Row { names: names.clone(), values });
        }
    }
    Some(rows)
}

/// The rows of `show servers state` by the name of the server.
fn read_states(text: &str) -> Option<HashMap<String, Row>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("# "));
    let names: Vec<String> = lines.next()?.strip_prefix("# ")?.split(' ').map(Into::into).collect();
    let names = Rc::new(names);
    let mut rows = HashMap::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let values = line.split(' ').map(Into::into).collect();
        let row = Row { names: names.clone(), values };
        rows.insert(row.get("srv_name")?.clone(), row);
    }
    Some(rows)
}

fn server(stat: &Row, state: &Row) -> Option<Server> {
    let number = |row: &Row, name: &str| row.get(name)?.parse::<u64>().ok();
    let weight = |name: &str| u32::try_from(number(state, name)?).ok().filter(|w| *w <= 256);
    Some(Server {
        address: stat.get("addr").filter(|address| !address.is_empty()).cloned(),
        user_weight: weight("srv_uweight")?,
        full_weight: weight("srv_iweight")?,
        admin: number(state, "srv_admin_state")?,
        check: number(state, "srv_check_state")?,
        status: stat.get("status")?.clone(),
        check_status: stat.get("check_status")?.clone(),
        sessions: number(stat, "scur")?,
        queued: number(stat, "qcur")?,
        served: number(stat, "stot"),
        response: number(stat, "rtime").filter(|_| stat.get("mode").is_some_and(|m| m == "http")),
    })
}
