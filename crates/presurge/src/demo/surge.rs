//! Surge of the demo: more servers of the same kind, from the production provisioner of local
//! processes. Those outlive whoever started them, unless they are given back; the servers of the
//! demo end with it by themselves, and [`give_back`] does not wait for that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adapters::provisioner::process::{PortRange, ProcessConfig, Processes, Ready};
use domain::name::Version;
use domain::ports::{PortError, Progress, Provisioner, SurgeOrder};

use super::fleet::Fleet;
use super::outlook::offer_name;
use super::settings::{SURGE_PORTS, SURGE_PORTS_EACH};

/// From one question to the next, in real time.
const POLL: Duration = Duration::from_millis(20);

/// A provisioner whose servers run `version`, with its records in `folder`.
///
/// # Errors
/// When the folder cannot be used.
pub fn provisioner(
    fleet: &Fleet,
    version: &Version,
    folder: &Path,
) -> Result<Arc<dyn Provisioner>, PortError> {
    let (tag, value) = fleet.tag();
    let config = ProcessConfig {
        command: fleet.command("{port}", version),
        ports: ports(),
        ready: Ready::default(),
        env: [(tag.to_owned(), value)].into(),
        stop_timeout: "2s".parse().expect("two seconds are a length of time"),
        working_directory: None,
    };
    Ok(Arc::new(Processes::new(config, folder, folder)?))
}

/// A piece of the ports of surge, so that demos side by side do not reach for the same ones.
fn ports() -> PortRange {
    let pieces = u32::from((SURGE_PORTS.end - SURGE_PORTS.start) / SURGE_PORTS_EACH);
    let piece = u16::try_from(std::process::id() % pieces).unwrap_or(0);
    let first = SURGE_PORTS.start + piece * SURGE_PORTS_EACH;
    let text = format!("{first}-{}", first + SURGE_PORTS_EACH - 1);
    text.parse().expect("two ports in order are a range")
}

/// Ends every instance there is, and waits for that.
///
/// # Errors
/// When they cannot be ended; they end by themselves once the demo has.
pub async fn give_back(provisioner: &dyn Provisioner) -> Result<(), PortError> {
    for instance in provisioner.observe().await? {
        let (key, offer) = (instance.key, offer_name());
        let order = SurgeOrder { key, offer, names: Vec::new(), version: None };
        while let Progress::Pending { .. } = provisioner.ensure_surge(&order).await? {
            pause().await;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real processes are waited for in real time")]
async fn pause() {
    tokio::time::sleep(POLL).await;
}
