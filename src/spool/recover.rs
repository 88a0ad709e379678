//! Opening a spool, whatever state it was left in.
//!
//! In the ordinary case this costs the suffix and not the backlog: the index is opened, files above its
//! `high_seq` are adopted (whole ones) or deleted (torn writes), and rows of pictures that were done
//! with are finished, once the index's log is durable. A lost or damaged index is set aside, and a new one begins with a
//! new ledger generation, far above every number that may ever have been used. It is filled from the trailers, by a
//! short read of every file, while the spool is in use already: see `rebuild`.
//!
//! Called by `Spool::open`, and by the spool's thread when the index failed under it. Every step may be
//! cut off by a power cut and is done again by the next start.

mod identity;
mod rebuild;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tracing::{error, info, warn};

use self::identity::{keep_identity, new_uuid, read_identity, write_identity};
pub(super) use self::rebuild::Rebuild;
use super::db::{Db, DbError, Follow, Ledger, Moment, NewItem, Part, State};
use super::files::{self, DIR_SHIFT, Identity, ImageError, Layout, SEQ_END};
use crate::clock::{BootId, BootTime};
use crate::contract::{Class, Facts, Trigger};
use crate::health::Beat;

/// How far a rebuilt ledger skips: more pictures than can have come and gone unseen.
pub(super) const SKIP: u64 = 1 << 20;
/// Files adopted in one transaction.
const BATCH: usize = 256;

/// Why a spool cannot be opened now.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    /// Its files cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its index cannot be used.
    #[error(transparent)]
    Index(#[from] DbError),
}

impl RecoverError {
    /// Is the disk full?
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => files::is_full(source),
            Self::Index(DbError::Full(_)) => true,
            Self::Index(_) => false,
        }
    }
}

type Result<T> = std::result::Result<T, RecoverError>;

/// What recovery is told.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) layout: Layout,
    /// Now, for a ledger that begins.
    pub(super) now: Moment,
    pub(super) beat: Beat,
}

/// An open index and what was done to open it.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) db: Db,
    /// Highest sequence number in use.
    pub(super) high: u64,
    /// Highest image directory.
    pub(super) current_dir: u64,
    /// Whole files that had no row.
    pub(super) adopted: u64,
    /// Torn writes deleted.
    pub(super) torn: u64,
    /// Done rows whose removal was finished.
    pub(super) finished: u64,
    /// A new ledger generation began because the old index was lost.
    pub(super) rebuilt: bool,
    /// A rebuild that goes on, this one's or an earlier one's.
    pub(super) rebuild: Option<Rebuild>,
    /// Boots of which something is left.
    pub(super) boots: Vec<BootId>,
}

/// Opens the index and brings it up to the files. `known_high` is the highest sequence number of this
/// process, when it runs already: then a rebuilt ledger goes on from there.
pub(super) fn recover(cx: &Context, known_high: Option<u64>) -> Result<Recovered> {
    match recover_once(cx, known_high) {
        Err(RecoverError::Index(DbError::Corrupt(why))) => {
            error!(why, "The index is damaged inside; it is set aside and rebuilt.");
            set_aside(&cx.layout)?;
            recover_once(cx, known_high)
        }
        done => done,
    }
}

fn recover_once(cx: &Context, known_high: Option<u64>) -> Result<Recovered> {
    let (db, rebuilt) = open_or_rebuild(cx, known_high)?;
    let durable = make_durable(cx, &db, known_high)?;
    let high = db.ledger()?.high_seq;
    let dirs = cx.layout.dirs().map_err(at(&cx.layout.images()))?;
    let current_dir = dirs.last().copied().unwrap_or(0);
    let mut done = Recovered {
        db,
        high,
        current_dir,
        adopted: 0,
        torn: 0,
        finished: 0,
        rebuilt,
        rebuild: None,
        boots: Vec::new(),
    };
    for dir in dirs.into_iter().filter(|dir| *dir >= high >> DIR_SHIFT) {
        adopt_dir(cx, &mut done, dir, high)?;
    }
    if durable {
        finish_done(cx, &mut done)?;
    }
    done.rebuild = rebuild::begin(cx, &mut done.db)?;
    done.boots = done.db.boots_in_use()?;
    // What will be read next is read here too, where damage still leads to a rebuild.
    done.db.totals()?;
    done.db.waiting()?;
    done.db.losses()?;
    done.db.check_followed()?;
    done.high = done.high.max(known_high.unwrap_or(0));
    Ok(done)
}

/// Makes what the index says durable before anything is done by it; whether that could be had.
///
/// A commit that was never flushed, because the process was killed before it could be or because the disk
/// failed at it, is read like any other as long as the machine runs: a file removed by it would be gone
/// after a power cut, and its row back. After a failed flush the kernel calls the log's pages clean, so the
/// log is not flushed again but moved into the database. Where the disk is full, that is a matter for the
/// reserve; a start without one, or on a disk that fails, leaves removals to the next start. Where the index failed
/// under a running spool, it stays closed.
fn make_durable(cx: &Context, db: &Db, known_high: Option<u64>) -> Result<bool> {
    let reserved = || cx.layout.reserve().metadata().is_ok_and(|m| m.len() > 0);
    let error = match db.checkpoint() {
        Ok(()) => return Ok(true),
        Err(DbError::Failed(error)) if known_high.is_none() => error,
        Err(DbError::Full(error)) if known_high.is_none() && !reserved() => error,
        Err(e) => return Err(e.into()),
    };
    warn!(%error, "The index's log cannot be made durable; removals wait for the next start.");
    Ok(false)
}

/// Removes each of these directories that is not current and whose range has no rows, unless a rebuild may yet find
/// files there.
pub(super) fn tidy(db: &Db, layout: &Layout, dirs: &BTreeSet<u64>, current: u64) {
    if dirs.is_empty() {
        return;
    }
    let unread = match db.unread() {
        Ok(unread) => unread.unwrap_or_default(),
        Err(error) => return warn!(%error, "The index does not tell which directories are empty."),
    };
    let may_go = |dir: &u64| *dir < current && !rebuild::holds(&unread, *dir);
    for dir in dirs.iter().copied().filter(may_go) {
        let removed = match db.any_between(dir << DIR_SHIFT, (dir + 1) << DIR_SHIFT) {
            Ok(true) => continue,
            Ok(false) => layout.remove_image_dir(dir).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        if let Err(error) = removed {
            warn!(error, dir, "An empty image directory cannot be removed.");
        }
    }
}

/// The row of a picture that its trailer describes. Whether it waits for a clock is decided when the
/// boot record is at hand.
pub(super) fn row_of(facts: &Facts, file_len: u64, now: &Moment) -> NewItem {
    let waits = facts.wall.is_none() && facts.boot == now.boot;
    NewItem {
        seq: facts.seq,
        state: if waits { State::Waiting } else { State::Ready },
        camera: facts.camera.clone(),
        class: facts.class,
        boot: facts.boot.clone(),
        captured: facts.captured,
        bytes: file_len,
        outcome: None,
        follow: follow_of(facts),
    }
}

fn follow_of(facts: &Facts) -> Option<Follow> {
    let closing = facts.event_final || facts.trigger == Trigger::Manifest;
    let event = facts.event.clone().map(|event| match closing {
        true => Part::Closing(event),
        false => Part::One(event, facts.captured),
    });
    let command = facts.command.clone();
    (command.is_some() || event.is_some()).then_some(Follow { command, event })
}

fn open_or_rebuild(cx: &Context, known_high: Option<u64>) -> Result<(Db, bool)> {
    let (layout, path) = (&cx.layout, cx.layout.index());
    let identity = read_identity(layout)?;
    let dirs = layout.dirs().map_err(at(&layout.images()))?;
    if path.exists() {
        match open_own(&path, identity.as_ref()) {
            Ok(db) => {
                keep_identity(layout, identity, &db)?;
                return Ok((db, false));
            }
            Err(DbError::Corrupt(why)) => {
                error!(why, "The index is damaged; it is set aside and rebuilt from the images.");
            }
            Err(e) => return Err(e.into()),
        }
    } else if dirs.is_empty() && known_high.is_none() {
        return begin(cx, identity).map(|db| (db, false));
    } else {
        error!("The index is gone; it is rebuilt from the images.");
    }
    set_aside(layout)?;
    rebuild(cx, identity, &dirs, known_high).map(|db| (db, true))
}

fn open_own(path: &Path, identity: Option<&Identity>) -> std::result::Result<Db, DbError> {
    let db = Db::open(path)?;
    let spool = db.ledger()?.spool;
    match identity {
        Some(identity) if identity.uuid != spool => {
            Err(DbError::Corrupt("it belongs to another spool".to_owned()))
        }
        _ => Ok(db),
    }
}

/// A spool that never was: its identity first, then its empty ledger.
fn begin(cx: &Context, identity: Option<Identity>) -> Result<Db> {
    let identity = match identity {
        Some(identity) => identity,
        None => write_identity(
            &cx.layout,
            Identity { format: 1, uuid: new_uuid(), generation: 1, seq_floor: 1 },
        )?,
    };
    build(cx, &identity, &(0..0))
}

fn rebuild(
    cx: &Context,
    identity: Option<Identity>,
    dirs: &[u64],
    known_high: Option<u64>,
) -> Result<Db> {
    let old = identity.unwrap_or_else(|| Identity {
        format: 1,
        uuid: new_uuid(),
        generation: 0,
        seq_floor: 1,
    });
    // An emptied directory still tells how far the numbers went.
    let highest = dirs.last().map_or(0, |dir| ((dir + 1) << DIR_SHIFT) - 1).max(old.seq_floor);
    let seq_floor = match known_high {
        Some(high) => high + 1,
        None => (highest + SKIP).min(SEQ_END - 1),
    };
    let identity = Identity { generation: old.generation + 1, seq_floor, ..old };
    // The identity first: cut off here, the next start rebuilds as yet another generation.
    let identity = write_identity(&cx.layout, identity)?;
    // What was written by now lies below the floor, and what will be lies above it.
    let db = build(cx, &identity, &(0..seq_floor))?;
    info!(
        generation = identity.generation,
        directories = dirs.len(),
        "A new ledger generation has begun; its index is filled from the images."
    );
    Ok(db)
}

/// Makes an index beside the place where it belongs, and puts it there when it is durable, as are the files that it will
/// be filled from: a process that was killed leaves whole ones that are not.
fn build(cx: &Context, identity: &Identity, unread: &Range<u64>) -> Result<Db> {
    let (root, path) = (cx.layout.root(), cx.layout.index());
    let new = root.join("index.new");
    for leftover in ["index.new", "index.new-journal", "index.db-wal", "index.db-shm"] {
        remove_if_there(&root.join(leftover)).map_err(at(root))?;
    }
    let ledger = Ledger {
        spool: identity.uuid.clone(),
        generation: identity.generation,
        began: cx.now.clone(),
        high_seq: identity.seq_floor.saturating_sub(1),
    };
    Db::create(&new, &ledger, unread)?;
    files::sync_all(root).map_err(at(root))?;
    fs::rename(&new, &path).map_err(at(&path))?;
    files::sync_dir(root).map_err(at(root))?;
    Ok(Db::open(&path)?)
}

/// What to do with a file that has no row: `Some` row, or it was deleted (`None`). A broken file above
/// `high_seq` is a torn write, as nothing else comes there; in a rebuild it may be a picture that was
/// acknowledged and has rotted since, so it is set aside unless it is empty.
fn found(
    cx: &Context,
    seq: u64,
    read: std::result::Result<(Facts, u64), ImageError>,
    suffix: bool,
) -> Option<NewItem> {
    let path = cx.layout.image(seq);
    let why = match read {
        Ok((facts, len)) if facts.seq == seq => return Some(row_of(&facts, len, &cx.now)),
        Err(ImageError::Missing) => return None,
        Err(ImageError::Io(error)) => {
            warn!(%error, seq, "An image cannot be read; it is set aside.");
            "unreadable"
        }
        Ok(_) | Err(ImageError::Broken(_)) => "corrupt",
    };
    let bytes = fs::metadata(&path).map_or(0, |m| m.len());
    if why == "corrupt" && (suffix || bytes == 0) {
        if let Err(error) = cx.layout.remove_image(seq) {
            warn!(%error, seq, "A torn write cannot be removed.");
        }
        return None;
    }
    Some(NewItem {
        seq,
        state: State::Quarantined,
        camera: "unknown".to_owned(),
        class: Class::Interval,
        boot: cx.now.boot.clone(),
        captured: BootTime(0),
        bytes,
        outcome: Some(why),
        follow: None,
    })
}

/// Adopts a directory's whole files above `high`, and deletes its torn ones.
fn adopt_dir(cx: &Context, done: &mut Recovered, dir: u64, high: u64) -> Result<()> {
    let path = cx.layout.dir(dir);
    let mut seqs = cx.layout.seqs(dir).map_err(at(&path))?;
    seqs.retain(|seq| *seq > high);
    for batch in seqs.chunks(BATCH) {
        let mut items = Vec::new();
        for seq in batch {
            cx.beat.busy();
            let image = cx.layout.image(*seq);
            let read = files::read_image(&image).map(|(facts, body)| {
                let len = fs::metadata(&image).map_or(body.len() as u64, |m| m.len());
                (facts, len)
            });
            match found(cx, *seq, read, true) {
                Some(item) => {
                    // A killed process leaves whole files that are not durable yet.
                    files::sync_file(&image).map_err(at(&image))?;
                    items.push(item);
                }
                None => done.torn += 1,
            }
        }
        files::sync_dir(&path).map_err(at(&path))?;
        done.db.insert(&items, &[])?;
        done.adopted += items.len() as u64;
        done.high = items.last().map_or(done.high, |item| done.high.max(item.seq));
    }
    if done.adopted + done.torn > 0 {
        files::sync_dir(&cx.layout.images()).map_err(at(&path))?;
    }
    Ok(())
}

fn finish_done(cx: &Context, done: &mut Recovered) -> Result<()> {
    let seqs = done.db.done()?;
    for seq in &seqs {
        cx.layout.remove_image(*seq).map_err(at(&cx.layout.image(*seq)))?;
    }
    if !seqs.is_empty() {
        let dirs: BTreeSet<u64> = seqs.iter().map(|seq| seq >> DIR_SHIFT).collect();
        // Without their rows nobody would remove them again, should a power cut bring them back.
        for dir in dirs.iter().map(|dir| cx.layout.dir(*dir)).filter(|dir| dir.exists()) {
            files::sync_dir(&dir).map_err(at(&dir))?;
        }
        done.db.forget(&seqs)?;
        tidy(&done.db, &cx.layout, &dirs, done.current_dir);
    }
    done.finished = seqs.len() as u64;
    Ok(())
}

/// Moves a damaged index and its log out of the way, under the first free number.
pub(super) fn set_aside(layout: &Layout) -> Result<()> {
    let root = layout.root();
    let name = |n: u32, tail: &str| root.join(format!("index.db.broken-{n}{tail}"));
    let free = (1..).find(|n| !name(*n, "").exists() && !name(*n, "-wal").exists()).unwrap_or(1);
    for tail in ["", "-wal"] {
        let from = root.join(format!("index.db{tail}"));
        if from.exists() {
            fs::rename(&from, name(free, tail)).map_err(at(&from))?;
        }
    }
    files::sync_dir(root).map_err(at(root))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> RecoverError + use<> {
    let path = path.to_owned();
    move |source| RecoverError::Io { path: path.clone(), source }
}
