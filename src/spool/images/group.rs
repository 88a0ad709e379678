//! Writing pictures: in groups, so that a burst shares its flushes.
//!
//! Group commit without a timer: an idle disk flushes at once, and what arrives during a flush joins
//! the next group. A picture whose file fails is refused alone; where the directory fails, its group is.
//! Pictures that were held in memory are written the same way, and stay there where that fails.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::time::Instant;

use tracing::{error, warn};

use super::Images;
use super::room::Coming;
use crate::account::Refusal;
use crate::contract::{Class, Facts};
use crate::spool::Loss;
use crate::spool::db::{DbError, NewItem, State};
use crate::spool::files::{self, DIR_SHIFT, SEQ_END};
use crate::spool::retention::Unit;
use crate::spool::{recover, trailer};
use crate::still::Shot;

/// Most pictures in a group.
const GROUP_ITEMS: usize = 32;
/// Most bytes in a group of more than one.
const GROUP_BYTES: u64 = 4 << 20;
/// How many of the pictures that wait are written together: up to 32 and 4 MiB (and never more than
/// the quota), or one, and all in one directory.
pub(in crate::spool) fn group_len(
    shots: impl Iterator<Item = (u64, u64)>,
    max_bytes: u64,
) -> usize {
    let (mut len, mut bytes, mut dir) = (0, 0_u64, None);
    for (seq, size) in shots {
        bytes = bytes.saturating_add(size);
        let here = seq >> DIR_SHIFT;
        let fits = bytes <= GROUP_BYTES.min(max_bytes) && *dir.get_or_insert(here) == here;
        if len > 0 && (!fits || len == GROUP_ITEMS) {
            break;
        }
        len += 1;
    }
    len
}

/// A picture with its trailer.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) shot: Shot,
    pub(super) trailer: Vec<u8>,
    /// Since when it was held in memory; `None` for one that was just handed over.
    pub(super) held: Option<Instant>,
}

impl Prepared {
    /// Of its file.
    pub(super) fn bytes(&self) -> u64 {
        (self.shot.bytes.len() + self.trailer.len()) as u64
    }

    pub(super) fn seq_and_len(&self) -> (u64, u64) {
        (self.shot.facts.seq, self.shot.bytes.len() as u64)
    }
}

impl Images {
    /// Takes pictures, in order: writes them, and answers each, or holds them.
    pub(in crate::spool) fn write(&mut self, shots: Vec<Shot>) {
        let new = shots.into_iter().filter_map(|shot| self.prepare(shot)).collect();
        self.take(new);
    }

    /// Writes one group and answers each of its pictures.
    pub(super) fn write_group(&mut self, mut group: Vec<Prepared>) {
        let Some(dir) = group.first().map(|p| p.shot.facts.seq >> DIR_SHIFT) else { return };
        let worth = least(&group).map(|i| group[i].shot.facts.class);
        if worth.is_some_and(|worth| !self.regrow_reserve(worth)) {
            warn!(pictures = group.len(), "The disk is full; pictures are refused.");
            return self.none_written(group, Refusal::DiskFull);
        }
        while !group.is_empty() && !self.make_room(&coming(&group)) {
            let Some(least) = least(&group) else { break };
            let least = group.remove(least);
            warn!(seq = least.shot.facts.seq, "No room for a picture.");
            self.not_written(least, Refusal::DiskFull);
        }
        if group.is_empty() {
            return;
        }
        if let Err(error) = self.cx.layout.make_image_dir(dir) {
            error!(%error, dir, "An image directory cannot be made; its pictures are refused.");
            return self.none_written(group, refusal_of(&error));
        }
        self.current_dir = self.current_dir.max(dir);
        let written = self.write_files(group);
        if let Err(error) = files::sync_dir(&self.cx.layout.dir(dir)) {
            error!(%error, dir, "A directory cannot be made durable; its new pictures are refused.");
            for p in &written {
                self.remove_file(p.shot.facts.seq);
            }
            self.none_written(written, refusal_of(&error));
            self.drop_index();
            self.reopen();
            return;
        }
        self.acknowledge(written);
    }

    fn prepare(&mut self, shot: Shot) -> Option<Prepared> {
        let seq = shot.facts.seq;
        if seq <= self.high || seq >= SEQ_END {
            error!(
                seq,
                high = self.high,
                "A sequence number is out of order; its picture is refused."
            );
            shot.token.refused(Refusal::Storage);
            return None;
        }
        self.high = seq;
        if shot.facts.len != shot.bytes.len() as u64 {
            error!(seq, "A picture's facts are of another length; it is refused.");
            shot.token.refused(Refusal::Broken);
            return None;
        }
        match trailer::encode(&shot.facts) {
            Ok(trailer) => Some(Prepared { shot, trailer, held: None }),
            Err(error) => {
                error!(%error, seq, "A picture's facts cannot be written; it is refused.");
                shot.token.refused(Refusal::Broken);
                None
            }
        }
    }

    /// Makes a group's files durable, though not yet their names. Those that fail are answered here.
    fn write_files(&mut self, group: Vec<Prepared>) -> Vec<Prepared> {
        // All are written before the first is synced, so that the disk works on them together.
        let files: Vec<io::Result<File>> = group.iter().map(|p| self.write_in_room(p)).collect();
        let mut written = Vec::with_capacity(group.len());
        for (p, file) in group.into_iter().zip(files) {
            match file.and_then(|file| self.sync_or_rewrite(&file, &p)) {
                Ok(()) => written.push(p),
                Err(error) => {
                    error!(%error, seq = p.shot.facts.seq, "An image cannot be written.");
                    self.not_written(p, refusal_of(&error));
                }
            }
        }
        written
    }

    /// Others may take what was free a moment ago; then something is given up for the picture, once.
    fn write_in_room(&mut self, p: &Prepared) -> io::Result<File> {
        match self.write_file(p) {
            Err(error) if files::is_full(&error) => {
                // More than the picture itself: files have more blocks than bytes.
                let (bytes, worth) = (p.bytes() + (64 << 10), p.shot.facts.class);
                if self.displace(None, bytes, Unit::Bytes, worth, Loss::DiskFull) {
                    self.write_file(p)
                } else {
                    Err(error)
                }
            }
            done => done,
        }
    }

    fn write_file(&self, p: &Prepared) -> io::Result<File> {
        files::write_image(&self.cx.layout.image(p.shot.facts.seq), &p.shot.bytes, &p.trailer)
    }

    /// After a failed fsync the kernel calls the lost pages clean, so the descriptor is never synced
    /// again: the picture gets one try as a new file.
    fn sync_or_rewrite(&self, file: &File, p: &Prepared) -> io::Result<()> {
        let seq = p.shot.facts.seq;
        let Err(error) = file.sync_data() else { return Ok(()) };
        warn!(%error, seq, "An image could not be made durable; it is written once more.");
        fs::remove_file(self.cx.layout.image(seq))?;
        let again = self.write_file(p)?.sync_data();
        if again.is_err() {
            self.remove_file(seq);
        }
        again
    }

    fn acknowledge(&mut self, written: Vec<Prepared>) {
        if written.is_empty() {
            return;
        }
        let mut rows = Vec::with_capacity(written.len());
        let mut out_of_memory = Vec::new();
        for p in written {
            let bytes = p.bytes();
            let Shot { bytes: body, facts, token } = p.shot;
            token.kept();
            rows.push(self.row(&facts, bytes));
            self.held.wrote(facts.seq);
            match p.held {
                None => self.note_final(&facts),
                Some(_) => out_of_memory.push((facts.seq, facts.camera.clone())),
            }
            self.used += bytes;
            self.warm.keep(facts, body);
        }
        let forget = std::mem::take(&mut self.forget);
        let Some(mut inserted) = self.on_index(|db| db.insert(&rows, &forget)) else {
            self.reopen();
            return;
        };
        if let Err(error @ DbError::Full(_)) = &inserted
            && self.give_reserve(error)
            && let Some(again) = self.on_index(|db| db.insert(&rows, &forget))
        {
            inserted = again;
        }
        self.forget = forget;
        match inserted {
            Ok(()) => {
                let waits = rows.iter().filter(|row| row.state == State::Waiting).count() as u64;
                self.add_waiting(waits);
                self.news |= waits < rows.len() as u64;
                self.forgot();
                self.place_loans(&out_of_memory);
            }
            Err(error) => {
                // Recovery adopts what was just written.
                self.index_failed(&error);
                self.reopen();
            }
        }
    }

    fn none_written(&mut self, group: Vec<Prepared>, why: Refusal) {
        for p in group {
            self.not_written(p, why);
        }
    }

    fn row(&self, facts: &Facts, bytes: u64) -> NewItem {
        let mut row = recover::row_of(facts, bytes, &self.cx.now);
        if row.state == State::Waiting && !self.boots.current().waits(facts.seq) {
            row.state = State::Ready;
        }
        row
    }
}

/// What a group needs.
fn coming(group: &[Prepared]) -> Coming<'_> {
    let mut cameras = BTreeMap::new();
    for p in group {
        *cameras.entry(p.shot.facts.camera.as_str()).or_default() += p.bytes();
    }
    Coming {
        bytes: group.iter().map(Prepared::bytes).sum(),
        files: group.len() as u64,
        worth: least(group).map_or(Class::Interval, |i| group[i].shot.facts.class),
        cameras,
    }
}

/// The last of those that are worth least.
fn least(group: &[Prepared]) -> Option<usize> {
    (0..group.len()).rev().min_by_key(|i| group[*i].shot.facts.class as usize)
}

fn refusal_of(e: &io::Error) -> Refusal {
    if files::is_full(e) { Refusal::DiskFull } else { Refusal::Storage }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(shots: &[(u64, u64)]) -> usize {
        group_len(shots.iter().copied(), u64::MAX)
    }

    #[test]
    fn a_group_ends_at_32_pictures_at_4_mib_and_at_a_directorys_end() {
        let many: Vec<_> = (1..100).map(|seq| (seq, 1)).collect();
        assert_eq!(len(&many), 32);
        assert_eq!(len(&[(1, 2 << 20), (2, 2 << 20), (3, 1)]), 2);
        assert_eq!(len(&[(1022, 1), (1023, 1), (1024, 1)]), 2);
        assert_eq!(len(&[]), 0);
    }

    #[test]
    fn one_picture_is_a_group_however_large() {
        assert_eq!(len(&[(1, 9 << 20), (2, 1)]), 1);
        assert_eq!(group_len([(1, 50), (2, 60)].into_iter(), 100), 1);
    }
}
