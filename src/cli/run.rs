//! `vedette run`: the daemon. Signals, systemd's protocol, reload; everything else is the agent's.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use super::ConfigArgs;
use crate::agent::{Agent, Deps, Verdict};
use crate::camera;
use crate::clock::SystemClock;
use crate::config::{self, ConfigErrors, EX_CONFIG, Loaded};
use crate::control::command::RateLimit;
use crate::identity;
use crate::log;
use crate::mqtt;
use crate::status::{Alarm, ConfigStatus, Status};

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
        open_camera: Arc::new(camera::open),
        mqtt: mqtt::Tuning::default(),
        rate: RateLimit::default(),
    };
    let mut agent = tokio::select! {
        agent = Agent::start(loaded.config.clone(), deps) => agent?,
        never = ask_for_time() => match never {},
        _ = signals.term.recv() => return Ok(()),
        _ = signals.int.recv() => return Ok(()),
    };
    remember(&loaded, options);
    tell(&[sd_notify::NotifyState::Ready]);
    info!(version = env!("CARGO_PKG_VERSION"), "Vedette runs.");
    let watchdog = agent.watchdog.clone();
    let result = tokio::select! {
        ended = turn(&mut agent, options, &mut signals, &handle) => ended,
        never = feed(
            sd_notify::watchdog_enabled(),
            || watchdog.verdict(),
            || tell(&[sd_notify::NotifyState::Watchdog]),
        ) => match never {},
    };
    tell(&[sd_notify::NotifyState::Stopping]);
    info!("Stopping: cameras, pictures in hand, uploads, spool. A second signal ends at once.");
    tokio::select! {
        status = agent.stop() => account(&status),
        _ = signals.term.recv() => anyhow::bail!("a second signal came: ended at once"),
        _ = signals.int.recv() => anyhow::bail!("a second signal came: ended at once"),
    }
    result
}

/// The last word: both sums with all their parts.
fn account(status: &Status) {
    let (run, ledger) = (&status.run, &status.ledger);
    info!(
        chosen = run.chosen,
        kept = run.kept,
        refused = run.refused.values().sum::<u64>(),
        in_hand = run.in_hand,
        ever_kept = ledger.kept,
        stored = ledger.stored,
        queued = ledger.queued,
        quarantined = ledger.quarantined,
        lost = ledger.lost.values().sum::<u64>(),
        sums_hold = run.holds && ledger.holds,
        "Stopped."
    );
}

/// Rebuilding a large spool's index may take longer than the unit's `TimeoutStartSec`; being killed for
/// it would only begin it anew.
async fn ask_for_time() -> Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(20)).await;
        tell(&[sd_notify::NotifyState::ExtendTimeoutUsec(60_000_000)]);
    }
}

/// Runs until a signal ends it or a part fails.
async fn turn(
    agent: &mut Agent,
    options: &Options,
    signals: &mut Signals,
    handle: &log::Handle,
) -> anyhow::Result<()> {
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
        handle.tell_left_out();
    }
}

/// Feeds the watchdog for as long as `judge` finds all threads well. It runs beside the agent's turns,
/// because a turn may rightly wait longer for a slow disk than the watchdog does; each turn has a
/// deadline of its own, which `judge` knows.
async fn feed(
    period: Option<Duration>,
    judge: impl Fn() -> Verdict,
    mut eat: impl FnMut(),
) -> Infallible {
    let Some(period) = period else { return std::future::pending().await };
    // Half the period, as sd_watchdog_enabled(3) asks for.
    let mut tick = tokio::time::interval((period / 2).max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match judge() {
            Verdict::Feed => eat(),
            Verdict::Starve(why) => error!(%why, "The watchdog is not fed."),
        }
    }
}

async fn reload(agent: &mut Agent, options: &Options, handle: &log::Handle) {
    let now = sd_notify::NotifyState::MonotonicUsec(monotonic_usec());
    tell(&[sd_notify::NotifyState::Reloading, now]);
    match config::load(&options.config.config, &options.config.context()) {
        Ok(Loaded { warning: Some(broken), .. }) => refuse(agent, &broken.errors),
        Err(errors) => refuse(agent, &errors),
        Ok(loaded) => {
            handle.set_level(loaded.config.log.level);
            loaded.config.notes.iter().for_each(|note| warn!("{note}"));
            agent.reload(loaded.config.clone()).await;
            if let Some(lacks) = loaded.lacks() {
                error!("{lacks}");
                agent.reloaded_without(&lacks);
            }
            remember(&loaded, options);
        }
    }
    tell(&[sd_notify::NotifyState::Ready]);
}

/// CLOCK_MONOTONIC in microseconds. The crate's own reading multiplies in the system's `time_t`, which on 32-bit ARM
/// overflows 36 minutes after boot.
fn monotonic_usec() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

fn alarms(loaded: &Loaded) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    loaded.config.notes.iter().for_each(|note| warn!("{note}"));
    if let Some(warning) = &loaded.warning {
        error!("{warning}\n{}", warning.errors.render(false));
        let text = format!("{warning}: {}", warning.errors.summary());
        alarms.push(Alarm::new("config", text));
    }
    if let Some(lacks) = loaded.lacks() {
        error!("{lacks}");
        alarms.push(Alarm::new("config", lacks));
    }
    let identity = &loaded.config.identity;
    for warning in &identity.warnings {
        warn!("{warning}");
    }
    if let Some(text) = &identity.cloned {
        error!("{text}");
        alarms.push(Alarm::new("cloned", text));
    }
    alarms
}

/// After a good start or reload: the configuration to run when the file is broken, and who we are.
fn remember(loaded: &Loaded, options: &Options) {
    let context = options.config.context();
    if let Err(error) = config::remember(loaded, &context) {
        warn!(%error, "The last good configuration could not be written.");
    }
    let (identity, spool) = (&loaded.config.identity, &loaded.config.spool.path);
    let pinned = identity::pin(identity, &context.state_dir)
        .and_then(|()| identity::pin_spool(identity, &context.state_dir, spool));
    if let Err(error) = pinned {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use tokio::time::Instant;

    /// When it was fed in the first ten seconds, at a period of two.
    async fn fed(judge: impl Fn() -> Verdict) -> Vec<Duration> {
        let began = Instant::now();
        let times = RefCell::new(Vec::new());
        let period = Some(Duration::from_secs(2));
        let feeding = feed(period, judge, || times.borrow_mut().push(began.elapsed()));
        drop(tokio::time::timeout(Duration::from_secs(10), feeding).await);
        times.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_twice_a_period_while_all_is_well() {
        let times = fed(|| Verdict::Feed).await;
        assert!(times.len() >= 10, "{times:?}");
        let mut gaps = times.iter().zip(times.iter().skip(1)).map(|(a, b)| *b - *a);
        assert!(gaps.all(|gap| gap < Duration::from_millis(1100)), "{times:?}");
        assert!(fed(|| Verdict::Starve("the spool hangs".into())).await.is_empty());
    }
}
