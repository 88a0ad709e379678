//! The Exif block of a picture: what the device knows when the picture is made.
//!
//! Called by the still thread. Standard tags tell a person's viewer who, when and why; the comment holds
//! the same names and values as the object's metadata as JSON, except what is not known yet: size,
//! digest, and the clock's state where the clock was not trusted. A picture without trusted time has no
//! date at all: a wrong one would be believed. Where the device knows where it stands, the GPS tags tell it;
//! their own date and time are left out, for no satellite gave them. Orientation is always 1: pixels are
//! turned, never only said to be. Pure.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};

use crate::contract::metadata::at_capture;
use crate::contract::{Facts, calendar};
use crate::place::Location;

/// What a picture tells besides its facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Besides<'a> {
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Where the device stands.
    pub location: Option<Location>,
    /// A small picture of it, as a JPEG of at most 16 KB.
    pub thumbnail: Option<&'a [u8]>,
}

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
pub fn block(facts: &Facts, besides: &Besides<'_>) -> Result<Vec<u8>, ExifError> {
    let description = format!("camera {}, {}", facts.camera, facts.trigger.name());
    let mut fields = vec![
        ascii(Tag::ImageDescription, &description),
        ascii(Tag::Make, "Vedette"),
        ascii(Tag::Software, concat!("Vedette ", env!("CARGO_PKG_VERSION"))),
        undefined(Tag::ExifVersion, b"0232".to_vec()),
        undefined(Tag::UserComment, comment(facts)),
        field(Tag::Orientation, Value::Short(vec![1])),
        field(Tag::PixelXDimension, Value::Long(vec![besides.size.0 as u32])),
        field(Tag::PixelYDimension, Value::Long(vec![besides.size.1 as u32])),
    ];
    fields.extend(besides.location.iter().flat_map(gps));
    // 6: JPEG. Fields of a directory without a picture would make one.
    let small = Value::Short(vec![6]);
    let small = Field { tag: Tag::Compression, ifd_num: In::THUMBNAIL, value: small };
    fields.extend(besides.thumbnail.map(|_| small));
    if let Some(t) = facts.wall.and_then(calendar) {
        let date = t.strftime("%Y:%m:%d %H:%M:%S").to_string();
        fields.push(ascii(Tag::DateTimeOriginal, &date));
        fields.push(ascii(Tag::SubSecTimeOriginal, &format!("{:03}", t.millisecond())));
        fields.push(ascii(Tag::OffsetTimeOriginal, "+00:00"));
    }
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    if let Some(jpeg) = besides.thumbnail {
        writer.set_jpeg(jpeg, In::THUMBNAIL);
    }
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

/// Exif 2.32, table 15: degrees, minutes and seconds as fractions, to a ten-thousandth of a second (3 mm).
fn gps(location: &Location) -> Vec<Field> {
    let angle = |degrees: f64| {
        // 180 degrees are more of them than 32 bits hold; casts saturate.
        let parts = (degrees.abs() * 3600.0 * 10_000.0).round() as u64;
        let whole = |num: u64| Rational { num: num as u32, denom: 1 };
        let (degrees, rest) = (parts / 36_000_000, parts % 36_000_000);
        let seconds = Rational { num: (rest % 600_000) as u32, denom: 10_000 };
        Value::Rational(vec![whole(degrees), whole(rest / 600_000), seconds])
    };
    let Location { latitude, longitude, altitude } = *location;
    let mut fields = vec![
        field(Tag::GPSVersionID, Value::Byte(vec![2, 3, 0, 0])),
        ascii(Tag::GPSLatitudeRef, if latitude < 0.0 { "S" } else { "N" }),
        field(Tag::GPSLatitude, angle(latitude)),
        ascii(Tag::GPSLongitudeRef, if longitude < 0.0 { "W" } else { "E" }),
        field(Tag::GPSLongitude, angle(longitude)),
        ascii(Tag::GPSMapDatum, "WGS-84"),
    ];
    if let Some(metres) = altitude {
        let height = Rational { num: (metres.abs() * 100.0).round() as u32, denom: 100 };
        fields.push(field(Tag::GPSAltitudeRef, Value::Byte(vec![u8::from(metres < 0.0)])));
        fields.push(field(Tag::GPSAltitude, Value::Rational(vec![height])));
    }
    fields
}

fn field(tag: Tag, value: Value) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value }
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
        exif::Reader::new().read_raw(block(facts, &Besides::default()).unwrap()).unwrap()
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
    fn where_the_device_stands_is_told_to_the_centimetre_on_each_half_of_the_globe() {
        for (latitude, longitude, altitude, told) in [
            (
                52.5163,
                13.3777,
                Some(34.25),
                [
                    "52 deg 30 min 58.68 sec N",
                    "13 deg 22 min 39.72 sec E",
                    "34.25 meters above sea level",
                ],
            ),
            (
                -33.8568,
                -70.5,
                Some(-3.0),
                ["33 deg 51 min 24.48 sec S", "70 deg 30 min 0 sec W", "3 meters below sea level"],
            ),
            (0.0, 179.999_999_999, None, ["0 deg 0 min 0 sec N", "180 deg 0 min 0 sec E", ""]),
        ] {
            let location = Some(Location { latitude, longitude, altitude });
            let besides = Besides { location, ..Besides::default() };
            let exif = exif::Reader::new().read_raw(block(&facts(), &besides).unwrap()).unwrap();
            let shown = |tag| {
                let field = exif.get_field(tag, In::PRIMARY);
                field.map_or(String::new(), |f| f.display_value().with_unit(&exif).to_string())
            };
            assert_eq!(told, [Tag::GPSLatitude, Tag::GPSLongitude, Tag::GPSAltitude].map(shown));
            assert_eq!(shown(Tag::GPSMapDatum), "\"WGS-84\"");
        }
        assert!(read(&facts()).get_field(Tag::GPSLatitude, In::PRIMARY).is_none());
    }

    #[test]
    fn size_orientation_and_the_small_picture_are_where_readers_look() {
        let small = [0xFF, 0xD8, 1, 2, 3, 0xFF, 0xD9];
        let besides = Besides { size: (1920, 1080), thumbnail: Some(&small), location: None };
        let bytes = block(&facts(), &besides).unwrap();
        let exif = exif::Reader::new().read_raw(bytes).unwrap();
        let number = |tag, ifd| exif.get_field(tag, ifd).unwrap().value.get_uint(0).unwrap();
        assert_eq!(number(Tag::Orientation, In::PRIMARY), 1);
        let size = [Tag::PixelXDimension, Tag::PixelYDimension].map(|tag| number(tag, In::PRIMARY));
        assert_eq!(size, [1920, 1080]);
        let [at, length] = [Tag::JPEGInterchangeFormat, Tag::JPEGInterchangeFormatLength]
            .map(|tag| number(tag, In::THUMBNAIL) as usize);
        assert_eq!(exif.buf()[at..at + length], small);
    }

    #[test]
    fn facts_of_any_content_and_length_fit_into_a_segment() {
        let long = "\u{1F4F7}\0\n\"".repeat(30_000);
        let mut facts = Facts { command: Some(long.clone()), ..facts() };
        facts.meta.extend((0..500).map(|i| (format!("label-{i}"), long.clone())));
        assert!(block(&facts, &Besides::default()).unwrap().len() < 10_000);
        assert!(told(&read(&facts)).contains_key("command"));
    }
}
