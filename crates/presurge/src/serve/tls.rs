//! The certificate that the daemon shows.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What accepts TLS connections, 1.2 and 1.3.
///
/// # Errors
/// Names the file that cannot be used.
pub fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let bad = |file: &Path, why: String| format!("{}: {why}", file.display());
    let certs = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(cert, format!("no certificate can be read: {error}")))?;
    if certs.is_empty() {
        return Err(bad(cert, "there is no certificate in it; expected PEM".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| bad(key, format!("no private key can be read: {error}")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certs, private)
        .map_err(|error| bad(key, format!("it does not go with {}: {error}", cert.display())))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
