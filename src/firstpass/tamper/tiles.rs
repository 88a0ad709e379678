//! How much neighbours differ in the tiles of a scene, as it was learnt and as it is.
//!
//! Called by [`super::layout`]. A tile's sums are made in single precision, sample by sample and row by row;
//! rounding makes that order count. So it is tiles that a vector holds beside each other: rows are taken
//! apart for that, and all tiles of a row are added to at once.

use std::ops::Range;

/// Tiles beside each other.
pub(super) const ACROSS: usize = 8;

/// Which columns each of them has; their widths differ by one at most.
type Columns = [Range<usize>; ACROSS];

/// Of each tile, over all differences from the neighbour to the right and from that below.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Their squares in the learnt scene.
    pub(super) then: [f32; ACROSS],
    /// Their squares in this one.
    pub(super) now: [f32; ACROSS],
    /// The one times the other.
    pub(super) both: [f32; ACROSS],
}

/// Makes the sums; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    here: Row,
    below: Row,
}

/// A row of samples, by how far into their tiles they lie. The last ones are neighbours only.
#[derive(Debug, Default)]
struct Row {
    learnt: Vec<[f32; ACROSS]>,
    scene: Vec<[i16; ACROSS]>,
}

impl Tiles {
    /// Of all rows but the last, which is a neighbour only. Both scenes are `width` wide, and so is no
    /// column's right neighbour beyond it.
    pub(super) fn sums(
        &mut self,
        (learnt, scene): (&[f32], &[i16]),
        width: usize,
        columns: &Columns,
    ) -> Sums {
        let shared = columns.iter().map(Range::len).min().unwrap_or_default();
        let mut sums = Sums::default();
        let mut rows = learnt.chunks_exact(width).zip(scene.chunks_exact(width));
        let Some(mut here) = rows.next() else { return sums };
        self.below.take(here, columns, shared);
        for below in rows {
            std::mem::swap(&mut self.here, &mut self.below);
            self.below.take(below, columns, shared);
            sums.add_shared(&self.here, &self.below);
            for (i, xs) in columns.iter().enumerate() {
                for x in xs.start + shared..xs.end {
                    for (row, next) in [(here, x + 1), (below, x)] {
                        sums.add(i, row.0[next] - here.0[x], row.1[next] - here.1[x]);
                    }
                }
            }
            here = below;
        }
        sums
    }
}

impl Row {
    fn take(&mut self, (learnt, scene): (&[f32], &[i16]), columns: &Columns, shared: usize) {
        take_apart(learnt, columns, shared + 1, &mut self.learnt);
        take_apart(scene, columns, shared + 1, &mut self.scene);
    }
}

/// The first `count` samples of each tile, and what is right of a tile that is narrower.
fn take_apart<T: Copy + Default>(
    row: &[T],
    columns: &Columns,
    count: usize,
    out: &mut Vec<[T; ACROSS]>,
) {
    let tiles = columns.each_ref().map(|xs| &row[xs.start..xs.start + count]);
    out.resize(count, [T::default(); ACROSS]);
    for (k, lanes) in out[..count].iter_mut().enumerate() {
        *lanes = tiles.map(|tile| tile[k]);
    }
}

impl Sums {
    /// The differences of one sample of tile `i`. Means are of one sign, so that theirs fit 16 bits.
    #[inline(always)]
    fn add(&mut self, i: usize, was: f32, is: i16) {
        let is = f32::from(is);
        self.then[i] += was * was;
        self.now[i] += is * is;
        self.both[i] += was * is;
    }

    /// Those of all samples but the last of each tile.
    fn add_shared(&mut self, here: &Row, below: &Row) {
        let mut sums = *self;
        let learnt = here.learnt.iter().zip(&here.learnt[1..]).zip(&below.learnt);
        let scene = here.scene.iter().zip(&here.scene[1..]).zip(&below.scene);
        for (((was, was_right), was_below), ((is, is_right), is_below)) in learnt.zip(scene) {
            for i in 0..ACROSS {
                sums.add(i, was_right[i] - was[i], is_right[i] - is[i]);
            }
            for i in 0..ACROSS {
                sums.add(i, was_below[i] - was[i], is_below[i] - is[i]);
            }
        }
        *self = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the last bit: sample by sample, row by row, first to the right and then below.
    #[test]
    fn sums_are_made_in_the_order_of_the_samples() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut tiles = Tiles::default();
        for (width, rows) in [(16, 2), (17, 5), (33, 1), (80, 8), (241, 23), (97, 0), (25, 4)] {
            let learnt: Vec<f32> = (0..width * rows).map(|_| rng.f32() * 32640.0).collect();
            let scene: Vec<i16> = (0..width * rows).map(|_| rng.i16(0..=32640)).collect();
            let columns: Columns =
                std::array::from_fn(|i| i * (width - 1) / ACROSS..(i + 1) * (width - 1) / ACROSS);
            let sums = tiles.sums((&learnt, &scene), width, &columns);
            for (i, xs) in columns.into_iter().enumerate() {
                let (mut then, mut now, mut both) = (0.0_f32, 0.0_f32, 0.0_f32);
                for y in 1..rows.max(1) {
                    for at in xs.clone().map(|x| (y - 1) * width + x) {
                        for next in [at + 1, at + width] {
                            let was = learnt[next] - learnt[at];
                            let is = f32::from(scene[next]) - f32::from(scene[at]);
                            then += was * was;
                            now += is * is;
                            both += was * is;
                        }
                    }
                }
                assert_eq!((sums.then[i], sums.now[i], sums.both[i]), (then, now, both), "{width}");
            }
        }
    }
}
