//! How a connection takes up the session that the broker kept, with nothing kept here.
//!
//! The library refuses a session of the broker's that it has no part of (`SessionStateMismatch`), and its
//! own way around that (`AllowBrokerOnly`) then rejects every QoS 1 publish. A store that answers with
//! an empty session is the way: right for QoS 1, because what was in flight is kept, and published
//! again, by the pumps, and what the broker has open it sends again by itself.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rumqttc::{
    PersistedAckMode, PersistedSession, SessionStore, SessionStoreError, SessionStoreKey,
};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

/// Remembers nothing.
#[derive(Debug)]
pub(super) struct Nothing {
    session_expiry: u32,
    in_flight: u16,
}

impl Nothing {
    /// For sessions that the broker keeps for so long, with so many messages in flight at most; both as in
    /// the connection's options, or the library refuses it.
    pub(super) fn of(session_expiry: Duration, in_flight: u16) -> Self {
        let session_expiry = u32::try_from(session_expiry.as_secs().max(1)).unwrap_or(u32::MAX);
        Self { session_expiry, in_flight }
    }
}

impl SessionStore for Nothing {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Answer<'a, Option<PersistedSession>> {
        let empty = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(self.session_expiry),
            outgoing_inflight_upper_limit: Some(self.in_flight),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async { Ok(Some(empty)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
