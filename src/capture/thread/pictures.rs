//! What the camera thread takes of a frame: pictures that were chosen, and what somebody asked for.

use std::sync::mpsc::TrySendError;

use tracing::{debug, info, warn};

use super::{Body, MAX_WANTED};
use crate::account::{Fate, Refusal};
use crate::capture::{Ask, Choice, Wanted, count};
use crate::contract::{Class, Trigger};
use crate::firstpass::Observation;
use crate::frame::Frame;
use crate::still::{Asker, Candidate, Order, Pick};

impl Body {
    /// Hears whoever asks, in order, as long as there is room for one who wants pictures.
    pub(super) fn listen(&mut self, frame: &Frame<'_>) {
        self.wanted.retain(Wanted::goes_on);
        while self.wanted.len() < MAX_WANTED {
            match self.wiring.asks.try_recv() {
                Ok(Ask::Look(asker)) => self.show(frame, asker),
                Ok(Ask::Keep(wanted)) => self.wanted.extend(Some(wanted).filter(Wanted::goes_on)),
                Err(_) => break, // nobody asks, or nobody can any more
            }
        }
    }

    fn show(&self, frame: &Frame<'_>, asker: Asker) {
        let show = asked_for(Trigger::Command);
        let pick = Pick::Show(Box::new(self.candidate(frame, show, None)), asker);
        drop(self.wiring.picks.try_send(pick)); // full: the asker sees its channel close
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
        count(&self.counters.chosen);
        if choice.event.is_some() {
            self.events.chosen();
        }
        let Some(mut token) = self.wiring.account.choose(frame.data.len() as u64) else {
            if let Some(wanted) = wanted {
                wanted.teller.tell(Fate::Refused(Refusal::Busy));
            }
            return self.refused();
        };
        let reason = choice.reason.clone();
        let mut candidate = self.candidate(frame, choice, seen);
        if let Some(wanted) = wanted {
            token.watch(wanted.teller.clone());
            candidate.command.clone_from(&wanted.command);
            candidate.order = wanted.order.clone();
            candidate.said.clone_from(&wanted.said);
        }
        let command = candidate.command.clone();
        match self.wiring.picks.try_send(Pick::One(Box::new(candidate), token)) {
            Ok(()) => {
                debug!(reason, command, "Picture chosen.");
                if self.refused > 0 {
                    info!(refused = self.refused, "Pictures are taken again.");
                    self.refused = 0;
                }
            }
            Err(TrySendError::Full(Pick::One(_, token))) => {
                token.refused(Refusal::Busy);
                self.refused();
            }
            Err(_) => {} // the still thread is gone: the token's drop counts it, and the agent ends
        }
    }

    /// Says it once until a picture is taken again: it may be thirty a second.
    fn refused(&mut self) {
        self.refused += 1;
        if self.refused == 1 {
            warn!("Pictures are refused: disk or encoder are behind, the byte budget is used up.");
        }
    }

    fn candidate(&self, frame: &Frame<'_>, choice: Choice, seen: Option<Observation>) -> Candidate {
        Candidate {
            data: frame.data.to_vec(),
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
        }
    }
}

/// The choice of a picture that somebody asked for.
fn asked_for(trigger: Trigger) -> Choice {
    Choice { trigger, class: Class::Best, event: None, reason: "asked for".into() }
}
