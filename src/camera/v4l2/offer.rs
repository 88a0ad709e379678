//! What a V4L2 device offers: formats, sizes and rates, as plain values.
//!
//! Filled by `device::offer`, read by whoever shows cameras to people, and by `less` when a USB bus has
//! too little room. Pure.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::frame::PixelFormat;

/// All that a device offers, in its own order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// Its formats.
    pub formats: Vec<FormatOffer>,
}

/// One format of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormatOffer {
    /// What it is here; `None` for what Vedette cannot read.
    #[serde(serialize_with = "by_name")]
    pub format: Option<PixelFormat>,
    /// The kernel's code for it.
    pub fourcc: Code,
    /// The kernel's words for it.
    pub description: String,
    /// The sizes it comes in.
    pub sizes: Sizes,
}

/// The sizes of a format, in pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizes {
    /// These.
    Listed(Vec<SizeOffer>),
    /// All between the smallest and the largest, in steps.
    Between {
        /// Smallest width and height.
        min: (u32, u32),
        /// Largest.
        max: (u32, u32),
        /// What may be added, each by multiples.
        step: (u32, u32),
        /// Rates at the largest size; smaller sizes may have higher ones.
        rates: Rates,
    },
    /// The driver does not say.
    Unknown,
}

/// One size, and how often it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SizeOffer {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rates at this size.
    pub rates: Rates,
}

/// Frame rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rates {
    /// These, highest first.
    Listed(Vec<Rate>),
    /// All from the first to the second, which is the higher.
    Between(Rate, Rate),
    /// The driver does not say.
    Unknown,
}

/// So many frames in so many seconds. Serialised as frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Frames.
    pub frames: u32,
    /// Seconds.
    pub seconds: u32,
}

/// A four-character code of the kernel's, "fourcc".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Rate {
    /// So many frames a second.
    #[must_use]
    pub fn per_second(frames: u32) -> Self {
        Self { frames, seconds: 1 }
    }

    /// Frames a second; 0 for what is no rate.
    #[must_use]
    pub fn fps(self) -> f64 {
        if self.is_one() { f64::from(self.frames) / f64::from(self.seconds) } else { 0.0 }
    }

    /// Drivers answer nought frames or seconds for "I do not know".
    #[must_use]
    pub fn is_one(self) -> bool {
        self.frames > 0 && self.seconds > 0
    }
}

/// Frames a second, with at most two decimals: `30`, `29.97`, `0.5`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hundredths(self.fps()))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(hundredths(self.fps()))
    }
}

fn hundredths(fps: f64) -> f64 {
    (fps * 100.0).round() / 100.0
}

impl Code {
    /// The code with these characters.
    #[must_use]
    pub const fn of(characters: &[u8; 4]) -> Self {
        Self(u32::from_le_bytes(*characters))
    }
}

/// As people write it: `MJPG`, `Y16`. What cannot be printed becomes `_`, and a code whose highest bit
/// is set, which means big-endian, ends in `-BE`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let big_endian = self.0 >> 31 == 1;
        let bytes = (self.0 & 0x7fff_ffff).to_le_bytes();
        let letter = |b: u8| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '_' };
        let text: String = bytes.into_iter().map(letter).collect();
        write!(f, "{}{}", text.trim_end(), if big_endian { "-BE" } else { "" })
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

// serde hands on a reference.
#[allow(clippy::ref_option)]
fn by_name<S: Serializer>(format: &Option<PixelFormat>, to: S) -> Result<S::Ok, S::Error> {
    format.map(PixelFormat::name).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelt_as_in_the_kernels_documentation() {
        let spell = |code: &[u8; 4]| Code::of(code).to_string();
        assert_eq!(spell(b"MJPG"), "MJPG");
        assert_eq!(spell(b"Y16 "), "Y16");
        assert_eq!(spell(b"Y8\0\n"), "Y8__");
        assert_eq!(Code(u32::from_le_bytes(*b"Y16 ") | 1 << 31).to_string(), "Y16-BE");
    }

    #[test]
    fn rates_are_shown_as_people_say_them() {
        let rate = |frames, seconds| Rate { frames, seconds }.to_string();
        assert_eq!(rate(30, 1), "30");
        assert_eq!(rate(30_000, 1_001), "29.97");
        assert_eq!(rate(15, 2), "7.5");
        assert_eq!(rate(1, 0), "0");
        assert_eq!(rate(0, 7), "0");
    }

    #[test]
    fn an_offer_is_written_down_in_words_and_numbers() {
        let rates = Rates::Listed(vec![Rate::per_second(30), Rate { frames: 15, seconds: 2 }]);
        let sizes = Sizes::Listed(vec![SizeOffer { width: 640, height: 480, rates }]);
        let format = |format, code, sizes| FormatOffer {
            format,
            fourcc: Code::of(code),
            description: "words".to_owned(),
            sizes,
        };
        let between = Sizes::Between {
            min: (2, 2),
            max: (8, 4),
            step: (2, 1),
            rates: Rates::Between(Rate::per_second(1), Rate::per_second(60)),
        };
        let offer = Offer {
            formats: vec![
                format(Some(PixelFormat::Yuyv), b"YUYV", sizes),
                format(None, b"H264", between),
                format(Some(PixelFormat::Grey), b"GREY", Sizes::Unknown),
            ],
        };
        assert_eq!(
            serde_json::to_value(&offer).unwrap(),
            serde_json::json!({"formats": [
                {"format": "yuyv", "fourcc": "YUYV", "description": "words", "sizes": {"listed": [
                    {"width": 640, "height": 480, "rates": {"listed": [30.0, 7.5]}}]}},
                {"format": null, "fourcc": "H264", "description": "words", "sizes": {"between":
                    {"min": [2, 2], "max": [8, 4], "step": [2, 1], "rates": {"between": [1.0, 60.0]}}}},
                {"format": "grey", "fourcc": "GREY", "description": "words", "sizes": "unknown"},
            ]})
        );
    }
}
