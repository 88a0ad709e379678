//! One candidate to one finished picture: pixels, Exif, digest, facts.
//!
//! Used by the still thread only. No clock, no thread, no I/O: the same candidate with the same number
//! and times gives the same bytes, but for the quality that `max_bytes` finds, whose search begins where the
//! camera's last picture ended. Encoder, decoder and planes are made when the first picture needs
//! them and kept; a camera whose JPEGs are passed on undecoded never has any.
//!
//! ```text
//! JPEG ─▶ undecoded: as it came, or its blocks masked, cut, turned, written on ─▶ Exif ─▶ object
//!   └─ blur, mosaic, a size, a quality, a rare kind, too many bytes ─▶ planes ─┐
//! raw ──────────────▶ planes: mask, cut, scale, turn, text ◀───────────────────┘ ─▶ encode ─▶ Exif ─▶ object
//! ```
//!
//! Both ways give a picture of the same size that shows the same part of the frame.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::blocks::Plain;
use super::encode::{EncodeError, Encoder, Planes};
use super::exif::{self, Besides, ExifError};
use super::passthrough::{JpegError, ended, layout, normal_form};
use super::privacy::{self, Decoder, MaskError, Style, Window};
use super::scale::{self, ScaleError};
use super::text::{Label, Names};
use super::view::View;
use super::{Candidate, Order, Profile, Said, crop, said, target, thumbnail, transform};
use crate::clock::{BootId, WallTime};
use crate::contract::Facts;
use crate::firstpass::{Condition, Observation, jpeg_dc};
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
    /// Cutting or turning failed.
    #[error("cannot cut or turn the picture: {0}")]
    Lay(#[from] turbojpeg::Error),
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
    /// The quality of each camera's last picture that was to fit into a number of bytes.
    good: HashMap<String, u8>,
}

/// A picture but for its Exif and, where it is still in planes, its encoding.
struct Draft<'a> {
    /// `None`: in the studio's planes.
    jpeg: Option<Cow<'a, [u8]>>,
    view: View,
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
        let draft = studio.draft(candidate, wall)?;
        let mut facts = facts(candidate, &draft.view, seq, boot, wall);
        let thumbnail = studio.thumbnail(candidate, &draft);
        let besides = Besides {
            size: draft.view.made(),
            location: candidate.profile.place.location,
            thumbnail: thumbnail.as_deref(),
        };
        let exif = exif::block(&facts, &besides)?;
        let object = studio.finish(candidate, draft, wall, Some(&exif))?;
        facts.len = object.len() as u64;
        facts.sha256 = sha256(&object);
        Ok((object.into(), facts))
    }

    /// The picture alone, as if it were kept, but without Exif.
    pub(super) fn show(
        &mut self,
        candidate: &Candidate,
        wall: Option<WallTime>,
    ) -> Result<Vec<u8>, StillError> {
        let draft = self.draft(candidate, wall)?;
        self.finish(candidate, draft, wall, None)
    }

    fn draft<'a>(
        &mut self,
        candidate: &'a Candidate,
        wall: Option<WallTime>,
    ) -> Result<Draft<'a>, StillError> {
        let undecoded = match candidate.geometry.format {
            PixelFormat::Mjpeg => undecoded(candidate, wall)?,
            _ => None,
        };
        match undecoded {
            Some(draft) => Ok(draft),
            None => Ok(Draft { jpeg: None, view: self.develop(candidate, wall)? }),
        }
    }

    /// Fills the planes with the finished picture.
    fn develop(
        &mut self,
        candidate: &Candidate,
        wall: Option<WallTime>,
    ) -> Result<View, StillError> {
        let Candidate { data, geometry, profile, .. } = candidate;
        match geometry.format {
            PixelFormat::Mjpeg => self.decoder.decode(&ended(data), *geometry, &mut self.planes)?,
            _ => self.planes.take(data, *geometry)?,
        }
        let look = &profile.look;
        let frame = (self.planes.width(), self.planes.height());
        let mut view = View::whole(frame);
        privacy::paint(&mut self.planes, &profile.masks);
        let mcu = self.planes.subsamp().mcu_size();
        if let Some(area) = look.crop.and_then(|crop| crop::area(candidate, crop, frame, mcu)) {
            self.planes = self.planes.cut(area)?;
            view = view.cut(area);
        }
        let shown = (self.planes.width(), self.planes.height());
        if let Some(most) = size(candidate)
            && let Some(to) = scale::fit(shown, most, self.planes.subsamp().size())
        {
            self.planes = scale::scale(&self.planes, to)?;
            view = view.scaled(to);
            // Black before, so that nothing masked runs into the pixels beside it, and after, so that
            // the mask's own edge is black.
            let window = Window { frame, area: view.area, size: to };
            privacy::blacken(&mut self.planes, &profile.masks, &window);
        }
        if !look.turn.is_none() {
            self.planes = transform::turned(&self.planes, look.turn)?;
            view = view.turned(look.turn);
        }
        let mcu = self.planes.subsamp().mcu_size();
        if let Some(label) = label(candidate, wall, view.made(), mcu) {
            label.burn(&mut self.planes);
        }
        Ok(view)
    }

    /// The JPEG in its normal form, within the profile's bytes where that can be.
    fn finish(
        &mut self,
        candidate: &Candidate,
        draft: Draft<'_>,
        wall: Option<WallTime>,
        exif: Option<&[u8]>,
    ) -> Result<Vec<u8>, StillError> {
        let Candidate { profile, order, .. } = candidate;
        let most = profile.look.max_bytes.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        if let Some(jpeg) = draft.jpeg {
            let object = normal_form(&jpeg, exif)?;
            if most.is_none_or(|most| object.len() <= most) {
                return Ok(object);
            }
            self.develop(candidate, wall)?;
        }
        let quality = order.quality.unwrap_or(profile.quality);
        let Self { encoder, planes, good, .. } = self;
        let jpeg = match most {
            None => encoder.encode(planes, quality)?,
            Some(most) => {
                let room = most.saturating_sub(exif.map_or(0, |exif| exif.len() + SEGMENT_HEAD));
                let start = good.get(&profile.camera).copied().unwrap_or(quality);
                let encode = |quality| encoder.encode(planes, quality);
                let (jpeg, found) = target::search(start, quality, room, encode)?;
                good.insert(profile.camera.clone(), found);
                jpeg
            }
        };
        Ok(normal_form(&jpeg, exif)?)
    }

    fn thumbnail(&self, candidate: &Candidate, draft: &Draft<'_>) -> Option<Vec<u8>> {
        let most = candidate.profile.look.thumbnail?;
        match &draft.jpeg {
            Some(jpeg) => thumbnail::of_jpeg(&ended(jpeg), candidate.geometry, most),
            None => thumbnail::of_planes(&self.planes, most),
        }
    }
}

/// Marker, length and name of our Exif segment.
const SEGMENT_HEAD: usize = 10;

/// The pixels within which the picture is to be before it is turned.
fn size(candidate: &Candidate) -> Option<(u32, u32)> {
    let look = &candidate.profile.look;
    candidate.order.size.or(look.size).map(|most| look.turn.size(most))
}

/// The text for a picture of this size.
fn label(
    candidate: &Candidate,
    wall: Option<WallTime>,
    size: (usize, usize),
    mcu: (usize, usize),
) -> Option<Label> {
    let profile = &candidate.profile;
    let caption = profile.look.text.as_ref()?;
    let site = profile.meta.get("site").map_or("", String::as_str);
    let names = Names { site, device: &profile.device, camera: &profile.camera };
    Label::new(&caption.words(&names, &profile.place, wall), caption.corner, size, mcu)
}

/// The picture of a camera's JPEG without decoding it; `None` where it must be decoded.
fn undecoded(
    candidate: &Candidate,
    wall: Option<WallTime>,
) -> Result<Option<Draft<'_>>, StillError> {
    let Candidate { data, geometry, profile, order, .. } = candidate;
    let look = &profile.look;
    if order.quality.is_some() || profile.masks.iter().any(|mask| mask.style != Style::Black) {
        return Ok(None);
    }
    let too_large = |shown: (usize, usize)| {
        size(candidate).is_some_and(|most| scale::fit(shown, most, (1, 1)).is_some())
    };
    let edited = !profile.masks.is_empty() || look.text.is_some() || !look.turn.is_none();
    if !edited && look.crop.is_none() {
        let frame = pixels(data, *geometry)?;
        let jpeg = Some(Cow::Borrowed(data.as_slice()));
        return Ok((!too_large(frame)).then(|| Draft { jpeg, view: View::whole(frame) }));
    }
    let data = ended(data);
    let Ok(plain) = Plain::read(&data) else { return Ok(None) };
    let frame = plain.size;
    privacy::within(frame.0, frame.1, *geometry)?;
    let area = look.crop.and_then(|crop| crop::area(candidate, crop, frame, plain.mcu));
    let view = area.map_or(View::whole(frame), |area| View::whole(frame).cut(area));
    if too_large((view.area[2], view.area[3])) {
        return Ok(None);
    }
    let view = view.turned(look.turn);
    let laid = area.is_some() || !look.turn.is_none();
    if !laid && !edited {
        let whole = candidate.data.as_slice();
        return Ok(Some(Draft { jpeg: Some(Cow::Borrowed(whole)), view }));
    }
    let edit = || -> Option<Vec<u8>> {
        let label = label(candidate, wall, view.made(), look.turn.size(plain.mcu));
        if !laid {
            return plain.edit(&profile.masks, label.as_ref()).ok();
        }
        let mut jpeg = Cow::Borrowed(&data[..]);
        if !profile.masks.is_empty() {
            jpeg = Cow::Owned(plain.edit(&profile.masks, None).ok()?);
        }
        if let Some(area) = area {
            jpeg = Cow::Owned(transform::cut(&jpeg, area)?.to_vec());
        }
        if !look.turn.is_none() {
            jpeg = Cow::Owned(transform::lossless(&jpeg, look.turn)?.to_vec());
        }
        if label.is_some() {
            jpeg = Cow::Owned(Plain::read(&jpeg).ok()?.edit(&[], label.as_ref()).ok()?);
        }
        Some(jpeg.into_owned())
    };
    Ok(edit().map(|jpeg| Draft { jpeg: Some(Cow::Owned(jpeg)), view }))
}

/// Width and height that the JPEG's own header says.
fn pixels(jpeg: &[u8], promised: Geometry) -> Result<(usize, usize), JpegError> {
    if let Ok((width, height)) = jpeg_dc::header(jpeg) {
        return Ok((width as usize, height as usize));
    }
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
    view: &View,
    seq: u64,
    boot: &BootId,
    wall: Option<WallTime>,
) -> Facts {
    let profile: &Profile = &candidate.profile;
    let mut meta = profile.meta.clone();
    if let Some(seen) = &candidate.seen {
        meta.extend(measured(seen, view));
    }
    meta.extend(candidate.marks.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    if let Some(said) = &candidate.said {
        let boxes = said.boxes.iter().map(|b| view.share(*b)).collect();
        meta.extend(said::metadata(&Said { boxes, ..said.clone() }, view.made()));
    }
    if view.is_cut() {
        let [x, y, w, h] = view.area;
        meta.insert("crop-box".into(), format!("{x}-{y}-{w}-{h}"));
        meta.insert("frame-size".into(), format!("{}x{}", view.frame.0, view.frame.1));
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
fn measured(seen: &Observation, view: &View) -> Vec<(String, String)> {
    let mut meta = Vec::new();
    if seen.score.is_finite() {
        meta.push(("motion-score".into(), format!("{:.4}", seen.score.clamp(0.0, 1.0))));
    }
    if let Some([x, y, w, h]) = seen.boxes.first().and_then(|b| view.pixels(*b)) {
        meta.push(("motion-box".into(), format!("{x}-{y}-{w}-{h}")));
    }
    if let Some(direction) = seen.direction {
        meta.push(("motion-direction".into(), view.direction(direction).name().into()));
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

#[cfg(test)]
mod looks;
#[cfg(test)]
mod tests;
