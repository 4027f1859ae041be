//! Which daemon is asked instead of a store.

use std::path::PathBuf;

use clap::Args;
use reqwest::StatusCode;

use super::{Code, Failed};
use crate::client::{Client, ClientError};

/// The daemon.
#[derive(Debug, Clone, Args)]
pub struct DaemonArgs {
    /// Ask a running `presurge serve` instead of the store: http://HOST:PORT, https://HOST:PORT or
    /// unix:PATH. Its token is the first line of --token-file, or PRESURGE_TOKEN
    #[arg(long, value_name = "ADDRESS", env = "PRESURGE_DAEMON", global = true)]
    daemon: Option<String>,
    /// A file with the token for --daemon
    #[arg(long, value_name = "FILE", env = "PRESURGE_TOKEN_FILE", global = true)]
    token_file: Option<PathBuf>,
    /// The certificates, PEM, of who may vouch for --daemon, instead of those of the system
    #[arg(long, value_name = "FILE", env = "PRESURGE_DAEMON_CA", global = true)]
    daemon_ca: Option<PathBuf>,
}

impl DaemonArgs {
    /// The daemon, where one is to be asked.
    pub fn client(&self) -> Result<Option<Client>, Failed> {
        let Some(place) = &self.daemon else { return Ok(None) };
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|e| Failed::data(format!("{}: {e}", path.display())))?;
                text.lines().next().map(str::to_owned)
            }
            None => std::env::var("PRESURGE_TOKEN").ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let client = Client::new(place, token, self.daemon_ca.as_deref());
        Ok(Some(client.map_err(Failed::usage)?))
    }
}

/// With the exit code that the answer means.
pub fn failed(error: ClientError) -> Failed {
    let code = match &error {
        ClientError::Refused { status: StatusCode::CONFLICT, .. } => Code::Refused,
        ClientError::Refused { status, .. } if matches!(status.as_u16(), 400 | 404 | 422) => {
            Code::BadData
        }
        _ => Code::Error,
    };
    Failed::new(code, error)
}
