//! `vedette privacy on|off`: closes all cameras of the running agent, until told otherwise.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config;
use crate::control::request::Request;
use crate::control::socket::{self, CallError};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// `on` closes all cameras at once, over restarts; `off` opens them again.
    mode: Mode,
    /// The agent's control socket. By default as the configuration says.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    config: super::ConfigArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// No camera is open.
    On,
    /// Cameras take pictures.
    Off,
}

pub(super) fn run(options: &Options) -> ExitCode {
    match set(options).and_then(|text| Ok(super::print(text)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(&error),
    }
}

fn set(options: &Options) -> anyhow::Result<&'static str> {
    let socket = match &options.socket {
        Some(socket) => socket.clone(),
        None => {
            let loaded = config::load(&options.config.config, &options.config.context());
            loaded
                .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?
                .config
                .control_socket
        }
    };
    let on = options.mode == Mode::On;
    socket::call(&socket, &Request::Privacy { on }).map_err(|error| {
        let help = match &error {
            CallError::NotRunning { .. } => {
                "\n  help: where no agent runs, no camera is open; is it started (`systemctl status vedette`), and \
                 may this user use its control socket (`sudo`)?"
            }
            CallError::Refused(_) | CallError::Broken(_) => "",
        };
        anyhow::anyhow!("{:#}{help}", anyhow::Error::new(error))
    })?;
    Ok(if on {
        "privacy mode is on: no camera is open, also after a restart, until `vedette privacy off`\n"
    } else {
        "privacy mode is over: cameras are opened\n"
    })
}
