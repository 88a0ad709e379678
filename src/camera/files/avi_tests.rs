//! Tests of the AVI reader on files made here, byte by byte.

use std::io::Cursor;

use proptest::prelude::*;

use super::super::super::mjpeg::tests::image;
use super::*;

/// A chunk with its padding.
pub(crate) fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.resize(out.len() + body.len() % 2, 0);
    out
}

pub(crate) fn list(kind: &[u8; 4], name: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(kind, &[&name[..], &parts.concat()].concat())
}

fn stream(kind: &[u8; 4], codec: &[u8; 4], scale: u32, rate: u32) -> Vec<u8> {
    let mut strh = [&kind[..], codec, &[0; 12]].concat();
    strh.extend(scale.to_le_bytes());
    strh.extend(rate.to_le_bytes());
    strh.resize(56, 0);
    let mut strf = vec![0; 16];
    strf.extend(codec);
    strf.resize(40, 0);
    list(b"LIST", b"strl", &[chunk(b"strh", &strh), chunk(b"strf", &strf), chunk(b"JUNK", b"odd")])
}

pub(crate) fn headers(codec: &[u8; 4], scale: u32, rate: u32) -> Vec<u8> {
    let mut avih = 40_000u32.to_le_bytes().to_vec();
    avih.resize(56, 0);
    let sound = stream(b"auds", &[1, 0, 2, 0], 1, 48_000);
    let video = stream(b"vids", codec, scale, rate);
    list(b"LIST", b"hdrl", &[chunk(b"avih", &avih), sound, video])
}

pub(crate) fn file(movi: &[Vec<u8>]) -> Vec<u8> {
    list(b"RIFF", b"AVI ", &[headers(b"MJPG", 100, 1250), list(b"LIST", b"movi", movi)])
}

fn steps(bytes: &[u8]) -> Vec<Result<Vec<u8>, Step>> {
    let mut avi = Avi::open(Cursor::new(bytes)).unwrap();
    let mut out = Vec::new();
    loop {
        match avi.advance().unwrap() {
            Step::End => return out,
            Step::Frame => out.push(Ok(avi.frame().to_vec())),
            other => out.push(Err(other)),
        }
    }
}

#[test]
fn frames_come_out_in_order_with_rate_and_without_sound() {
    let bytes = file(&[
        chunk(b"01dc", &image(1)),
        chunk(b"00wb", b"sound"),
        chunk(b"01dc", &[&image(2)[..], b"\0"].concat()),
        chunk(b"ix01", b"index"),
        list(b"LIST", b"rec ", &[chunk(b"01db", &image(3)), chunk(b"00wb", b"s")]),
    ]);
    let mut avi = Avi::open(Cursor::new(&bytes[..])).unwrap();
    assert_eq!(avi.video().fps, 12.5);
    assert_eq!(avi.advance().unwrap(), Step::Frame);
    assert_eq!(avi.frame(), image(1));
    avi.rewind().unwrap();
    let second = [&image(2)[..], b"\0"].concat();
    assert_eq!(steps(&bytes), [Ok(image(1)), Ok(second), Ok(image(3))]);
}

#[test]
fn opendml_segments_are_read_on() {
    let mut bytes = file(&[chunk(b"01dc", &image(1))]);
    bytes.extend(chunk(b"idx1", &[0; 32]));
    bytes.extend(list(b"RIFF", b"AVIX", &[list(b"LIST", b"movi", &[chunk(b"01dc", &image(2))])]));
    assert_eq!(steps(&bytes), [Ok(image(1)), Ok(image(2))]);
}

#[test]
fn a_recording_without_lengths_and_index_is_read() {
    // As a recorder leaves it that lost power: lengths never filled in, zeros preallocated behind.
    let mut bytes = file(&[chunk(b"01dc", &image(1)), chunk(b"01dc", &image(2))]);
    bytes[4..8].copy_from_slice(&[0; 4]);
    let movi = bytes.windows(4).position(|w| w == b"movi").unwrap();
    bytes[movi - 4..movi].copy_from_slice(&[0xFF; 4]);
    bytes.extend([0; 4096]);
    // What lies behind them is left over from another file; the walk ends at the zeros.
    bytes.extend(chunk(b"01dc", &image(3)));
    assert_eq!(steps(&bytes), [Ok(image(1)), Ok(image(2))]);
}

#[test]
fn empty_chunks_are_dropped_frames_and_bad_ones_are_told() {
    let bytes = file(&[
        chunk(b"01dc", b""),
        chunk(b"01dc", &image(1)),
        chunk(b"01dc", b"no image"),
        chunk(b"01dc", &image(2)),
    ]);
    let cut = &bytes[..bytes.len() - 9];
    assert_eq!(
        steps(cut),
        [
            Err(Step::Dropped),
            Ok(image(1)),
            Err(Step::Bad("not a JPEG image")),
            Err(Step::Bad("the file ends within this frame")),
        ]
    );
}

#[test]
fn a_chunk_that_claims_gigabytes_allocates_nothing() {
    let mut bytes = file(&[]);
    bytes.extend(b"01dc\xF0\xFF\xFF\xFF rest");
    assert_eq!(steps(&bytes), [Err(Step::Bad("larger than any frame"))]);
    let mut bytes = file(&[]);
    bytes.extend(b"01dc\0\0\0\x03 rest");
    let mut avi = Avi::open(Cursor::new(&bytes[..])).unwrap();
    assert_eq!(avi.advance().unwrap(), Step::Bad("the file ends within this frame"));
    assert!(avi.frame.capacity() < 64 << 10);
}

#[test]
fn the_rate_falls_back_to_the_main_header() {
    let with = |scale, rate| {
        let movi = list(b"LIST", b"movi", &[]);
        list(b"RIFF", b"AVI ", &[headers(b"mjpg", scale, rate), movi])
    };
    assert_eq!(Avi::open(Cursor::new(with(0, 0))).unwrap().video().fps, 25.0);
    assert_eq!(Avi::open(Cursor::new(with(1001, 30_000))).unwrap().video().fps.round(), 30.0);
}

#[test]
fn another_codec_is_named() {
    let movi = list(b"LIST", b"movi", &[]);
    let bytes = list(b"RIFF", b"AVI ", &[headers(b"XVID", 1, 10), movi]);
    let error = Avi::open(Cursor::new(bytes)).unwrap_err();
    assert!(matches!(error, AviError::Codec(codec) if codec == "XVID"));
    assert!(matches!(Avi::open(Cursor::new(b"RIFF")), Err(AviError::Broken(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn arbitrary_bytes_never_panic(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        within in any::<bool>(),
    ) {
        // Noise alone, or written over a place of a good file.
        let mut bytes = noise.clone();
        if within {
            bytes = file(&[chunk(b"01dc", &image(1)), chunk(b"01dc", &image(2))]);
            let at = at.index(bytes.len());
            let end = (at + noise.len() / 20).min(bytes.len());
            bytes[at..end].copy_from_slice(&noise[..end - at]);
        }
        if let Ok(mut avi) = Avi::open(Cursor::new(&bytes[..])) {
            let mut steps = 0;
            while avi.advance().unwrap() != Step::End {
                steps += 1;
                prop_assert!(steps <= bytes.len());
            }
        }
    }
}
