//! Servers that Presurge stands on: they are never taken out.

use super::{Fleet, FleetServer, hint};
use crate::config::place::{Findings, Place};
use crate::name::ServerName;

/// Marks the servers that the document names under `self`.
pub(super) fn mark(own: &[ServerName], servers: &mut [FleetServer], findings: &mut Findings) {
    let place = Place::spec().key("self");
    for (index, name) in own.iter().enumerate() {
        match servers.iter_mut().find(|server| server.name == *name) {
            Some(server) => server.own = true,
            None => {
                let known: Vec<&str> = servers.iter().map(|s| s.name.as_str()).collect();
                let near = hint(name.as_str(), known);
                let message = format!("{:?} is no server of this fleet{near}", name.as_str());
                findings.add(place.index(index), message);
            }
        }
    }
}

impl Fleet {
    /// The same fleet as a host sees it: a server that is called like it, or is reached under its
    /// name, is the host itself. Case and domain make no difference. Addresses in numbers say nothing:
    /// every host is 127.0.0.1.
    #[must_use]
    pub fn seen_from(mut self, host: &str) -> Self {
        let short = |name: &str| {
            let name = name.trim().to_lowercase();
            name.split('.').next().unwrap_or_default().to_owned()
        };
        let host = short(host);
        if host.is_empty() || host == "localhost" || host.bytes().all(|b| b.is_ascii_digit()) {
            return self;
        }
        for server in &mut self.servers {
            let address = server.address.as_deref().and_then(|address| address.rsplit_once(':'));
            let reached = address.is_some_and(|(name, _)| short(name) == host);
            server.own |= reached || short(server.name.as_str()) == host;
        }
        self
    }

    /// The servers that are never taken out.
    pub fn own(&self) -> impl Iterator<Item = &FleetServer> {
        self.servers.iter().filter(|server| server.own)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::FleetDocument;

    fn own(host: &str) -> Vec<String> {
        let document = serde_json::json!({
            "apiVersion": "presurge/v1", "kind": "Fleet", "metadata": { "name": "web" },
            "spec": {
                "servers": { "static": { "servers": [
                    { "name": "web-1" }, { "name": "web-2.eu.example.com" },
                    { "name": "c", "address": "Web-3.eu.example.com:80" },
                    { "name": "d", "address": "127.0.0.1:80" }, { "name": "web-5" },
                ] } },
                "self": ["web-5"],
                "durations": { "drain": "1m", "update": "5m" },
                "capacity": { "requests": 10 },
                "load": { "requests": { "csv": { "path": "load.csv" } } },
            },
        });
        let document: FleetDocument = serde_json::from_value(document).unwrap();
        let fleet = document.check().unwrap_or_else(|f| panic!("{f:?}")).seen_from(host);
        fleet.own().map(|server| server.name.to_string()).collect()
    }

    #[test]
    fn a_host_knows_itself_by_its_name_and_by_nothing_else() {
        for (host, found) in [
            ("web-1", Some("web-1")),
            ("WEB-1.us.example.com\n", Some("web-1")),
            ("web-2", Some("web-2.eu.example.com")),
            ("web-3", Some("c")),
            ("web-33", None),
            ("localhost", None),
            ("127.0.0.1", None),
            ("", None),
        ] {
            let expected: Vec<&str> = found.into_iter().chain(["web-5"]).collect();
            assert_eq!(own(host), expected, "{host:?}");
        }
    }
}
