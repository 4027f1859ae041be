//! The auto-scaler of a fleet, as it is written.

use super::adapter::with_adapter;

with_adapter!(
    /// The auto-scaler that must not fight the rollout: for its time the minimum, the maximum and the
    /// members that are not ended are set, and put back afterwards.
    pub struct SizeSpec for "size" optional {
        /// Processes of the auto-scaler that are suspended meanwhile, by the names that it has for them.
        suspend("suspend"): Vec<String> = Vec::new(),
    }
);
