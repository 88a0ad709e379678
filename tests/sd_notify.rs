//! What systemd hears of the agent: a datagram socket in systemd's place, the real program, and every
//! message in its order. And how it ends: which signal, which exit code.

#![cfg(test)]

#[path = "support/process.rs"]
mod process;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use process::Process;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use vedette::control::{request::Request, socket};
use vedette::status::Status;

/// Longest wait for anything that is to come.
const PLENTY: Duration = Duration::from_secs(60);

/// A directory with a configuration, and systemd's end of the notification socket.
struct Device {
    dir: TempDir,
    systemd: UnixDatagram,
}

impl Device {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        systemd.set_read_timeout(Some(PLENTY)).unwrap();
        let device = Self { dir, systemd };
        device.configure(config);
        device
    }

    fn configure(&self, config: &str) {
        let at = self.dir.path().display();
        let places =
            format!("[spool]\npath = \"{at}/spool\"\n[control]\nsocket = \"{at}/socket\"\n");
        fs::create_dir_all(self.dir.path().join("store")).unwrap();
        let text = format!("{}{places}", config.replace("@", &at.to_string()));
        fs::write(self.dir.path().join("vedette.toml"), text).unwrap();
    }

    fn start(&self, environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
        command.arg("run").arg("--config").arg(self.dir.path().join("vedette.toml"));
        command.arg("--state-dir").arg(self.dir.path().join("state"));
        command.env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        command.envs(environment.iter().copied());
        Process::spawn(&mut command, self.dir.path(), "vedette")
    }

    /// The next message, as it was sent.
    fn hear(&self, agent: &Process) -> String {
        let mut message = [0; 4096];
        match self.systemd.recv(&mut message) {
            Ok(n) => String::from_utf8(message[..n].to_vec()).unwrap(),
            Err(error) => panic!("nothing was heard ({error}):\n{}", agent.output()),
        }
    }

    /// Nothing more lies in the socket of an agent that has ended.
    fn silent(&self) -> bool {
        self.systemd.set_nonblocking(true).unwrap();
        self.systemd.recv(&mut [0; 16]).is_err()
    }

    fn status(&self) -> Status {
        let body = socket::call(&self.dir.path().join("socket"), &Request::Status {}).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

fn exit_code(agent: &mut Process) -> Option<i32> {
    let ended =
        agent.wait(PLENTY).unwrap_or_else(|| panic!("it does not end:\n{}", agent.output()));
    ended.code()
}

const STREET: &str = "[camera.street.scene]\nsize = \"320x180\"\nfps = 5\n";
const TO_DIRECTORY: &str = "[destination.dir]\npath = \"@/store\"\n";

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[test]
fn ready_comes_once_the_agent_answers_and_every_state_is_told_in_order() {
    let device = Device::new(&format!("{STREET}{TO_DIRECTORY}"));
    let mut agent = device.start(&[]);
    assert_eq!(device.hear(&agent), "READY=1\n");
    assert!(device.dir.path().join("spool/images").is_dir(), "the spool is open");
    let status = device.status();
    let state = &status.cameras["street"].state;
    assert!(["opening", "streaming"].contains(&state.as_str()), "{state}");

    let before = monotonic_us();
    agent.signal(Signal::HUP);
    let reloading = device.hear(&agent);
    let when = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    let when: i64 = when.trim_end().parse().unwrap();
    assert!((before..=monotonic_us()).contains(&when), "{reloading}");
    assert_eq!(device.hear(&agent), "READY=1\n");

    agent.signal(Signal::TERM);
    assert_eq!(device.hear(&agent), "STOPPING=1\n");
    assert_eq!(exit_code(&mut agent), Some(0), "{}", agent.output());
    assert!(device.silent(), "no watchdog was asked for");
}

#[test]
fn a_reload_of_a_broken_file_ends_in_ready_too() {
    let device = Device::new(&format!("{STREET}{TO_DIRECTORY}"));
    let mut agent = device.start(&[]);
    assert_eq!(device.hear(&agent), "READY=1\n");
    device.configure("nonsense = true\n");
    agent.signal(Signal::HUP);
    assert!(device.hear(&agent).starts_with("RELOADING=1\n"));
    assert_eq!(device.hear(&agent), "READY=1\n");
    assert_eq!(device.status().alarms[0].name, "config");
    agent.signal(Signal::INT);
    assert_eq!(device.hear(&agent), "STOPPING=1\n");
    assert_eq!(exit_code(&mut agent), Some(0));
}

#[test]
fn an_agent_that_cannot_start_never_says_ready() {
    let device = Device::new(&format!("{STREET}{TO_DIRECTORY}"));
    let mut first = device.start(&[]);
    assert_eq!(device.hear(&first), "READY=1\n");
    // The same spool, which is locked, behind another control socket.
    let text = fs::read_to_string(device.dir.path().join("vedette.toml")).unwrap();
    fs::write(device.dir.path().join("vedette.toml"), text.replace("/socket\"", "/other\""))
        .unwrap();
    let mut second = device.start(&[]);
    assert_eq!(exit_code(&mut second), Some(1), "{}", second.output());
    first.signal(Signal::TERM);
    assert_eq!(device.hear(&first), "STOPPING=1\n", "nothing was heard of the second");
    assert_eq!(exit_code(&mut first), Some(0));

    let broken = Device::new("nonsense = true\n");
    let mut agent = broken.start(&[]);
    assert_eq!(exit_code(&mut agent), Some(78));
    assert!(broken.silent());
}

#[test]
fn the_watchdog_is_fed_when_systemd_asks_for_it() {
    let device = Device::new(&format!("{STREET}{TO_DIRECTORY}"));
    let mut agent = device.start(&[("WATCHDOG_USEC", "2000000")]);
    assert_eq!(device.hear(&agent), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(device.hear(&agent), "WATCHDOG=1\n");
    }
    agent.signal(Signal::TERM);
    let stopping = std::iter::repeat_with(|| device.hear(&agent)).find(|m| m != "WATCHDOG=1\n");
    assert_eq!(stopping.as_deref(), Some("STOPPING=1\n"));
    assert_eq!(exit_code(&mut agent), Some(0));
}

/// Waits for an upload, and keeps its connection: a store that has taken the request and says nothing.
fn silent_upload(store: &TcpListener) -> BufReader<std::net::TcpStream> {
    loop {
        let mut connection = BufReader::new(store.accept().unwrap().0);
        connection.get_ref().set_read_timeout(Some(PLENTY)).unwrap();
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        if line.starts_with("PUT ") {
            return connection;
        }
    }
}

fn to_silence(store: &TcpListener, dir: &Path) -> String {
    let keys = "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n";
    fs::write(dir.join("keys"), keys).unwrap();
    format!(
        "{STREET}[camera.street]\ninterval = \"100ms\"\n[clock]\ntrust = \"always\"\n\
         [destination.s3]\nendpoint = \"http://{}\"\nbucket = \"pictures\"\n\
         credentials_file = \"@/keys\"\n",
        store.local_addr().unwrap()
    )
}

#[test]
fn a_second_signal_while_stopping_ends_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let store = TcpListener::bind("127.0.0.1:0").unwrap();
        let device = Device::new("");
        device.configure(&to_silence(&store, device.dir.path()));
        let mut agent = device.start(&[]);
        assert_eq!(device.hear(&agent), "READY=1\n");
        let upload = silent_upload(&store);
        agent.signal(Signal::TERM);
        assert_eq!(device.hear(&agent), "STOPPING=1\n");
        agent.signal(second);
        assert_eq!(exit_code(&mut agent), Some(1));
        let said = agent.output();
        assert!(said.contains("a second signal came: ended at once"), "{said}");
        drop(upload);
    }
}

#[test]
fn one_signal_cuts_an_upload_that_never_ends_and_keeps_its_picture() {
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let device = Device::new("");
    device.configure(&to_silence(&store, device.dir.path()));
    let mut agent = device.start(&[]);
    assert_eq!(device.hear(&agent), "READY=1\n");
    let upload = silent_upload(&store);
    agent.signal(Signal::TERM);
    assert_eq!(device.hear(&agent), "STOPPING=1\n");
    assert_eq!(exit_code(&mut agent), Some(0), "{}", agent.output());
    let said = agent.output();
    assert!(said.contains("sums_hold=true") && said.contains("stored=0"), "{said}");
    drop(upload);
}
