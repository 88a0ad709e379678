//! The spool beside its model: each operation is done to both, and after each the two are compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use vedette::account::Account;
use vedette::clock::{BootId, BootTime};
use vedette::contract::command::Status;
use vedette::contract::{Class, Trigger};
use vedette::spool::browse::{Ask, Entry, Filter, Told};
use vedette::spool::retention::Limits;
use vedette::spool::{Claim, Kind, Loss, Message, Moment, Opened, RowEffect};
use vedette::still::EventEnd;

use crate::command_model::{Command, State};
use crate::disk::{Disk, Log};
use crate::fixture::{Closed, Fixture, file};
use crate::model::{End, Model};
use crate::ops::{CAMERAS, Op, Push};

pub(crate) const QUOTA: u64 = 60_000;
pub(crate) const CAMERA: u64 = 20_000;
pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;
/// Wall time at hour 0.
pub(crate) const WALL_MS: i64 = 1_790_000_000_000;
/// So that the pictures come to lie in two directories.
const FIRST: u64 = 1012;

/// Limits to run under: of all, of a camera besides, on a file system that leaves nothing more, none.
pub(crate) fn limits(n: usize) -> Limits {
    let max_age = Some(Duration::from_secs(crate::model::MAX_AGE * 3600));
    let all = Limits { max_age, keep_free: Some(0), ..Limits::bytes(QUOTA) };
    match n {
        0 => all,
        1 => Limits { cameras: [(CAMERAS[1].to_owned(), CAMERA)].into(), ..all },
        2 => Limits { keep_free: Some(u64::MAX), max_bytes: 1 << 30, ..all },
        _ => Limits { max_bytes: 1 << 30, ..all },
    }
}

pub(crate) struct World {
    pub(crate) f: Fixture,
    pub(crate) model: Model,
    pub(crate) lent: Vec<Claim>,
    pub(crate) limits: usize,
    pub(crate) hour: u64,
    /// When the spool was opened: its own clock goes on by moments only.
    pub(crate) opened_at: u64,
    boots: u64,
    /// When this boot began.
    pub(crate) since: u64,
    home: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) log: Log,
    /// How much of the log the disk has heard.
    pub(crate) heard: u64,
    /// Before the last operation: the log, and the model.
    pub(crate) before: (u64, Model),
    /// Events that go on, by camera.
    pub(crate) going_on: [Option<String>; 2],
    /// Names are used once.
    pub(crate) names: u64,
    /// The last operation's purge, if it was one: a start goes on with it.
    pub(crate) purged: Option<String>,
    /// Messages that the last operation should have put.
    pub(crate) put: usize,
}

impl World {
    pub(crate) async fn new(home: PathBuf, log: &std::path::Path) -> Self {
        let dir = home.join("1");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir(home.join("nothing")).unwrap();
        let (f, _) = Closed::at(&dir, limits(0)).open_at(moment(1, 0));
        f.spool.stop().await;
        let log = Log::new(log);
        log.clear();
        let disk = Disk::new(&dir);
        let (mut f, _) = Closed::at(&dir, limits(0)).open_at(moment(1, 0));
        f.next_seq = FIRST;
        let mut world = Self {
            f,
            model: Model::default(),
            lent: Vec::new(),
            limits: 0,
            hour: 0,
            opened_at: 0,
            boots: 1,
            since: 0,
            home,
            disk,
            log,
            heard: 0,
            before: (0, Model::default()),
            going_on: [None, None],
            names: 0,
            purged: None,
            put: 0,
        };
        world.trust().await;
        world
    }

    pub(crate) fn boot(&self) -> String {
        moment(self.boots, 0).boot.0
    }

    /// The hour is believed, from the beginning of each boot on.
    pub(crate) async fn trust(&mut self) {
        let wall_ns = WALL_MS * 1_000_000 + i64::try_from(self.since * HOUR_NS).unwrap();
        self.f.spool.set_offset(wall_ns, "kernel").await.unwrap();
    }

    pub(crate) async fn step(&mut self, op: Op) {
        self.f.spool.snapshot().await.unwrap(); // what came back is taken back
        let power_cut = matches!(op, Op::PowerCut { .. });
        if !power_cut {
            self.purged = None;
            self.before = (self.log.now(), self.model.clone());
        }
        self.put = 0;
        let ended_before = self.told_ends();
        self.apply(op).await;
        self.compare().await;
        let ends = self.told_ends().saturating_sub(ended_before);
        self.compare_outbox(if power_cut { None } else { Some(self.put + ends) }).await;
    }

    /// How many addresses were told of an end.
    fn told_ends(&self) -> usize {
        let ended = |c: &&Command| matches!(c.state, State::Ended(_));
        self.model.commands.values().filter(ended).map(|c| c.tell).sum()
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Push(push) => self.push(push).await,
            Op::Burst(pushes) => self.burst(pushes).await,
            Op::Claim(order) => self.claim(order).await,
            Op::Finish(i, outcome, rest) => self.finish(i, outcome, rest).await,
            Op::StoredAndTold(i) => self.stored_and_told(i).await,
            Op::DropClaim(i) => {
                if let Some(claim) = self.take_claim(i) {
                    drop(claim);
                }
            }
            Op::EndEvent(camera) => self.end_event(camera).await,
            Op::Manifests => self.manifests().await,
            Op::Accept(pictures) => {
                self.accept(pictures, None).await;
            }
            Op::Pause(paused) => {
                let id = self.accept(0, Some(RowEffect::PauseUploads(paused))).await;
                self.model.paused = paused;
                let command = self.model.commands.get_mut(&id).unwrap();
                command.state = State::Ended(Status::Succeeded);
            }
            Op::Taken(i, faulty) => self.taken(i, faulty).await,
            Op::Ended(i) => self.ended(i).await,
            Op::Post => {
                let message = message(self.name("p"));
                self.f.spool.post(vec![message]).await.unwrap();
                self.put += 1;
                self.model.flushed();
            }
            Op::Arrived(most) => {
                let queued = self.f.spool.outbox(0, most).await.unwrap();
                self.f.spool.arrived(queued.iter().map(|q| q.id).collect()).await.unwrap();
                for q in queued {
                    self.model.outbox.remove(&q.id).expect("a message that was there");
                    self.model.arrived.insert(q.id, q.message.payload);
                }
            }
            Op::Purge(filter) => self.purge(filter).await,
            Op::PurgeByCommand(camera) => self.purge_by_command(camera).await,
            Op::Retry(filter) => self.retry(filter).await,
            Op::Check(repair) => self.check(repair).await,
            Op::Hours(hours) => self.hour += hours,
            Op::Reopen(limits) => self.reopen(limits).await,
            Op::PowerCut { share, seed, limits } => self.power_cut(share, seed, limits).await,
        }
    }

    pub(crate) fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    /// Pictures of the model that the spool no longer has.
    pub(crate) async fn gone(&self) -> BTreeSet<u64> {
        let there: BTreeSet<u64> = self.rows().await.iter().map(|row| row.seq).collect();
        self.model.items.keys().copied().filter(|seq| !there.contains(seq)).collect()
    }

    pub(crate) async fn rows(&self) -> Vec<Entry> {
        let (mut rows, mut above) = (Vec::new(), 0);
        loop {
            let ask = Ask::List { filter: Filter::default(), above };
            let Told::List(page, next) = self.f.spool.ask(ask).await.unwrap() else {
                panic!("a list")
            };
            rows.extend(page);
            match next {
                Some(next) => above = next,
                None => return rows,
            }
        }
    }

    pub(crate) fn lent_seqs(&self) -> BTreeSet<u64> {
        self.lent.iter().map(|claim| claim.seq).collect()
    }

    // ---- events ----

    async fn end_event(&mut self, camera: usize) {
        let Some(name) = self.going_on[camera].take() else { return };
        // An event of which no picture was kept has nothing to tell here.
        let Some(event) = self.model.events.get_mut(&name) else { return };
        event.over = Some(self.opened_at);
        self.f.spool.event_ended(EventEnd {
            camera: CAMERAS[camera].into(),
            event: name,
            began: BootTime(1),
            duration: Duration::from_secs(1),
            why: "quiet".into(),
            chosen: 9,
        });
        self.f.spool.flush().await.unwrap();
    }

    async fn manifests(&mut self) {
        let due = self.f.spool.due_events().await.unwrap();
        let expected =
            self.model.events.values().filter(|e| e.sure && e.is_due(self.opened_at)).count();
        let unsure = self.model.events.values().filter(|e| !e.sure).count();
        assert!(due.len() >= expected.min(4) && due.len() <= expected + unsure, "{due:?}");
        // As they were told of: one's manifest may make a picture of the next one give way.
        let events = self.model.events.clone();
        for due in due {
            let event = &events[&due.event];
            assert_eq!(due.camera, CAMERAS[event.camera]);
            if event.sure {
                assert!(event.is_due(self.opened_at), "{due:?}: {event:?}");
                let pictures = due.pictures.iter().map(|p| (p.seq, p.state)).collect();
                assert_eq!(event.pictures, pictures, "{}", due.event);
            }
            let push = Push {
                camera: event.camera,
                class: Class::Manifest,
                len: 200,
                event: false,
                command: None,
            };
            let (mut facts, bytes, mut item, _) = self.facts(&push);
            (facts.event, facts.trigger) = (Some(due.event.clone()), Trigger::Manifest);
            item.file = file(&facts, &bytes).len() as u64;
            if self.offer(facts, bytes, item, None).await {
                self.model.events.remove(&due.event);
            }
        }
    }

    // ---- starts ----

    async fn reopen(&mut self, limits: usize) {
        self.lent.clear();
        self.f.spool.stop().await;
        let opened = self.open(self.f.path().to_owned(), limits);
        assert_eq!((opened.adopted, opened.torn, opened.rebuilt), (0, 0, false), "{opened:?}");
        assert!(opened.next_seq > self.model.highest, "{opened:?}");
        self.model.flushed();
        self.going_on = [None, None];
        for seq in self.model.too_old(self.hour) {
            self.model.end(seq, End::Lost(Loss::Age));
        }
        self.model.restarted(self.hour);
    }

    fn open(&mut self, dir: PathBuf, n: usize) -> Opened {
        (self.limits, self.opened_at) = (n, self.hour);
        let now = moment(self.boots, self.hour - self.since);
        let opened;
        (self.f, opened) = Closed::at(&dir, limits(n)).open_at(now);
        if self.model.kept == 0 {
            self.f.next_seq = FIRST.max(opened.next_seq);
        }
        opened
    }

    /// The power goes at `to` in the log, and comes back in another boot.
    pub(crate) async fn restart_from(&mut self, to: u64, seed: u64, limits: usize) -> Opened {
        self.disk.hear(&self.log, self.heard, to);
        self.lent.clear();
        self.f.spool.stop().await;
        let old = self.f.path().to_owned();
        self.boots += 1;
        let dir = self.home.join(self.boots.to_string());
        let disk = std::mem::replace(&mut self.disk, Disk::new(&self.home.join("nothing")));
        disk.cut_power(&dir, &mut fastrand::Rng::with_seed(seed));
        fs::remove_dir_all(old).unwrap();
        self.log.clear();
        (self.disk, self.heard) = (Disk::new(&dir), 0);
        (self.since, self.going_on) = (self.hour, [None, None]);
        let opened = self.open(dir, limits);
        self.f.spool.snapshot().await.unwrap(); // after its first look for what is too old
        opened
    }

    /// Remembers the messages that are there.
    pub(crate) async fn compare_outbox(&mut self, new: Option<usize>) {
        let queued = self.f.spool.outbox(0, 1000).await.unwrap();
        let mut fresh = 0;
        let ids: BTreeSet<u64> = queued.iter().map(|q| q.id).collect();
        let gone: Vec<_> = self.model.outbox.keys().filter(|id| !ids.contains(id)).collect();
        assert!(gone.is_empty(), "messages are gone: {gone:?}");
        for q in queued {
            match self.model.outbox.get(&q.id) {
                Some(payload) => assert_eq!(*payload, q.message.payload, "message {}", q.id),
                None => {
                    assert!(
                        q.id > self.model.last_message || new.is_none(),
                        "number {} again",
                        q.id
                    );
                    fresh += 1;
                    self.model.outbox.insert(q.id, q.message.payload);
                }
            }
        }
        self.model.last_message = self.model.last_message.max(ids.last().copied().unwrap_or(0));
        assert!(new.is_none_or(|new| new == fresh), "{fresh} messages are new, not {new:?}");
    }
}

pub(crate) fn was_kept(account: &Account) -> bool {
    let sums = account.sums();
    assert!(sums.holds() && sums.in_hand == 0, "{sums:?}");
    let full = sums.refused[vedette::account::Refusal::DiskFull as usize];
    assert_eq!(sums.kept + full, 1, "{sums:?}");
    sums.kept == 1
}

pub(crate) fn message(payload: String) -> Message {
    let (kind, topic) = (Kind::Alarm, "t".to_owned());
    Message { kind, topic, payload: payload.into_bytes(), correlation: None }
}

fn moment(boot: u64, hours: u64) -> Moment {
    let boot = BootId(format!("{boot:08}-0000-4000-8000-000000000000"));
    Moment { boot, at: BootTime(1 + hours * HOUR_NS), wall: None }
}
