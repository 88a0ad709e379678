//! Making room: the plan of `retention`, carried out by walking the index.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracing::warn;

use super::{EVICT_ITEMS, Images, used};
use crate::contract::Class;
use crate::spool::Loss;
use crate::spool::db::End;
use crate::spool::reserve::RESERVE;
use crate::spool::retention::{self, Evict, Room, Source, Space, Stock, Unit};

/// Pictures that want to be written.
#[derive(Debug)]
pub(super) struct Coming<'a> {
    /// Bytes of their files.
    pub(super) bytes: u64,
    /// How many.
    pub(super) files: u64,
    /// The class of the least of them: they displace nothing that is worth more.
    pub(super) worth: Class,
    /// Bytes by camera.
    pub(super) cameras: BTreeMap<&'a str, u64>,
}

/// How far thinning has come with one camera's pictures of a class, in this run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    above: u64,
    /// The next one stays.
    spare: bool,
}

pub(super) type Cursors = HashMap<(i64, u8), Cursor>;

impl Images {
    /// Makes room for what comes; whether there is.
    pub(super) fn make_room(&mut self, coming: &Coming<'_>) -> bool {
        if !self.limits.cameras.is_empty() && !self.make_room_within_cameras(coming) {
            return false;
        }
        // Others' files are counted after our own have gone.
        let space = self.space();
        let room = self.limits.room(self.used, &space);
        let fits = self.used.saturating_add(coming.bytes) <= room.bytes;
        if fits && coming.files <= room.files {
            return true;
        }
        if coming.bytes > self.limits.max_bytes {
            return false;
        }
        // What was stored meanwhile still counts in `used`, and is free on the disk already: the index says how much
        // there is, or the same bytes would be room twice.
        if let Some(totals) = self.with_db(|db| db.totals()) {
            self.used = used(&totals);
        }
        self.make_room_in(self.limits.room(self.used, &space), coming)
    }

    fn make_room_in(&mut self, room: Room, coming: &Coming<'_>) -> bool {
        let worth = coming.worth;
        let files = coming.files.saturating_sub(room.files);
        if files > 0 && !self.displace(None, files, Unit::Items, worth, Loss::DiskFull) {
            return false;
        }
        let missing = |used: u64| used.saturating_add(coming.bytes).saturating_sub(room.bytes);
        let why = match room.bytes < self.limits.max_bytes {
            true => Loss::DiskFull,
            false => Loss::Quota,
        };
        match missing(self.used) {
            0 => true,
            bytes => self.displace(None, bytes, Unit::Bytes, worth, why),
        }
    }

    fn make_room_within_cameras(&mut self, coming: &Coming<'_>) -> bool {
        let Some(stock) = self.with_db(|db| db.stock()) else { return true };
        coming.cameras.iter().all(|(camera, bytes)| {
            let Some(most) = self.limits.cameras.get(*camera).copied() else { return true };
            let held = stock.iter().find(|(name, _)| name == camera).map(|(_, stock)| *stock);
            let used = held.map_or(0, |stock| stock.used);
            match (used.saturating_add(*bytes).saturating_sub(most), held) {
                (0, _) => true,
                (missing, Some(stock)) if *bytes <= most => {
                    let worth = coming.worth;
                    self.displace(Some(stock.camera), missing, Unit::Bytes, worth, Loss::Quota)
                }
                _ => false,
            }
        })
    }

    /// The reserve is whole, or pictures that are worth no more than those that come were given up for it until it was;
    /// or there is nothing to give up, and what it holds will do.
    pub(super) fn regrow_reserve(&mut self, worth: Class) -> bool {
        // Letting go of pictures takes room itself, and files have more blocks than bytes.
        for _ in 0..4 {
            if self.reserve.regrow().is_ok() {
                return true;
            }
            let wanted = RESERVE + RESERVE / 4;
            let missing = wanted.saturating_sub(self.space().free_bytes).max(RESERVE / 4);
            if !self.displace(None, missing, Unit::Bytes, worth, Loss::DiskFull) {
                return self.reserve.will_do();
            }
        }
        self.reserve.regrow().is_ok() || self.reserve.will_do()
    }

    /// The file system; where it cannot be asked, it is as if it were endless.
    pub(super) fn space(&self) -> Space {
        self.cx.layout.space().unwrap_or_else(|error| {
            warn!(%error, "The spool's file system does not tell how much is free.");
            Space { bytes: u64::MAX, free_bytes: u64::MAX, files: 0, free_files: 0 }
        })
    }

    /// Gives up pictures that are worth no more than `worth`, of one camera or of all; whether that made enough room.
    pub(super) fn displace(
        &mut self,
        camera: Option<i64>,
        missing: u64,
        unit: Unit,
        worth: Class,
        why: Loss,
    ) -> bool {
        let Some(stock) = self.stock() else { return false };
        let stock: Vec<Stock> =
            stock.into_iter().filter(|s| camera.is_none_or(|c| c == s.camera)).collect();
        let Some(plan) = retention::plan(&stock, missing, unit, worth) else { return false };
        let mut ends = Vec::new();
        for evict in plan {
            let Some((seqs, got)) = self.walk(evict) else { return false };
            if got < evict.amount {
                return false;
            }
            ends.extend(seqs.into_iter().map(|seq| (seq, End::Lost(why))));
        }
        self.evict(&ends)
    }

    /// What may be given up, by camera.
    fn stock(&mut self) -> Option<Vec<Stock>> {
        let found = self.with_db(|db| db.stock())?;
        let mut stock: Vec<Stock> = found.into_iter().map(|(_, stock)| stock).collect();
        for (camera, class, bytes) in self.loans.lent() {
            if let Some(s) = stock.iter_mut().find(|s| s.camera == camera) {
                let shelf = &mut s.queue[class as usize];
                shelf.items = shelf.items.saturating_sub(1);
                shelf.bytes = shelf.bytes.saturating_sub(bytes);
            }
        }
        Some(stock)
    }

    /// Pictures of one shelf that make up so much: every second one from where the last walk ended, and round
    /// again; or the oldest, where the shelf is not thinned. With how much they make up.
    fn walk(&mut self, evict: Evict) -> Option<(BTreeSet<u64>, u64)> {
        let Evict { camera, from, amount, unit } = evict;
        let key = match from {
            Source::Queue(class) if from.is_thinned() => Some((camera, class as u8)),
            _ => None,
        };
        let mut at = key.and_then(|key| self.cursors.get(&key)).copied().unwrap_or_default();
        let (mut found, mut got) = (BTreeSet::new(), 0);
        // A round that finds nobody, from the beginning to the end, is the last.
        let (mut anybody, mut whole) = (false, at.above == 0);
        'rounds: while got < amount {
            let page = self.with_db(|db| db.oldest_of(camera, from, at.above))?;
            let Some(last) = page.last().map(|item| item.seq) else {
                if whole && !anybody {
                    break;
                }
                (at.above, anybody, whole) = (0, false, true);
                continue;
            };
            for item in page {
                if self.loans.is_lent(item.seq) || found.contains(&item.seq) {
                    continue;
                }
                anybody = true;
                at.above = item.seq;
                if key.is_some() && std::mem::take(&mut at.spare) {
                    continue;
                }
                at.spare = true;
                found.insert(item.seq);
                got += if unit == Unit::Items { 1 } else { item.bytes };
                if got >= amount {
                    break 'rounds;
                }
            }
            at.above = last;
        }
        if let Some(key) = key {
            self.cursors.insert(key, at);
        }
        Some((found, got))
    }

    /// Lets go of pictures, in order: rows and totals durably, then the files. Whether it could.
    pub(super) fn evict(&mut self, ends: &[(u64, End)]) -> bool {
        // A few at a time: on a full disk the commit has only the reserve to write to.
        for ends in ends.chunks(EVICT_ITEMS) {
            let (forget, now) = (self.forget.clone(), self.boots.wall_now());
            let Some(settled) = self.with_db(|db| db.settle(ends, &forget, now)) else {
                return false;
            };
            let gone = settled.gone;
            self.set_waiting(self.waiting.saturating_sub(settled.waited));
            self.followed.mail |= settled.put;
            let why = ends
                .first()
                .and_then(|(_, end)| if let End::Lost(why) = end { Some(*why) } else { None });
            if let Some(why) = why {
                warn!(pictures = gone.len(), reason = why.name(), "Pictures are given up.");
            }
            self.forgot();
            match why {
                Some(Loss::Purged | Loss::Age) => self.remove_for_good(gone),
                _ => self.remove_files(gone),
            }
        }
        let Some(totals) = self.with_db(|db| db.totals()) else { return false };
        self.used = used(&totals);
        !ends.is_empty()
    }
}
