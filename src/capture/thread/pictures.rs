//! What the camera thread takes of a frame: pictures that were chosen, and what somebody asked for.

use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;

use tracing::{debug, info, warn};

use super::{Body, MAX_LOOKERS, MAX_WANTED};
use crate::account::{Fate, InHand, Refusal};
use crate::capture::{Ask, Choice, Wanted, count};
use crate::clock::BootTime;
use crate::contract::{Class, Trigger};
use crate::firstpass::Observation;
use crate::frame::Frame;
use crate::still::{Candidate, Order, Pick};

impl Body {
    /// Hears what the clock asks for, and whoever else asks, in order, as long as there is room for them.
    pub(super) fn hear(&mut self) {
        let clock = &self.wiring.clock;
        let now = self.timetable.now(|| {
            let now = clock.boottime();
            (now, clock.wall_at(now))
        });
        self.watcher.obey(now);
        self.wanted.retain(Wanted::goes_on);
        while self.wanted.len() < MAX_WANTED && self.lookers.len() < MAX_LOOKERS {
            match self.wiring.asks.try_recv() {
                Ok(Ask::Look(asker)) => self.lookers.push(asker),
                Ok(Ask::Keep(wanted)) => self.wanted.extend(Some(wanted).filter(Wanted::goes_on)),
                Err(_) => break, // nobody asks, or nobody can any more
            }
        }
        if !self.wanted.is_empty() {
            self.watcher.look_at_next();
        }
    }

    /// Shows this frame to whoever wants to look.
    pub(super) fn show(&mut self, frame: &Frame<'_>) {
        for asker in std::mem::take(&mut self.lookers) {
            let show = asked_for(Trigger::Command);
            let pick = Pick::Show(Box::new(self.candidate(frame, show, None, Vec::new())), asker);
            drop(self.wiring.picks.try_send(pick)); // full: the asker sees its channel close
        }
    }

    /// One picture of this frame for each who wants one.
    pub(super) fn take_wanted(&mut self, frame: &Frame<'_>, seen: Option<&Observation>) {
        for mut wanted in std::mem::take(&mut self.wanted) {
            if !wanted.leave.take() {
                continue;
            }
            self.keep(frame, asked_for(wanted.trigger), seen.cloned(), Some(&wanted));
            wanted.count -= 1;
            if wanted.count > 0 {
                self.wanted.push(wanted);
            }
        }
    }

    pub(super) fn keep(
        &mut self,
        frame: &Frame<'_>,
        choice: Choice,
        seen: Option<Observation>,
        wanted: Option<&Wanted>,
    ) {
        let Some(token) = self.choose(frame.data.len() as u64, choice.event.is_some(), wanted)
        else {
            return;
        };
        let reason = choice.reason.clone();
        let mut candidate = self.candidate(frame, choice, seen, Vec::new());
        if let Some(wanted) = wanted {
            candidate.command.clone_from(&wanted.command);
            candidate.order = wanted.order.clone();
            candidate.said.clone_from(&wanted.said);
        }
        self.hand_on(candidate, token, &reason);
    }

    /// The pictures from before an event that just began: as many as may be, the newest of them.
    pub(super) fn keep_from_before(&mut self, event: &str, at: BootTime) {
        let Some(ring) = &mut self.ring else { return };
        let mut held = ring.take(at);
        let most = self.watcher.admit(held.len());
        self.counters.ring_bytes.store(0, Ordering::Relaxed);
        for mut candidate in held.drain(held.len() - most..) {
            count(&self.counters.pre_event);
            let bytes = candidate.data.len() as u64;
            let Some(token) = self.choose(bytes, true, None) else { continue };
            candidate.event = Some((event.to_owned(), false));
            self.hand_on(candidate, token, "from before an event");
        }
    }

    /// Holds a frame back in case an event begins soon.
    pub(super) fn remember(&mut self, frame: &Frame<'_>, at: BootTime, seen: Option<Observation>) {
        let Some(mut ring) = self.ring.take() else { return };
        ring.push(at, frame.data.len() as u64, || {
            let choice = Choice {
                trigger: Trigger::Motion,
                class: Class::Event,
                event: None,
                reason: String::new(),
            };
            let marks = vec![("pre-event", "true".to_owned())];
            Candidate { marks, ..self.candidate(frame, choice, seen, Vec::new()) }
        });
        self.counters.ring_bytes.store(ring.bytes(), Ordering::Relaxed);
        self.ring = Some(ring);
    }

    /// Counts a choice and takes its bytes of the budget, if there is room.
    fn choose(&mut self, bytes: u64, of_event: bool, wanted: Option<&Wanted>) -> Option<InHand> {
        count(&self.counters.chosen);
        if of_event {
            self.events.chosen();
        }
        match (self.wiring.account.choose(bytes), wanted) {
            (Some(mut token), Some(wanted)) => {
                token.watch(wanted.teller.clone());
                Some(token)
            }
            (Some(token), None) => Some(token),
            (None, wanted) => {
                if let Some(wanted) = wanted {
                    wanted.teller.tell(Fate::Refused(Refusal::Busy));
                }
                self.refused();
                None
            }
        }
    }

    fn hand_on(&mut self, candidate: Candidate, token: InHand, reason: &str) {
        let command = candidate.command.clone();
        match self.wiring.picks.try_send(Pick::One(Box::new(candidate), token)) {
            Ok(()) => {
                debug!(reason, command, "Picture chosen.");
                self.taken_again();
            }
            Err(TrySendError::Full(Pick::One(_, token))) => {
                token.refused(Refusal::Busy);
                self.refused();
            }
            Err(_) => {} // the still thread is gone: the token's drop counts it, and the agent ends
        }
    }

    pub(super) fn taken_again(&mut self) {
        if self.refused > 0 {
            info!(refused = self.refused, "Pictures are taken again.");
            self.refused = 0;
        }
    }

    /// Says it once until a picture is taken again: it may be thirty a second.
    pub(super) fn refused(&mut self) {
        self.watcher.refused();
        self.refused += 1;
        if self.refused == 1 {
            warn!("Pictures are refused: disk or encoder are behind, the byte budget is used up.");
        }
    }

    /// A frame copied, into `buffer`.
    pub(super) fn candidate(
        &self,
        frame: &Frame<'_>,
        choice: Choice,
        seen: Option<Observation>,
        mut buffer: Vec<u8>,
    ) -> Candidate {
        buffer.clear();
        buffer.extend_from_slice(frame.data);
        Candidate {
            data: buffer,
            geometry: frame.geometry,
            captured: frame.captured,
            stamp: frame.stamp,
            profile: self.settings.profile.clone(),
            seen,
            trigger: choice.trigger,
            event: choice.event,
            command: None,
            order: Order::default(),
            said: None,
            class: choice.class,
            marks: Vec::new(),
        }
    }
}

/// The choice of a picture that somebody asked for.
fn asked_for(trigger: Trigger) -> Choice {
    Choice { trigger, class: Class::Best, event: None, reason: "asked for".into() }
}
