//! What every `traffic` adapter has to show.
