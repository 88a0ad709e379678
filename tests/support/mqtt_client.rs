//! The smallest MQTT 5 client that a test needs to look at a broker from outside.
//!
//! Not the agent's library, so that a fault in that one cannot hide itself. Blocking, one thread, QoS 1;
//! what comes is acknowledged at once. Nothing waits longer than [`PLENTY`].

#![cfg(test)]
#![allow(dead_code, reason = "shared by tests of which each needs a part")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest wait for anything.
pub(crate) const PLENTY: Duration = Duration::from_secs(60);

const RESPONSE_TOPIC: u8 = 8;
const CORRELATION: u8 = 9;

/// A message, sent or received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The whole topic.
    pub(crate) topic: String,
    /// The payload.
    pub(crate) payload: Vec<u8>,
    /// Retained?
    pub(crate) retain: bool,
    /// Where an answer is wanted.
    pub(crate) response_topic: Option<String>,
    /// What goes with the answer.
    pub(crate) correlation: Option<Vec<u8>>,
}

impl Message {
    /// A message, not retained.
    pub(crate) fn new(topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), ..Self::default() }
    }

    /// The same, retained.
    pub(crate) fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The payload as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    arrived: VecDeque<Message>,
    next_id: u16,
}

impl Client {
    /// Connects with a clean session; an error is the transport's, or the broker's code.
    pub(crate) fn connect(address: impl ToSocketAddrs, id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PLENTY))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, arrived: VecDeque::new(), next_id: 0 };
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x00\x00".to_vec();
        body.extend(text(id));
        client.send(0x10, &body)?;
        let (kind, body) = client.packet()?;
        match (kind, body.get(1)) {
            (0x20, Some(0)) => Ok(client),
            answer => Err(io::Error::other(format!("not taken: {answer:?}"))),
        }
    }

    /// Subscribes at QoS 1, retain flags as published.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.subscribe_at(filter, 1);
    }

    /// The same at another QoS: at 0 the broker holds nothing back.
    pub(crate) fn subscribe_at(&mut self, filter: &str, qos: u8) {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        body.push(0);
        body.extend(text(filter));
        body.push(0b0000_1000 | qos);
        self.send(0x82, &body).unwrap();
        let answer = self.answer(0x90, id).unwrap();
        assert!(answer.last().is_some_and(|code| *code <= 1), "{filter}: {answer:?}");
    }

    /// Publishes at QoS 1 and returns the broker's code.
    pub(crate) fn publish(&mut self, message: &Message) -> u8 {
        self.try_publish(message).unwrap()
    }

    /// As [`Client::publish`]; an error is a broken connection.
    pub(crate) fn try_publish(&mut self, message: &Message) -> io::Result<u8> {
        let id = self.begin(message)?;
        Ok(self.answer(0x40, id)?.get(2).copied().unwrap_or(0))
    }

    /// Publishes many, ten at a time on their way, as fast as the broker takes them.
    pub(crate) fn publish_each(&mut self, messages: impl Iterator<Item = Message>) {
        let mut on_their_way = VecDeque::new();
        for message in messages {
            on_their_way.push_back(self.begin(&message).unwrap());
            if on_their_way.len() >= 10
                && let Some(id) = on_their_way.pop_front()
            {
                self.answer(0x40, id).unwrap();
            }
        }
        for id in on_their_way {
            self.answer(0x40, id).unwrap();
        }
    }

    /// Sends a message and gives the number under which it will be acknowledged.
    fn begin(&mut self, message: &Message) -> io::Result<u16> {
        let id = self.id();
        let mut properties = Vec::new();
        if let Some(topic) = &message.response_topic {
            properties.push(RESPONSE_TOPIC);
            properties.extend(text(topic));
        }
        if let Some(data) = &message.correlation {
            properties.push(CORRELATION);
            properties.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            properties.extend(data);
        }
        let mut body = text(&message.topic);
        body.extend(id.to_be_bytes());
        body.extend(length(properties.len()));
        body.extend(properties);
        body.extend(&message.payload);
        self.send(0x32 | u8::from(message.retain), &body)?;
        Ok(id)
    }

    /// The next message that comes.
    pub(crate) fn next(&mut self) -> Message {
        self.try_next().unwrap()
    }

    /// As [`Client::next`]; an error is a broken connection.
    pub(crate) fn try_next(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.arrived.pop_front() {
                return Ok(message);
            }
            let (kind, body) = self.packet()?;
            self.hear(kind, &body)?;
        }
    }

    /// The next message that `wanted` says yes to; the others before it are lost.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next();
            if wanted(&message) {
                return message;
            }
        }
    }

    /// All that still comes until the connection ends.
    pub(crate) fn rest(mut self) -> Vec<Message> {
        while let Ok((kind, body)) = self.packet() {
            self.hear(kind, &body).ok(); // it is about to end
        }
        self.arrived.into()
    }

    fn id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// The body of the packet of this kind that answers `id`.
    fn answer(&mut self, wanted: u8, id: u16) -> io::Result<Vec<u8>> {
        loop {
            let (kind, body) = self.packet()?;
            if kind == wanted && body.starts_with(&id.to_be_bytes()) {
                return Ok(body);
            }
            self.hear(kind, &body)?;
        }
    }

    fn hear(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        if kind >> 4 == 3 {
            let (message, id) = read_publish(kind, body);
            if let Some(id) = id {
                // The broker may be gone by now, and what it said still counts.
                self.send(0x40, &id.to_be_bytes()).ok();
            }
            self.arrived.push_back(message);
        }
        Ok(())
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.stream.write_all(&packet(kind, body))
    }

    fn packet(&mut self) -> io::Result<(u8, Vec<u8>)> {
        read_packet(&mut self.stream)
    }
}

/// One packet off the wire: first byte and body.
pub(crate) fn read_packet(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    let kind = byte[0];
    let (mut size, mut shift) = (0_usize, 0);
    loop {
        from.read_exact(&mut byte)?;
        size |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; size];
    from.read_exact(&mut body)?;
    Ok((kind, body))
}

/// A packet for the wire.
pub(crate) fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(length(body.len()));
    bytes.extend(body);
    bytes
}

/// A PUBLISH's message, and its number where it wants an acknowledgement.
pub(crate) fn read_publish(kind: u8, body: &[u8]) -> (Message, Option<u16>) {
    let word = |at: &[u8]| usize::from(u16::from_be_bytes([at[0], at[1]]));
    let string = |at: &[u8]| String::from_utf8(at[2..2 + word(at)].to_vec()).unwrap();
    let mut message = Message { topic: string(body), retain: kind & 1 == 1, ..Message::default() };
    let mut rest = &body[2 + message.topic.len()..];
    let id = (kind & 0x06 != 0).then(|| {
        let id = u16::from_be_bytes([rest[0], rest[1]]);
        rest = &rest[2..];
        id
    });
    let size = rest.iter().position(|b| b & 0x80 == 0).unwrap() + 1;
    let many = rest[..size].iter().rev().fold(0, |n, b| n << 7 | usize::from(b & 0x7f));
    let mut properties = &rest[size..size + many];
    message.payload = rest[size + many..].to_vec();
    while let [kind, after @ ..] = properties {
        let size = match *kind {
            RESPONSE_TOPIC | CORRELATION => 2 + word(after),
            other => panic!("property {other}"),
        };
        let data = after[2..size].to_vec();
        match *kind {
            RESPONSE_TOPIC => message.response_topic = Some(String::from_utf8(data).unwrap()),
            _ => message.correlation = Some(data),
        }
        properties = &after[size..];
    }
    (message, id)
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn length(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(n & 0x7f).unwrap();
        n >>= 7;
        bytes.push(if n > 0 { low | 0x80 } else { low });
        if n == 0 {
            return bytes;
        }
    }
}
