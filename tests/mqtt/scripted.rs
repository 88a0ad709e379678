//! A broker that does what mosquitto would not: it takes every message and acknowledges none, stops
//! reading, or says why it ends a connection.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::device::topic;
use crate::mosquitto::mqtt_client::{Message, PLENTY, packet, read_packet, read_publish};

/// How it behaves once it has taken a client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Sends one command, and acknowledges nothing.
    Silent,
    /// Ends the connection: another client has the name.
    TakesOver,
    /// Reads nothing more once it has granted the subscription, and keeps the connection; twice.
    Deaf,
    /// Answers everything but the subscription.
    NeverGrants,
    /// As `NeverGrants`, and takes no packet above 1000 bytes.
    Small,
}

enum Heard {
    Published(Message),
    Acknowledged,
}

/// A broker for one connection.
pub(crate) struct Broker {
    pub(crate) port: u16,
    heard: Receiver<Heard>,
    thread: JoinHandle<()>,
    seen: std::cell::RefCell<Vec<Message>>,
}

impl Broker {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (to, heard) = sync_channel(4096);
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            serve(&mut stream, manner, &to);
            if manner == Manner::Deaf {
                let (mut again, _) = listener.accept().unwrap();
                serve(&mut again, manner, &to);
                // Kept as long as the test runs: their end would be another error than silence.
                std::mem::forget((stream, again));
            }
        });
        Self { port, heard, thread, seen: std::cell::RefCell::default() }
    }

    /// Waits until so many messages were published.
    pub(crate) fn heard(&self, count: usize) {
        while self.seen.borrow().len() < count {
            self.hear();
        }
    }

    /// Waits until the command was acknowledged.
    pub(crate) fn acknowledged(&self) {
        while !self.hear() {}
    }

    /// Waits for the connection's end; all that was published.
    pub(crate) fn ended(self) -> Vec<Message> {
        self.thread.join().unwrap();
        let rest = self.heard.try_iter().filter_map(|heard| match heard {
            Heard::Published(message) => Some(message),
            Heard::Acknowledged => None,
        });
        self.seen.into_inner().into_iter().chain(rest).collect()
    }

    fn hear(&self) -> bool {
        match self.heard.recv_timeout(PLENTY).unwrap() {
            Heard::Published(message) => {
                self.seen.borrow_mut().push(message);
                false
            }
            Heard::Acknowledged => true,
        }
    }
}

fn serve(stream: &mut TcpStream, manner: Manner, heard: &SyncSender<Heard>) {
    stream.set_read_timeout(Some(PLENTY)).unwrap();
    while let Ok((kind, body)) = read_packet(stream) {
        let answer = match kind >> 4 {
            1 if manner == Manner::Small => packet(0x20, &[0, 0, 5, 0x27, 0, 0, 3, 0xe8]),
            1 => packet(0x20, &[0, 0, 0]),
            3 => {
                let (message, number) = read_publish(kind, &body);
                heard.send(Heard::Published(message)).unwrap();
                match (manner, number) {
                    (Manner::NeverGrants | Manner::Small, Some(number)) => {
                        packet(0x40, &number.to_be_bytes())
                    }
                    _ => continue,
                }
            }
            4 => {
                heard.send(Heard::Acknowledged).unwrap();
                continue;
            }
            8 if matches!(manner, Manner::NeverGrants | Manner::Small) => continue,
            8 if manner == Manner::Deaf => {
                return stream.write_all(&packet(0x90, &[body[0], body[1], 0, 1])).unwrap();
            }
            8 if manner == Manner::TakesOver => packet(0xe0, &[0x8e, 0]),
            8 => {
                let name = topic("cmd/scripted");
                let mut command = vec![0, u8::try_from(name.len()).unwrap()];
                command.extend(name.as_bytes());
                command.extend([0, 1, 0]);
                let mut both = packet(0x90, &[body[0], body[1], 0, 1]);
                both.extend(packet(0x32, &command));
                both
            }
            12 => packet(0xd0, &[]),
            _ => continue,
        };
        stream.write_all(&answer).unwrap();
    }
}
