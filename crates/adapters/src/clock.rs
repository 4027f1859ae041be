//! The real clock, and one that runs faster for demonstrations.
