//! Telling alarms: what changed on the board goes into the outbox.
//!
//! Nothing is waited for, as the spool's disk may be what is wrong. What cannot be written down now is kept
//! here, bounded, and tried again with the next tick, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use super::Agent;
use crate::spool::{Kind, Message, SpoolError};

/// Changes that wait for the index; older ones give way.
const MOST: usize = 256;

/// Changes that are not in the outbox yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Unposted(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    /// Some are being written down.
    posting: bool,
}

impl Unposted {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is new and takes what is to be posted now; nothing while the last try is not over.
    fn next(&self, new: Vec<Message>) -> Vec<Message> {
        let mut waiting = self.lock();
        waiting.messages.extend(new);
        let over = waiting.messages.len().saturating_sub(MOST);
        if over > 0 {
            warn!(over, "Changes of alarms are given up: the index does not take them.");
            waiting.messages.drain(..over);
        }
        if waiting.posting || waiting.messages.is_empty() {
            return Vec::new();
        }
        waiting.posting = true;
        waiting.messages.drain(..).collect()
    }

    /// The try is over; what was not taken comes first in the next one.
    fn over(&self, untaken: Vec<Message>) {
        let mut waiting = self.lock();
        waiting.posting = false;
        for message in untaken.into_iter().rev() {
            waiting.messages.push_front(message);
        }
    }
}

impl Agent {
    /// Puts what changed on the board of alarms into the outbox, where there is somebody to tell.
    pub(super) fn tell_alarms(&mut self) {
        if self.config.mqtt.is_none() {
            return;
        }
        let now = self.deps.clock.boottime();
        let changes = self.board.update(&self.alarms(&self.still_open()), now);
        let wall = self.timekeeper.wall_at(now);
        let new = changes.iter().map(|change| Message {
            kind: Kind::Alarm,
            topic: change.topic(),
            payload: change.payload(wall, &self.boot),
            correlation: None,
        });
        let messages = self.unposted.next(new.collect());
        if messages.is_empty() {
            return;
        }
        let (spool, unposted) = (self.spool.clone(), self.unposted.clone());
        self.jobs.spawn(async move {
            let untaken = match spool.post(messages.clone()).await {
                Ok(()) | Err(SpoolError::Stopped) => Vec::new(),
                Err(_) => messages,
            };
            unposted.over(untaken);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: usize) -> Message {
        let topic = format!("alarm/{n}");
        Message { kind: Kind::Alarm, topic, payload: Vec::new(), correlation: None }
    }

    fn numbers(messages: &[Message]) -> Vec<String> {
        messages.iter().map(|m| m.topic.clone()).collect()
    }

    #[test]
    fn what_the_index_did_not_take_comes_first_the_next_time() {
        let unposted = Unposted::default();
        let first = unposted.next(vec![message(1), message(2)]);
        assert_eq!(first.len(), 2);
        assert!(unposted.next(vec![message(3)]).is_empty(), "the first try is not over");
        unposted.over(first);
        let again = unposted.next(vec![message(4)]);
        assert_eq!(numbers(&again), ["alarm/1", "alarm/2", "alarm/3", "alarm/4"]);
        unposted.over(Vec::new());
        assert!(unposted.next(Vec::new()).is_empty());
    }

    #[test]
    fn an_index_that_stays_away_costs_the_oldest_and_no_more_memory() {
        let unposted = Unposted::default();
        let none = unposted.next((0..MOST + 10).map(message).collect());
        assert_eq!((none.len(), none[0].topic.as_str()), (MOST, "alarm/10"));
    }
}
