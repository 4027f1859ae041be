//! The house rules that no compiler knows: who may use whom, who may touch the world, and how
//! large a file may become. ARCHITECTURE.md numbers them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every crate with the crates of the house that it may use: lower floors only, never a neighbour.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("forecast", &["domain"]),
    ("plan", &["domain"]),
    ("rollout", &["domain", "forecast", "plan"]),
    ("sim", &["domain", "forecast", "plan", "rollout"]),
    ("adapters", &["domain"]),
    ("store", &["domain"]),
    ("train", &["domain", "forecast"]),
    ("presurge", &["domain", "forecast", "plan", "rollout", "sim", "adapters", "store", "train"]),
];

/// Crates that do no I/O, read no clock, and draw no number without a seed.
const PURE: &[&str] = &["domain", "forecast", "plan", "rollout", "sim", "train"];

/// What pure code has no use for.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env::",
    "tokio::",
    "reqwest::",
    "hyper::",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "rand::rng(",
    "thread_rng",
    "from_os_rng",
];

/// The longest file, in lines.
const LONGEST: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            list.push(path);
        }
    }
    list
}

#[test]
fn a_crate_uses_lower_floors_only() {
    let names: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in MAY_USE {
        let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let (normal, _) = text.split_once("[dev-dependencies]").unwrap_or((&text, ""));
        let after = normal.split_once("[dependencies]").map_or("", |(_, rest)| rest);
        for line in after.lines() {
            let used = line.split(['.', ' ', '=']).next().unwrap_or("");
            if names.contains(&used) {
                assert!(allowed.contains(&used), "{name} uses {used}, which is not below it");
            }
        }
    }
    let known = fs::read_dir(root().join("crates")).unwrap().count();
    assert_eq!(known, MAY_USE.len(), "a crate without a floor");
}

#[test]
fn pure_crates_touch_nothing_outside() {
    for name in PURE {
        for file in rust_files(&root().join("crates").join(name).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                let found = IMPURE.iter().find(|word| code.contains(**word));
                let place = format!("{}:{}", file.display(), number + 1);
                assert!(found.is_none(), "{place}: {} in a pure crate", found.unwrap());
            }
        }
    }
}

#[test]
fn files_are_small_enough_to_hold_in_the_head() {
    let mut long = BTreeMap::new();
    for (name, _) in MAY_USE {
        for file in rust_files(&root().join("crates").join(name)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            if lines > LONGEST {
                long.insert(file, lines);
            }
        }
    }
    assert!(long.is_empty(), "files over {LONGEST} lines: {long:#?}");
}

#[test]
fn no_module_is_named_after_nothing() {
    for (name, _) in MAY_USE {
        for file in rust_files(&root().join("crates").join(name).join("src")) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let vague = ["utils", "util", "common", "helpers", "misc", "types"];
            assert!(!vague.contains(&stem), "{}: say what it is", file.display());
        }
    }
}

#[test]
fn every_adapter_has_a_page() {
    let table = root().join("crates/presurge/src/registry/mod.rs");
    let text = fs::read_to_string(table).unwrap();
    let mut seen = 0;
    for part in text.split("adapter!(\"").skip(1) {
        let name = part.split('"').next().unwrap();
        let page = root().join(format!("docs/adapters/{name}.md"));
        assert!(page.is_file(), "{} is missing", page.display());
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} adapters were found in the table");
}
