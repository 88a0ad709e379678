//! What one pump has in flight: so many messages at once, each answered by the broker or lost with its
//! connection.
//!
//! Used by each pump, one for each connection. Sending never waits: the pump asks for room first.

use tokio::task::JoinSet;

use super::session::{Link, Outgoing, Sent};

/// Messages that one pump may have in flight.
pub(super) const ROOM: usize = 16;

/// Messages in flight, each with the pump's own key.
pub(super) struct Window<K> {
    link: Link,
    waiting: JoinSet<(K, Sent)>,
}

impl<K: Send + 'static> Window<K> {
    /// An empty one.
    pub(super) fn new(link: Link) -> Self {
        Self { link, waiting: JoinSet::new() }
    }

    /// May another message go?
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < ROOM
    }

    /// Is nothing in flight?
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends a message; what became of it comes from [`Self::next`].
    pub(super) fn send(&mut self, key: K, what: Outgoing) {
        let notice = self.link.publish(what);
        self.waiting.spawn(async {
            match notice {
                Ok(notice) => (key, notice.outcome().await),
                Err(sent) => (key, sent),
            }
        });
    }

    /// The next answer; waits for ever while nothing is in flight. May be dropped half way.
    pub(super) async fn next(&mut self) -> (K, Sent) {
        match self.waiting.join_next().await {
            Some(Ok(answer)) => answer,
            // A task here neither panics nor is aborted before the window is dropped.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    /// An answer that is there already.
    pub(super) fn ready(&mut self) -> Option<(K, Sent)> {
        self.waiting.try_join_next().and_then(Result::ok)
    }
}
