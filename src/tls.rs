//! TLS for everything that goes out: whom to believe, and at what time.
//!
//! Called once when a client is built. One crypto provider (ring), given explicitly, so that no
//! process-wide default is needed. Certificates are checked at the [`Timekeeper`]'s time, which is never
//! before this program was built: a camera that wakes up in 1970 can still reach its store over TLS and
//! learn the time from it. Failure: an unreadable CA file or an empty system store is an error that
//! says what to install or mend.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{ClientConfig, RootCertStore};

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
    /// The system has no certificates.
    #[error("this system has no CA certificates: install ca-certificates or set a CA file")]
    NoRoots,
    /// The TLS library refused its own defaults.
    #[error("tls: {0}")]
    Library(#[from] rustls::Error),
}

/// Builds the client's side of TLS: the system's certificates, or only those of `ca_file`.
///
/// # Errors
/// [`TlsError`] when there is nobody to believe.
pub fn client_config(
    ca_file: Option<&Path>,
    timekeeper: &Timekeeper,
) -> Result<ClientConfig, TlsError> {
    let roots = match ca_file {
        Some(path) => roots_of_file(path)?,
        None => roots_of_system()?,
    };
    Ok(config_with(roots, timekeeper)?)
}

/// A client that believes nobody: for endpoints that are plain http.
///
/// # Errors
/// [`TlsError::Library`] only.
pub fn no_roots(timekeeper: &Timekeeper) -> Result<ClientConfig, TlsError> {
    Ok(config_with(RootCertStore::empty(), timekeeper)?)
}

fn config_with(roots: RootCertStore, time: &Timekeeper) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(CertificateTime(time.clone()));
    Ok(ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let bad = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
        let cert = cert.map_err(|e| bad(e.to_string()))?;
        roots.add(cert).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("it holds no PEM certificate".into()));
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
