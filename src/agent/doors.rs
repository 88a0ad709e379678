//! The doors: unix sockets by which people and programs on the device ask. Capture does not depend on
//! them: a socket that cannot be made is an alarm, and is tried again.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use crate::control::Ask;
use crate::control::socket::{Access, Server};
use crate::status::Alarm;

/// One socket.
#[derive(Debug)]
pub(super) struct Door {
    /// `control` or `trigger`: the subject of its alarm.
    name: &'static str,
    path: PathBuf,
    access: Access,
    /// Why it cannot be made.
    shut: Option<String>,
    /// Why its group does not have it.
    withheld: Option<String>,
    serving: bool,
}

impl Door {
    pub(super) fn new(name: &'static str, path: PathBuf, access: Access) -> Self {
        Self { name, path, access, shut: None, withheld: None, serving: false }
    }

    /// Serves, or notes why that cannot be. Does nothing where it serves already.
    pub(super) fn open(&mut self, tasks: &mut JoinSet<&'static str>, asks: &mpsc::Sender<Ask>) {
        if self.serving {
            return;
        }
        let why = match Server::bind(&self.path, &self.access) {
            Ok(server) => {
                self.withheld = server.withheld().map(str::to_owned);
                if let Some(why) = &self.withheld {
                    warn!(why, "A socket is its owner's alone.");
                }
                let (asks, name) = (asks.clone(), self.name);
                tasks.spawn(async move {
                    server.serve(asks).await;
                    name
                });
                (self.shut, self.serving) = (None, true);
                return;
            }
            Err(error) => format!("{} socket {}: {error}", self.name, self.path.display()),
        };
        if self.shut.as_ref() != Some(&why) {
            warn!(why, "A socket cannot be made; will try again.");
        }
        self.shut = Some(why);
    }

    /// What a person should know.
    pub(super) fn alarm(&self) -> Option<Alarm> {
        let why = self.shut.as_ref().or(self.withheld.as_ref())?;
        Some(Alarm::about("control", self.name, why.clone()))
    }
}
