//! Text burnt into pictures: where, when, whose camera.
//!
//! Used by the still thread. Pure. White letters on an opaque black box are legible on any picture and
//! survive a coarse JPEG. The box covers whole MCUs at a corner: so a camera's JPEG gets it without being
//! decoded (see `blocks`), and no letter rings into the picture. The time is the local one with its zone's
//! name; where the clock was not trusted, `unsynced` stands in its place, for a wrong time would be believed.
//!
//! The letters are Spleen's (bitmaps of 6x12 to 16x32 pixels; Latin, Cyrillic); they are about a thirtieth
//! of the picture's height. A character that the font lacks shows as `?`.

mod font;

use self::font::{FONTS, Font};
use super::encode::Planes;
use crate::clock::WallTime;
use crate::place::Place;

/// Text to be burnt in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// With `{site}`, `{device}`, `{camera}` and `{time}` in it.
    pub template: String,
    /// Where.
    pub corner: Corner,
}

/// A corner of the picture as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corner {
    /// Top left.
    TopLeft,
    /// Top right.
    TopRight,
    /// Bottom left.
    #[default]
    BottomLeft,
    /// Bottom right.
    BottomRight,
}

/// How large letters are, one of the font's four sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    /// 6 by 12 pixels.
    Small,
    /// 8 by 16.
    Normal,
    /// 12 by 24.
    Large,
    /// 16 by 32.
    Huge,
}

impl Letters {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Small, Self::Normal, Self::Large, Self::Huge];

    fn font(self) -> Font {
        FONTS[FONTS.len() - 1 - self as usize]
    }

    /// Width of one in pixels.
    #[must_use]
    pub fn width(self) -> usize {
        self.font().width
    }

    /// Height of one in pixels.
    #[must_use]
    pub fn height(self) -> usize {
        self.font().height
    }
}

/// The places `(x, y)` of the ink of one line of words, from its top left corner; at most [`MOST_CHARS`]
/// of it.
pub(super) fn ink(words: &str, letters: Letters) -> impl Iterator<Item = (usize, usize)> {
    let font = letters.font();
    words.chars().take(MOST_CHARS).enumerate().flat_map(move |(column, c)| {
        let ink: Vec<_> = font.ink(c).collect();
        ink.into_iter().map(move |(x, y)| (column * font.width + x, y))
    })
}

/// Whose picture it is.
pub(super) struct Names<'a> {
    pub(super) site: &'a str,
    pub(super) device: &'a str,
    pub(super) camera: &'a str,
}

/// Most characters of a burnt-in text.
const MOST_CHARS: usize = 200;

/// Most lines; what is longer is cut.
const MOST_LINES: usize = 4;

const INK: u8 = 235;
const GROUND: u8 = 16;

impl Caption {
    /// The first `{…}` in a template that is no field.
    #[must_use]
    pub fn unknown_field(template: &str) -> Option<&str> {
        let mut rest = template;
        while let Some((_, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
            if !matches!(name, "site" | "device" | "camera" | "time") {
                return Some(name);
            }
            rest = behind;
        }
        None
    }

    /// The text of a picture taken at `wall`, where that is trusted.
    pub(super) fn words(&self, names: &Names<'_>, place: &Place, wall: Option<WallTime>) -> String {
        let time = wall.and_then(|wall| place.civil(wall)).map_or("unsynced".to_owned(), |civil| {
            civil.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
        });
        let mut out = String::new();
        let mut rest = self.template.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
            out.push_str(match name {
                "site" => names.site,
                "device" => names.device,
                "camera" => names.camera,
                "time" => &time,
                _ => "",
            });
            rest = behind;
        }
        out.push_str(rest);
        // A site that is not set leaves no hole.
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect()
    }
}

/// A box of text in its place in a picture.
#[derive(Debug)]
pub(super) struct Label {
    /// Left edge, top edge, width and height: whole MCUs, or up to the picture's edge.
    pub(super) area: [usize; 4],
    /// Where the letters begin, from the box's corner.
    pad: (usize, usize),
    /// Letters, row by row.
    ink: Vec<bool>,
    width: usize,
}

impl Label {
    /// For a picture of this size and these MCUs; `None` where not even one letter has room.
    pub(super) fn new(
        words: &str,
        corner: Corner,
        (width, height): (usize, usize),
        (across, down): (usize, usize),
    ) -> Option<Self> {
        let (font, lines, factor) = setting(words, width, height)?;
        let (cell, row) = (font.width * factor, font.height * factor);
        let columns = lines.iter().map(|line| line.chars().count()).max()?;
        let (ink_width, ink_height) = (columns * cell, lines.len() * row);
        let need = (ink_width + cell).min(width);
        let (right, bottom) = match corner {
            Corner::TopLeft => (false, false),
            Corner::TopRight => (true, false),
            Corner::BottomLeft => (false, true),
            Corner::BottomRight => (true, true),
        };
        let (x, w) = along(need, width, across, right);
        let (y, h) = along(ink_height, height, down, bottom);
        // Where the box is wider than its text, the text stays at the picture's edge.
        let left = cell / 2;
        let pad = if right { w.saturating_sub(ink_width + left) } else { left };
        let pad = (pad.min(w.saturating_sub(ink_width)), h.saturating_sub(ink_height) / 2);
        let mut ink = vec![false; ink_width * ink_height];
        for (line, text) in lines.iter().enumerate() {
            for (column, c) in text.chars().enumerate() {
                for (x, y) in font.ink(c) {
                    let from = column * cell + x * factor;
                    for y in line * row + y * factor..line * row + (y + 1) * factor {
                        let at = y * ink_width + from;
                        ink.get_mut(at..at + factor).unwrap_or_default().fill(true);
                    }
                }
            }
        }
        Some(Self { area: [x, y, w, h], pad, ink, width: ink_width })
    }

    /// Luma of a pixel of the picture that lies in the box.
    pub(super) fn luma(&self, x: usize, y: usize) -> u8 {
        let at = |v: usize, from: usize, pad: usize| v.checked_sub(from)?.checked_sub(pad);
        let on = at(x, self.area[0], self.pad.0)
            .filter(|x| *x < self.width)
            .zip(at(y, self.area[1], self.pad.1))
            .and_then(|(x, y)| self.ink.get(y * self.width + x));
        if on == Some(&true) { INK } else { GROUND }
    }

    /// Burns it into planes.
    pub(super) fn burn(&self, planes: &mut Planes) {
        let [left, top, w, h] = self.area;
        for y in top..top + h {
            planes.blacken(y, left, left + w);
        }
        let Some(luma) = planes.each_mut().next() else { return };
        for (y, row) in luma.samples.chunks_exact_mut(luma.width).enumerate().skip(top).take(h) {
            let places = row.iter_mut().enumerate().skip(left).take(w);
            places.for_each(|(x, sample)| *sample = self.luma(x, y));
        }
        planes.repeat_edge();
    }
}

/// First pixel and length along one side: at least `need`, from the edge on, at whole MCUs.
fn along(need: usize, side: usize, mcu: usize, at_end: bool) -> (usize, usize) {
    let mcu = mcu.max(1);
    if at_end {
        let first = side.saturating_sub(need) / mcu * mcu;
        (first, side - first)
    } else {
        (0, need.next_multiple_of(mcu).min(side))
    }
}

/// Font, lines and enlargement: the largest letters that are wanted and fit into one line, else the smallest
/// in several.
fn setting(words: &str, width: usize, height: usize) -> Option<(Font, Vec<String>, usize)> {
    let count = words.chars().count();
    if count == 0 {
        return None;
    }
    let wanted = (height / 30).max(16);
    // Only the largest is enlarged: small letters blown up are ugly.
    let larger = (2..=16).rev().map(|factor| (FONTS[0], factor));
    let mut sizes = larger.chain(FONTS.map(|font| (font, 1)));
    let fits = |(font, factor): &(Font, usize)| {
        let (across, down) = (font.width * factor, font.height * factor);
        down <= wanted.min(height) && (count + 1) * across <= width
    };
    if let Some((font, factor)) = sizes.find(fits) {
        return Some((font, vec![words.to_owned()], factor));
    }
    let smallest = FONTS[FONTS.len() - 1];
    let columns = (width / smallest.width).checked_sub(1).filter(|columns| *columns > 0)?;
    let most = (height / smallest.height).min(MOST_LINES);
    let lines: Vec<_> = wrap(words, columns).into_iter().take(most).collect();
    (!lines.is_empty()).then_some((smallest, lines, 1))
}

/// Lines of at most so many characters, broken between words where that is possible.
#[must_use]
pub fn wrap(words: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(columns.max(1)) {
            let room = |line: &&mut String| line.chars().count() + 1 + part.len() <= columns;
            match lines.last_mut().filter(room) {
                Some(line) => {
                    line.push(' ');
                    line.extend(part);
                }
                None => lines.push(part.iter().collect()),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::super::encode::tests::{picture, yuyv};
    use super::*;

    const NAMES: Names<'_> = Names { site: "lake-house", device: "porch-1", camera: "front" };
    const NOON: WallTime = WallTime(1_784_196_000_000); // 2026-07-16T10:00:00Z

    fn words(template: &str, site: &str, wall: Option<WallTime>) -> String {
        let caption = Caption { template: template.into(), corner: Corner::TopLeft };
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let place = Place { zone, ..Place::default() };
        caption.words(&Names { site, ..NAMES }, &place, wall)
    }

    #[test]
    fn the_time_is_local_with_its_zone_and_an_untrusted_one_is_not_shown() {
        let told = words("{site} {camera}: {time}", "lake-house", Some(NOON));
        assert_eq!(told, "lake-house front: 2026-07-16 12:00:00 CEST");
        assert_eq!(words("{time} {device}", "", None), "unsynced porch-1");
        assert_eq!(words("{time}", "", Some(WallTime(i64::MAX))), "unsynced");
        assert_eq!(
            words("{site} {camera}", "", None),
            "front",
            "a site that is not set leaves no hole"
        );
        assert_eq!(words("Tür\u{7}{camera", "", None), "Türfront");
    }

    #[test]
    fn fields_that_are_none_are_found() {
        assert_eq!(Caption::unknown_field("{site} {time}{camera} } {device}"), None);
        assert_eq!(Caption::unknown_field("{site} {temp} {x}"), Some("temp"));
        assert_eq!(Caption::unknown_field("a {camera"), None);
        assert_eq!(Caption::unknown_field("{"), Some(""));
    }

    /// The letters as drawn, `#` and space.
    fn drawn(words: &str, size: (usize, usize)) -> String {
        let label = Label::new(words, Corner::TopLeft, size, (16, 16)).unwrap();
        let [x, y, w, h] = label.area;
        let rows = (y..y + h).map(|y| {
            (x..x + w).map(|x| if label.luma(x, y) == INK { '#' } else { ' ' }).collect::<String>()
                + "\n"
        });
        rows.collect()
    }

    #[test]
    fn letters_grow_with_the_picture_and_all_of_a_long_text_is_there() {
        let height = |words: &str, size: (usize, usize)| {
            setting(words, size.0, size.1).map(|(f, l, k)| (f.height * k, l.len()))
        };
        assert_eq!(height("front 2026-07-16 12:00:00", (1920, 1080)), Some((32, 1)));
        assert_eq!(height("front 2026-07-16 12:00:00", (1280, 720)), Some((24, 1)));
        assert_eq!(height("front 2026-07-16 12:00:00", (640, 480)), Some((16, 1)));
        assert_eq!(height("front 2026-07-16 12:00:00", (320, 240)), Some((16, 1)));
        assert_eq!(height("front 2026-07-16 12:00:00", (3840, 2160)), Some((64, 1)));
        let long = "lake-house-north-side front 2026-07-16 12:00:00 CEST";
        assert_eq!(height(long, (320, 240)), Some((12, 1)));
        assert_eq!(height(long, (160, 120)), Some((12, 3)));
        let (_, lines, _) = setting(long, 160, 120).unwrap();
        assert_eq!(lines.join(" "), long, "broken between words");
        assert_eq!(height(long, (5, 120)), None);
    }

    #[test]
    fn what_the_font_lacks_is_a_question_mark_and_umlauts_are_none() {
        let size = (640, 480);
        assert_eq!(drawn("a\u{1F4F7}", size), drawn("a?", size));
        for c in ["ä", "ß", "É", "ł", "ő"] {
            assert_ne!(drawn(c, size), drawn("?", size), "{c}");
        }
        assert_ne!(drawn("0", size), drawn("8", size));
    }

    #[test]
    fn the_box_lies_in_its_corner_at_whole_mcus() {
        let at = |corner| Label::new("front", corner, (333, 201), (16, 8)).unwrap().area;
        assert_eq!(at(Corner::TopLeft), [0, 0, 48, 16]);
        assert_eq!(at(Corner::TopRight), [272, 0, 61, 16]);
        assert_eq!(at(Corner::BottomLeft), [0, 184, 48, 17]);
        assert_eq!(at(Corner::BottomRight), [272, 184, 61, 17]);
    }

    proptest! {
        #[test]
        fn any_text_on_any_picture_stays_within_it(
            text in "\\PC{0,80}", width in 1usize..400, height in 1usize..200, corner in 0usize..4,
            mcu in prop::sample::select(vec![(8, 8), (16, 8), (16, 16), (8, 16), (32, 8)]),
        ) {
            let corner = [Corner::TopLeft, Corner::TopRight, Corner::BottomLeft, Corner::BottomRight][corner];
            let Some(label) = Label::new(&text, corner, (width, height), mcu) else { return Ok(()) };
            let [x, y, w, h] = label.area;
            prop_assert!(x + w <= width && y + h <= height && w > 0 && h > 0);
            prop_assert!(x % mcu.0 == 0 && y % mcu.1 == 0);
            prop_assert!((x + w) % mcu.0 == 0 || x + w == width);
            prop_assert!((y + h) % mcu.1 == 0 || y + h == height);
            let all = label.ink.iter().filter(|on| **on).count();
            let shown = (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y)));
            prop_assert_eq!(shown.filter(|&(x, y)| label.luma(x, y) == INK).count(), all, "no letter is cut");
            let mut planes = Planes::default();
            planes.take(&picture(width as u32, height as u32), yuyv(width as u32, height as u32, 0)).unwrap();
            label.burn(&mut planes);
        }
    }
}
