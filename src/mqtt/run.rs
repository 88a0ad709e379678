//! The one future that owns all of MQTT's tasks: the line, and the pumps that publish through it.
//!
//! Called once by the agent. On shutdown the pumps end, the broker is told that we go (retained), and
//! the connection ends in order, all within [`Tuning::farewell`]; where that does not come about the
//! connection is cut, and the last will tells it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use super::line::Line;
use super::retained::Talker;
use super::session::Link;
use super::{Delivery, MqttState, Publication, Settings, outbox, retained, stored};
use crate::backoff::Backoff;
use crate::clock::{BootId, Timekeeper};
use crate::contract::stored::StoredNotice;
use crate::spool::Spool;

/// Times and limits that are no settings; tests make them short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Waits between connections.
    pub backoff: Backoff,
    /// A connection that was up for so long ends the row of failures.
    pub stable: Duration,
    /// Three connections closed within this mean that another client has our name.
    pub duel_window: Duration,
    /// Wait between connections then; half of it is chance.
    pub duel_wait: Duration,
    /// Waits before a message that the broker refused is tried again.
    pub refused: Backoff,
    /// How long connecting may take.
    pub connect_within: Duration,
    /// How long the end may take.
    pub farewell: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            backoff: Backoff { base: seconds(1), cap: seconds(300) },
            stable: seconds(60),
            duel_window: seconds(60),
            duel_wait: seconds(300),
            refused: Backoff { base: seconds(2), cap: seconds(300) },
            connect_within: seconds(20),
            farewell: seconds(2),
        }
    }
}

/// What MQTT needs.
pub struct Deps {
    /// Which broker, and how.
    pub settings: Settings,
    /// This boot.
    pub boot: BootId,
    /// Tells this run of the agent from its others: what is retained is not of another one.
    pub run: String,
    /// The agent's version.
    pub version: String,
    /// Where the outbox is.
    pub spool: Spool,
    /// What time it is, for certificates and `since`.
    pub timekeeper: Timekeeper,
    /// What this device can do: retained on `caps`.
    pub caps: serde_json::Value,
    /// Stored events to tell at best effort; `None` where the outbox has them.
    pub notices: Option<broadcast::Receiver<StoredNotice>>,
    /// What is published at best effort.
    pub publications: mpsc::Receiver<Publication>,
    /// Who takes what comes.
    pub deliveries: mpsc::Sender<Delivery>,
    /// Published for status and alarms.
    pub state: watch::Sender<MqttState>,
    /// Times.
    pub tuning: Tuning,
}

/// Keeps the line to the broker until `shutdown`, then takes leave and returns.
pub async fn run(deps: Deps, shutdown: impl Future<Output = ()>) {
    let shared = Arc::new(Shared {
        settings: deps.settings,
        boot: deps.boot,
        state: deps.state,
        tuning: deps.tuning,
        faults: Mutex::default(),
    });
    if !shared.settings.is_secure() && !shared.settings.is_local() {
        warn!(
            broker = shared.host(),
            "The broker is spoken to without encryption: anyone on the way reads and writes along."
        );
    }
    let (up, links) = watch::channel(None);
    let mut pumps = JoinSet::new();
    let talker = Talker {
        shared: Arc::clone(&shared),
        timekeeper: deps.timekeeper.clone(),
        run: deps.run,
        version: deps.version,
        caps: deps.caps,
    };
    pumps.spawn(talker.run(Links::new(&links), deps.publications));
    pumps.spawn(outbox::run(Arc::clone(&shared), Links::new(&links), deps.spool));
    if let Some(notices) = deps.notices {
        pumps.spawn(stored::run(Arc::clone(&shared), Links::new(&links), notices));
    }
    let mut line = JoinSet::new();
    let (timekeeper, deliveries) = (deps.timekeeper, deps.deliveries);
    let poller = Line { shared: Arc::clone(&shared), timekeeper, links: up, deliveries };
    line.spawn(poller.run());
    tokio::select! {
        () = shutdown => {}
        Some(ended) = pumps.join_next() => error!(?ended, "A part of MQTT has ended by itself."),
        Some(ended) = line.join_next() => error!(?ended, "The line to the broker has ended by itself."),
    }
    pumps.shutdown().await;
    let last = links.borrow().clone();
    if let Some(link) = last {
        farewell(&shared, &link, &mut line).await;
    }
    line.shutdown().await;
    shared.state.send_modify(|s| s.connected = false);
}

/// Tells that we go, and goes. Where the broker does not answer in time the connection is cut instead:
/// then its last will says the same.
async fn farewell(shared: &Shared, link: &Link, line: &mut JoinSet<()>) {
    let goodbye = async {
        if let Ok(notice) = link.publish(retained::offline(shared)) {
            let outcome = notice.outcome().await;
            debug!(?outcome, "Told the broker that we go.");
            link.disconnect(shared.tuning.farewell / 2);
            line.join_next().await;
        }
    };
    if tokio::time::timeout(shared.tuning.farewell, goodbye).await.is_err() {
        debug!("The broker does not answer: cutting the connection.");
    }
}

/// What all tasks share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) boot: BootId,
    pub(super) state: watch::Sender<MqttState>,
    pub(super) tuning: Tuning,
    faults: Mutex<[Option<String>; Source::ALL]>,
}

/// Where a fault was seen; the first one stands in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Connection,
    Commands,
    State,
    Outbox,
    Published,
    Stored,
}

impl Source {
    const ALL: usize = 6;
}

impl Shared {
    /// The broker's host, for messages.
    pub(super) fn host(&self) -> &str {
        self.settings.broker.host_str().unwrap_or_default()
    }

    /// A topic of this device.
    pub(super) fn topic(&self, below: &str) -> String {
        format!("{}/{below}", self.settings.prefix())
    }

    /// Something that a person must mend, or that is mended.
    pub(super) fn fault(&self, source: Source, fault: Option<String>) {
        let first = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults[source as usize] = fault;
            faults.iter().flatten().next().cloned()
        };
        self.state.send_if_modified(|s| {
            let changed = s.fault != first;
            s.fault = first;
            changed
        });
    }

    /// The broker refused what we published.
    pub(super) fn refused(&self, source: Source, topic: &str, why: &str) {
        let host = self.host();
        warn!(topic, why, "The broker refuses a message.");
        self.state.send_modify(|s| {
            s.refused += 1;
            s.last_error = Some(format!("refused: {topic}: {why}"));
        });
        self.fault(
            source,
            Some(format!(
                "{host} refuses what is published to `{topic}` ({why}): let {} write below `{}` in the \
                 broker's access list",
                self.settings.device,
                self.settings.prefix()
            )),
        );
    }
}

/// Connections as they come and go, as one pump sees them.
pub(super) struct Links {
    from: watch::Receiver<Option<Link>>,
    last: u64,
}

impl Links {
    fn new(from: &watch::Receiver<Option<Link>>) -> Self {
        Self { from: from.clone(), last: 0 }
    }

    /// The next connection that is up. May be dropped half way.
    pub(super) async fn up(&mut self) -> Link {
        let last = self.last;
        let newer = |l: &Option<Link>| l.as_ref().is_some_and(|l| l.generation() > last);
        match self.from.wait_for(newer).await.map(|link| link.clone()) {
            Ok(Some(link)) => {
                self.last = link.generation();
                link
            }
            // The line has ended; so will whoever asks.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Returns when that connection is no more. May be dropped half way.
    pub(super) async fn gone(&mut self) {
        let last = self.last;
        let over = |l: &Option<Link>| l.as_ref().is_none_or(|l| l.generation() != last);
        if self.from.wait_for(over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
