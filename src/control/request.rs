//! Requests as they come in over the socket: one JSON object on one line.
//!
//! Pure. Unknown operations and fields are refused with what would be right.

use serde::{Deserialize, Serialize};

/// Longest request line in bytes.
pub const MAX_LINE: usize = 4096;

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// The status.
    Status {},
    /// One picture of a camera, to look at; it is not kept.
    Snap {
        /// Name of the camera.
        camera: String,
    },
}

impl From<Request> for super::Job {
    fn from(request: Request) -> Self {
        match request {
            Request::Status {} => Self::Status,
            Request::Snap { camera } => Self::Snap { camera },
        }
    }
}

/// Parses one request line.
///
/// # Errors
/// A sentence for whoever asked.
pub fn parse(line: &[u8]) -> Result<Request, String> {
    if line.len() > MAX_LINE {
        return Err(format!("request of {} bytes; the most is {MAX_LINE}", line.len()));
    }
    serde_json::from_slice(line).map_err(|e| {
        format!(
            "not a request: {e}; right would be {{\"op\":\"status\"}} or \
             {{\"op\":\"snap\",\"camera\":\"NAME\"}}"
        )
    })
}

/// Head of an answer: one JSON line, followed by `len` bytes where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Was it done?
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Bytes that follow.
    #[serde(default)]
    pub len: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_read_and_wrong_ones_are_told_what_is_right() {
        assert_eq!(parse(br#"{"op":"status"}"#), Ok(Request::Status {}));
        let snap = Request::Snap { camera: "front".into() };
        assert_eq!(parse(br#"{"op":"snap","camera":"front"}"#), Ok(snap));
        for bad in
            [&br#"{"op":"reboot"}"#[..], br#"{"op":"snap"}"#, br#"{"op":"status","x":1}"#, b""]
        {
            assert!(parse(bad).unwrap_err().contains("right would be"), "{bad:?}");
        }
        assert!(parse(&[b' '; MAX_LINE + 1]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&line));
        }
    }
}
