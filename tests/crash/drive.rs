//! The process that is watched: this binary again, told by a variable of its environment what to do with
//! the real spool. It tells of each thing that the spool answered by a line, and waits until the line was
//! read: whoever reads it knows that nothing of the spool's answer is still on its way to the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::task::JoinSet;
use vedette::account::{Account, Refusal};
use vedette::contract::command::Told;
use vedette::contract::{Class, Facts};
use vedette::spool::retention::Limits;
use vedette::spool::{
    Acceptance, Address, Claim, Conclusion, Durability, NewCommand, Opened, Order, Outcome,
    Settings, Spill, Spool,
};
use vedette::still::Shot;

use crate::fixture::{BOOT, body, facts, moment};

const WORKLOAD: &str = "VEDETTE_CRASH_WORKLOAD";
const PATH: &str = "VEDETTE_CRASH_SPOOL";
/// Bytes of a picture where its size matters.
pub(crate) const LARGE: usize = 100_000;
/// Nothing is written because of the time: the same is done in each run.
const NEVER: Duration = Duration::from_secs(86_400);
/// Wall time minus CLOCK_BOOTTIME, as told once the clock is trusted: 2026.
const OFFSET_NS: i64 = 1_790_000_000_000_000_000;

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Groups of pictures.
    Bursts,
    /// One picture at a time, each asked for by a command.
    Singles,
    /// Pictures come while others are stored, one or three at a time.
    Uploads,
    /// A spool far too small.
    Eviction,
    /// Pictures are held in memory; most are stored from there, others are written after all.
    Spill,
    /// The index is removed, and built again from the files.
    Rebuild,
    /// Eight pictures, four of them stored, one command: each system call of it is a place to be killed at.
    Eight,
    /// Opens the spool and stops it.
    Open,
    /// Pictures of [`LARGE`] bytes, all at once: what they cost the disk.
    Burst100k,
    /// The same, one at a time.
    Single100k,
}

impl Workload {
    pub(crate) const ALL: [Self; 10] = [
        Self::Bursts,
        Self::Singles,
        Self::Uploads,
        Self::Eviction,
        Self::Spill,
        Self::Rebuild,
        Self::Eight,
        Self::Open,
        Self::Burst100k,
        Self::Single100k,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bursts => "bursts",
            Self::Singles => "singles",
            Self::Uploads => "uploads",
            Self::Eviction => "eviction",
            Self::Spill => "spill",
            Self::Rebuild => "rebuild",
            Self::Eight => "eight",
            Self::Open => "open",
            Self::Burst100k => "burst100k",
            Self::Single100k => "single100k",
        }
    }

    /// Are pictures given up for want of room?
    pub(crate) fn evicts(self) -> bool {
        self == Self::Eviction
    }

    /// Are pictures held in memory, and stored without ever being written?
    pub(crate) fn holds(self) -> bool {
        self == Self::Spill
    }

    /// The only place that makes a spool's settings here.
    pub(crate) fn settings(self, path: &Path) -> Settings {
        let max_bytes = if self.evicts() { 150_000 } else { 1 << 30 };
        let spill = Spill { max_bytes: 100_000, after: NEVER };
        let durability = if self.holds() { Durability::Spill(spill) } else { Durability::Always };
        Settings { path: path.to_owned(), limits: Limits::bytes(max_bytes), durability }
    }
}

/// The bytes of a picture follow from its number.
pub(crate) fn body_of(seq: u64) -> bytes::Bytes {
    body(seq, 1_500 + usize::try_from(seq.wrapping_mul(7919) % 24_000).unwrap())
}

/// So do its facts: every fifth was taken without a clock, every third is its event's best.
fn facts_of(seq: u64, body: &[u8]) -> Facts {
    let class = [Class::Best, Class::Event, Class::Interval][usize::try_from(seq % 3).unwrap()];
    let facts = facts(seq, class, body);
    Facts { wall: facts.wall.filter(|_| !seq.is_multiple_of(5)), ..facts }
}

pub(crate) fn command(id: &str) -> NewCommand {
    let tell = vec![Address { topic: format!("cmd/{id}/status"), correlation: None }];
    NewCommand { id: id.to_owned(), op: "snapshot".into(), tell, effect: None, pictures: 1 }
}

// ---- within the process ----

/// Does what the environment asks for; whether it asked.
pub(crate) fn run_if_asked() -> bool {
    let (Some(name), Some(path)) = (std::env::var_os(WORKLOAD), std::env::var_os(PATH)) else {
        return false;
    };
    let workload = Workload::ALL.into_iter().find(|w| name == w.name()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Driver::run(workload, Path::new(&path)));
    true
}

/// Tells, and waits until it was heard.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    let mut heard = String::new();
    std::io::stdin().lock().read_line(&mut heard).unwrap();
}

struct Driver {
    spool: Spool,
    next: u64,
    /// Pictures may be refused for want of room.
    refuses: bool,
    /// Pictures that were handed over and may be in memory only.
    held: BTreeMap<u64, Account>,
    rng: fastrand::Rng,
}

impl Driver {
    async fn run(workload: Workload, path: &Path) {
        let (spool, opened) = open(path, workload);
        say("open");
        let rng = fastrand::Rng::with_seed(opened.next_seq);
        let (refuses, held) = (workload.evicts(), BTreeMap::new());
        let mut d = Self { spool, next: opened.next_seq, refuses, held, rng };
        match workload {
            Workload::Bursts => {
                for n in 0..12 {
                    let many = d.rng.u64(2..12);
                    d.keep(many).await;
                    d.trust_at(n, 6).await;
                }
            }
            Workload::Singles => {
                for n in 0..24 {
                    d.snapshot().await;
                    d.trust_at(n, 8).await;
                }
            }
            Workload::Uploads => {
                for n in 0..18 {
                    let many = d.rng.u64(1..5);
                    d.keep(many).await;
                    d.trust_at(n, 4).await;
                    let many = d.rng.usize(1..4);
                    d.upload(many).await;
                }
            }
            Workload::Eviction => {
                for n in 0..24 {
                    let many = d.rng.u64(1..5);
                    d.keep(many).await;
                    d.trust_at(n, 12).await;
                    d.upload(usize::from(n % 4 == 0)).await;
                }
            }
            Workload::Rebuild => {
                d.keep(9).await;
                d.trust_at(0, 0).await;
                d.upload(3).await;
                d.keep(6).await;
                d = d.lose_the_index(path, workload).await;
                d.keep(7).await;
                d.upload(2).await;
                d.keep(1).await;
            }
            Workload::Spill => d.spill().await,
            Workload::Eight => d.eight().await,
            Workload::Open => {}
            Workload::Burst100k => d.keep_large(96, 96).await,
            Workload::Single100k => d.keep_large(96, 1).await,
        }
        d.spool.stop().await;
        say("end");
    }

    async fn eight(&mut self) {
        self.keep(1).await;
        self.snapshot().await;
        self.trust_at(0, 0).await;
        self.upload(1).await;
        self.keep(4).await;
        self.upload(3).await;
        self.keep(2).await;
    }

    /// The store takes most pictures, and sometimes one not, so that what is held is written.
    async fn spill(&mut self) {
        self.trust_at(0, 0).await;
        self.keep(3).await;
        for n in 0..36 {
            match n % 9 {
                8 => self.bring_back().await,
                _ => {
                    let many = self.rng.usize(1..4);
                    self.upload(many).await;
                }
            }
            for _ in 0..self.rng.u64(1..4) {
                say(&format!("given {}", self.next));
                self.held.insert(self.next, self.hand_over(self.next, None));
                self.next += 1;
            }
            self.tell_kept();
        }
    }

    /// An upload ends, and nobody knows how.
    async fn bring_back(&self) {
        let Some(claim) = self.spool.claim(Order::Newest).await.unwrap() else { return };
        say(&format!("storing {} {}", claim.seq, claim.load().unwrap().key));
        self.spool.finish(claim.seq, Outcome::Released, None).await.unwrap();
    }

    /// Tells of those that are durable or stored by now.
    fn tell_kept(&mut self) {
        let done = |account: &Account| account.sums().kept == 1;
        self.held.iter().filter(|(_, a)| done(a)).for_each(|(seq, _)| say(&format!("kept {seq}")));
        self.held.retain(|_, account| !done(account));
    }

    /// Hands over so many, and tells of each that was kept.
    async fn keep(&mut self, many: u64) {
        let seqs = self.next..self.next + many;
        self.next = seqs.end;
        say(&format!("given {}", seqs.end - 1));
        let accounts: Vec<_> = seqs.clone().map(|seq| self.hand_over(seq, None)).collect();
        self.spool.flush().await.unwrap();
        for (seq, account) in seqs.zip(accounts) {
            let (sums, full) = (account.sums(), Refusal::DiskFull as usize);
            if self.refuses && sums.refused[full] == 1 {
                continue;
            }
            assert_eq!(sums.kept, 1, "{seq}: {sums:?}");
            say(&format!("kept {seq}"));
        }
    }

    async fn keep_large(&mut self, many: u64, at_once: u64) {
        for _ in 0..many / at_once {
            let seqs = self.next..self.next + at_once;
            self.next = seqs.end;
            let whole = seqs.clone().map(|seq| self.hand_over_as(seq, body(seq, LARGE), None));
            let accounts: Vec<_> = whole.collect();
            self.spool.flush().await.unwrap();
            assert!(accounts.iter().all(|account| account.sums().kept == 1));
            seqs.for_each(|seq| say(&format!("kept {seq}")));
        }
    }

    fn hand_over(&self, seq: u64, command: Option<String>) -> Account {
        self.hand_over_as(seq, body_of(seq), command)
    }

    fn hand_over_as(&self, seq: u64, bytes: bytes::Bytes, command: Option<String>) -> Account {
        let facts = Facts { command, ..facts_of(seq, &bytes) };
        let account = Account::new(u64::MAX / 2);
        let token = account.choose(facts.len).unwrap();
        self.spool.store(Shot { bytes, facts, token });
        account
    }

    /// A command's whole life, but for its picture's.
    async fn snapshot(&mut self) {
        let seq = self.next;
        self.next += 1;
        let id = format!("c{seq}");
        assert_eq!(self.spool.accept(command(&id)).await.unwrap(), Acceptance::New);
        say(&format!("accepted {id}"));
        say(&format!("given {seq}"));
        let account = self.hand_over(seq, Some(id.clone()));
        self.spool.flush().await.unwrap();
        assert_eq!(account.sums().kept, 1, "{seq}: {:?}", account.sums());
        say(&format!("kept {seq}"));
        let taken = Conclusion::Taken { kept: 1, fault: None };
        self.spool.conclude(&id, taken).await.unwrap();
        say(&format!("concluded {id}"));
    }

    /// Stores so many at the same time.
    async fn upload(&self, many: usize) {
        let orders = [Order::Newest, Order::Oldest, Order::Oldest];
        let claims = self.spool.claim_each(orders[..many].to_vec()).await.unwrap();
        for claim in &claims {
            let loaded = claim.load().unwrap();
            assert_eq!(loaded.body, body_of(claim.seq));
            say(&format!("storing {} {}", claim.seq, loaded.key));
        }
        let mut all = JoinSet::new();
        for claim in claims {
            let spool = self.spool.clone();
            all.spawn(finish(spool, claim));
        }
        while let Some(seq) = all.join_next().await {
            say(&format!("stored {}", seq.unwrap()));
        }
    }

    async fn trust_at(&self, turn: u32, at: u32) {
        if turn == at {
            self.spool.set_offset(OFFSET_NS, "kernel").await.unwrap();
            say("timed");
        }
    }

    /// Removes the index, its name first, and opens the spool again.
    async fn lose_the_index(self, path: &Path, workload: Workload) -> Self {
        self.spool.stop().await;
        say("wiped");
        for name in ["index.db", "index.db-wal", "index.db-shm"] {
            match std::fs::remove_file(path.join(name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => panic!("{e}"),
                _ => {}
            }
            std::fs::File::open(path).unwrap().sync_all().unwrap();
        }
        let (spool, opened) = open(path, workload);
        assert!(opened.rebuilt && opened.generation > 1, "{opened:?}");
        say("open");
        Self { spool, next: opened.next_seq, ..self }
    }
}

async fn finish(spool: Spool, claim: Claim) -> u64 {
    spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
    claim.seq
}

fn open(path: &Path, workload: Workload) -> (Spool, Opened) {
    Spool::open(&workload.settings(path), moment(BOOT)).unwrap()
}

// ---- who watches it ----

/// Tells a command that runs this binary what the process is to do.
pub(crate) fn tell(command: &mut Command, workload: Workload, path: &Path) {
    command.env(WORKLOAD, workload.name()).env(PATH, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
}

/// Starts the process; `shim` is what else its environment holds. What it complains of is not shown: it is
/// killed, and its faults are meant.
pub(crate) fn start(workload: Workload, path: &Path, shim: &[(String, String)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    tell(&mut command, workload, path);
    command.envs(shim.iter().map(|(name, value)| (name, value)));
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// Listens until the process has ended; each line with the moment at which it was said. Where `heard` says
/// no, the process is killed.
pub(crate) fn listen(
    child: &mut Child,
    now: impl Fn() -> usize,
    mut heard: impl FnMut(usize, &str) -> bool,
) -> ExitStatus {
    let mut answer = child.stdin.take().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if !heard(now(), &line.unwrap()) {
            child.kill().unwrap();
        }
        answer.write_all(b"\n").ok(); // it may have been killed
    }
    child.wait().unwrap()
}

/// What was said up to some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// The highest number that was handed over.
    pub(crate) given: u64,
    /// Acknowledged pictures.
    pub(crate) kept: BTreeSet<u64>,
    /// Pictures that somebody may have by now, each with the key that it was sent under.
    pub(crate) storing: BTreeMap<u64, String>,
    /// Pictures that the spool was told to be stored, and it answered.
    pub(crate) stored: BTreeSet<u64>,
    /// Those that were acknowledged before somebody had them: with rows of their own.
    pub(crate) durable: BTreeSet<u64>,
    pub(crate) accepted: BTreeSet<String>,
    pub(crate) concluded: BTreeSet<String>,
    /// The clock is trusted, and that is written down.
    pub(crate) timed: bool,
    /// The index may be gone.
    pub(crate) wiped: bool,
    pub(crate) ended: bool,
}

impl Said {
    pub(crate) fn hear(&mut self, line: &str) {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let seq = || rest.split(' ').next().unwrap().parse::<u64>().unwrap();
        match what {
            "given" => self.given = seq(),
            "kept" => {
                assert!(self.kept.insert(seq()), "kept twice: {line}");
                if !self.storing.contains_key(&seq()) {
                    self.durable.insert(seq());
                }
            }
            "storing" => {
                let key = rest.split_once(' ').unwrap().1;
                let before = self.storing.insert(seq(), key.to_owned());
                assert!(before.is_none_or(|before| before == key), "another key: {line}");
            }
            "stored" => drop(self.stored.insert(seq())),
            "accepted" => drop(self.accepted.insert(rest.to_owned())),
            "concluded" => drop(self.concluded.insert(rest.to_owned())),
            "timed" => self.timed = true,
            "wiped" => self.wiped = true,
            "end" => self.ended = true,
            "open" => {}
            _ => panic!("unknown: {line}"),
        }
    }
}

/// Was this command's end told as a failure?
pub(crate) fn failed(told: &Told) -> bool {
    told.status == vedette::contract::command::Status::Failed
}
