//! The spool beside its model: each operation is done to both, and after each the two are compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use proptest::sample::Index;
use vedette::account::Account;
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::command::{Reason, Status};
use vedette::contract::purge::Selection;
use vedette::contract::{Class, Facts, Trigger};
use vedette::spool::browse::{Ask, Entry, Filter, Told, Verdict};
use vedette::spool::retention::Limits;
use vedette::spool::{
    Acceptance, Address, Claim, Conclusion, Kind, Loss, Message, Moment, NewCommand, Opened, Order,
    Outcome, Receipt, RowEffect,
};
use vedette::still::EventEnd;

use crate::command_model::{Command, State};
use crate::disk::{Disk, Log};
use crate::fixture::{Closed, Fixture, body, facts, file};
use crate::model::{End, Event, Item, Model, Room, Row, judge};
use crate::ops::{CAMERAS, Op, Push};

const QUOTA: u64 = 60_000;
const CAMERA: u64 = 20_000;
const HOUR_NS: u64 = 3_600_000_000_000;
/// Wall time at hour 0.
const WALL_MS: i64 = 1_790_000_000_000;
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
    opened_at: u64,
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
    put: usize,
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

    // ---- pictures ----

    fn facts(&mut self, push: &Push) -> (Facts, Bytes, Item, Option<String>) {
        let seq = self.f.next_seq;
        let bytes = body(seq, push.len);
        let event = push.event.then(|| match &self.going_on[push.camera] {
            Some(event) => event.clone(),
            None => {
                let event = self.name("e");
                self.going_on[push.camera] = Some(event.clone());
                event
            }
        });
        let open: Vec<_> = self.model.commands.iter().filter(|(_, c)| c.wanted > 0).collect();
        let command = push.command.filter(|_| !open.is_empty());
        let command = command.map(|i| open[i.index(open.len())].0.clone());
        let facts = Facts {
            boot: BootId(self.boot()),
            captured: BootTime((self.hour - self.since) * HOUR_NS),
            wall: Some(WallTime(WALL_MS + i64::try_from(self.hour * 3_600_000).unwrap())),
            camera: CAMERAS[push.camera].into(),
            event: event.clone(),
            command: command.clone(),
            ..facts(seq, push.class, &bytes)
        };
        let item = Item {
            camera: push.camera,
            class: push.class,
            len: push.len,
            file: file(&facts, &bytes).len() as u64,
            captured: self.hour,
            event,
            key: None,
            rows: vec![Row { aside: false, attempts: 0 }],
        };
        (facts, bytes, item, command)
    }

    async fn push(&mut self, push: Push) {
        let (facts, bytes, item, command) = self.facts(&push);
        self.offer(facts, bytes, item, command).await;
    }

    /// Hands over one picture and holds what becomes of it, and of others for it, against the rules.
    async fn offer(
        &mut self,
        facts: Facts,
        bytes: Bytes,
        item: Item,
        command: Option<String>,
    ) -> bool {
        let seq = facts.seq;
        let account = self.f.hand_over_with(facts, bytes);
        self.f.spool.flush().await.unwrap();
        let taken = was_kept(&account);
        let gone = self.gone().await;
        let new = (item.camera, item.class, item.file);
        let room = self.room(item.camera);
        let judged = judge(&self.model, &self.lent_seqs(), new, &room, taken, &gone);
        judged.unwrap_or_else(|why| panic!("picture {seq}: {why}"));
        self.evicted(&gone);
        if taken {
            self.model.keep(seq, item, command.as_deref());
        }
        taken
    }

    fn room(&self, camera: usize) -> Room {
        let all = match self.limits {
            0 | 1 => QUOTA,
            2 => self.model.used(None),
            _ => 1 << 30,
        };
        Room { all, camera: (self.limits == 1 && camera == 1).then_some(CAMERA) }
    }

    async fn burst(&mut self, pushes: Vec<Push>) {
        let most = pushes.iter().map(|push| push.class).max().unwrap();
        let mut offered = Vec::new();
        for push in pushes {
            let (facts, bytes, item, command) = self.facts(&push);
            let seq = facts.seq;
            offered.push((seq, item, command, self.f.hand_over_with(facts, bytes)));
        }
        self.f.spool.flush().await.unwrap();
        let (before, lent) = (self.model.clone(), self.lent_seqs());
        let wanted: u64 = offered.iter().map(|(_, item, ..)| item.file).sum();
        let fits = before.used(None) + wanted <= self.room(0).all && self.limits != 1;
        let gone = self.gone().await;
        for seq in &gone {
            let item = &before.items[seq];
            assert!(!lent.contains(seq), "{seq} is lent out, and gone");
            assert!(item.row().aside || item.class <= most, "{seq} is worth more, and gone");
        }
        self.evicted(&gone);
        for (seq, item, command, account) in offered {
            if was_kept(&account) {
                self.model.keep(seq, item, command.as_deref());
            } else {
                assert!(!fits, "{seq} is refused, and there is room");
            }
        }
        // One of them may have made room for another.
        let gone = self.gone().await;
        assert!(!fits || gone.is_empty(), "{gone:?} went for nothing");
        self.evicted(&gone);
    }

    fn evicted(&mut self, gone: &BTreeSet<u64>) {
        let why = if self.limits == 2 { Loss::DiskFull } else { Loss::Quota };
        gone.iter().for_each(|seq| self.model.end(*seq, End::Lost(why)));
    }

    /// Pictures of the model that the spool no longer has.
    async fn gone(&self) -> BTreeSet<u64> {
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

    async fn claim(&mut self, order: Order) {
        let claim = self.f.spool.claim(order).await.unwrap();
        let (model, lent) = (&self.model, self.lent_seqs());
        let mut free = model.items.iter().filter(|(seq, item)| {
            !item.row().aside && !lent.contains(seq) && !model.resting.contains(seq)
        });
        let expected = match order {
            Order::Newest => free.next_back(),
            Order::Oldest => free.next(),
        };
        let expected = expected.map(|(seq, _)| *seq).filter(|_| !model.paused);
        assert_eq!(claim.as_ref().map(|c| c.seq), expected);
        let Some(claim) = claim else { return };
        let item = self.model.items.get_mut(&claim.seq).unwrap();
        assert_eq!(claim.attempts, item.row().attempts);
        let loaded = claim.load().unwrap();
        assert_eq!(loaded.body, body(claim.seq, item.len), "{}", claim.seq);
        assert_eq!(*item.key.get_or_insert_with(|| loaded.key.clone()), loaded.key);
        self.lent.push(claim);
    }

    fn take_claim(&mut self, i: Index) -> Option<Claim> {
        (!self.lent.is_empty()).then(|| self.lent.remove(i.index(self.lent.len())))
    }

    async fn finish(&mut self, i: Index, outcome: Outcome, rest: bool) {
        let Some(claim) = self.take_claim(i) else { return };
        let seq = claim.seq;
        let after = rest.then(|| Duration::from_secs(3600));
        self.f.spool.finish(seq, outcome.clone(), after).await.unwrap();
        match outcome {
            Outcome::Stored => return self.model.end(seq, End::Stored),
            Outcome::Quarantined(_) => return self.model.end(seq, End::Aside),
            Outcome::Refused => {
                let item = self.model.items.get_mut(&seq).unwrap();
                let row = item.row();
                item.rows.push(Row { attempts: row.attempts + 1, ..row });
            }
            Outcome::Lost(_) | Outcome::Released => {}
        }
        if rest {
            self.model.resting.insert(seq);
        }
    }

    async fn stored_and_told(&mut self, i: Index) {
        let Some(claim) = self.take_claim(i) else { return };
        let told = Some(message(self.name("s")));
        let key = claim.load().unwrap().key;
        let receipt = Receipt { key, size: 1, sha256: String::new(), captured: None, told };
        self.f.spool.stored(claim.seq, receipt).await.unwrap();
        self.put += 1;
        self.model.end(claim.seq, End::Stored);
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
        for due in due {
            let event = self.model.events[&due.event].clone();
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

    // ---- commands ----

    async fn accept(&mut self, pictures: u32, effect: Option<RowEffect>) -> String {
        let id = self.name("c");
        let tell = vec![Address { topic: format!("cmd/{id}/status"), correlation: None }];
        let new = NewCommand { id: id.clone(), op: "op".to_owned(), tell, effect, pictures };
        assert_eq!(self.f.spool.accept(new).await.unwrap(), Acceptance::New);
        let (tell, pictures_of) = (1, std::collections::BTreeMap::new());
        let command = Command { wanted: pictures, tell, state: State::Open, pictures: pictures_of };
        self.model.commands.insert(id.clone(), command);
        self.model.flushed();
        id
    }

    fn any_command(&mut self, i: Index) -> Option<(String, &mut Command)> {
        let count = self.model.commands.len();
        let found = self.model.commands.iter_mut().nth(if count > 0 { i.index(count) } else { 0 });
        found.map(|(id, command)| (id.clone(), command))
    }

    async fn taken(&mut self, i: Index, faulty: bool) {
        let Some((id, command)) = self.any_command(i) else { return };
        let kept = u32::try_from(command.pictures.len()).unwrap();
        // Of one that has ended nothing is written, and nothing is flushed with it.
        let writes = !matches!(command.state, State::Ended(_));
        let fault = faulty.then(|| (Status::TimedOut, Reason::new("timed-out", "late")));
        command.take(fault.as_ref().map(|fault| fault.0));
        self.f.spool.conclude(&id, Conclusion::Taken { kept, fault }).await.unwrap();
        if writes {
            self.model.flushed();
        }
    }

    async fn ended(&mut self, i: Index) {
        let Some((id, command)) = self.any_command(i) else { return };
        let writes = !matches!(command.state, State::Ended(_));
        if writes {
            command.state = State::Ended(Status::Rejected);
        }
        let ended = Conclusion::Ended { status: Status::Rejected, reason: None, result: None };
        self.f.spool.conclude(&id, ended).await.unwrap();
        if writes {
            self.model.flushed();
        }
    }

    // ---- what people ask ----

    async fn purge(&mut self, filter: Filter) {
        let (meant, lent) = (self.model.matching(&filter), self.lent_seqs());
        let ask = Ask::Purge { filter, above: 0 };
        let Told::Done(done) = self.f.spool.ask(ask).await.unwrap() else { panic!("it is done") };
        let (left, gone): (Vec<u64>, Vec<u64>) = meant.into_iter().partition(|s| lent.contains(s));
        let bytes: u64 = gone.iter().map(|seq| self.model.items[seq].file).sum();
        assert_eq!(done.sum(), (gone.len() as u64, bytes));
        assert_eq!((done.left, done.next), (left.len() as u64, None));
        gone.into_iter().for_each(|seq| self.model.end(seq, End::Lost(Loss::Purged)));
    }

    /// With nothing in flight: what a restart in the middle of it goes on with is then the same.
    async fn purge_by_command(&mut self, camera: Option<usize>) {
        self.lent.clear();
        self.f.spool.snapshot().await.unwrap();
        self.before = (self.log.now(), self.model.clone());
        let camera = camera.map(|camera| CAMERAS[camera].to_owned());
        let filter = Filter { camera: camera.clone(), ..Filter::default() };
        let wanted = Selection { camera, ..Selection::default() };
        let id = self.accept(0, Some(RowEffect::Purge(wanted))).await;
        self.purge_ends(&id).await;
        for seq in self.model.matching(&filter) {
            self.model.end(seq, End::Lost(Loss::Purged));
        }
        let command = self.model.commands.get_mut(&id).unwrap();
        command.state = State::Ended(Status::Succeeded);
        self.purged = Some(id);
    }

    /// Each call is a turn of the thread, and each turn a page.
    pub(crate) async fn purge_ends(&self, id: &str) {
        while self.f.spool.told(id).await.unwrap().is_some_and(|told| !told.status.is_final()) {}
    }

    async fn retry(&mut self, filter: Filter) {
        let (meant, lent) = (self.model.matching(&filter), self.lent_seqs());
        let ask = Ask::Retry { filter, above: 0 };
        let Told::Done(done) = self.f.spool.ask(ask).await.unwrap() else { panic!("it is done") };
        let mut again = 0;
        for seq in meant {
            let item = self.model.items.get_mut(&seq).unwrap();
            if item.row().aside {
                item.rows.push(Row { aside: false, attempts: 0 });
                again += 1;
            } else if !lent.contains(&seq) && self.model.resting.remove(&seq) {
                again += 1;
            }
        }
        assert_eq!((done.sum().0, done.left), (again, 0));
    }

    async fn check(&mut self, repair: bool) {
        let (mut found, mut above) = (Vec::new(), 0);
        loop {
            let ask = Ask::Check { repair, above };
            let Told::Checked(page) = self.f.spool.ask(ask).await.unwrap() else {
                panic!("it is checked")
            };
            found.extend(page.found);
            match page.next {
                Some(next) => above = next,
                None => break,
            }
        }
        let seqs: Vec<u64> = found.iter().map(|(seq, _)| *seq).collect();
        assert!(self.model.items.keys().all(|seq| seqs.contains(seq)), "some are not looked at");
        for (seq, verdict) in found {
            let stray = self.model.strays.contains(&seq);
            assert_eq!(stray, verdict == Verdict::Stray, "{seq}: {verdict:?}");
            assert!(stray || verdict.is_well(), "{seq}: {verdict:?}");
            if stray && repair {
                self.take_in(seq);
            }
        }
    }

    /// A picture that ended, whose file was back, is queued again: at least once is what is promised.
    fn take_in(&mut self, seq: u64) {
        self.model.strays.remove(&seq);
        let (mut item, _) = self.model.past.remove(&seq).unwrap();
        item.rows = vec![Row { aside: false, attempts: 0 }];
        if let Some(name) = &item.event {
            // It may have been told of already, and is followed again.
            let (camera, pictures) = (item.camera, std::collections::BTreeMap::new());
            let new = || Event { camera, pictures, over: None, sure: false };
            self.model.events.entry(name.clone()).or_insert_with(new).sure = false;
        }
        self.model.items.insert(seq, item);
        self.model.kept += 1;
        self.model.flushed();
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
    async fn compare_outbox(&mut self, new: Option<usize>) {
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

fn was_kept(account: &Account) -> bool {
    let sums = account.sums();
    assert!(sums.holds() && sums.in_hand == 0, "{sums:?}");
    let full = sums.refused[vedette::account::Refusal::DiskFull as usize];
    assert_eq!(sums.kept + full, 1, "{sums:?}");
    sums.kept == 1
}

fn message(payload: String) -> Message {
    let (kind, topic) = (Kind::Alarm, "t".to_owned());
    Message { kind, topic, payload: payload.into_bytes(), correlation: None }
}

fn moment(boot: u64, hours: u64) -> Moment {
    let boot = BootId(format!("{boot:08}-0000-4000-8000-000000000000"));
    Moment { boot, at: BootTime(1 + hours * HOUR_NS), wall: None }
}
