//! Events: which of them need a manifest, and what theirs will say.
//!
//! An event whose last picture says so needs none, and is remembered in memory only: the ordinary event
//! of one picture has no row.

use tracing::{error, warn};

use super::Images;
use super::follow::MAX_HELD;
use crate::contract::command::rfc3339;
use crate::contract::key::key;
use crate::contract::manifest::{Entry, State};
use crate::contract::{Facts, Trigger};
use crate::spool::boots::wall_of;
use crate::spool::files::{self, ImageError};
use crate::spool::follow::DueEvent;
use crate::still::EventEnd;

/// Events with a final picture that are remembered until their end is told; a camera has one at a time.
const MAX_FINALS: usize = 256;

impl Images {
    /// Remembers an event of which a picture was kept that says it is the last.
    pub(super) fn note_final(&mut self, facts: &Facts) {
        let Some(event) = facts.event.as_ref().filter(|_| facts.event_final) else { return };
        if facts.trigger == Trigger::Manifest {
            return;
        }
        let finals = &mut self.followed.finals;
        if finals.len() >= MAX_FINALS {
            finals.pop_front();
        }
        finals.push_back((facts.camera.clone(), event.clone()));
    }

    /// Takes events' ends; all their pictures were written before.
    pub(in crate::spool) fn end_events(&mut self, ends: Vec<EventEnd>) {
        if ends.is_empty() {
            return;
        }
        let room = MAX_HELD.saturating_sub(self.followed.ends.len());
        for EventEnd { camera, event, .. } in ends.iter().skip(room) {
            error!(camera, event, "Too much waits for the index; an event's end is forgotten.");
        }
        self.followed.ends.extend(ends.into_iter().take(room));
        self.do_event_ends();
    }

    /// Events whose manifest is to be written now.
    pub(in crate::spool) fn due_events(&mut self) -> Option<Vec<DueEvent>> {
        let now = self.boots.now();
        let mut due = self.with_db(|db| db.due_events(now))?;
        for entry in due.iter_mut().flat_map(|event| &mut event.pictures) {
            self.cx.beat.busy();
            self.complete(entry);
        }
        Some(due)
    }

    pub(super) fn do_event_ends(&mut self) {
        if self.followed.ends.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.followed.ends);
        let finals = &self.followed.finals;
        let is_final =
            |end: &&EventEnd| finals.iter().any(|(c, e)| *c == end.camera && *e == end.event);
        let (closed, open): (Vec<_>, Vec<_>) = held.iter().partition(is_final);
        let (boot, now) = (self.cx.now.boot.clone(), self.boots.now());
        let done = self.with_db(|db| {
            let mut left = Vec::new();
            for end in &closed {
                if db.follows_event(&end.camera, &end.event)? {
                    left.push((end.camera.as_str(), end.event.as_str()));
                }
            }
            if !left.is_empty() {
                db.forget_events(&left)?;
            }
            if open.is_empty() { Ok(()) } else { db.end_events(&open, &boot, now) }
        });
        match done {
            Some(()) => {
                let gone =
                    |c: &str, e: &str| closed.iter().any(|end| end.camera == c && end.event == e);
                self.followed.finals.retain(|(c, e)| !gone(c, e));
            }
            None => self.followed.ends = held,
        }
    }

    /// Adds to a picture that was not stored what its file tells.
    fn complete(&mut self, entry: &mut Entry) {
        if entry.key.is_some() || !matches!(entry.state, State::Pending | State::Quarantined) {
            return;
        }
        let facts = match files::read_facts(&self.cx.layout.image(entry.seq)) {
            Ok((facts, _)) if facts.seq == entry.seq => facts,
            Ok(_) | Err(ImageError::Missing | ImageError::Broken(_)) => return,
            Err(ImageError::Io(error)) => {
                warn!(%error, seq = entry.seq, "A picture's facts cannot be read for its manifest.");
                return;
            }
        };
        entry.size = Some(facts.len);
        entry.sha256 = Some(facts.sha256.clone());
        if self.boots.is_decided(&facts) {
            let wall = wall_of(&facts, self.boots.offset_of(&facts.boot, facts.seq));
            entry.key = Some(key(&facts, wall));
            entry.captured = wall.and_then(rfc3339);
        }
    }
}
