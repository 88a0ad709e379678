//! A real object store for one test: SeaweedFS with its S3 face, on free ports of the loopback.
//!
//! It has one bucket and two keys: the admin's, which this harness uses and a test's function, and a
//! device's, which may write under `v1/<device>/` and nothing else, as in the field. Telemetry is off. It
//! tells of new objects where a test wants it. The binary comes from `tools/setup test` (or
//! `VEDETTE_WEED`); without it the test fails, because a store that is only sometimes tested against is
//! not tested against.

#![cfg(test)]
#![allow(dead_code, reason = "shared by tests of which each needs a part")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rusty_s3::actions::{GetObject, PutObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use tempfile::TempDir;
use url::Url;

#[path = "http.rs"]
pub(crate) mod http;
#[path = "process.rs"]
pub(crate) mod process;

use http::Response;
use process::Process;

/// The one bucket.
pub(crate) const BUCKET: &str = "pictures";
/// Access key and secret of the device.
pub(crate) const DEVICE_KEYS: (&str, &str) = ("DEVICEKEY0", "device-secret-of-this-test");
/// Access key and secret of who may do everything: of this harness, and of a function.
pub(crate) const ADMIN_KEYS: (&str, &str) = ("ADMINKEY00", "admin-secret-of-this-test");
/// Region that requests are signed for.
pub(crate) const REGION: &str = "us-east-1";

const READY_WITHIN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A running store; killed and its data removed when dropped.
pub(crate) struct Seaweed {
    // Before `dir`: fields drop in order, and the server must be gone before its directory.
    process: Process,
    endpoint: Url,
    _dir: TempDir,
}

impl Seaweed {
    /// Starts a store whose device key may write under `v1/<device>/`, and waits until its bucket is
    /// there.
    pub(crate) fn start(device: &str) -> Self {
        Self::start_in(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), device)
    }

    /// The same; and by its own webhook the store tells `hook` of all that comes to be under `v1/`.
    pub(crate) fn start_telling(device: &str, hook: &Url) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // It is looked for in the working directory.
        fs::write(dir.path().join("notification.toml"), notification(hook)).unwrap();
        Self::start_in(dir, device)
    }

    fn start_in(dir: TempDir, device: &str) -> Self {
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::write(dir.path().join("s3.json"), identities(device)).unwrap();
        let ports: [_; PORT_FLAGS.len()] = free_ports();
        let mut command = Command::new(weed());
        // weed takes any flag from an environment variable of its name, IP and DIR among them.
        command.env_clear().env("HOME", dir.path()).current_dir(dir.path());
        command.args(["-logtostderr=true", "server", "-dir=data", "-s3.config=s3.json"]);
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
        command.args(["-master.volumeSizeLimitMB=128", "-volume.max=64"]);
        command.args(["-volume.preStopSeconds=1", "-filer", "-s3"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        for (flag, port) in PORT_FLAGS.iter().zip(ports) {
            command.arg(format!("-{flag}={port}"));
        }
        let process = Process::spawn(&mut command, dir.path(), "weed");
        let endpoint = Url::parse(&format!("http://127.0.0.1:{}", ports[0])).unwrap();
        let mut store = Self { process, endpoint, _dir: dir };
        store.create_bucket();
        store
    }

    /// Stops the server in its tracks, or lets it go on.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        self.process.signal(signal);
    }

    /// URL of the S3 face, without the bucket.
    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The bucket as a signer sees it, path style.
    pub(crate) fn bucket(&self) -> Bucket {
        Bucket::new(self.endpoint.clone(), UrlStyle::Path, BUCKET, REGION).unwrap()
    }

    /// Every object under `prefix`: key and length.
    pub(crate) fn list(&self, prefix: &str) -> BTreeMap<String, u64> {
        let (bucket, admin) = (self.bucket(), admin());
        let mut objects = BTreeMap::<String, u64>::new();
        loop {
            let mut action = GetObject::new(&bucket, Some(&admin), "");
            action.query_mut().insert("list-type", "2");
            action.query_mut().insert("prefix", prefix.to_owned());
            if let Some((last, _)) = objects.last_key_value() {
                action.query_mut().insert("start-after", last.clone());
            }
            let answer = http::send("GET", &action.sign(HOUR), &[], b"").unwrap();
            let text = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, 200, "list: {text}");
            for entry in text.split("<Contents>").skip(1) {
                objects.insert(element(entry, "Key"), element(entry, "Size").parse().unwrap());
            }
            if element(&text, "IsTruncated") != "true" {
                return objects;
            }
        }
    }

    /// One object as stored: body, and metadata in the headers.
    pub(crate) fn get(&self, key: &str) -> Response {
        let (bucket, admin) = (self.bucket(), admin());
        let url = GetObject::new(&bucket, Some(&admin), key).sign(HOUR);
        http::send("GET", &url, &[], b"").unwrap()
    }

    fn create_bucket(&mut self) {
        let (bucket, admin) = (self.bucket(), admin());
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let url = PutObject::new(&bucket, Some(&admin), "").sign(HOUR);
            let answer = http::send("PUT", &url, &[], b"");
            if answer.as_ref().is_ok_and(|r| r.status == 200) {
                return;
            }
            // The pause between two tries is a wait for the server's early end.
            let ended = self.process.wait(Duration::from_millis(50));
            if ended.is_some() || Instant::now() > deadline {
                let last = answer.map(|r| r.status);
                panic!("SeaweedFS not ready ({ended:?}, {last:?}):\n{}", self.process.output());
            }
        }
    }
}

const PORT_FLAGS: [&str; 8] = [
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
];

fn admin() -> Credentials {
    Credentials::new(ADMIN_KEYS.0, ADMIN_KEYS.1)
}

fn identities(device: &str) -> String {
    let one = |name: &str, keys: (&str, &str), actions: &[String]| {
        serde_json::json!({
            "name": name,
            "credentials": [{ "accessKey": keys.0, "secretKey": keys.1 }],
            "actions": actions,
        })
    };
    let all = ["Admin", "Read", "Write", "List"].map(str::to_owned);
    let own = [format!("Write:{BUCKET}/v1/{device}/*")];
    let both = [one("admin", ADMIN_KEYS, &all), one("device", DEVICE_KEYS, &own)];
    serde_json::json!({ "identities": both }).to_string()
}

/// As in `examples/chain/notification.toml`.
fn notification(hook: &Url) -> String {
    format!(
        "[notification.webhook]\nenabled = true\nendpoint = \"{hook}\"\ntimeout_seconds = 10\n\
         max_retries = 5\nbackoff_seconds = 1\npath_prefixes = [\"/buckets/{BUCKET}/v1\"]\n"
    )
}

/// Ports below the ephemeral range, so that no outgoing connection takes one before the server does.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    while held.len() < N {
        held.extend(TcpListener::bind(("127.0.0.1", fastrand::u16(10_000..32_000))));
    }
    std::array::from_fn(|i| held[i].local_addr().unwrap().port())
}

fn weed() -> PathBuf {
    let path = env::var_os("VEDETTE_WEED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/venv/bin/weed"),
        PathBuf::from,
    );
    assert!(path.exists(), "{} is missing: run tools/setup test", path.display());
    path
}

/// Text of the first element of this name; keys hold nothing that XML would escape.
fn element(xml: &str, name: &str) -> String {
    let text = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<'));
    text.unwrap_or_else(|| panic!("no <{name}> in {xml}")).0.to_owned()
}
