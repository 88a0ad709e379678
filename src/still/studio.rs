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
use super::passthrough::{JpegError, normal_form};
use super::privacy::{self, Decoder, MaskError};
use super::{Candidate, Profile};
use crate::clock::{BootId, WallTime};
use crate::contract::Facts;
use crate::firstpass::Observation;
use crate::frame::PixelFormat;

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

impl Studio {
    /// The object and its facts, under number `seq`.
    pub(super) fn keep(
        &mut self,
        candidate: &Candidate,
        seq: u64,
        boot: &BootId,
        wall: Option<WallTime>,
    ) -> Result<(Bytes, Facts), StillError> {
        let jpeg = self.jpeg(candidate)?;
        let mut facts = facts(candidate, seq, boot, wall);
        let exif = exif::block(&facts)?;
        let object = normal_form(&jpeg, Some(&exif))?;
        facts.len = object.len() as u64;
        facts.sha256 = Sha256::digest(&object).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((object.into(), facts))
    }

    /// The picture alone, masked as if it were kept, without Exif.
    pub(super) fn show(&mut self, candidate: &Candidate) -> Result<Vec<u8>, StillError> {
        let jpeg = self.jpeg(candidate)?;
        Ok(normal_form(&jpeg, None)?)
    }

    fn jpeg<'a>(&mut self, candidate: &'a Candidate) -> Result<Cow<'a, [u8]>, StillError> {
        let Candidate { data, geometry, profile, .. } = candidate;
        match geometry.format {
            PixelFormat::Mjpeg if profile.masks.is_empty() => return Ok(Cow::Borrowed(data)),
            PixelFormat::Mjpeg => self.decoder.decode(data, *geometry, &mut self.planes)?,
            PixelFormat::Yuyv => self.planes.take_yuyv(data, *geometry)?,
        }
        privacy::paint(&mut self.planes, &profile.masks);
        Ok(Cow::Owned(self.encoder.encode(&self.planes, profile.quality)?.to_vec()))
    }
}

/// Everything but length and digest.
fn facts(candidate: &Candidate, seq: u64, boot: &BootId, wall: Option<WallTime>) -> Facts {
    let profile: &Profile = &candidate.profile;
    let mut meta = profile.meta.clone();
    if let Some(seen) = &candidate.seen {
        meta.extend(measured(seen));
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
fn measured(seen: &Observation) -> Vec<(String, String)> {
    let mut meta = Vec::new();
    if seen.score.is_finite() {
        meta.push(("motion-score".into(), format!("{:.4}", seen.score.clamp(0.0, 1.0))));
    }
    if let Some(b) = seen.boxes.first() {
        meta.push(("motion-box".into(), format!("{}-{}-{}-{}", b.x, b.y, b.w, b.h)));
    }
    let detail = seen.quality.detail;
    if detail.is_finite() && detail > 0.0 {
        meta.push(("sharpness".into(), format!("{detail:.2}")));
    }
    meta
}
