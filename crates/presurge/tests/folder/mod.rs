//! The program in a folder of its own.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with files, in which the program is run.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn run(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_presurge"))
            .args(args.split_whitespace())
            .current_dir(self.path())
            .env_remove("PRESURGE_STORE")
            .env("HOME", self.path())
            .output()
            .unwrap()
    }

    /// Runs, checks the exit code, and returns standard output and standard error.
    #[track_caller]
    pub fn ends(&self, code: i32, args: &str) -> (String, String) {
        let output = self.run(args);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args}\n{out}\n{err}");
        assert!(!err.contains("panicked"), "{err}");
        (out, err)
    }
}
