//! What can be odd about samples, and what makes them useless.

use std::fmt;

use jiff::Timestamp;

/// Something odd that has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Samples that are older than the one before them; sorted.
    OutOfOrder {
        /// How many.
        samples: usize,
    },
    /// Further samples in a step that has one; averaged.
    Duplicates {
        /// How many.
        samples: usize,
    },
    /// Samples that are no number; left out.
    NotFinite {
        /// How many.
        samples: usize,
    },
    /// Samples after now; left out.
    Future {
        /// How many.
        samples: usize,
    },
    /// Newest steps that may still change; left out.
    Incomplete {
        /// How many.
        steps: usize,
    },
    /// Short gaps, bridged by straight lines.
    Bridged {
        /// How many steps.
        steps: usize,
    },
    /// Long gaps, left open.
    Gaps {
        /// How many gaps.
        gaps: usize,
        /// How many steps they have together.
        steps: usize,
        /// How many steps the longest has.
        longest: usize,
    },
    /// Oldest steps that were left out, because the grid would be too long.
    Truncated {
        /// How many.
        steps: u64,
    },
    /// So few values that a forecast rests on assumptions.
    Short {
        /// How many there are.
        values: usize,
    },
    /// All values are the same.
    Constant,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrder { samples } => {
                write!(f, "{samples} samples are older than the one before them; sorted")
            }
            Self::Duplicates { samples } => {
                write!(f, "{samples} further samples in steps that have one; averaged")
            }
            Self::NotFinite { samples } => {
                write!(f, "{samples} samples are not finite numbers; left out")
            }
            Self::Future { samples } => write!(f, "{samples} samples lie after now; left out"),
            Self::Incomplete { steps } => {
                write!(f, "the newest {steps} steps are not complete yet; left out")
            }
            Self::Bridged { steps } => {
                write!(f, "{steps} steps in short gaps were bridged by straight lines")
            }
            Self::Gaps { gaps, steps, longest } => {
                write!(
                    f,
                    "{gaps} long gaps of {steps} steps together (longest {longest}) stay open"
                )
            }
            Self::Truncated { steps } => {
                write!(f, "the oldest {steps} steps were left out: the grid would be too long")
            }
            Self::Short { values } => write!(f, "only {values} values"),
            Self::Constant => f.write_str("all values are the same"),
        }
    }
}

/// Why there is no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HygieneError {
    /// No samples at all.
    #[error("there are no samples")]
    Empty,
    /// No sample is a number.
    #[error("none of the {samples} samples is a finite number")]
    AllGaps {
        /// How many samples there are.
        samples: usize,
    },
    /// All samples lie after now.
    #[error("no sample lies at or before {now}")]
    NothingBefore {
        /// The instant after which nothing is used.
        now: Timestamp,
    },
    /// No step is complete yet.
    #[error("no step is complete yet: the newest samples need their delay")]
    NothingComplete,
    /// The step cannot be found: give it, or give samples at two instants.
    #[error("the step cannot be found from samples at a single instant; give the step")]
    NoStep,
}
