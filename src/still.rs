//! From a pick to a shot: masks, encoding or passing through, EXIF, digests, the sequence number.
//!
//! One thread, nice +5. It never holds a driver's buffer: a [`Pick`] owns its bytes.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::account::InHand;
use crate::clock::BootTime;
use crate::contract::{Class, Facts, Trigger};
use crate::firstpass::{Observation, Polygon};
use crate::frame::{Geometry, Stamp};

/// How a camera's pictures are made. One per camera, shared by its picks.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Camera name.
    pub camera: String,
    /// JPEG quality of encoded (raw or masked) pictures, 1 to 100.
    pub quality: u8,
    /// Areas blackened in every picture before it is stored or shown, in 0..1 of the frame.
    pub masks: Vec<Polygon>,
    /// Device id.
    pub device: String,
    /// Key template, device fields filled in.
    pub key_template: String,
    /// Metadata that every picture carries: site, labels, agent version.
    pub meta: std::collections::BTreeMap<String, String>,
}

/// A frame copied out of the camera's buffer, and why.
#[derive(Debug)]
pub struct Candidate {
    /// The frame's bytes.
    pub data: Vec<u8>,
    /// Their shape.
    pub geometry: Geometry,
    /// Capture time.
    pub captured: BootTime,
    /// Who stamped it.
    pub stamp: Stamp,
    /// How to make the picture.
    pub profile: Arc<Profile>,
    /// What the first pass saw in it; absent where it did not look.
    pub seen: Option<Observation>,
    /// Why it was chosen.
    pub trigger: Trigger,
    /// Event and whether this is known to be its last picture.
    pub event: Option<(String, bool)>,
    /// The command that asked for it.
    pub command: Option<String>,
    /// Its worth.
    pub class: Class,
}

/// What the camera threads hand to the still thread.
#[derive(Debug)]
pub enum Pick {
    /// A chosen picture: to be kept.
    One(Box<Candidate>, InHand),
    /// A picture to look at, not to keep: the finished JPEG goes back to who asked.
    Show(Box<Candidate>, SyncSender<Result<Vec<u8>, String>>),
}

/// A finished picture on its way into the spool.
#[derive(Debug)]
pub struct Shot {
    /// The object's bytes.
    pub bytes: bytes::Bytes,
    /// All that is known of it.
    pub facts: Facts,
    /// Its place in the account.
    pub token: InHand,
}
