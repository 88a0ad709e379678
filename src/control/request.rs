//! Requests as they come in over the sockets: one JSON object on one line.
//!
//! Pure. Called by `socket` with what that socket allows. Unknown operations and fields, and what a
//! detector must not say, are refused with what would be right.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::check_said;
use super::{Job, Take};
use crate::contract::command::Reason;
use crate::spool::browse::Ask;
use crate::still::{Order, Said};

/// Longest request line in bytes, its end of line included.
pub const MAX_LINE: usize = 4096;

/// A picture that is not there by then is no longer of the moment that the trigger meant.
pub const TRIGGER_WITHIN: Duration = Duration::from_secs(10);

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// The status.
    Status {},
    /// One picture of a camera, to look at; it is not kept.
    Snap {
        /// Name of the camera.
        camera: String,
    },
    /// All cameras are to be closed, or opened again.
    Privacy {
        /// Closed.
        on: bool,
    },
    /// What waits in the spool, and what is to be done to it.
    Spool {
        /// What is asked.
        ask: Ask,
    },
    /// One picture of a camera, to be kept, because a detector or sensor on the device says so.
    Trigger {
        /// Name of the camera; may be left out where there is only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<String>,
        /// What was seen: `person`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// Where: `[x, y, width, height]`, each in 0..1 of the frame.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        boxes: Vec<[f32; 4]>,
        /// Whatever else is to be found in the object's metadata.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        meta: BTreeMap<String, String>,
    },
}

/// The operations by name, for a socket that allows only some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// [`Request::Status`].
    Status,
    /// [`Request::Snap`].
    Snap,
    /// [`Request::Trigger`].
    Trigger,
    /// [`Request::Privacy`].
    Privacy,
    /// [`Request::Spool`].
    Spool,
}

impl Op {
    /// All operations.
    pub const ALL: [Self; 5] =
        [Self::Status, Self::Snap, Self::Trigger, Self::Privacy, Self::Spool];

    /// As in the request.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Snap => "snap",
            Self::Trigger => "trigger",
            Self::Privacy => "privacy",
            Self::Spool => "spool",
        }
    }

    /// A request that would be right.
    fn example(self) -> &'static str {
        match self {
            Self::Status => r#"{"op":"status"}"#,
            Self::Snap => r#"{"op":"snap","camera":"NAME"}"#,
            Self::Privacy => r#"{"op":"privacy","on":true}"#,
            Self::Spool => r#"{"op":"spool","ask":{"do":"list"}}"#,
            Self::Trigger => {
                r#"{"op":"trigger","camera":"NAME","label":"person","boxes":[[0.1,0.2,0.3,0.4]],"meta":{"key":"value"}}"#
            }
        }
    }
}

impl Request {
    /// Which operation it is.
    #[must_use]
    pub fn op(&self) -> Op {
        match self {
            Self::Status {} => Op::Status,
            Self::Snap { .. } => Op::Snap,
            Self::Privacy { .. } => Op::Privacy,
            Self::Trigger { .. } => Op::Trigger,
            Self::Spool { .. } => Op::Spool,
        }
    }
}

impl From<Request> for Job {
    fn from(request: Request) -> Self {
        match request {
            Request::Status {} => Self::Status,
            Request::Snap { camera } => Self::Snap { camera },
            Request::Privacy { on } => Self::Privacy { on },
            Request::Spool { ask } => Self::Spool(ask),
            Request::Trigger { camera, label, boxes, meta } => Self::Take(Take {
                camera,
                command: None,
                count: 1,
                order: Order::default(),
                said: Some(Said { label, boxes, meta }),
                within: TRIGGER_WITHIN,
            }),
        }
    }
}

/// Parses one request line that may ask for what `allows` names, into what the agent is to do.
///
/// # Errors
/// `bad-request`, `not-allowed`, or what [`check_said`] finds; with a sentence for whoever asked.
pub fn parse(line: &[u8], allows: &[Op]) -> Result<Job, Reason> {
    if line.len() > MAX_LINE {
        let text = format!("the request has more than {MAX_LINE} bytes; the most is {MAX_LINE}");
        return Err(Reason::new("bad-request", text));
    }
    let request: Request = serde_json::from_slice(line).map_err(|error| {
        let right: Vec<_> = allows.iter().map(|op| op.example()).collect();
        let text = format!("not a request: {error}; right would be {}", right.join(" or "));
        Reason::new("bad-request", text)
    })?;
    if !allows.contains(&request.op()) {
        let right: Vec<_> = allows.iter().map(|op| format!("`{}`", op.name())).collect();
        let asked = request.op().name();
        let text = format!("`{asked}` is not for this socket; it takes {}", right.join(", "));
        return Err(Reason::new("not-allowed", text));
    }
    let job = Job::from(request);
    if let Job::Take(Take { said: Some(said), .. }) = &job {
        check_said(said)?;
    }
    Ok(job)
}

/// Head of an answer: one JSON line, followed by `len` bytes where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Was it done?
    pub ok: bool,
    /// Why not, for programs: short and stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Bytes that follow.
    #[serde(default)]
    pub len: u64,
}

impl Head {
    /// It was done; `len` bytes follow.
    #[must_use]
    pub fn done(len: usize) -> Self {
        Self { ok: true, code: None, error: None, len: len as u64 }
    }

    /// It was not done.
    #[must_use]
    pub fn failed(reason: Reason) -> Self {
        Self { ok: false, code: Some(reason.code), error: Some(reason.text), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(line: &[u8], allows: &[Op]) -> Reason {
        parse(line, allows).unwrap_err()
    }

    #[test]
    fn requests_are_read_and_wrong_ones_are_told_what_is_right() {
        assert_eq!(parse(br#"{"op":"status"}"#, &Op::ALL), Ok(Job::Status));
        let snap = Job::Snap { camera: "front".into() };
        assert_eq!(parse(br#"{"op":"snap","camera":"front"}"#, &Op::ALL), Ok(snap));
        for bad in [
            &br#"{"op":"reboot"}"#[..],
            br#"{"op":"snap"}"#,
            br#"{"op":"status","x":1}"#,
            br#"{"op":"trigger","colour":"red"}"#,
            br#"{"op":"trigger","boxes":[[0,0,1]]}"#,
            b"",
        ] {
            let error = error(bad, &Op::ALL);
            assert_eq!(error.code, "bad-request");
            assert!(error.text.contains(r#"right would be {"op":"status"} or "#), "{error:?}");
        }
        assert!(error(&[b' '; MAX_LINE + 1], &Op::ALL).text.contains("the most is 4096"));
    }

    #[test]
    fn every_example_is_right() {
        for op in Op::ALL {
            let request: Request = serde_json::from_str(op.example()).unwrap();
            assert_eq!(request.op(), op);
            assert!(parse(op.example().as_bytes(), &[op]).is_ok());
        }
    }

    #[test]
    fn a_trigger_asks_for_one_picture_that_says_what_was_said() {
        let line = br#"{"op":"trigger","label":"person","boxes":[[0.1,0.2,0.3,0.4]],"meta":{"model":"hog"}}"#;
        let said = Said {
            label: Some("person".into()),
            boxes: vec![[0.1, 0.2, 0.3, 0.4]],
            meta: [("model".to_owned(), "hog".to_owned())].into(),
        };
        let take = Take {
            camera: None,
            command: None,
            count: 1,
            order: Order::default(),
            said: Some(said),
            within: Duration::from_secs(10),
        };
        assert_eq!(parse(line, &[Op::Trigger]), Ok(Job::Take(take)));
        let Ok(Job::Take(bare)) = parse(br#"{"op":"trigger","camera":"front"}"#, &Op::ALL) else {
            panic!("a sensor need not say anything")
        };
        assert_eq!((bare.camera.as_deref(), bare.said), (Some("front"), Some(Said::default())));
    }

    #[test]
    fn what_a_socket_does_not_allow_is_answered_with_what_it_does() {
        for refused in [Op::Status, Op::Snap] {
            let error = error(refused.example().as_bytes(), &[Op::Trigger]);
            assert_eq!(error.code, "not-allowed");
            assert!(error.text.contains("it takes `trigger`"), "{error:?}");
        }
        let malformed = error(b"{}", &[Op::Trigger]).text;
        assert!(malformed.contains(r#""op":"trigger""#) && !malformed.contains("status"));
    }

    #[test]
    fn a_trigger_that_says_too_much_is_refused() {
        let boxed = error(br#"{"op":"trigger","boxes":[[0.5,0.5,0.9,0.1]]}"#, &Op::ALL);
        assert_ne!(boxed.code, "bad-request", "{boxed:?}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&line, &Op::ALL));
        }

        #[test]
        fn requests_survive_the_wire(
            camera in proptest::option::of("[a-z0-9-]{1,32}"), label in proptest::option::of(".{0,20}"),
            boxes in proptest::collection::vec(proptest::array::uniform4(0.0_f32..1.0), 0..4),
            meta in proptest::collection::btree_map("[a-z-]{1,9}", ".{0,9}", 0..4),
        ) {
            let request = Request::Trigger { camera, label, boxes, meta };
            let line = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Request>(&line).unwrap(), request);
        }
    }
}
