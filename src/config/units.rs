//! Values with units, as people write them: `"200ms"`, `"32 MiB"`, `"1280x720"`, `"10fps"`.
//!
//! Used by the tables (`raw`), and by name (`format`) when a file is held against the schema
//! (`shape`). Pure. Every parser says in its error what would have been right.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::camera::Pace;
use crate::identity::check_name;

/// Units of time, largest first, in milliseconds.
const TIME: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size; `kB MB GB` are powers of ten, `KiB MiB GiB` powers of two.
const SIZE: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a duration: a number and one of `ms s m h d`, to the millisecond.
///
/// # Errors
/// Says what a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    const HELP: &str = "write a number and a unit: `200ms`, `5s`, `10m`, `1h` or `7d`";
    let ms = scaled(text, |unit| TIME.iter().find(|(u, _)| *u == unit).map(|(_, ms)| *ms));
    ms.map(Duration::from_millis).ok_or_else(|| HELP.into())
}

/// Reads a size in bytes: a number and one of `B kB MB GB TB KiB MiB GiB TiB`.
///
/// # Errors
/// Says what a size looks like.
pub fn size(text: &str) -> Result<u64, String> {
    const HELP: &str = "write a number and a unit: `512 KiB`, `32 MiB`, `2 GiB` or `2 GB`";
    let bytes = scaled(text, |unit| {
        SIZE.iter().find(|(u, _)| u.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
    });
    bytes.ok_or_else(|| HELP.into())
}

/// Reads `WIDTHxHEIGHT` in pixels, each 16 to 16384.
///
/// # Errors
/// Says what a frame size looks like.
pub fn frame_size(text: &str) -> Result<(u32, u32), String> {
    let side = |t: &str| t.parse().ok().filter(|n| (16..=16_384).contains(n));
    text.split_once('x')
        .and_then(|(w, h)| Some((side(w)?, side(h)?)))
        .ok_or_else(|| "write width x height in pixels, each 16 to 16384: `1280x720`".into())
}

/// Reads USB vendor and product as `lsusb` writes them: `046d:0825`.
///
/// # Errors
/// Says what it looks like.
pub fn usb_id(text: &str) -> Result<(u16, u16), String> {
    let hex = |t: &str| {
        let four = t.len() == 4 && t.bytes().all(|b| b.is_ascii_hexdigit());
        four.then(|| u16::from_str_radix(t, 16).ok()).flatten()
    };
    text.split_once(':')
        .and_then(|(vendor, product)| Some((hex(vendor)?, hex(product)?)))
        .ok_or_else(|| "write vendor and product as `lsusb` shows them: `046d:0825`".into())
}

/// Reads the speed of recorded or synthetic frames: `own`, `fast`, or `10fps`.
///
/// # Errors
/// Says which words there are.
pub fn pace(text: &str) -> Result<Pace, String> {
    let rate = |t: &str| {
        t.strip_suffix("fps")?.trim_end().parse().ok().filter(|n| (0.01..=1000.0).contains(n))
    };
    match text {
        "own" => Ok(Pace::Own),
        "fast" => Ok(Pace::Fast),
        _ => rate(text).map(Pace::Rate).ok_or_else(|| {
            "write `own` (as recorded), `fast`, or a rate of 0.01 to 1000 such as `10fps`".into()
        }),
    }
}

/// Checks a word that may stand in keys and metadata on every store: `[A-Za-z0-9_.-]{1,64}`.
///
/// # Errors
/// Says which characters are allowed.
pub fn word(text: &str) -> Result<(), String> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let dots = text == "." || text == "..";
    if (1..=64).contains(&text.len()) && text.bytes().all(ok) && !dots {
        return Ok(());
    }
    Err("use 1 to 64 of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`: other characters do not survive \
         every store's keys and metadata"
        .into())
}

/// Checks text by the name of its format in the schema; formats not known here are free text.
///
/// # Errors
/// What would be right.
pub fn check(format: &str, text: &str) -> Result<(), String> {
    match format {
        "duration" => duration(text).map(drop),
        "size" => size(text).map(drop),
        "frame-size" => frame_size(text).map(drop),
        "pace" => pace(text).map(drop),
        "usb-id" => usb_id(text).map(drop),
        "name" => check_name(text),
        "word" => word(text),
        _ => Ok(()),
    }
}

/// `number unit`, scaled to whole units; up to three decimals. `None` when malformed or too large.
fn scaled(text: &str, factor: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(end)?;
    let factor = factor(unit.trim())?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if part.is_empty() || part.len() > 3 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    whole.checked_add(part.parse::<u64>().ok()?.checked_mul(factor)? / scale)
}

/// The largest unit that divides `n`, as a whole number.
fn whole(n: u64, units: &[(&'static str, u64)], smallest: &'static str) -> (u64, &'static str) {
    let fit = units.iter().find(|(_, f)| n >= *f && n.is_multiple_of(*f));
    fit.map_or((n, smallest), |(unit, f)| (n / f, unit))
}

/// A duration in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Time {
    /// So many milliseconds.
    #[must_use]
    pub const fn ms(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, unit) = whole(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIME, "ms");
        write!(f, "{n}{unit}")
    }
}

/// A size in bytes in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, unit) = whole(self.0, &SIZE, "B");
        write!(f, "{n} {unit}")
    }
}

/// Width and height in pixels in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixels(pub u32, pub u32);

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.0, self.1)
    }
}

/// USB vendor and product in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbId(pub u16, pub u16);

impl fmt::Display for UsbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.0, self.1)
    }
}

/// Speed of recorded or synthetic frames in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(pub Pace);

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Pace::Own => f.write_str("own"),
            Pace::Fast => f.write_str("fast"),
            Pace::Rate(n) => write!(f, "{n}fps"),
        }
    }
}

/// Gives a type of this file its serde and schema faces: a string with a format.
macro_rules! text {
    ($type:ty, $format:literal, $pattern:literal, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(d)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $format.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "pattern": $pattern })
            }
        }
    };
}

text!(Time, "duration", r"^[0-9]+(\.[0-9]{1,3})? *(ms|s|m|h|d)$", |t| duration(t).map(Time));
text!(Bytes, "size", r"^[0-9]+(\.[0-9]{1,3})? *([kKMGTmgt][iI]?)?[bB]$", |t| size(t).map(Bytes));
text!(Pixels, "frame-size", r"^[0-9]{2,5}x[0-9]{2,5}$", |t| frame_size(t)
    .map(|(w, h)| Pixels(w, h)));
text!(UsbId, "usb-id", r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}$", |t| usb_id(t)
    .map(|(vendor, product)| UsbId(vendor, product)));
text!(Speed, "pace", r"^(own|fast|[0-9]+(\.[0-9]+)? *fps)$", |t| pace(t).map(Speed));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        for (text, ms) in
            [("200ms", 200), ("5s", 5_000), ("1.5 s", 1_500), ("10m", 600_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for (text, bytes) in
            [("32 MiB", 32 << 20), ("2GB", 2_000_000_000), ("1.5 kB", 1_500), ("64b", 64)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "5", "s", "5 sec", "-1s", "1e3s", "99999999999999999999d", "1.2345s", ".5s"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "32", "MiB", "32 Mb/s", "99999999 TiB", "1.s MiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_paces_and_names_have_limits() {
        assert_eq!(frame_size("1280x720"), Ok((1280, 720)));
        assert!(frame_size("1280*720").is_err() && frame_size("0x0").is_err());
        assert_eq!(pace("10fps"), Ok(Pace::Rate(10.0)));
        assert!(pace("NaNfps").is_err() && pace("0fps").is_err());
        assert_eq!(usb_id("046D:0825"), Ok((0x046d, 0x0825)));
        assert!(
            usb_id("46d:825").is_err() && usb_id("046d").is_err() && usb_id("+46d:0825").is_err()
        );
        assert!(word("Hall_2.b").is_ok() && word("..").is_err() && word("a/b").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0_u64..1 << 50, bytes in 0_u64..1 << 60) {
            prop_assert_eq!(duration(&Time::ms(ms).to_string()), Ok(Duration::from_millis(ms)));
            prop_assert_eq!(size(&Bytes(bytes).to_string()), Ok(bytes));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,24}") {
            for format in ["duration", "size", "frame-size", "pace", "name", "word"] {
                check(format, &text).ok();
            }
        }
    }
}
