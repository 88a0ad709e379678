//! Things that were seen to move, followed through the boxes of a clip. Pure.
//!
//! A *visit* is one thing from its first box to its last. Whether it went somewhere is what tells somebody
//! who walks by from a branch, a screen or a flag: those move and stay where they are. That is judged by
//! the middles of the box, averaged over parts of the visit, so that a box that jumps about goes nowhere.

use crate::frame::PixelBox;

use super::log::Moment;

/// A visit that was not seen for so many seconds is over.
const LOST: f64 = 1.0;
/// Most visits that are remembered.
const MOST: usize = 5_000;
/// A visit is averaged in at most so many parts, each of at least so many boxes.
const PARTS: usize = 8;
const BOXES: usize = 3;
/// From so many of its own widths or heights on it went somewhere.
const FAR: f32 = 1.0;

/// Left, top, right and bottom edge in 0..1 of the frame.
pub(super) type Area = [f32; 4];

/// One thing that moved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Visit {
    /// First and last time it was seen, in seconds.
    pub(super) from: f64,
    pub(super) to: f64,
    /// All that its boxes covered.
    pub(super) area: Area,
    /// It went somewhere.
    pub(super) goes: bool,
    /// Its boxes, in order.
    pub(super) boxes: Vec<Area>,
}

impl Visit {
    /// Was it there at some time from `since` to `last`?
    pub(super) fn overlaps(&self, since: f64, last: f64) -> bool {
        self.from <= last && self.to >= since
    }

    /// The share of its boxes whose middle lies in an area, 0 to 1.
    pub(super) fn share_in(&self, area: Area) -> f32 {
        let inside = self.boxes.iter().filter(|b| holds(area, middle(**b))).count();
        inside as f32 / self.boxes.len().max(1) as f32
    }

    fn see(&mut self, t: f64, seen: Area) {
        self.to = t;
        self.area = union(self.area, seen);
        self.boxes.push(seen);
    }

    /// Did it leave its place?
    fn went(&self) -> bool {
        let n = self.boxes.len();
        let parts = (n / BOXES).min(PARTS);
        if parts < 2 {
            return false;
        }
        let mean = |of: &[Area], what: fn(Area) -> (f32, f32)| {
            let sum = of.iter().map(|b| what(*b)).fold((0.0, 0.0), |s, v| (s.0 + v.0, s.1 + v.1));
            (sum.0 / of.len().max(1) as f32, sum.1 / of.len().max(1) as f32)
        };
        let (wide, high) = mean(&self.boxes, |b| (b[2] - b[0], b[3] - b[1]));
        let middles: Vec<_> = (0..parts)
            .map(|i| mean(&self.boxes[i * n / parts..(i + 1) * n / parts], middle))
            .collect();
        let spread = |of: fn(&(f32, f32)) -> f32| {
            let all = middles.iter().map(of);
            all.clone().fold(f32::MIN, f32::max) - all.fold(f32::MAX, f32::min)
        };
        spread(|m| m.0) >= FAR * wide || spread(|m| m.1) >= FAR * high
    }
}

/// All visits of a clip, in the order in which they began.
pub(super) fn find(moments: &[Moment], size: (u32, u32)) -> Vec<Visit> {
    let mut over: Vec<Visit> = Vec::new();
    let mut on: Vec<Visit> = Vec::new();
    for moment in moments {
        let (gone, still): (Vec<_>, Vec<_>) = on.into_iter().partition(|v| moment.t - v.to > LOST);
        over.extend(gone);
        on = still;
        let mut met = vec![false; on.len()];
        for seen in moment.boxes.iter().map(|b| share(*b, size)) {
            let near = on.iter().zip(&met).enumerate().filter(|(_, (_, met))| !**met);
            let near = near.map(|(at, (v, _))| (at, overlap(v.boxes.last().copied(), seen)));
            let best = near.filter(|(_, o)| *o > 0.0).max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((at, _)) = best {
                on[at].see(moment.t, seen);
                met[at] = true;
            } else if over.len() + on.len() < MOST {
                let (from, to) = (moment.t, moment.t);
                on.push(Visit { from, to, area: seen, goes: false, boxes: vec![seen] });
                met.push(true);
            }
        }
    }
    over.extend(on);
    over.sort_by(|a, b| a.from.total_cmp(&b.from));
    over.iter_mut().for_each(|visit| visit.goes = visit.went());
    over
}

/// A box in 0..1 of the frame.
pub(super) fn share(b: PixelBox, size: (u32, u32)) -> Area {
    let along = |from: u32, length: u32, side: u32| {
        let side = f64::from(side.max(1));
        let end = f64::from(from) + f64::from(length);
        ((f64::from(from) / side) as f32, (end / side) as f32)
    };
    let ((left, right), (top, bottom)) = (along(b.x, b.w, size.0), along(b.y, b.h, size.1));
    [left, top, right, bottom]
}

pub(super) fn union(a: Area, b: Area) -> Area {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// How much of each other two areas cover, each grown by half of its own size; 0 where they are apart.
fn overlap(last: Option<Area>, seen: Area) -> f32 {
    let Some(last) = last else { return 0.0 };
    let grown = |a: Area| {
        let (w, h) = ((a[2] - a[0]) / 2.0, (a[3] - a[1]) / 2.0);
        [a[0] - w, a[1] - h, a[2] + w, a[3] + h]
    };
    let (a, b) = (grown(last), grown(seen));
    let wide = a[2].min(b[2]) - a[0].max(b[0]);
    let high = a[3].min(b[3]) - a[1].max(b[1]);
    wide.max(0.0) * high.max(0.0)
}

/// Do two areas share a part?
pub(super) fn touch(a: Area, b: Area) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

pub(super) fn holds(area: Area, (x, y): (f32, f32)) -> bool {
    (area[0]..area[2]).contains(&x) && (area[1]..area[3]).contains(&y)
}

fn middle(b: Area) -> (f32, f32) {
    ((b[0] + b[2]) / 2.0, (b[1] + b[3]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clip at 10 frames a second of a frame of 1000x1000, with these boxes by frame.
    fn clip(n: usize, boxes: impl Fn(usize) -> Vec<PixelBox>) -> Vec<Visit> {
        let moments: Vec<_> = (0..n)
            .map(|i| Moment { t: i as f64 / 10.0, boxes: boxes(i), ..Moment::default() })
            .collect();
        find(&moments, (1000, 1000))
    }

    fn at(x: u32, y: u32) -> PixelBox {
        PixelBox { x, y, w: 60, h: 120 }
    }

    #[test]
    fn who_walks_by_goes_and_a_branch_stays() {
        let sway = [0, 30, 10, 50, 20, 45, 5];
        let seen = clip(40, |i| vec![at(100 + 15 * i as u32, 300), at(800 + sway[i % 7], 20)]);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen.iter().map(|v| v.goes).collect::<Vec<_>>(), [true, false]);
        assert!((seen[0].to - 3.9).abs() < 1e-6 && (seen[0].area[0] - 0.1).abs() < 1e-6);
    }

    #[test]
    fn a_pause_of_more_than_a_second_makes_two_visits() {
        let seen = clip(60, |i| if (20..40).contains(&i) { vec![] } else { vec![at(100, 100)] });
        assert_eq!(seen.iter().map(|v| v.boxes.len()).collect::<Vec<_>>(), [20, 20]);
        let seen = clip(60, |i| if (20..28).contains(&i) { vec![] } else { vec![at(100, 100)] });
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn a_box_that_grows_and_shrinks_in_its_place_goes_nowhere() {
        let seen = clip(50, |i| {
            let w = 40 + 80 * (i as u32 % 2);
            vec![PixelBox { x: 500 - w / 2, y: 500 - w / 2, w, h: w }]
        });
        assert_eq!((seen.len(), seen[0].goes), (1, false));
        assert!(seen[0].share_in([0.45, 0.45, 0.55, 0.55]) > 0.99);
        assert!(seen[0].share_in([0.0, 0.0, 0.4, 0.4]) < 0.01);
    }
}
