//! One candidate to one finished picture: pixels, Exif, digest, facts.
//!
//! Used by the still thread only. No clock, no thread, no I/O: the same candidate with the same number
//! and times gives the same bytes. Encoder, decoder and planes are made when the first picture needs
//! them and kept; a camera whose JPEGs are passed on unmasked never has any.

use std::borrow::Cow;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::encode::{EncodeError, Encoder, Planes};
use super::exif::{self, ExifError};
use super::passthrough::{JpegError, ended, layout, normal_form};
use super::privacy::{self, Decoder, MaskError};
use super::scale::{self, ScaleError};
use super::{Candidate, Order, Profile, said};
use crate::clock::{BootId, WallTime};
use crate::contract::Facts;
use crate::firstpass::{Condition, Observation};
use crate::frame::{Geometry, PixelFormat};

/// Why a candidate made no picture; it is refused as broken, and the next one is tried.
#[derive(Debug, thiserror::Error)]
pub enum StillError {
    /// The camera's JPEG is not whole.
    #[error(transparent)]
    Jpeg(#[from] JpegError),
    /// Encoding failed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Masking failed.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// Scaling failed.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// Exif could not be written.
    #[error(transparent)]
    Exif(#[from] ExifError),
}

/// What is needed to make pictures, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Studio {
    encoder: Encoder,
    decoder: Decoder,
    planes: Planes,
}

/// A JPEG, masked and in its size, but not yet in its normal form.
struct Picture<'a> {
    jpeg: Cow<'a, [u8]>,
    /// Pixels of the camera's frame.
    frame: (usize, usize),
    /// Pixels of the picture.
    made: (usize, usize),
}

impl Studio {
    /// The object and its facts, under number `seq`.
    pub(super) fn keep(
        &mut self,
        candidate: &Candidate,
        seq: u64,
        boot: &BootId,
        wall: Option<WallTime>,
    ) -> Result<(Bytes, Facts), StillError> {
        // What somebody orders is rare: its planes and tables are not kept for the next one.
        let mut own = Self::default();
        let studio = if candidate.order == Order::default() { self } else { &mut own };
        let picture = studio.picture(candidate)?;
        let mut facts = facts(candidate, &picture, seq, boot, wall);
        let exif = exif::block(&facts)?;
        let object = normal_form(&picture.jpeg, Some(&exif))?;
        facts.len = object.len() as u64;
        facts.sha256 = sha256(&object);
        Ok((object.into(), facts))
    }

    /// The picture alone, masked as if it were kept, without Exif.
    pub(super) fn show(&mut self, candidate: &Candidate) -> Result<Vec<u8>, StillError> {
        let picture = self.picture(candidate)?;
        Ok(normal_form(&picture.jpeg, None)?)
    }

    fn picture<'a>(&mut self, candidate: &'a Candidate) -> Result<Picture<'a>, StillError> {
        let Candidate { data, geometry, profile, order, .. } = candidate;
        match geometry.format {
            PixelFormat::Mjpeg => {
                if let Some(frame) = as_it_came(candidate)? {
                    return Ok(Picture { jpeg: Cow::Borrowed(data), frame, made: frame });
                }
                self.decoder.decode(&ended(data), *geometry, &mut self.planes)?;
            }
            _ => self.planes.take(data, *geometry)?,
        }
        let frame = (self.planes.width(), self.planes.height());
        privacy::paint(&mut self.planes, &profile.masks);
        if let Some(most) = order.size
            && let Some(to) = scale::fit(frame, most, self.planes.subsamp().size())
        {
            self.planes = scale::scale(&self.planes, to)?;
            // Black before, so that nothing masked runs into the pixels beside it, and after, so that
            // the mask's own edge is black.
            privacy::paint(&mut self.planes, &profile.masks);
        }
        let quality = order.quality.unwrap_or(profile.quality);
        let jpeg = Cow::Owned(self.encoder.encode(&self.planes, quality)?.to_vec());
        Ok(Picture { jpeg, frame, made: (self.planes.width(), self.planes.height()) })
    }
}

/// The pixels of a camera's JPEG that may stay byte for byte. What nobody asks the size of is taken to
/// be as large as the camera promised, for its header is not read for that.
fn as_it_came(candidate: &Candidate) -> Result<Option<(usize, usize)>, JpegError> {
    let Candidate { data, geometry, profile, order, said, .. } = candidate;
    if !profile.masks.is_empty() || order.quality.is_some() {
        return Ok(None);
    }
    if order.size.is_none() && said.is_none() {
        return Ok(Some((geometry.width as usize, geometry.height as usize)));
    }
    let frame = pixels(data, *geometry)?;
    let fits = order.size.is_none_or(|most| scale::fit(frame, most, (1, 1)).is_none());
    Ok(fits.then_some(frame))
}

/// Width and height that the JPEG's own header says.
fn pixels(jpeg: &[u8], promised: Geometry) -> Result<(usize, usize), JpegError> {
    let found = layout(jpeg)?;
    if found.width == 0 || found.height == 0 {
        return Ok((promised.width as usize, promised.height as usize));
    }
    Ok((found.width.into(), found.height.into()))
}

/// SHA-256 in lower-case hex digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything but length and digest.
fn facts(
    candidate: &Candidate,
    picture: &Picture<'_>,
    seq: u64,
    boot: &BootId,
    wall: Option<WallTime>,
) -> Facts {
    let profile: &Profile = &candidate.profile;
    let mut meta = profile.meta.clone();
    if let Some(seen) = &candidate.seen {
        meta.extend(measured(seen, picture));
    }
    meta.extend(candidate.marks.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    if let Some(said) = &candidate.said {
        meta.extend(said::metadata(said, picture.made));
    }
    let (event, event_final) = candidate.event.clone().unzip();
    Facts {
        boot: boot.clone(),
        seq,
        captured: candidate.captured,
        stamp: candidate.stamp,
        wall,
        device: profile.device.clone(),
        camera: profile.camera.clone(),
        trigger: candidate.trigger,
        event,
        event_final: event_final.unwrap_or(false),
        command: candidate.command.clone(),
        class: candidate.class,
        content_type: "image/jpeg".into(),
        len: 0,
        sha256: String::new(),
        meta,
        key_template: profile.key_template.clone(),
    }
}

/// What the first pass measured, as metadata; left out where it could not.
fn measured(seen: &Observation, picture: &Picture<'_>) -> Vec<(String, String)> {
    let mut meta = Vec::new();
    if seen.score.is_finite() {
        meta.push(("motion-score".into(), format!("{:.4}", seen.score.clamp(0.0, 1.0))));
    }
    if let Some(b) = seen.boxes.first() {
        let (x, w) = scaled(b.x, b.w, picture.frame.0, picture.made.0);
        let (y, h) = scaled(b.y, b.h, picture.frame.1, picture.made.1);
        meta.push(("motion-box".into(), format!("{x}-{y}-{w}-{h}")));
    }
    if let Some(direction) = seen.direction {
        meta.push(("motion-direction".into(), direction.name().into()));
    }
    let conditions: Vec<_> = seen.conditions.iter().map(Condition::name).collect();
    if !conditions.is_empty() {
        meta.push(("conditions".into(), conditions.join(":")));
    }
    let detail = seen.quality.detail;
    if detail.is_finite() && detail > 0.0 {
        meta.push(("sharpness".into(), format!("{detail:.2}")));
    }
    meta
}

/// A span of the frame's pixels as the made picture's pixels that it touches.
fn scaled(from: u32, length: u32, frame: usize, made: usize) -> (u64, u64) {
    let (from, length) = (u64::from(from), u64::from(length));
    let (frame, made) = (frame as u64, made as u64);
    if frame == made || frame == 0 {
        return (from, length);
    }
    let first = from * made / frame;
    (first, ((from + length) * made).div_ceil(frame) - first)
}

#[cfg(test)]
mod tests;
