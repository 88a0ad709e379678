//! The line to the broker: makes a connection, hears what comes, waits, makes the next.
//!
//! One task, started by [`super::run`]. It only polls: it publishes nothing, and hands deliveries to a
//! task of their own, through a channel that has room for all that the broker may leave open. Files
//! (password, certificates) are read again for each connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::fault::Row;
use super::run::{Shared, Source};
use super::session::{Heard, Link, Lost, Opening, RECEIVE_MAXIMUM, Session};
use super::{Delivery, Settings, retained};
use crate::clock::Timekeeper;
use crate::tls::{self, ClientCertificate};

/// Room for all that may be open, and as much again for what needs no acknowledgement.
const ARRIVALS: usize = 2 * RECEIVE_MAXIMUM as usize;
/// Longest password that is read.
const MAX_PASSWORD: u64 = 64 << 10;

/// The task's own things.
pub(super) struct Line {
    pub(super) shared: Arc<Shared>,
    pub(super) timekeeper: Timekeeper,
    pub(super) links: watch::Sender<Option<Link>>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
}

impl Line {
    /// Keeps a connection, until one is ended by [`Link::disconnect`].
    pub(super) async fn run(self) {
        let mut row = Row::new(&self.shared.tuning);
        for generation in 1.. {
            let (lost, up) = self.connection(generation, &mut row).await;
            if lost == Lost::Ended {
                self.shared.state.send_if_modified(|s| std::mem::take(&mut s.connected));
                return;
            }
            let wait = row.ended(&lost, up, Instant::now(), fastrand::f64());
            self.tell(&lost, &row, wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, from its making to its end, and how long it was up.
    async fn connection(&self, generation: u64, row: &mut Row) -> (Lost, Option<Duration>) {
        let opening = match opening(&self.shared, &self.timekeeper).await {
            Ok(opening) => opening,
            Err(words) => return (Lost::Setup(words), None),
        };
        let mut session = Session::open(opening, generation);
        let mut up = None;
        // Ends with the connection: what it still holds was not acknowledged, and comes again.
        let (arrivals, arrived) = mpsc::channel(ARRIVALS);
        let mut hands = JoinSet::new();
        hands.spawn(hand_on(arrived, self.deliveries.clone()));
        let lost = loop {
            match self.next(&mut session, up, row).await {
                Ok(Heard::Up { link, resumed }) => {
                    up = Some(Instant::now());
                    self.up(link, resumed, row);
                }
                Ok(Heard::Arrived { delivery, open }) => arrive(&arrivals, delivery, open),
                Ok(Heard::Other) => {}
                Err(lost) => break lost,
            }
        };
        self.links.send_replace(None);
        (lost, up.map(|at| at.elapsed()))
    }

    /// What happens next; meanwhile a connection may have become a stable one.
    async fn next(
        &self,
        session: &mut Session,
        up: Option<Instant>,
        row: &mut Row,
    ) -> Result<Heard, Lost> {
        let stable = up.map(|at| tokio::time::Instant::from_std(at + self.shared.tuning.stable));
        let mut next = std::pin::pin!(session.next());
        if let Some(stable) = stable.filter(|_| row.failures() > 0) {
            tokio::select! {
                heard = &mut next => return heard,
                () = tokio::time::sleep_until(stable) => {}
            }
            row.stable();
            self.shared.fault(Source::Connection, None);
            self.shared.state.send_modify(|s| s.failures = 0);
        }
        next.await
    }

    fn up(&self, link: Link, resumed: bool, row: &Row) {
        info!(resumed, broker = self.shared.host(), "Connected with the broker.");
        self.shared.state.send_modify(|s| {
            s.connected = true;
            s.connections += 1;
        });
        if !row.duels() {
            self.shared.fault(Source::Connection, None);
        }
        self.links.send_replace(Some(link));
    }

    fn tell(&self, lost: &Lost, row: &Row, wait: Duration) {
        let fault = row.fault(lost, &self.shared.settings);
        let failures = row.failures();
        match &fault {
            Some(fault) => warn!(fault, failures, ?wait, "No connection with the broker."),
            None => info!(reason = %lost, failures, ?wait, "No connection with the broker."),
        }
        self.shared.state.send_modify(|s| {
            s.connected = false;
            s.failures = failures;
            s.last_error = Some(lost.to_string());
        });
        self.shared.fault(Source::Connection, fault);
    }
}

/// Puts a delivery where the desk's taker waits. One that finds no room stays unacknowledged; only a
/// broker that does not keep to the receive maximum can bring that about, or a flood of QoS 0.
fn arrive(arrivals: &mpsc::Sender<Delivery>, delivery: Delivery, open: bool) {
    let kept_free = if open { 0 } else { usize::from(RECEIVE_MAXIMUM) };
    if arrivals.capacity() <= kept_free {
        debug!(topic = delivery.topic, "A delivery too many.");
    } else if let Err(error) = arrivals.try_send(delivery) {
        debug!(%error, "A delivery too many.");
    }
}

/// Hands deliveries on, at the desk's pace.
async fn hand_on(mut from: mpsc::Receiver<Delivery>, to: mpsc::Sender<Delivery>) {
    while let Some(delivery) = from.recv().await {
        if to.send(delivery).await.is_err() {
            return;
        }
    }
}

/// Everything a connection is made with, files read anew.
async fn opening(shared: &Arc<Shared>, timekeeper: &Timekeeper) -> Result<Opening, String> {
    let (of_files, keeper) = (Arc::clone(shared), timekeeper.clone());
    let read = tokio::task::spawn_blocking(move || {
        let settings = &of_files.settings;
        Ok::<_, String>((credentials(settings)?, tls(settings, &keeper)?))
    });
    let (credentials, tls) = read.await.map_err(|e| e.to_string())??;
    let settings = &shared.settings;
    let (host, port) = settings.address();
    Ok(Opening {
        host,
        port,
        tls,
        client_id: settings.device.clone(),
        credentials,
        keep_alive: settings.keep_alive,
        session_expiry: settings.session_expiry,
        connect_within: shared.tuning.connect_within,
        will: retained::offline(shared),
    })
}

fn tls(settings: &Settings, keeper: &Timekeeper) -> Result<Option<rustls::ClientConfig>, String> {
    if !settings.is_secure() {
        return Ok(None);
    }
    let own = settings.client_certificate.as_ref();
    let own = own.map(|(certificate, key)| ClientCertificate { certificate, key });
    tls::client_config(settings.ca_file.as_deref(), own, keeper)
        .map(Some)
        .map_err(|e| e.to_string())
}

/// User name, and the first line of the password file.
fn credentials(settings: &Settings) -> Result<Option<(String, Option<Vec<u8>>)>, String> {
    use std::io::Read as _;
    let Some(user) = settings.username.clone() else { return Ok(None) };
    let Some(file) = &settings.password_file else { return Ok(Some((user, None))) };
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|f| f.take(MAX_PASSWORD).read_to_end(&mut bytes)).map_err(
        |e| {
            let file = file.display();
            format!("cannot read the password: {file}: {e}: put it there, for vedette to read")
        },
    )?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    Ok(Some((user, Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))))
}
