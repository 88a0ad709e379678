//! The event that is on, and the ends of events until the still thread has them.
//!
//! Kept by the camera thread. An end is handed on without waiting; while the way to the still thread is
//! full it is kept here and tried again with the next frame, so it always comes after its event's
//! pictures. Bounded: of more than [`MAX_KEPT`] ends the oldest is given up, with a line in the log, and
//! its event counts as interrupted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tracing::warn;

use crate::clock::BootTime;
use crate::still::{EventEnd, Pick};

/// Most ends that wait for the still thread.
const MAX_KEPT: usize = 16;

/// One camera's events, as far as others must hear of them.
pub(super) struct Events {
    camera: String,
    on: Option<On>,
    ended: VecDeque<Box<EventEnd>>,
}

/// The event that is on.
struct On {
    event: Arc<str>,
    began: BootTime,
    chosen: u64,
}

impl Events {
    pub(super) fn new(camera: &str) -> Self {
        Self { camera: camera.into(), on: None, ended: VecDeque::new() }
    }

    /// An event began with a frame of this capture time.
    pub(super) fn began(&mut self, event: Arc<str>, captured: BootTime) {
        self.on = Some(On { event, began: captured, chosen: 0 });
    }

    /// A picture of it was chosen, whatever becomes of that.
    pub(super) fn chosen(&mut self) {
        if let Some(on) = &mut self.on {
            on.chosen += 1;
        }
    }

    /// It is over. [`Self::hand_on`] tells it.
    pub(super) fn ended(&mut self, duration: Duration, why: &str) {
        let Some(On { event, began, chosen }) = self.on.take() else { return };
        if self.ended.len() >= MAX_KEPT
            && let Some(oldest) = self.ended.pop_front()
        {
            let event = oldest.event;
            warn!(event, "The still thread is far behind: an event's end is given up.");
        }
        self.ended.push_back(Box::new(EventEnd {
            camera: self.camera.clone(),
            event: event.as_ref().into(),
            began,
            duration,
            why: why.into(),
            chosen,
        }));
    }

    /// Nothing comes after this: tells what can be told, and says what cannot.
    pub(super) fn close(&mut self, picks: &SyncSender<Pick>) {
        self.hand_on(picks);
        for end in self.ended.drain(..) {
            let event = end.event;
            warn!(event, "The still thread is far behind: an event's end is given up.");
        }
    }

    /// Tells the still thread of all ends, as far as it takes them now.
    pub(super) fn hand_on(&mut self, picks: &SyncSender<Pick>) {
        while let Some(end) = self.ended.pop_front() {
            match picks.try_send(Pick::EventEnded(end)) {
                Ok(()) => {}
                Err(TrySendError::Full(Pick::EventEnded(end))) => {
                    self.ended.push_front(end);
                    return;
                }
                Err(_) => self.ended.clear(), // the still thread is gone, and the agent ends
            }
        }
    }
}
