//! The file of weights, and what is wrong with one that cannot be used.
//!
//! The file is: eight bytes `PRESURGL`, the format (two bytes), units of the cell, units of the
//! head and regressors (two bytes each), whether the calendar is used (two bytes, 0 or 1), the
//! seed of the training (eight bytes), its epochs (four bytes), the held-out loss (four bytes),
//! the matrices of [`Shape::matrices`], and the FNV-1a hash of all before it (eight bytes).
//! Numbers are little-endian, floats of 32 bits. The hash finds damage, not forgery.

use super::shape::{Calendar, Shape};
use crate::state::fnv1a;

const MAGIC: &[u8; 8] = b"PRESURGL";
/// The format that is written. One more with every change to what goes into the network, what
/// comes out of it, or how the file is laid out.
pub const FORMAT: u16 = 1;
const HEAD: usize = 34;
const TAIL: usize = 8;
/// More units or regressors than this no file of ours has: bounds what a file can ask for.
const MOST: usize = 512;

/// Why bytes are no weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The bytes are something else.
    #[error("it is no file of LSTM weights: it does not begin with PRESURGL")]
    Foreign,
    /// The file ends before it is complete, or goes on after it is.
    #[error(
        "the weights are cut off or were added to: {found} bytes, and there should be {wanted}"
    )]
    Length {
        /// How many bytes there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// The file was written by a later version.
    #[error(
        "the weights have format {found}, and this version reads format {FORMAT}; train again, or use the version that wrote them"
    )]
    Newer {
        /// The format of the file.
        found: u16,
    },
    /// A field at the head of the file has a value that none has.
    #[error("the weights are damaged: {field} is {found}")]
    Field {
        /// What the field says.
        field: &'static str,
        /// What it holds.
        found: usize,
    },
    /// Bytes were changed.
    #[error("the weights are damaged: the checksum is wrong")]
    Checksum,
    /// A number is not finite.
    #[error("the weights hold a number that is not finite (number {place} of {count})")]
    NotFinite {
        /// Which one, counted from 1.
        place: usize,
        /// How many there are.
        count: usize,
    },
}

/// How weights came to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// The seed of the training.
    pub seed: u64,
    /// After how many epochs the weights were taken.
    pub epochs: u32,
    /// The loss on what was held out, see [`super::examples`].
    pub loss: f32,
}

/// The numbers of one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    shape: Shape,
    origin: Origin,
    numbers: Vec<f32>,
    id: u64,
}

impl Weights {
    /// Weights from their numbers, in the order of [`Shape::matrices`].
    pub fn new(shape: Shape, origin: Origin, numbers: Vec<f32>) -> Result<Self, WeightsError> {
        let count = shape.parameters();
        if numbers.len() != count {
            let wanted = HEAD + 4 * count + TAIL;
            return Err(WeightsError::Length { found: HEAD + 4 * numbers.len() + TAIL, wanted });
        }
        if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(WeightsError::NotFinite { place: place + 1, count });
        }
        let mut weights = Self { shape, origin, numbers, id: 0 };
        weights.id = fnv1a(&weights.unsigned());
        Ok(weights)
    }

    /// The sizes of the network.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How the weights came to be.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What tells these weights from others: the checksum of their file.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// All numbers, in the order of [`Shape::matrices`].
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The matrix at that place of [`Shape::matrices`], by rows.
    pub(crate) fn matrix(&self, place: usize) -> &[f32] {
        let sizes = self.shape.matrices().map(|(rows, columns)| rows * columns);
        let from: usize = sizes[..place].iter().sum();
        &self.numbers[from..from + sizes[place]]
    }

    /// The file, without its checksum.
    fn unsigned(&self) -> Vec<u8> {
        let Shape { cell, head, regressors, calendar } = self.shape;
        let mut bytes = Vec::with_capacity(HEAD + 4 * self.numbers.len() + TAIL);
        bytes.extend_from_slice(MAGIC);
        let fields =
            [usize::from(FORMAT), cell, head, regressors, usize::from(calendar == Calendar::Used)];
        for field in fields {
            bytes.extend_from_slice(&(field as u16).to_le_bytes());
        }
        bytes.extend_from_slice(&self.origin.seed.to_le_bytes());
        bytes.extend_from_slice(&self.origin.epochs.to_le_bytes());
        bytes.extend_from_slice(&self.origin.loss.to_le_bytes());
        self.numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.unsigned();
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes
    }

    /// Reads a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        if !bytes.starts_with(MAGIC) {
            return Err(WeightsError::Foreign);
        }
        if bytes.len() < HEAD + TAIL {
            return Err(WeightsError::Length { found: bytes.len(), wanted: HEAD + TAIL });
        }
        let field = |place: usize| u16::from_le_bytes([bytes[place], bytes[place + 1]]);
        let format = field(8);
        if format > FORMAT {
            return Err(WeightsError::Newer { found: format });
        }
        let sized = |name, place: usize, least: usize| match usize::from(field(place)) {
            size if (least..=MOST).contains(&size) => Ok(size),
            found => Err(WeightsError::Field { field: name, found }),
        };
        if format == 0 {
            return Err(WeightsError::Field { field: "the format", found: 0 });
        }
        let shape = Shape {
            cell: sized("the number of units of the cell", 10, 1)?,
            head: sized("the number of units of the head", 12, 1)?,
            regressors: sized("the number of regressors", 14, 0)?,
            calendar: match field(16) {
                0 => Calendar::Unused,
                1 => Calendar::Used,
                found => {
                    let field = "the use of the calendar";
                    return Err(WeightsError::Field { field, found: usize::from(found) });
                }
            },
        };
        let wanted = HEAD + 4 * shape.parameters() + TAIL;
        if bytes.len() != wanted {
            return Err(WeightsError::Length { found: bytes.len(), wanted });
        }
        let four = |place: usize| [0, 1, 2, 3].map(|k| bytes[place + k]);
        let eight = |place: usize| [0, 1, 2, 3, 4, 5, 6, 7].map(|k| bytes[place + k]);
        let end = wanted - TAIL;
        if u64::from_le_bytes(eight(end)) != fnv1a(&bytes[..end]) {
            return Err(WeightsError::Checksum);
        }
        let origin = Origin {
            seed: u64::from_le_bytes(eight(18)),
            epochs: u32::from_le_bytes(four(26)),
            loss: f32::from_le_bytes(four(30)),
        };
        let numbers = (HEAD..end).step_by(4).map(|place| f32::from_le_bytes(four(place)));
        Self::new(shape, origin, numbers.collect())
    }
}
