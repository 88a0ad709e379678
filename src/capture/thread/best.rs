//! The candidates for an event's best picture, from its first frame until it is decided.
//!
//! The camera thread copies a frame that may be the best one, at most three of them, each with a permit of
//! the byte budget; a better one takes the buffer and the permit of the worst. When time is up, or the
//! event or the camera is, they go to the still thread together as one choice. Until then nothing is
//! chosen, so nothing can be lost: what is dropped here was only ever looked at.

use std::sync::mpsc::TrySendError;

use tracing::debug;

use super::Body;
use crate::account::{Account, Permit, Refusal};
use crate::capture::{Choice, Offer, count};
use crate::contract::{Class, Trigger};
use crate::firstpass::Observation;
use crate::firstpass::trigger::{Finalists, Seat};
use crate::frame::Frame;
use crate::still::{Candidate, Pick};

/// The candidates of the event that is on.
#[derive(Debug, Default)]
pub(super) struct Best {
    held: Finalists<(Candidate, Permit)>,
    /// How many frames were compared; none while nothing is to be decided.
    compared: u64,
}

impl Best {
    /// Room for a candidate of `bytes` and this worth: a permit, and a buffer that is needed no more.
    /// `None` where those that are held are as good, or there is no room.
    fn room(&mut self, account: &Account, worth: f32, bytes: u64) -> Option<(Permit, Vec<u8>)> {
        let seat = match self.held.seat(worth) {
            Seat::Free => match account.reserve(bytes) {
                Some(permit) => return Some((permit, Vec::new())),
                None => self.held.instead(worth),
            },
            seat => seat,
        };
        let Seat::InsteadOf(least, (worst, mut permit)) = seat else { return None };
        if permit.exchange(bytes) {
            return Some((permit, worst.data));
        }
        // Larger than what there is room for: the worst one stays, as the best that may be had.
        self.held.hold(least, (worst, permit));
        None
    }
}

impl Body {
    /// Compares a frame with the candidates, and holds it if it is better.
    pub(super) fn offer(&mut self, frame: &Frame<'_>, offer: Offer, seen: Option<Observation>) {
        self.best.compared += 1;
        let bytes = frame.data.len() as u64;
        let Some((permit, buffer)) = self.best.room(&self.wiring.account, offer.worth, bytes)
        else {
            return;
        };
        let choice = Choice {
            trigger: Trigger::Motion,
            class: Class::Best,
            event: Some((offer.event.as_ref().into(), offer.last)),
            reason: String::new(),
        };
        let candidate = self.candidate(frame, choice, seen, buffer);
        self.best.held.hold(offer.worth, (candidate, permit));
    }

    /// One of the candidates is chosen, if there are any: the still thread says which.
    pub(super) fn decide(&mut self) {
        let compared = std::mem::take(&mut self.best.compared);
        if compared == 0 {
            return;
        }
        count(&self.counters.chosen);
        self.events.chosen();
        let (mut candidates, permits): (Vec<_>, Vec<_>) = self.best.held.take().into_iter().unzip();
        let Some(token) = self.wiring.account.choose_of(permits) else { return self.refused() };
        for candidate in &mut candidates {
            candidate.marks.push(("best-of", compared.to_string()));
        }
        let of = candidates.len();
        match self.wiring.picks.try_send(Pick::BestOf(candidates, token)) {
            Ok(()) => {
                debug!(compared, of, "Picture chosen: the best of an event.");
                self.taken_again();
            }
            Err(TrySendError::Full(Pick::BestOf(_, token))) => {
                token.refused(Refusal::Busy);
                self.refused();
            }
            Err(_) => {} // the still thread is gone: the token's drop counts it, and the agent ends
        }
    }
}
