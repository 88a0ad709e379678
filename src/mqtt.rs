//! MQTT: the session with the broker, and what is published over it.
//!
//! [`run()`] is one future that owns all its tasks, as the uploader is; the agent starts and stops it. It
//! hands what comes for this device to whoever takes [`Delivery`]s (the desk), and publishes from four
//! sources: retained state, [`Publisher`]s' best-effort publications, the spool's outbox, and stored
//! notices. It knows no command by meaning.
//!
//! Invariants: an acknowledgement goes only to the connection its delivery came with; what is in the
//! outbox leaves it only when the broker has acknowledged it; nothing here is unbounded, and no channel
//! can make the polling task wait. Failure: whatever the broker does, the line is made again, with
//! waits; what a person must mend stands in [`MqttState::fault`].
//!
//! Reading order: `session` is one connection and the only place that knows the MQTT library, `line`
//! makes one after the other, `fault` says how long to wait and what is wrong, `window` is what a pump
//! has in flight; `retained`, `outbox` and `stored` are the pumps, `run` puts them together; `probe` is one
//! look at the broker by another client.

mod fault;
mod line;
mod outbox;
pub mod probe;
mod retained;
mod run;
mod session;
mod stored;
mod window;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use url::Url;

pub use self::run::{Deps, Tuning, run};

/// Which broker, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `mqtts://host[:port]` or `mqtt://host[:port]`.
    pub broker: Url,
    /// Device id: the client id, and the prefix of all topics.
    pub device: String,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// File with the password: its first line.
    pub password_file: Option<PathBuf>,
    /// PEM file with the CA to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files with the device's certificate (and its chain) and private key, for mutual TLS.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Longest silence before the connection is probed.
    pub keep_alive: Duration,
    /// How long the broker keeps commands for a device that is away.
    pub session_expiry: Duration,
    /// Stored events go through the outbox, in the store's own transaction, instead of best effort.
    pub reliable: bool,
}

impl Settings {
    /// What all of this device's topics begin with, without a slash at the end.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("vedette/v1/{}", self.device)
    }

    /// Is the connection made over TLS?
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.broker.scheme() == "mqtts"
    }

    /// Is the broker on this machine?
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.broker.host() {
            // Of a scheme that the URL library does not know, an IPv4 address is a name to it.
            Some(url::Host::Domain(name)) => {
                let address = name.parse::<std::net::Ipv4Addr>();
                name == "localhost" || address.is_ok_and(|a| a.is_loopback())
            }
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Host and port; an IPv6 address without its brackets.
    #[must_use]
    pub fn address(&self) -> (String, u16) {
        let host = self.broker.host_str().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let usual = if self.is_secure() { 8883 } else { 1883 };
        (bare.to_owned(), self.broker.port().unwrap_or(usual))
    }
}

/// Something that came for this device.
#[derive(Debug)]
pub struct Delivery {
    /// The whole topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Was it retained at the broker?
    pub retain: bool,
    /// MQTT 5: where an answer is wanted.
    pub response_topic: Option<String>,
    /// MQTT 5: what is to go with it.
    pub correlation: Option<Vec<u8>>,
    /// To be acknowledged when it is durable, or refused for good.
    pub ack: Ack,
}

/// Acknowledges one delivery. Dropped without [`Ack::done`], the delivery stays open, and the broker
/// sends it again with the next connection.
pub struct Ack(Box<dyn FnOnce() + Send + Sync>);

impl Ack {
    /// `done` sends the acknowledgement; it must not wait.
    pub fn new(done: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Box::new(done))
    }

    /// Acknowledges.
    pub fn done(self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ack")
    }
}

/// Something to publish, at best effort: QoS 1, never stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Topic below the device's own.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// MQTT 5 correlation data.
    pub correlation: Option<Vec<u8>>,
}

/// Publications that may wait; further ones are dropped and counted.
pub const PUBLICATIONS: usize = 64;

/// Publishes at best effort; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    to: mpsc::Sender<Publication>,
    dropped: Arc<std::sync::atomic::AtomicU64>,
}

impl Publisher {
    /// A publisher, and the end where its publications come out.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Publication>) {
        let (to, from) = mpsc::channel(PUBLICATIONS);
        (Self { to, dropped: Arc::default() }, from)
    }

    /// Publishes, or drops and counts when too many wait.
    pub fn publish(&self, publication: Publication) {
        if self.to.try_send(publication).is_err() {
            self.dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Publications dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// How the session stands; of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MqttState {
    /// Is there a connection?
    pub connected: bool,
    /// Connections made.
    pub connections: u64,
    /// Failures in a row.
    pub failures: u32,
    /// What needs a person: wrong credentials, another client under this name. An alarm.
    pub fault: Option<String>,
    /// The last thing that went wrong, also when all is well again.
    pub last_error: Option<String>,
    /// Times that the broker refused a message; refused messages of the outbox are tried again.
    pub refused: u64,
    /// Messages of the outbox that arrived.
    pub arrived: u64,
    /// Stored events published.
    pub stored_told: u64,
    /// Stored events lost: the ring was full while the broker was away.
    pub stored_lost: u64,
}
