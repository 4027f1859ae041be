//! What goes into the network and what comes out: the places of its inputs and outputs.
//!
//! Trainer, file and inference read the same numbers here. A change to any of them is a new
//! format of the file ([`super::weights::FORMAT`]).

/// The levels of the quantiles that come out, rising; the middle one is the centre.
pub const LEVELS: [f32; 7] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
/// The place of the median in [`LEVELS`].
pub const MEDIAN: usize = 2;

/// Naive forecasts of one step, between which the network weighs (see [`super::track`]).
pub const CANDIDATES: usize = 11;
/// Deviations of a value that are followed: from the day before, the day's profile, the week
/// before, the week's profile.
pub const DEVIATIONS: usize = 4;

/// Sine and cosine of the time of day and of the day in the week.
pub const CALENDAR: usize = 4;
/// Sine and cosine of the place in the shorter and in the longer season.
pub const PHASES: usize = 4;

/// Inputs of the cell at one value, before calendar and regressors: deviations, the change to
/// the value before, the change that the profile makes next, whether the value is a gap.
pub const CELL_OWN: usize = DEVIATIONS + 3 + PHASES;
/// What is known of the series at an origin: whether it has a longer season, the length of the
/// shorter one, sizes of deviations, the size of the season, fast and slow means of deviations.
pub const STATICS: usize = 3 + DEVIATIONS + 2 * DEVIATIONS;
/// Inputs of the head at one step ahead, before calendar and regressors: the candidates beside
/// the first, how far ahead the step is (in steps, and in seasons).
pub const STEP_OWN: usize = CANDIDATES - 1 + 2 + PHASES;

/// Outputs of the head: a score of each candidate, a correction, the gaps between quantiles.
pub const OUTPUTS: usize = CANDIDATES + 1 + LEVELS.len() - 1;

/// The sizes of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Units of the cell.
    pub cell: usize,
    /// Units of the hidden layer of the head.
    pub head: usize,
    /// Columns of regressors that are known ahead.
    pub regressors: usize,
    /// Whether the network was trained with the calendar.
    pub calendar: Calendar,
}

/// Whether timestamps mean something to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// The inputs are zero: the network goes by the seasons of the series alone.
    Unused,
    /// Time of day and day of the week, in UTC.
    Used,
}

impl Shape {
    /// The units that networks are trained with.
    pub const CELL: usize = 32;
    /// The units of the head that networks are trained with.
    pub const HEAD: usize = 32;

    /// Inputs of the cell beside its own last output.
    pub fn cell_inputs(&self) -> usize {
        CELL_OWN + CALENDAR + self.regressors
    }

    /// Inputs of the head at one step ahead, beside what it knows of the origin.
    pub fn step_inputs(&self) -> usize {
        STEP_OWN + CALENDAR + self.regressors
    }

    /// What the head knows of the origin: the state of the cell, and of the series.
    pub fn origin_inputs(&self) -> usize {
        self.cell + STATICS
    }

    /// Rows and columns of the matrices, in the order of the file. Each is stored by rows; a row
    /// is one input. Biases are matrices of one row.
    pub fn matrices(&self) -> [(usize, usize); 7] {
        [
            (self.cell_inputs() + self.cell, 4 * self.cell),
            (1, 4 * self.cell),
            (self.origin_inputs(), self.head),
            (self.step_inputs(), self.head),
            (1, self.head),
            (self.head, OUTPUTS),
            (1, OUTPUTS),
        ]
    }

    /// How many numbers all matrices hold.
    pub fn parameters(&self) -> usize {
        self.matrices().iter().map(|(rows, columns)| rows * columns).sum()
    }
}
