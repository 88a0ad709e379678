//! From changed samples to moving things: despeckle, join, count, box.
//!
//! Called by [`super::motion`]. Rows are taken apart into runs; runs that touch, or nearly do (a
//! person's legs and coat come apart at this scale), are joined with union-find. Keeps its buffers.

use std::ops::Range;

use crate::frame::PixelBox;

/// Neighbours, itself included, that a changed sample needs.
const COMPANY: u8 = 3;
/// Runs may be this many samples apart, in a row or between rows, and still be one thing.
const GAP: usize = 1;
/// Most boxes told of one frame.
const MOST: usize = 16;
/// A box grows over a line of samples beside it of which one in so many belongs to the thing, and over no
/// more than so many lines to each side: the rim of a thing fills its blocks only in part.
const ONE_IN: usize = 6;
const LINES: usize = 2;

/// A stretch of changed samples in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    y: usize,
    x0: usize,
    x1: usize,
    parent: usize,
}

/// A box of samples, without its right and lower edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) x0: usize,
    pub(super) x1: usize,
    pub(super) y0: usize,
    pub(super) y1: usize,
}

impl Extent {
    /// Width and height.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.x1 - self.x0, self.y1 - self.y0)
    }

    pub(super) fn middle(&self) -> (f32, f32) {
        ((self.x0 + self.x1) as f32 / 2.0, (self.y0 + self.y1) as f32 / 2.0)
    }

    /// Larger by half of itself, half of that on each side, and by one sample at least; or by `walked` of
    /// its longer side on each.
    pub(super) fn grown(&self, walked: f32) -> Self {
        let (w, h) = self.size();
        let walked = (walked * w.max(h) as f32) as usize;
        let (dx, dy) = ((w / 4 + 1).max(walked), (h / 4 + 1).max(walked));
        Self {
            x0: self.x0.saturating_sub(dx),
            x1: self.x1 + dx,
            y0: self.y0.saturating_sub(dy),
            y1: self.y1 + dy,
        }
    }

    /// Its rows, in a plane of this width.
    fn samples(self, width: usize) -> impl Iterator<Item = Range<usize>> {
        (self.y0..self.y1).map(move |y| y * width + self.x0..y * width + self.x1)
    }

    /// Larger by the lines beside it, in a plane of this size, that belong to the rim of what is in it.
    fn over_rim(mut self, (width, height): (usize, usize), is_rim: impl Fn(usize) -> bool) -> Self {
        let row = |y: usize, e: Self| {
            let rim = (e.x0..e.x1).filter(|x| is_rim(y * width + x)).count();
            rim * ONE_IN >= e.x1 - e.x0
        };
        let column = |x: usize, e: Self| {
            let rim = (e.y0..e.y1).filter(|y| is_rim(y * width + x)).count();
            rim * ONE_IN >= e.y1 - e.y0
        };
        for _ in 0..LINES {
            let e = self;
            self = Self {
                x0: e.x0 - usize::from(e.x0 > 0 && column(e.x0 - 1, e)),
                x1: e.x1 + usize::from(e.x1 < width && column(e.x1, e)),
                y0: e.y0 - usize::from(e.y0 > 0 && row(e.y0 - 1, e)),
                y1: e.y1 + usize::from(e.y1 < height && row(e.y1, e)),
            };
            if self == e {
                break;
            }
        }
        self
    }

    /// How far the middles lie apart, across and down together, in half samples.
    pub(super) fn apart(&self, other: &Self) -> usize {
        (self.x0 + self.x1).abs_diff(other.x0 + other.x1)
            + (self.y0 + self.y1).abs_diff(other.y0 + other.y1)
    }

    /// Samples that both hold.
    pub(super) fn overlap(&self, other: &Self) -> usize {
        let shared = |from: usize, to: usize| to.saturating_sub(from);
        shared(self.x0.max(other.x0), self.x1.min(other.x1))
            * shared(self.y0.max(other.y0), self.y1.min(other.y1))
    }
}

/// One moving thing, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    root: usize,
    /// Changed samples, without the rim.
    pub(super) area: usize,
    /// Where these are.
    pub(super) core: Extent,
    /// Where it is, with its rim.
    pub(super) extent: Extent,
}

impl Blob {
    /// In pixels of a frame of this size.
    pub(super) fn pixels(&self, size: (u32, u32)) -> PixelBox {
        let edge = |at: usize, limit: u32| ((at * 8) as u32).min(limit);
        let Extent { x0, x1, y0, y1 } = self.extent;
        let (x, y) = (edge(x0, size.0), edge(y0, size.1));
        PixelBox { x, y, w: edge(x1, size.0) - x, h: edge(y1, size.1) - y }
    }
}

/// The least that a thing must be, in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Least {
    /// Changed samples, without its rim.
    pub(super) seed: usize,
    /// Samples that it covers, with its rim.
    pub(super) area: usize,
    /// Of its box.
    pub(super) size: (usize, usize),
}

impl Least {
    /// `covers` counts the samples of a box that belong to what is in it.
    fn allows(self, blob: &Blob, covers: impl Fn(Extent) -> usize) -> bool {
        let (w, h) = blob.extent.size();
        let fits = w >= self.size.0 && h >= self.size.1;
        fits && (blob.area >= self.area || covers(blob.extent) >= self.area)
    }
}

/// Finds blobs; keeps its buffers between frames.
#[derive(Debug, Default)]
pub(super) struct Finder {
    clean: Vec<u8>,
    columns: Vec<u8>,
    runs: Vec<Run>,
    blobs: Vec<Blob>,
    width: usize,
    /// Rows of `clean` that may hold anything.
    rows: Range<usize>,
}

impl Finder {
    /// Finds the things that are no smaller than `least` in a plane of 0 and 1, `width` wide; largest
    /// first. Beyond `span` all are 0, and are not looked at.
    ///
    /// A sample that touches a thing belongs to it with less evidence than it takes to begin one, which
    /// `is_rim` says of a sample: boxes grow over the rim of their things, and with it things are measured.
    pub(super) fn find(
        &mut self,
        (changed, span): (&[u8], Range<usize>),
        width: usize,
        least: Least,
        is_rim: impl Fn(usize) -> bool,
    ) {
        self.width = width;
        self.despeckle(changed, span);
        self.take_runs();
        self.join_rows();
        self.gather();
        let (clean, height) = (&self.clean, self.clean.len() / width.max(1));
        let is_its = |i| clean.get(i) == Some(&1) || is_rim(i);
        self.blobs.retain_mut(|b| {
            b.area >= least.seed && {
                b.extent = b.core.over_rim((width, height), &is_rim);
                least.allows(b, |e| e.samples(width).flatten().filter(|&i| is_its(i)).count())
            }
        });
        self.blobs.sort_unstable_by_key(|b| (std::cmp::Reverse(b.area), b.root));
    }

    /// Drops the blobs that `is_one` says are no things; it gets a blob's runs as ranges of samples.
    pub(super) fn drop_if(&mut self, mut is_one: impl FnMut(&Blob, Runs<'_>) -> bool) {
        let (runs, width) = (&self.runs[..], self.width);
        self.blobs.retain(|b| !is_one(b, Runs { runs: runs.iter(), root: b.root, width }));
    }

    /// The things found, largest first.
    pub(super) fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// The boxes of the largest.
    pub(super) fn boxes(&self, size: (u32, u32)) -> Vec<PixelBox> {
        self.blobs.iter().take(MOST).map(|b| b.pixels(size)).collect()
    }

    /// Keeps samples with enough company in their 3×3.
    fn despeckle(&mut self, changed: &[u8], span: Range<usize>) {
        let w = self.width;
        let samples = self.rows.start * w..self.rows.end * w;
        match self.clean.get_mut(samples) {
            Some(rows) if rows.len() < changed.len() => rows.fill(0),
            _ => self.clean.clear(),
        }
        self.clean.resize(changed.len(), 0);
        self.rows = span.start / w.max(1)..span.end.div_ceil(w.max(1));
        let clean = self.clean.chunks_exact_mut(w.max(1)).enumerate();
        for (y, out) in clean.take(self.rows.end).skip(self.rows.start) {
            let row = |y: Option<usize>| y.and_then(|y| changed.get(y * w..(y + 1) * w));
            let Some(here) = row(Some(y)).filter(|row| holds_any(row)) else { continue };
            // Of each column, with one more to each side of the plane. Nine at most make a company.
            self.columns.clear();
            self.columns.resize(w + 2, 0);
            for row in [row(y.checked_sub(1)), Some(here), row(Some(y + 1))].into_iter().flatten() {
                self.columns[1..].iter_mut().zip(row).for_each(|(sum, changed)| *sum += changed);
            }
            let company = self.columns.iter().zip(&self.columns[1..]).zip(&self.columns[2..]);
            for ((out, &changed), ((left, middle), right)) in out.iter_mut().zip(here).zip(company)
            {
                *out = changed & u8::from(left + middle + right >= COMPANY);
            }
        }
    }

    fn take_runs(&mut self) {
        self.runs.clear();
        let clean = self.clean.chunks_exact(self.width.max(1)).enumerate();
        for (y, row) in clean.take(self.rows.end).skip(self.rows.start) {
            let mut x = 0;
            while let Some(skip) = row.get(x..).and_then(next_changed) {
                let x0 = x + skip;
                let len = row[x0..].iter().position(|&c| c == 0).unwrap_or(row.len() - x0);
                x = x0 + len;
                let parent = self.runs.len();
                self.runs.push(Run { y, x0, x1: x, parent });
            }
        }
    }

    /// Joins each run with those before it that are near enough: later in its own row none are.
    fn join_rows(&mut self) {
        let mut first_near = 0;
        for i in 0..self.runs.len() {
            let run = self.runs[i];
            while self.runs[first_near].y + 1 + GAP < run.y {
                first_near += 1;
            }
            for j in first_near..i {
                let other = self.runs[j];
                if other.x0 <= run.x1 + GAP && run.x0 <= other.x1 + GAP {
                    let (a, b) = (self.root(i), self.root(j));
                    self.runs[a.max(b)].parent = a.min(b);
                }
            }
        }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.runs[i].parent != i {
            let above = self.runs[self.runs[i].parent].parent;
            self.runs[i].parent = above;
            i = above;
        }
        i
    }

    fn gather(&mut self) {
        self.blobs.clear();
        for i in 0..self.runs.len() {
            let root = self.root(i);
            let run = self.runs[i];
            self.runs[i].parent = root;
            if root == i {
                let extent = Extent { x0: run.x0, x1: run.x1, y0: run.y, y1: run.y + 1 };
                let area = run.x1 - run.x0;
                self.blobs.push(Blob { root, area, core: extent, extent });
                continue;
            }
            // Roots are the lowest index of their blob and were pushed in order.
            if let Ok(at) = self.blobs.binary_search_by_key(&root, |b| b.root) {
                let blob = &mut self.blobs[at];
                blob.area += run.x1 - run.x0;
                let extent = &mut blob.core;
                extent.x0 = extent.x0.min(run.x0);
                extent.x1 = extent.x1.max(run.x1);
                extent.y1 = extent.y1.max(run.y + 1);
            }
        }
    }
}

/// How many lie before the first one that is changed.
fn next_changed(row: &[u8]) -> Option<usize> {
    let empty = row.as_chunks::<16>().0.iter().take_while(|samples| !holds_any(*samples)).count();
    row[empty * 16..].iter().position(|&c| c == 1).map(|at| at + empty * 16)
}

/// Is one of these changed? Most rows hold nothing, and vectors say so of many samples at once.
fn holds_any(row: &[u8]) -> bool {
    row.iter().fold(0, |any, c| any | c) != 0
}

/// The runs of one blob, as ranges of samples.
#[derive(Clone, Debug)]
pub(super) struct Runs<'a> {
    runs: std::slice::Iter<'a, Run>,
    root: usize,
    width: usize,
}

impl Iterator for Runs<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let run = self.runs.find(|r| r.parent == self.root)?;
        Some(run.y * self.width + run.x0..run.y * self.width + run.x1)
    }
}

#[cfg(test)]
mod tests;
