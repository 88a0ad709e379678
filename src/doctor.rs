//! The doctor: one run that tries everything a picture needs on its way, and says what is wrong and what
//! to do.
//!
//! Called by `vedette doctor`, beside a running agent or without one. It takes nothing from the agent:
//! pictures come through the agent's own socket, the broker sees another client, the spool's lock is left
//! alone, and what is written leaves nothing behind but one small object in the store
//! (docs/object-contract.md, "What is no picture").
//!
//! Started as root it asks systemd and then becomes the service's user ([`user`]), so that what it may do
//! is what the agent may do. Then it looks, in the order in which one thing explains the next:
//!
//! ```text
//! user ▸ config ▸ service ▸ agent ▸ disk ▸ cameras
//!                                 ▸ proxy ▸ dns ▸ connect ▸ tls ▸ clock ▸ store
//!                                           dns ▸ connect ▸ tls ▸ broker
//! ```
//!
//! What is behind something broken is not tried, and says because of what. The three ways run at once, and
//! each step has its own limit, so that the whole takes a minute at the very most ([`WHOLE`]). Failure: a
//! step that hangs is told as that; nothing here panics, and a thread that is stuck in a driver is left
//! behind when the process ends.

mod agent;
mod broker;
mod camera;
mod clock;
pub(crate) mod command;
mod disk;
mod network;
pub mod report;
mod service;
mod setup;
pub(crate) mod store;
mod user;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;

use self::agent::Agent;
use self::report::{Check, Finding, Report};
use self::service::Unit;
use crate::clock::{Clock as _, SystemClock, Timekeeper, TrustPolicy, WallTime};
use crate::config::{self, Config};
use crate::upload::DestinationSettings;

/// Nothing is waited for any longer.
pub const WHOLE: Duration = Duration::from_secs(60);

/// For the configuration and the files it names.
const READ: Duration = Duration::from_secs(8);

/// Where nobody knows which socket is the agent's.
const SOCKET: &str = "/run/vedette/control.sock";

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The configuration.
    pub config: PathBuf,
    /// Its surroundings.
    pub context: config::Context,
    /// The systemd unit.
    pub unit: String,
    /// As whom to look, instead of the unit's user; needs root.
    pub user: Option<String>,
    /// Hears what is waited for now; must be quick.
    pub progress: fn(&str),
}

/// Looks at everything. To be called while the process has one thread.
///
/// # Errors
/// Only that the runtime cannot be made.
pub fn run(asked: Asked) -> std::io::Result<Report> {
    let until = Instant::now() + WHOLE;
    (asked.progress)("systemd");
    let unit = service::ask(&asked.unit);
    let mut wanted = unit.as_ref().map(Unit::wanted).unwrap_or_default();
    if asked.user.is_some() {
        wanted = user::Wanted { user: asked.user.clone(), ..user::Wanted::default() };
    }
    let (as_whom, who) = user::become_service(&wanted);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .build()?;
    let patient = Patient { asked, unit, who, until };
    let (device, mut findings) = runtime.block_on(patient.look());
    // A thread may be stuck in a driver or in DNS: it is not waited for.
    runtime.shutdown_background();
    findings.insert(0, as_whom);
    Ok(Report::new(device, Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), findings))
}

/// What `work` gives, on a thread of its own; `None` when it takes longer than `limit`.
async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await.ok()?.ok()
}

struct Patient {
    asked: Asked,
    unit: Result<Unit, String>,
    who: String,
    /// Nothing is waited for any longer.
    until: Instant,
}

impl Patient {
    /// The device's id and all findings.
    async fn look(mut self) -> (Option<String>, Vec<Finding>) {
        // The copies that systemd made for the agent, where it runs.
        let credentials = PathBuf::from("/run/credentials").join(&self.asked.unit);
        if self.asked.context.credentials_dir.is_none() && credentials.is_dir() {
            self.asked.context.credentials_dir = Some(credentials);
        }
        let progress = self.asked.progress;
        progress("the configuration");
        let (asked, unit, who) = (self.asked.clone(), self.unit.clone().ok(), self.who.clone());
        let examined = within(READ, move || {
            setup::examine(&asked.config, &asked.context, unit.as_ref(), &who)
        });
        let (mut findings, config) = examined.await.unwrap_or_else(|| {
            let text =
                format!("{} is not read within {} s", self.asked.config.display(), READ.as_secs());
            (vec![Finding::wrong(Check::Config, text, "A disk that hangs: `dmesg`.")], None)
        });
        progress("the agent");
        let socket = config.as_ref().map_or_else(|| SOCKET.into(), |c| c.control_socket.clone());
        let agent = Agent::ask(socket.clone()).await;
        findings.extend(agent.findings(&socket.display().to_string()));
        findings.extend(service::findings(&self.unit, agent.runs()));
        let Some(config) = config else {
            let all = [Check::Disk, Check::Camera, Check::Store, Check::Clock];
            findings.extend(
                all.map(|c| Finding::untried(c, "there is no configuration to try it with")),
            );
            return (None, findings);
        };
        let device = config.identity.device.clone();
        findings.extend(self.try_all(config, agent).await);
        (Some(device), findings)
    }

    /// Disk, cameras, store and broker at once.
    async fn try_all(&self, config: Config, agent: Agent) -> Vec<Finding> {
        let progress = self.asked.progress;
        let (config, agent) = (Arc::new(config), Arc::new(agent));
        let keeper = Timekeeper::new(Arc::new(SystemClock::new()), config.trust);
        let proxies = proxies();
        let of_unit = self.unit.as_ref().map(Unit::proxies).unwrap_or_default();
        let mut findings = vec![network::proxy(&proxies, &of_unit)];
        progress("disk, cameras, store and broker");
        let mut steps: JoinSet<Vec<Finding>> = JoinSet::new();
        steps.spawn(disks(
            Arc::clone(&config),
            Arc::clone(&agent),
            self.who.clone(),
            self.unit.clone().ok(),
        ));
        for at in 0..config.cameras.len() {
            let (config, agent) = (Arc::clone(&config), Arc::clone(&agent));
            steps.spawn(async move {
                let socket = config.control_socket.clone();
                vec![camera::examine(&config.cameras[at], &agent, socket).await]
            });
        }
        steps.spawn(the_store(
            Arc::clone(&config),
            Arc::clone(&agent),
            keeper.clone(),
            proxies.clone(),
            self.who.clone(),
        ));
        if config.mqtt.is_some() {
            steps.spawn(the_broker(Arc::clone(&config), agent, keeper, proxies));
        }
        let until = tokio::time::Instant::from_std(self.until);
        loop {
            match tokio::time::timeout_at(until, steps.join_next()).await {
                Ok(Some(Ok(found))) => findings.extend(found),
                Ok(Some(Err(error))) => {
                    let text = format!("a check ended early: {error}");
                    findings.push(Finding::wrong(
                        Check::Agent,
                        text,
                        "A fault of ours: please report it.",
                    ));
                }
                Ok(None) => break,
                Err(_) => {
                    let text = format!(
                        "{} checks gave no answer within {} s",
                        steps.len(),
                        WHOLE.as_secs()
                    );
                    findings.push(Finding::wrong(
                        Check::Agent,
                        text,
                        "What is missing above hangs: ask again.",
                    ));
                    break;
                }
            }
            progress("what is still missing");
        }
        findings
    }
}

/// The spool's disk.
async fn disks(
    config: Arc<Config>,
    agent: Arc<Agent>,
    who: String,
    unit: Option<Unit>,
) -> Vec<Finding> {
    let path = config.spool.path.clone();
    let used = agent.status().map_or(0, |s| s.ledger.bytes);
    let max = config.spool.limits.max_bytes;
    let asked = path.clone();
    let found = within(Duration::from_secs(20), move || disk::spool(&asked, max, used, &who)).await;
    let mut found = found.unwrap_or_else(|| {
        let text = format!("{} does not answer within 20 s", path.display());
        vec![Finding::wrong(
            Check::Disk,
            text,
            "A disk that hangs: `dmesg`. Unmount it, or restart the machine.",
        )]
    });
    let mut outside = vec![&config.spool.path];
    if let DestinationSettings::Dir(dir) = &config.upload.destination {
        outside.push(&dir.path);
    }
    for path in outside {
        if unit.as_ref().is_some_and(|unit| unit.is_installed() && !unit.may_write(path)) {
            let text = format!(
                "{} is read-only to the service: its unit does not name it",
                path.display()
            );
            let help = format!(
                "Put `ReadWritePaths=-{}` into a drop-in (local-store.conf is one).",
                path.display()
            );
            found.push(Finding::wrong(Check::Disk, text, help));
        }
    }
    found
}

/// The way to the store, the clock on the way, and the PUT.
async fn the_store(
    config: Arc<Config>,
    agent: Arc<Agent>,
    keeper: Timekeeper,
    proxies: Vec<String>,
    who: String,
) -> Vec<Finding> {
    let destination = &config.upload.destination;
    let mut findings = Vec::new();
    let mut blocked = None;
    if let Some(server) = store::server(destination) {
        let way = network::walk(&server, &keeper, &proxies).await;
        findings.extend(way.findings);
        blocked = way.blocked;
    }
    let mut told = None;
    if let (DestinationSettings::S3(s3), None) = (destination, &blocked) {
        told = store::time(s3, &keeper).await;
    }
    findings.push(clock::judge(known(&keeper, config.trust, told)));
    findings.push(match (destination, blocked) {
        (DestinationSettings::Nowhere, _) => Finding::warning(
            Check::Store,
            "no destination is configured: pictures wait on this device",
            "Add `[destination.s3]` to the configuration, then `systemctl reload vedette`.",
        ),
        (DestinationSettings::Dir(dir), _) => {
            let path = dir.path.clone();
            let limit = Duration::from_secs(20);
            within(limit, move || disk::directory(&path, &who)).await.unwrap_or_else(|| {
                Finding::wrong(
                    Check::Store,
                    format!("{destination} does not answer"),
                    "A disk that hangs: `dmesg`.",
                )
            })
        }
        (_, Some(why)) => Finding::untried(Check::Store, why),
        (DestinationSettings::S3(s3), None) if s3.secret_key.0.is_empty() => {
            Finding::untried(Check::Store, "its credentials cannot be read")
        }
        _ => store::put(&config, &keeper, &agent).await,
    });
    findings
}

fn known(keeper: &Timekeeper, policy: TrustPolicy, store: Option<WallTime>) -> clock::Known {
    let machine = SystemClock::new().wall();
    // What only the store vouches for is its own time, not the machine's.
    clock::Known { machine, source: keeper.offset().map(|o| o.source), policy, store }
}

/// The way to the broker, and what is said there.
async fn the_broker(
    config: Arc<Config>,
    agent: Arc<Agent>,
    keeper: Timekeeper,
    proxies: Vec<String>,
) -> Vec<Finding> {
    let Some(settings) = &config.mqtt else { return Vec::new() };
    let way = network::walk(&broker::server(settings), &keeper, &proxies).await;
    let mut findings = way.findings;
    findings.push(match way.blocked {
        Some(why) => Finding::untried(Check::Broker, why),
        None => broker::examine(settings, &keeper, &agent).await,
    });
    findings
}

/// Proxy variables of our own environment, by name.
fn proxies() -> Vec<String> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    set.filter_map(|(name, _)| name.into_string().ok())
        .filter(|n| network::is_proxy_variable(n))
        .collect()
}
