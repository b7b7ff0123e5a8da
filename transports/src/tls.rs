//! TLS on the client's side: rustls, with ring as its only provider of cryptography.

use std::fmt;
use std::sync::{Arc, OnceLock};

use flexstore_core::link::DialError;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are believed: those of the web's authorities, as Mozilla lists them, and
/// those that are added.
#[derive(Clone, Default)]
pub struct Trust {
    added: Vec<CertificateDer<'static>>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

/// Why a certificate cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// No certificate in the form of PEM.
    #[error("no certificate in the form of PEM: {0}")]
    Pem(#[from] pem::Error),
    /// A certificate that cannot be a root.
    #[error("not a certificate to be trusted: {0}")]
    Certificate(#[from] rustls::Error),
}

impl Trust {
    /// The web's authorities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes these too: certificates of authorities, or of services that signed their own.
    ///
    /// # Errors
    /// [`TrustError`] if there is none, or one that cannot be a root.
    pub fn add(mut self, pem: impl AsRef<[u8]>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let before = self.added.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_ref()) {
            let certificate = certificate?;
            roots.add(certificate.clone())?;
            self.added.push(certificate);
        }
        if self.added.len() == before {
            return Err(pem::Error::NoItemsFound.into());
        }
        self.config = Arc::default();
        Ok(self)
    }

    /// What connections are made with.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, DialError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        roots.add_parsable_certificates(self.added.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| DialError::Refused(error.to_string().into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }

    /// Shakes hands with a host.
    pub(crate) async fn shake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| DialError::UnknownService)?;
        let connector = TlsConnector::from(self.config()?);
        connector.connect(name, stream).await.map_err(|error| {
            let words = error.to_string().into();
            // What rustls finds wrong with the other side has this kind; the rest is the network.
            if error.kind() == std::io::ErrorKind::InvalidData {
                DialError::Refused(words)
            } else {
                DialError::Unreachable(words)
            }
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust(the web's and {} more)", self.added.len())
    }
}
