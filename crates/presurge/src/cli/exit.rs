//! How the program ends: exit codes, and the error that is printed once.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Why the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done, or nothing to do.
    Done,
    /// An error.
    Error,
    /// Changes are pending (`plan --detailed-exitcode`).
    Pending,
    /// Refused by risk or policy.
    Refused,
    /// Aborted or rolled back.
    Aborted,
    /// Paused, or still waiting when the time was over.
    Waiting,
    /// Wrong use of the command line.
    Usage,
    /// Bad input data.
    BadData,
    /// Interrupted.
    Interrupted,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(match code {
            Code::Done => 0,
            Code::Error => 1,
            Code::Pending => 2,
            Code::Refused => 3,
            Code::Aborted => 4,
            Code::Waiting => 5,
            Code::Usage => 64,
            Code::BadData => 65,
            Code::Interrupted => 130,
        })
    }
}

/// An error on its way to the person at the terminal, with the code that the program ends with.
#[derive(Debug)]
pub struct Failed {
    code: Code,
    error: Box<dyn Error + Send + Sync>,
}

impl Failed {
    /// An error that ends the program with `code`.
    pub fn new(code: Code, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, error: error.into() }
    }

    /// Bad input data.
    pub fn data(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::BadData, error)
    }

    /// Wrong use of the command line.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Usage, error)
    }

    /// Whether the reader of the output has gone.
    pub fn is_closed_pipe(&self) -> bool {
        let io = self.error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = self.error.downcast_ref::<serde_json::Error>().and_then(|e| e.io_error_kind());
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    }

    /// The code that the program ends with.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::new(Code::Error, error)
    }
}

/// The error with all its causes, each told once.
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.error.to_string();
        write!(f, "error: {told}")?;
        let mut next = self.error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !told.ends_with(&text) {
                write!(f, "\n  because: {text}")?;
            }
            told = text;
            next = cause.source();
        }
        Ok(())
    }
}
