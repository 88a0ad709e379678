//! What the spool should hold, as maps and numbers: no file, no SQL, and nothing of the spool's own code but its
//! words.
//!
//! Most of it is exact. A picture's row may fall back in a power cut, as far as nothing was flushed since: `Item::rows`
//! holds each state that it may be found in, the last is what it is.

use std::collections::{BTreeMap, BTreeSet};

use vedette::contract::Class;
use vedette::contract::manifest;
use vedette::spool::Loss;
use vedette::spool::browse::{Entry, Filter, Held};

use crate::command_model::Command;
use crate::ops::CAMERAS;

/// Hours after which a picture is removed, sent or not.
pub(crate) const MAX_AGE: u64 = 24;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) aside: bool,
    pub(crate) attempts: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) camera: usize,
    pub(crate) class: Class,
    pub(crate) len: usize,
    /// Bytes of its file.
    pub(crate) file: u64,
    /// The hour.
    pub(crate) captured: u64,
    pub(crate) event: Option<String>,
    /// The key under which it was claimed before: it never changes.
    pub(crate) key: Option<String>,
    pub(crate) rows: Vec<Row>,
}

impl Item {
    pub(crate) fn row(&self) -> Row {
        self.rows[self.rows.len() - 1]
    }

    /// Quarantine first, then by class.
    fn shelf(&self) -> usize {
        if self.row().aside { 0 } else { 1 + self.class as usize }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Stored,
    Aside,
    Lost(Loss),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) camera: usize,
    pub(crate) pictures: BTreeMap<u64, manifest::State>,
    /// The hour at which the spool heard of its end.
    pub(crate) over: Option<u64>,
    /// A power cut in the middle of something left open what is known of it.
    pub(crate) sure: bool,
}

impl Event {
    /// All its pictures have ended, or have been waited for: ten minutes, and here time goes by in hours.
    pub(crate) fn is_due(&self, hour: u64) -> bool {
        let pending = self.pictures.values().any(|state| *state == manifest::State::Pending);
        self.over.is_some_and(|over| !pending || hour > over)
    }
}

/// How many were lost, by camera, class and reason.
pub(crate) type Lost = BTreeMap<(String, usize, String), u64>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) items: BTreeMap<u64, Item>,
    /// What ended, and how.
    pub(crate) past: BTreeMap<u64, (Item, End)>,
    /// Files of pictures that ended, which a power cut brought back.
    pub(crate) strays: BTreeSet<u64>,
    /// The highest number that was ever acknowledged.
    pub(crate) highest: u64,
    pub(crate) kept: u64,
    pub(crate) stored: u64,
    pub(crate) lost: Lost,
    /// Not to be claimed for a while; memory only.
    pub(crate) resting: BTreeSet<u64>,
    pub(crate) commands: BTreeMap<String, Command>,
    pub(crate) paused: bool,
    pub(crate) outbox: BTreeMap<u64, Vec<u8>>,
    /// The highest number of a message that was acknowledged.
    pub(crate) last_message: u64,
    /// Taken off the outbox since the last flush: a power cut may bring them back.
    pub(crate) arrived: BTreeMap<u64, Vec<u8>>,
    pub(crate) events: BTreeMap<String, Event>,
}

impl Model {
    pub(crate) fn used(&self, camera: Option<usize>) -> u64 {
        let of = |item: &&Item| camera.is_none_or(|camera| item.camera == camera);
        self.items.values().filter(of).map(|item| item.file).sum()
    }

    pub(crate) fn keep(&mut self, seq: u64, item: Item, command: Option<&str>) {
        if let Some(name) = &item.event {
            let camera = item.camera;
            let new = || Event { camera, pictures: BTreeMap::new(), over: None, sure: true };
            let event = self.events.entry(name.clone()).or_insert_with(new);
            event.pictures.insert(seq, manifest::State::Pending);
        }
        if let Some(command) = command.and_then(|id| self.commands.get_mut(id))
            && !matches!(command.state, crate::command_model::State::Ended(_))
        {
            command.pictures.insert(seq, None);
        }
        self.items.insert(seq, item);
        self.highest = self.highest.max(seq);
        self.kept += 1;
    }

    /// A picture's time in the queue ends, or in quarantine; the index was flushed with it.
    pub(crate) fn end(&mut self, seq: u64, end: End) {
        let Some(item) = self.items.get_mut(&seq) else { panic!("{seq} is not there to end") };
        let state = match end {
            End::Stored => manifest::State::Stored,
            End::Aside => manifest::State::Quarantined,
            End::Lost(_) => manifest::State::Lost,
        };
        let of = |event: &mut Event| event.pictures.get_mut(&seq).map(|was| *was = state);
        item.event.clone().and_then(|name| self.events.get_mut(&name).and_then(of));
        if end == End::Aside {
            let attempts = item.row().attempts;
            item.rows.push(Row { aside: true, attempts });
        } else if let Some(item) = self.items.remove(&seq) {
            self.count(&item, end);
            self.past.insert(seq, (item, end));
            self.resting.remove(&seq);
        }
        for command in self.commands.values_mut() {
            if let Some(picture) = command.pictures.get_mut(&seq) {
                *picture = Some(end == End::Stored);
                command.look();
            }
        }
        self.flushed();
    }

    fn count(&mut self, item: &Item, end: End) {
        match end {
            End::Stored => self.stored += 1,
            End::Aside => {}
            End::Lost(why) => {
                let key = (CAMERAS[item.camera].into(), item.class as usize, why.name().into());
                *self.lost.entry(key).or_default() += 1;
            }
        }
    }

    /// All rows are durable.
    pub(crate) fn flushed(&mut self) {
        for item in self.items.values_mut() {
            item.rows = vec![item.row()];
        }
        self.arrived.clear();
    }

    /// A new run: what was memory is gone, what was open is ended.
    pub(crate) fn restarted(&mut self, hour: u64) {
        self.resting.clear();
        for event in self.events.values_mut() {
            event.over.get_or_insert(hour);
        }
        self.commands.values_mut().for_each(Command::interrupt);
    }

    /// What is too old at this hour: with each picture all that have lower numbers.
    pub(crate) fn too_old(&self, hour: u64) -> Vec<u64> {
        let old = |item: &Item| hour.saturating_sub(item.captured) >= MAX_AGE;
        let cutoff = self.items.iter().filter(|(_, item)| old(item)).map(|(seq, _)| *seq).max();
        self.items.keys().copied().filter(|seq| Some(*seq) <= cutoff).collect()
    }

    pub(crate) fn matching(&self, filter: &Filter) -> Vec<u64> {
        let fits = |item: &Item| {
            filter.camera.as_deref().is_none_or(|camera| camera == CAMERAS[item.camera])
                && filter.class.is_none_or(|class| class == item.class)
                && filter.held.is_none_or(|held| (held == Held::Quarantined) == item.row().aside)
        };
        self.items.iter().filter(|(_, item)| fits(item)).map(|(seq, _)| *seq).collect()
    }

    /// What a listing should say of one.
    pub(crate) fn holds(&self, entry: &Entry, lent: bool) -> bool {
        let Some(item) = self.items.get(&entry.seq) else { return false };
        let row = item.row();
        entry.camera == CAMERAS[item.camera]
            && entry.class == item.class
            && entry.bytes == item.file
            && entry.attempts == row.attempts
            && entry.held == if row.aside { Held::Quarantined } else { Held::Queued }
            && entry.in_flight == lent
            && entry.resting == (self.resting.contains(&entry.seq) && !lent)
    }
}

/// What a picture needs, and what there is.
pub(crate) struct Room {
    /// Most bytes in all, and most of the picture's camera.
    pub(crate) all: u64,
    pub(crate) camera: Option<u64>,
}

/// Was a single picture of these bytes, of this camera and class, rightly taken (or refused), and was the right
/// `gone` for it?
///
/// - nothing that is lent out goes, and nothing that is worth more;
/// - of each camera all that is worth less goes before what is worth more;
/// - no more goes than is needed, but for the last picture of each camera's shelf;
/// - it is refused only where all that may go would not do.
pub(crate) fn judge(
    model: &Model,
    lent: &BTreeSet<u64>,
    new: (usize, Class, u64),
    room: &Room,
    taken: bool,
    gone: &BTreeSet<u64>,
) -> Result<(), String> {
    let (camera, class, bytes) = new;
    let free =
        |item: &(&u64, &Item)| !lent.contains(item.0) && item.1.shelf() <= 1 + class as usize;
    let free: BTreeMap<u64, &Item> =
        model.items.iter().filter(free).map(|(seq, item)| (*seq, item)).collect();
    if let Some(seq) = gone.iter().find(|seq| !free.contains_key(seq)) {
        return Err(format!("{seq} had to go, which is lent out or worth more"));
    }
    for item in gone.iter().map(|seq| free[seq]) {
        let left = |(seq, other): &(&u64, &&Item)| {
            other.camera == item.camera && other.shelf() < item.shelf() && !gone.contains(seq)
        };
        if let Some((seq, _)) = free.iter().find(left) {
            return Err(format!("{seq} stayed, which is worth less than one that went"));
        }
    }
    let of = |camera: usize| free.values().filter(move |i| i.camera == camera).map(|i| i.file);
    let own_missing =
        room.camera.map_or(0, |most| (model.used(Some(camera)) + bytes).saturating_sub(most));
    let own_fits =
        room.camera.is_none_or(|most| bytes <= most && of(camera).sum::<u64>() >= own_missing);
    let freed: u64 = gone.iter().map(|seq| free[seq].file).sum();
    let used = model.used(None);
    if !taken {
        let more: u64 = free.iter().filter(|(s, _)| !gone.contains(s)).map(|(_, i)| i.file).sum();
        let fits = bytes <= room.all && (used - freed + bytes).saturating_sub(room.all) <= more;
        return match own_fits && fits {
            true => Err("it was refused, and there was room to be made".to_owned()),
            false => Ok(()),
        };
    }
    if !own_fits || used - freed + bytes > room.all {
        return Err(format!("it was taken without room: {used} less {freed} and {bytes} more"));
    }
    let own_freed: u64 =
        gone.iter().map(|seq| free[seq]).filter(|i| i.camera == camera).map(|i| i.file).sum();
    if own_freed < own_missing {
        return Err(format!("its camera holds too much: {own_freed} of {own_missing} are freed"));
    }
    let mut largest: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for item in gone.iter().map(|seq| free[seq]) {
        let shelf = largest.entry((item.camera, item.shelf())).or_default();
        *shelf = item.file.max(*shelf);
    }
    let missing = own_missing.max((used + bytes).saturating_sub(room.all));
    let over: u64 = largest.values().sum::<u64>() * if room.camera.is_some() { 2 } else { 1 };
    if freed > missing + over {
        return Err(format!("{freed} bytes went where {missing} were missing"));
    }
    Ok(())
}
