//! The outbox pump: publishes what must arrive, and has it removed when the broker acknowledged it.
//!
//! One task, started by [`super::run`]. Messages go in the order of their numbers, so many at once; what
//! is not acknowledged when a connection ends is published again with the next, so a message may arrive
//! twice, and the same bytes each time. It sleeps until the spool tells of a change.
//!
//! A message that the broker refuses stays in the outbox and is tried again in the next *round*, after a
//! wait that grows; it does not hold up the ones behind it. Where the broker refuses everything, a
//! round pauses after each [`ROOM`] refusals in a row, so that a wrong access list costs a few messages
//! a minute, not all of them at once.
//!
//! Given up, and counted as dropped, is what can never be sent (too large for the broker, no topic), and,
//! after [`refusals::TRIES`] rounds, an outcome for a requester's own topic: its other copy, on the status
//! topic, stays.

mod refusals;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use self::refusals::Refusals;
use super::run::{Links, Shared, Source};
use super::session::{Link, Outgoing, Sent};
use super::window::{ROOM, Window};
use crate::spool::{Kind, Message, Queued, Spool, SpoolError};

/// Messages read at a time.
const PAGE: usize = ROOM;

/// Publishes the outbox, for ever.
pub(super) async fn run(shared: Arc<Shared>, mut links: Links, spool: Spool) {
    let changed = spool.outbox_changed();
    let mut pump = Pump { shared, spool, changed, refusals: Refusals::default() };
    loop {
        let link = links.up().await;
        pump.serve(link, &mut links).await;
    }
}

struct Pump {
    shared: Arc<Shared>,
    spool: Spool,
    changed: watch::Receiver<u64>,
    refusals: Refusals,
}

/// How far a connection's reading of the outbox is.
#[derive(Default)]
struct Reading {
    /// Messages up to this number were read.
    above: u64,
    /// Read, not yet sent.
    page: VecDeque<Queued>,
    /// Everything there was has been read.
    all: bool,
    /// What is in flight, by number.
    in_flight: BTreeMap<u64, Flight>,
    /// What waits for its time.
    rest: Option<Rest>,
}

/// A message in flight.
#[derive(Default)]
struct Flight {
    topic: String,
    /// Another copy of it goes to another topic.
    is_copy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// The next round begins.
    Round(Instant),
    /// This round goes on.
    Pause(Instant),
}

impl Rest {
    fn due(self) -> Instant {
        match self {
            Self::Round(at) | Self::Pause(at) => at,
        }
    }
}

impl Reading {
    fn paused(&self) -> bool {
        matches!(self.rest, Some(Rest::Pause(_)))
    }

    fn begin_again(&mut self) {
        self.above = 0;
        self.page.clear();
        self.all = false;
    }
}

impl Pump {
    async fn serve(&mut self, link: Link, links: &mut Links) {
        let mut window = Window::new(link);
        let mut reading = Reading::default();
        self.refusals.begin_connection();
        self.shared.fault(Source::Outbox, None);
        loop {
            self.fill(&mut window, &mut reading).await;
            if reading.all && window.is_empty() && reading.rest.is_none() {
                self.round_ended(&mut reading);
            }
            let due = reading.rest.map(Rest::due);
            tokio::select! {
                () = links.gone() => return,
                answer = window.next() => self.answered(answer, &mut window, &mut reading).await,
                Ok(()) = self.changed.changed(), if reading.all => reading.all = false,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(Rest::Round(_)) = reading.rest.take() {
                        self.refusals.begin_round();
                        reading.begin_again();
                    }
                }
            }
        }
    }

    /// Sends while there is room and something to send.
    async fn fill(&mut self, window: &mut Window<u64>, reading: &mut Reading) {
        while window.has_room() && !reading.paused() {
            let Some(queued) = self.next(reading).await else { return };
            if reading.in_flight.contains_key(&queued.id) {
                continue;
            }
            let is_copy = is_copy(&queued.message);
            let what = Outgoing {
                topic: self.shared.topic(&queued.message.topic),
                payload: queued.message.payload.into(),
                retain: false,
                correlation: queued.message.correlation,
            };
            reading.in_flight.insert(queued.id, Flight { topic: what.topic.clone(), is_copy });
            window.send(queued.id, what);
        }
    }

    /// The next message; `None` when all are read.
    async fn next(&mut self, reading: &mut Reading) -> Option<Queued> {
        if reading.page.is_empty() && !reading.all {
            match self.spool.outbox(reading.above, PAGE).await {
                Ok(page) => reading.page = page.into(),
                Err(SpoolError::Stopped) => std::future::pending().await,
                Err(error) => {
                    debug!(%error, "The outbox cannot be read now.");
                    self.refusals.again = true;
                }
            }
            reading.all = reading.page.is_empty();
        }
        let queued = reading.page.pop_front()?;
        reading.above = queued.id;
        Some(queued)
    }

    /// One answer, and all that are there already: they leave the outbox in one turn of the spool.
    async fn answered(
        &mut self,
        answer: (u64, Sent),
        window: &mut Window<u64>,
        reading: &mut Reading,
    ) {
        let (mut arrived, mut given_up) = (Vec::new(), Vec::new());
        let mut next = Some(answer);
        while let Some((id, sent)) = next {
            let flight = reading.in_flight.remove(&id).unwrap_or_default();
            match sent {
                Sent::Arrived => arrived.push(id),
                Sent::Refused(why) if flight.is_copy && self.refusals.is_last(id) => {
                    given_up.push((id, flight.topic, why));
                }
                Sent::Refused(why) => self.refused(&flight.topic, &why, reading),
                Sent::Never(why) => given_up.push((id, flight.topic, why)),
                // The connection ends, and with it this reading.
                Sent::Lost => self.refusals.again = true,
            }
            next = window.ready();
        }
        if !arrived.is_empty() {
            self.refusals.in_row = 0;
            self.remove(arrived).await;
        }
        if !given_up.is_empty() {
            self.give_up(given_up).await;
        }
    }

    async fn remove(&mut self, ids: Vec<u64>) {
        let count = ids.len() as u64;
        match self.spool.arrived(ids).await {
            Ok(()) => self.shared.state.send_modify(|s| s.arrived += count),
            Err(SpoolError::Stopped) => std::future::pending().await,
            Err(error) => {
                warn!(%error, count, "Messages that arrived cannot leave the outbox; they go again.");
                self.refusals.again = true;
            }
        }
    }

    /// Messages that will never arrive, each with its topic and why.
    async fn give_up(&mut self, messages: Vec<(u64, String, String)>) {
        let ids = messages.iter().map(|(id, ..)| *id).collect();
        match self.spool.give_up(ids).await {
            Ok(()) => {}
            Err(SpoolError::Stopped) => std::future::pending().await,
            Err(error) => {
                debug!(%error, "Messages that are given up cannot leave the outbox now.");
                self.refusals.again = true;
                return;
            }
        }
        for (id, topic, why) in messages {
            warn!(id, topic, why, "A message will never arrive; it is dropped.");
            self.shared.state.send_modify(|s| {
                s.refused += 1;
                s.last_error = Some(format!("given up: {topic}: {why}"));
            });
        }
    }

    fn refused(&mut self, topic: &str, why: &str, reading: &mut Reading) {
        self.shared.refused(Source::Outbox, topic, why);
        if let Some(waves) = self.refusals.one_more() {
            let wait = self.shared.tuning.refused.wait(waves, fastrand::f64());
            reading.rest = Some(Rest::Pause(Instant::now() + wait));
        }
    }

    /// Everything was published and answered: is another round needed, and when?
    fn round_ended(&mut self, reading: &mut Reading) {
        match self.refusals.round_ended() {
            Some(rounds) => {
                let wait = self.shared.tuning.refused.wait(rounds, fastrand::f64());
                reading.rest = Some(Rest::Round(Instant::now() + wait));
            }
            None => self.shared.fault(Source::Outbox, None),
        }
    }
}

/// An outcome for a requester's own topic goes to its command's status topic too.
fn is_copy(message: &Message) -> bool {
    let id = message.topic.strip_prefix("cmd/").and_then(|rest| rest.strip_suffix("/status"));
    message.kind == Kind::Outcome && id.is_none()
}
