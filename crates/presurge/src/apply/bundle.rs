//! The documents of a rollout, kept in the archive beside its journal: whoever takes it over reads them
//! there, and needs no file of whoever began it.

use std::path::PathBuf;
use std::sync::Arc;

use domain::journal::{Digest, Record};
use domain::ports::{Archive, Clock, PortError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::documents::{BadDocuments, Documents, Given, RolloutFile, of_given};

/// A rollout and its fleets, as they were written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    documents: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Its relative paths are relative to this folder.
    folder: PathBuf,
    document: Value,
}

/// Why documents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// They are not there, or are something else.
    #[error("the archive does not have the documents of the rollout: {0}")]
    Lost(String),
    /// This build does not accept them.
    #[error("the documents of the rollout are not accepted")]
    Bad(#[from] BadDocuments),
}

/// The documents of a rollout and of its fleets.
pub fn of(documents: &Documents, rollout: &RolloutFile) -> Vec<Given> {
    let folder = |folder: &PathBuf| std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
    let fleets = rollout.parts.iter().map(|part| documents.fleet(part));
    let fleet = |file: &crate::documents::FleetFile| {
        (format!("fleet {}", file.fleet.name), folder(&file.folder), file.document())
    };
    let name = format!("rollout {}", rollout.rollout().name);
    let own = (name, folder(&rollout.folder), rollout.document());
    fleets.map(fleet).chain([own]).collect()
}

/// Keeps documents; the digest that they are found by.
pub async fn keep(archive: &dyn Archive, documents: &[Given]) -> Result<Digest, PortError> {
    let kept =
        |(_, folder, document): &Given| Kept { folder: folder.clone(), document: document.clone() };
    let bundle = Bundle { documents: documents.iter().map(kept).collect() };
    archive.put(&serde_json::to_vec(&bundle).unwrap_or_default()).await
}

/// The documents that the first record of a journal names; `None` where it names none.
pub async fn read(
    archive: &dyn Archive,
    first: &Record,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Documents>, BundleError> {
    match &first.inputs {
        Some(digest) => Ok(Some(under(archive, digest, clock).await?)),
        None => Ok(None),
    }
}

/// The documents that were kept under a digest.
///
/// # Errors
/// They are not there, or this build does not accept them.
pub async fn under(
    archive: &dyn Archive,
    digest: &Digest,
    clock: &Arc<dyn Clock>,
) -> Result<Documents, BundleError> {
    let lost = || BundleError::Lost(format!("{digest} is not there"));
    let bytes = archive.get(digest).await?.ok_or_else(lost)?;
    let bundle: Bundle =
        serde_json::from_slice(&bytes).map_err(|error| BundleError::Lost(error.to_string()))?;
    let given = |(index, kept): (usize, Kept)| {
        (format!("document {} of {}", index + 1, digest.short()), kept.folder, kept.document)
    };
    let given: Vec<Given> = bundle.documents.into_iter().enumerate().map(given).collect();
    Ok(of_given(&given, clock)?)
}

#[cfg(test)]
mod tests {
    use adapters::clock::SystemClock;
    use store::Sqlite;

    use super::*;
    use crate::pipeline::Together;

    #[tokio::test]
    async fn what_is_kept_has_the_digest_of_what_was_read() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let folder = tempfile::tempdir().unwrap();
        let one = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers: { static: { prefix: web, count: 3 } }
  capacity: { requests: 1e3 }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1s, update: 1s, warmup: 0s }
---
apiVersion: presurge/v1\nkind: Rollout\nmetadata: { name: kernel }\nspec:
  fleets: [web]\n  target: { version: \"6.10\" }\n  risk: 0.010\n  margin: 0%\n";
        let path = folder.path().join("web.yaml");
        std::fs::write(&path, one).unwrap();
        let documents = crate::documents::load(&[path], &clock).unwrap();
        let store = Sqlite::in_memory().unwrap();
        let given = of(&documents, documents.rollout(None).unwrap());
        let digest = keep(&store, &given).await.unwrap();
        let head = domain::journal::Head::empty();
        let id = domain::name::RolloutId::new("kernel#1").unwrap();
        let entry = domain::journal::Entry {
            at: clock.now(),
            actor: domain::journal::Actor::decider(),
            cause: None,
            reason: String::new(),
            inputs: Some(digest),
            event: domain::event::Event::PauseRequested {},
        };
        let first = Record::chain(&id, &head, entry);
        let again = read(&store, &first, &clock).await.unwrap().unwrap();
        let config = |documents: &Documents| {
            let all = Together::new(documents, Some("kernel"), &clock, &[]).unwrap();
            (all.parts[0].config.clone(), all.parts[0].fleet_here.folder.clone())
        };
        assert_eq!(config(&documents), config(&again));
    }
}
