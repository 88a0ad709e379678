//! The Exif block of a picture: what the device knows when the picture is made.
//!
//! Called by the still thread. Standard tags tell a person's viewer who, when and why; the comment holds
//! the same names and values as the object's metadata as JSON, except what is not known yet: size,
//! digest, and the clock's state where the clock was not trusted. A picture without trusted time has no
//! date at all: a wrong one would be believed. Pure.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Tag, Value};

use crate::contract::metadata::at_capture;
use crate::contract::{Facts, calendar};

/// The Exif block could not be written: a fault of ours. The caller gives the picture up.
#[derive(Debug, thiserror::Error)]
#[error("cannot write exif: {0}")]
pub struct ExifError(#[from] exif::Error);

/// Character code of the comment, as Exif wants it in front.
const ASCII: &[u8; 8] = b"ASCII\0\0\0";

/// The block as a TIFF structure, without the segment's head. Always far below 64 KB, because the
/// metadata is.
///
/// # Errors
/// Never on facts of any content; the library's own errors are passed on.
pub fn block(facts: &Facts) -> Result<Vec<u8>, ExifError> {
    let description = format!("camera {}, {}", facts.camera, facts.trigger.name());
    let mut fields = vec![
        ascii(Tag::ImageDescription, &description),
        ascii(Tag::Make, "Vedette"),
        ascii(Tag::Software, concat!("Vedette ", env!("CARGO_PKG_VERSION"))),
        undefined(Tag::ExifVersion, b"0232".to_vec()),
        undefined(Tag::UserComment, comment(facts)),
    ];
    if let Some(t) = facts.wall.and_then(calendar) {
        let date = t.strftime("%Y:%m:%d %H:%M:%S").to_string();
        fields.push(ascii(Tag::DateTimeOriginal, &date));
        fields.push(ascii(Tag::SubSecTimeOriginal, &format!("{:03}", t.millisecond())));
        fields.push(ascii(Tag::OffsetTimeOriginal, "+00:00"));
    }
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut out = Cursor::new(Vec::with_capacity(1024));
    writer.write(&mut out, false)?;
    Ok(out.into_inner())
}

fn comment(facts: &Facts) -> Vec<u8> {
    let facts: serde_json::Map<_, _> =
        at_capture(facts).into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut comment = ASCII.to_vec();
    comment.extend_from_slice(serde_json::Value::Object(facts).to_string().as_bytes());
    comment
}

fn ascii(tag: Tag, text: &str) -> Field {
    let text = text.chars().map(|c| if (' '..='~').contains(&c) { c as u8 } else { b'-' });
    Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.collect()]) }
}

fn undefined(tag: Tag, bytes: Vec<u8>) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value: Value::Undefined(bytes, 0) }
}

#[cfg(test)]
mod tests {
    use exif::Exif;

    use super::*;
    use crate::contract::metadata::metadata;
    use crate::contract::tests::facts;

    fn read(facts: &Facts) -> Exif {
        exif::Reader::new().read_raw(block(facts).unwrap()).unwrap()
    }

    fn text(exif: &Exif, tag: Tag) -> Option<String> {
        let field = exif.get_field(tag, In::PRIMARY)?;
        match &field.value {
            Value::Ascii(lines) => Some(String::from_utf8(lines.concat()).unwrap()),
            Value::Undefined(bytes, _) => Some(String::from_utf8(bytes.clone()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn told(exif: &Exif) -> serde_json::Map<String, serde_json::Value> {
        let comment = text(exif, Tag::UserComment).unwrap();
        serde_json::from_str(comment.strip_prefix("ASCII\0\0\0").unwrap()).unwrap()
    }

    #[test]
    fn a_reader_finds_who_why_and_when() {
        let exif = read(&facts());
        let get = |tag| text(&exif, tag).unwrap();
        assert_eq!(get(Tag::ImageDescription), "camera front, motion");
        assert_eq!(get(Tag::Make), "Vedette");
        assert_eq!(get(Tag::Software), format!("Vedette {}", env!("CARGO_PKG_VERSION")));
        assert_eq!(get(Tag::DateTimeOriginal), "2026:11:22 10:15:30");
        assert_eq!(get(Tag::SubSecTimeOriginal), "123");
        assert_eq!(get(Tag::OffsetTimeOriginal), "+00:00");
    }

    #[test]
    fn the_comment_tells_the_metadata_but_for_size_and_digest() {
        let facts = facts();
        let mut expected: serde_json::Map<_, _> =
            metadata(&facts, None).into_iter().map(|(name, value)| (name, value.into())).collect();
        assert!(expected.remove("size").is_some() && expected.remove("sha256").is_some());
        assert_eq!(told(&read(&facts)), expected);
    }

    #[test]
    fn without_trusted_time_there_is_no_date_and_no_clock_state() {
        for wall in [None, Some(crate::clock::WallTime(-5))] {
            let exif = read(&Facts { wall, ..facts() });
            assert_eq!(text(&exif, Tag::DateTimeOriginal), None);
            assert_eq!(text(&exif, Tag::OffsetTimeOriginal), None);
            let told = told(&exif);
            assert!(!told.contains_key("captured") && !told.contains_key("clock"));
            assert_eq!(told["captured-boottime"], "7500000000");
        }
    }

    #[test]
    fn facts_of_any_content_and_length_fit_into_a_segment() {
        let long = "\u{1F4F7}\0\n\"".repeat(30_000);
        let mut facts = Facts { command: Some(long.clone()), ..facts() };
        facts.meta.extend((0..500).map(|i| (format!("label-{i}"), long.clone())));
        assert!(block(&facts).unwrap().len() < 10_000);
        assert!(told(&read(&facts)).contains_key("command"));
    }
}
