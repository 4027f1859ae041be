//! Keys of anchors: Ed25519 in the PEM files that OpenSSL makes and reads (RFC 8410), so that an
//! auditor can check an anchor without this program.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::journal::{Anchor, Digest, Signature, Statement};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// PKCS#8 of an Ed25519 key up to its 32 bytes (RFC 8410, section 7).
const PRIVATE_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410, section 4).
const PUBLIC_HEAD: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// No file of a key is longer, in bytes.
const LONGEST: u64 = 16 * 1024;

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{0}: the file cannot be used")]
    Io(PathBuf, #[source] std::io::Error),
    /// A key would be overwritten.
    #[error("{0} is there already and is not overwritten; name a new file, or remove that one")]
    Exists(PathBuf),
    /// The file has another kind of content.
    #[error(
        "{file}: there is no Ed25519 {wanted} in this file; `presurge audit key FILE` makes a \
         pair, FILE and FILE.pub"
    )]
    NoKey {
        /// The file.
        file: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The system gives no random numbers.
    #[error("this system gives no random numbers to make a key of")]
    NoChance,
}

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: Digest,
}

impl SigningKey {
    /// Reads a private key. The text is a warning where others than its owner can read the file.
    pub fn read(file: &Path) -> Result<(Self, Option<String>), KeyError> {
        let no_key = || KeyError::NoKey { file: file.to_owned(), wanted: PRIVATE };
        let der = body(&read(file)?, PRIVATE).ok_or_else(no_key)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| no_key())?;
        let key = Self::of(pair);
        let mode = std::fs::metadata(file).map_or(0, |data| data.permissions().mode());
        let open = mode & 0o077 != 0;
        let warning = format!(
            "{}: others can read this private key; `chmod 600` it, and make another if they may \
             have",
            file.display()
        );
        Ok((key, open.then_some(warning)))
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        let public = PublicKey::of(pair.public_key().as_ref());
        Self { pair, id: public.id }
    }

    /// The digest of the public key.
    pub fn id(&self) -> &Digest {
        &self.id
    }

    /// The statement with a signature.
    pub fn sign(&self, statement: Statement) -> Anchor {
        let signature = self.pair.sign(&statement.bytes());
        let bytes = signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes");
        statement.signed(Signature(bytes))
    }
}

/// A key that checks signatures.
#[derive(Debug, Clone)]
pub struct PublicKey {
    bytes: Vec<u8>,
    id: Digest,
}

impl PublicKey {
    fn of(bytes: &[u8]) -> Self {
        let id = Digest::of_bytes(&[PUBLIC_HEAD.as_slice(), bytes].concat());
        Self { bytes: bytes.to_vec(), id }
    }

    /// Reads a public key.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let no_key = || KeyError::NoKey { file: file.to_owned(), wanted: PUBLIC };
        let der = body(&read(file)?, PUBLIC).ok_or_else(no_key)?;
        let bytes = der.strip_prefix(PUBLIC_HEAD.as_slice()).filter(|bytes| bytes.len() == 32);
        Ok(Self::of(bytes.ok_or_else(no_key)?))
    }

    /// The digest of its SubjectPublicKeyInfo.
    pub fn id(&self) -> &Digest {
        &self.id
    }

    /// Whether the key's holder signed the anchor.
    pub fn signed(&self, anchor: &Anchor) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.bytes);
        anchor.key == self.id && key.verify(&anchor.unsigned(), &anchor.signature.0).is_ok()
    }
}

/// Makes a pair: the private key in `file`, for its owner alone, and the public one in `file.pub`.
pub fn make(file: &Path) -> Result<(PublicKey, PathBuf), KeyError> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::NoChance)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::NoChance)?;
    let public = PublicKey::of(pair.public_key().as_ref());
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let beside = PathBuf::from(name);
    write_new(&beside, 0o644, &pem(PUBLIC, &[&PUBLIC_HEAD, public.bytes.as_slice()].concat()))?;
    let private = pem(PRIVATE, &[PRIVATE_HEAD.as_slice(), &seed].concat());
    if let Err(error) = write_new(file, 0o600, &private) {
        // A public key without its private one would only mislead.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    Ok((public, beside))
}

fn write_new(file: &Path, mode: u32, text: &str) -> Result<(), KeyError> {
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(file).and_then(
        |mut open| {
            open.write_all(text.as_bytes())?;
            open.sync_all()
        },
    );
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => KeyError::Exists(file.to_owned()),
        _ => KeyError::Io(file.to_owned(), error),
    })
}

fn read(file: &Path) -> Result<String, KeyError> {
    use std::io::Read as _;
    let mut text = String::new();
    File::open(file).and_then(|open| open.take(LONGEST).read_to_string(&mut text)).map_err(
        |error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                KeyError::NoKey { file: file.to_owned(), wanted: "key in PEM" }
            }
            _ => KeyError::Io(file.to_owned(), error),
        },
    )?;
    Ok(text)
}

/// The bytes between the lines that begin and end a part of a PEM file (RFC 7468).
fn body(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inner, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(inner.split_whitespace().collect::<String>()).ok()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
