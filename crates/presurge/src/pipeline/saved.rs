//! Who forecasts: a forecaster that is fitted to the history when a plan is made, or one that was kept
//! and has taken in exactly this history. The state of one that was kept is kept with the plan.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::journal::Digest;
use domain::name::{Dimension, FleetName};
use domain::plan::PerDimension;
use domain::ports::Archive;
use forecast::AutoForecaster;

use super::archived::NotKept;
use super::{History, Prepared, which};

/// Who has forecasters at hand.
pub trait Forecasters: Send + Sync {
    /// The forecaster of a dimension that has taken in this history and nothing else, and is calibrated
    /// for `horizon` steps as far as any is. `None`: one has to be fitted.
    fn knowing(
        &self,
        fleet: &FleetName,
        dimension: &Dimension,
        history: &History,
        horizon: usize,
    ) -> Option<Saved>;
}

/// A forecaster with its state as bytes.
#[derive(Clone)]
pub struct Saved {
    /// The forecaster.
    pub forecaster: Arc<AutoForecaster>,
    /// Its state, from which [`AutoForecaster::load`] makes it again to the last bit.
    pub state: Arc<[u8]>,
    /// The digest of that.
    pub digest: Digest,
}

impl Saved {
    /// Saves a forecaster.
    pub fn of(forecaster: Arc<AutoForecaster>) -> Self {
        let state: Arc<[u8]> = forecaster.save().into();
        Self { digest: Digest::of_bytes(&state), forecaster, state }
    }
}

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Saved").field(&self.digest).finish()
    }
}

/// The forecasters that a past decision was made with, out of the archive.
struct Archived(BTreeMap<String, Saved>);

impl Forecasters for Archived {
    fn knowing(&self, fleet: &FleetName, of: &Dimension, _: &History, _: usize) -> Option<Saved> {
        self.0.get(&which(fleet, of)).cloned()
    }
}

/// The digests of the states that forecast, per `fleet/dimension`.
pub fn models(fleet: &FleetName, histories: &PerDimension<History>) -> BTreeMap<String, Digest> {
    let saved = histories.iter().filter_map(|(d, history)| Some((d, history.saved.as_ref()?)));
    saved.map(|(d, saved)| (which(fleet, d), saved.digest.clone())).collect()
}

impl Prepared {
    /// The same where forecasters are at hand.
    #[must_use]
    pub fn with_forecasters(self, forecasters: Arc<dyn Forecasters>) -> Self {
        Self { forecasters: Some(forecasters), ..self }
    }

    /// The same with the forecasters of a past decision; where it names none, one is fitted, as then.
    pub async fn with_models_of(
        self,
        archive: &dyn Archive,
        models: &BTreeMap<String, Digest>,
    ) -> Result<Self, NotKept> {
        let mut known = BTreeMap::new();
        for (which, digest) in models {
            let gone = || NotKept::GoneModel { which: which.clone(), digest: digest.clone() };
            let bytes = archive.get(digest).await?.ok_or_else(gone)?;
            let bad = |source| NotKept::BadModel { which: which.clone(), source };
            let forecaster = Arc::new(AutoForecaster::load(&bytes).map_err(bad)?);
            let saved = Saved { forecaster, state: bytes.into(), digest: digest.clone() };
            known.insert(which.clone(), saved);
        }
        Ok(self.with_forecasters(Arc::new(Archived(known))))
    }
}
