//! How much neighbours differ in the tiles of a scene, as it was learnt and as it is.
//!
//! Called by [`super::layout`]. Sums are made in single precision, and rounding makes their order count: first
//! down each column, then over the columns of a tile. So the loop is along the rows, as they lie in memory, and
//! knows nothing of tiles.

use std::ops::Range;

use crate::firstpass::shrink::{Loops, widest};

/// Tiles beside each other.
pub(super) const ACROSS: usize = 8;

/// Which columns each of them has.
type Columns = [Range<usize>; ACROSS];

/// Over all differences from the neighbour to the right and from that below.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Their squares in the learnt scene.
    pub(super) then: f32,
    /// Their squares in this one.
    pub(super) now: f32,
    /// The one times the other.
    pub(super) both: f32,
}

/// Makes the sums; keeps its buffers, one sum for each column.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    then: Vec<f32>,
    now: Vec<f32>,
    both: Vec<f32>,
}

impl Tiles {
    /// Of each tile, and all rows but the last, which is a neighbour only. Both scenes are `width` wide, and so is no
    /// column's right neighbour beyond it.
    pub(super) fn sums(
        &mut self,
        (learnt, scene): (&[f32], &[i16]),
        width: usize,
        columns: &Columns,
    ) -> [Sums; ACROSS] {
        for sums in [&mut self.then, &mut self.now, &mut self.both] {
            sums.clear();
            sums.resize(width, 0.0);
        }
        for start in (0..learnt.len().min(scene.len()).saturating_sub(width)).step_by(width) {
            let pair = start..start + 2 * width;
            if let (Some(learnt), Some(scene)) = (learnt.get(pair.clone()), scene.get(pair)) {
                widest(Rows { learnt, scene, sums: self });
            }
        }
        columns.each_ref().map(|xs| {
            let sum = |of: &[f32]| of[xs.clone()].iter().sum();
            Sums { then: sum(&self.then), now: sum(&self.now), both: sum(&self.both) }
        })
    }
}

/// A row and the one below it. The right neighbour of the last column is the next row's first: what comes of that is
/// in no tile, and rows of whole vectors are quicker.
struct Rows<'a> {
    learnt: &'a [f32],
    scene: &'a [i16],
    sums: &'a mut Tiles,
}

impl Loops for Rows<'_> {
    type Out = ();

    /// Means are of one sign, so that their differences fit 16 bits.
    #[inline(always)]
    fn run(self) {
        let Self { learnt, scene, sums } = self;
        let width = sums.then.len();
        // All of one length that is known: no bounds are left to the loop.
        let (was, was_right) = (&learnt[..width], &learnt[1..=width]);
        let (is, is_right) = (&scene[..width], &scene[1..=width]);
        let (was_below, is_below) = (&learnt[width..2 * width], &scene[width..2 * width]);
        let (then, now, both) =
            (&mut sums.then[..width], &mut sums.now[..width], &mut sums.both[..width]);
        for x in 0..width {
            let (right, below) = (was_right[x] - was[x], was_below[x] - was[x]);
            let (is_right, is_below) = (is_right[x] - is[x], is_below[x] - is[x]);
            let (is_right, is_below) = (f32::from(is_right), f32::from(is_below));
            then[x] += right * right + below * below;
            now[x] += is_right * is_right + is_below * is_below;
            both[x] += right * is_right + below * is_below;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the last bit: down the columns, then over those of a tile.
    #[test]
    fn sums_are_those_of_their_definition_whatever_the_size() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut tiles = Tiles::default();
        for (width, rows) in [(16, 2), (17, 5), (33, 1), (80, 8), (241, 23), (97, 0), (25, 4)] {
            let learnt: Vec<f32> = (0..width * rows).map(|_| rng.f32() * 32640.0).collect();
            let scene: Vec<i16> = (0..width * rows).map(|_| rng.i16(0..=32640)).collect();
            let columns: Columns =
                std::array::from_fn(|i| i * (width - 1) / ACROSS..(i + 1) * (width - 1) / ACROSS);
            let sums = tiles.sums((&learnt, &scene), width, &columns);
            for (sums, xs) in sums.into_iter().zip(columns) {
                let (mut then, mut now, mut both) = (0.0_f32, 0.0_f32, 0.0_f32);
                for x in xs {
                    let (mut down_then, mut down_now, mut down_both) = (0.0_f32, 0.0_f32, 0.0_f32);
                    for at in (1..rows.max(1)).map(|y| (y - 1) * width + x) {
                        let was = [at + 1, at + width].map(|next| learnt[next] - learnt[at]);
                        let is = [at + 1, at + width]
                            .map(|next| f32::from(scene[next]) - f32::from(scene[at]));
                        down_then += was[0] * was[0] + was[1] * was[1];
                        down_now += is[0] * is[0] + is[1] * is[1];
                        down_both += was[0] * is[0] + was[1] * is[1];
                    }
                    then += down_then;
                    now += down_now;
                    both += down_both;
                }
                assert_eq!((sums.then, sums.now, sums.both), (then, now, both), "{width}");
            }
        }
    }
}
