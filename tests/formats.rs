//! Every pixel format from a camera's bytes to what is seen: the first pass's small plane, and the JPEG.
//!
//! Frames are packed by `support/formats` and, where it knows the format, by ffmpeg; pictures are judged
//! decoded, by their colours. `contact-sheet` of the results is left under cargo's directory for tests, to be
//! looked at.

#![cfg(test)]

#[path = "support/formats.rs"]
mod formats;

use std::path::PathBuf;

use formats::{Picture, ffmpeg, jfif, sheet};
use vedette::firstpass::shrink::Shrinker;
use vedette::frame::{Geometry, Luma, PixelFormat};
use vedette::still::encode::{Encoder, Planes};

fn raw_formats() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::PREFERENCE.into_iter().filter(|format| format.is_raw())
}

fn is_grey(format: PixelFormat) -> bool {
    use PixelFormat as F;
    matches!(format, F::Grey | F::Y10 | F::Y12 | F::Y16)
}

/// A still of a frame, decoded.
fn still(geometry: Geometry, data: &[u8]) -> Picture {
    let mut planes = Planes::default();
    planes.take(data, geometry).unwrap();
    Picture::decoded(&Encoder::default().encode(&planes, 95).unwrap())
}

/// The nearest size from `(width, height)` on that frames of this format have.
fn size(format: PixelFormat, (width, height): (u32, u32)) -> (usize, usize) {
    let (across, down) = format.step();
    (width.next_multiple_of(across) as usize, height.next_multiple_of(down) as usize)
}

/// Plain, and with an odd number of bytes between rows in the oddest size that the format has.
fn shapes(format: PixelFormat) -> [(Picture, u32); 2] {
    [((320, 240), 0), ((237, 117), 13)].map(|(wanted, padding)| {
        let (width, height) = size(format, wanted);
        (Picture::bars(width, height), padding)
    })
}

#[test]
fn bars_and_ramps_of_every_format_have_their_colours_in_the_still() {
    for format in raw_formats() {
        for (picture, padding) in shapes(format) {
            let (geometry, data) = picture.frame(format, padding);
            assert_eq!(data.len() as u64, geometry.frame_bytes(), "{geometry:?}");
            let made = still(geometry, &data);
            assert_eq!((made.width, made.height), (picture.width, picture.height), "{geometry:?}");
            let expected = if is_grey(format) { picture.grey() } else { picture.clone() };
            let near = |x: usize, y: usize, most: u8| {
                let (got, wanted) = (made.at(x, y), expected.at(x, y));
                let near = got.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= most);
                assert!(near, "{geometry:?}: {got:?} at {x} {y}, not {wanted:?}");
            };
            let (width, height) = (picture.width, picture.height);
            for bar in 0..8 {
                for y in [0, height / 3] {
                    near((2 * bar + 1) * width / 16, y, 6);
                }
            }
            for x in (8..width - 8).step_by(11) {
                near(x, height - 8, 5);
                near(x, height - 1, 8);
            }
            near(0, 0, 8);
            near(width - 1, 0, 8);
        }
    }
}

#[test]
fn bars_and_ramps_of_every_format_have_their_luma_in_the_first_pass() {
    for format in raw_formats() {
        for (picture, padding) in shapes(format) {
            let (geometry, data) = picture.frame(format, padding);
            let mut small = Luma::default();
            Shrinker::default().shrink(&data, geometry, &mut small).unwrap();
            let size = (picture.width.div_ceil(8), picture.height.div_ceil(8));
            assert_eq!((small.width, small.height), size, "{geometry:?}");
            for (n, &level) in small.data.iter().enumerate() {
                let (x, y) = (n % small.width * 8, n / small.width * 8);
                let block = (0..64).map(|i| (x + i % 8, y + i / 8));
                let inside = block.filter(|&(x, y)| x < picture.width && y < picture.height);
                let pixels: Vec<[u8; 3]> = inside.map(|(x, y)| picture.at(x, y)).collect();
                let mosaic = matches!(format, PixelFormat::Bayer(..));
                let luma = |&[r, g, b]: &[u8; 3]| match mosaic {
                    true => (f64::from(r) + 2.0 * f64::from(g) + f64::from(b)) / 4.0,
                    false => jfif([r, g, b])[0],
                };
                let mean = pixels.iter().map(luma).sum::<f64>() / pixels.len() as f64;
                // Where two bars meet within a tile, it has not all colours of both.
                let near = |p: &[u8; 3]| p.iter().zip(pixels[0]).all(|(a, b)| a.abs_diff(b) < 12);
                let most = if !mosaic || pixels.iter().all(near) { 2.0 } else { 40.0 };
                assert!(
                    (f64::from(level) - mean).abs() <= most,
                    "{geometry:?} {n}: {level} {mean}"
                );
            }
        }
    }
}

/// ffmpeg's name of a format, where it can read it.
fn witness(format: PixelFormat) -> Option<&'static str> {
    Some(match format.name() {
        "yuyv" => "yuyv422",
        "uyvy" => "uyvy422",
        "yvyu" => "yvyu422",
        "nv12" => "nv12",
        "nv21" => "nv21",
        "i420" => "yuv420p",
        "i422" => "yuv422p",
        "grey" => "gray",
        "y10" => "gray10le",
        "y12" => "gray12le",
        "y16" => "gray16le",
        "rgb24" => "rgb24",
        "bgr24" => "bgr24",
        "rggb8" => "bayer_rggb8",
        "bggr8" => "bayer_bggr8",
        "gbrg8" => "bayer_gbrg8",
        "grbg8" => "bayer_grbg8",
        "rggb16" => "bayer_rggb16le",
        "bggr16" => "bayer_bggr16le",
        "gbrg16" => "bayer_gbrg16le",
        "grbg16" => "bayer_grbg16le",
        _ => return None,
    })
}

const TEST_PICTURE: &[&str] =
    &["-f", "lavfi", "-i", "testsrc2=s=320x240:r=1,format=rgb24", "-frames:v", "1"];

#[test]
fn ffmpeg_sees_the_same_picture_in_every_format_that_it_knows() {
    let flags = "flags=accurate_rnd+full_chroma_int+full_chroma_inp+bilinear";
    let rgb = ffmpeg(&[TEST_PICTURE, &["-f", "rawvideo", "-"]].concat(), &[]);
    let drawn = Picture::of(320, 240, &rgb);
    for format in raw_formats() {
        let Some(name) = witness(format) else { continue };
        let data = if name.starts_with("bayer") {
            drawn.frame(format, 0).1 // ffmpeg reads mosaics and writes none
        } else {
            let filter =
                format!("scale=out_range=full:out_color_matrix=bt601:{flags},format={name}");
            ffmpeg(&[TEST_PICTURE, &["-vf", &filter, "-f", "rawvideo", "-"]].concat(), &[])
        };
        let (width, height) = (320, 240);
        let geometry = Geometry { format, width, height, stride: 0 };
        let filter = format!("scale=in_range=full:in_color_matrix=bt601:{flags},format=rgb24");
        let read = ["-f", "rawvideo", "-pix_fmt", name, "-s", "320x240", "-i", "-"];
        let seen = ffmpeg(&[&read[..], &["-vf", &filter, "-f", "rawvideo", "-"]].concat(), &data);
        let psnr = still(geometry, &data).psnr(&Picture::of(320, 240, &seen));
        println!("{name}: {psnr:.1} dB");
        // What quality 95 and two ways to spread chroma leave. RGB and mosaics have colours on edges that 4:2:0
        // cannot hold, as this drawing has; two colours swapped give less than 13 dB.
        let whole = name.starts_with("bayer") || name.ends_with("24");
        assert!(psnr > if whole { 19.0 } else { 28.0 }, "{name}: {psnr:.1} dB");
    }
}

#[test]
fn a_sheet_of_all_formats_is_left_to_be_looked_at() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("formats.png");
    let cells: Vec<_> = raw_formats()
        .map(|format| {
            let (geometry, data) = Picture::bars(160, 120).frame(format, 13);
            (format.name().to_owned(), still(geometry, &data))
        })
        .collect();
    sheet(&path, 7, &cells);
    assert!(path.metadata().unwrap().len() > 10_000);
    println!("{}", path.display());
}
