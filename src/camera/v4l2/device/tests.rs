use super::*;

const DEV: &str = "/dev/video7";

fn code(s: &[u8; 4]) -> Code {
    Code::of(s)
}

fn pick(offered: &[&[u8; 4]], wanted: Option<PixelFormat>) -> Result<(Code, PixelFormat), String> {
    let offered: Vec<_> = offered.iter().map(|c| code(c)).collect();
    choose(&offered, wanted, Path::new(DEV)).map(|c| c[0]).map_err(|e| e.to_string())
}

#[test]
fn formats_are_taken_in_the_stated_order_whatever_the_devices() {
    let mjpeg = (code(b"MJPG"), PixelFormat::Mjpeg);
    assert_eq!(pick(&[b"YUYV", b"MJPG"], None), Ok(mjpeg));
    assert_eq!(pick(&[b"JPEG", b"MJPG", b"YUYV"], None), Ok(mjpeg));
    assert_eq!(pick(&[b"YUYV", b"JPEG"], None), Ok((code(b"JPEG"), PixelFormat::Mjpeg)));
    assert_eq!(pick(&[b"YUYV", b"NV12"], None), Ok((code(b"NV12"), PixelFormat::Nv12)));
    assert_eq!(pick(&[b"BA81", b"H264", b"GREY"], None), Ok((code(b"GREY"), PixelFormat::Grey)));
    for format in PixelFormat::PREFERENCE {
        let code = formats::codes(format).next().unwrap();
        let found = choose(&[code], None, Path::new(DEV)).unwrap();
        assert_eq!(found, [(code, format)]);
    }
}

#[test]
fn the_configured_format_is_taken_or_refused_with_the_list_in_both_spellings() {
    let yuyv = Some(PixelFormat::Yuyv);
    assert_eq!(pick(&[b"MJPG", b"YUYV"], yuyv), Ok((code(b"YUYV"), PixelFormat::Yuyv)));
    assert_eq!(
        pick(&[b"Y8\0\0", b"GREY", b"MJPG"], yuyv).unwrap_err(),
        "/dev/video7 does not offer yuyv; it offers grey (GREY), mjpeg (MJPG), Y8__; set format = \
         \"mjpeg\", or leave it out"
    );
    assert_eq!(pick(&[], yuyv).unwrap_err(), "/dev/video7 does not offer yuyv; it offers nothing");
    assert_eq!(
        pick(&[b"H264", b"NM12"], None).unwrap_err(),
        "/dev/video7 offers no format that can be read here; it offers H264, NM12 (nv12 with its planes \
         apart)"
    );
}

#[test]
fn planes_apart_in_memory_are_refused_with_the_format_to_set_instead() {
    assert_eq!(
        pick(&[b"NM12", b"YUYV"], Some(PixelFormat::Nv12)).unwrap_err(),
        "/dev/video7 offers nv12 only with its planes apart in memory (NM12), which cannot be read here; \
         set format = \"yuyv\", or leave it out"
    );
    assert_eq!(pick(&[b"NM12", b"YUYV"], None), Ok((code(b"YUYV"), PixelFormat::Yuyv)));
    let both = pick(&[b"NM12", b"NV12"], Some(PixelFormat::Nv12));
    assert_eq!(both, Ok((code(b"NV12"), PixelFormat::Nv12)));
}

fn answer(fourcc: &[u8; 4], width: u32, height: u32, stride: u32) -> PixFormat {
    PixFormat { code: code(fourcc), width, height, stride, memory_planes: 1, field: 1 }
}

fn shape(got: PixFormat, format: PixelFormat) -> Result<Geometry, String> {
    geometry(got, got.code, format)
}

#[test]
fn the_stride_is_the_drivers_unless_it_cannot_be() {
    let stride = |fourcc, width, stride, format| {
        shape(answer(fourcc, width, 480, stride), format).unwrap().stride
    };
    let yuyv = |s| stride(b"YUYV", 640, s, PixelFormat::Yuyv);
    assert_eq!(
        [yuyv(1280), yuyv(1344), yuyv(0), yuyv(640), yuyv(u32::MAX)],
        [1280, 1344, 1280, 1280, 1280]
    );
    assert_eq!(stride(b"MJPG", 640, 99, PixelFormat::Mjpeg), 0);
    let nv12 = |s| stride(b"NV12", 640, s, PixelFormat::Nv12);
    assert_eq!([nv12(0), nv12(704), nv12(320)], [640, 704, 640]);
    let rgb = |s| stride(b"RGB3", 642, s, PixelFormat::Rgb24);
    assert_eq!([rgb(0), rgb(1926), rgb(1984)], [1926, 1926, 1984]);
    let packed = PixelFormat::Bayer(crate::frame::Mosaic::Rggb, crate::frame::Depth::TenPacked);
    assert_eq!(stride(b"pRAA", 642, 0, packed), 805);
}

#[test]
fn colour_rows_that_no_byte_count_fits_are_refused() {
    let i420 = |stride| shape(answer(b"YU12", 638, 480, stride), PixelFormat::I420);
    assert_eq!(i420(0).unwrap().stride, 638);
    assert_eq!(i420(640).unwrap().stride, 640);
    assert!(i420(641).unwrap_err().contains("rows of 641 bytes"));
    assert_eq!(shape(answer(b"NV12", 638, 480, 641), PixelFormat::Nv12).unwrap().stride, 641);
}

#[test]
fn impossible_answers_are_refused() {
    for (w, h) in [(0, 480), (640, 0), (641, 480), (u32::MAX, 480), (640, 40_000)] {
        for (fourcc, format) in [(b"YUYV", PixelFormat::Yuyv), (b"NV12", PixelFormat::Nv12)] {
            let got = shape(answer(fourcc, w, h, 0), format);
            assert!(got.clone().unwrap_err().contains("impossible"), "{w}x{h}: {got:?}");
        }
    }
    assert!(shape(answer(b"GREY", 641, 481, 0), PixelFormat::Grey).is_ok(), "no colour to share");
    let apart = PixFormat { memory_planes: 2, ..answer(b"NV12", 640, 480, 0) };
    assert!(shape(apart, PixelFormat::Nv12).unwrap_err().contains("2 pieces of memory"));
}

#[test]
fn buffers_that_hold_half_pictures_are_refused() {
    let field =
        |field| shape(PixFormat { field, ..answer(b"YUYV", 720, 576, 0) }, PixelFormat::Yuyv);
    // any, none, interlaced, and interlaced with the top or the bottom row first
    for whole in [0, 1, 4, 8, 9] {
        assert!(field(whole).is_ok(), "{whole}");
    }
    for half in [2, 3, 5, 6, 7, 10, u32::MAX] {
        let error = field(half).unwrap_err();
        assert!(error.contains(&format!("half pictures (field order {half})")), "{error}");
    }
}

/// A device that answers each code as the script has it; what it was asked comes back too.
fn scripted(
    script: &[(&[u8; 4], Result<PixFormat, Errno>)],
    wanted: Option<PixelFormat>,
) -> (Result<(Code, Geometry), OpenError>, Vec<String>) {
    let offered: Vec<_> = script.iter().map(|(c, _)| code(c)).collect();
    let candidates = choose(&offered, wanted, Path::new(DEV)).unwrap();
    let mut asked = Vec::new();
    let result = settle(&candidates, Path::new(DEV), |c| {
        asked.push(c.to_string());
        let (_, answer) = script.iter().find(|(fourcc, _)| code(fourcc) == c).unwrap();
        answer.map_err(|errno| Fault::Call { call: "VIDIOC_S_FMT", error: errno.into() })
    });
    (result, asked)
}

#[test]
fn a_driver_that_lies_about_a_format_is_asked_for_the_next() {
    let (got, asked) = scripted(
        &[
            (b"MJPG", Ok(answer(b"YUYV", 640, 480, 0))),
            (b"NV12", Err(Errno::INVAL)),
            (b"YU12", Ok(answer(b"YU12", 0, 480, 0))),
            (b"YUYV", Ok(answer(b"YUYV", 640, 480, 0))),
            (b"GREY", Ok(answer(b"GREY", 640, 480, 0))),
        ],
        None,
    );
    assert_eq!(got.unwrap().1.format, PixelFormat::Yuyv);
    assert_eq!(asked, ["MJPG", "NV12", "YU12", "YUYV"]);
}

#[test]
fn a_driver_that_lies_about_all_that_is_wanted_is_refused_with_each_lie() {
    let yuyv = (b"YUYV", Ok(answer(b"YUYV", 640, 480, 0)));
    let (got, asked) =
        scripted(&[(b"MJPG", Ok(answer(b"YUYV", 640, 480, 0))), yuyv], Some(PixelFormat::Mjpeg));
    assert_eq!(
        got.unwrap_err().to_string(),
        "/dev/video7 lists MJPG but answers YUYV when asked for it; set another format or size"
    );
    assert_eq!(asked, ["MJPG"], "a format that was asked for is not replaced by another");
    let (got, asked) = scripted(&[(b"MJPG", Err(Errno::NODEV)), yuyv], None);
    assert!(matches!(got, Err(OpenError::NotFound(_))), "{got:?}");
    assert_eq!(asked, ["MJPG"], "an unplugged camera is not asked again");
}

#[test]
fn a_driver_without_a_size_of_its_own_is_asked_for_a_common_one() {
    assert_eq!(own_size(answer(b"YUYV", 320, 240, 0)), (320, 240));
    assert_eq!(own_size(answer(b"YUYV", 0, 0, 0)), SOME_SIZE);
}

#[test]
fn nodes_without_pictures_are_told_from_cameras() {
    let node = |caps| {
        let (driver, card, bus_info) = ([0; 16], [b'C'; 32], [0; 32]);
        let capability = Capability { driver, card, bus_info, caps };
        usable(&capability, Path::new(DEV)).map_err(|e| e.to_string())
    };
    let stream = sys::V4L2_CAP_STREAMING;
    for one in [sys::V4L2_CAP_VIDEO_CAPTURE, sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE] {
        assert_eq!(node(one | stream), Ok(()));
        assert!(node(one).unwrap_err().contains("cannot stream"));
    }
    assert!(node(sys::V4L2_CAP_META_CAPTURE | stream).unwrap_err().contains("metadata"));
    assert!(node(sys::V4L2_CAP_VIDEO_M2M_MPLANE | stream).unwrap_err().contains("codec"));
}

#[test]
fn names_from_the_device_end_at_the_zero_and_hold_no_control_characters() {
    assert_eq!(printable(b"HD cam\0garbage"), "HD cam");
    assert_eq!(printable(b"a\x1b[2Jb\n\xff\0"), "a?[2Jb?\u{fffd}");
    assert_eq!(printable(b"unterminated"), "unterminated");
    assert_eq!(printable(b""), "");
}
