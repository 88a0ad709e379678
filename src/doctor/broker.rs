//! The broker: a connection of its own, one subscription, one publication with its acknowledgement.

use std::time::Duration;

use super::agent::Agent;
use super::network::Server;
use super::report::{Check, Finding};
use super::setup::sentence;
use crate::clock::Timekeeper;
use crate::mqtt::Settings;
use crate::mqtt::probe::{self, ProbeError};

const CONNECT: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(15);

/// Where the broker is.
pub(super) fn server(settings: &Settings) -> Server {
    let (host, port) = settings.address();
    let (secure, ca_file) = (settings.is_secure(), settings.ca_file.clone());
    let own = settings.client_certificate.clone();
    Server { who: "broker", key: "broker", host, port, secure, ca_file, own }
}

/// Speaks to it.
pub(super) async fn examine(
    settings: &Settings,
    timekeeper: &Timekeeper,
    agent: &Agent,
) -> Finding {
    let payload = serde_json::json!({
        "device": settings.device,
        "version": env!("CARGO_PKG_VERSION"),
        "text": "written by `vedette doctor` to see that it arrives",
    });
    let probe = probe::probe(settings, timekeeper, payload.to_string().into_bytes(), CONNECT);
    let client = probe::client_id(settings);
    match tokio::time::timeout(ALL, probe).await {
        Ok(Ok(())) => well(settings, &client, agent),
        Ok(Err(error)) => failed(&client, &error, agent),
        Err(_) => Finding::wrong(
            Check::Broker,
            format!("no answer within {} s", ALL.as_secs()),
            "Does it speak MQTT 5? Is it overloaded? Its log says.",
        ),
    }
}

fn well(settings: &Settings, client: &str, agent: &Agent) -> Finding {
    let topic = probe::topic(settings);
    let text = format!("as client {client}: connected, subscribed, and {topic} arrived");
    let status = agent.status().and_then(|s| s.mqtt.as_ref());
    if let Some(alarm) = agent.alarm("mqtt") {
        let text = format!("{text}; but the agent says: {}", alarm.text);
        return Finding::warning(
            Check::Broker,
            text,
            "It tries again by itself within five minutes.",
        );
    }
    match status {
        Some(mqtt) if !mqtt.connected => {
            let why = mqtt.last_error.as_deref().unwrap_or("no reason known");
            let text = format!("{text}; but the agent is not connected: {why}");
            Finding::warning(Check::Broker, text, "It tries again by itself within five minutes.")
        }
        _ => Finding::ok(Check::Broker, text),
    }
}

fn failed(client: &str, error: &ProbeError, agent: &Agent) -> Finding {
    let list = "The broker's access list: the device must read its own `cmd/#` and write below its own \
                prefix (docs/mqtt.md, \"Who may do what\").";
    let ProbeError::NotConnected { words, fault, refused } = error else {
        return Finding::wrong(Check::Broker, error.to_string(), list);
    };
    let connected = agent.status().and_then(|s| s.mqtt.as_ref()).is_some_and(|m| m.connected);
    if *refused && connected {
        let text = format!(
            "the agent is connected; the doctor's own client {client} is refused ({words})"
        );
        let help = "The broker ties names to credentials, and that is well. To let the doctor in, allow this \
                    client id too.";
        return Finding::warning(Check::Broker, text, help);
    }
    let parts = fault.as_deref().and_then(|fault| fault.split_once("): "));
    let (what, help) = match (parts, fault) {
        (Some((what, help)), _) => (format!("{what})"), sentence(help)),
        (None, Some(fault)) => (fault.clone(), "Correct `[mqtt]`.".to_owned()),
        (None, None) => (words.clone(), "Is it an MQTT 5 broker? Its log says why.".to_owned()),
    };
    let named = if *refused {
        format!(
            " (The doctor's client id is {client}, because the agent's own would end its connection: a \
                 broker that ties names to credentials may refuse only that.)"
        )
    } else {
        String::new()
    };
    Finding::wrong(Check::Broker, what, format!("{help}{named}"))
}
