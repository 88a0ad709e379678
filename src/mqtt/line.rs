//! The line to the broker: makes a connection, hears what comes, waits, makes the next.
//!
//! One task, started by [`super::run`]. It only polls: it publishes nothing, and puts deliveries in a line
//! of their own, where they wait for the desk. Where that line is full it reads nothing more until there is
//! room, so that the broker has to wait: the desk's work asks nothing of the connection. A desk that makes no
//! room for [`HELD_BACK`] ends the connection, and what was not acknowledged comes again with the next: memory
//! stays bounded whatever the broker does. Files (password, certificates) are read again for each connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::fault::Row;
use super::run::{Shared, Source};
use super::session::{Credentials, Heard, Link, Lost, MAX_PACKET, Opening, Session};
use super::{Delivery, Settings, retained};
use crate::clock::Timekeeper;
use crate::tls::{self, ClientCertificate};

/// Deliveries of one connection that may wait for the desk: more than the sixteen that were asked for,
/// because not every broker keeps to that, and as many as mosquitto queues for a client.
pub(super) const ARRIVALS: usize = 1024;
/// Bytes that may wait for the desk: sixteen of the largest, and as much again.
const ARRIVED_BYTES: usize = 2 * 16 * MAX_PACKET as usize;
/// Longest time that nothing is read because the line is full: half of the shortest keep-alive, since no probe
/// is sent meanwhile.
const HELD_BACK: Duration = Duration::from_secs(5);
/// What a delivery takes besides its bytes.
const DELIVERY: usize = 256;
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
        let mut arrivals = Arrivals::new(self.deliveries.clone());
        let lost = loop {
            // Something happens with each probe. A broker that takes nothing off the socket keeps the
            // library in its flush, which has no end of its own and lets no probe be missed.
            let next = tokio::time::timeout(self.patience(), self.next(&mut session, up, row));
            match next.await.unwrap_or(Err(Lost::Silent)) {
                Ok(Heard::Up { link, resumed }) => {
                    up = Some(Instant::now());
                    self.up(link, resumed, row);
                }
                Ok(Heard::Arrived { delivery, open }) => {
                    if !arrivals.put(delivery, open).await {
                        break Lost::Flooded;
                    }
                }
                Ok(Heard::Other) => {}
                Err(lost) => break lost,
            }
        };
        self.links.send_replace(None);
        (lost, up.map(|at| at.elapsed()))
    }

    /// How long a connection on which nothing happens is believed in.
    fn patience(&self) -> Duration {
        self.shared.settings.keep_alive.saturating_mul(2) + self.shared.tuning.connect_within
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

/// What came over one connection and waits for the desk, bounded in number and bytes. It ends with its
/// connection: what it still holds was not acknowledged, and comes again.
struct Arrivals {
    to: mpsc::Sender<(Delivery, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    _hands: JoinSet<()>,
}

impl Arrivals {
    fn new(desk: mpsc::Sender<Delivery>) -> Self {
        let (to, mut from) = mpsc::channel::<(Delivery, OwnedSemaphorePermit)>(ARRIVALS);
        let mut hands = JoinSet::new();
        hands.spawn(async move {
            while let Some((delivery, _room)) = from.recv().await {
                if desk.send(delivery).await.is_err() {
                    return;
                }
            }
        });
        Self { to, room: Arc::new(Semaphore::new(ARRIVED_BYTES)), _hands: hands }
    }

    /// Puts a delivery in line when there is room; false when there is none for too long, and the connection
    /// must end, so that it comes again. One that the broker does not wait for (QoS 0) is dropped sooner.
    async fn put(&mut self, delivery: Delivery, open: bool) -> bool {
        if !open && self.to.capacity() <= ARRIVALS / 2 {
            debug!(topic = delivery.topic, "Dropped: too many deliveries, and this one is QoS 0.");
            return true;
        }
        let size = u32::try_from(charge(&delivery)).unwrap_or(u32::MAX);
        let line = async {
            let room = Arc::clone(&self.room).acquire_many_owned(size).await.ok()?;
            self.to.send((delivery, room)).await.ok()
        };
        tokio::time::timeout(HELD_BACK, line).await.is_ok_and(|put| put.is_some())
    }
}

/// What a delivery that waits costs in memory.
fn charge(delivery: &Delivery) -> usize {
    let response_topic = delivery.response_topic.as_ref().map_or(0, String::len);
    let correlation = delivery.correlation.as_ref().map_or(0, Vec::len);
    DELIVERY + delivery.topic.len() + delivery.payload.len() + response_topic + correlation
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
        session_expiry: Some(settings.session_expiry),
        connect_within: shared.tuning.connect_within,
        will: Some(retained::offline(shared)),
    })
}

pub(super) fn tls(
    settings: &Settings,
    keeper: &Timekeeper,
) -> Result<Option<rustls::ClientConfig>, String> {
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
pub(super) fn credentials(settings: &Settings) -> Result<Option<Credentials>, String> {
    use std::io::Read as _;
    let Some(user) = settings.username.clone() else { return Ok(None) };
    let Some(file) = &settings.password_file else {
        return Ok(Some(Credentials { user, password: None }));
    };
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|f| f.take(MAX_PASSWORD).read_to_end(&mut bytes)).map_err(
        |e| {
            let file = file.display();
            format!("cannot read the password: {file}: {e}: put it there, for vedette to read")
        },
    )?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let password = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    Ok(Some(Credentials { user, password: Some(password) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Ack;

    fn delivery(payload: usize) -> Delivery {
        Delivery {
            topic: "t".repeat(10),
            payload: vec![0; payload].into(),
            retain: false,
            response_topic: Some("r".repeat(3000)),
            correlation: Some(vec![0; 40_000]),
            ack: Ack::new(|| {}),
        }
    }

    #[test]
    fn a_delivery_is_charged_with_all_that_it_holds() {
        assert_eq!(charge(&delivery(200)), 43_210 + 256);
    }

    /// So many, of which each takes a third of the line.
    async fn put(arrivals: &mut Arrivals, count: usize) -> Vec<bool> {
        let mut put = Vec::new();
        for _ in 0..count {
            put.push(arrivals.put(delivery(ARRIVED_BYTES / 3 - 44_000), true).await);
        }
        put
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_sends_more_than_the_desk_has_room_for_waits_for_it() {
        let (desk, mut work) = mpsc::channel(1);
        let mut arrivals = Arrivals::new(desk);
        let mut working = JoinSet::new();
        working.spawn(async move {
            while work.recv().await.is_some() {
                tokio::time::sleep(HELD_BACK / 2).await;
            }
        });
        assert_eq!(put(&mut arrivals, 20).await, [true; 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_desk_that_stands_still_ends_the_connection() {
        let (desk, _work) = mpsc::channel(1);
        let mut arrivals = Arrivals::new(desk);
        let room = put(&mut arrivals, 6).await;
        assert!(room[..4] == [true; 4] && !room[5], "{room:?}");
    }
}
