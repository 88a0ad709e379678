//! A backlog as large as it is asked for, laid down in the spool's own format without a single flush: trailers by the
//! crate's encoder, the index by its own schema files. Only laying it down is quick; what is there is real, and
//! `vedette spool check` finds nothing wrong with it.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, params};
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::{Class, Facts, Trigger};
use vedette::frame::Stamp;
use vedette::spool::trailer;

/// The boot of all its pictures, which is over.
pub(crate) const BOOT: &str = "44444444-0000-4000-8000-000000000000";
const CAMERAS: [&str; 2] = ["front", "yard"];
const UUID: &str = "0f3c9a52-0000-4000-8000-000000000001";
const SCHEMA: [&str; 4] = [
    include_str!("../../src/spool/schema.sql"),
    include_str!("../../src/spool/schema-2.sql"),
    include_str!("../../src/spool/schema-3.sql"),
    include_str!("../../src/spool/schema-4.sql"),
];

/// What is to be laid down.
pub(crate) struct Backlog<'a> {
    /// Pictures that wait.
    pub(crate) pictures: u64,
    /// Pictures with lower numbers that were stored and removed, leaving holes in the index.
    pub(crate) removed: u64,
    /// Bytes of each picture, where they are random.
    pub(crate) bytes: usize,
    /// The same picture each time instead.
    pub(crate) jpeg: Option<&'a Bytes>,
    /// With an index, or with none at all.
    pub(crate) index: bool,
}

impl Backlog<'_> {
    /// Lays it down in `root`, which must be empty; how many bytes its files have.
    pub(crate) fn lay(&self, root: &Path) -> u64 {
        for dir in ["images", "boots"] {
            fs::create_dir_all(root.join(dir)).expect("a backlog can be laid down");
        }
        let json = format!(r#"{{"format":1,"uuid":"{UUID}","generation":1,"seq_floor":1}}"#);
        fs::write(root.join("spool.json"), json + "\n").expect("a backlog can be laid down");
        let mut index = self.index.then(|| Index::begin(root));
        let last = self.removed + self.pictures;
        let (mut sum, mut dir) = (0, String::new());
        for seq in 1..=last {
            let waits = seq > self.removed;
            let mut bytes = self.bytes as u64;
            if waits {
                let here = format!("images/{:08x}", seq >> 10);
                if dir != here {
                    fs::create_dir_all(root.join(&here)).expect("a backlog can be laid down");
                    dir = here;
                }
                let file = self.file(seq);
                bytes = file.len() as u64;
                fs::write(root.join(&dir).join(format!("{seq:016x}")), file)
                    .expect("a backlog can be laid down");
                sum += bytes;
            }
            if let Some(index) = &mut index {
                index.put(seq, bytes);
            }
        }
        if let Some(index) = index {
            index.end(self.removed, last);
        }
        sum
    }

    fn file(&self, seq: u64) -> Vec<u8> {
        let mut body = self.jpeg.map_or_else(|| vec![0; self.bytes], |jpeg| jpeg.to_vec());
        if self.jpeg.is_none() {
            fastrand::Rng::with_seed(seq).fill(&mut body);
        }
        let trailer = trailer::encode(&facts(seq, &body)).expect("a backlog can be laid down");
        body.extend(trailer);
        body
    }
}

/// The class of a picture: of eight, one is an event's best and three are its others.
pub(crate) fn class(seq: u64) -> Class {
    match seq % 8 {
        0 => Class::Best,
        1 | 3 | 5 => Class::Event,
        _ => Class::Interval,
    }
}

fn facts(seq: u64, body: &[u8]) -> Facts {
    let class = class(seq);
    let event = (class != Class::Interval).then(|| format!("44444444-{:x}", seq * 1000));
    Facts {
        boot: BootId(BOOT.into()),
        seq,
        captured: BootTime(seq * 1_000_000_000),
        stamp: Stamp::Driver,
        wall: Some(WallTime(
            1_700_000_000_000 + i64::try_from(seq * 1000).expect("a backlog can be laid down"),
        )),
        device: "cam-1".into(),
        camera: CAMERAS[(seq % 2) as usize].into(),
        trigger: if event.is_some() { Trigger::Motion } else { Trigger::Interval },
        event_final: event.is_some(),
        event,
        command: None,
        class,
        content_type: "image/jpeg".into(),
        len: body.len() as u64,
        sha256: trailer::sha256_hex(body),
        meta: [("site", "bern"), ("motion", "0.043"), ("box", "120-80-64-96")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        key_template: vedette::contract::key::DEFAULT_TEMPLATE.into(),
    }
}

struct Index(Connection);

impl Index {
    fn begin(root: &Path) -> Self {
        let conn = Connection::open(root.join("index.db")).expect("a backlog can be laid down");
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; BEGIN")
            .expect("a backlog can be laid down");
        for step in SCHEMA {
            conn.execute_batch(step).expect("a backlog can be laid down");
        }
        conn.pragma_update(None, "user_version", SCHEMA.len() as i64)
            .expect("a backlog can be laid down");
        for (id, name) in (0_i64..).zip(CAMERAS) {
            conn.execute("INSERT INTO cameras VALUES (?, ?)", params![id, name])
                .expect("a backlog can be laid down");
        }
        Self(conn)
    }

    fn put(&mut self, seq: u64, bytes: u64) {
        self.0
            .prepare_cached(
                "INSERT INTO items (seq, state, camera, class, boot, bytes) VALUES (?, 1, ?, ?, 1, ?)",
            )
            .expect("a backlog can be laid down")
            .execute(params![int(seq), int(seq % 2), class(seq) as i64, int(bytes)])
            .expect("a backlog can be laid down");
    }

    /// The sums, as they follow from the rows; then the rows of those that were stored go.
    fn end(self, removed: u64, last: u64) {
        let sums = "INSERT INTO totals (camera, class, kept, stored, queued, queued_bytes)
             SELECT camera, class, count(*), sum(seq <= ?1), sum(seq > ?1), sum((seq > ?1) * bytes)
             FROM items GROUP BY camera, class";
        self.0.execute(sums, [int(removed)]).expect("a backlog can be laid down");
        let boot = "INSERT INTO boots VALUES (1, ?, ?, ?)";
        self.0
            .execute(boot, params![BOOT, int(last - removed), int(last * 1_000_000_000)])
            .expect("a backlog can be laid down");
        let ledger = "INSERT INTO ledger VALUES (1, ?, 1, ?, 1, NULL, ?)";
        self.0.execute(ledger, params![UUID, BOOT, int(last)]).expect("a backlog can be laid down");
        self.0.execute_batch("COMMIT; BEGIN").expect("a backlog can be laid down");
        self.0
            .execute("DELETE FROM items WHERE seq <= ?", [int(removed)])
            .expect("a backlog can be laid down");
        self.0.execute_batch("COMMIT").expect("a backlog can be laid down");
    }
}

fn int(n: u64) -> i64 {
    i64::try_from(n).expect("a backlog can be laid down")
}
