//! What the spool's tests share: a spool in a temporary directory, and pictures to put into it.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;
use vedette::account::{Account, Refusal};
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::{Class, Facts, Trigger};
use vedette::frame::Stamp;
use vedette::spool::retention::Limits;
use vedette::spool::{
    Durability, Moment, OpenError, Opened, Settings, Snapshot, Spill, Spool, trailer,
};
use vedette::still::Shot;

pub(crate) const BOOT: &str = "11111111-0000-4000-8000-000000000000";
pub(crate) const SECOND_BOOT: &str = "22222222-0000-4000-8000-000000000000";
pub(crate) const OTHER_BOOT: &str = "33333333-0000-4000-8000-000000000000";

/// The bytes of a picture follow from its number.
pub(crate) fn body(seq: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seq).fill(&mut bytes);
    bytes.into()
}

/// Facts of a picture of [`BOOT`] with a wall time, captured `seq` seconds after boot.
pub(crate) fn facts(seq: u64, class: Class, body: &[u8]) -> Facts {
    Facts {
        boot: BootId(BOOT.into()),
        seq,
        captured: BootTime(seq * 1_000_000_000),
        stamp: Stamp::Driver,
        wall: Some(WallTime(1_690_000_000_000 + i64::try_from(seq).unwrap())),
        device: "cam".into(),
        camera: "front".into(),
        trigger: Trigger::Motion,
        event: None,
        event_final: false,
        command: None,
        class,
        content_type: "image/jpeg".into(),
        len: body.len() as u64,
        sha256: trailer::sha256_hex(body),
        meta: [("site".to_owned(), "bern".to_owned())].into(),
        key_template: "v1/cam/{camera}/{yyyy}/{mm}/{dd}/{hhmmss.mmm}Z-{trigger}-{seq}-{sha16}.jpg"
            .into(),
    }
}

/// A whole spool file.
pub(crate) fn file(facts: &Facts, body: &[u8]) -> Vec<u8> {
    [body, &trailer::encode(facts).unwrap()].concat()
}

pub(crate) fn moment(boot: &str) -> Moment {
    Moment { boot: BootId(boot.into()), at: BootTime(1), wall: None }
}

/// A spool's directory without an agent.
pub(crate) struct Closed {
    dir: Place,
    limits: Limits,
    durability: Durability,
}

/// The directory, which goes with its owner or belongs to somebody else.
enum Place {
    Own(TempDir),
    Lent(PathBuf),
}

/// An open spool in a directory of its own.
pub(crate) struct Fixture {
    closed: Closed,
    pub(crate) spool: Spool,
    pub(crate) next_seq: u64,
}

impl Closed {
    pub(crate) fn new() -> Self {
        let dir = Place::Own(TempDir::new().unwrap());
        Self { dir, limits: Limits::bytes(1 << 30), durability: Durability::Always }
    }

    /// In a directory of the caller's.
    pub(crate) fn at(path: &Path, limits: Limits) -> Self {
        Self { dir: Place::Lent(path.to_owned()), limits, ..Self::new() }
    }

    /// Pictures are held in memory.
    pub(crate) fn spilling(self, spill: Spill) -> Self {
        Self { durability: Durability::Spill(spill), ..self }
    }

    fn settings(&self) -> Settings {
        let (limits, durability) = (self.limits.clone(), self.durability);
        Settings { path: self.path().to_owned(), limits, durability }
    }

    pub(crate) fn path(&self) -> &Path {
        match &self.dir {
            Place::Own(dir) => dir.path(),
            Place::Lent(path) => path,
        }
    }

    pub(crate) fn image(&self, seq: u64) -> PathBuf {
        self.path().join(format!("images/{:08x}/{seq:016x}", seq >> 10))
    }

    pub(crate) fn open(self, boot: &str) -> (Fixture, Opened) {
        self.open_at(moment(boot))
    }

    pub(crate) fn open_at(self, now: Moment) -> (Fixture, Opened) {
        let (spool, opened) = Spool::open(&self.settings(), now).unwrap();
        (Fixture { closed: self, spool, next_seq: opened.next_seq }, opened)
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_quota(1 << 30)
    }

    pub(crate) fn with_quota(quota: u64) -> Self {
        Self::with_limits(Limits::bytes(quota))
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Closed { limits, ..Closed::new() }.open(BOOT).0
    }

    pub(crate) fn path(&self) -> &Path {
        self.closed.path()
    }

    pub(crate) fn image(&self, seq: u64) -> PathBuf {
        self.closed.image(seq)
    }

    /// Stops in order and starts again.
    pub(crate) async fn reopen(&mut self, boot: &str) -> Opened {
        self.reopen_at(moment(boot)).await
    }

    pub(crate) async fn reopen_at(&mut self, now: Moment) -> Opened {
        self.spool.stop().await;
        let opened;
        (self.spool, opened) = self.open_with(now).unwrap();
        self.next_seq = opened.next_seq;
        opened
    }

    pub(crate) fn open_again(&self) -> Result<(Spool, Opened), OpenError> {
        self.open_with(moment(BOOT))
    }

    fn open_with(&self, now: Moment) -> Result<(Spool, Opened), OpenError> {
        Spool::open(&self.closed.settings(), now)
    }

    /// Goes on with what a SIGKILL now would leave.
    pub(crate) async fn kill(&mut self, boot: &str) -> Opened {
        let (next, opened) = self.copy().open(boot);
        self.spool.stop().await;
        *self = next;
        opened
    }

    /// What a SIGKILL now would leave: the directory, copied while the thread waits for work.
    pub(crate) fn copy(&self) -> Closed {
        let dir = TempDir::new().unwrap();
        copy_tree(self.path(), dir.path());
        let (limits, durability) = (self.closed.limits.clone(), self.closed.durability);
        Closed { dir: Place::Own(dir), limits, durability }
    }

    /// Hands over the next picture; its own account tells what became of it.
    pub(crate) fn hand_over(&mut self, class: Class, len: usize) -> Account {
        let body = body(self.next_seq, len);
        self.hand_over_with(facts(self.next_seq, class, &body), body)
    }

    pub(crate) fn hand_over_with(&mut self, facts: Facts, bytes: Bytes) -> Account {
        self.next_seq = facts.seq + 1;
        let account = Account::new(u64::MAX / 2);
        let token = account.choose(facts.len).unwrap();
        self.spool.store(Shot { bytes, facts, token });
        account
    }

    /// Hands over the next picture and waits for its answer.
    pub(crate) async fn offer(&mut self, class: Class, len: usize) -> Result<u64, Refusal> {
        let seq = self.next_seq;
        let account = self.hand_over(class, len);
        self.answer(seq, &account).await
    }

    pub(crate) async fn keep(&mut self, class: Class, len: usize) -> u64 {
        self.offer(class, len).await.unwrap()
    }

    /// Keeps a picture that was taken before the clock was trusted.
    pub(crate) async fn keep_untimed(&mut self, len: usize) -> u64 {
        let seq = self.next_seq;
        let body = body(seq, len);
        let facts = Facts { wall: None, ..facts(seq, Class::Event, &body) };
        let account = self.hand_over_with(facts, body);
        self.answer(seq, &account).await.unwrap()
    }

    /// Keeps the next picture, its facts changed.
    pub(crate) async fn keep_as(&mut self, change: impl FnOnce(&mut Facts)) -> u64 {
        self.offer_as(300, change).await.unwrap()
    }

    /// Hands over the next picture, its facts changed, and waits for its answer.
    pub(crate) async fn offer_as(
        &mut self,
        len: usize,
        change: impl FnOnce(&mut Facts),
    ) -> Result<u64, Refusal> {
        let seq = self.next_seq;
        let body = body(seq, len);
        let mut facts = facts(seq, Class::Event, &body);
        change(&mut facts);
        let account = self.hand_over_with(facts, body);
        self.answer(seq, &account).await
    }

    async fn answer(&self, seq: u64, account: &Account) -> Result<u64, Refusal> {
        self.spool.flush().await.unwrap();
        let sums = account.sums();
        assert!(sums.holds() && sums.in_hand == 0, "{sums:?}");
        match Refusal::ALL.into_iter().find(|why| sums.refused[*why as usize] > 0) {
            Some(why) => Err(why),
            None => Ok(seq),
        }
    }

    /// Writes a whole file as a spool would that was killed before its rows were committed.
    pub(crate) fn lay_down(&self, seq: u64, len: usize) -> u64 {
        let body = body(seq, len);
        fs::write(self.image(seq), file(&facts(seq, Class::Event, &body), &body)).unwrap();
        seq
    }

    /// As [`Fixture::lay_down`], its facts changed.
    pub(crate) fn lay_down_as(&self, seq: u64, change: impl FnOnce(&mut Facts)) {
        let body = body(seq, 300);
        let mut facts = facts(seq, Class::Event, &body);
        change(&mut facts);
        let image = self.image(seq);
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        fs::write(image, file(&facts, &body)).unwrap();
    }

    /// Makes the index fail, undamaged, whenever a command or a message is written: no transaction with
    /// one can be committed until [`Fixture::mend_index`].
    pub(crate) fn break_index(&self) {
        for (name, what) in [
            ("no1", "INSERT ON commands"),
            ("no2", "UPDATE ON commands"),
            ("no3", "INSERT ON outbox"),
            ("no4", "UPDATE ON events"),
        ] {
            self.sql(&format!(
                "CREATE TRIGGER {name} BEFORE {what} BEGIN SELECT zeroblob(1 << 31); END"
            ));
        }
    }

    pub(crate) fn mend_index(&self) {
        self.sql("DROP TRIGGER no1; DROP TRIGGER no2; DROP TRIGGER no3; DROP TRIGGER no4");
    }

    /// The account, which balances: as told, and as another reader of the index sees it.
    pub(crate) async fn balanced(&self) -> Snapshot {
        let snapshot = self.spool.snapshot().await.unwrap();
        assert!(snapshot.holds(), "{snapshot:?}");
        let (kept, sum, rows): (i64, i64, i64) = self
            .connect()
            .query_row(
                "SELECT sum(kept), sum(stored + queued + quarantined + lost),
                        sum(queued + quarantined) = (SELECT count(*) FROM items WHERE state < 3)
                 FROM totals HAVING count(*) > 0",
                [],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
            )
            .unwrap_or((0, 0, 1));
        assert_eq!((kept, rows), (sum, 1));
        assert!(snapshot.outbox.holds(), "{snapshot:?}");
        let queued = snapshot.outbox.kinds.iter().map(|kind| kind.queued).sum::<u64>();
        assert_eq!(queued, self.count("outbox"));
        snapshot
    }

    pub(crate) fn sql(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    /// Rows of a table.
    pub(crate) fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.connect().query_row(&sql, [], |r| r.get::<_, i64>(0)).unwrap().try_into().unwrap()
    }

    pub(crate) fn explain(&self, sql: &str) -> String {
        let conn = self.connect();
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = statement.query_map([], |r| r.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.path().join("index.db")).unwrap()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
