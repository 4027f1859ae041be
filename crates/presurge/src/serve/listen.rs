//! Where the daemon listens, and its connections: bounded in number, in length and in time.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::problem::Problem;
use super::settings::{CONNECTIONS, HEAD, LAST_TURNS, READ};
use super::{Server, exchange, told};
use crate::cli::Failed;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address of this machine.
    Tcp(SocketAddr),
    /// A socket in the file system, for the user of the daemon alone.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("say which file: unix:/run/presurge/presurge.sock".into()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "expected an address such as 127.0.0.1:7070, [::1]:7070 or unix:/run/presurge.sock"
                    .into()
            }),
        }
    }
}

impl Place {
    /// Whether others than this machine reach it.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

/// An open door.
pub enum Door {
    /// See [`Place::Tcp`].
    Tcp(TcpListener),
    /// See [`Place::Unix`].
    Unix(UnixListener, PathBuf),
}

impl Door {
    /// Listens.
    pub async fn open(place: &Place) -> Result<Self, Failed> {
        let failed = |what: String, error: std::io::Error| {
            Failed::new(crate::cli::Code::Error, format!("{what}: {error}"))
        };
        match place {
            Place::Tcp(address) => {
                let listener = TcpListener::bind(address).await;
                Ok(Self::Tcp(
                    listener.map_err(|e| failed(format!("cannot listen on {address}"), e))?,
                ))
            }
            Place::Unix(path) => {
                let what = || format!("cannot listen on {}", path.display());
                if is_left_behind(path) {
                    std::fs::remove_file(path).map_err(|error| failed(what(), error))?;
                }
                let before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o177));
                let listener = UnixListener::bind(path);
                rustix::process::umask(before);
                Ok(Self::Unix(listener.map_err(|error| failed(what(), error))?, path.clone()))
            }
        }
    }

    /// Where it is, for people and for whoever asked for any free port.
    pub fn name(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string())
            }
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether a socket is there on which nobody listens any more.
fn is_left_behind(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    socket && std::os::unix::net::UnixStream::connect(path).is_err()
}

/// Takes connections until it is told to stop; those that are open end with the request that they have.
pub async fn serve(
    server: Arc<Server>,
    door: Door,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let permit = places.clone().acquire_owned().await.expect("it is never closed");
            (permit, accept(&door).await)
        };
        let (permit, accepted) = tokio::select! {
            () = told(&mut stop) => break,
            next = next => next,
        };
        let (server, tls, stop) = (server.clone(), tls.clone(), stop.clone());
        match accepted {
            Ok(stream) => drop(tokio::spawn(async move {
                let _permit = permit;
                converse(server, stream, tls, stop).await;
            })),
            Err(error) => {
                eprintln!("warning: a connection could not be taken: {error}");
                // Out of file descriptors, most likely: others have to end first.
                server.pause(READ / 15).await;
            }
        }
    }
    drop(door);
    let all = places.acquire_many(CONNECTIONS as u32);
    if tokio::time::timeout(LAST_TURNS, all).await.is_err() {
        eprintln!("warning: some requests have not ended in time");
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(door: &Door) -> std::io::Result<Stream> {
    match door {
        Door::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            Ok(Stream::Tcp(stream))
        }
        Door::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}

async fn converse(
    server: Arc<Server>,
    stream: Stream,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
) {
    match (stream, tls) {
        (Stream::Tcp(stream), Some(tls)) => {
            let shaken = tokio::time::timeout(READ, tls.accept(stream)).await;
            if let Ok(Ok(stream)) = shaken {
                speak(server, stream, false, stop).await;
            }
        }
        (Stream::Tcp(stream), None) => speak(server, stream, true, stop).await,
        (Stream::Unix(stream), _) => speak(server, stream, false, stop).await,
    }
}

/// `by_name`: a browser may be led here by a name that somebody else holds.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    server: Arc<Server>,
    stream: S,
    by_name: bool,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move {
            if by_name && !server.access.has_tokens() && is_led_here(&request) {
                let detail = "without tokens only this machine by its own name is answered, and no page \
                              of a browser";
                return Ok(Problem::forbidden(detail).into_response());
            }
            Ok::<_, std::convert::Infallible>(exchange::answer(server, request).await)
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(READ).max_buf_size(HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = told(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Whether a request may come from a page in a browser that has nothing to do with us: it says where it
/// comes from, or names a host that is not this machine.
fn is_led_here<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("localhost");
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    let is_own = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    request.headers().contains_key(header::ORIGIN) || !is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_public_ones_known() {
        let place = |text: &str| text.parse::<Place>();
        assert!(!place("127.0.0.1:1").unwrap().is_public());
        assert!(!place("[::1]:1").unwrap().is_public());
        assert!(!place("unix:/run/p.sock").unwrap().is_public());
        assert!(place("0.0.0.0:1").unwrap().is_public());
        assert!(place("[::]:1").unwrap().is_public());
        assert!(place("192.0.2.1:1").unwrap().is_public());
        assert!(place("7070").is_err() && place("unix:").is_err() && place("web:1").is_err());
    }

    #[test]
    fn a_page_of_a_browser_is_told_apart() {
        let led = |headers: &[(&str, &str)]| {
            let mut request = Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_led_here(&request.body(()).unwrap())
        };
        assert!(!led(&[("host", "127.0.0.1:7070")]) && !led(&[("host", "localhost")]) && !led(&[]));
        assert!(!led(&[("host", "[::1]:7070")]));
        assert!(led(&[("host", "evil.example")]) && led(&[("host", "10.0.0.1")]));
        assert!(led(&[("host", "localhost"), ("origin", "https://evil.example")]));
    }
}
