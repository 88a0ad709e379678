//! Tests of the splitter: frames whole, in pieces, in garbage, and none at all.

use proptest::prelude::*;

use super::*;

/// A small image with every kind of thing in it that could confuse a reader: a thumbnail in a segment,
/// stuffed bytes, a restart marker, fill bytes and a second scan.
pub(crate) fn image(fill: u8) -> Vec<u8> {
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 12];
    jpeg.extend([0xFF, 0xD8, 0xFF, 0xDB, 1, 2, 3, 4, 0xFF, 0xD9]);
    jpeg.extend([0xFF, 0xFF, 0xC0, 0, 11, 8, 0, 48, 0, 64, 1, 1, 0x11, 0]);
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    jpeg.extend([fill & 0x7F; 40]);
    jpeg.extend([0xFF, 0x00, 5, 0xFF, 0xD3, 6]);
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 9, 9, 0xFF, 0xD9]);
    jpeg
}

fn split_all(splitter: &mut Splitter, input: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let space = splitter.space();
        let n = rest.len().min(piece).min(space.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        splitter.filled(n);
        while let Some(range) = splitter.split() {
            found.push(splitter.bytes(range).to_vec());
        }
    }
    splitter.end();
    while let Some(range) = splitter.split() {
        found.push(splitter.bytes(range).to_vec());
    }
    found
}

#[test]
fn frames_are_found_whatever_the_size_of_the_reads() {
    let (a, b) = (image(1), image(2));
    let input = [a.clone(), b.clone()].concat();
    for piece in [1, 2, 3, 7, 50, 4096] {
        let mut splitter = Splitter::default();
        assert_eq!(split_all(&mut splitter, &input, piece), [a.clone(), b.clone()], "{piece}");
        assert_eq!(splitter.skipped(), 0);
    }
}

#[test]
fn garbage_between_frames_is_skipped_and_counted() {
    let (a, b) = (image(1), image(2));
    let input = [&b"--boundary\r\n\xFF\xD8"[..], &a, b"\xFF\xFF\xD8\0", &b, b"tail\xFF"].concat();
    let mut splitter = Splitter::default();
    assert_eq!(split_all(&mut splitter, &input, 5), [a, b]);
    assert_eq!(splitter.skipped(), 14 + 4 + 5);
}

#[test]
fn a_frame_cut_short_does_not_swallow_the_next_one() {
    let whole = image(3);
    for cut in 1..whole.len() {
        let input = [&whole[..cut], &whole[..], &whole[..]].concat();
        let found = split_all(&mut Splitter::default(), &input, 64);
        assert_eq!(found.last(), Some(&whole), "cut at {cut}");
        // Cut within a segment, that segment may eat the beginning of the next frame; cut within the
        // image data, nothing is lost.
        assert!(found.len() == 2 || !(40..=86).contains(&cut), "cut at {cut}");
    }
}

#[test]
fn a_frame_above_the_limit_is_skipped_and_the_next_one_found() {
    let small = image(4);
    let mut large = small.clone();
    let at = large.len() - 2;
    large.splice(at..at, vec![7; 300_000]);
    let mut splitter = Splitter::new(100_000);
    let found = split_all(&mut splitter, &[large, small.clone()].concat(), 10_000);
    assert_eq!(found, [small]);
    assert!(splitter.buf.len() < 2 * 100_000 + 5 * READ, "{}", splitter.buf.len());
}

#[test]
fn memory_stays_small_over_a_long_stream() {
    let mut splitter = Splitter::default();
    let input = image(5).repeat(40_000);
    assert_eq!(split_all(&mut splitter, &input, 30_000).len(), 40_000);
    assert!(splitter.buf.len() <= 8 * READ, "{}", splitter.buf.len());
}

#[test]
fn false_starts_cost_linear_work() {
    // Each start walks into the same long chain of segments, which never becomes an image.
    let input = [0xFF, 0xE0, 0, 4, 0xFF, 0xD8].repeat(400_000);
    let mut splitter = Splitter::default();
    assert!(split_all(&mut splitter, &input, 60_000).is_empty());
    assert_eq!(splitter.skipped(), input.len() as u64);
}

#[test]
fn dimensions_come_from_the_frame_header() {
    assert_eq!(dimensions(&image(0)), Some((64, 48)));
    assert_eq!(dimensions(&image(0)[..20]), None);
    assert_eq!(dimensions(b"\xFF\xD8\xFF\xDA\0\x02"), None);
}

/// Bytes with many markers in them, so that the walk gets somewhere.
pub(crate) fn marked_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => Just(0xFFu8),
        3 => prop::sample::select(vec![0xD8u8, 0xD9, 0xDA, 0xC0, 0xE0, 0xD0, 0]),
        2 => 0u8..16,
        3 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_are_all_accounted_for(
        input in prop_oneof![prop::collection::vec(any::<u8>(), 0..400), marked_bytes()],
        piece in 1usize..64,
        limit in 1usize..300,
    ) {
        let begun = [&[0xFF, 0xD8], &input[..]].concat();
        for picture in [&input, &begun] {
            prop_assert!(dimensions(picture).is_none_or(|(w, h)| w > 0 && h > 0));
        }
        let mut splitter = Splitter::new(limit);
        let found = split_all(&mut splitter, &input, piece);
        prop_assert!(found.iter().all(|f| f.len() <= limit && f.starts_with(&[0xFF, 0xD8])));
        let lent: usize = found.iter().map(Vec::len).sum();
        prop_assert_eq!(splitter.skipped() + lent as u64, input.len() as u64);
        prop_assert!(splitter.buf.len() <= 2 * limit + 5 * READ);
    }

    #[test]
    fn a_frame_in_garbage_is_found(
        before in prop::collection::vec(any::<u8>(), 0..200),
        after in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1usize..64,
    ) {
        let frame = image(6);
        let input = [&before[..], &frame, &after].concat();
        let found = split_all(&mut Splitter::default(), &input, piece);
        prop_assert!(found.contains(&frame), "{:?}", found);
    }
}
