//! The states in which a power cut may leave a disk, made from its log.
//!
//! A state is everything up to some flush, and of what was written after it, until some moment before
//! the next flush, an arbitrary part: a disk's cache may write in any order, and whole or not at all.
//! Writes are cut at 4 KiB, the file system's block. Moments are drawn by a seed and visited in their
//! order, so that the log is applied once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::nbd::Op;

const BLOCK: usize = 4096;

/// One state.
pub(crate) struct State<'a> {
    /// How many operations the disk had been told.
    pub(crate) at: usize,
    /// The disk.
    pub(crate) image: &'a [u8],
    /// A seed of its own.
    pub(crate) seed: u64,
}

/// Calls `visit` with `count` states between `from` (the first moment of interest) and the log's end.
pub(crate) fn states(
    base: &[u8],
    ops: &[Op],
    from: usize,
    count: usize,
    rng: &mut fastrand::Rng,
    mut visit: impl FnMut(&State<'_>),
) {
    let mut moments: Vec<usize> = (0..count).map(|_| rng.usize(from..=ops.len())).collect();
    moments.sort_unstable();
    let (mut flushed, mut applied) = (base.to_vec(), 0);
    for at in moments {
        let last = ops[..at].iter().rposition(|op| *op == Op::Flush).map_or(0, |at| at + 1);
        for op in &ops[applied.min(last)..last] {
            write(&mut flushed, op, |_, _| true);
        }
        applied = applied.max(last);
        // All of the tail, none of it, or some: few, half, most.
        let share = [1.0, 0.0, 0.1, 0.5, 0.5, 0.9][rng.usize(..6)];
        let mut before = Vec::new();
        for op in &ops[last..at] {
            write(&mut flushed, op, |at, old| {
                let keep = rng.f64() < share;
                if keep {
                    before.push((at, old.to_vec()));
                }
                keep
            });
        }
        visit(&State { at, image: &flushed, seed: rng.u64(..) });
        for (at, old) in before.into_iter().rev() {
            flushed[at..at + old.len()].copy_from_slice(&old);
        }
    }
}

/// Writes the disk into a file, which need not be empty; what is nothing but zeros becomes a hole.
pub(crate) fn lay_down(image: &[u8], path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    file.set_len(image.len() as u64)?;
    for (n, block) in image.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (n * BLOCK) as u64)?;
        }
    }
    Ok(())
}

fn write(image: &mut [u8], op: &Op, mut keep: impl FnMut(usize, &[u8]) -> bool) {
    let Op::Write(offset, data) = op else { return };
    let offset = usize::try_from(*offset).unwrap();
    for (n, block) in data.chunks(BLOCK).enumerate() {
        let at = offset + n * BLOCK;
        let old = &mut image[at..at + block.len()];
        if keep(at, old) {
            old.copy_from_slice(block);
        }
    }
}
