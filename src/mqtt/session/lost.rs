//! Why a connection ended, or was never made: the library's errors, sorted by what follows from them.
//!
//! No text here shows a payload: a packet in the wrong place is not printed. What the other side says is
//! cut and made plain, for it goes into logs and status.

use std::fmt::{self, Debug};
use std::io;

use rumqttc::mqttbytes::Error as MqttError;
use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError};
use rustls::{AlertDescription, CertificateError};

/// Most characters of a text that is not ours.
const MAX_TEXT: usize = 200;

/// Why there is no connection, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Lost {
    /// We took leave.
    Ended,
    /// Something on this device: a file that cannot be used. Names it and the remedy.
    Setup(String),
    /// The broker knows us not, or not with this password.
    Credentials(String),
    /// The broker answered, and refuses to have us for another reason.
    Refused(String),
    /// Somebody else connects under our name; the broker said so.
    TakenOver,
    /// We do not believe the broker's certificate.
    Untrusted(Doubt),
    /// The broker does not believe ours, or wants one.
    Unbelieved(String),
    /// TLS did not come about.
    Tls(String),
    /// The broker sent a packet above [`super::MAX_PACKET`], although it was asked not to.
    TooLarge(usize),
    /// The other side closed the connection; its words, where it said any.
    Closed(Option<String>),
    /// More came at once than is taken here; the rest comes again with the next connection.
    Flooded,
    /// Nothing came in time.
    Silent,
    /// The network: no name, no route, nobody listening.
    Unreachable(String),
    /// Anything else.
    Other(String),
}

/// What is wrong with the broker's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Doubt {
    /// No CA that we believe signed it.
    Issuer,
    /// It is for another name.
    Name,
    /// Its time is over, or has not come.
    Time,
    /// Anything else.
    Other(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("disconnected"),
            Self::Setup(words) | Self::Other(words) => f.write_str(words),
            Self::Credentials(words) | Self::Refused(words) => write!(f, "refused: {words}"),
            Self::TakenOver => f.write_str("another client took the session over"),
            Self::Untrusted(doubt) => {
                write!(f, "the broker's certificate is not believed: {doubt}")
            }
            Self::Unbelieved(words) => write!(f, "the broker refuses our certificate: {words}"),
            Self::Tls(words) => write!(f, "tls: {words}"),
            Self::TooLarge(size) => write!(f, "the broker sent a packet of {size} bytes"),
            Self::Closed(None) => f.write_str("the broker closed the connection"),
            Self::Closed(Some(words)) => write!(f, "the broker closed the connection: {words}"),
            Self::Flooded => f.write_str("more came at once than can be taken"),
            Self::Silent => f.write_str("no answer"),
            Self::Unreachable(words) => write!(f, "cannot be reached: {words}"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer => f.write_str("unknown issuer"),
            Self::Name => f.write_str("it is for another name"),
            Self::Time => f.write_str("expired or not yet valid"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl From<ConnectionError> for Lost {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionRefused(code) => refused(code),
            ConnectionError::MqttState(state) => state.into(),
            ConnectionError::Io(error) => network(&error),
            ConnectionError::Tls(rumqttc::TlsError::Io(error)) => network(&error),
            ConnectionError::Tls(rumqttc::TlsError::TLS(error)) => handshake(&error),
            ConnectionError::Timeout(_) => Self::Silent,
            ConnectionError::RequestsDone | ConnectionError::DisconnectTimeout => Self::Ended,
            // Its text holds the packet.
            ConnectionError::NotConnAck(_) => Self::Other("the answer is not MQTT 5's".into()),
            other => Self::Other(plain(&other)),
        }
    }
}

impl From<StateError> for Lost {
    fn from(error: StateError) -> Self {
        match error {
            StateError::ConnFail { reason } => refused(reason),
            StateError::Io(error) => network(&error),
            StateError::ConnectionAborted => Self::Closed(None),
            StateError::AwaitPingResp => Self::Silent,
            StateError::IncomingPacketTooLarge { pkt_size, .. } => Self::TooLarge(pkt_size),
            StateError::ServerDisconnect { reason_code, reason_string } => {
                if reason_code == DisconnectReasonCode::SessionTakenOver {
                    return Self::TakenOver;
                }
                let said = reason_string.map(|said| format!(" ({})", plain(&said)));
                let said = said.unwrap_or_default();
                Self::Closed(Some(format!("{}{said}", spaced(&reason_code))))
            }
            // mosquitto's short DISCONNECT, which the library cannot read, ends here too.
            StateError::Deserialization(MqttError::Io(error)) => network(&error),
            StateError::Deserialization(MqttError::PayloadSizeLimitExceeded {
                pkt_size, ..
            }) => Self::TooLarge(pkt_size),
            other => Self::Other(plain(&other)),
        }
    }
}

fn refused(code: ConnectReturnCode) -> Lost {
    use ConnectReturnCode as Code;
    let words = spaced(&code);
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized | Code::BadAuthenticationMethod => {
            Lost::Credentials(words)
        }
        _ => Lost::Refused(words),
    }
}

fn network(error: &io::Error) -> Lost {
    use io::ErrorKind as Kind;
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return handshake(tls);
    }
    match error.kind() {
        Kind::UnexpectedEof
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe => Lost::Closed(None),
        Kind::TimedOut => Lost::Silent,
        _ => Lost::Unreachable(plain(error)),
    }
}

fn handshake(error: &rustls::Error) -> Lost {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(doubt) => Lost::Untrusted(match doubt {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Doubt::Issuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Doubt::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Doubt::Time,
            other => Doubt::Other(plain(other)),
        }),
        Error::AlertReceived(alert) if about_certificate(*alert) => Lost::Unbelieved(spaced(alert)),
        other => Lost::Tls(plain(other)),
    }
}

fn about_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

/// A text that is not ours, as it may be shown: no control characters, and not long.
fn plain(text: &impl fmt::Display) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.to_string().chars().map(shown).take(MAX_TEXT).collect()
}

/// The library's `NotAuthorized` as people write it: `not authorized`.
pub(super) fn spaced(word: &impl Debug) -> String {
    let mut text = String::new();
    for c in format!("{word:?}").chars() {
        if c.is_uppercase() && text.ends_with(|last: char| last.is_lowercase()) {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_in_words() {
        let lost = |code| Lost::from(ConnectionError::ConnectionRefused(code)).to_string();
        assert_eq!(lost(ConnectReturnCode::BadUserNamePassword), "refused: bad user name password");
    }

    #[test]
    fn a_packet_in_the_wrong_place_is_not_shown() {
        let publish = rumqttc::Publish::new("t", rumqttc::mqttbytes::QoS::AtMostOnce, "HUSH", None);
        let error = ConnectionError::NotConnAck(Box::new(rumqttc::Packet::Publish(publish)));
        let lost = Lost::from(error);
        assert!(!format!("{lost} {lost:?}").contains("HUSH"));
    }

    #[test]
    fn what_a_broker_says_is_cut_and_made_plain() {
        let lost = Lost::from(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::ServerBusy,
            reason_string: Some(format!("\u{1b}[2Jlater\n{}", "x".repeat(60_000))),
        });
        let text = lost.to_string();
        assert!(text.contains("server busy (\u{fffd}[2Jlater\u{fffd}xxx"), "{text}");
        assert!(text.chars().count() < 300 && !text.contains(char::is_control), "{text}");
    }

    #[test]
    fn what_cannot_be_parsed_is_no_close() {
        let lost = Lost::from(StateError::Deserialization(MqttError::MalformedPacket));
        assert!(matches!(lost, Lost::Other(_)), "{lost:?}");
    }

    #[test]
    fn tls_is_told_apart_from_the_network() {
        let io = |error: rustls::Error| network(&io::Error::other(error));
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(io(unknown), Lost::Untrusted(Doubt::Issuer));
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(matches!(io(alert), Lost::Unbelieved(_)));
        assert!(matches!(network(&io::ErrorKind::ConnectionRefused.into()), Lost::Unreachable(_)));
        assert_eq!(network(&io::ErrorKind::ConnectionReset.into()), Lost::Closed(None));
    }
}
