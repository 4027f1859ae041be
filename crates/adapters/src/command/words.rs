//! The words of a command: places that are filled in, and what can never work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why the words of a command are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadWords {
    #[error(
        "command: name a program, then its arguments, for instance [\"./update.sh\", \"{{server}}\"]"
    )]
    Empty,
    #[error("{field}: has a NUL character")]
    Nul { field: &'static str },
    #[error("{field}: {{{place}}} is not known; there are {known}")]
    UnknownPlace { field: &'static str, place: String, known: String },
    #[error("{field}: {{{place}}} has no value for {whom}; give it one, or do without the place")]
    NoValue { field: &'static str, place: String, whom: String },
    #[error("env: {0:?} is no name of an environment variable")]
    BadVariable(String),
    #[error("env: {0} is set by presurge itself")]
    OwnVariable(String),
}

/// A lower-case word in braces is a place; other braces, such as those of JSON, stay.
fn places(word: &str) -> impl Iterator<Item = &str> {
    word.split('{').skip(1).filter_map(|part| {
        let (place, _) = part.split_once('}')?;
        let is_word = !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_lowercase());
        is_word.then_some(place)
    })
}

/// Checks words before there is anything to fill in.
pub(crate) fn check_words(
    field: &'static str,
    words: &[String],
    known: &[&str],
) -> Result<(), BadWords> {
    if words.first().is_none_or(|program| program.trim().is_empty()) {
        return Err(BadWords::Empty);
    }
    for word in words {
        if word.contains('\0') {
            return Err(BadWords::Nul { field });
        }
        if let Some(place) = places(word).find(|place| !known.contains(place)) {
            let known: Vec<_> = known.iter().map(|place| format!("{{{place}}}")).collect();
            let place = place.chars().take(40).collect();
            return Err(BadWords::UnknownPlace { field, place, known: known.join(", ") });
        }
    }
    Ok(())
}

/// Checks the names of variables that the configuration sets.
pub(crate) fn check_env(env: &BTreeMap<String, String>) -> Result<(), BadWords> {
    for (name, value) in env {
        let start = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let all = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !start || !all {
            return Err(BadWords::BadVariable(name.chars().take(40).collect()));
        }
        if name.starts_with("PRESURGE_") {
            return Err(BadWords::OwnVariable(name.clone()));
        }
        if value.contains('\0') {
            return Err(BadWords::Nul { field: "env" });
        }
    }
    Ok(())
}

/// Puts values for places, in one pass: a value that looks like a place stays as it is.
pub(crate) fn fill(
    field: &'static str,
    words: &[String],
    whom: &str,
    values: &[(&str, Option<&str>)],
) -> Result<Vec<String>, BadWords> {
    words.iter().map(|word| fill_word(field, word, whom, values)).collect()
}

fn fill_word(
    field: &'static str,
    word: &str,
    whom: &str,
    values: &[(&str, Option<&str>)],
) -> Result<String, BadWords> {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let found = values.iter().find_map(|(place, value)| {
            let rest = after.strip_prefix(place)?.strip_prefix('}')?;
            Some((place, value, rest))
        });
        match found {
            Some((_, Some(value), left)) => {
                text.push_str(value);
                rest = left;
            }
            Some((place, None, _)) => {
                let (place, whom) = ((*place).to_owned(), whom.to_owned());
                return Err(BadWords::NoValue { field, place, whom });
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// A program with a slash is relative to `folder`; one without is looked for on the `PATH`.
pub(crate) fn program(words: &mut [String], folder: &Path) {
    if let Some(first) = words.first_mut()
        && first.contains('/')
    {
        let path: PathBuf = folder.join(&*first);
        *first = path.to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn places_are_filled_once() {
        let values = [("server", Some("{key}")), ("key", Some("k/1")), ("version", None)];
        let filled = fill("command", &words(&["a{server}b", "{\"x\":{key}}"]), "web-1", &values);
        assert_eq!(filled.unwrap(), ["a{key}b", "{\"x\":k/1}"]);
        let error = fill("command", &words(&["{version}"]), "web-1", &values).unwrap_err();
        assert!(error.to_string().contains("{version} has no value for web-1"), "{error}");
    }

    #[test]
    fn what_can_never_work_is_named() {
        let check = |list: &[&str]| check_words("command", &words(list), &["server", "key"]);
        assert_eq!(check(&["x", "{server}", "{}", "{A}", "{\"a\":1}"]), Ok(()));
        let error = check(&["x", "{sever}"]).unwrap_err().to_string();
        assert_eq!(error, "command: {sever} is not known; there are {server}, {key}");
        assert_eq!(check(&[]), Err(BadWords::Empty));
        assert_eq!(check(&["x", "\0"]), Err(BadWords::Nul { field: "command" }));
        let env = |name: &str| check_env(&BTreeMap::from([(name.to_owned(), String::new())]));
        assert_eq!(env("PATH"), Ok(()));
        assert!(env("1A").is_err() && env("A=B").is_err() && env("").is_err());
        assert!(env("PRESURGE_KEY").unwrap_err().to_string().contains("set by presurge itself"));
    }

    #[test]
    fn a_program_with_a_slash_is_relative_to_the_file_that_names_it() {
        for (given, meant) in [("./x", "/base/./x"), ("/bin/x", "/bin/x"), ("x", "x")] {
            let mut words = words(&[given]);
            program(&mut words, Path::new("/base"));
            assert_eq!(words, [meant]);
        }
    }
}
