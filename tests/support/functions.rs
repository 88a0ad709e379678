//! A serverless platform for one test: the real function process of `examples/serverless`, and a relay
//! that plays the event broker in front of it.
//!
//! The relay takes what the store tells of itself and delivers it at least once, several at a time: the
//! answer to every third delivery is lost on it, and so it delivers that one again, as it does with
//! whatever the function does not take. A file loads this beside `support/seaweed.rs` and
//! `support/scripted_http.rs`.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use crate::scripted_http::{Server, Step};
use crate::seaweed::process::Process;
use crate::seaweed::{ADMIN_KEYS, BUCKET, REGION, Seaweed, free_ports, http};

const PLENTY: Duration = Duration::from_secs(60);

/// Deliveries under way at a time.
const AT_ONCE: usize = 4;

/// The answer to every so many-th delivery is lost.
const LOST: u64 = 3;

/// `examples/serverless/knative/main.py` in the functions framework; killed when dropped.
pub(crate) struct Function {
    process: Process,
    url: Url,
    _dir: TempDir,
}

impl Function {
    /// Starts it on the pictures of `store`, and waits until it answers.
    pub(crate) fn start(store: &Seaweed) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let source = root.join("examples/serverless");
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let [port] = free_ports();
        let mut command = Command::new(root.join("target/tools/venv/bin/python"));
        command.args(["-m", "functions_framework", "--target", "pictures", "--source"]);
        command.arg(source.join("knative/main.py"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir.path());
        command.env("PYTHONPATH", &source).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("STORE", "s3").env("AWS_ENDPOINT_URL_S3", store.endpoint().as_str());
        command.env("AWS_ACCESS_KEY_ID", ADMIN_KEYS.0).env("AWS_SECRET_ACCESS_KEY", ADMIN_KEYS.1);
        command.env("AWS_REGION", REGION).env("AWS_EC2_METADATA_DISABLED", "true");
        // A group of its own, because it has workers that must not outlive it.
        command.process_group(0);
        let process = Process::spawn(&mut command, dir.path(), "function");
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
        let mut function = Self { process, url, _dir: dir };
        function.wait_until_it_answers();
        function
    }

    /// All that it said, for whoever wants to know why.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + PLENTY;
        while !http::send("GET", &self.url, &[], b"").is_ok_and(|answer| answer.status == 200) {
            // The pause between two tries is a wait for the function's early end.
            let ended = self.process.wait(Duration::from_millis(50));
            if ended.is_some() || Instant::now() > deadline {
                panic!("the function is not ready ({ended:?}):\n{}", self.process.output());
            }
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let leader = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process_group(leader.unwrap(), Signal::KILL).ok();
    }
}

/// What the store told of one entry of its tree.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// Key of the object that came to be; none where it is about something else.
    pub(crate) key: Option<String>,
    body: Vec<u8>,
}

/// All that a relay knows.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// What the store told, in the order it came.
    pub(crate) heard: Vec<Notice>,
    /// Deliveries that the function answered, those whose answer was lost among them.
    pub(crate) delivered: u64,
    /// The function's own count of what it came to.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Deliveries that were not taken, and why; they were sent again.
    pub(crate) failed: Vec<String>,
    pass_on: bool,
    closed: bool,
    to_send: VecDeque<Notice>,
    under_way: usize,
}

impl Book {
    /// Nothing is to be delivered now.
    pub(crate) fn idle(&self) -> bool {
        self.to_send.is_empty() && self.under_way == 0
    }

    /// The objects that it heard of, each once, in the order in which they came.
    pub(crate) fn objects(&self) -> Vec<Notice> {
        let mut known = BTreeSet::new();
        let keyed = self.heard.iter().filter_map(|notice| Some((notice.key.as_ref()?, notice)));
        keyed.filter(|(key, _)| known.insert(*key)).map(|(_, notice)| notice.clone()).collect()
    }

    fn hear(&mut self, notice: Notice) {
        self.heard.push(notice.clone());
        if self.pass_on {
            self.to_send.push_back(notice);
        }
    }

    fn answered(&mut self, notice: Notice, answer: io::Result<http::Response>) {
        self.under_way -= 1;
        match answer {
            Ok(answer) if answer.status == 204 => {
                self.delivered += 1;
                let told = answer.header("vedette-outcomes").expect("it says what it did");
                let told: BTreeMap<String, u64> = serde_json::from_str(told).unwrap();
                for (outcome, count) in told {
                    *self.outcomes.entry(outcome).or_default() += count;
                }
                if self.delivered.is_multiple_of(LOST) {
                    self.to_send.push_back(notice);
                }
            }
            Ok(other) => {
                let why = String::from_utf8_lossy(&other.body);
                self.failed.push(format!("{}: {why}", other.status));
                self.to_send.push_back(notice);
            }
            Err(error) => {
                self.failed.push(error.to_string());
                self.to_send.push_back(notice);
            }
        }
    }
}

type Shared = Arc<(Mutex<Book>, Condvar)>;

/// The event broker between store and function. It holds everything back until it is told otherwise, and
/// takes every notice at once: SeaweedFS 4.48 gives one up as a dead letter when its first try fails,
/// whatever its `max_retries` says.
pub(crate) struct Relay {
    server: Server,
    shared: Shared,
    couriers: Vec<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let shared = Shared::default();
        let heard = Arc::clone(&shared);
        let server = Server::start(move |seen| {
            heard.0.lock().unwrap().hear(notice(&seen.body));
            heard.1.notify_all();
            Step::Answer("204 No Content".to_owned(), String::new())
        });
        Self { server, shared, couriers: Vec::new() }
    }

    /// Where the store tells it.
    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.server.addr)).unwrap()
    }

    /// Delivers what was heard and what will be heard.
    pub(crate) fn pass_on(&mut self, function: &Function) {
        let mut book = self.shared.0.lock().unwrap();
        book.pass_on = true;
        book.to_send = book.heard.iter().cloned().collect();
        drop(book);
        self.send_to(function);
    }

    /// Delivers these and no others.
    pub(crate) fn deliver(&mut self, function: &Function, notices: Vec<Notice>) {
        self.shared.0.lock().unwrap().to_send = notices.into();
        self.send_to(function);
    }

    /// Waits until `is` holds of what the relay knows, and looks at it then.
    pub(crate) fn wait<T>(&self, what: &str, is: impl Fn(&Book) -> Option<T>) -> T {
        let (book, changed) = &*self.shared;
        let deadline = Instant::now() + PLENTY;
        let mut book = book.lock().unwrap();
        loop {
            if let Some(found) = is(&book) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the relay waited for {what}: {}", brief(&book));
            book = changed.wait_timeout(book, left).unwrap().0;
        }
    }

    fn send_to(&mut self, function: &Function) {
        for _ in 0..AT_ONCE {
            let (shared, url) = (Arc::clone(&self.shared), function.url.clone());
            self.couriers.push(std::thread::spawn(move || carry(&shared, &url)));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // After a panic of a courier the rest of them still has to end.
        self.shared.0.lock().unwrap_or_else(|e| e.into_inner()).closed = true;
        self.shared.1.notify_all();
        for courier in self.couriers.drain(..) {
            courier.join().ok();
        }
    }
}

/// One courier: takes what is to be sent, until the relay closes.
fn carry(shared: &Shared, url: &Url) {
    let (book, changed) = &**shared;
    loop {
        let nothing = |book: &mut Book| book.to_send.is_empty() && !book.closed;
        // After a test's panic there is nobody to deliver for.
        let Ok(free) = book.lock() else { return };
        let Ok(mut held) = changed.wait_while(free, nothing) else { return };
        if held.closed {
            return;
        }
        let notice = held.to_send.pop_front().unwrap();
        held.under_way += 1;
        drop(held);
        let json = [("content-type", "application/json")];
        let answer = http::send("POST", url, &json, &notice.body);
        book.lock().unwrap().answered(notice, answer);
        changed.notify_all();
    }
}

/// Reads SeaweedFS's own shape, which tells of directories and deletions too.
fn notice(body: &[u8]) -> Notice {
    let told: Value = serde_json::from_slice(body).unwrap();
    let path = told["key"].as_str().unwrap();
    let key = path.strip_prefix(&format!("/buckets/{BUCKET}/"));
    let entry = &told["message"]["new_entry"];
    let object = entry.is_object() && entry["is_directory"] != true;
    Notice { key: key.filter(|_| object).map(str::to_owned), body: body.to_vec() }
}

fn brief(book: &Book) -> String {
    let keys: Vec<_> = book.heard.iter().filter_map(|n| n.key.as_deref()).collect();
    format!(
        "heard of {} {keys:#?}, {} to send, {} under way, {} delivered, {:?}, failed {:?}",
        book.heard.len(),
        book.to_send.len(),
        book.under_way,
        book.delivered,
        book.outcomes,
        book.failed
    )
}
