//! One connection with the broker, and the session it carries on: the only place that knows the MQTT
//! library, so that a second protocol version can stand beside this one.
//!
//! Called by `line`, which opens a [`Session`] for each connection and asks it for what happens, and by
//! the pumps, which publish through its [`Link`].
//!
//! A connection is never reused: each begins as after a restart of the process (`resume`), and what was
//! in flight is published again by whoever keeps it. So an acknowledgement that belongs to an earlier
//! connection has nowhere to go: its channel ended with that connection, and acknowledging a different,
//! newer command by mistake is impossible.
//!
//! [`Session::next`] must be driven by one task only and not be dropped half way; nothing here waits on
//! a channel. QoS 1 throughout. Failure: the connection ends with a [`Lost`].

mod lost;
mod resume;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use rumqttc::{
    AckMode, AsyncClient, Broker, BrokerSessionResumePolicy, ConnAck, Event, EventLoop, LastWill,
    MqttOptions, NetworkOptions, Packet, PubAckReason, Publish, PublishNotice, PublishNoticeError,
    PublishOptions, PublishProperties, PublishResult, RetainForwardRule, SubscribeFilter,
    SubscribeNoticeError, TlsConfiguration, Transport,
};

pub(super) use self::lost::{Doubt, Lost};
use super::{Ack, Delivery};

/// Deliveries that may be open at once: the broker holds back the rest, or should. mosquitto 2.0.11 does so
/// up to the first acknowledgement, and then sends as many again for each one.
const RECEIVE_MAXIMUM: u16 = 16;
/// Largest packet that the broker may send; one that keeps to MQTT 5 drops larger ones, and says so in
/// its own log.
pub(super) const MAX_PACKET: u32 = 64 << 10;
/// Messages in flight at most, for all pumps together; a broker may allow fewer. The library's default
/// costs memory for 65535.
const IN_FLIGHT: u16 = 64;
/// Requests that may wait for the connection's task: an acknowledgement for each delivery, and more than
/// all pumps have in flight. So none of them finds the channel full.
const REQUESTS: usize = super::line::ARRIVALS + IN_FLIGHT as usize;
/// Longest response topic that is handed on: what the desk honours, below any device's prefix.
const RESPONSE_TOPIC: usize = 256 + 64;
/// Longest correlation data that is handed on; a response topic with more is not honoured either.
const CORRELATION: usize = 1024;
/// What a PUBLISH packet has besides topic, payload and correlation data, at the very most.
const PACKET_OVERHEAD: usize = 32;

/// What a connection is made with.
pub(super) struct Opening {
    /// Host name or address, an IPv6 address without its brackets.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// TLS, where wanted.
    pub(super) tls: Option<rustls::ClientConfig>,
    /// Client id.
    pub(super) client_id: String,
    /// User name and password.
    pub(super) credentials: Option<Credentials>,
    /// Longest silence.
    pub(super) keep_alive: Duration,
    /// How long the broker keeps the session; `None`: it keeps nothing, and forgets what it had.
    pub(super) session_expiry: Option<Duration>,
    /// How long connecting may take, from the name's lookup to the broker's word.
    pub(super) connect_within: Duration,
    /// What the broker says, retained, when we vanish.
    pub(super) will: Option<Outgoing>,
}

/// Who we are to the broker. Never printed: it has no `Debug`.
pub(super) struct Credentials {
    /// User name.
    pub(super) user: String,
    /// Password, where one is sent.
    pub(super) password: Option<Vec<u8>>,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The whole topic.
    pub(super) topic: String,
    /// The payload.
    pub(super) payload: Bytes,
    /// Is the broker to keep it as the topic's state?
    pub(super) retain: bool,
    /// MQTT 5 correlation data.
    pub(super) correlation: Option<Vec<u8>>,
}

/// What became of something published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The broker has it.
    Arrived,
    /// The broker will not take it; why.
    Refused(String),
    /// It cannot be sent, and never will be: why.
    Never(String),
    /// The connection ended before the broker said anything: publish it again with the next.
    Lost,
}

/// Something that happened.
pub(super) enum Heard {
    /// The broker took us; the first thing that is heard.
    Up {
        /// What to publish through.
        link: Link,
        /// Did the broker still have the session?
        resumed: bool,
    },
    /// A message came.
    Arrived {
        /// What came.
        delivery: Delivery,
        /// Does the broker wait for its acknowledgement?
        open: bool,
    },
    /// Nothing for anyone else.
    Other,
}

/// A connection.
pub(super) struct Session {
    events: EventLoop,
    client: AsyncClient,
    generation: u64,
}

impl Session {
    /// Prepares a connection; it is made by the first [`Self::next`].
    pub(super) fn open(opening: Opening, generation: u64) -> Self {
        let (client, events) = AsyncClient::builder(options(opening)).capacity(REQUESTS).build();
        Self { events, client, generation }
    }

    /// The next thing that happens. Not to be dropped half way.
    pub(super) async fn next(&mut self) -> Result<Heard, Lost> {
        match self.events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                // Else each save would copy all that is in flight.
                self.events.options.clear_session_store();
                Ok(Heard::Up { link: self.link(&ack), resumed: ack.session_present })
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let open = publish.qos != QoS::AtMostOnce;
                Ok(Heard::Arrived { delivery: self.delivery(publish), open })
            }
            Ok(_) => Ok(Heard::Other),
            Err(error) => Err(error.into()),
        }
    }

    fn link(&self, ack: &ConnAck) -> Link {
        let told = ack.properties.as_ref();
        Link {
            client: self.client.clone(),
            generation: self.generation,
            most: told.and_then(|p| p.max_packet_size).map(|n| n as usize),
            retains: told.and_then(|p| p.retain_available) != Some(0),
        }
    }

    fn delivery(&self, publish: Publish) -> Delivery {
        // Holds the packet's number, not its payload.
        let ack = self.client.prepare_ack(&publish);
        let client = self.client.clone();
        let properties = publish.properties.unwrap_or_default();
        let (response_topic, correlation) = answerable(properties);
        Delivery {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retain: publish.retain,
            response_topic,
            correlation,
            ack: Ack::new(move || {
                // An error is a connection that has ended, and that is as well: the delivery comes again.
                // The channel cannot be full: it has room for one of each delivery.
                let sent = ack.map(|ack| client.try_manual_ack(ack));
                if let Some(Err(error)) = sent {
                    tracing::debug!(%error, "Acknowledgement came after its connection's end.");
                }
            }),
        }
    }
}

/// Where an answer is wanted and what is to go with it; neither where one is longer than is honoured.
fn answerable(properties: PublishProperties) -> (Option<String>, Option<Vec<u8>>) {
    let (topic, data) = (properties.response_topic, properties.correlation_data);
    let topic_fits = topic.as_ref().is_none_or(|topic| topic.len() <= RESPONSE_TOPIC);
    let data_fits = data.as_ref().is_none_or(|data| data.len() <= CORRELATION);
    if topic_fits && data_fits { (topic, data.map(|data| data.to_vec())) } else { (None, None) }
}

/// What the pumps publish through; ends with its connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    client: AsyncClient,
    generation: u64,
    /// Largest packet that the broker takes.
    most: Option<usize>,
    /// Does the broker keep retained messages?
    retains: bool,
}

impl Link {
    /// Numbers connections.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Asks, at once, for what comes to `filter`, without what is retained there, and with each message's
    /// retain flag as it was published; then waits for the answer. An error says why the broker refuses,
    /// and is empty where the connection ended. May be dropped half way.
    pub(super) fn subscribe(
        &self,
        filter: &str,
    ) -> impl Future<Output = Result<(), Option<String>>> + use<> {
        let mut wanted = SubscribeFilter::new(filter, QoS::AtLeastOnce);
        wanted.retain_forward_rule = RetainForwardRule::Never;
        wanted.preserve_retain = true;
        let asked = self.client.try_subscribe_many_tracked([wanted]);
        async {
            let answer = asked.map_err(|_| None)?.wait_completion_async().await;
            answer.map_err(|error| match error {
                SubscribeNoticeError::V5SubAckFailure(codes) => Some(lost::spaced(&codes)),
                _ => None,
            })
        }
    }

    /// Publishes; never waits. What became of it comes from the notice.
    pub(super) fn publish(&self, what: Outgoing) -> Result<Notice, Sent> {
        let correlation = what.correlation.as_ref().map_or(0, Vec::len);
        let size = what.topic.len() + what.payload.len() + correlation + PACKET_OVERHEAD;
        if let Some(most) = self.most.filter(|most| size > *most) {
            // The library would end the connection over it, and so each further one.
            return Err(Sent::Never(format!("{size} bytes, the broker takes {most}")));
        }
        if what.retain && !self.retains {
            return Err(Sent::Refused("the broker keeps no retained messages".into()));
        }
        let options = PublishOptions::at_least_once().retain(what.retain);
        let options = match what.correlation {
            Some(data) => options.properties(PublishProperties {
                correlation_data: Some(data.into()),
                ..PublishProperties::default()
            }),
            None => options,
        };
        match self.client.try_publish_tracked(what.topic, what.payload, options) {
            Ok(notice) => Ok(Notice(notice)),
            Err(rumqttc::ClientError::InvalidRequest(_)) => {
                Err(Sent::Never("not a topic that can be published to".into()))
            }
            Err(_) => Err(Sent::Lost),
        }
    }

    /// Takes leave, once all that is in flight is answered or `within` has passed; the broker then does
    /// not say the last will.
    pub(super) fn disconnect(&self, within: Duration) {
        if let Err(error) = self.client.try_disconnect_with_timeout(within) {
            tracing::debug!(%error, "The connection ended before its end was asked for.");
        }
    }
}

/// Answers what became of something published.
pub(super) struct Notice(PublishNotice);

impl Notice {
    /// Waits for the broker's word, or for the connection's end.
    pub(super) async fn outcome(self) -> Sent {
        let reason = match self.0.wait_async().await {
            Ok(PublishResult::Qos1(ack)) => ack.reason,
            Ok(_) => return Sent::Arrived,
            Err(PublishNoticeError::V5PubAck(reason)) => reason,
            Err(_) => return Sent::Lost,
        };
        match reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Sent::Arrived,
            refused => Sent::Refused(lost::spaced(&refused)),
        }
    }
}

fn options(o: Opening) -> MqttOptions {
    let mut options = MqttOptions::new(o.client_id, Broker::tcp(o.host, o.port));
    if let Some(tls) = o.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
    }
    match o.credentials {
        Some(Credentials { user, password: Some(password) }) => {
            _ = options.set_credentials(user, password)
        }
        Some(Credentials { user, password: None }) => _ = options.set_username(user),
        None => {}
    }
    let seconds = |d: Duration| d.as_secs().max(1);
    options
        .set_keep_alive(u16::try_from(seconds(o.keep_alive)).unwrap_or(u16::MAX))
        .set_connect_timeout(o.connect_within)
        .set_clean_start(o.session_expiry.is_none())
        .set_session_expiry_interval(Some(
            o.session_expiry.map_or(0, |d| u32::try_from(seconds(d)).unwrap_or(u32::MAX)),
        ))
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        .set_max_packet_size(Some(MAX_PACKET))
        .set_outgoing_inflight_upper_limit(IN_FLIGHT)
        .set_ack_mode(AckMode::Manual)
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::Strict);
    if let Some(expiry) = o.session_expiry {
        options.set_session_store(resume::Nothing::of(expiry, IN_FLIGHT));
    }
    if let Some(will) = o.will {
        let payload = will.payload.to_vec();
        options.set_last_will(LastWill::new(will.topic, payload, QoS::AtLeastOnce, true, None));
    }
    let mut network = NetworkOptions::new();
    // Small packets that others wait for; measured: without it some acknowledgements take 40 ms.
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(o.connect_within.as_secs().max(1));
    options.set_network_options(network);
    options
}
