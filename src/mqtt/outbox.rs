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

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::run::{Links, Shared, Source};
use super::session::{Link, Outgoing, Sent};
use super::window::{ROOM, Window};
use crate::spool::{Queued, Spool, SpoolError};

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
    /// Numbers and topics of what is in flight.
    in_flight: BTreeMap<u64, String>,
    /// What waits for its time.
    rest: Option<Rest>,
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
        self.refusals = Refusals::default();
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
            let what = Outgoing {
                topic: self.shared.topic(&queued.message.topic),
                payload: queued.message.payload.into(),
                retain: false,
                correlation: queued.message.correlation,
            };
            reading.in_flight.insert(queued.id, what.topic.clone());
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
        let mut arrived = Vec::new();
        let mut next = Some(answer);
        while let Some((id, sent)) = next {
            let topic = reading.in_flight.remove(&id).unwrap_or_default();
            match sent {
                Sent::Arrived => arrived.push(id),
                Sent::Refused(why) => self.refused(&topic, &why, reading),
                // The connection ends, and with it this reading.
                Sent::Lost => self.refusals.again = true,
            }
            next = window.ready();
        }
        if !arrived.is_empty() {
            self.refusals.in_row = 0;
            self.remove(arrived).await;
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

/// What refusals ask for.
#[derive(Debug, Default)]
struct Refusals {
    /// Refusals in a row.
    in_row: u32,
    /// Rounds in a row in which something was left over.
    rounds: u32,
    /// Something is left over in this round.
    again: bool,
}

impl Refusals {
    /// One more refusal; how many pauses there were, when it is time for one.
    fn one_more(&mut self) -> Option<u32> {
        self.again = true;
        self.in_row = self.in_row.saturating_add(1);
        let room = ROOM as u32;
        self.in_row.is_multiple_of(room).then_some(self.in_row / room)
    }

    /// How many rounds in a row were not enough, when another is needed.
    fn round_ended(&mut self) -> Option<u32> {
        if !self.again {
            self.rounds = 0;
            return None;
        }
        self.rounds = self.rounds.saturating_add(1);
        Some(self.rounds)
    }

    fn begin_round(&mut self) {
        self.again = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_go_on_while_something_is_left_over() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.round_ended(), None);
        refusals.one_more();
        assert_eq!(refusals.round_ended(), Some(1));
        refusals.begin_round();
        refusals.one_more();
        assert_eq!(refusals.round_ended(), Some(2));
        refusals.begin_round();
        assert_eq!(refusals.round_ended(), None);
        refusals.one_more();
        assert_eq!(refusals.round_ended(), Some(1));
    }

    #[test]
    fn a_broker_that_refuses_everything_is_asked_in_small_numbers() {
        let mut refusals = Refusals::default();
        let pauses: Vec<_> = (1..=48).filter_map(|_| refusals.one_more()).collect();
        assert_eq!(pauses, [1, 2, 3]);
        refusals.in_row = 0;
        assert_eq!(refusals.one_more(), None);
    }
}
