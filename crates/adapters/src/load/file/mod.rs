//! Files of load in the long format `unique_id,ds,y`, as CSV or Parquet.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use domain::series::Sample;

mod parquet;
mod table;
mod text;
mod wide;

pub use wide::{Wide, WideRow, read_wide};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// The name of the only series of a file without the column `unique_id`.
pub const ONLY_SERIES: &str = "series";

/// A file that cannot be used as load, with the place and the way out.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system, or the file's beginning, says.
        reason: String,
    },
    /// There is no sample in it.
    #[error(
        "{}: holds no sample: write the header unique_id,ds,y and one line per sample",
        path.display()
    )]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The first line is not a header that can be used.
    #[error("{}:{line}: {reason}; the header is unique_id,ds,y (unique_id only for several series)", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// The line of the header.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// One line (of CSV) or row (of Parquet) is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// The line, 1 for the first.
        line: u64,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The series is not in the file, or it must be said which one is meant.
    #[error("{}: {reason}", path.display())]
    Series {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and which series there are.
        reason: String,
    },
}

/// Every series of a file, CSV or Parquet by its first bytes, in the order of appearance, each in
/// rising order of time; `NaN` is a gap. A file without the column `unique_id` holds one series, [`ONLY_SERIES`].
///
/// Reads the whole file, blocking.
///
/// # Errors
/// Anything but a header, times that do not fall within a series, and finite numbers or empty
/// fields; see [`FileError`].
pub fn read_series(path: &Path) -> Result<Vec<(String, Vec<Sample>)>, FileError> {
    let unreadable = |reason: String| FileError::Unreadable { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let about = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if about.is_dir() {
        return Err(unreadable("it is a folder; name the file".into()));
    }
    if about.len() > MAX_BYTES {
        return Err(unreadable(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let mut input = BufReader::with_capacity(1 << 18, file.take(MAX_BYTES));
    let start = input.fill_buf().map_err(|error| unreadable(error.to_string()))?;
    if start.starts_with(b"PAR1") {
        return parquet::read(path, input.into_inner().into_inner());
    }
    if start.contains(&0) {
        return Err(unreadable("it is not UTF-8 text; save it as CSV in UTF-8".into()));
    }
    text::read(path, input)
}

#[cfg(test)]
mod tests;
