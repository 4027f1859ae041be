//! Three regimes over many traces.
