//! What every `load` adapter has to show.
