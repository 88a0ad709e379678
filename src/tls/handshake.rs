//! One TLS handshake with nothing behind it, for the doctor: what the server shows, and why it is not
//! believed.
//!
//! Blocking, bounded by its limit. The certificate is judged exactly as for uploads and MQTT: the same
//! CAs, the same time, and the client's own certificate shown where there is one. A server that is believed
//! and refuses *us* is not doubted here: what speaks to it next tells why. What the server showed is told also where it is not believed, because "not yet
//! valid" helps only together with the two dates.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

use super::{
    CertificateTime, ClientCertificate, TlsError, roots_of_file, roots_of_system, with_certificate,
};
use crate::clock::{Timekeeper, WallTime};

/// A certificate as a person looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Names and addresses it is for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// Valid from.
    pub from: WallTime,
    /// Valid to.
    pub until: WallTime,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// Nobody to believe.
    #[error(transparent)]
    Setup(#[from] TlsError),
    /// The time of the certificate is over, or has not come.
    #[error("its certificate is expired or not yet valid")]
    Time(Option<Certificate>),
    /// No CA that is believed signed it.
    #[error("its certificate is signed by nobody that is believed here")]
    Issuer(Option<Certificate>),
    /// It is for another name.
    #[error("its certificate is for another name")]
    Name(Option<Certificate>),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Shakes hands with the server at `address`, which should be `host`.
///
/// # Errors
/// See [`Doubt`].
pub fn shake(
    address: SocketAddr,
    host: &str,
    ca_file: Option<&Path>,
    own: Option<ClientCertificate<'_>>,
    timekeeper: &Timekeeper,
    limit: Duration,
) -> Result<Certificate, Doubt> {
    let other = |e: &dyn std::fmt::Display| Doubt::Other(e.to_string());
    let roots = match ca_file {
        Some(path) => roots_of_file(path)?,
        None => roots_of_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|e| other(&e))?;
    let witness =
        Arc::new(Witness { inner, seen: Mutex::default(), believed: AtomicBool::default() });
    let time = Arc::new(CertificateTime(timekeeper.clone()));
    let builder = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::from)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>);
    // One that cannot be used is told with the configuration.
    let config = match own.filter(|own| super::check(*own).is_ok()) {
        Some(own) => with_certificate(builder, own)?,
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| other(&e))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(TlsError::from)?;
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(|e| other(&e))?;
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(limit)).map_err(|e| other(&e))?;
    }
    let shaken = connection.complete_io(&mut stream);
    let certificate = || witness.seen().and_then(|der| certificate(&der));
    match shaken {
        Ok(_) => certificate().ok_or_else(|| Doubt::Other("it showed no certificate".into())),
        Err(error) => Err(match error.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
            Some(Error::AlertReceived(_)) if witness.believes() => {
                return certificate()
                    .ok_or_else(|| Doubt::Other("it showed no certificate".into()));
            }
            Some(tls) => doubt(tls, certificate()),
            None if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
            {
                Doubt::Other("it does not answer".into())
            }
            None => other(&error),
        }),
    }
}

fn doubt(error: &Error, shown: Option<Certificate>) -> Doubt {
    let Error::InvalidCertificate(reason) = error else { return Doubt::Other(error.to_string()) };
    match reason {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Doubt::Time(shown),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Doubt::Issuer(shown),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Doubt::Name(shown)
        }
        _ => Doubt::Other(error.to_string()),
    }
}

fn certificate(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, x509) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = x509.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|n| n.value.general_names.iter()).map(|n| match n {
        x509_parser::extensions::GeneralName::DNSName(name) => plain(name),
        x509_parser::extensions::GeneralName::IPAddress(bytes) => address(bytes),
        other => plain(&other.to_string()),
    });
    let milliseconds =
        |t: x509_parser::time::ASN1Time| WallTime(t.timestamp().saturating_mul(1000));
    Some(Certificate {
        names: names.take(8).collect(),
        issuer: plain(&x509.issuer().to_string()),
        from: milliseconds(x509.validity().not_before),
        until: milliseconds(x509.validity().not_after),
    })
}

fn address(bytes: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| std::net::Ipv4Addr::from(b).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|b| std::net::Ipv6Addr::from(b).to_string());
    v4.or(v6).unwrap_or_else(|_| "an address".into())
}

/// A stranger's words, cut and without control characters.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).take(120).collect()
}

/// Judges as the real one does, and remembers what was shown.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<CertificateDer<'static>>>,
    believed: AtomicBool,
}

impl Witness {
    fn believes(&self) -> bool {
        self.believed.load(Ordering::Relaxed)
    }

    fn seen(&self) -> Option<CertificateDer<'static>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Some(end_entity.clone().into_owned());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        let judged = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        self.believed.store(judged.is_ok(), Ordering::Relaxed);
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
