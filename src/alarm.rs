//! Which alarms are told, and when: raised once they have lasted, cleared once they have stayed away.
//!
//! Pure. The agent gives a [`Board`] the alarms of its status, once a second, and puts each [`Change`]
//! into the outbox. Alarms are told apart by name and subject, never by text, which may count seconds.
//!
//! ```text
//!          raised            lasted 2 s             gone
//!  (none) ───────▶ rising ───────────────▶ up ◀───────────▶ falling ─────────▶ (none)
//!            ◀───────           tells: raised      back        gone for 10 s, tells: cleared
//!              gone
//! ```
//! Invariants: of one alarm, raised and cleared are told in turn, raised first; a new text of one that is
//! up is told as raised again, at most once a minute; no more than [`MAX`] alarms are followed, and further
//! ones have to wait until one is cleared. A clock that stands still delays and breaks nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use serde_json::json;

use crate::clock::{BootId, BootTime, WallTime};
use crate::contract::command::rfc3339;
use crate::status::Alarm;

/// An alarm that is over sooner is not told: a start is full of them.
pub const LASTS: Duration = Duration::from_secs(2);

/// An alarm that is back sooner is still the same one.
pub const GONE: Duration = Duration::from_secs(10);

/// Least time between two texts of one alarm.
pub const TEXT: Duration = Duration::from_secs(60);

/// Most alarms that are followed at once.
pub const MAX: usize = 64;

/// Most characters of a text that is told.
const MAX_TEXT: usize = 1000;

/// An alarm that somebody is to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Short stable name: `camera`.
    pub name: String,
    /// Which of several: the camera's name.
    pub subject: Option<String>,
    /// What is wrong and what helps; of a cleared one, what was.
    pub text: String,
    /// Raised, or raised with a new text; else cleared.
    pub raised: bool,
}

impl Change {
    /// Topic below the device's own.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("alarm/{}", self.name)
    }

    /// As it is published. `now` is the trusted time, `None` where the clock is not trusted; the boot tells
    /// which start of the machine it was then.
    #[must_use]
    pub fn payload(&self, now: Option<WallTime>, boot: &BootId) -> Vec<u8> {
        let ts = now.and_then(rfc3339);
        let clock = if ts.is_some() { "trusted" } else { "unsynced" };
        let told = json!({
            "name": self.name,
            "subject": self.subject,
            "text": self.text,
            "raised": self.raised,
            "ts": ts,
            "clock": clock,
            "boot": boot,
        });
        told.to_string().into_bytes()
    }
}

/// Name and subject.
type Key = (String, Option<String>);

/// Alarms that are up, or may be soon.
#[derive(Debug, Default)]
pub struct Board {
    followed: BTreeMap<Key, Followed>,
}

#[derive(Debug)]
struct Followed {
    phase: Phase,
    /// The text as told last; before that, as raised first.
    text: String,
    /// When it was told last.
    told: BootTime,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Rising { since: BootTime },
    Up,
    Falling { since: BootTime },
}

impl Board {
    /// Takes in what is raised at `now`, and gives what is to be told.
    pub fn update(&mut self, raised: &[Alarm], now: BootTime) -> Vec<Change> {
        let mut texts: BTreeMap<Key, &str> = BTreeMap::new();
        for alarm in raised {
            // Two of one name and subject are one alarm: the first text stands for both.
            texts.entry((alarm.name.clone(), alarm.subject.clone())).or_insert(&alarm.text);
        }
        let mut changes = Vec::new();
        self.followed.retain(|key, followed| match texts.get(key) {
            Some(text) => {
                changes.extend(followed.there(text, now).then(|| followed.change(key, true)));
                true
            }
            None => {
                let next = followed.gone(now);
                if next == Next::Clear {
                    changes.push(followed.change(key, false));
                }
                next == Next::Follow
            }
        });
        for (key, text) in texts {
            let full = self.followed.len() >= MAX;
            if let Entry::Vacant(place) = self.followed.entry(key)
                && !full
            {
                let phase = Phase::Rising { since: now };
                place.insert(Followed { phase, text: shortened(text), told: now });
            }
        }
        changes
    }
}

/// What becomes of an alarm that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Follow,
    Clear,
    Forget,
}

impl Followed {
    /// It is raised at `now`: is that to be told?
    fn there(&mut self, text: &str, now: BootTime) -> bool {
        let tell = match self.phase {
            Phase::Rising { since } => now.since(since) >= LASTS,
            Phase::Up | Phase::Falling { .. } => {
                self.phase = Phase::Up;
                now.since(self.told) >= TEXT && self.text != shortened(text)
            }
        };
        if tell {
            *self = Self { phase: Phase::Up, text: shortened(text), told: now };
        }
        tell
    }

    /// It is not raised at `now`.
    fn gone(&mut self, now: BootTime) -> Next {
        match self.phase {
            Phase::Rising { .. } => Next::Forget,
            Phase::Up => {
                self.phase = Phase::Falling { since: now };
                Next::Follow
            }
            Phase::Falling { since } if now.since(since) >= GONE => Next::Clear,
            Phase::Falling { .. } => Next::Follow,
        }
    }

    fn change(&self, (name, subject): &Key, raised: bool) -> Change {
        Change { name: name.clone(), subject: subject.clone(), text: self.text.clone(), raised }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
