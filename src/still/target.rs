//! The quality with which a picture comes out at a size in bytes.
//!
//! Used by the still thread. Pure. A picture's length cannot be told from its pixels, so it is encoded, and
//! the next quality is reckoned from how long it came out: at most [`TRIES`] times, and once more at the
//! floor. A camera's pictures are alike, so the search begins with what was good last time and mostly ends
//! there.

/// Quality is never set lower: below, faces and plates are gone and blocks show, and little is saved.
pub(super) const FLOOR: u8 = 25;

/// Most encodings before the best so far is taken.
const TRIES: usize = 4;

/// A picture that fills this share of the room, in percent, is not tried any better.
const NEAR: usize = 90;

/// The bytes of a picture fall with the quantisers' scale to this power: between 0.6 and 0.8 for camera
/// pictures between qualities 30 and 90.
const POWER: f64 = 0.7;

/// Encodes with falling or rising quality, from `start`, until the result fits into `room` bytes; `most` is
/// never exceeded. At the floor it is taken as it comes, even if it does not fit. With it the quality.
pub(super) fn search<T: AsRef<[u8]>, E>(
    start: u8,
    most: u8,
    room: usize,
    mut encode: impl FnMut(u8) -> Result<T, E>,
) -> Result<(T, u8), E> {
    let floor = FLOOR.min(most);
    let (mut above, mut below) = (floor, most); // what is still to be tried
    let mut best = None;
    let mut quality = start.clamp(floor, most);
    for _ in 0..TRIES {
        let made = encode(quality)?;
        let length = made.as_ref().len();
        if length <= room {
            let near = length.saturating_mul(100) >= room.saturating_mul(NEAR);
            above = quality + 1;
            best = Some((made, quality));
            if near {
                break;
            }
        } else if quality == floor {
            return Ok((made, floor));
        } else {
            below = quality - 1;
        }
        if above > below {
            break;
        }
        quality = guess(quality, length, room).clamp(above, below);
    }
    match best {
        Some(best) => Ok(best),
        None => Ok((encode(floor)?, floor)),
    }
}

/// The quality at which a picture of `length` bytes at `quality` should come near `room`.
fn guess(quality: u8, length: usize, room: usize) -> u8 {
    let wanted = room as f64 * 0.96 / length.max(1) as f64;
    let scale = scale(f64::from(quality)) * wanted.powf(-1.0 / POWER);
    let quality = if scale > 100.0 { 5000.0 / scale } else { (200.0 - scale) / 2.0 };
    quality as u8 // saturates
}

/// What libjpeg multiplies its tables with, in percent (`jpeg_quality_scaling`).
fn scale(quality: f64) -> f64 {
    if quality < 50.0 { 5000.0 / quality.max(1.0) } else { (200.0 - 2.0 * quality).max(1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture whose bytes follow the scale to `power`; counts the encodings.
    fn picture(at_50: f64, power: f64, tries: &mut usize) -> impl FnMut(u8) -> Result<Vec<u8>, ()> {
        move |quality| {
            *tries += 1;
            let bytes = at_50 * (100.0 / scale(f64::from(quality))).powf(power);
            Ok(vec![0; bytes as usize])
        }
    }

    proptest! {
        #[test]
        fn it_fits_or_is_at_the_floor_after_few_tries(
            at_50 in 500f64..50_000.0, power in 0.4f64..1.1, room in 100usize..100_000,
            start in 0u8..=255, most in 1u8..=100,
        ) {
            let mut tries = 0;
            let (made, quality) = search(start, most, room, picture(at_50, power, &mut tries)).unwrap();
            prop_assert!(made.len() <= room || quality == FLOOR.min(most));
            prop_assert!(quality <= most && quality >= FLOOR.min(most));
            prop_assert!(tries <= TRIES + 1);
            let mut again = 0;
            let (better, next) = search(quality, most, room, picture(at_50, power, &mut again)).unwrap();
            prop_assert!(better.len() >= made.len() && next >= quality, "what was good is not given up");
        }
    }

    #[test]
    fn the_room_is_well_used_and_the_second_picture_costs_one_try() {
        let (mut first, mut second) = (0, 0);
        let (made, quality) = search(85, 85, 20_000, picture(20_000.0, 0.7, &mut first)).unwrap();
        assert!(made.len() > 18_000, "{}", made.len());
        search(quality, 85, 20_000, picture(20_500.0, 0.7, &mut second)).unwrap();
        assert!(first <= 3 && second <= 2, "{first} {second}");
        let mut small = 0;
        let (_, quality) = search(85, 85, 1 << 20, picture(20_000.0, 0.7, &mut small)).unwrap();
        assert_eq!((quality, small), (85, 1), "never more than asked for");
    }
}
