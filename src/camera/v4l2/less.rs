//! A camera whose frames do not fit on its USB bus is asked for less.
//!
//! A USB camera reserves the room for its frames when it starts to stream, and a hub with several
//! cameras, or a Raspberry Pi's bus, may have none left: VIDIOC_STREAMON answers ENOSPC. Frames that are
//! smaller or rarer are better than none. The steps, each at most three quarters of what was refused:
//!
//! 1. a lower rate of the same format and size,
//! 2. MJPEG of the same size, where the camera has it and this was raw,
//! 3. the next smaller size, at the highest rate that asks for less.
//!
//! Bounded by [`MOST`] tries at one opening; the next opening begins with what was wanted. What follows
//! from a refusal is pure ([`next`]), and so is the loop, whose camera is a closure. Real buses have not
//! been tried: the kernel's test driver has no bandwidth, so the tests script one.

use super::device::{Agreed, Ask};
use super::offer::{FormatOffer, Offer, Rate, Rates, SizeOffer, Sizes};
use crate::frame::PixelFormat;

/// Tries at one opening.
pub(super) const MOST: u32 = 12;

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Refused<E> {
    /// There is no room for what was agreed on; this is what else the device has.
    NoRoom(Agreed, Offer),
    /// Asking for less would not help.
    Otherwise(E),
}

/// Tries what is asked for, then less and less, until it fits. `no_room` makes the error of having asked
/// for the least.
pub(super) fn until_it_fits<T, E>(
    ask: Ask,
    mut attempt: impl FnMut(&Ask) -> Result<T, Refused<E>>,
    no_room: impl FnOnce(&Agreed) -> E,
) -> Result<(T, Ask), E> {
    let mut ask = ask;
    let mut tries = 1;
    loop {
        let (agreed, offer) = match attempt(&ask) {
            Ok(done) => return Ok((done, ask)),
            Err(Refused::Otherwise(error)) => return Err(error),
            Err(Refused::NoRoom(agreed, offer)) => (agreed, offer),
        };
        let Some(less) = next(&offer, &agreed).filter(|_| tries < MOST) else {
            return Err(no_room(&agreed));
        };
        tracing::warn!(
            format = agreed.geometry.format.name(),
            width = agreed.geometry.width,
            height = agreed.geometry.height,
            fps = agreed.rate.map(Rate::fps),
            less_format = less.format.map(PixelFormat::name),
            less_size = ?less.size,
            less_fps = less.rate.map(Rate::fps),
            "Camera finds no room on its USB bus; will ask for less."
        );
        tries += 1;
        ask = less;
    }
}

/// What to ask for when there is no room for what was agreed on; `None` when the device has nothing less.
fn next(offer: &Offer, refused: &Agreed) -> Option<Ask> {
    let format = refused.geometry.format;
    let size = (refused.geometry.width, refused.geometry.height);
    let here = find(offer, format);
    let ask = |format, size, rate| Ask { format: Some(format), size: Some(size), rate };
    let slower = refused.rate.and_then(|rate| {
        let rates = here.and_then(|here| rates(&here.sizes, size))?;
        highest(rates, three_quarters(rate.fps()))
    });
    if let Some(rate) = slower {
        return Some(ask(format, size, Some(rate)));
    }
    let compressed = find(offer, PixelFormat::Mjpeg).filter(|_| format != PixelFormat::Mjpeg);
    if let Some(mjpeg) = compressed
        && fits(&mjpeg.sizes, size)
    {
        return Some(ask(PixelFormat::Mjpeg, size, None));
    }
    let (size, rate) = smaller(&here?.sizes, size, refused.rate)?;
    Some(ask(format, size, rate))
}

fn find(offer: &Offer, format: PixelFormat) -> Option<&FormatOffer> {
    offer.formats.iter().find(|f| f.format == Some(format))
}

fn three_quarters(amount: f64) -> f64 {
    amount * 0.75
}

fn pixels((width, height): (u32, u32)) -> f64 {
    f64::from(width) * f64::from(height)
}

/// The rates of a size, where the driver tells any. Those of a range are given for its largest size.
fn rates(sizes: &Sizes, size: (u32, u32)) -> Option<&Rates> {
    match sizes {
        Sizes::Listed(sizes) => {
            sizes.iter().find(|s| (s.width, s.height) == size).map(|s| &s.rates)
        }
        Sizes::Between { rates, .. } => Some(rates),
        Sizes::Unknown => None,
    }
}

/// The highest rate of at most so many frames a second.
fn highest(rates: &Rates, limit: f64) -> Option<Rate> {
    match rates {
        Rates::Listed(rates) => rates.iter().find(|rate| rate.fps() <= limit).copied(),
        // Whole frames a second, so that a driver is not asked for a rate that it has to round.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Rates::Between(low, high) => {
            let most = limit.floor().min(high.fps().ceil()) as u32;
            Some(Rate::per_second(most)).filter(|rate| most > 0 && rate.fps() >= low.fps())
        }
        Rates::Unknown => None,
    }
}

fn fits(sizes: &Sizes, size: (u32, u32)) -> bool {
    match sizes {
        Sizes::Listed(sizes) => sizes.iter().any(|s| (s.width, s.height) == size),
        Sizes::Between { min, max, .. } => {
            (min.0..=max.0).contains(&size.0) && (min.1..=max.1).contains(&size.1)
        }
        Sizes::Unknown => true,
    }
}

/// The largest of the smaller sizes, and the highest of its rates that asks for less than was refused.
fn smaller(
    sizes: &Sizes,
    size: (u32, u32),
    rate: Option<Rate>,
) -> Option<((u32, u32), Option<Rate>)> {
    let limit = three_quarters(pixels(size));
    let (size, rates) = match sizes {
        Sizes::Listed(listed) => {
            let area = |s: &SizeOffer| pixels((s.width, s.height));
            let mut smaller: Vec<_> = listed.iter().filter(|s| area(s) <= limit).collect();
            smaller.sort_by(|a, b| area(b).total_cmp(&area(a)));
            let best = smaller.first()?;
            ((best.width, best.height), &best.rates)
        }
        Sizes::Between { min, rates, .. } => {
            let half = (size.0 / 2, size.1 / 2);
            (half.0 >= min.0 && half.1 >= min.1).then_some((half, rates))?
        }
        Sizes::Unknown => return None,
    };
    // As many pixels a second as were refused, at most three quarters of them.
    let refused = rate.map(|rate| rate.fps() * limit / pixels(size));
    Some((size, refused.and_then(|limit| highest(rates, limit))))
}

#[cfg(test)]
mod tests {
    use super::super::offer::Code;
    use super::*;
    use crate::frame::Geometry;
    use PixelFormat::{Mjpeg, Yuyv};

    fn listed(sizes: &[((u32, u32), &[u32])]) -> Sizes {
        let size = |&((width, height), rates): &((u32, u32), &[u32])| SizeOffer {
            width,
            height,
            rates: Rates::Listed(rates.iter().map(|&fps| Rate::per_second(fps)).collect()),
        };
        Sizes::Listed(sizes.iter().map(size).collect())
    }

    fn offer(formats: Vec<(PixelFormat, Sizes)>) -> Offer {
        let format = |(format, sizes)| FormatOffer {
            format: Some(format),
            fourcc: Code(0),
            description: String::new(),
            sizes,
        };
        Offer { formats: formats.into_iter().map(format).collect() }
    }

    /// As a webcam offers: raw frames rarely where they are large, MJPEG always.
    fn webcam(formats: &[PixelFormat]) -> Offer {
        let sizes = |format| {
            let few: &[u32] = if format == Yuyv { &[10, 5] } else { &[30, 15, 5] };
            let most: &[u32] = &[30, 25, 20, 15, 10, 5];
            listed(&[
                ((640, 480), most),
                ((1280, 720), few),
                ((320, 240), most),
                ((160, 120), most),
            ])
        };
        offer(formats.iter().map(|&format| (format, sizes(format))).collect())
    }

    /// A bus with room for so many bytes a second; the camera takes what it is asked for, and its first
    /// rate where nobody asks.
    fn bus(room: f64, offer: &Offer, ask: Ask) -> (Result<Ask, String>, Vec<String>) {
        let mut asked = Vec::new();
        let attempt = |ask: &Ask| {
            let (format, size) = (ask.format.unwrap_or(Yuyv), ask.size.unwrap_or((640, 480)));
            let own = find(offer, format).and_then(|f| rates(&f.sizes, size));
            let rate = ask.rate.or_else(|| own.and_then(|rates| highest(rates, f64::MAX)));
            let geometry = Geometry { format, width: size.0, height: size.1, stride: 0 };
            let fps = rate.map_or(30.0, Rate::fps);
            asked.push(format!("{} {}x{} {fps}", format.name(), size.0, size.1));
            #[allow(clippy::cast_precision_loss)]
            if geometry.frame_bytes() as f64 * fps <= room {
                Ok(())
            } else {
                Err(Refused::NoRoom(Agreed { code: Code(0), geometry, rate }, offer.clone()))
            }
        };
        let result = until_it_fits(ask, attempt, |least| {
            format!("no room for {}x{}", least.geometry.width, least.geometry.height)
        });
        (result.map(|((), ask)| ask), asked)
    }

    fn ask(format: PixelFormat, size: (u32, u32), fps: u32) -> Ask {
        Ask { format: Some(format), size: Some(size), rate: Some(Rate::per_second(fps)) }
    }

    #[test]
    fn what_fits_is_taken_as_asked() {
        let (got, asked) = bus(40e6, &webcam(&[Mjpeg, Yuyv]), ask(Yuyv, (640, 480), 30));
        assert_eq!(got, Ok(ask(Yuyv, (640, 480), 30)));
        assert_eq!(asked.len(), 1);
    }

    #[test]
    fn a_lower_rate_comes_before_another_format_and_a_smaller_size() {
        let (got, asked) = bus(10e6, &webcam(&[Mjpeg, Yuyv]), ask(Yuyv, (640, 480), 30));
        assert_eq!(got, Ok(ask(Yuyv, (640, 480), 15)));
        assert_eq!(asked, ["yuyv 640x480 30", "yuyv 640x480 20", "yuyv 640x480 15"]);
    }

    #[test]
    fn mjpeg_of_the_same_size_comes_before_smaller_raw_frames() {
        let (got, asked) = bus(7e6, &webcam(&[Mjpeg, Yuyv]), ask(Yuyv, (1280, 720), 10));
        assert_eq!(
            asked,
            ["yuyv 1280x720 10", "yuyv 1280x720 5", "mjpeg 1280x720 30", "mjpeg 1280x720 15"]
        );
        assert_eq!(got.unwrap().format, Some(Mjpeg));
    }

    #[test]
    fn a_smaller_size_asks_for_less_in_all_and_not_for_more_frames() {
        let (got, asked) = bus(5e6, &webcam(&[Yuyv]), ask(Yuyv, (1280, 720), 10));
        // 1280x720 at 5 was refused: 640x480 may come at most 11 times, since 15 would be more bytes.
        assert_eq!(
            asked,
            ["yuyv 1280x720 10", "yuyv 1280x720 5", "yuyv 640x480 10", "yuyv 640x480 5"]
        );
        assert_eq!(got, Ok(ask(Yuyv, (640, 480), 5)));
    }

    #[test]
    fn the_tries_end_whatever_the_camera_offers() {
        let (got, asked) = bus(0.0, &webcam(&[Yuyv]), ask(Yuyv, (1280, 720), 10));
        assert_eq!(got, Err("no room for 160x120".to_owned()));
        assert!(asked.len() <= MOST as usize, "{asked:?}");
        let rates: &[u32] = &[30, 20, 10, 5];
        let many: Vec<_> = (1..200).map(|n| ((n * 16, n * 9), rates)).collect();
        let (got, asked) =
            bus(0.0, &offer(vec![(Yuyv, listed(&many))]), ask(Yuyv, (3184, 1791), 30));
        assert!(got.is_err());
        assert_eq!(asked.len(), MOST as usize);
        let one = listed(&[((640, 480), &[30])]);
        let (got, asked) = bus(0.0, &offer(vec![(Yuyv, one)]), ask(Yuyv, (640, 480), 30));
        assert!(got.is_err());
        assert_eq!(asked.len(), 1, "there is nothing less");
    }

    #[test]
    fn ranges_of_sizes_and_rates_are_gone_down_in_whole_steps() {
        let rates = Rates::Between(Rate { frames: 1, seconds: 2 }, Rate::per_second(30));
        let sizes = Sizes::Between { min: (160, 120), max: (1920, 1080), step: (2, 2), rates };
        let (got, asked) = bus(1e6, &offer(vec![(Yuyv, sizes)]), ask(Yuyv, (640, 480), 3));
        assert_eq!(asked, ["yuyv 640x480 3", "yuyv 640x480 2", "yuyv 640x480 1"]);
        assert_eq!(got, Ok(ask(Yuyv, (640, 480), 1)));
    }

    #[test]
    fn a_range_of_any_width_is_looked_through_at_once() {
        let all = Rates::Between(Rate { frames: 1, seconds: u32::MAX }, Rate::per_second(u32::MAX));
        assert_eq!(highest(&all, 22.5), Some(Rate::per_second(22)));
        assert_eq!(highest(&all, 0.9), None);
        let slow = Rates::Between(Rate::per_second(5), Rate { frames: 15, seconds: 2 });
        assert_eq!(highest(&slow, 100.0), Some(Rate::per_second(8)));
        assert_eq!(highest(&slow, 4.9), None);
    }

    #[test]
    fn without_rates_or_sizes_to_choose_the_camera_is_not_asked_in_vain() {
        let unknown = |formats: &[PixelFormat]| {
            offer(formats.iter().map(|&format| (format, Sizes::Unknown)).collect())
        };
        let wanted = Ask { rate: None, ..ask(Yuyv, (640, 480), 1) };
        let (got, asked) = bus(0.0, &unknown(&[Yuyv]), wanted);
        assert!(got.is_err());
        assert_eq!(asked.len(), 1);
        let (_, asked) = bus(0.0, &unknown(&[Yuyv, Mjpeg]), wanted);
        assert_eq!(asked, ["yuyv 640x480 30", "mjpeg 640x480 30"]);
    }

    #[test]
    fn other_refusals_are_not_answered_with_less() {
        let mut tries = 0;
        let result: Result<((), Ask), _> = until_it_fits(
            ask(Yuyv, (640, 480), 30),
            |_| {
                tries += 1;
                Err(Refused::Otherwise("busy"))
            },
            |_| "no room",
        );
        assert_eq!((result.unwrap_err(), tries), ("busy", 1));
    }
}
