//! What becomes of a clip's frames, as the camera thread and the still thread would decide together.
//!
//! Which frame is an event's best, or one from before it, is known only later; so frames wait here until
//! nothing can happen to them any more, and come out in order with the reason for what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::capture::{Choice, Ring, Seen, WatchSettings, Watcher};
use crate::clock::{BootId, BootTime};
use crate::contract::{Class, Trigger};
use crate::firstpass::trigger::{Finalists, Keep, Seat};
use crate::frame::{Frame, Geometry, PixelBox};
use crate::still::rank::Ranker;

/// A frame and what became of it.
pub(super) struct Told {
    pub(super) n: u64,
    at: BootTime,
    pub(super) seen: Seen,
}

/// A frame that may be an event's best.
struct Held {
    n: u64,
    data: Vec<u8>,
    geometry: Geometry,
    subject: Option<PixelBox>,
}

/// Follows a clip from its first frame on.
pub(super) struct Story {
    watcher: Watcher,
    /// So long nothing is known for sure.
    open: Duration,
    waiting: VecDeque<Told>,
    ring: Option<Ring<u64>>,
    best: Finalists<Held>,
    event: Option<(String, bool)>,
    compared: u64,
    ranker: Ranker,
}

impl Story {
    pub(super) fn new(settings: WatchSettings, boot: &BootId) -> Self {
        let events = settings.motion.as_ref().map(|(_, events)| events);
        let before = events.and_then(|events| events.pre_event);
        let looks_ahead = match events.map(|events| events.keep) {
            Some(Keep::Best(within)) => within,
            _ => Duration::ZERO,
        };
        Self {
            open: before.map_or(Duration::ZERO, |before| before.within).max(looks_ahead),
            watcher: Watcher::new(settings, boot),
            waiting: VecDeque::new(),
            ring: before.map(Ring::new),
            best: Finalists::default(),
            event: None,
            compared: 0,
            ranker: Ranker::default(),
        }
    }

    /// Takes the next frame; gives those before it of which all is known.
    pub(super) fn next(&mut self, n: u64, frame: &Frame<'_>) -> Vec<Told> {
        let seen = self.watcher.watch(frame);
        let at = seen.at;
        if seen.decides() {
            self.decide();
        }
        if seen.began()
            && let Some(event) = seen.step.as_ref().and_then(|step| step.event.as_deref())
        {
            self.before_event(event, at);
        }
        if seen.offer.is_some() {
            self.offer(n, frame, &seen);
        } else if seen.remember && !frame.geometry.format.is_raw() {
            let bytes = frame.data.len() as u64;
            self.ring.iter_mut().for_each(|ring| ring.push(at, bytes, || n));
        }
        self.waiting.push_back(Told { n, at, seen });
        let open = self.open;
        let known = self.waiting.iter().take_while(|told| at.since(told.at) >= open).count();
        self.waiting.drain(..known).collect()
    }

    /// The clip is over.
    pub(super) fn end(mut self) -> Vec<Told> {
        self.decide();
        self.waiting.into()
    }

    fn offer(&mut self, n: u64, frame: &Frame<'_>, seen: &Seen) {
        let Some(offer) = &seen.offer else { return };
        self.compared += 1;
        self.event = Some((offer.event.as_ref().into(), offer.last));
        match self.best.seat(offer.worth) {
            Seat::None => {}
            Seat::Free | Seat::InsteadOf(..) => {
                let boxes = seen.observation.as_ref().map(|seen| &seen.boxes);
                let subject = boxes.and_then(|boxes| boxes.first().copied());
                let (data, geometry) = (frame.data.to_vec(), frame.geometry);
                self.best.hold(offer.worth, Held { n, data, geometry, subject });
            }
        }
    }

    /// Chooses among the candidates, as the still thread does.
    fn decide(&mut self) {
        let (held, compared) = (self.best.take(), std::mem::take(&mut self.compared));
        let event = self.event.take();
        let ranker = &mut self.ranker;
        let worth = |held: Held| {
            let worth = ranker.of_frame(&held.data, held.geometry, held.subject);
            (held.n, worth.unwrap_or(0.0))
        };
        // Of equal ones the first, which is the camera thread's own order.
        let best = held.into_iter().map(worth).reduce(|a, b| if b.1 > a.1 { b } else { a });
        let (Some((n, worth)), Some(event)) = (best, event) else { return };
        let reason =
            format!("the best of event {}, of {compared} compared: worth {worth:.3}", event.0);
        self.keep(n, Class::Best, event, reason);
    }

    fn before_event(&mut self, event: &str, at: BootTime) {
        let held = self.ring.as_mut().map(|ring| ring.take(at)).unwrap_or_default();
        let most = self.watcher.admit(held.len());
        for n in held.into_iter().rev().take(most) {
            let reason = format!("from before event {event}");
            self.keep(n, Class::Event, (event.to_owned(), false), reason);
        }
    }

    fn keep(&mut self, n: u64, class: Class, event: (String, bool), reason: String) {
        let waiting = self.waiting.iter_mut().rev().find(|told| told.n == n);
        if let Some(told) = waiting {
            let trigger = Trigger::Motion;
            told.seen.choice = Some(Choice { trigger, class, event: Some(event), reason });
        }
    }
}
