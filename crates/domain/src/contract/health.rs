//! What every `health` adapter has to show.
