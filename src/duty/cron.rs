//! Cron's five fields: minute, hour, day of the month, month, day of the week (crontab(5)).

use jiff::civil::Date;
use jiff::{Span, Zoned};

use super::millis;
use crate::clock::WallTime;
use crate::place::Place;

/// Days that are looked ahead.
const YEAR: usize = 366;

/// Minutes of the clock face, by cron's five fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// Bits of what each field allows.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The field was `*`: crontab(5) asks for either day where both are given, else for both.
    any_day: bool,
    any_weekday: bool,
    any_hour: bool,
}

struct Field {
    what: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { what: "minute", least: 0, most: 59, names: &[] },
    Field { what: "hour", least: 0, most: 23, names: &[] },
    Field { what: "day of the month", least: 1, most: 31, names: &[] },
    Field { what: "month", least: 1, most: 12, names: &MONTHS },
    Field { what: "day of the week", least: 0, most: 7, names: &WEEKDAYS },
];

impl Cron {
    /// Reads five fields.
    ///
    /// # Errors
    /// Which field is wrong, and what it may be.
    pub fn read(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(format!("cron has five fields, this has {}", words.len()));
        };
        let bits = |n: usize, word: &str| bits(&FIELDS[n], word);
        let weekdays = bits(4, weekday)?;
        Ok(Self {
            minutes: bits(0, minute)?,
            hours: bits(1, hour)?,
            days: bits(2, day)?,
            months: bits(3, month)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            any_day: day.starts_with('*'),
            any_weekday: weekday.starts_with('*'),
            any_hour: hour.starts_with('*'),
        })
    }

    /// Did one of its minutes begin after `last`, and by `now`? In milliseconds since 1970; the caller bounds what
    /// lies between.
    pub(super) fn came(&self, last: i64, now: i64, place: &Place) -> bool {
        (last.div_euclid(60_000) + 1..=now.div_euclid(60_000))
            .filter_map(|minute| place.civil(WallTime(minute.saturating_mul(60_000))))
            .any(|face| self.shows(&face))
    }

    /// The first of its minutes that begins after `now`, within a year.
    pub(super) fn next(&self, now: i64, place: &Place) -> Option<i64> {
        let days = place.civil(WallTime(now))?.date().series(Span::new().days(1));
        let midnight = |day: Date| Some(millis(&day.to_zoned(place.zone.clone()).ok()?));
        days.take(YEAR).filter(|day| self.on(*day)).find_map(|day| {
            let (from, until) = (midnight(day)?.max(now + 1), midnight(day.tomorrow().ok()?)?);
            (from.div_euclid(60_000)..=until.div_euclid(60_000))
                .map(|minute| minute * 60_000)
                .filter(|at| (from..until).contains(at))
                .find(|at| place.civil(WallTime(*at)).is_some_and(|face| self.shows(&face)))
        })
    }

    fn shows(&self, face: &Zoned) -> bool {
        has(self.minutes, face.minute())
            && has(self.hours, face.hour())
            && self.on(face.date())
            && (self.any_hour || !comes_again(face))
    }

    fn on(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let on_day = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        has(self.months, date.month()) && on_day
    }
}

fn has(bits: u64, n: i8) -> bool {
    bits & (1 << n) != 0
}

/// Has this clock face been shown before, an hour ago by summer time?
fn comes_again(face: &Zoned) -> bool {
    let first = face.datetime().to_zoned(face.time_zone().clone());
    first.is_ok_and(|first| first.timestamp() < face.timestamp())
}

/// The numbers that a field allows, one bit each: `*`, `5`, `1-5`, `mon-fri`, `*/15`, `8-18/2`, and lists of those.
fn bits(field: &Field, text: &str) -> Result<u64, String> {
    let wrong = || {
        let Field { what, least, most, names } = field;
        let names =
            names.first().map_or(String::new(), |first| format!(", or names such as `{first}`"));
        format!(
            "`{text}` is no {what}: write `*`, `*/5`, numbers from {least} to {most}{names}, `1-5`, or a list `1,3,5`"
        )
    };
    let number = |word: &str| {
        let named = field.names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let number = match named {
            Some(place) => {
                u8::try_from(place).ok()?.checked_add(u8::from(field.names.len() == 12))?
            }
            None if word.bytes().all(|b| b.is_ascii_digit()) => word.parse().ok()?,
            None => return None,
        };
        (field.least..=field.most).contains(&number).then_some(number)
    };
    let mut all = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<u8>().ok().filter(|&n| n > 0).ok_or_else(wrong)?)
            }
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (field.least, field.most),
            Some((first, last)) => {
                (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?)
            }
            None => {
                let one = number(range).ok_or_else(wrong)?;
                (one, if part.contains('/') { field.most } else { one })
            }
        };
        if first > last {
            return Err(wrong());
        }
        (first..=last).step_by(usize::from(step)).for_each(|n| all |= 1 << n);
    }
    Ok(all)
}
