//! The stored-event pump: tells of stored pictures at best effort.
//!
//! One task, started by [`super::run`] where stored events do not go through the outbox. Nothing is
//! taken from the ring while there is no connection, so the ring bounds what waits; what it had to drop
//! is counted. What was taken is held until the broker has it, and is published again with the next
//! connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::run::{Links, Shared, Source};
use super::session::{Link, Outgoing, Sent};
use super::window::{ROOM, Window};
use crate::contract::stored::StoredNotice;

/// Publishes what comes out of the ring, for ever.
pub(super) async fn run(shared: Arc<Shared>, mut links: Links, notices: Receiver<StoredNotice>) {
    let mut pump = Pump { shared, notices, last: 0, open: BTreeMap::new(), closed: false };
    loop {
        let link = links.up().await;
        pump.serve(link, &mut links).await;
    }
}

struct Pump {
    shared: Arc<Shared>,
    notices: Receiver<StoredNotice>,
    last: u64,
    /// Taken and not yet with the broker; as many as a window holds.
    open: BTreeMap<u64, Outgoing>,
    /// Nobody tells any more.
    closed: bool,
}

impl Pump {
    async fn serve(&mut self, link: Link, links: &mut Links) {
        let mut window = Window::new(link);
        self.shared.fault(Source::Stored, None);
        for (key, what) in &self.open {
            window.send(*key, what.clone());
        }
        loop {
            tokio::select! {
                () = links.gone() => return,
                (key, sent) = window.next() => self.answered(key, sent),
                notice = self.notices.recv(), if self.open.len() < ROOM && !self.closed => {
                    self.taken(notice, &mut window);
                }
            }
        }
    }

    fn taken(&mut self, notice: Result<StoredNotice, RecvError>, window: &mut Window<u64>) {
        let notice = match notice {
            Ok(notice) => notice,
            Err(RecvError::Lagged(lost)) => {
                self.shared.state.send_modify(|s| s.stored_lost += lost);
                return;
            }
            Err(RecvError::Closed) => {
                self.closed = true;
                return;
            }
        };
        let what = Outgoing {
            topic: self.shared.topic(&notice.topic()),
            payload: notice.payload().into(),
            retain: false,
            correlation: None,
        };
        self.last += 1;
        self.open.insert(self.last, what.clone());
        window.send(self.last, what);
    }

    fn answered(&mut self, key: u64, sent: Sent) {
        if sent == Sent::Lost {
            return; // it goes again with the next connection
        }
        let what = self.open.remove(&key);
        self.shared.state.send_modify(|s| match sent {
            Sent::Arrived => s.stored_told += 1,
            _ => s.stored_lost += 1,
        });
        if let (Sent::Refused(why) | Sent::Never(why), Some(what)) = (sent, what) {
            self.shared.refused(Source::Stored, &what.topic, &why);
        }
    }
}
