//! One look at the broker: connect, ask for commands, publish, and hear that it arrived.
//!
//! Called by the doctor, beside a running agent or without one. It connects under a name of its own,
//! `DEVICE-doctor`, because a second client under the device's name would end the agent's connection,
//! and, without an agent, would take the commands that wait for it. The broker keeps nothing of it: clean
//! start, no session, no last will, nothing retained. It asks for the commands of one id that nobody uses,
//! so that the access list is asked and no command is ever heard.

use std::time::Duration;

use super::session::{Heard, Link, Lost, Opening, Outgoing, Sent, Session};
use super::{Settings, fault, line};
use crate::clock::Timekeeper;

/// How long the leave-taking may take; the broker would notice anyway.
const FAREWELL: Duration = Duration::from_secs(1);

/// What was not possible, in words, and where it is known what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// There was no connection, or it ended.
    #[error("{words}")]
    NotConnected {
        /// What happened.
        words: String,
        /// What a person must mend, where that is known.
        fault: Option<String>,
        /// The broker knows the credentials and refuses the client, maybe for its name.
        refused: bool,
    },
    /// The broker does not let this device hear its commands.
    #[error("the subscription to {topic} is refused: {words}")]
    NotSubscribed {
        /// What was asked for.
        topic: String,
        /// The broker's words.
        words: String,
    },
    /// The broker does not take what this device says.
    #[error("what is published to {topic} is refused: {words}")]
    NotPublished {
        /// Where to.
        topic: String,
        /// The broker's words.
        words: String,
    },
}

/// The name that the look is taken under.
#[must_use]
pub fn client_id(settings: &Settings) -> String {
    format!("{}-doctor", settings.device)
}

/// The topic that is published to, once.
#[must_use]
pub fn topic(settings: &Settings) -> String {
    format!("{}/doctor", settings.prefix())
}

/// Connects, subscribes, publishes `payload` and waits for its acknowledgement.
///
/// # Errors
/// See [`ProbeError`]. Nothing is tried twice.
pub async fn probe(
    settings: &Settings,
    timekeeper: &Timekeeper,
    payload: Vec<u8>,
    connect_within: Duration,
) -> Result<(), ProbeError> {
    let not_connected = |lost: Lost| ProbeError::NotConnected {
        words: lost.to_string(),
        fault: fault::explain(&lost, settings),
        refused: matches!(lost, Lost::Credentials(_) | Lost::Refused(_)),
    };
    let opening = opening(settings, timekeeper, connect_within).await;
    let mut session = Session::open(opening.map_err(|e| not_connected(Lost::Setup(e)))?, 1);
    let link = loop {
        match session.next().await {
            Ok(Heard::Up { link, .. }) => break link,
            Ok(_) => {}
            Err(lost) => return Err(not_connected(lost)),
        }
    };
    let told = tokio::select! {
        lost = driven(&mut session) => Err(not_connected(lost)),
        told = tell(&link, settings, payload) => told,
    };
    link.disconnect(FAREWELL);
    tokio::time::timeout(FAREWELL, driven(&mut session)).await.ok(); // whatever the broker then does
    told
}

/// Keeps a connection going, to its end.
async fn driven(session: &mut Session) -> Lost {
    loop {
        if let Err(lost) = session.next().await {
            return lost;
        }
    }
}

async fn tell(link: &Link, settings: &Settings, payload: Vec<u8>) -> Result<(), ProbeError> {
    let ended = || ProbeError::NotConnected {
        words: Lost::Closed(None).to_string(),
        fault: None,
        refused: false,
    };
    let filter = format!("{}/cmd/doctor-{:016x}", settings.prefix(), fastrand::u64(..));
    match link.subscribe(&filter).await {
        Ok(()) => {}
        Err(None) => return Err(ended()),
        Err(Some(words)) => {
            let topic = format!("{}/cmd/+", settings.prefix());
            return Err(ProbeError::NotSubscribed { topic, words });
        }
    }
    let topic = topic(settings);
    let outgoing = Outgoing {
        topic: topic.clone(),
        payload: payload.into(),
        retain: false,
        correlation: None,
    };
    let sent = match link.publish(outgoing) {
        Ok(notice) => notice.outcome().await,
        Err(sent) => sent,
    };
    match sent {
        Sent::Arrived => Ok(()),
        Sent::Refused(words) | Sent::Never(words) => Err(ProbeError::NotPublished { topic, words }),
        Sent::Lost => Err(ended()),
    }
}

async fn opening(
    settings: &Settings,
    timekeeper: &Timekeeper,
    connect_within: Duration,
) -> Result<Opening, String> {
    let (of_files, keeper) = (settings.clone(), timekeeper.clone());
    let read = tokio::task::spawn_blocking(move || {
        Ok::<_, String>((line::credentials(&of_files)?, line::tls(&of_files, &keeper)?))
    });
    let (credentials, tls) = read.await.map_err(|e| e.to_string())??;
    let (host, port) = settings.address();
    Ok(Opening {
        host,
        port,
        tls,
        client_id: client_id(settings),
        credentials,
        keep_alive: settings.keep_alive,
        session_expiry: None,
        connect_within,
        will: None,
    })
}
