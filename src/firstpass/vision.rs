//! Colour or none: by day a camera with an infrared cut filter sees colour, at night it does not.
//!
//! Called by [`super::FirstPass`], a few times a second. What is looked at costs next to nothing: of raw
//! formats a few rows of chroma; of MJPEG nothing but the length of the scan, for colourless blocks take
//! a known number of bits and those of luma are known. That is an estimate: a scene of little colour at
//! a low quality may be told as grey. Formats without chroma, mosaics, and JPEGs whose scan holds one component
//! tell nothing.

use std::time::Duration;

use super::Vision;
use super::quality::sum_of_bits;
use crate::clock::BootTime;
use crate::frame::{Frame, Layer, PixelFormat};

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// So long after colour came or went a jump of light is told as its doing.
const BELONGS: Duration = Duration::from_millis(1500);
/// Rows of a raw frame that are looked at, and pixels of each that make a mean: noise is taken away.
const ROWS: usize = 12;
const RUN: usize = 16;
/// Spread of chroma, as standard deviation in levels: below the first there is no colour, above the
/// second there is. Between them what was said last stands.
const SPREAD: (f32, f32) = (1.0, 2.0);
/// Bits a chroma block: with the standard's tables one without colour takes 2 for its DC and 2 for its end.
const BITS: (f32, f32) = (4.5, 5.5);

/// What is known of a camera's colour.
#[derive(Debug, Default)]
pub(super) struct Sight {
    known: Option<Vision>,
    looked: Option<BootTime>,
    flipped: Option<BootTime>,
}

/// How much colour there is, and from where on there is none or some.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour {
    amount: f32,
    bounds: (f32, f32),
}

impl Sight {
    /// Looks if it is time, or `now` in any case; tells what is known.
    pub(super) fn look(
        &mut self,
        at: BootTime,
        now: bool,
        colour: impl FnOnce() -> Option<Colour>,
    ) -> Option<Vision> {
        let due = self.looked.is_none_or(|looked| at.since(looked) >= EVERY);
        if due || now {
            self.looked = Some(at);
            let seen = colour().and_then(|c| match c.amount {
                amount if amount < c.bounds.0 => Some(Vision::Grey),
                amount if amount > c.bounds.1 => Some(Vision::Colour),
                _ => None,
            });
            if seen.is_some() && seen != self.known {
                self.flipped = self.known.and(Some(at));
                self.known = seen;
            }
        }
        self.known
    }

    /// Did colour come or go just now?
    pub(super) fn flipped(&self, at: BootTime) -> bool {
        self.flipped.is_some_and(|flipped| at.since(flipped) < BELONGS)
    }
}

/// How much colour is in a frame that was read; of a JPEG the bits of its luma blocks are given.
pub(super) fn of_frame(frame: &Frame<'_>, luma_bits: &[u16]) -> Option<Colour> {
    if frame.geometry.format == PixelFormat::Mjpeg {
        let amount = chroma_bits(frame.data, luma_bits)?;
        return Some(Colour { amount, bounds: BITS });
    }
    spread(frame).map(|amount| Colour { amount, bounds: SPREAD })
}

/// Mean spread of both kinds of chroma.
fn spread(frame: &Frame<'_>) -> Option<f32> {
    let [first, second, third] = frame.geometry.layers(frame.data).ok()?;
    let (u, v) = match frame.geometry.format {
        PixelFormat::Yuyv | PixelFormat::Yvyu => {
            (spread_of::<4>(first, 1)?, spread_of::<4>(first, 3)?)
        }
        PixelFormat::Uyvy | PixelFormat::Vyuy => {
            (spread_of::<4>(first, 0)?, spread_of::<4>(first, 2)?)
        }
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Nv16 | PixelFormat::Nv61 => {
            (spread_of::<2>(second, 0)?, spread_of::<2>(second, 1)?)
        }
        PixelFormat::I420 | PixelFormat::Yv12 | PixelFormat::I422 => {
            (spread_of::<1>(second, 0)?, spread_of::<1>(third, 0)?)
        }
        _ => return None,
    };
    Some((u + v) / 2.0)
}

/// Of one kind, which begins at `at` in a row and has `STEP` bytes from one of it to the next.
fn spread_of<const STEP: usize>(layer: Layer<'_>, at: usize) -> Option<f32> {
    let every = (layer.height() / ROWS).max(1);
    let mut sums = (0.0, 0.0, 0.0);
    for row in (every / 2..layer.height()).step_by(every).map(|y| layer.row(y)) {
        // One run of four: the picture is wide, and colour seldom a hair.
        for run in row.get(at..).unwrap_or_default().chunks_exact(RUN * STEP).step_by(4) {
            let sum: u32 = run.as_chunks::<STEP>().0.iter().map(|c| u32::from(c[0])).sum();
            let mean = sum as f32 / RUN as f32;
            sums = (sums.0 + 1.0, sums.1 + mean, sums.2 + mean * mean);
        }
    }
    deviation(sums)
}

/// Standard deviation out of count, sum and squares; a tint over all of the picture is no colour.
fn deviation((count, sum, squares): (f32, f32, f32)) -> Option<f32> {
    let mean = sum / count;
    (count > 0.0).then(|| (squares / count - mean * mean).max(0.0).sqrt())
}

/// Bits a chroma block of a JPEG that was read: those of the scan that luma did not take.
fn chroma_bits(jpeg: &[u8], luma_bits: &[u16]) -> Option<f32> {
    let (scan, chroma_per_luma) = scan(jpeg)?;
    let end = jpeg.iter().rposition(|&b| b != 0)?;
    let total = end.checked_sub(scan)? as f32 * 8.0;
    let luma = sum_of_bits(luma_bits) as f32;
    let blocks = luma_bits.len() as f32 * chroma_per_luma;
    // A byte in 256 of what is coded is stuffing.
    (blocks > 0.0).then(|| (total * (1.0 - 1.0 / 256.0) - luma) / blocks)
}

/// Where the scan of all three components begins, and how many blocks of chroma come with one of luma.
fn scan(jpeg: &[u8]) -> Option<(usize, f32)> {
    let mut at = 2;
    let mut per_luma = None;
    loop {
        let (marker, rest) = match jpeg.get(at..)? {
            [0xff, 0xff, ..] => {
                at += 1;
                continue;
            }
            [0xff, marker, rest @ ..] => (*marker, rest),
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let body = rest.get(2..length)?;
        match marker {
            // Precision, height, width, then three components of identifier, sampling, table.
            0xc0 | 0xc1 => {
                let area = |i: usize| body.get(7 + 3 * i).map(|s| f32::from((s >> 4) * (s & 15)));
                per_luma = Some((area(1)? + area(2)?) / area(0)?.max(1.0));
            }
            0xda => return (body.first() == Some(&3)).then_some((at + 2 + length, per_luma?)),
            _ => {}
        }
        at += 2 + length;
    }
}
