//! The manifest of an event as an object: its facts and its bytes.
//!
//! Used by the still thread, which numbers manifests together with pictures. Pure. A manifest is no
//! picture: it has no Exif, and its key and content type say so. Its capture time is the event's begin,
//! so that it lies beside the event's pictures.

use bytes::Bytes;

use super::Sheet;
use super::studio::sha256;
use crate::clock::WallTime;
use crate::contract::{Class, Facts, Trigger};
use crate::frame::Stamp;

/// The object and its facts, under number `seq`.
pub(super) fn object(sheet: Sheet, seq: u64, wall: Option<WallTime>) -> (Bytes, Facts) {
    let Sheet { profile, event, boot, began, body } = sheet;
    let facts = Facts {
        boot,
        seq,
        captured: began,
        stamp: Stamp::Driver,
        wall,
        device: profile.device.clone(),
        camera: profile.camera.clone(),
        trigger: Trigger::Manifest,
        event: Some(event),
        event_final: true,
        command: None,
        class: Class::Manifest,
        content_type: "application/json".into(),
        len: body.len() as u64,
        sha256: sha256(&body),
        meta: profile.meta.clone(),
        key_template: profile.key_template.clone(),
    };
    (body.into(), facts)
}
