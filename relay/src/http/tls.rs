//! TLS by rustls, with ring as its only provider of cryptography.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// Where a self-signed certificate is written, in the data directory, for clients to trust.
pub const CERTIFICATE_FILE: &str = "relay-certificate.pem";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no certificate or key in the form of PEM.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The certificate and the key do not go together, or are of a kind that is not known.
    #[error("the certificate and its key are of no use: {0}")]
    Pair(#[from] rustls::Error),
    /// No certificate can be made for these names.
    #[error("cannot make a certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// The certificate cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What shakes hands with clients.
pub(super) fn acceptor(tls: &Tls, data: &Path) -> Result<TlsAcceptor, TlsError> {
    let (certificates, key) = match tls {
        Tls::Files { certificate, key } => read(certificate, key)?,
        Tls::SelfSigned { self_signed } => make(self_signed, data)?,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(certificate: &Path, key: &Path) -> Result<Pair, TlsError> {
    let of = |path: &Path| {
        let path = path.to_owned();
        |source| TlsError::File { path, source }
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(of(certificate))?
        .collect();
    let certificates = certificates.map_err(of(certificate))?;
    if certificates.is_empty() {
        return Err(of(certificate)(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(of(key))?;
    Ok((certificates, key))
}

/// A new certificate at every start; the key is never written.
fn make(names: &[String], data: &Path) -> Result<Pair, TlsError> {
    let made = generate_simple_self_signed(names)?;
    let path = data.join(CERTIFICATE_FILE);
    std::fs::create_dir_all(data)
        .and_then(|()| std::fs::write(&path, made.cert.pem()))
        .map_err(|source| TlsError::Write { path, source })?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Ok((vec![made.cert.der().clone()], key))
}
