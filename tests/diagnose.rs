//! `vedette diagnose`: whatever a secret got into, the archive does not hold it; it is small, it says what
//! is in it, and it can be stored with the device's own credentials.
//!
//! `systemctl` and `journalctl` are programs of the test's own that answer what the real ones do, with
//! secrets in every place that one could get to.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]
#![allow(clippy::duplicate_mod, reason = "each server of a test brings its own child process")]

#[path = "support/device.rs"]
mod device;
#[path = "support/program.rs"]
mod program;
#[path = "support/seaweed.rs"]
mod seaweed;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use device::Device;
use flate2::read::GzDecoder;
use seaweed::{DEVICE_KEYS, Seaweed};

/// Each is planted somewhere, and none may come out.
const SECRETS: [&str; 15] = [
    DEVICE_KEYS.0,
    DEVICE_KEYS.1,
    "hush-session-token",
    "hush mqtt password",
    "hush-rtsp",
    "hush-option",
    "hush-environment",
    "hush-set-credential",
    "hush-signature",
    "hush-bearer",
    "hush-in-toml",
    "hush-in-last-good",
    "aHVzaGVkcHJpdmF0ZWtleWhlcmU",
    "hush-of-another-file",
    "hush-of-a-drop-in",
];

/// What a serial number would look like, and must not be there either.
const MACHINE: &str = "hush-hostname";

fn program(dir: &Path, name: &str, script: &str) {
    program::script(&dir.join("bin").join(name), &format!("#!/bin/sh\n{script}\n"));
}

fn plant(dir: &Path) {
    fs::write(
        dir.join("store.credentials"),
        format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
            SECRETS[0], SECRETS[1], SECRETS[2]
        ),
    )
    .unwrap();
    fs::write(dir.join("mqtt.password"), format!("{}\n", SECRETS[3])).unwrap();
    fs::write(dir.join("other.token"), SECRETS[13]).unwrap();
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", SECRETS[12]);
    let messages = [
        format!("PUT https://s/b/k?X-Amz-Credential=x&X-Amz-Signature={}&x=1", SECRETS[8]),
        format!("Authorization: Bearer {}", SECRETS[9]),
        format!("the password was {} and the keys {} {}", SECRETS[3], SECRETS[0], SECRETS[1]),
        format!("in base64 {}", STANDARD.encode(SECRETS[1])),
        format!("in a URL ?p={}", SECRETS[3].replace(' ', "%20")),
        format!("camera says rtsp://me:{}@cam/1 --pw {}", SECRETS[4], SECRETS[5]),
        key.clone(),
        format!("another file says {}", SECRETS[13]),
        format!("a drop-in says {}", SECRETS[14]),
        format!("earlier somebody wrote {} into the file", SECRETS[11]),
    ];
    let lines: String = messages
        .iter()
        .map(|message| {
            let line = serde_json::json!({
                "__REALTIME_TIMESTAMP": "1795412379903000", "PRIORITY": "4", "_HOSTNAME": MACHINE,
                "MESSAGE": message, "F_ERROR": message,
            });
            format!("{line}\n")
        })
        .collect();
    fs::write(dir.join("journal"), lines).unwrap();
    program(dir, "journalctl", &format!("cat {}/journal", dir.display()));
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    fs::write(
        dir.join("unit"),
        format!(
            "[Service]\nEnvironment=A={} \"B={}\"\nSetCredential=x:{}\nExecStart=/x --password {}\n{key}\n",
            SECRETS[6], SECRETS[6], SECRETS[7], SECRETS[5]
        ),
    )
    .unwrap();
    let show = format!("echo LoadState=loaded; echo ActiveState=active; echo User={}", user.trim());
    let cat = format!("cat {}/unit", dir.display());
    program(dir, "systemctl", &format!("case $1 in show) {show};; cat) {cat};; esac"));
    program(
        dir,
        "systemd-analyze",
        "echo; echo '→ Overall exposure level for vedette.service: 1.2 OK'",
    );
    plant_last_good(dir);
    fs::create_dir(dir.join("vedette.d")).unwrap();
    let drop_in = format!(
        "[camera.porch.exec]\nformat = \"mjpeg\"\ncommand = [\"sleep\", \"60\", \"--token={}\"]\n",
        SECRETS[14]
    );
    fs::write(dir.join("vedette.d/50-porch.toml"), drop_in).unwrap();
}

fn plant_last_good(dir: &Path) {
    fs::create_dir_all(dir.join("state")).unwrap();
    fs::write(dir.join("state/last-good.toml"), format!("secret_key = \"{}\"\n", SECRETS[11]))
        .unwrap();
}

/// The cameras hold their passwords as they do in the field.
fn cameras() -> String {
    format!(
        "[camera.street.scene]\nsize = \"160x120\"\nfps = 5.0\n[camera.gate.exec]\nformat = \"mjpeg\"\n\
         command = [\"sh\", \"-c\", \"echo cannot log in with {0} >&2; exec sleep 9\", \
         \"rtsp://me:{0}@cam/1\", \"--pw\", \"{1}\"]\n",
        SECRETS[4], SECRETS[5]
    )
}

fn vedette(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", dir.join("bin").display())).current_dir(dir);
    command.args(arguments).arg("--config").arg(dir.join("vedette.toml"));
    command.arg("--state-dir").arg(dir.join("state"));
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}");
    no_secret("what it prints", shown.as_bytes());
    output
}

/// The files of an archive, by their names without the folder.
fn unpack(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), text)
    });
    entries.collect()
}

fn no_secret(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in SECRETS.iter().chain([&MACHINE]) {
        let looks = [
            (*secret).to_owned(),
            secret.replace(' ', "%20"),
            STANDARD.encode(secret),
            secret.to_lowercase(),
        ];
        for look in looks {
            let at = text.find(&look);
            let around = at.map(|at| text[..at].lines().next_back().unwrap_or_default());
            assert!(at.is_none(), "{place} holds {secret} as {look}, after: {around:?}");
        }
    }
}

#[test]
fn no_secret_comes_out_wherever_it_was_planted() {
    let store = Seaweed::start("cam1");
    let mut device = Device::new();
    let dir = device.path("");
    plant(&dir);
    device.configure(&format!(
        "{}[destination.s3]\nendpoint = \"{}\"\nbucket = \"pictures\"\ncredentials_file = \"store.credentials\"\n\
         [mqtt]\nbroker = \"mqtt://127.0.0.1:1\"\nusername = \"cam1\"\npassword_file = \"mqtt.password\"\n",
        cameras(),
        store.endpoint()
    ));
    // A token that SeaweedFS does not know would be refused: the archive is stored with the keys alone.
    let credentials = fs::read_to_string(dir.join("store.credentials")).unwrap();
    let keys: String = credentials.lines().take(3).map(|l| format!("{l}\n")).collect();
    fs::write(dir.join("earlier.credentials"), &credentials).unwrap();
    fs::write(dir.join("store.credentials"), keys).unwrap();
    device.start(None);
    device.wait("a camera", |s| s.cameras["street"].state == "streaming");
    plant_last_good(&dir); // the start wrote its own

    let output = vedette(&dir, &["diagnose", "--output", "x.tar.gz", "--upload"]);
    device.kill(rustix::process::Signal::KILL);
    let bytes = fs::read(dir.join("x.tar.gz")).unwrap();
    let files = unpack(&bytes);
    for (name, text) in &files {
        no_secret(name, text.as_bytes());
        assert!(name == "README.txt" || files["README.txt"].contains(name), "{name} is not listed");
    }
    // And yet it is worth sending.
    assert!(files["doctor.txt"].contains("store"), "{}", files["doctor.txt"]);
    assert!(files["status.json"].contains("\"street\""), "{}", files["status.json"]);
    assert!(files["config.toml"].contains("bucket = \"pictures\""), "{}", files["config.toml"]);
    assert!(files["config.toml"].contains("[camera.gate.exec]"), "{}", files["config.toml"]);
    assert!(files["config.toml"].contains("[camera.porch.exec]"), "{}", files["config.toml"]);
    assert!(files["journal.txt"].contains("2026-11-23T05:39:39.903Z 4 PUT https://s/b/k?"));
    assert!(
        files["unit.txt"].contains("exposure level")
            && files["unit.txt"].contains("Environment=A=…")
    );
    assert!(files["identity.json"].contains("cam1") && files["spool.json"].contains("index.db"));
    assert!(serde_json::from_str::<serde_json::Value>(&files["status.json"]).is_ok());

    // Below the device's own prefix, and no picture by its name.
    let shown = String::from_utf8(output.stdout).unwrap();
    let key = shown.lines().nth(1).unwrap().split(':').next().unwrap();
    assert!(key.starts_with("v1/cam1/diagnose/") && key.ends_with(".tar.gz"), "{shown}");
    let stored = store.get(key);
    assert_eq!(stored.header("content-type"), Some("application/gzip"));
    assert!(stored.body == bytes, "what is stored is what was written");
    assert_eq!(fs::metadata(dir.join("x.tar.gz")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_the_agents_user_puts_in_its_directory_opens_nothing_else_and_holds_nothing_up() {
    let device = Device::new();
    let dir = device.path("");
    plant(&dir);
    device.configure(&format!("{}[destination.dir]\npath = \".\"\n", cameras()));
    let last_good = dir.join("state/last-good.toml");
    let archive = |name: &str| {
        vedette(&dir, &["diagnose", "--output", name]);
        unpack(&fs::read(dir.join(name)).unwrap())["last-good.toml"].clone()
    };
    fs::write(dir.join("shadow"), "of root alone").unwrap();
    fs::remove_file(&last_good).unwrap();
    std::os::unix::fs::symlink(dir.join("shadow"), &last_good).unwrap();
    let shown = archive("link.tar.gz");
    assert!(!shown.contains("of root alone") && shown.starts_with("# last-good.toml: "), "{shown}");

    fs::remove_file(&last_good).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &last_good, mode).unwrap();
    assert!(archive("pipe.tar.gz").contains("not a regular file"));
}

#[test]
fn a_broken_configuration_and_an_endless_log_make_a_small_archive_without_secrets() {
    let device = Device::new();
    let dir = device.path("");
    plant(&dir);
    device.configure(&format!("{}secret_key = \"{}\"\n[destination\n", cameras(), SECRETS[10]));
    // Lines that cannot be packed well, and more of them than are taken.
    let line = r#"s/.*/{"MESSAGE":"&","__REALTIME_TIMESTAMP":"1"}/"#;
    let script = format!("head -c 9000000 /dev/urandom | base64 -w 100 | sed '{line}' 2>/dev/null");
    program(&dir, "journalctl", &script);
    vedette(&dir, &["diagnose", "--output", "x.tar.gz"]);
    let bytes = fs::read(dir.join("x.tar.gz")).unwrap();
    assert!(bytes.len() < 5_000_000, "{}", bytes.len());
    let files = unpack(&bytes);
    let all: usize = files.values().map(String::len).sum();
    assert!(
        (4_000_000..4_300_000).contains(&all),
        "the log fills what is left, and no more: {all}"
    );
    for (name, text) in &files {
        no_secret(name, text.as_bytes());
    }
    assert!(files["doctor.txt"].contains("vedette.toml"), "{}", files["doctor.txt"]);
    // An archive is never written over another file.
    let again = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(["diagnose", "--output", "x.tar.gz", "--config"])
        .arg(dir.join("vedette.toml"))
        .current_dir(&dir)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
}
