//! The oracle is libjpeg-turbo's own 1/8 grey decode.

use super::*;
use proptest::prelude::*;
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

const SUBSAMPLINGS: [Subsamp; 7] = [
    Subsamp::Gray,
    Subsamp::None,
    Subsamp::Sub2x1,
    Subsamp::Sub2x2,
    Subsamp::Sub1x2,
    Subsamp::Sub4x1,
    Subsamp::Sub1x4,
];

/// A picture with flat parts, edges and noise, so that all kinds of blocks occur.
fn picture(width: usize, height: usize, noise: u8, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let edge = if (x / 13 + y / 29) % 3 == 0 { 90 } else { 0 };
            for c in 0..3 {
                let base = (x * (c + 1) + y * 2 + edge) % 256;
                let noisy = base as i32 + rng.i32(-i32::from(noise)..=i32::from(noise));
                pixels.push(noisy.clamp(0, 255) as u8);
            }
        }
    }
    pixels
}

fn jpeg(width: usize, height: usize, noise: u8, subsamp: Subsamp, quality: i32) -> Vec<u8> {
    let pixels = picture(width, height, noise, 7);
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(quality).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    let pitch = width * 3;
    let image = Image { pixels: &pixels[..], width, pitch, height, format: PixelFormat::RGB };
    compressor.compress_to_vec(image).unwrap()
}

fn oracle(jpeg: &[u8]) -> Luma {
    let mut decompressor = Decompressor::new().unwrap();
    let header = decompressor.read_header(jpeg).unwrap();
    decompressor.set_scaling_factor(ScalingFactor::ONE_EIGHTH).unwrap();
    let (width, height) = (header.width.div_ceil(8), header.height.div_ceil(8));
    let mut luma = Luma::default();
    luma.reset(width, height);
    let format = PixelFormat::GRAY;
    let image = Image { pixels: &mut luma.data[..], width, pitch: width, height, format };
    decompressor.decompress(jpeg, image).unwrap();
    luma
}

fn read(jpeg: &[u8]) -> Result<DcReader, JpegError> {
    let mut reader = DcReader::new();
    reader.read(jpeg).map(|()| reader)
}

fn without_segment(jpeg: &[u8], marker: u8) -> Vec<u8> {
    let (mut out, mut pos) = (jpeg[..2].to_vec(), 2);
    while jpeg[pos + 1] != SOS {
        let len = 2 + usize::from(u16::from_be_bytes([jpeg[pos + 2], jpeg[pos + 3]]));
        if jpeg[pos + 1] != marker {
            out.extend_from_slice(&jpeg[pos..pos + len]);
        }
        pos += len;
    }
    out.extend_from_slice(&jpeg[pos..]);
    out
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/jpeg/", $name)) as &[u8]
    };
}

const FIXTURES: [&[u8]; 7] = [
    fixture!("restart-blocks-422.jpg"),
    fixture!("restart-rows-420-optimised.jpg"),
    fixture!("non-interleaved-420.jpg"),
    fixture!("scan-of-two-422.jpg"),
    fixture!("grey-2x2.jpg"),
    fixture!("extended-16bit-steps.jpg"),
    fixture!("ffmpeg-420.jpg"),
];

#[test]
fn grey_levels_are_those_of_libjpeg_turbo_for_all_samplings_sizes_and_qualities() {
    let mut reader = DcReader::new();
    for subsamp in SUBSAMPLINGS {
        // The widest has rows of more blocks than one walk.
        for (width, height) in [(64, 48), (1, 1), (7, 9), (17, 33), (161, 121), (320, 8), (2100, 9)]
        {
            for (quality, noise) in [(1, 40), (30, 5), (80, 12), (97, 60), (100, 127)] {
                let jpeg = jpeg(width, height, noise, subsamp, quality);
                reader.read(&jpeg).unwrap();
                let what = format!("{subsamp:?} {width}x{height} q{quality}");
                assert_eq!(*reader.luma(), oracle(&jpeg), "{what}");
                assert_eq!(reader.size(), (width as u32, height as u32));
                assert_eq!(reader.block_bits().len(), reader.luma().data.len());
            }
        }
    }
}

#[test]
fn restart_markers_several_scans_and_wide_quantisers_are_read_bit_exactly() {
    for (i, jpeg) in FIXTURES.into_iter().enumerate() {
        let reader = read(jpeg).unwrap_or_else(|e| panic!("fixture {i}: {e}"));
        assert_eq!(*reader.luma(), oracle(jpeg), "fixture {i}");
    }
}

#[test]
fn huffman_tables_left_out_are_those_of_the_standard() {
    let whole = jpeg(200, 120, 20, Subsamp::Sub2x1, 85);
    let bare = without_segment(&whole, 0xc4);
    assert!(bare.len() + 400 < whole.len());
    assert_eq!(read(&bare).unwrap().luma(), read(&whole).unwrap().luma());
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    assert_eq!(read(fixture!("progressive.jpg")).unwrap_err(), JpegError::Progressive);
    assert_eq!(read(fixture!("arithmetic.jpg")).unwrap_err(), JpegError::Arithmetic);
    assert!(matches!(read(fixture!("rgb.jpg")), Err(JpegError::Unsupported(_))));
    assert_eq!(header(fixture!("progressive.jpg")), Err(JpegError::Progressive));
    assert_eq!(read(b"").unwrap_err(), JpegError::NotJpeg);
    let mut twelve = jpeg(16, 16, 0, Subsamp::Gray, 80);
    let sof = twelve.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    twelve[sof + 4] = 12;
    assert_eq!(read(&twelve).unwrap_err(), JpegError::Precision(12));
    twelve[sof + 1] = 0xc3;
    assert_eq!(read(&twelve).unwrap_err(), JpegError::Lossless);
}

#[test]
fn every_cut_of_a_picture_is_truncated() {
    for whole in
        [jpeg(40, 24, 30, Subsamp::Sub2x2, 70), fixture!("restart-blocks-422.jpg").to_vec()]
    {
        assert!(read(&whole[..whole.len() - 2]).is_ok(), "only EOI is missing");
        for len in 2..whole.len() - 2 {
            // The last bytes may be chroma's padding bits; everything before must be missed.
            let cut = read(&whole[..len]).map(|_| ());
            assert_eq!(cut, Err(JpegError::Truncated), "{len} of {}", whole.len());
        }
    }
}

#[test]
fn a_header_alone_cannot_make_us_allocate() {
    let mut huge = jpeg(16, 16, 0, Subsamp::Gray, 80);
    let sof = huge.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    huge[sof + 5..sof + 9].copy_from_slice(&[0xff; 4]);
    let mut reader = DcReader::new();
    assert_eq!(header(&huge), Ok((65535, 65535)));
    assert_eq!(reader.read(&huge), Err(JpegError::Truncated));
    assert_eq!(reader.luma.data.capacity(), 0);
}

#[test]
fn bits_of_blocks_are_all_the_bits_there_are() {
    let jpeg = jpeg(256, 256, 30, Subsamp::Gray, 90);
    let reader = read(&jpeg).unwrap();
    let scan = jpeg.windows(2).position(|w| w == [0xff, SOS]).unwrap() + 10;
    let mut plain = Vec::new();
    let end = bits::unstuff(&jpeg[scan..], &mut plain);
    assert_eq!(jpeg.len(), scan + end + 2);
    let taken = reader.block_bits().iter().map(|&b| usize::from(b)).sum::<usize>();
    assert_eq!(taken.div_ceil(8), plain.len() - bits::PAD);
}

#[test]
fn steady_reading_allocates_nothing() {
    let (a, b) = (jpeg(320, 240, 30, Subsamp::Sub2x1, 90), fixture!("restart-blocks-422.jpg"));
    let mut reader = DcReader::new();
    reader.read(&a).unwrap();
    reader.read(b).unwrap();
    let places = |r: &DcReader| {
        (r.luma.data.as_ptr(), r.block_bits.as_ptr(), r.segment.as_ptr(), r.looks.places())
    };
    let before = places(&reader);
    for _ in 0..3 {
        reader.read(&a).unwrap();
        reader.read(b).unwrap();
    }
    assert_eq!(places(&reader), before);
}

#[test]
fn a_change_of_tables_between_frames_is_followed() {
    let frames = [
        fixture!("restart-rows-420-optimised.jpg").to_vec(),
        jpeg(80, 80, 20, Subsamp::Sub2x2, 50),
        fixture!("ffmpeg-420.jpg").to_vec(),
    ];
    let mut reader = DcReader::new();
    for jpeg in frames.iter().chain(&frames).chain(frames.iter().rev()) {
        reader.read(jpeg).unwrap();
        assert_eq!(*reader.luma(), oracle(jpeg));
    }
}

/// The picture with other application segments, and its components renamed.
fn with_colours(whole: &[u8], apps: &[&[u8]], ids: &[u8]) -> Vec<u8> {
    let mut out = without_segment(whole, 0xe0);
    let sof = out.windows(2).position(|w| w == [0xff, 0xc0]).unwrap() + 10;
    let sos = out.windows(2).position(|w| w == [0xff, SOS]).unwrap() + 5;
    for (i, &id) in ids.iter().enumerate() {
        (out[sof + 3 * i], out[sos + 2 * i]) = (id, id);
    }
    out.splice(2..2, apps.concat());
    out
}

#[test]
fn colours_are_told_as_libjpeg_tells_them() {
    const JFIF: &[u8] = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    const SHORT_JFIF: &[u8] = b"\xff\xe0\0\x07JFIF\0";
    const ADOBE_RGB: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    const ADOBE_YCC: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01";
    let grey = jpeg(40, 24, 30, Subsamp::Gray, 80);
    let colour = jpeg(40, 24, 30, Subsamp::Sub2x2, 80);
    let read_as_luma = [
        with_colours(&grey, &[ADOBE_RGB], b"R"),
        with_colours(&colour, &[], &[1, 2, 3]),
        with_colours(&colour, &[], &[0, 1, 2]),
        with_colours(&colour, &[JFIF], b"RGB"),
        with_colours(&colour, &[JFIF, ADOBE_RGB], &[1, 2, 3]),
        with_colours(&colour, &[ADOBE_RGB, JFIF], &[1, 2, 3]),
        with_colours(&colour, &[ADOBE_YCC], b"RGB"),
    ];
    for (i, jpeg) in read_as_luma.iter().enumerate() {
        let reader = read(jpeg).unwrap_or_else(|e| panic!("{i}: {e}"));
        assert_eq!(*reader.luma(), oracle(jpeg), "{i}");
        assert_eq!(header(jpeg), Ok((40, 24)), "{i}");
    }
    for (apps, ids) in [(&[][..], b"RGB"), (&[SHORT_JFIF], b"RGB"), (&[ADOBE_RGB], b"\x01\x02\x03")]
    {
        let jpeg = with_colours(&colour, apps, ids);
        assert_eq!(read(&jpeg).unwrap_err(), JpegError::Unsupported("RGB colours"));
        assert_eq!(header(&jpeg), Err(JpegError::Unsupported("RGB colours")));
    }
}

#[test]
fn of_two_fields_the_first_is_the_picture() {
    let field = |polarity, noise| {
        let bare = without_segment(&jpeg(72, 30, noise, Subsamp::Sub2x1, 80), 0xc4);
        with_colours(&bare, &[&[0xff, 0xe0, 0, 8, b'A', b'V', b'I', b'1', polarity, 0]], &[1, 2, 3])
    };
    let (first, second) = (field(1, 3), field(2, 90));
    let pair = [&first[..], &[0; 5], &second[..]].concat();
    let reader = read(&pair).unwrap();
    assert_eq!((reader.size(), header(&pair)), ((72, 30), Ok((72, 30))));
    assert_eq!(*reader.luma(), oracle(&first));
    assert_ne!(*reader.luma(), oracle(&second));
    // Not a byte of the second is asked for.
    assert!(read(&pair[..first.len()]).is_ok());
    assert_eq!(read(&pair[..first.len() - 9]).unwrap_err(), JpegError::Truncated);
}

#[test]
fn a_height_that_is_told_later_is_refused_by_name() {
    let mut later = jpeg(16, 16, 0, Subsamp::Gray, 80);
    let sof = later.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    later[sof + 5..sof + 7].copy_from_slice(&[0, 0]);
    assert!(matches!(read(&later), Err(JpegError::Unsupported(_))));
}

#[test]
fn tables_of_every_frame_anew_take_the_memory_of_the_last() {
    let frames = [5, 40, 90].map(|noise| {
        let pixels = picture(80, 48, noise, 3);
        let mut compressor = Compressor::new().unwrap();
        compressor.set_optimize(true).unwrap();
        let (pitch, format) = (240, PixelFormat::RGB);
        let image = Image { pixels: &pixels[..], width: 80, pitch, height: 48, format };
        compressor.compress_to_vec(image).unwrap()
    });
    let mut reader = DcReader::new();
    let mut read_all = || {
        for jpeg in &frames {
            reader.read(jpeg).unwrap();
            assert_eq!(*reader.luma(), oracle(jpeg));
        }
        reader.looks.places()
    };
    let places = read_all();
    assert_eq!(read_all(), places);
    assert_eq!(read_all(), places);
}

#[test]
fn a_dc_difference_of_any_size_is_read_as_libjpeg_turbo_reads_it() {
    // Codes 0, 10, 110, 1110 for differences of 15, 12, 0 and 11 bits; 0 ends the block.
    const DC: &[u8] = b"\xff\xc4\0\x17\x00\x01\x01\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\x0f\x0c\0\x0b";
    const AC: &[u8] = b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let bits = [
        "0.101010101010101.0",
        "10.011100001111.0",
        "110.0",
        "0.000000000000001.0",
        "1110.00000000111.0",
        "1110.11101111011.0",
        "10.100000000000.0",
        "0.111101111011110.0",
    ];
    let bits: String =
        bits.concat().chars().filter(|&c| c != '.').chain("1".repeat(7).chars()).collect();
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|c| c.iter().fold(0, |v, b| v << 1 | (b & 1)))
        .collect();
    assert!(!bytes.contains(&0xff), "no stuffing needed");
    for quality in [50, 98, 100] {
        let whole = without_segment(&jpeg(32, 16, 0, Subsamp::Gray, quality), 0xc4);
        let sos = whole.windows(2).position(|w| w == [0xff, SOS]).unwrap();
        let jpeg = [&whole[..sos], DC, AC, &whole[sos..sos + 10], &bytes, &[0xff, EOI]].concat();
        let reader = read(&jpeg).unwrap();
        assert_eq!(*reader.luma(), oracle(&jpeg), "quality {quality}");
        assert_eq!(reader.block_bits(), [17, 15, 4, 17, 16, 16, 15, 17]);
    }
}

#[test]
fn a_table_without_codes_is_corrupt_and_a_picture_that_ends_before_is_truncated() {
    // Luma's only codes: 0 for a difference of 5 bits, and 0 for the end, so that four blocks take 28 bits.
    const DC: &[u8] = b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05";
    const AC: &[u8] = b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let whole = without_segment(&jpeg(16, 16, 0, Subsamp::Sub2x2, 80), 0xc4);
    let sos = whole.windows(2).position(|w| w == [0xff, SOS]).unwrap();
    let mut scan = whole[sos..sos + 14].to_vec();
    scan[8] = 0x13;
    let of = |bytes: usize| [&whole[..sos], DC, AC, &scan, &vec![0; bytes], &[0xff, EOI]].concat();
    assert_eq!(read(&of(2)).unwrap_err(), JpegError::Truncated);
    for bytes in [3, 4, 7] {
        let corrupt = JpegError::Corrupt("bits that are no Huffman code");
        assert_eq!(read(&of(bytes)).unwrap_err(), corrupt, "{bytes}");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = FIXTURES.iter().map(|f| f.to_vec()).collect();
    seeds.extend(SUBSAMPLINGS.map(|s| jpeg(45, 37, 40, s, 75)));
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(read(&bytes));
        header(&bytes).ok();
        bytes.splice(0..0, [0xff, 0xd8]);
        drop(read(&bytes));
    }

    #[test]
    fn mutated_pictures_never_panic_and_agree_in_shape(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        thread_local!(static SEEDS: Vec<Vec<u8>> = seeds());
        let mut bytes = SEEDS.with(|s| s[which.index(s.len())].clone());
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(reader) = read(&bytes) {
            let (w, h) = reader.size();
            let samples = w.div_ceil(8) as usize * h.div_ceil(8) as usize;
            prop_assert_eq!(reader.luma().data.len(), samples);
            prop_assert_eq!(reader.block_bits().len(), samples);
            prop_assert_eq!(header(&bytes), Ok((w, h)));
        }
    }
}

/// v4l2loopback's first buffers, and some cameras, promise far more bytes than the JPEG has.
#[test]
fn what_follows_the_end_of_a_jpeg_is_not_looked_at() {
    let fixture = include_bytes!("../../../tests/fixtures/jpeg/restart-blocks-422.jpg");
    let mut plain = DcReader::new();
    plain.read(fixture).unwrap();
    for rest in [vec![0; 8 << 20], [0x55, 0xff, 0xd9].repeat(1 << 20), fixture.repeat(30)] {
        let mut reader = DcReader::new();
        reader.read(&[&fixture[..], &rest[..]].concat()).unwrap();
        assert_eq!((reader.luma(), reader.block_bits()), (plain.luma(), plain.block_bits()));
        assert_eq!(reader.segment.capacity(), plain.segment.capacity(), "the rest was copied");
    }
}

#[test]
fn a_cut_frame_in_a_zeroed_buffer_is_truncated_and_the_zeros_are_not_copied() {
    // Without restart markers, which would betray the cut.
    let image = turbojpeg::Image {
        pixels: &(0..64 * 64).map(|i| (i * i / 7) as u8).collect::<Vec<_>>()[..],
        width: 64,
        pitch: 64,
        height: 64,
        format: turbojpeg::PixelFormat::GRAY,
    };
    let whole = turbojpeg::compress(image, 80, turbojpeg::Subsamp::Gray).unwrap();
    let mut reader = DcReader::new();
    reader.read(&whole).unwrap();
    for keep in [whole.len() / 2, whole.len() * 3 / 4] {
        let cut = [&whole[..keep], &vec![0; 8 << 20][..]].concat();
        assert_eq!(reader.read(&cut), Err(JpegError::Truncated));
    }
    assert!(reader.segment.capacity() < 1 << 20);
}
