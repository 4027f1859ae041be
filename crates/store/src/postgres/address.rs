//! Where a database lies: `postgres://USER@HOST/DATABASE`, read strictly, and never shown with its
//! password.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::passfile::{self, BadPassfile};
use super::settings::{CONNECT, SILENT, SILENT_PROBES};
use super::tls::{BadRoots, Encryption, MakeTls};

/// Where a PostgreSQL store lies, and how it is reached.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    pub(super) tls: Option<MakeTls>,
    user: String,
    place: String,
}

/// Why a text is no address of a database. No message repeats a part of the text that could belong
/// to a password.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// Another scheme.
    #[error("an address of a store begins with postgres:// or postgresql://")]
    Scheme,
    /// A character that separates parts stands in a part.
    #[error(
        "the address has a part with one of : / ? @ in it, perhaps the password; write them as \
         %3A %2F %3F %40"
    )]
    Ambiguous,
    /// A percent sign without two hexadecimal digits.
    #[error("a % in the address is not followed by two hexadecimal digits; write % as %25")]
    Percent,
    /// Nobody to be.
    #[error("the address names no user, and PGUSER is not set: postgres://USER@HOST/DATABASE")]
    NoUser,
    /// Nowhere to go.
    #[error("the address names no host: postgres://USER@HOST/DATABASE")]
    NoHost,
    /// A port that is none.
    #[error("the address has a port that is no number from 1 to 65535")]
    Port,
    /// A parameter that libpq knows and Presurge does not.
    #[error("the parameter {0} of the address is not supported; {KNOWN}")]
    Unsupported(&'static str),
    /// A parameter that nobody knows.
    #[error("the address has an unknown parameter; {KNOWN}")]
    Unknown,
    /// An encryption that might be none.
    #[error(
        "sslmode is disable, require, verify-ca or verify-full; `allow` and `prefer` would go on \
         without encryption where there is none"
    )]
    SslMode,
    /// Certificates that cannot be read.
    #[error(transparent)]
    Roots(#[from] BadRoots),
    /// A file of passwords that cannot be used.
    #[error(transparent)]
    Passfile(#[from] BadPassfile),
}

/// What may stand behind the question mark.
const KNOWN: &str = "these are: host, port, user, password, dbname, sslmode, sslrootcert, passfile, \
                     application_name";

/// Parameters of libpq, by which somebody may call for something that would not happen.
const OF_LIBPQ: &[&str] = &[
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "gssencmode",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "require_auth",
    "service",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslnegotiation",
    "sslpassword",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// The port of PostgreSQL.
const PORT: u16 = 5432;

/// The parts of an address, before defaults.
#[derive(Default)]
struct Parts {
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<(String, u16)>,
    database: Option<String>,
    mode: Option<String>,
    roots: Option<PathBuf>,
    passfile: Option<PathBuf>,
    application: Option<String>,
}

impl Address {
    /// Whether a text means a database and not a file.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Reads an address. What it leaves out is looked up by `variable`, which tells variables of the
    /// environment: `PGUSER`, `PGPASSWORD`, `PGPASSFILE`, and `HOME` for `~/.pgpass`.
    ///
    /// # Errors
    /// When it is no address, asks for something that is not supported, or names a file that
    /// cannot be used.
    pub fn parse(
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadAddress> {
        let parts = split(text)?;
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let user = parts.user.or_else(|| variable("PGUSER")).ok_or(BadAddress::NoUser)?;
        if parts.hosts.is_empty() {
            return Err(BadAddress::NoHost);
        }
        let database = parts.database.unwrap_or_else(|| user.clone());
        let place = place(&parts.hosts, &database);
        let encryption = encryption(parts.mode.as_deref(), parts.roots, &parts.hosts)?;
        let (host, port) = &parts.hosts[0];
        let password = match parts.password.or_else(|| variable("PGPASSWORD")) {
            Some(password) => Some(password),
            None => passfile::find(parts.passfile, variable, (host, *port, &database, &user))?,
        };
        let mut config = Config::new();
        config
            .user(&user)
            .dbname(&database)
            .application_name(parts.application.as_deref().unwrap_or("presurge"))
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENT * (SILENT_PROBES + 1))
            .keepalives(true)
            .keepalives_idle(SILENT)
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(SILENT_PROBES)
            // Of several hosts the one that takes writes; a single one is asked by the store.
            .target_session_attrs(match parts.hosts.len() {
                1 => TargetSessionAttrs::Any,
                _ => TargetSessionAttrs::ReadWrite,
            });
        if let Some(password) = password {
            config.password(password);
        }
        for (host, port) in &parts.hosts {
            config.host(host).port(*port);
        }
        let tls = encryption.map(|encryption| MakeTls::new(&encryption)).transpose()?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls, user, place })
    }

    /// `HOST:PORT/DATABASE`: which database it is, whoever uses it.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Without its password, as messages name it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}", self.user, self.place)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.to_string()).finish()
    }
}

fn split(text: &str) -> Result<Parts, BadAddress> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let rest = rest.ok_or(BadAddress::Scheme)?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    // A separator inside a password moves every part behind it; nothing of that may be shown.
    if [login, database, query].iter().any(|part| part.contains('@')) || database.contains('/') {
        return Err(BadAddress::Ambiguous);
    }
    let mut parts = Parts::default();
    let (user, password) = match login.split_once(':') {
        Some((_, password)) if password.contains(':') => return Err(BadAddress::Ambiguous),
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    parts.user = given(user)?;
    parts.password = password.map(decoded).transpose()?;
    parts.database = given(database)?;
    let mut ports = Vec::new();
    let mut names = Vec::new();
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let (name, port) = host_and_port(host)?;
        names.push(name);
        ports.push(port);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match key {
            "host" => names = value.split(',').map(str::to_owned).collect(),
            "port" => {
                ports = value.split(',').map(port).collect::<Result<_, _>>()?;
            }
            "user" => parts.user = Some(value),
            "password" => parts.password = Some(value),
            "dbname" => parts.database = Some(value),
            "sslmode" => parts.mode = Some(value),
            "sslrootcert" => parts.roots = Some(value.into()),
            "passfile" => parts.passfile = Some(value.into()),
            "application_name" => parts.application = Some(value),
            other => {
                let known = OF_LIBPQ.iter().find(|known| **known == other);
                return Err(known.map_or(BadAddress::Unknown, |k| BadAddress::Unsupported(k)));
            }
        }
    }
    // One port serves for all hosts; none is the usual one.
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
    parts.hosts = names.into_iter().enumerate().map(|(index, name)| (name, port(index))).collect();
    Ok(parts)
}

fn host_and_port(text: &str) -> Result<(String, u16), BadAddress> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or(BadAddress::Ambiguous)?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let number = match rest {
        "" => PORT,
        rest => port(rest.strip_prefix(':').ok_or(BadAddress::Ambiguous)?)?,
    };
    Ok((decoded(host)?, number))
}

fn port(text: &str) -> Result<u16, BadAddress> {
    text.parse().ok().filter(|port| *port > 0).ok_or(BadAddress::Port)
}

fn given(text: &str) -> Result<Option<String>, BadAddress> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

fn decoded(text: &str) -> Result<String, BadAddress> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BadAddress::Percent) };
        bytes.push(u8::try_from(high * 16 + low).expect("two digits are a byte"));
    }
    String::from_utf8(bytes).map_err(|_| BadAddress::Percent)
}

fn place(hosts: &[(String, u16)], database: &str) -> String {
    let hosts: Vec<String> = hosts
        .iter()
        .map(|(host, port)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        })
        .collect();
    format!("{}/{database}", hosts.join(","))
}

/// Whether what is sent to a host stays on this machine.
fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.starts_with('/') || host == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

/// How the connection is encrypted. Where nothing is said: with the certificate and the name of the
/// server checked, unless it is on this machine.
fn encryption(
    mode: Option<&str>,
    roots: Option<PathBuf>,
    hosts: &[(String, u16)],
) -> Result<Option<Encryption>, BadAddress> {
    Ok(match (mode, roots) {
        (Some("disable"), _) => None,
        (None, None) if hosts.iter().all(|(host, _)| is_here(host)) => None,
        (Some("require"), None) => Some(Encryption::Unverified),
        // As libpq does: whoever gives roots wants them to be used.
        (Some("require" | "verify-ca"), roots) => Some(Encryption::Chain(roots)),
        (Some("verify-full") | None, roots) => Some(Encryption::ChainAndName(roots)),
        (Some(_), _) => return Err(BadAddress::SslMode),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, BadAddress> {
        Address::parse(text, |_| None)
    }

    #[test]
    fn the_parts_come_out_decoded_and_the_password_nowhere() {
        let address = parse("postgresql://ann:s%40cret%3A@db.example:6000/pre%2Fsurge").unwrap();
        assert_eq!(address.to_string(), "postgres://ann@db.example:6000/pre/surge");
        assert_eq!(address.config.get_password(), Some(b"s@cret:".as_slice()));
        assert_eq!(address.config.get_dbname(), Some("pre/surge"));
        assert!(address.tls.is_some(), "what leaves the machine is encrypted");
        let two = parse("postgres://ann@a,[::2]:7/x?sslmode=disable").unwrap();
        assert_eq!(two.to_string(), "postgres://ann@a:5432,[::2]:7/x");
        assert!(two.tls.is_none(), "it was asked for");
        let socket = parse("postgres:///x?host=/run/pg&user=ann&password=s%40cret").unwrap();
        assert_eq!(socket.to_string(), "postgres://ann@/run/pg:5432/x");
        assert!(socket.tls.is_none(), "it stays on the machine");
        for address in [address, socket] {
            assert!(!format!("{address:?} {address} {:?}", address.config).contains("cret"));
        }
    }

    #[test]
    fn what_is_left_out_comes_from_the_environment() {
        let told = |name: &str| match name {
            "PGUSER" => Some("bob".to_owned()),
            "PGPASSWORD" => Some("word".to_owned()),
            _ => None,
        };
        let address = Address::parse("postgres://localhost", told).unwrap();
        assert_eq!(address.to_string(), "postgres://bob@localhost:5432/bob");
        assert_eq!(address.config.get_password(), Some(b"word".as_slice()));
        let own = Address::parse("postgres://ann:own@localhost", told).unwrap();
        assert_eq!(own.config.get_password(), Some(b"own".as_slice()));
    }

    #[test]
    fn no_refusal_repeats_what_may_be_a_password() {
        for text in [
            "postgres://ann:s@cret@db/x",
            "postgres://ann:s/cret@db/x",
            "postgres://ann:s?cret@db/x",
            "postgres://ann:s:cret@db/x",
            "postgres://ann:s%cret@db/x",
            "postgres://ann@db:cret/x",
            "postgres://ann@db/x?password=s&cret=1",
            "postgres://ann@db/x?sslmode=cret",
            "cret://ann@db/x",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("cret"), "{text}: {error:?}");
        }
    }

    #[test]
    fn what_would_not_happen_is_refused() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("postgres://ann@db/x?sslmode=prefer").contains("without encryption"));
        assert!(error("postgres://ann@db/x?sslcert=a").contains("sslcert of the address is not"));
        assert!(error("postgres://ann@db/x?frob=a").contains("unknown parameter; these are: host"));
        assert!(error("postgres://ann@db:70000/x").contains("from 1 to 65535"));
        assert!(error("postgres://db/x").contains("PGUSER"));
        assert!(error("postgres:///x?user=ann").contains("no host"));
        let roots = error("postgres://ann@db/x?sslrootcert=/nowhere.pem");
        assert!(roots.contains("/nowhere.pem"), "{roots}");
    }
}
