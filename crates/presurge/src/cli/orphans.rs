//! `presurge orphans`: surge that nobody answers for, and its end.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use domain::name::{Key, OfferName};
use domain::ports::{Journal, Provisioner, Traffic};
use serde_json::json;

use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed, clock, runtime};
use crate::apply::orphans::{self, Orphan};
use crate::documents::{self, FleetFile};
use crate::registry::{self, Here};

/// Lists surge that carries Presurge's tag and belongs to no open rollout of the store; ends with 1
/// where there is some. Nothing is ended unless it is named.
#[derive(Debug, Args)]
pub struct Orphans {
    /// Configuration files, YAML or JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// End what was ordered under this key, if nobody answers for it: it is taken from the load
    /// balancer once no request is under way, and given back; again for each further one
    #[arg(long, value_name = "KEY")]
    end: Vec<String>,
    /// How to print what is left
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    store: StoreArgs,
}

/// A fleet that can buy surge.
struct Bought<'a> {
    file: &'a FleetFile,
    here: Here,
    provisioner: Arc<dyn Provisioner>,
    found: Vec<Orphan>,
}

impl Orphans {
    pub fn run(self) -> Result<Code, Failed> {
        runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let clock = clock(None)?;
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        let journal = self.store.existing()?;
        let journal = journal.as_deref().map(|journal| journal as &dyn Journal);
        let mut fleets = Vec::new();
        for file in documents.fleets.values() {
            let Some(entry) = &file.fleet.provisioner else { continue };
            let state = Some(self.store.state(&file.fleet.name)?);
            let here = Here { folder: file.folder.clone(), clock: clock.clone(), state };
            let provisioner = registry::provisioner(entry, &here).map_err(Failed::data)?;
            let found = orphans::suspects(provisioner.as_ref(), journal).await?;
            fleets.push(Bought { file, here, provisioner, found });
        }
        for key in &self.end {
            end(key, &fleets).await?;
        }
        let mut rows = Vec::new();
        for fleet in &fleets {
            let left = match self.end.is_empty() {
                true => fleet.found.clone(),
                false => orphans::suspects(fleet.provisioner.as_ref(), journal).await?,
            };
            rows.extend(left.iter().map(|orphan| {
                json!({
                    "fleet": fleet.file.fleet.name, "instance": orphan.instance.name,
                    "address": orphan.instance.address, "key": orphan.instance.key,
                    "why": orphan.why, "end": command(orphan, &self.files),
                })
            }));
        }
        let columns = ["fleet", "instance", "address", "key", "why", "end"];
        output::rows(&mut std::io::stdout().lock(), self.output, &columns, &rows)?;
        Ok(if rows.is_empty() { Code::Done } else { Code::Error })
    }
}

/// The command that ends an orphan.
pub fn command(orphan: &Orphan, files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let files = if files.is_empty() { "FILE".into() } else { files.join(" ") };
    format!("presurge orphans {files} --end {}", orphan.instance.key)
}

/// Ends what is suspected under a key; a key that somebody answers for is refused.
async fn end(key: &str, fleets: &[Bought<'_>]) -> Result<(), Failed> {
    let of_key = |orphan: &&Orphan| orphan.instance.key.as_str() == key;
    let owner = fleets.iter().find_map(|f| Some((f, f.found.iter().find(of_key)?)));
    let Some((fleet, orphan)) = owner else {
        let text = format!(
            "no orphan was ordered under {key}; what an open rollout holds is given back by it, or by \
             `presurge rollout abort` and `presurge apply`"
        );
        return Err(Failed::new(Code::Refused, text));
    };
    let key: &Key = &orphan.instance.key;
    let traffic = fleet.file.fleet.traffic.as_ref();
    let traffic: Option<Arc<dyn Traffic>> = traffic
        .map(|entry| registry::traffic(entry, &fleet.here))
        .transpose()
        .map_err(Failed::data)?;
    // A provisioner goes by the key; an offer it has to be told all the same.
    let fallback = fleet.file.fleet.offers.first().map(|offer| offer.name.clone());
    let fallback = fallback.or_else(|| OfferName::new("unknown").ok());
    let fallback = fallback.ok_or_else(|| Failed::data("the fleet has no offer of surge"))?;
    let by = (fleet.provisioner.as_ref(), traffic.as_deref());
    orphans::end(key, &fleet.found, by, (fleet.here.clock.as_ref(), &fallback)).await?;
    eprintln!("{key} is ended");
    Ok(())
}
