//! `vedette doctor` on set-ups that are broken in one place, and on one that is not: it says the cause and
//! the remedy, does not try what is behind the cause, and leaves the running agent alone.
//!
//! Store, broker and agent are real; a scripted server stands for networks that answer in a store's place.
//! systemd does not run where tests run, so a program named `systemctl` answers what the real one does
//! (the real one is asked on the virtual device). As root the doctor becomes `nobody` where rights are what
//! is tested; otherwise the modes alone are enough.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]
#![allow(clippy::duplicate_mod, reason = "each server of a test brings its own child process")]

#[path = "support/device.rs"]
mod device;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/program.rs"]
mod program;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "support/scripted_http.rs"]
mod scripted_http;
#[path = "support/seaweed.rs"]
mod seaweed;

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use device::Device;
use mosquitto::mqtt_client::{packet, read_packet};
use mosquitto::{Mosquitto, Setup, authority};
use rustix::process::Signal;
use scripted_http::{Server, Step};
use seaweed::{DEVICE_KEYS, Seaweed};
use tempfile::TempDir;
use vedette::doctor::report::{Check, Finding, Report, State};

const RUNS: &str = "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\n\
                    UnitFileState=enabled\nWatchdogUSec=30s\n";

/// A camera that needs nothing.
const STREET: &str = "[camera.street.scene]\nsize = \"160x120\"\nfps = 10.0\n";

/// A device's files, without an agent.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(rest: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let bench = Self { dir };
        mode(bench.dir.path(), 0o755);
        bench.keys(DEVICE_KEYS);
        let config = format!(
            "[device]\nid = \"cam1\"\n[spool]\npath = \"spool\"\nmax_bytes = \"16 MiB\"\n[control]\n\
             socket = \"control.sock\"\n{rest}"
        );
        fs::write(bench.path("vedette.toml"), config).unwrap();
        bench.unit(RUNS);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn keys(&self, (id, secret): (&str, &str)) {
        let text =
            format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(self.path("store.credentials"), text).unwrap();
    }

    /// What systemd says of the unit.
    fn unit(&self, shown: &str) {
        systemctl(self.dir.path(), shown, "[Service]\nLoadCredential=handed.credentials:/x\n");
    }

    fn doctor(&self) -> Examined {
        self.doctor_with(|_| ())
    }

    fn doctor_with(&self, more: impl FnOnce(&mut Command)) -> Examined {
        examine(self.dir.path(), more)
    }
}

/// What came out of it.
struct Examined {
    report: Report,
    code: Option<i32>,
}

impl Examined {
    /// The finding of this check; about the broker where it is `broker`'s.
    fn of(&self, check: Check) -> &Finding {
        let found = self.report.checks.iter().find(|f| f.check == check);
        found.unwrap_or_else(|| panic!("nothing about {check:?} in\n{}", self.report.render(false)))
    }

    /// It is wrong, and says what and what helps.
    fn says(&self, check: Check, text: &str, help: &str) {
        let shown = self.report.render(false);
        let mut wrong = self.report.checks.iter().filter(|f| f.state == State::Wrong);
        let found =
            wrong.find(|f| f.check == check).unwrap_or_else(|| panic!("{check:?}\n{shown}"));
        assert!(found.text.contains(text), "{text}\n{shown}");
        assert!(found.help.as_deref().unwrap().contains(help), "{help}\n{shown}");
        assert!(!self.report.ok && self.code == Some(1), "{shown}");
    }

    /// The same, and it is the only cause.
    fn cause(&self, check: Check, text: &str, help: &str) {
        self.says(check, text, help);
        let shown = self.report.render(false);
        // No agent runs beside these benches: that is told too, and explains nothing here.
        let others: Vec<_> = self
            .report
            .checks
            .iter()
            .filter(|f| f.state == State::Wrong && f.check != check && f.check != Check::Agent)
            .collect();
        assert!(others.is_empty(), "{others:?}\n{shown}");
    }

    /// It was not tried, because of something else.
    fn untried(&self, check: Check, why: &str) {
        let found = self.of(check);
        assert!(found.state == State::Untried && found.text.contains(why), "{found:?}");
    }

    fn ok(&self, check: Check) {
        assert_eq!(self.of(check).state, State::Ok, "{}", self.report.render(false));
    }
}

fn vedette(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", dir.join("bin").display())).current_dir(dir);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
}

fn examine(dir: &Path, more: impl FnOnce(&mut Command)) -> Examined {
    let mut command = vedette(dir);
    command.args(["doctor", "--json", "--config"]).arg(dir.join("vedette.toml"));
    command.arg("--state-dir").arg(dir.join("state"));
    more(&mut command);
    let output: Output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr))
    });
    Examined { report, code: output.status.code() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A `systemctl` that knows one unit. Its user is whoever runs the test, unless it says otherwise.
fn systemctl(dir: &Path, shown: &str, cat: &str) {
    let user = text(&Command::new("id").arg("-un").output().unwrap().stdout);
    fs::write(dir.join("unit.show"), format!("{shown}User={user}")).unwrap();
    fs::write(dir.join("unit.cat"), cat).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $1 in show) cat {0}/unit.show;; cat) cat {0}/unit.cat;; esac\n",
        dir.display()
    );
    program::script(&dir.join("bin/systemctl"), &script);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Root may do everything: it has to look as somebody else.
fn as_somebody(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.args(["--user", "nobody"]);
    }
}

fn bucket(endpoint: &str, bucket: &str) -> String {
    format!(
        "{STREET}[destination.s3]\nendpoint = \"{endpoint}\"\nbucket = \"{bucket}\"\n\
         credentials_file = \"store.credentials\"\n"
    )
}

/// A destination that is always well.
fn directory(bench: &str) -> String {
    format!("{bench}[destination.dir]\npath = \".\"\n")
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_device_that_is_well_is_said_to_be_well_and_its_agent_notices_nothing() {
    let (store, broker) = (Seaweed::start("cam1"), Mosquitto::start(&Setup::default()));
    let mut device = Device::new();
    fs::write(
        device.path("store.credentials"),
        format!(
            "aws_access_key_id = {}\naws_secret_access_key = {}\n",
            DEVICE_KEYS.0, DEVICE_KEYS.1
        ),
    )
    .unwrap();
    device.configure(&format!(
        "{}[mqtt]\nbroker = \"mqtt://127.0.0.1:{}\"\n",
        bucket(store.endpoint().as_str(), "pictures"),
        broker.port
    ));
    let dir = device.path("");
    systemctl(&dir, RUNS, "");
    device.start(None);
    device.wait("a camera and a broker", |s| {
        s.cameras["street"].state == "streaming" && s.mqtt.as_ref().is_some_and(|m| m.connected)
    });

    let examined = examine(&dir, |_| ());
    let shown = examined.report.render(false);
    assert_eq!(shown.lines().next(), Some("cam1 is well."), "{shown}");
    assert_eq!(examined.code, Some(0));
    for check in [
        Check::Config,
        Check::Service,
        Check::Agent,
        Check::Disk,
        Check::Camera,
        Check::Proxy,
        Check::Dns,
        Check::Connect,
        Check::Clock,
        Check::Store,
        Check::Broker,
    ] {
        examined.ok(check);
    }
    assert!(examined.of(Check::Camera).text.contains("through the agent"), "{shown}");

    let objects = store.list("v1/cam1/doctor/");
    assert_eq!(objects.len(), 1, "{objects:?}");
    let key = objects.keys().next().unwrap();
    assert!(key.ends_with(".txt") && examined.of(Check::Store).text.contains(key), "{key}");
    assert_eq!(store.get(key).header("content-type"), Some("text/plain"));

    let after = device.wait("nothing", |_| true);
    assert_eq!(after.mqtt.unwrap().connections, 1, "the agent's connection was taken over");
    assert_eq!((after.cameras["street"].reopened, after.alarms.len()), (0, 0));
    assert!(broker.log().contains("cam1-doctor"), "{}", broker.log());

    // A picture is asked of an agent that hangs, in vain, and that does not take for ever.
    let began = Instant::now();
    device.signal(Signal::STOP);
    let examined = examine(&dir, |_| ());
    device.signal(Signal::CONT);
    examined.cause(Check::Agent, "gives no answer", "watchdog");
    examined.untried(Check::Camera, "the agent holds it");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    device.stop();
}

#[test]
fn a_camera_that_is_not_there_is_named() {
    let bench = Bench::new(&directory("[camera.porch.v4l2]\ndevice = \"/dev/video99\"\n"));
    let examined = bench.doctor();
    examined.cause(Check::Camera, "/dev/video99 is not there", "plugged in");
    assert_eq!(examined.of(Check::Camera).subject.as_deref(), Some("porch"));
    examined.ok(Check::Store);
}

#[test]
fn a_camera_that_may_not_be_opened_names_the_group() {
    let bench = Bench::new(&directory("[camera.porch.v4l2]\ndevice = \"camera\"\n"));
    let node = bench.path("camera");
    let config = fs::read_to_string(bench.path("vedette.toml")).unwrap();
    let config = config.replace("\"camera\"", &format!("\"{}\"", node.display()));
    fs::write(bench.path("vedette.toml"), config).unwrap();
    fs::write(&node, "").unwrap();
    mode(&node, 0o000);
    mode(bench.dir.path(), 0o777); // the spool's and the store's place
    let examined = bench.doctor_with(as_somebody);
    examined.cause(Check::Camera, "no permission to use", "group video");
}

#[test]
fn a_name_that_nobody_knows_explains_why_the_rest_was_not_tried() {
    let bench = Bench::new(&bucket("http://store.invalid:9000", "pictures"));
    let examined = bench.doctor();
    examined.cause(Check::Dns, "store.invalid cannot be looked up", "`resolvectl status`");
    examined.untried(Check::Connect, "its name cannot be looked up");
    examined.untried(Check::Store, "its name cannot be looked up");
}

#[test]
fn a_closed_port_and_the_proxy_that_the_network_may_want_are_told() {
    let port = closed_port();
    let bench = Bench::new(&bucket(&format!("http://127.0.0.1:{port}"), "pictures"));
    let examined =
        bench.doctor_with(|command| _ = command.env("https_proxy", "http://me:HUSH@proxy"));
    examined.cause(
        Check::Connect,
        &format!("port {port}: nothing listens"),
        "Is the port in `endpoint` right",
    );
    examined.cause(Check::Connect, "", "a proxy (https_proxy)");
    examined.untried(Check::Store, "it cannot be reached");
    assert!(examined.of(Check::Proxy).text.contains("not used"));
    assert!(!examined.report.render(false).contains("HUSH"));
}

#[test]
fn wrong_keys_and_a_missing_bucket_are_told_apart() {
    let store = Seaweed::start("cam1");
    let bench = Bench::new(&bucket(store.endpoint().as_str(), "pictures"));
    bench.keys((DEVICE_KEYS.0, "another-secret"));
    let examined = bench.doctor();
    examined.cause(Check::Store, "does not accept the credentials", "credentials file");
    assert!(!examined.report.render(false).contains("another-secret"));

    bench.keys(("NOSUCHKEY0", DEVICE_KEYS.1));
    bench.doctor().cause(Check::Store, "does not accept the credentials", "credentials file");

    // SeaweedFS makes the bucket itself for keys that may: the recorded answer of a store that does not.
    let recorded = include_str!("fixtures/answers/aws-no-bucket.http");
    let server = Server::start(move |_| {
        let (head, body) = recorded.split_once("\n\n").unwrap();
        Step::Answer(head.into(), body.into())
    });
    let bench = Bench::new(&bucket(&format!("http://{}", server.addr), "no-such-bucket"));
    bench.doctor().says(Check::Store, "the bucket does not exist", "`bucket`");

    // The device's keys may write below its own prefix only: another device's are denied.
    let bench = Bench::new(&bucket(store.endpoint().as_str(), "pictures"));
    let config = fs::read_to_string(bench.path("vedette.toml")).unwrap();
    fs::write(bench.path("vedette.toml"), config.replace("\"cam1\"", "\"cam2\"")).unwrap();
    bench.doctor().cause(Check::Store, "denies access", "PutObject");
    assert!(store.list("v1/").is_empty());
}

#[test]
fn whoever_answers_in_a_stores_place_is_recognised() {
    let answers = [
        ("200 OK\nContent-Type: text/html", "captive portal", "log this network in"),
        ("302 Found\nLocation: http://login.example/", "captive portal", "log this network in"),
        ("301 Moved\nx-amz-bucket-region: eu-west-9\nx-amz-request-id: 1", "eu-west-9", "`region`"),
        ("503 Service Unavailable", "503", "by itself"),
    ];
    for (head, text, help) in answers {
        let server = Server::start(move |_| Step::Answer(head.into(), "<html>hello</html>".into()));
        let bench = Bench::new(&bucket(&format!("http://{}", server.addr), "pictures"));
        bench.doctor().cause(Check::Store, text, help);
        let methods: Vec<_> = server.seen().into_iter().map(|s| s.method).collect();
        assert!(methods.iter().all(|m| m == "PUT" || m == "OPTIONS"), "{methods:?}");
    }
}

#[test]
fn a_store_that_swallows_everything_is_given_up_in_time() {
    let server = Server::start(|_| Step::Silence);
    let bench = Bench::new(&bucket(&format!("http://{}", server.addr), "pictures"));
    let began = Instant::now();
    bench.doctor().cause(Check::Store, "no answer", "");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_asks_for_a_certificate_is_believed_with_and_without_one() {
    let ca = TempDir::new().unwrap();
    authority(ca.path(), &["cam1"]);
    let file = |name: &str| ca.path().join(name).display().to_string();
    let port = closed_port();
    // By TLS 1.2 the refusal comes within the handshake.
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-tls1_2", "-Verify", "1", "-verify_return_error", "-accept"])
        .args([&format!("127.0.0.1:{port}"), "-cert", &file("broker.pem")])
        .args(["-key", &file("broker.key"), "-CAfile", &file("ca.pem")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "no server");
        std::thread::yield_now();
    }
    let config = format!(
        "{}[mqtt]\nbroker = \"mqtts://127.0.0.1:{port}\"\nca_file = \"{}\"\n",
        directory(STREET),
        file("ca.pem")
    );
    let own = format!(
        "certificate_file = \"{}\"\nkey_file = \"{}\"\n",
        file("cam1.pem"),
        file("cam1.key")
    );
    for config in [config.clone(), config + &own] {
        let bench = Bench::new(&config);
        let examined = bench.doctor();
        examined.ok(Check::Tls);
        assert_eq!(examined.of(Check::Broker).state, State::Wrong, "it speaks no MQTT");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn a_configuration_that_the_service_may_not_read_is_not_opened_to_everybody() {
    let bench = Bench::new(&directory(STREET));
    let mut at = 0o600;
    if !rustix::process::geteuid().is_root() {
        at = 0o000;
    }
    mode(&bench.path("vedette.toml"), at);
    let examined = bench.doctor_with(as_somebody);
    let help = "chmod 0640";
    examined.says(Check::Config, "cannot read the configuration: Permission denied", help);
    assert!(!examined.report.render(false).contains("0644"));
}

#[test]
fn certificates_of_strangers_and_of_other_times_are_not_believed() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    authority(ours.path(), &[]);
    authority(theirs.path(), &[]);
    let broker = Mosquitto::start(&Setup { tls: Some(ours.path().into()), ..Setup::default() });
    let config = |scheme: &str, ca: &Path| {
        let ca = ca.join("ca.pem").display().to_string();
        match scheme {
            "mqtts" => {
                directory(STREET)
                    + &format!(
                        "[mqtt]\nbroker = \"mqtts://127.0.0.1:{}\"\nca_file = \"{ca}\"\n",
                        broker.port
                    )
            }
            // Whoever stands there is asked for a certificate only, and never for HTTP.
            _ => {
                bucket(&format!("https://127.0.0.1:{}", broker.port), "pictures")
                    + &format!("ca_file = \"{ca}\"\n")
            }
        }
    };
    let well = Bench::new(&config("mqtts", ours.path())).doctor();
    well.ok(Check::Tls);
    well.ok(Check::Broker);
    for scheme in ["mqtts", "https"] {
        let examined = Bench::new(&config(scheme, theirs.path())).doctor();
        examined.cause(Check::Tls, "not believed here (CN=test authority)", "`ca_file`");
        let last = if scheme == "https" { Check::Store } else { Check::Broker };
        examined.untried(last, "its certificate is not believed");
    }
    let expired =
        Bench::new(&config("https", ours.path())).doctor_with(|command| faketime(command, "+60d"));
    expired.cause(Check::Tls, "and here it is", "timedatectl");
}

fn faketime(command: &mut Command, time: &str) {
    command.env("LD_PRELOAD", device::faketime_library()).env("FAKETIME", time).env("TZ", "UTC");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
}

#[test]
fn a_clock_that_is_a_day_off_is_told_and_the_store_is_tried_all_the_same() {
    let store = Seaweed::start("cam1");
    let bench = Bench::new(&bucket(store.endpoint().as_str(), "pictures"));
    let examined = bench.doctor_with(|command| faketime(command, "+1d"));
    examined.cause(Check::Clock, "ahead of the store's", "timedatectl");
    examined.ok(Check::Store);
}

#[test]
fn a_spool_that_may_not_be_written_is_told_as_the_service_sees_it() {
    let bench = Bench::new(&format!("{STREET}[destination.dir]\npath = \"objects\"\n"));
    let (spool, objects) = (bench.path("spool"), bench.path("objects"));
    fs::create_dir(&spool).unwrap();
    fs::create_dir(&objects).unwrap();
    mode(&spool, 0o555);
    mode(&objects, 0o777);
    let examined = bench.doctor_with(as_somebody);
    examined.cause(Check::Disk, "may not write into", "chown");
    examined.ok(Check::Store);

    mode(&spool, 0o777);
    fs::remove_dir(&objects).unwrap();
    bench.doctor_with(as_somebody).cause(Check::Store, "is not there", "Mount the disk");

    // The unit itself may make it read-only, whoever's it is.
    fs::create_dir(&objects).unwrap();
    mode(&objects, 0o777);
    bench.unit(&format!(
        "{RUNS}ProtectSystem=strict\nStateDirectory=vedette\nReadWritePaths={}\n",
        spool.display()
    ));
    bench.doctor_with(as_somebody).cause(
        Check::Disk,
        "objects is read-only to the service",
        "ReadWritePaths=",
    );
}

#[test]
fn what_a_broker_refuses_is_told_with_whose_matter_it_is() {
    let bench = |password: &str, acl: &str| {
        let user = Some(("cam1".to_owned(), "right".to_owned()));
        let acl = Some(format!("user cam1\n{acl}"));
        let broker = Mosquitto::start(&Setup { user, acl, ..Setup::default() });
        let bench = Bench::new(&directory(STREET));
        let config = fs::read_to_string(bench.path("vedette.toml")).unwrap();
        let mqtt = format!(
            "[mqtt]\nbroker = \"mqtt://127.0.0.1:{}\"\nusername = \"cam1\"\npassword_file = \"pw\"\n",
            broker.port
        );
        fs::write(bench.path("vedette.toml"), config + &mqtt).unwrap();
        fs::write(bench.path("pw"), format!("{password}\n")).unwrap();
        let examined = bench.doctor();
        assert!(!examined.report.render(false).contains("HUSH"));
        examined
    };
    let hear = "topic read vedette/v1/cam1/cmd/#\n";
    let both = format!("{hear}topic write vedette/v1/cam1/#\n");
    let examined = bench("wrong-HUSH", &both);
    examined.cause(
        Check::Broker,
        "does not let us in",
        "Check `username` (cam1) and the password in",
    );
    bench("right", &both).ok(Check::Broker);
    let refused = "published to vedette/v1/cam1/doctor is refused";
    bench("right", hear).cause(Check::Broker, refused, "access list");
}

/// mosquitto's access list refuses no subscription, it only delivers nothing; others say so.
#[test]
fn a_broker_that_refuses_the_subscription_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while let Ok((kind, body)) = read_packet(&mut stream) {
                let answer = match kind >> 4 {
                    1 => packet(0x20, &[0, 0, 0]),
                    8 => packet(0x90, &[body[0], body[1], 0, 0x87]),
                    _ => continue,
                };
                stream.write_all(&answer).unwrap();
            }
        }
    });
    let mqtt = format!("[mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n");
    let refused = "the subscription to vedette/v1/cam1/cmd/+ is refused: ";
    Bench::new(&(directory(STREET) + &mqtt)).doctor().cause(Check::Broker, refused, "access list");
}

#[test]
fn a_broken_configuration_is_told_with_its_line_and_the_last_good_one_is_looked_at() {
    let mut device = Device::new();
    device.configure(&format!("{STREET}[destination.dir]\npath = \".\"\n"));
    let dir = device.path("");
    systemctl(&dir, RUNS, "");
    device.start(None);
    device.wait("a start", |s| s.cameras["street"].state == "streaming");
    device.stop();
    let broken = fs::read_to_string(dir.join("vedette.toml")).unwrap() + "pasword = \"HUSH\"\n";
    fs::write(dir.join("vedette.toml"), &broken).unwrap();
    device.start(None);
    device.wait("the last good one", |s| {
        s.config.last_good && s.cameras["street"].state == "streaming"
    });

    let examined = examine(&dir, |_| ());
    let line = format!("vedette.toml:{}", broken.lines().count());
    examined.cause(Check::Config, &line, "");
    let shown = examined.report.render(false);
    assert!(shown.contains("the last good configuration runs meanwhile"), "{shown}");
    assert!(!shown.contains("HUSH"), "{shown}");
    examined.says(Check::Agent, "alarm config", "reload");
    examined.ok(Check::Camera);
    device.stop();

    // Without a last good one there is nothing to try, and that is said.
    fs::remove_dir_all(dir.join("state")).unwrap();
    let examined = examine(&dir, |_| ());
    examined.cause(Check::Config, &line, "");
    examined.untried(Check::Store, "no configuration");
}

#[test]
fn credentials_that_the_service_may_not_read_are_a_finding_also_for_root() {
    let bench = Bench::new(&bucket("http://127.0.0.1:9", "pictures"));
    mode(&bench.path("store.credentials"), 0o600);
    mode(bench.dir.path(), 0o777);
    if !rustix::process::geteuid().is_root() {
        mode(&bench.path("store.credentials"), 0o000);
    }
    let server = Server::start(|_| Step::Answer("200 OK".into(), String::new()));
    let config = fs::read_to_string(bench.path("vedette.toml")).unwrap();
    let config = config.replace("127.0.0.1:9", &server.addr.to_string());
    fs::write(bench.path("vedette.toml"), &config).unwrap();
    let examined = bench.doctor_with(as_somebody);
    examined.cause(
        Check::Config,
        "store.credentials: Permission denied",
        "LoadCredential=store.credentials:",
    );
    examined.untried(Check::Store, "its credentials cannot be read");
    assert_eq!(server.count("PUT"), 0);

    // A unit that hands it over when it starts is no fault of the file's.
    let handed = bench.path("handed.credentials");
    fs::rename(bench.path("store.credentials"), &handed).unwrap();
    fs::write(
        bench.path("vedette.toml"),
        config.replace("store.credentials", "handed.credentials"),
    )
    .unwrap();
    bench.unit("LoadState=loaded\nActiveState=inactive\nSubState=dead\n");
    let examined = bench.doctor_with(as_somebody);
    examined.cause(Check::Service, "does not run", "systemctl start");
    examined.untried(Check::Config, "systemd hands handed.credentials");
}

#[test]
fn an_agent_that_does_not_run_is_told_with_why_systemd_ended_it() {
    let bench = Bench::new(&directory(STREET));
    let examined = bench.doctor();
    examined.cause(Check::Agent, "nobody listens on", "systemctl start vedette");
    assert!(
        examined.of(Check::Camera).text.contains("first frame"),
        "without an agent it is opened"
    );
    bench.unit("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=watchdog\nNRestarts=4\n");
    bench.doctor().cause(Check::Service, "past its deadline", "journalctl");
    bench.unit("LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=78\n");
    bench.doctor().cause(Check::Service, "exit 78", "vedette check");
}

#[test]
fn people_get_eighty_columns_without_colours_where_nobody_sees_them() {
    let bench = Bench::new(&bucket("http://store.invalid:9000", "pictures"));
    let mut command = vedette(bench.dir.path());
    command.args(["doctor", "--config"]).arg(bench.path("vedette.toml"));
    let output = command.arg("--state-dir").arg(bench.path("state")).output().unwrap();
    let shown = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""));
    assert_eq!(shown.lines().next(), Some("cam1: 2 things are wrong."), "{shown}");
    let long: Vec<_> = shown
        .lines()
        .filter(|l| l.chars().count() > 80 && l.split_whitespace().count() > 3)
        .collect();
    assert!(long.is_empty() && !shown.contains('\u{1b}'), "{long:?}\n{shown}");
}
