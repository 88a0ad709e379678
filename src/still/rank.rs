//! Which of an event's candidates shows its subject best.
//!
//! Called by the still thread for the few that the camera thread kept, of which one becomes a picture. Each
//! is brought to grey levels at half scale: JPEGs by libjpeg-turbo's scaled decoding, luma alone; raw
//! frames by their planes. [`sharpness::of_plane`] says how sharp the largest moving thing is, the noise
//! taken off, and this times the share of the frame that it covers is what a candidate is worth.
//!
//! Pure computing. A candidate that cannot be decoded, or is far larger than its camera promised, is worth
//! nothing and comes last: it may yet be passed through. Where nothing tells candidates apart their order
//! stays, which is the camera thread's own.

use turbojpeg::{Decompressor, Image, PixelFormat as Samples, ScalingFactor};

use super::Candidate;
use super::encode::Planes;
use crate::firstpass::sharpness;
use crate::frame::{Geometry, Luma, PixelBox, PixelFormat};

/// Pictures up to this size are decoded whatever the camera promised, and no larger ones: 64 megapixels
/// are 16 MB at half scale.
const MOST_PIXELS: usize = 64 << 20;

/// More scans than any encoder makes cost minutes of decoding in a few bytes.
const MAX_SCANS: u32 = 100;

/// Ranks candidates. Nothing is allocated before the first ones; what they needed is then kept, but for
/// planes of raw frames.
#[derive(Debug, Default)]
pub struct Ranker {
    decompressor: Option<Decompressor>,
    half: Luma,
}

impl Ranker {
    /// The candidates, best first.
    pub fn best_first(&mut self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        if candidates.len() < 2 {
            return candidates;
        }
        let mut ranked: Vec<_> = candidates.into_iter().map(|c| (self.worth(&c), c)).collect();
        ranked.sort_by(|a, b| f32::total_cmp(&b.0, &a.0));
        ranked.into_iter().map(|(_, candidate)| candidate).collect()
    }

    fn worth(&mut self, candidate: &Candidate) -> f32 {
        let subject = candidate.seen.as_ref().and_then(|seen| seen.boxes.first().copied());
        self.of_frame(&candidate.data, candidate.geometry, subject).unwrap_or(0.0)
    }

    /// What a frame is worth as a picture of what is in the box, in pixels; without one, of all of it.
    /// `None` for a frame that cannot be decoded.
    pub fn of_frame(
        &mut self,
        data: &[u8],
        geometry: Geometry,
        subject: Option<PixelBox>,
    ) -> Option<f32> {
        let (width, height) = self.halve(data, geometry)?;
        let subject = subject.unwrap_or(PixelBox { x: 0, y: 0, w: width, h: height });
        let right = subject.x.saturating_add(subject.w).div_ceil(2);
        let below = subject.y.saturating_add(subject.h).div_ceil(2);
        let (x, y) = (subject.x / 2, subject.y / 2);
        let half = PixelBox { x, y, w: right - x, h: below - y };
        Some(sharpness::worth(sharpness::of_plane(&self.half, half), subject, (width, height)))
    }

    /// Brings a frame to half scale and says its own size.
    fn halve(&mut self, data: &[u8], geometry: Geometry) -> Option<(u32, u32)> {
        if geometry.format == PixelFormat::Mjpeg {
            let mut decompressor = match self.decompressor.take() {
                Some(decompressor) => decompressor,
                None => Decompressor::new().ok()?,
            };
            let size = decode(&mut decompressor, data, &mut self.half)?;
            // Not kept after a failure: libjpeg-turbo's state is then unknown.
            self.decompressor = Some(decompressor);
            return Some(size);
        }
        let mut planes = Planes::default();
        planes.take(data, geometry).ok()?;
        let luma = planes.each().next()?;
        self.half.reset(planes.width() / 2, planes.height() / 2);
        let pairs = luma.samples.chunks_exact(2 * luma.width.max(1));
        for (rows, out) in pairs.zip(self.half.data.chunks_exact_mut(planes.width().max(2) / 2)) {
            let (upper, lower) = rows.split_at(luma.width);
            for ((out, a), b) in out.iter_mut().zip(upper.chunks(2)).zip(lower.chunks(2)) {
                let four = a.iter().chain(b).map(|&v| u16::from(v)).sum::<u16>();
                *out = ((four + 2) / 4) as u8;
            }
        }
        Some((geometry.width, geometry.height))
    }
}

fn decode(decompressor: &mut Decompressor, jpeg: &[u8], half: &mut Luma) -> Option<(u32, u32)> {
    decompressor.set_scan_limit(MAX_SCANS).ok()?;
    let header = decompressor.read_header(jpeg).ok()?;
    if header.width.checked_mul(header.height)? > MOST_PIXELS {
        return None;
    }
    decompressor.set_scaling_factor(ScalingFactor::ONE_HALF).ok()?;
    let scaled = header.scaled(ScalingFactor::ONE_HALF);
    half.reset(scaled.width, scaled.height);
    let pixels = half.data.as_mut_slice();
    let (width, height) = (scaled.width, scaled.height);
    let image = Image { pixels, width, pitch: width, height, format: Samples::GRAY };
    match decompressor.decompress(jpeg, image) {
        Ok(()) => {}
        // Some UVC cameras pad between scan and EOI; the picture is whole all the same.
        Err(turbojpeg::Error::TurboJpegError(words)) if words.contains("extraneous bytes") => {}
        Err(_) => return None,
    }
    Some((u32::try_from(header.width).ok()?, u32::try_from(header.height).ok()?))
}

#[cfg(test)]
mod tests;
