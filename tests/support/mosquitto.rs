//! A real broker for one test: mosquitto on free ports of the loopback.
//!
//! Two listeners: the device's, with whatever TLS, passwords and access list the test wants, and the
//! test's own, which may do everything, so that what a test observes does not depend on what it tests.
//! It can be killed as by a power cut, and started again on the same ports. The program comes from
//! `tools/setup test`; without it the test fails.

#![cfg(test)]
#![allow(dead_code, reason = "shared by tests of which each needs a part")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

#[path = "mqtt_client.rs"]
pub(crate) mod mqtt_client;
#[path = "process.rs"]
pub(crate) mod process;

use mqtt_client::Client;
use process::Process;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// What the device's listener is like; by default it takes everyone, and forgets everything when it ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// Keep sessions and retained messages over restarts.
    pub(crate) persistent: bool,
    /// TLS with this authority's certificates.
    pub(crate) tls: Option<PathBuf>,
    /// With TLS: ask clients for certificates, whose CN is their user name.
    pub(crate) certificates: bool,
    /// The one user and its password; nobody else then.
    pub(crate) user: Option<(String, String)>,
    /// Access list.
    pub(crate) acl: Option<String>,
    /// Further lines for the device's listener.
    pub(crate) more: String,
}

/// A broker; killed and its data removed when dropped.
pub(crate) struct Mosquitto {
    process: Option<Process>,
    /// The device's listener.
    pub(crate) port: u16,
    admin: u16,
    starts: u32,
    dir: TempDir,
}

impl Mosquitto {
    /// Starts a broker and waits until it takes clients.
    pub(crate) fn start(setup: &Setup) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let [port, admin] = free_ports();
        fs::write(dir.path().join("broker.conf"), config(setup, dir.path(), port, admin)).unwrap();
        let mut broker = Self { process: None, port, admin, starts: 0, dir };
        // `pattern` lines are for everyone; `topic` lines without a user only for the anonymous.
        broker.set_acl(setup.acl.as_deref().unwrap_or("pattern readwrite #\n"));
        if let Some((user, password)) = &setup.user {
            set_password(&broker.dir.path().join("passwords"), user, password);
        }
        broker.restart();
        broker
    }

    /// Starts it again, on the same ports.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        self.starts += 1;
        let mut command = Command::new(program());
        command.arg("-v").arg("-c").arg(self.dir.path().join("broker.conf"));
        let name = format!("mosquitto-{}", self.starts);
        let mut process = Process::spawn(&mut command, self.dir.path(), &name);
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = Client::connect(("127.0.0.1", self.admin), "is-it-up") {
            // The pause between two tries is a wait for the server's early end.
            let ended = process.wait(Duration::from_millis(20));
            if ended.is_some() || Instant::now() > deadline {
                panic!("mosquitto not ready ({ended:?}, {error}):\n{}", process.output());
            }
        }
        self.process = Some(process);
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal(Signal::KILL);
        process.wait(READY_WITHIN).unwrap();
    }

    /// Another access list, from now on.
    pub(crate) fn set_acl(&self, acl: &str) {
        fs::write(self.dir.path().join("acl"), acl).unwrap();
        if let Some(process) = &self.process {
            process.signal(Signal::HUP);
        }
    }

    /// A client that may do everything.
    pub(crate) fn admin(&self, id: &str) -> Client {
        Client::connect(("127.0.0.1", self.admin), id).unwrap()
    }

    /// Its log so far, since its last start.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map_or_else(String::new, Process::output)
    }
}

fn config(setup: &Setup, dir: &Path, port: u16, admin: u16) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    let mut lines = vec![
        // Started as root it would otherwise become another user, who may not read this directory.
        "user root".to_owned(),
        "per_listener_settings true".to_owned(),
        format!("listener {admin} 127.0.0.1"),
        "allow_anonymous true".to_owned(),
    ];
    if setup.persistent {
        lines.push("persistence true".to_owned());
        lines.push(format!("persistence_location {}/", dir.display()));
        lines.push("autosave_on_changes true\nautosave_interval 1".to_owned());
    }
    lines.push(format!("listener {port} 127.0.0.1"));
    lines.push(format!("acl_file {}", at("acl")));
    lines.push(format!("allow_anonymous {}", setup.user.is_none() && !setup.certificates));
    if setup.user.is_some() {
        lines.push(format!("password_file {}", at("passwords")));
    }
    if let Some(tls) = &setup.tls {
        let file = |name: &str| tls.join(name).display().to_string();
        lines.push(format!("cafile {}", file("ca.pem")));
        lines.push(format!("certfile {}\nkeyfile {}", file("broker.pem"), file("broker.key")));
        if setup.certificates {
            lines.push("require_certificate true\nuse_identity_as_username true".to_owned());
        }
    }
    lines.push(setup.more.clone());
    lines.join("\n") + "\n"
}

/// A certificate authority, a broker's certificate for 127.0.0.1, and one for each device, in `dir`:
/// `ca.pem`, `broker.pem`, `broker.key`, `<device>.pem`, `<device>.key`.
pub(crate) fn authority(dir: &Path, devices: &[&str]) {
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let days = ["-days", "30"];
    let mut ca = openssl(dir, &["req", "-x509", "-subj", "/CN=test authority"]);
    run(ca.args(curve).args(days).args(["-keyout", "ca.key", "-out", "ca.pem"]));
    for name in ["broker"].iter().chain(devices) {
        let (key, request, pem) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let mut ask = openssl(dir, &["req", "-subj", &format!("/CN={name}")]);
        run(ask.args(curve).args(["-keyout", &key, "-out", &request]));
        let usage = if *name == "broker" {
            "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth"
        } else {
            "extendedKeyUsage=clientAuth"
        };
        fs::write(dir.join("usage"), usage).unwrap();
        let mut sign = openssl(dir, &["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key"]);
        sign.args(["-CAcreateserial", "-extfile", "usage", "-in", &request, "-out", &pem]);
        run(sign.args(days));
    }
}

fn openssl(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(arguments);
    command
}

fn set_password(file: &Path, user: &str, password: &str) {
    let mut command = Command::new("mosquitto_passwd");
    run(command.args(["-b", "-c"]).arg(file).args([user, password]));
}

fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: run tools/setup test"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Debian puts it where only root's PATH looks.
fn program() -> &'static str {
    let usual = "/usr/sbin/mosquitto";
    if Path::new(usual).exists() { usual } else { "mosquitto" }
}

/// Outside of the range from which the kernel gives ports to clients, and not in use.
fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    while held.len() < N {
        held.extend(TcpListener::bind(("127.0.0.1", fastrand::u16(10_000..32_000))));
    }
    std::array::from_fn(|i| held[i].local_addr().unwrap().port())
}
