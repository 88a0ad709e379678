//! What the broker keeps as this device's state, and what is published at best effort.
//!
//! One task, started by [`super::run`]. With each new connection it asks for the commands, tells that
//! the device is online and what it can do, and then publishes what comes from [`super::Publisher`]s.
//! Who sees it online may send a command: so that waits for the broker's word on the commands, as long as
//! connecting may take. The library keeps no order between a subscription and what is published.
//! What is in flight when a connection ends is not published again.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::Publication;
use super::run::{Links, Shared, Source};
use super::session::{Link, Outgoing, Sent};
use super::window::Window;
use crate::clock::Timekeeper;
use crate::contract::command::rfc3339;

/// What is told, retained, when the device goes, and by the broker when it vanished.
pub(super) fn offline(shared: &Shared) -> Outgoing {
    state(shared, "online", &json!({ "online": false, "boot": shared.boot }))
}

fn state(shared: &Shared, below: &str, what: &Value) -> Outgoing {
    Outgoing {
        topic: shared.topic(below),
        payload: what.to_string().into(),
        retain: true,
        correlation: None,
    }
}

/// The task's own things.
pub(super) struct Talker {
    pub(super) shared: Arc<Shared>,
    pub(super) timekeeper: Timekeeper,
    pub(super) version: String,
    pub(super) run: String,
    pub(super) caps: Value,
}

/// What an answer of the broker's belongs to: its topic, and the alarm that a refusal raises.
type Key = (Source, String);

impl Talker {
    pub(super) async fn run(self, mut links: Links, mut publications: mpsc::Receiver<Publication>) {
        loop {
            let link = links.up().await;
            self.serve(link, &mut links, &mut publications).await;
        }
    }

    async fn serve(
        &self,
        link: Link,
        links: &mut Links,
        publications: &mut mpsc::Receiver<Publication>,
    ) {
        for source in [Source::Commands, Source::State, Source::Published] {
            self.shared.fault(source, None);
        }
        let filter = self.shared.topic("cmd/+");
        let mut granted = std::pin::pin!(link.subscribe(&filter));
        let mut open = false;
        tokio::select! {
            () = links.gone() => return,
            answer = &mut granted => self.granted(&filter, answer),
            () = sleep(self.shared.tuning.connect_within) => {
                open = true;
                self.granted(&filter, Err(Some("no answer".into())));
            }
        }
        let mut window = Window::new(link);
        for told in [self.online(), state(&self.shared, "caps", &self.caps)] {
            window.send((Source::State, told.topic.clone()), told);
        }
        loop {
            tokio::select! {
                () = links.gone() => return,
                answer = &mut granted, if open => {
                    open = false;
                    self.granted(&filter, answer);
                }
                (key, sent) = window.next() => self.answered(&key, sent),
                Some(publication) = publications.recv(), if window.has_room() => {
                    let what = self.outgoing(publication);
                    window.send((Source::Published, what.topic.clone()), what);
                }
            }
        }
    }

    /// The broker's word on the subscription to commands.
    fn granted(&self, filter: &str, answer: Result<(), Option<String>>) {
        let why = match answer {
            Ok(()) => return self.shared.fault(Source::Commands, None),
            Err(None) => return, // the connection has ended
            Err(Some(why)) => why,
        };
        warn!(filter, why, "The broker does not grant the subscription to commands.");
        let host = self.shared.host();
        let device = &self.shared.settings.device;
        let words = format!(
            "{host} refuses the subscription to `{filter}` ({why}): let {device} read it in the \
             broker's access list"
        );
        self.shared.fault(Source::Commands, Some(words));
    }

    fn online(&self) -> Outgoing {
        let since = self.timekeeper.wall_at(self.timekeeper.boottime()).and_then(rfc3339);
        let told = json!({
            "online": true,
            "boot": self.shared.boot,
            "run": self.run,
            "version": self.version,
            "since": since,
        });
        state(&self.shared, "online", &told)
    }

    fn outgoing(&self, publication: Publication) -> Outgoing {
        Outgoing {
            topic: self.shared.topic(&publication.topic),
            payload: publication.payload.into(),
            retain: false,
            correlation: publication.correlation,
        }
    }

    fn answered(&self, (source, topic): &Key, sent: Sent) {
        if let Sent::Refused(why) | Sent::Never(why) = sent {
            self.shared.refused(*source, topic, &why);
        }
    }
}
