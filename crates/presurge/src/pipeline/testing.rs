//! What tests prepare from a text.

use std::path::Path;
use std::sync::Arc;

use domain::ports::Clock;

use super::Prepared;
use crate::documents;

/// A fleet of six servers whose load lies in `load.csv`, and a rollout of it.
pub const SIX_SERVERS: &str = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers: { static: { prefix: web, count: 6 } }
  capacity: { requests: 100 }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge: { offers: [{ name: od, capacity: { requests: 100 }, price: 0.2, lead: 3m, max: 6 }] }
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: { name: kernel }\nspec:
  fleets: [web]
  target: { version: \"2\" }
  risk: 0.02
  deadline: 3h\n";

impl Prepared {
    /// The rollout of a file, which has one, of one fleet.
    pub fn of_file(file: &Path, clock: &Arc<dyn Clock>) -> Self {
        let documents = documents::load(&[file.to_path_buf()], clock);
        let documents = documents.unwrap_or_else(|error| panic!("{error}"));
        Self::new(&documents, None, clock, &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The rollout of a text, which lies in a folder of its own that is gone by then.
    pub fn of_text(text: &str, clock: &Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.yaml");
        std::fs::write(&file, text).unwrap();
        Self::of_file(&file, clock)
    }
}
