//! Tokens and certificate of a daemon that runs: their files are read again, so that a token that is taken
//! out of its file is refused soon, and a certificate that is renewed is shown.

use std::sync::Arc;

use tokio::sync::watch;

use super::settings::READ_AGAIN;
use super::tls::Shown;
use super::{Server, told};

/// Reads them again until the daemon ends. What cannot be read is a warning, and what was read before
/// stays in force.
pub async fn keep(server: Arc<Server>, shown: Option<Arc<Shown>>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = told(&mut stop) => return,
            () = server.pause(READ_AGAIN) => {}
        }
        server.take_anew("the tokens", server.access.read_again());
        if let Some(shown) = &shown {
            server.take_anew("the certificate", shown.read_again());
        }
    }
}

impl Server {
    fn take_anew(&self, what: &str, read: Result<bool, String>) {
        match read {
            Ok(true) => eprintln!("{what}: others are in force from now on"),
            Ok(false) => {}
            Err(why) => self.warn(format!("{what} from before stay in force: {why}")),
        }
    }
}
