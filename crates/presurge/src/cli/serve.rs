//! `presurge serve`: the daemon, and `presurge token`: a token for it.

use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::Args;
use domain::config::Span;
use domain::ports::Clock;
use ring::rand::{SecureRandom, SystemRandom};
use rollout::settings::Pace;

use super::apply::anchoring::Anchoring;
use super::store::StoreArgs;
use super::{Code, Failed, runtime};
use crate::documents;
use crate::serve::access::{Access, Role, Token, known_by};
use crate::serve::listen::Place;
use crate::serve::{self, Mode, Wanted};

/// Runs the daemon: drives rollouts that nobody else drives, and answers over HTTP. Several of them
/// share a store in PostgreSQL: what one that is gone has driven, another takes over.
#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration files: the fleets, and rollouts that may be begun by name
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to listen: an address of this machine, or unix:PATH
    #[arg(long, value_name = "ADDRESS|unix:PATH", default_value = "127.0.0.1:7070")]
    listen: Place,
    /// How far to go
    #[arg(long, value_enum, default_value = "observe")]
    mode: Mode,
    /// Who may do what: a file of tokens (docs/serve.md)
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// The certificate to show, with those between it and its root, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The most rollouts that this replica drives at once
    #[arg(long, value_name = "N", default_value_t = 2000)]
    most: usize,
    /// From one look at the world to the next
    #[arg(long, hide = true, default_value = "1s")]
    tick: Span,
    #[command(flatten)]
    anchoring: Anchoring,
    #[command(flatten)]
    store: StoreArgs,
}

impl Serve {
    pub fn run(self) -> Result<Code, Failed> {
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<Code, Failed> {
        let key = self.anchoring.key()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        let access = match &self.tokens {
            Some(file) => Access::read(file).map_err(Failed::data)?,
            None => Access::default(),
        };
        let tick = self.tick.duration();
        let pace = Pace { tick, load_every: tick.saturating_mul(5), ..Pace::default() };
        let anchors = Arc::new(self.anchoring.start(key, || Ok(Vec::new()))?);
        serve::run(Wanted {
            listen: self.listen,
            store: self.store,
            documents,
            mode: self.mode,
            access,
            tls: self.tls_cert.zip(self.tls_key),
            pace,
            most: self.most,
            clock,
            anchors,
        })
        .await
    }
}

/// Makes a token for `presurge serve`. The token goes to standard output, once; the line for the
/// file of tokens, which does not tell it, to standard error.
#[derive(Debug, Args)]
pub struct MakeToken {
    /// Whose it is, as the journal will name them
    #[arg(value_name = "NAME")]
    name: String,
    /// What it lets them do
    #[arg(long, value_enum)]
    role: Role,
}

impl MakeToken {
    pub fn run(self) -> Result<Code, Failed> {
        let mut random = [0_u8; 24];
        let made = SystemRandom::new().fill(&mut random);
        made.map_err(|_| Failed::new(Code::Error, "the system has no random numbers"))?;
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("presurge_{digits}");
        let line = Token {
            name: self.name,
            sha256: known_by(&token),
            role: self.role,
            fleets: Default::default(),
        };
        println!("{token}");
        eprintln!(
            "add to the file of tokens, under `tokens:`\n  - {}",
            serde_json::to_string(&line)?
        );
        Ok(Code::Done)
    }
}
