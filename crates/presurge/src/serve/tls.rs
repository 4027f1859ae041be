//! The certificate that the daemon shows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// A certificate and its key, as their files were read last: new connections are shown that.
#[derive(Debug)]
pub struct Shown {
    cert: PathBuf,
    key: PathBuf,
    held: RwLock<Arc<CertifiedKey>>,
}

impl Shown {
    /// Reads the PEM files.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let held = RwLock::new(Arc::new(certified(cert, key)?));
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), held })
    }

    /// Reads them again; says whether it is another certificate than before. Files that cannot be used
    /// change nothing.
    ///
    /// # Errors
    /// As [`Shown::read`].
    pub fn read_again(&self) -> Result<bool, String> {
        let found = certified(&self.cert, &self.key)?;
        let mut held = self.held.write().expect("nobody panics with it");
        let another = held.cert != found.cert;
        *held = Arc::new(found);
        Ok(another)
    }

    /// What accepts TLS connections, 1.2 and 1.3.
    ///
    /// # Errors
    /// The versions are not supported by the cryptography, which is a defect.
    pub fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor, String> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(self);
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.held.read().expect("nobody panics with it").clone())
    }
}

fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let bad = |file: &Path, why: String| format!("{}: {why}", file.display());
    let certs = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(cert, format!("no certificate can be read: {error}")))?;
    if certs.is_empty() {
        return Err(bad(cert, "there is no certificate in it; expected PEM".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| bad(key, format!("no private key can be read: {error}")))?;
    CertifiedKey::from_der(certs, private, &ring::default_provider())
        .map_err(|error| bad(key, format!("it does not go with {}: {error}", cert.display())))
}
