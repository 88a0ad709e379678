//! TLS for everything that goes out: whom to believe, and at what time.
//!
//! Called by the uploader when its client is built, and by MQTT for each connection, so that renewed
//! certificates are used without a restart. Reads files: on the runtime, call it where blocking is
//! allowed. One crypto provider (ring), given explicitly, so that no
//! process-wide default is needed. Certificates are checked at the [`Timekeeper`]'s time, which is never
//! before this program was built: a camera that wakes up in 1970 can still reach its store over TLS and
//! learn the time from it. Failure: an unreadable file, a key that is not the certificate's or an empty
//! system store is an error that names the file and says what to install or mend; a key's text is never
//! part of it.

pub mod handshake;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::clock::Timekeeper;

/// Why no TLS client can be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The configured CA file is not there or holds no certificate.
    #[error("the CA file {path} cannot be used: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The device's own certificate is not there or holds none.
    #[error(
        "the certificate {path} cannot be used: {reason}: give the device's certificate, and what lies \
         between it and the CA, as a readable PEM file"
    )]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The device's private key is not there, or is not the certificate's.
    #[error(
        "the private key {path} cannot be used: {reason}: give the key of the certificate {certificate}, \
         without a passphrase, as a PEM file that vedette may read"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// The certificate it should belong to.
        certificate: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no certificates.
    #[error("this system has no CA certificates: install ca-certificates or set a CA file")]
    NoRoots,
    /// The TLS library refused its own defaults.
    #[error("tls: {0}")]
    Library(#[from] rustls::Error),
}

/// Where a client's own certificate is, for servers that ask for one.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificate<'f> {
    /// PEM file with the certificate, first its own, then what lies between it and the CA.
    pub certificate: &'f Path,
    /// PEM file with its private key.
    pub key: &'f Path,
}

/// Builds the client's side of TLS: the system's certificates, or only those of `ca_file`; with
/// `own`, the client shows that certificate to a server that asks.
///
/// # Errors
/// [`TlsError`] when there is nobody to believe, or the own certificate cannot be used.
pub fn client_config(
    ca_file: Option<&Path>,
    own: Option<ClientCertificate<'_>>,
    timekeeper: &Timekeeper,
) -> Result<ClientConfig, TlsError> {
    let roots = match ca_file {
        Some(path) => roots_of_file(path)?,
        None => roots_of_system()?,
    };
    let builder = builder(roots, timekeeper)?;
    match own {
        Some(own) => with_certificate(builder, own),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// A client that believes nobody: for endpoints that are plain http.
///
/// # Errors
/// [`TlsError::Library`] only.
pub fn no_roots(timekeeper: &Timekeeper) -> Result<ClientConfig, TlsError> {
    Ok(builder(RootCertStore::empty(), timekeeper)?.with_no_client_auth())
}

type Builder = ConfigBuilder<ClientConfig, WantsClientCert>;

fn builder(roots: RootCertStore, time: &Timekeeper) -> Result<Builder, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(CertificateTime(time.clone()));
    Ok(ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// Can this certificate be shown: are both files readable, and is the key the certificate's?
///
/// # Errors
/// [`TlsError::Certificate`] or [`TlsError::Key`].
pub fn check(own: ClientCertificate<'_>) -> Result<(), TlsError> {
    read(own).map(drop)
}

fn with_certificate(
    builder: Builder,
    own: ClientCertificate<'_>,
) -> Result<ClientConfig, TlsError> {
    let certified = Arc::new(read(own)?);
    Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
}

fn read(own: ClientCertificate<'_>) -> Result<CertifiedKey, TlsError> {
    let bad = |reason| TlsError::Certificate { path: own.certificate.to_owned(), reason };
    let chain = certificates(own.certificate).map_err(bad)?;
    let bad_key = |reason: String| TlsError::Key {
        path: own.key.to_owned(),
        certificate: own.certificate.to_owned(),
        reason,
    };
    let key = PrivateKeyDer::from_pem_file(own.key).map_err(|e| bad_key(pem_words(&e)))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|e| bad_key(e.to_string()))
}

/// All certificates of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = CertificateDer::pem_file_iter(path).map_err(|e| pem_words(&e))?;
    let all = file.collect::<Result<Vec<_>, _>>().map_err(|e| pem_words(&e))?;
    if all.is_empty() {
        return Err("it holds no PEM certificate".into());
    }
    Ok(all)
}

/// The parser's words, but never the file's: what is malformed in a key may be the key.
fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(e) => e.to_string(),
        pem::Error::NoItemsFound => "it holds no PEM item of the right kind".into(),
        _ => "it is not well-formed PEM".into(),
    }
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let bad = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for cert in certificates(path).map_err(bad)? {
        roots.add(cert).map_err(|e| bad(e.to_string()))?;
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}

/// The time at which certificates are checked.
#[derive(Debug)]
struct CertificateTime(Timekeeper);

impl rustls::time_provider::TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.certificate_time().0).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}
