//! The text of a file, kept to show the line of an error.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::yaml::{MAX_BYTES, Mark};

/// The most characters of a line that are shown.
const MAX_SHOWN: usize = 120;

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    folder: PathBuf,
    text: String,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    reason: String,
}

impl Source {
    /// Reads a file of at most [`MAX_BYTES`]; `-` is standard input.
    pub fn read(path: &Path) -> Result<Arc<Self>, Unreadable> {
        let unreadable = |reason: String| Unreadable { path: path.to_owned(), reason };
        let failed = |error: std::io::Error| unreadable(format!("cannot be read: {error}"));
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        } else {
            if path.is_dir() {
                return Err(unreadable("is a folder; name the file".into()));
            }
            let file = File::open(path).map_err(failed)?;
            file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
        if bytes.len() as u64 > MAX_BYTES {
            let reason = format!("is larger than {} MiB; split it", MAX_BYTES >> 20);
            return Err(unreadable(reason));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            unreadable(format!("line {} is not UTF-8 text; save it as UTF-8", line + 1))
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
        Ok(Arc::new(Self { path: path.to_owned(), folder, text }))
    }

    /// A text that is no file, as if it lay in a folder.
    pub fn given(name: &str, folder: PathBuf, text: String) -> Arc<Self> {
        Arc::new(Self { path: name.into(), folder, text })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that relative paths in the file are relative to.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// `file:line:column`.
    pub fn at(&self, mark: Mark) -> String {
        format!("{}:{}:{}", self.path.display(), mark.line, mark.column)
    }

    /// The line of a mark with a caret under it, or nothing where there is no such line.
    pub fn snippet(&self, mark: Mark) -> Option<String> {
        let line = self.text.lines().nth(mark.line.checked_sub(1)?)?;
        let number = mark.line.to_string();
        let gutter = " ".repeat(number.len());
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let start = if mark.column > MAX_SHOWN { mark.column - MAX_SHOWN / 2 } else { 1 };
        let shown: String = line.chars().skip(start - 1).take(MAX_SHOWN).map(printable).collect();
        let shown = shown.trim_end();
        let before = mark.column - start;
        let room = shown.chars().count().saturating_sub(before).max(1);
        let carets = "^".repeat(mark.width.min(room));
        let dots = if start > 1 { "…" } else { "" };
        let indent = " ".repeat(before + dots.chars().count());
        Some(format!("{gutter} |\n{number} | {dots}{shown}\n{gutter} | {indent}{carets}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_points_at_its_place_and_survives_odd_lines() {
        let long = format!("{}x: y", " ".repeat(300));
        let text = format!("a: 1\n  prce: 0.192\n{long}\n");
        let source = Source { path: "f.yaml".into(), folder: ".".into(), text };
        let mark = Mark { line: 2, column: 3, width: 4 };
        assert_eq!(source.snippet(mark).unwrap(), "  |\n2 |   prce: 0.192\n  |   ^^^^");
        assert_eq!(source.at(mark), "f.yaml:2:3");
        let far = source.snippet(Mark { line: 3, column: 301, width: 1 }).unwrap();
        assert!(far.contains("x: y") && far.contains('…'), "{far}");
        assert!(source.snippet(Mark { line: 9, column: 1, width: 1 }).is_none());
        assert!(source.snippet(Mark { line: 1, column: 90, width: 9 }).is_some());
        assert!(source.snippet(Mark { line: 0, column: 1, width: 1 }).is_none());
    }
}
