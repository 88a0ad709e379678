//! `vedette run`: the daemon. Signals, systemd's protocol, reload; everything else is the agent's.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::ConfigArgs;
use crate::agent::{Agent, Deps, Verdict};
use crate::clock::SystemClock;
use crate::config::{self, ConfigErrors, EX_CONFIG, Loaded};
use crate::identity;
use crate::log;
use crate::status::{Alarm, ConfigStatus};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(options: Options) -> ExitCode {
    let loaded = match config::load(&options.config.config, &options.config.context()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            super::tell(&errors);
            super::say("vedette: there is no last good configuration to run instead\n");
            return ExitCode::from(EX_CONFIG);
        }
    };
    let handle = match log::init(loaded.config.log) {
        Ok(handle) => handle,
        Err(error) => return super::failed(&anyhow::Error::new(error)),
    };
    crate::sys::give_back_large_blocks();
    if let Err(error) = crate::sys::disable_core_dumps() {
        warn!(%error, "Core dumps could not be turned off; they would hold keys and pictures.");
    }
    let result = super::runtime().and_then(|rt| {
        let result = rt.block_on(daemon(&options, loaded, handle));
        // A blocking task may hang in DNS or a dead disk: it is not waited for.
        rt.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            super::failed(&error)
        }
    }
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

async fn daemon(options: &Options, loaded: Loaded, handle: log::Handle) -> anyhow::Result<()> {
    let mut signals = Signals {
        term: signal(SignalKind::terminate())?,
        int: signal(SignalKind::interrupt())?,
        hup: signal(SignalKind::hangup())?,
    };
    let deps = Deps {
        clock: Arc::new(SystemClock::new()),
        config: ConfigStatus {
            path: options.config.config.display().to_string(),
            last_good: loaded.warning.is_some(),
            restart_needed: Vec::new(),
        },
        alarms: alarms(&loaded),
    };
    let mut agent = Agent::start(loaded.config.clone(), deps).await?;
    remember(&loaded, options);
    tell(&[sd_notify::NotifyState::Ready]);
    info!(version = env!("CARGO_PKG_VERSION"), "Vedette runs.");
    let result = turn(&mut agent, options, &mut signals, &handle).await;
    tell(&[sd_notify::NotifyState::Stopping]);
    info!("Stopping: cameras, pictures in hand, uploads, spool. A second signal ends at once.");
    tokio::select! {
        status = agent.stop() => info!(
            chosen = status.run.chosen, kept = status.run.kept,
            stored = status.ledger.stored, queued = status.ledger.queued, "Stopped."
        ),
        _ = signals.term.recv() => anyhow::bail!("a second signal came: ended at once"),
        _ = signals.int.recv() => anyhow::bail!("a second signal came: ended at once"),
    }
    result
}

/// Runs until a signal ends it or a part fails.
async fn turn(
    agent: &mut Agent,
    options: &Options,
    signals: &mut Signals,
    handle: &log::Handle,
) -> anyhow::Result<()> {
    let watchdog = sd_notify::watchdog_enabled().map(|every| every / 2);
    let mut fed = tokio::time::Instant::now();
    loop {
        let turn = tokio::select! {
            turn = agent.turn() => turn,
            _ = signals.term.recv() => return Ok(()),
            _ = signals.int.recv() => return Ok(()),
            _ = signals.hup.recv() => {
                reload(agent, options, handle).await;
                continue;
            }
        };
        agent.handle(turn).await?;
        if watchdog.is_some_and(|every| fed.elapsed() >= every) {
            fed = tokio::time::Instant::now();
            match agent.watchdog.verdict() {
                Verdict::Feed => tell(&[sd_notify::NotifyState::Watchdog]),
                Verdict::Starve(why) => error!(%why, "The watchdog is not fed."),
            }
        }
    }
}

async fn reload(agent: &mut Agent, options: &Options, handle: &log::Handle) {
    if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
        tell(&[sd_notify::NotifyState::Reloading, now]);
    }
    match config::load(&options.config.config, &options.config.context()) {
        Ok(Loaded { warning: Some(broken), .. }) => refuse(agent, &broken.errors),
        Err(errors) => refuse(agent, &errors),
        Ok(loaded) => {
            handle.set_level(loaded.config.log.level);
            agent.reload(loaded.config.clone()).await;
            remember(&loaded, options);
        }
    }
    tell(&[sd_notify::NotifyState::Ready]);
}

fn alarms(loaded: &Loaded) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    if let Some(warning) = &loaded.warning {
        error!("{warning}\n{}", warning.errors.render(false));
        let text = format!("{warning}: {}", warning.errors.summary());
        alarms.push(Alarm { name: "config".to_owned(), text });
    }
    let identity = &loaded.config.identity;
    for warning in &identity.warnings {
        warn!("{warning}");
    }
    if identity.cloned {
        let text = format!(
            "the identity {} was pinned on other hardware: this disk is a copy; give this device an \
             id of its own",
            identity.device
        );
        error!("{text}");
        alarms.push(Alarm { name: "cloned".to_owned(), text });
    }
    alarms
}

/// After a good start or reload: the configuration to run when the file is broken, and who we are.
fn remember(loaded: &Loaded, options: &Options) {
    let context = options.config.context();
    if let Err(error) = config::remember(loaded, &context) {
        warn!(%error, "The last good configuration could not be written.");
    }
    if let Err(error) = identity::pin(&loaded.config.identity, &context.state_dir) {
        warn!(%error, "The device's identity could not be pinned.");
    }
}

fn refuse(agent: &mut Agent, errors: &ConfigErrors) {
    error!("The configuration is wrong; nothing was changed.\n{}", errors.render(false));
    agent.reload_failed(&errors.summary());
}

fn tell(states: &[sd_notify::NotifyState<'_>]) {
    sd_notify::notify(states).ok(); // no systemd, nobody to tell
}
