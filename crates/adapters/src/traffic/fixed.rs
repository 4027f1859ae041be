//! No load balancer: every server of the fleet is always in service. Enough to plan with; nothing
//! can be drained, so no rollout can act.

use async_trait::async_trait;
use domain::ports::{
    Admission, Backend, BackendState, Drained, PortError, Progress, Retry, Target, Traffic, Wanted,
};

/// The servers of a fleet without a load balancer.
#[derive(Debug, Clone)]
pub struct FixedTraffic {
    servers: Vec<Target>,
}

impl FixedTraffic {
    /// These servers, always in service.
    pub fn new(servers: Vec<Target>) -> Self {
        Self { servers }
    }
}

#[async_trait]
impl Traffic for FixedTraffic {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let in_service = |target: &Target| Backend {
            server: target.server.clone(),
            address: target.address.clone(),
            state: BackendState::InService,
            in_flight: None,
            weight: None,
            served: None,
        };
        Ok(self.servers.iter().map(in_service).collect())
    }

    /// `Done` for what is so already: full weight for a server of the fleet, and anything but
    /// admission for a server that is not in it. Everything else is an error that says what to
    /// configure.
    async fn ensure_admission(
        &self,
        admission: &Admission,
    ) -> Result<Progress<Drained>, PortError> {
        let server = &admission.target.server;
        let known = self.servers.iter().any(|target| target.server == *server);
        let verb = match admission.wanted {
            Wanted::Admit(100) if known => return Ok(Progress::Done(Drained::default())),
            Wanted::Drain | Wanted::Cut | Wanted::Remove if !known => {
                return Ok(Progress::Done(Drained::default()));
            }
            Wanted::Admit(_) => "admit",
            Wanted::Drain => "drain",
            Wanted::Cut => "cut the connections of",
            Wanted::Remove => "remove",
        };
        Err(PortError::new(
            "static traffic",
            format!("{verb} {server}"),
            Retry::Never,
            "the fleet has no load balancer; set traffic, for instance to haproxy, or only plan",
        ))
    }
}

#[cfg(test)]
mod tests {
    use domain::name::{Key, ServerName};

    use super::*;

    fn target(name: &str) -> Target {
        Target { server: ServerName::new(name).unwrap(), address: None }
    }

    async fn ensure(name: &str, wanted: Wanted) -> Result<Progress<Drained>, PortError> {
        let traffic = FixedTraffic::new(vec![target("web-1"), target("web-2")]);
        let admission = Admission { key: Key::of(&["k"]), target: target(name), wanted };
        traffic.ensure_admission(&admission).await
    }

    #[tokio::test]
    async fn everybody_is_in_service() {
        let traffic = FixedTraffic::new(vec![target("web-1"), target("web-2")]);
        let seen = traffic.observe().await.unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|backend| backend.state == BackendState::InService));
    }

    #[tokio::test]
    async fn what_is_so_already_is_done_and_the_rest_is_refused() {
        let done = Progress::Done(Drained::default());
        assert_eq!(ensure("web-1", Wanted::Admit(100)).await.unwrap(), done);
        assert_eq!(ensure("gone", Wanted::Drain).await.unwrap(), done);
        assert_eq!(ensure("gone", Wanted::Remove).await.unwrap(), done);
        for (name, wanted) in [
            ("web-1", Wanted::Admit(50)),
            ("web-1", Wanted::Drain),
            ("web-1", Wanted::Remove),
            ("gone", Wanted::Admit(100)),
        ] {
            let error = ensure(name, wanted).await.unwrap_err();
            assert_eq!(error.retry, Retry::Never);
            assert!(error.chain().contains("set traffic"), "{}", error.chain());
        }
    }
}
