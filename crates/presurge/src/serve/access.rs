//! Who may do what: roles, and the tokens that carry them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use domain::journal::Actor;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::apply::control::login;
use crate::documents::read_text;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Nothing: whether the process lives.
    Nobody,
    /// To look at things.
    Read,
    /// To ask for permits.
    Permit,
    /// To start, pause, resume, abort and roll back rollouts, to freeze and to have plans made.
    Operate,
    /// To agree to plans.
    Approve,
    /// Everything: also to bring documents, which may name commands that run here.
    Administer,
}

/// What a token lets its bearer do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To look at things
    Viewer,
    /// And to ask for permits
    Permit,
    /// And to start, pause, resume, abort and roll back rollouts, and to freeze
    Operator,
    /// To look at things, and to agree to plans
    Approver,
    /// Everything
    Admin,
}

impl Role {
    /// Whether the role has a right.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Nobody | Right::Read => true,
            Right::Permit => matches!(self, Self::Permit | Self::Operator | Self::Admin),
            Right::Operate => matches!(self, Self::Operator | Self::Admin),
            Right::Approve => matches!(self, Self::Approver | Self::Admin),
            Right::Administer => self == Self::Admin,
        }
    }
}

/// One token, as the file has it: not the token itself, but what it is known by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// Who bears it; the journal names them so.
    pub name: String,
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub sha256: String,
    /// What it lets them do.
    pub role: Role,
    /// Only with fleets that have these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fleets: BTreeMap<String, String>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenFile {
    tokens: Vec<Token>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its name in the journal.
    pub name: String,
    role: Role,
    fleets: BTreeMap<String, String>,
}

impl Caller {
    /// As the journal names it.
    pub fn actor(&self) -> Actor {
        Actor::operator(&self.name)
    }

    /// Whether it has a right.
    pub fn may(&self, right: Right) -> bool {
        self.role.may(right)
    }

    /// Whether it has to do with a fleet of such labels.
    pub fn sees(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.fleets.iter().all(|(name, value)| labels.and_then(|l| l.get(name)) == Some(value))
    }

    /// Whether it has to do with everything.
    pub fn sees_all(&self) -> bool {
        self.fleets.is_empty()
    }
}

/// Whom to let in.
#[derive(Debug, Default)]
pub struct Access {
    /// None: everybody who reaches the daemon may do everything.
    file: Option<File>,
}

/// The tokens of a file, as it was read last.
#[derive(Debug)]
struct File {
    path: PathBuf,
    tokens: RwLock<Arc<[Token]>>,
}

impl Access {
    /// Reads a file of tokens, YAML or JSON.
    ///
    /// # Errors
    /// Says file, line and column of what is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let tokens = RwLock::new(tokens_of(path)?.into());
        Ok(Self { file: Some(File { path: path.to_owned(), tokens }) })
    }

    /// Reads the file again; says whether it lets others in than before. One that cannot be read changes
    /// nothing.
    ///
    /// # Errors
    /// As [`Access::read`].
    pub fn read_again(&self) -> Result<bool, String> {
        let Some(file) = &self.file else { return Ok(false) };
        let tokens = tokens_of(&file.path)?;
        let mut known = file.tokens.write().expect("nobody panics with it");
        let others = known[..] != tokens[..];
        *known = tokens.into();
        Ok(others)
    }

    /// Whether tokens are asked for.
    pub fn has_tokens(&self) -> bool {
        self.file.is_some()
    }

    /// Who asks, and whether they may.
    pub fn check(&self, headers: &HeaderMap, right: Right) -> Result<Caller, Problem> {
        let Some(file) = &self.file else {
            return Ok(Caller { name: login(), role: Role::Admin, fleets: BTreeMap::new() });
        };
        if right == Right::Nobody {
            let name = "nobody".into();
            return Ok(Caller { name, role: Role::Viewer, fleets: BTreeMap::new() });
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = given.and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let tokens = file.tokens.read().expect("nobody panics with it").clone();
        let Some(token) = bearer.and_then(|bearer| find(&tokens, bearer)) else {
            let detail = match bearer {
                Some(_) => "the token is not known here",
                None => "say who you are: Authorization: Bearer TOKEN",
            };
            let status = StatusCode::UNAUTHORIZED;
            let problem = Problem::new(status, "unauthorized", "A token is needed", detail);
            return Err(problem.header(WWW_AUTHENTICATE, "Bearer realm=\"presurge\""));
        };
        let (name, fleets) = (token.name.clone(), token.fleets.clone());
        let caller = Caller { name, role: token.role, fleets };
        if caller.may(right) {
            return Ok(caller);
        }
        let role = format!("{:?}", token.role).to_lowercase();
        let needs = format!("{right:?}").to_lowercase();
        Err(Problem::forbidden(format!("{} is {role}, and may not {needs}", caller.name)))
    }
}

/// What a file says.
fn tokens_of(path: &Path) -> Result<Vec<Token>, String> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
    let TokenFile { tokens } = read_text(&file.to_string(), &text)?;
    for (index, token) in tokens.iter().enumerate() {
        let digits = token.sha256.bytes();
        if token.sha256.len() != 64 || !digits.clone().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!(
                "{file}: tokens[{index}].sha256: expected 64 hexadecimal digits; `presurge token \
                 NAME --role ROLE` makes a token and its line"
            ));
        }
        let known = |other: &Token| other.name == token.name || other.sha256 == token.sha256;
        if token.name.trim().is_empty() || tokens[..index].iter().any(known) {
            return Err(format!("{file}: tokens[{index}]: it needs a name of its own"));
        }
    }
    if tokens.is_empty() {
        return Err(format!("{file}: it lets nobody in; add a token"));
    }
    Ok(tokens)
}

/// The hexadecimal digits by which a token is known.
pub fn known_by(token: &str) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let hash = Sha256::digest(token.as_bytes());
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The token, where it is known. How long that takes says nothing of any of them.
fn find<'a>(tokens: &'a [Token], given: &str) -> Option<&'a Token> {
    let given = known_by(given);
    let same = |token: &Token| {
        let known = token.sha256.bytes().map(|b| b.to_ascii_lowercase());
        known.zip(given.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    };
    tokens.iter().fold(None, |found, token| if same(token) { Some(token) } else { found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str) -> Result<Access, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.yaml");
        std::fs::write(&path, text).unwrap();
        Access::read(&path).map_err(|text| text.replace(&path.display().to_string(), "tokens.yaml"))
    }

    fn line(token: &str, name: &str, role: &str) -> String {
        format!("  - {{ name: {name}, sha256: {}, role: {role} }}\n", known_by(token))
    }

    #[test]
    fn a_token_is_known_by_its_hash_and_lets_its_bearer_do_what_its_role_says() {
        let lines = line("one", "ann", "viewer") + &line("two", "ben", "operator");
        let access = access(&format!("tokens:\n{lines}")).unwrap();
        let asks = |header: Option<&str>, right| {
            let mut headers = HeaderMap::new();
            if let Some(text) = header {
                headers.insert(AUTHORIZATION, text.parse().unwrap());
            }
            access.check(&headers, right).map(|who| who.name).map_err(|problem| problem.status)
        };
        assert_eq!(asks(None, Right::Read), Err(401));
        assert_eq!(asks(Some("Bearer three"), Right::Read), Err(401));
        assert_eq!(asks(Some("Basic one"), Right::Read), Err(401));
        assert_eq!(asks(Some(&format!("Bearer {}", known_by("one"))), Right::Read), Err(401));
        assert_eq!(asks(Some("bearer one"), Right::Read), Ok("ann".into()));
        assert_eq!(asks(Some("Bearer one"), Right::Operate), Err(403));
        assert_eq!(asks(Some("Bearer two"), Right::Operate), Ok("ben".into()));
        assert_eq!(asks(Some("Bearer two"), Right::Approve), Err(403));
        assert_eq!(asks(None, Right::Nobody), Ok("nobody".into()));
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_with_its_place() {
        for (text, expected) in [
            ("tokens: []", "it lets nobody in"),
            ("tokens:\n  - { name: ann, role: viewer }", "tokens.yaml:2:5: tokens[0]: the field"),
            ("tokens:\n  - { name: ann, sha256: ab, role: viewer }", "64 hexadecimal digits"),
            ("tokens: [", "tokens.yaml:"),
        ] {
            let error = access(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let twice = line("one", "ann", "viewer") + &line("two", "ann", "viewer");
        assert!(access(&format!("tokens:\n{twice}")).unwrap_err().contains("a name of its own"));
        let wrong = line("one", "ann", "king");
        let error = access(&format!("tokens:\n{wrong}")).unwrap_err();
        assert!(error.contains("tokens[0].role") && error.contains("king"), "{error}");
    }

    #[test]
    fn a_scope_is_of_labels() {
        let fleets = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let caller = Caller { name: "ann".into(), role: Role::Viewer, fleets };
        let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
        assert!(caller.sees(Some(&labels("web"))));
        assert!(!caller.sees(Some(&labels("db"))));
        assert!(!caller.sees(None));
    }
}
