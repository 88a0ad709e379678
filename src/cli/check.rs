//! `vedette check`: is the configuration right, what would run, and what will it cost.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::ConfigArgs;
use crate::config::{Config, EX_CONFIG, cost};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(options: &Options) -> ExitCode {
    match options.config.check() {
        Ok(config) => match super::print(&render(&config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::failed(&error.into()),
        },
        Err(errors) => {
            super::tell(&errors);
            ExitCode::from(EX_CONFIG)
        }
    }
}

fn render(config: &Config) -> String {
    let mut out = String::from("configuration is right\n\n");
    let site = config.site.as_ref().map(|s| format!(" at {s}")).unwrap_or_default();
    writeln!(out, "device       {}{site}", config.identity.device).ok();
    for camera in &config.cameras {
        writeln!(out, "camera       {}: {}", camera.profile.camera, camera.source).ok();
    }
    writeln!(out, "destination  {}", config.upload.destination).ok();
    writeln!(
        out,
        "spool        {}, at most {}",
        config.spool.path.display(),
        super::status::bytes(config.spool.max_bytes)
    )
    .ok();
    writeln!(out, "in hand      at most {}\n", super::status::bytes(config.in_hand)).ok();
    write!(out, "{}", cost::cost(config, cost::Assumptions::default())).ok();
    out
}
