//! The way to the spool: through the agent that holds it, else by opening it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::Common;
use crate::clock::{Clock as _, SystemClock};
use crate::config;
use crate::control::request::Request;
use crate::control::socket::{self, CallError};
use crate::spool::browse::{Ask, Filter, Told};
use crate::spool::{Moment, OpenError, Settings, Spool};

/// Whoever answers.
pub(super) enum Reach {
    /// The agent at this socket.
    Agent(PathBuf),
    /// The spool itself, which nobody else holds.
    Own(tokio::runtime::Runtime, Spool),
}

impl Reach {
    pub(super) fn new(common: &Common) -> anyhow::Result<Self> {
        let loaded = config::load(&common.config.config, &common.config.context())
            .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?;
        let socket = common.socket.clone().unwrap_or(loaded.config.control_socket);
        // The smallest question that there is tells whether anybody is there.
        let filter = Filter { from: Some(u64::MAX), ..Filter::default() };
        let probe = Request::Spool { ask: Ask::List { filter, above: 0 } };
        match socket::call(&socket, &probe) {
            Ok(_) => Ok(Self::Agent(socket)),
            Err(CallError::NotRunning { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                open(&loaded.config.spool)
            }
            Err(error @ CallError::NotRunning { .. }) => {
                let error = anyhow::Error::new(error);
                Err(anyhow::anyhow!(
                    "{error:#}\n  help: may this user use the control socket (`sudo`)?"
                ))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn ask(&self, ask: Ask) -> anyhow::Result<Told> {
        match self {
            Self::Agent(socket) => {
                let body = socket::call(socket, &Request::Spool { ask })?;
                serde_json::from_slice(&body).context("the agent's answer is of another version")
            }
            Self::Own(runtime, spool) => Ok(runtime.block_on(spool.ask(ask))?),
        }
    }

    /// Leaves the spool as an agent would.
    pub(super) fn close(self) {
        if let Self::Own(runtime, spool) = self {
            runtime.block_on(spool.stop());
        }
    }
}

fn open(settings: &Settings) -> anyhow::Result<Reach> {
    let path = &settings.path;
    let there = path.join("spool.json").exists();
    anyhow::ensure!(there, "no agent runs, and there is no spool at {}", path.display());
    own(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let clock = SystemClock::new();
    let now = Moment { boot: clock.boot_id(), at: clock.boottime(), wall: None };
    match Spool::open(settings, now) {
        Ok((spool, _)) => Ok(Reach::Own(runtime, spool)),
        Err(error @ OpenError::Locked { .. }) => {
            let help = "give its control socket: --socket PATH, or the configuration that it runs with: --config FILE";
            Err(anyhow::anyhow!("{error}\n  help: {help}"))
        }
        Err(error) => Err(error.into()),
    }
}

/// What another user opens gets files that the agent may not write afterwards.
fn own(path: &Path) -> anyhow::Result<()> {
    let owner = path.metadata().with_context(|| path.display().to_string())?.uid();
    let us = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        owner == us,
        "no agent runs, and the spool {} belongs to another user\n  help: run this as that user, `sudo -u '#{owner}' vedette \
         spool …`, or start the agent",
        path.display()
    );
    Ok(())
}
