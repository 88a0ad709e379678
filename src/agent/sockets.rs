//! The sockets that people and programs on this device ask through: served, or an alarm and tried again.
//!
//! Capture does not depend on them.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use crate::config::Config;
use crate::control::Ask;
use crate::control::socket::{Access, Server};
use crate::status::Alarm;

/// One socket, by the name it has in alarms.
pub(super) struct Door {
    name: &'static str,
    path: PathBuf,
    access: Access,
    served: bool,
    /// Why it is not served, or why its group does not have it.
    fault: Option<String>,
}

/// The control socket and the trigger socket.
pub(super) fn doors(config: &Config) -> [Door; 2] {
    let door = |name, path: &PathBuf, access| Door {
        name,
        path: path.clone(),
        access,
        served: false,
        fault: None,
    };
    let triggers = Access::triggers(config.trigger_group.as_deref());
    [
        door("control socket", &config.control_socket, Access::owner()),
        door("trigger socket", &config.trigger_socket, triggers),
    ]
}

impl Door {
    /// Serves it, unless it is served already, or notes why it cannot be.
    pub(super) fn serve(&mut self, asks: &mpsc::Sender<Ask>, tasks: &mut JoinSet<&'static str>) {
        if self.served {
            return;
        }
        let name = self.name;
        let fault = match Server::bind(&self.path, &self.access) {
            Ok(server) => {
                self.served = true;
                let fault = server.withheld().map(str::to_owned);
                let asks = asks.clone();
                tasks.spawn(async move {
                    server.serve(asks).await;
                    name
                });
                fault
            }
            Err(error) => Some(format!("{name} {}: {error}", self.path.display())),
        };
        if let Some(why) = fault.as_ref().filter(|_| fault != self.fault) {
            warn!(why, served = self.served, "Not everybody who should can ask the agent.");
        }
        self.fault = fault;
    }

    /// What is wrong with it.
    pub(super) fn alarm(&self) -> Option<Alarm> {
        Some(Alarm::about("control", self.name, self.fault.clone()?))
    }
}
