//! The spool file's trailer: everything that is needed to deliver a picture, behind its bytes.
//!
//! ```text
//! object bytes │ JSON {"format":1, facts…} │ JSON length u32 LE │ crc32c of the JSON u32 LE │ VEDETTE1
//! ```
//!
//! The trailer stands last, so that a write cut short at any byte lacks it and is told from a whole
//! one. The checksum guards the JSON, the SHA-256 inside it guards the object's bytes, and the magic
//! carries the version of the frame around both. Pure: no files. Called by the writer, by recovery and
//! by whoever loads a claimed picture; arbitrary bytes are an error, never a panic.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contract::Facts;

/// Version of the JSON's meaning.
pub const FORMAT: u32 = 1;
/// The last eight bytes of every spool file.
pub const MAGIC: [u8; 8] = *b"VEDETTE1";
/// Bytes after the JSON: its length, its checksum, the magic.
pub const FOOTER_LEN: usize = 16;
/// Longest JSON that is believed; facts are a few hundred bytes.
pub const MAX_JSON: usize = 64 * 1024;

/// Why bytes are not a spool file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrailerError {
    /// The magic is not at the end: cut short, or not ours.
    #[error("no trailer at the end of the file")]
    NoTrailer,
    /// The footer's length does not fit the file.
    #[error("the trailer's length is out of bounds")]
    Length,
    /// The JSON's checksum is wrong.
    #[error("the trailer's checksum does not match")]
    Checksum,
    /// The JSON is of a later format or not facts at all.
    #[error("the trailer cannot be understood: {0}")]
    Json(String),
    /// The object is not as long as the facts say.
    #[error("the object has {found} bytes where its trailer says {told}")]
    ObjectLength {
        /// Bytes before the trailer.
        found: u64,
        /// Bytes by the facts.
        told: u64,
    },
    /// The object's bytes are not those of the facts' SHA-256.
    #[error("the object's SHA-256 does not match")]
    Body,
    /// The facts cannot be written: their JSON is too long.
    #[error("the trailer would be longer than {MAX_JSON} bytes")]
    TooLong,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    #[serde(flatten)]
    facts: &'a Facts,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The bytes that follow the object: JSON and footer.
///
/// # Errors
/// [`TrailerError::TooLong`], or [`TrailerError::Json`] where the facts cannot be expressed.
pub fn encode(facts: &Facts) -> Result<Vec<u8>, TrailerError> {
    let mut out = serde_json::to_vec(&Written { format: FORMAT, facts })
        .map_err(|e| TrailerError::Json(e.to_string()))?;
    if out.len() > MAX_JSON {
        return Err(TrailerError::TooLong);
    }
    let len = u32::try_from(out.len()).map_err(|_| TrailerError::TooLong)?;
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&MAGIC);
    Ok(out)
}

/// The footer of a file: how long its JSON is and what it sums to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    json_len: usize,
    crc: u32,
}

impl Footer {
    /// Reads a file's last [`FOOTER_LEN`] bytes; `file_len` bounds the length it may tell.
    ///
    /// # Errors
    /// [`TrailerError::NoTrailer`] or [`TrailerError::Length`].
    pub fn parse(last: &[u8], file_len: u64) -> Result<Self, TrailerError> {
        let (len, rest) = last.split_first_chunk::<4>().ok_or(TrailerError::NoTrailer)?;
        let (crc, magic) = rest.split_first_chunk::<4>().ok_or(TrailerError::NoTrailer)?;
        if magic != MAGIC {
            return Err(TrailerError::NoTrailer);
        }
        let json_len = u32::from_le_bytes(*len) as usize;
        let footer = Self { json_len, crc: u32::from_le_bytes(*crc) };
        if json_len > MAX_JSON || footer.len() as u64 > file_len {
            return Err(TrailerError::Length);
        }
        Ok(footer)
    }

    /// Bytes of the whole trailer, JSON and footer.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a trailer is never empty")]
    pub fn len(self) -> usize {
        self.json_len + FOOTER_LEN
    }

    /// The facts in a file's last [`Footer::len`] bytes.
    ///
    /// # Errors
    /// All of [`TrailerError`] but `Body` and `TooLong`.
    pub fn facts(self, trailer: &[u8], file_len: u64) -> Result<Facts, TrailerError> {
        let json = trailer.get(..self.json_len).ok_or(TrailerError::Length)?;
        if crc32c::crc32c(json) != self.crc {
            return Err(TrailerError::Checksum);
        }
        let version: Version = parse(json)?;
        if version.format != FORMAT {
            return Err(TrailerError::Json(format!("format {} is not known", version.format)));
        }
        let facts: Facts = parse(json)?;
        let found = file_len.checked_sub(self.len() as u64).ok_or(TrailerError::Length)?;
        if facts.len != found {
            return Err(TrailerError::ObjectLength { found, told: facts.len });
        }
        Ok(facts)
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, TrailerError> {
    serde_json::from_slice(json).map_err(|e| TrailerError::Json(e.to_string()))
}

/// Takes a whole spool file apart: its facts, and how many of its bytes are the object. The object's
/// bytes are not looked at: see [`verify_body`].
///
/// # Errors
/// All of [`TrailerError`] but `Body` and `TooLong`.
pub fn decode(file: &[u8]) -> Result<(Facts, usize), TrailerError> {
    let (_, last) = file.split_last_chunk::<FOOTER_LEN>().ok_or(TrailerError::NoTrailer)?;
    let footer = Footer::parse(last, file.len() as u64)?;
    let object_len = file.len().checked_sub(footer.len()).ok_or(TrailerError::Length)?;
    let trailer = file.get(object_len..).ok_or(TrailerError::Length)?;
    Ok((footer.facts(trailer, file.len() as u64)?, object_len))
}

/// Checks the object's bytes against the SHA-256 of its facts.
///
/// # Errors
/// [`TrailerError::Body`].
pub fn verify_body(facts: &Facts, body: &[u8]) -> Result<(), TrailerError> {
    if sha256_hex(body) == facts.sha256 { Ok(()) } else { Err(TrailerError::Body) }
}

/// SHA-256 as 64 lower-case hex digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
    out
}

#[cfg(test)]
pub(in crate::spool) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{BootId, BootTime, WallTime};
    use crate::contract::{Class, Trigger};
    use crate::frame::Stamp;

    pub(in crate::spool) fn facts(body: &[u8]) -> Facts {
        Facts {
            boot: BootId("6f1c2e9a-0000-4000-8000-000000000000".into()),
            seq: 41,
            captured: BootTime(12_345_678_901),
            stamp: Stamp::Driver,
            wall: Some(WallTime(1_700_000_000_123)),
            device: "cam-7".into(),
            camera: "front".into(),
            trigger: Trigger::Motion,
            event: Some("6f1c2e9a-3039".into()),
            event_final: true,
            command: None,
            class: Class::Best,
            content_type: "image/jpeg".into(),
            len: body.len() as u64,
            sha256: sha256_hex(body),
            meta: [("site".to_owned(), "bern".to_owned())].into(),
            key_template: "v1/cam-7/{camera}/{seq}.jpg".into(),
        }
    }

    fn file(body: &[u8]) -> Vec<u8> {
        let mut file = body.to_vec();
        file.extend(encode(&facts(body)).unwrap());
        file
    }

    fn accepted(file: &[u8]) -> bool {
        decode(file).is_ok_and(|(f, len)| verify_body(&f, &file[..len]).is_ok())
    }

    #[test]
    fn a_written_file_is_read_back_whole() {
        let body = b"not really a jpeg";
        let file = file(body);
        let (found, len) = decode(&file).unwrap();
        assert_eq!(found, facts(body));
        assert_eq!(&file[..len], body);
        assert_eq!(verify_body(&found, body), Ok(()));
    }

    #[test]
    fn the_format_on_disk_is_frozen() {
        let trailer = encode(&facts(b"x")).unwrap();
        let json = concat!(
            r#"{"format":1,"boot":"6f1c2e9a-0000-4000-8000-000000000000","seq":41,"#,
            r#""captured":12345678901,"stamp":"driver","wall":1700000000123,"device":"cam-7","#,
            r#""camera":"front","trigger":"motion","event":"6f1c2e9a-3039","event_final":true,"#,
            r#""class":"best","content_type":"image/jpeg","len":1,"#,
            r#""sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","#,
            r#""meta":{"site":"bern"},"key_template":"v1/cam-7/{camera}/{seq}.jpg"}"#
        );
        let (found, footer) = trailer.split_at(trailer.len() - FOOTER_LEN);
        assert_eq!(std::str::from_utf8(found).unwrap(), json);
        assert_eq!(footer[..4], u32::try_from(json.len()).unwrap().to_le_bytes());
        assert_eq!(footer[4..8], crc32c::crc32c(json.as_bytes()).to_le_bytes());
        assert_eq!(&footer[8..], b"VEDETTE1");
    }

    #[test]
    fn a_later_format_is_not_guessed_at() {
        let mut json: serde_json::Value =
            serde_json::to_value(Written { format: 2, facts: &facts(b"") }).unwrap();
        json["format"] = 2.into();
        let mut bytes = serde_json::to_vec(&json).unwrap();
        let (len, crc) = (u32::try_from(bytes.len()).unwrap(), crc32c::crc32c(&bytes));
        bytes.extend(len.to_le_bytes());
        bytes.extend(crc.to_le_bytes());
        bytes.extend(MAGIC);
        assert!(matches!(decode(&bytes), Err(TrailerError::Json(_))));
    }

    #[test]
    fn facts_that_would_not_be_read_back_are_not_written() {
        let mut long = facts(b"");
        long.key_template = "x".repeat(MAX_JSON);
        assert_eq!(encode(&long), Err(TrailerError::TooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn arbitrary_bytes_never_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            len in any::<u32>(),
            small in 0u32..220,
            pick in 0u8..3,
        ) {
            if pick > 0 {
                let len = if pick == 1 { len } else { small };
                bytes.extend(len.to_le_bytes());
                bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
                bytes.extend(MAGIC);
            }
            prop_assert!(!accepted(&bytes));
        }

        #[test]
        fn a_changed_file_is_never_accepted(
            body in proptest::collection::vec(any::<u8>(), 0..100),
            at in any::<proptest::sample::Index>(),
            flip in 1u8..,
            cut in any::<bool>(),
        ) {
            let mut file = file(&body);
            prop_assert!(accepted(&file));
            let at = at.index(file.len());
            if cut { file.truncate(at) } else { file[at] ^= flip }
            prop_assert!(!accepted(&file));
        }
    }
}
