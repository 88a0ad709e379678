//! `vedette trigger`: a detector or a sensor on this device says that a picture matters.
//!
//! Talks to the running agent's trigger socket and waits until the picture is durable. It reads no
//! configuration unless it is asked to, because whoever may trigger need not be allowed to read it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::config;
use crate::control::Taken;
use crate::control::request::{MAX_LINE, Request};
use crate::control::socket::{self, CallError, TRIGGER_GROUP};
use crate::sys;

const DEFAULT_SOCKET: &str = "/run/vedette/trigger.sock";

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Name of the camera; may be left out when there is only one.
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// What was seen, such as `person`.
    #[arg(long, value_name = "WORD")]
    label: Option<String>,
    /// Where it was seen: left, top, width and height, each in 0..1 of the frame; may be repeated.
    #[arg(long = "box", value_name = "X,Y,W,H", value_parser = a_box, allow_hyphen_values = true)]
    boxes: Vec<[f32; 4]>,
    /// Something else for the picture's metadata; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = an_entry)]
    meta: Vec<(String, String)>,
    /// Print the answer as one JSON object.
    #[arg(long)]
    json: bool,
    /// The agent's trigger socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, conflicts_with = "config")]
    socket: PathBuf,
    /// Configuration file to read the socket's path from.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> ExitCode {
    let done = trigger(options).and_then(|text| Ok(super::print(&text)?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(&error),
    }
}

fn trigger(options: &Options) -> anyhow::Result<String> {
    let socket = match &options.config {
        Some(file) => socket_of(file)?,
        None => options.socket.clone(),
    };
    let request = Request::Trigger {
        camera: options.camera.clone(),
        label: options.label.clone(),
        boxes: options.boxes.clone(),
        meta: options.meta.iter().cloned().collect(),
    };
    let length = serde_json::to_vec(&request)?.len() + 1;
    anyhow::ensure!(
        length <= MAX_LINE,
        "the request has {length} bytes; the most is {MAX_LINE}: say less in --meta"
    );
    let body = socket::call(&socket, &request).map_err(|error| no_picture(error, &socket))?;
    let taken: Taken =
        serde_json::from_slice(&body).context("the agent's answer is of another version")?;
    if options.json {
        return Ok(serde_json::to_string(&taken)? + "\n");
    }
    let pictures = super::status::count(u64::from(taken.kept), "picture");
    Ok(format!("kept {pictures} of camera {}\n", taken.camera))
}

fn socket_of(file: &Path) -> anyhow::Result<PathBuf> {
    let loaded = config::load(file, &config::Context::from_env(None))
        .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?;
    Ok(loaded.config.trigger_socket)
}

/// What went wrong first, then what helps.
fn no_picture(error: CallError, socket: &Path) -> anyhow::Error {
    let help = match &error {
        CallError::NotRunning { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            let path = socket.display();
            return anyhow::anyhow!("this user may not use {path}\n  help: {}", permission(socket));
        }
        CallError::NotRunning { .. } => {
            "is the agent started (`systemctl status vedette`), and is this the \
             `control.trigger_socket` of its configuration? If not, give `--socket`"
        }
        // The reason itself says what would be right.
        CallError::Refused(_) => return error.into(),
        CallError::Broken(_) => {
            "whether a picture was kept is not known; ask again if one more does no harm"
        }
    };
    anyhow::anyhow!("{:#}\n  help: {help}", anyhow::Error::new(error))
}

/// What helps somebody whom the socket turned away.
fn permission(socket: &Path) -> String {
    let there = std::fs::symlink_metadata(socket).ok();
    if there.as_ref().is_some_and(|there| there.mode() & 0o060 != 0o060) {
        return format!(
            "the socket is its owner's alone: the agent could not give it to the group {TRIGGER_GROUP}, \
             `sudo vedette status` and its log say why"
        );
    }
    let name = there.and_then(|there| sys::group_name(there.gid()).ok()?);
    let group = name.as_deref().unwrap_or(TRIGGER_GROUP);
    let user = std::env::var("USER").unwrap_or_else(|_| "USER".to_owned());
    format!(
        "members of the group {group} may trigger: `sudo usermod -aG {group} {user}`, then log in again"
    )
}

fn a_box(text: &str) -> Result<[f32; 4], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|n| n.trim().parse()).collect();
    let numbers = numbers.ok().and_then(|numbers| <[f32; 4]>::try_from(numbers).ok());
    numbers.ok_or_else(|| "four numbers in 0..1, such as 0.1,0.2,0.3,0.4".to_owned())
}

fn an_entry(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a name, `=` and a value")?;
    Ok((name.to_owned(), value.to_owned()))
}
