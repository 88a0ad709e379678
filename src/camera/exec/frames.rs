//! From the bytes of a pipe to the newest whole frame.
//!
//! Pure: the camera reads into [`Frames::space`], says [`Frames::filled`], and asks [`Frames::newest`]
//! once everything that has come is in. Older whole frames are counted, not lent. Nothing is allocated
//! once the buffer has grown to the stream's size.

use std::ops::Range;

use crate::camera::mjpeg::Splitter;

/// Largest frame taken, in bytes: twice an uncompressed 4K frame in 4:2:2. A larger one is given up.
pub const MAX_FRAME: usize = 32 << 20;

/// Free room behind an unfinished raw frame: as much as a pipe holds.
const ROOM: usize = 1 << 20;

/// Frames as they arrive.
#[derive(Debug)]
pub(super) enum Frames {
    Jpeg(Splitter),
    Raw(Raw),
}

impl Frames {
    pub(super) fn jpeg() -> Self {
        Self::Jpeg(Splitter::new(MAX_FRAME))
    }

    /// Raw frames of `len` bytes each, one after the other, at least 1.
    pub(super) fn raw(len: usize) -> Self {
        Self::Raw(Raw { len: len.clamp(1, MAX_FRAME), buf: Vec::new(), start: 0, end: 0 })
    }

    /// Room for the next read, never empty. Ranges given before are void after this.
    pub(super) fn space(&mut self) -> &mut [u8] {
        match self {
            Self::Jpeg(splitter) => splitter.space(),
            Self::Raw(raw) => raw.space(),
        }
    }

    /// Says that the first `n` bytes of the space were filled.
    pub(super) fn filled(&mut self, n: usize) {
        match self {
            Self::Jpeg(splitter) => splitter.filled(n),
            Self::Raw(raw) => raw.end = raw.end.saturating_add(n).min(raw.buf.len()),
        }
    }

    /// The newest whole frame of what was filled, and how many there were; `None` without one.
    pub(super) fn newest(&mut self) -> Option<(Range<usize>, u64)> {
        match self {
            Self::Jpeg(splitter) => {
                let mut newest = None;
                let mut count = 0;
                while let Some(range) = splitter.split() {
                    newest = Some(range);
                    count += 1;
                }
                newest.map(|range| (range, count))
            }
            Self::Raw(raw) => raw.newest(),
        }
    }

    /// The bytes of a range that [`Frames::newest`] gave.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        match self {
            Self::Jpeg(splitter) => splitter.bytes(range),
            Self::Raw(raw) => raw.buf.get(range).unwrap_or_default(),
        }
    }
}

/// Frames of one size, without anything between them.
#[derive(Debug)]
pub(super) struct Raw {
    len: usize,
    buf: Vec<u8>,
    /// Everything before is done with.
    start: usize,
    end: usize,
}

impl Raw {
    fn space(&mut self) -> &mut [u8] {
        self.buf.resize(2 * self.len + ROOM, 0); // the first time only
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buf.len() {
            // Nobody asked for the frames that lie here: the oldest go, whole.
            self.buf.copy_within(self.len.., 0);
            self.end -= self.len;
        }
        &mut self.buf[self.end..]
    }

    fn newest(&mut self) -> Option<(Range<usize>, u64)> {
        let count = (self.end - self.start) / self.len;
        let last = self.start + count.checked_sub(1)? * self.len;
        self.start = last + self.len;
        Some((last..self.start, count as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::mjpeg::tests::{image, marked_bytes};
    use proptest::prelude::*;

    /// Feeds pieces, asking after each; gives what was lent and how many frames there were in all.
    fn feed(frames: &mut Frames, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut lent, mut all) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let space = frames.space();
                let n = rest.len().min(space.len());
                space[..n].copy_from_slice(&rest[..n]);
                frames.filled(n);
                rest = &rest[n..];
            }
            if let Some((range, count)) = frames.newest() {
                lent.push(frames.bytes(range).to_vec());
                all += count;
            }
        }
        (lent, all)
    }

    #[test]
    fn the_newest_of_what_came_is_lent_and_the_others_are_counted() {
        let three = [image(1), image(2), image(3)].concat();
        let (lent, all) = feed(&mut Frames::jpeg(), &[&three, &image(4)[..30], &image(4)[30..]]);
        assert_eq!((lent, all), (vec![image(3), image(4)], 4));
        let (lent, all) = feed(&mut Frames::raw(4), &[b"aaaabbbbcc", b"cc", b"", b"dddde"]);
        assert_eq!((lent, all), (vec![b"bbbb".to_vec(), b"cccc".into(), b"dddd".into()], 4));
    }

    #[test]
    fn a_jpeg_above_the_limit_is_given_up_and_the_next_one_found() {
        let mut huge = image(1);
        let at = huge.len() - 2;
        huge.splice(at..at, vec![7; MAX_FRAME]);
        let (lent, all) = feed(&mut Frames::jpeg(), &[&huge, &image(2)]);
        assert_eq!((lent, all), (vec![image(2)], 1));
    }

    #[test]
    fn raw_frames_that_nobody_asks_for_do_not_pile_up() {
        let mut frames = Frames::raw(4096);
        let stream: Vec<u8> = (0..2000u32).flat_map(|n| [(n % 251) as u8; 4096]).collect();
        let (lent, _) = feed(&mut frames, &[&stream]);
        assert_eq!(lent, [vec![(1999 % 251) as u8; 4096]]);
        let Frames::Raw(raw) = frames else { panic!() };
        assert_eq!(raw.buf.len(), 2 * 4096 + ROOM);
    }

    #[test]
    fn garbage_that_begins_like_a_picture_takes_no_more_than_its_segment_says() {
        // A frame header with the next frame's first two bytes for its length: 65,496.
        let good: Vec<_> = (0..=255).cycle().take(2_000).map(image).collect();
        let bytes: usize = good.iter().map(Vec::len).sum();
        assert!(bytes > 70_000, "{bytes}");
        let mut pieces: Vec<&[u8]> = vec![&[0xff, 0xd8, 0xff, 0xc0]];
        pieces.extend(good.iter().map(Vec::as_slice));
        let (lent, _) = feed(&mut Frames::jpeg(), &pieces);
        let after = bytes - lent.iter().skip(1).map(Vec::len).sum::<usize>();
        assert!(lent.len() > 1 && lent.last() == good.last() && after < 66_500, "{after}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn garbage_between_good_frames_takes_none_of_them(
            garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 2..8),
            piece in 1usize..300,
        ) {
            // What begins like a picture is one until its segments end, and takes with it what lies in them.
            prop_assume!(garbage.iter().all(|g| !g.windows(3).any(|w| w == [0xff, 0xd8, 0xff])));
            let good: Vec<_> = (0..garbage.len() as u8).map(image).collect();
            let stream: Vec<u8> =
                garbage.iter().zip(&good).flat_map(|(g, f)| [&g[..], &f[..]].concat()).collect();
            // One frame may end in each piece at most: none is older than the newest.
            let pieces: Vec<_> = stream.chunks(piece.min(50)).collect();
            let (lent, all) = feed(&mut Frames::jpeg(), &pieces);
            prop_assert_eq!(all as usize, good.len());
            prop_assert_eq!(lent, good);
        }

        #[test]
        fn any_bytes_never_panic(
            pieces in prop::collection::vec(marked_bytes(), 0..20),
            len in 0usize..600,
        ) {
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            feed(&mut Frames::jpeg(), &pieces);
            let total: usize = pieces.iter().map(|p| p.len()).sum();
            let (lent, all) = feed(&mut Frames::raw(len), &pieces);
            prop_assert_eq!(all as usize, total / len.max(1));
            prop_assert!(lent.iter().all(|f| f.len() == len.max(1)));
        }
    }
}
