//! The link to the outside: the MQTT session and the desk that takes its commands.
//!
//! Both are one future each, restarted together when the broker's section of the configuration changes.
//! What is commanded goes the way of the sockets' asks: as a [`Job`](crate::control::Job) to the agent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Agent;
use crate::control::command::caps;
use crate::control::desk;
use crate::mqtt::{self, MqttState, Publisher};

/// Deliveries that may wait for the desk: the session's receive window.
const DELIVERIES: usize = 16;

/// Longest time for the desk to end: it gives what is at work one second.
const DESK_END: Duration = Duration::from_secs(2);

/// Longest time to take leave of the broker; the session itself takes at most two seconds.
const MQTT_END: Duration = Duration::from_secs(3);

/// Longest time to end commands that nobody is at work on.
const COMMANDS_END: Duration = Duration::from_secs(30);

/// A running link.
pub(super) struct Link {
    desk: End,
    mqtt: End,
    pub(super) state: watch::Receiver<MqttState>,
    pub(super) publisher: Publisher,
}

/// How a part is told to end, and how it tells that it has.
struct End {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl End {
    async fn within(self, limit: Duration) -> bool {
        self.stop.send(()).ok(); // it may have ended by itself
        timeout(limit, self.ended).await.is_ok()
    }
}

impl Agent {
    /// Starts the link, where a broker is configured.
    pub(super) fn start_link(&mut self) {
        let Some(settings) = self.config.mqtt.clone() else { return };
        let (deliver, deliveries) = mpsc::channel(DELIVERIES);
        let (publisher, publications) = Publisher::new();
        let (state_in, state) = watch::channel(MqttState::default());
        let desk = desk::Deps {
            prefix: settings.prefix(),
            spool: self.spool.clone(),
            timekeeper: self.timekeeper.clone(),
            deliveries,
            publisher: publisher.clone(),
            agent: self.asks.0.clone(),
            counters: Arc::clone(&self.commands),
            rate: self.deps.rate,
        };
        let mqtt = mqtt::Deps {
            notices: (!settings.reliable).then(|| self.notices.subscribe()),
            settings,
            boot: self.boot.clone(),
            run: self.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spool: self.spool.clone(),
            timekeeper: self.timekeeper.clone(),
            caps: caps(),
            publications,
            deliveries: deliver,
            state: state_in,
            tuning: self.deps.mqtt,
        };
        let desk = self.part(|stop| desk::run(desk, stop));
        let mqtt = self.part(|stop| mqtt::run(mqtt, stop));
        self.link = Some(Link { desk, mqtt, state, publisher });
    }

    fn part<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        run: impl FnOnce(Stop) -> F,
    ) -> End {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ended_in, ended) = oneshot::channel();
        let running = run(Box::pin(async { drop(stopped.await) }));
        self.links.spawn(async move {
            running.await;
            ended_in.send(()).ok(); // nobody waits any more
        });
        End { stop, ended }
    }

    /// Takes no more commands, then takes leave of the broker.
    pub(super) async fn stop_link(&mut self) {
        let Some(link) = self.link.take() else { return };
        if !link.desk.within(DESK_END).await {
            info!("Commands at work were cut; they end at the next start.");
        }
        if !link.mqtt.within(MQTT_END).await {
            info!("The broker took no leave; it tells our last will.");
        }
        self.links.shutdown().await;
    }

    /// What the desk was at work on when it was told to end, nobody is at work on now.
    pub(super) async fn end_open_commands(&self) {
        let ended = async {
            self.spool.flush().await?;
            self.spool.interrupt_commands().await
        };
        match timeout(COMMANDS_END, ended).await {
            Ok(Ok(0)) => {}
            Ok(Ok(commands)) => info!(commands, "Commands at work were ended as interrupted."),
            Ok(Err(_)) | Err(_) => warn!("Commands at work stay open until the next start."),
        }
    }
}

/// Told when to end.
type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
