//! What every `updater` adapter has to show.
