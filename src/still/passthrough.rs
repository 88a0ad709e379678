//! The normal form of a JPEG: what a camera sent, made fit to be stored, without decoding it.
//!
//! Called by the still thread for every picture. The normal form is part of the object contract:
//! - the file ends with its EOI; what cameras leave in the buffer behind it is cut off; where a camera
//!   leaves the EOI itself out (a Logitech C920), and every block of the picture is there, it is put in;
//! - a baseline frame without Huffman tables (UVC cameras leave them out, as AVI readers know the
//!   standard ones) gets the standard 420-byte DHT right before its first SOS;
//! - our Exif APP1 stands behind SOI and any APP0 that follow it directly; a camera's own Exif APP1 is
//!   left out, because readers take one only and not all of them the same;
//! - everything else, other APPn segments included, is kept byte for byte and in order.
//!
//! Pure. Frames are hostile input: every length is checked, nothing panics, no more memory is taken
//! than a few times the frame. A frame that breaks off before its picture ends is an error, never mended.

use std::borrow::Cow;

use crate::firstpass::jpeg_dc;

/// Why a frame is not a whole JPEG. The caller gives the picture up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// Does not begin with SOI.
    #[error("not a jpeg: it does not begin with FF D8")]
    NotJpeg,
    /// Ends before its picture does.
    #[error("truncated jpeg: it breaks off at byte {0}, before its picture ends")]
    Truncated(usize),
    /// Something else where a marker must stand.
    #[error("broken jpeg: no marker at byte {0}")]
    NoMarker(usize),
    /// Ends without ever holding a picture.
    #[error("empty jpeg: no frame header or no scan before its end marker")]
    NoPicture,
    /// The metadata to be put in does not fit into one segment.
    #[error("exif of {0} bytes does not fit into one segment")]
    ExifTooLong(usize),
}

/// What the header of a JPEG says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of the frame header: 0 baseline, 1 extended, 2 progressive and so on.
    pub sof: u8,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels; 0 when it is told after the first scan.
    pub height: u16,
    /// Length up to and with EOI; without EOI, up to where it is to stand.
    pub end: usize,
    /// The camera left EOI out; the picture is whole.
    pub unended: bool,
    /// Where our APP1 goes.
    insert_at: usize,
    /// Where the first SOS begins.
    first_scan: usize,
    /// Whether Huffman tables stand before the first scan.
    has_tables: bool,
    /// Ranges of Exif APP1 segments, in order.
    exif: Vec<(usize, usize)>,
}

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const EXIF_ID: &[u8] = b"Exif\0";

/// Walks the markers from SOI to EOI. Only where the frame's only scan runs to its end without EOI are the
/// codes of the picture read as well: whether all of it is there shows nowhere else.
///
/// # Errors
/// The frame is not one whole JPEG.
pub fn layout(jpeg: &[u8]) -> Result<Layout, JpegError> {
    if jpeg.get(..2) != Some(&[0xFF, SOI]) {
        return Err(JpegError::NotJpeg);
    }
    let mut found = Layout {
        sof: 0,
        width: 0,
        height: 0,
        end: 0,
        unended: false,
        insert_at: 2,
        first_scan: 0,
        has_tables: false,
        exif: Vec::new(),
    };
    let mut has_frame = false;
    let mut components = None;
    let mut at = 2;
    loop {
        let (start, code) = marker(jpeg, at)?;
        if code == EOI {
            found.end = start + 2;
            let whole = has_frame && found.first_scan > 0;
            return if whole { Ok(found) } else { Err(JpegError::NoPicture) };
        }
        if matches!(code, 0x01 | 0xD0..=0xD8) {
            at = start + 2;
            continue;
        }
        let body = body(jpeg, start + 2)?;
        let next = start + 4 + body.len();
        match code {
            APP0 if at == found.insert_at => found.insert_at = next,
            APP1 if body.starts_with(EXIF_ID) => found.exif.push((start, next)),
            DHT if found.first_scan == 0 => found.has_tables = true,
            SOS if found.first_scan == 0 => found.first_scan = start,
            // C8 is reserved, CC holds arithmetic conditioning: neither is a frame header.
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF if !has_frame => {
                has_frame = true;
                found.sof = code - 0xC0;
                (found.height, found.width) = (word(body, 1), word(body, 3));
                components = body.get(5);
            }
            _ => {}
        }
        at = match code {
            SOS => match scan_end(jpeg, next) {
                Ok(end) => end,
                Err(cut) => {
                    // Other scans would be missing where this one does not hold all components.
                    let only = found.first_scan == start && body.first() == components;
                    let end = only.then(|| jpeg_dc::unended(jpeg).ok()).flatten().ok_or(cut)?;
                    (found.end, found.unended) = (end, true);
                    return Ok(found);
                }
            },
            _ => next,
        };
    }
}

/// The frame with its EOI, for a decoder: one that lacks nothing else gets it, all others are as they came.
pub(super) fn ended(jpeg: &[u8]) -> Cow<'_, [u8]> {
    match layout(jpeg) {
        Ok(found) if found.unended => Cow::Owned([part(jpeg, 0, found.end), &[0xFF, EOI]].concat()),
        _ => Cow::Borrowed(jpeg),
    }
}

/// The normal form of a frame, with `exif` (a TIFF structure) as its Exif segment.
///
/// # Errors
/// The frame is not one whole JPEG, or `exif` is too long for a segment.
pub fn normal_form(jpeg: &[u8], exif: Option<&[u8]>) -> Result<Vec<u8>, JpegError> {
    let found = layout(jpeg)?;
    let app1 = exif.map(app1_head).transpose()?;
    let tables = !found.has_tables && matches!(found.sof, 0 | 1);
    let extra = exif.map_or(0, |e| e.len() + 10) + if tables { STANDARD_DHT.len() } else { 0 } + 2;
    let mut out = Vec::with_capacity(found.end + extra);

    out.extend_from_slice(part(jpeg, 0, found.insert_at));
    if let (Some(head), Some(tiff)) = (app1, exif) {
        out.extend_from_slice(&head);
        out.extend_from_slice(tiff);
    }
    // An Exif segment behind the first scan would be no header of anything; it goes as well.
    let mut from = found.insert_at;
    let mut cuts = found.exif.iter().copied().peekable();
    for stop in [found.first_scan, found.end] {
        while let Some((start, next)) = cuts.next_if(|(start, _)| *start < stop) {
            out.extend_from_slice(part(jpeg, from, start));
            from = next;
        }
        out.extend_from_slice(part(jpeg, from, stop));
        from = from.max(stop);
        if stop == found.first_scan && tables {
            out.extend_from_slice(&STANDARD_DHT);
        }
    }
    if found.unended {
        out.extend_from_slice(&[0xFF, EOI]);
    }
    Ok(out)
}

/// `FF E1`, the length, `Exif\0\0`.
fn app1_head(tiff: &[u8]) -> Result<[u8; 10], JpegError> {
    let length = u16::try_from(tiff.len() + 8).map_err(|_| JpegError::ExifTooLong(tiff.len()))?;
    let [high, low] = length.to_be_bytes();
    Ok([0xFF, APP1, high, low, b'E', b'x', b'i', b'f', 0, 0])
}

/// The marker at `at`, past fill bytes: where its FF stands, and its code.
fn marker(jpeg: &[u8], at: usize) -> Result<(usize, u8), JpegError> {
    let mut start = at;
    loop {
        match (jpeg.get(start), jpeg.get(start + 1)) {
            (Some(0xFF), Some(0xFF)) => start += 1,
            (Some(0xFF), Some(0x00)) => return Err(JpegError::NoMarker(start)),
            (Some(0xFF), Some(&code)) => return Ok((start, code)),
            (Some(0xFF) | None, _) => return Err(JpegError::Truncated(jpeg.len())),
            (Some(_), _) => return Err(JpegError::NoMarker(start)),
        }
    }
}

/// The body of the segment whose length stands at `at`.
fn body(jpeg: &[u8], at: usize) -> Result<&[u8], JpegError> {
    let truncated = JpegError::Truncated(jpeg.len());
    let length = jpeg.get(at..at + 2).ok_or(truncated)?;
    let length = usize::from(word(length, 0));
    if length < 2 {
        return Err(JpegError::NoMarker(at));
    }
    jpeg.get(at + 2..at + length).ok_or(truncated)
}

/// Where the entropy-coded bytes from `from` on end: at the first marker that is no restart.
fn scan_end(jpeg: &[u8], from: usize) -> Result<usize, JpegError> {
    let mut at = from;
    while let Some(rest) = jpeg.get(at..) {
        let Some(step) = rest.iter().position(|&byte| byte == 0xFF) else { break };
        match rest.get(step + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += step + 2,
            Some(0xFF) => at += step + 1,
            Some(_) => return Ok(at + step),
            None => break,
        }
    }
    Err(JpegError::Truncated(jpeg.len()))
}

/// Big-endian 16 bits at `at`; 0 when the segment is too short.
fn word(body: &[u8], at: usize) -> u16 {
    match (body.get(at), body.get(at + 1)) {
        (Some(&high), Some(&low)) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

fn part(jpeg: &[u8], from: usize, to: usize) -> &[u8] {
    jpeg.get(from..to).unwrap_or_default()
}

/// The Huffman tables of ITU-T T.81 annex K.3 in one DHT segment, as every MJPEG decoder assumes them.
#[rustfmt::skip]
pub const STANDARD_DHT: [u8; 420] = [
    0xFF, 0xC4, 0x01, 0xA2, 0x00, 0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
    0x09, 0x0A, 0x0B, 0x10, 0x00, 0x02, 0x01, 0x03, 0x03, 0x02, 0x04, 0x03, 0x05, 0x05, 0x04,
    0x04, 0x00, 0x00, 0x01, 0x7D, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31,
    0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23,
    0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16,
    0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38,
    0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57,
    0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76,
    0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA,
    0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7,
    0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3,
    0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA, 0x01, 0x00, 0x03, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A,
    0x0B, 0x11, 0x00, 0x02, 0x01, 0x02, 0x04, 0x04, 0x03, 0x04, 0x07, 0x05, 0x04, 0x04, 0x00,
    0x01, 0x02, 0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41,
    0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1,
    0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25,
    0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39,
    0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77,
    0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA,
    0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7,
    0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3, 0xE4,
    0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::tests::jpeg;
    use super::*;

    fn segment(code: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0xFF, code];
        out.extend_from_slice(&(body.len() as u16 + 2).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    /// The frame as UVC cameras send it: an APP0, no DHT, rubbish behind.
    fn uvc(whole: &[u8]) -> Vec<u8> {
        let mut out = vec![0xFF, SOI];
        let mut at = 2;
        loop {
            let (start, code) = marker(whole, at).unwrap();
            if code == SOS {
                out.extend_from_slice(&whole[start..]);
                out.extend_from_slice(b"rubbish\xFF\xD9");
                return out;
            }
            at = start + 4 + body(whole, start + 2).unwrap().len();
            match code {
                DHT => {}
                APP0 => out.extend_from_slice(&segment(APP0, b"AVI1\0\0")),
                _ => out.extend_from_slice(&whole[start..at]),
            }
        }
    }

    fn grey(jpeg: &[u8]) -> Vec<u8> {
        turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::GRAY).unwrap().pixels
    }

    #[test]
    fn a_frame_is_passed_on_byte_for_byte_around_our_segment() {
        let frame = jpeg(64, 48);
        let out = normal_form(&frame, Some(b"tiff")).unwrap();
        let app0_end = 20;
        assert_eq!(out[..app0_end], frame[..app0_end]);
        assert_eq!(out[app0_end..app0_end + 14], segment(APP1, b"Exif\0\0tiff"));
        assert_eq!(out[app0_end + 14..], frame[app0_end..]);
        assert_eq!(normal_form(&frame, None).unwrap(), frame);
    }

    #[test]
    fn missing_tables_are_the_only_thing_put_in_and_the_rubbish_behind_is_cut() {
        let whole = jpeg(64, 48);
        let frame = uvc(&whole);
        let out = normal_form(&frame, None).unwrap();
        let scan = frame.windows(2).position(|w| w == [0xFF, SOS]).unwrap();
        assert_eq!(out[..scan], frame[..scan]);
        assert_eq!(out[scan..scan + 420], STANDARD_DHT);
        assert_eq!(out[scan + 420..], frame[scan..frame.len() - b"rubbish\xFF\xD9".len()]);
        assert_eq!(grey(&out), grey(&whole));
        assert_eq!(normal_form(&out, None).unwrap(), out);
    }

    #[test]
    fn the_standard_tables_are_those_that_libjpeg_writes() {
        let whole = jpeg(16, 16);
        let found = layout(&whole).unwrap();
        let (mut at, mut tables) = (2, Vec::new());
        while at < found.first_scan {
            let body = body(&whole, at + 2).unwrap();
            if whole[at + 1] == DHT {
                tables.push(body.to_vec());
            }
            at += 4 + body.len();
        }
        tables.sort_by_key(|table| (table[0] & 15, table[0] >> 4));
        assert_eq!(tables.concat(), STANDARD_DHT[4..]);
    }

    #[test]
    fn a_cameras_own_exif_gives_way_and_other_segments_stay_in_order() {
        let whole = jpeg(32, 32);
        let (xmp, app15) = (segment(APP1, b"http://ns.adobe.com/xap"), segment(0xEF, b"raw"));
        let theirs = segment(APP1, b"Exif\0\0theirs");
        let middle = [&theirs[..], &xmp, &theirs, &app15].concat();
        let frame = [&whole[..20], &middle, &whole[20..]].concat();
        let ours = segment(APP1, b"Exif\0\0ours");
        let expected = [&whole[..20], &ours, &xmp, &app15, &whole[20..]].concat();
        assert_eq!(normal_form(&frame, Some(b"ours")).unwrap(), expected);
    }

    #[test]
    fn progressive_and_restart_marked_frames_are_passed_on() {
        let picture = turbojpeg::Image::mandelbrot(40, 40, turbojpeg::PixelFormat::RGB);
        let mut compressor = turbojpeg::Compressor::new().unwrap();
        compressor.set_progressive(true).unwrap();
        let frame = compressor.compress_to_vec(picture.as_deref()).unwrap();
        assert_eq!(layout(&frame).unwrap().sof, 2);
        assert_eq!(normal_form(&frame, None).unwrap(), frame);

        let mut frame = jpeg(16, 16);
        let end = frame.len() - 2;
        frame.splice(end..end, [0xFF, 0xD0, 0x12, 0xFF, 0x00, 0xFF, 0xFF]);
        assert_eq!(normal_form(&frame, None).unwrap(), frame);
    }

    #[test]
    fn a_missing_end_marker_is_put_in_where_nothing_else_is_missing() {
        let whole = jpeg(64, 48);
        let open = &whole[..whole.len() - 2];
        let padded = [open, &[0; 64]].concat();
        for open in [open, &padded] {
            assert_eq!(normal_form(open, None).unwrap(), whole);
            assert_eq!(*ended(open), whole);
        }
        assert!(matches!(ended(&whole), Cow::Borrowed(_)));
        for length in 2..open.len() {
            let cut = &open[..length];
            assert_eq!(layout(cut), Err(JpegError::Truncated(length)));
            assert_eq!(*ended(cut), *cut);
            let padded = [cut, &[0; 64]].concat();
            assert!(layout(&padded).is_err(), "{length}, with zeros behind");
        }
        // Of these only the marker of the first of three scans, or of a progressive one, is not missing.
        let scan = layout(&whole).unwrap().first_scan;
        let mut one_of_three = open.to_vec();
        one_of_three[scan + 4] = 1;
        assert!(layout(&one_of_three).is_err());
        let picture = turbojpeg::Image::mandelbrot(40, 40, turbojpeg::PixelFormat::RGB);
        let mut compressor = turbojpeg::Compressor::new().unwrap();
        compressor.set_progressive(true).unwrap();
        let frame = compressor.compress_to_vec(picture.as_deref()).unwrap();
        assert!(layout(&frame[..frame.len() - 2]).is_err(), "which of its scans are missing?");
    }

    #[test]
    fn faults_are_named() {
        let whole = jpeg(16, 16);
        let cut = &whole[..whole.len() - 3];
        assert_eq!(layout(b""), Err(JpegError::NotJpeg));
        assert_eq!(layout(b"RIFF"), Err(JpegError::NotJpeg));
        assert_eq!(layout(cut), Err(JpegError::Truncated(cut.len())));
        assert_eq!(layout(&whole[..30]), Err(JpegError::Truncated(30)));
        assert_eq!(layout(&[0xFF, SOI, 0xFF, EOI]), Err(JpegError::NoPicture));
        assert_eq!(layout(&[0xFF, SOI, 7, 7]), Err(JpegError::NoMarker(2)));
        assert_eq!(layout(&[0xFF, SOI, 0xFF, 0xE0, 0, 1]), Err(JpegError::NoMarker(4)));
        let long = vec![0; 65_530];
        assert_eq!(normal_form(&whole, Some(&long)), Err(JpegError::ExifTooLong(65_530)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            drop(normal_form(&bytes, Some(b"x")));
            if let Some(head) = bytes.get_mut(..2) {
                head.copy_from_slice(&[0xFF, SOI]);
            }
            drop(normal_form(&bytes, Some(b"x")));
        }

        #[test]
        fn damaged_frames_are_refused_or_have_one_normal_form(
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(), cut in any::<bool>(),
        ) {
            let mut frame = uvc(&jpeg(16, 16));
            for (at, value) in hits {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            if cut {
                frame.truncate(length.index(frame.len()));
            }
            if let Ok(once) = normal_form(&frame, Some(b"x")) {
                prop_assert!(once.ends_with(&[0xFF, EOI]));
                prop_assert_eq!(normal_form(&once, Some(b"x")), Ok(once.clone()));
            }
        }
    }
}
