//! Duty: when a camera does what. Hours in which something holds, and moments at which a picture is due.
//!
//! Written by people as they would say it, read by `config`, asked by the camera thread and by privacy mode:
//!
//! ```text
//!  hours     "mon-fri 07:00 to 19:00"   "sat,sun"   "sunset-30m to sunrise+30m"      days? from to until
//!  moments   "mon-fri 08:00"   "sunrise+10m"                                           days? mark
//!            "*/15 8-18 * * mon-fri"                                                   cron: five fields
//! ```
//!
//! - All of it goes by the clock face at the device's [`Place`]; sun marks need its coordinates.
//! - Hours that end before they begin, or when they begin, end on the next day; their days are those on which
//!   they begin.
//! - A time that summer time skips is taken as much later (`02:30` is 03:30 on that day), one that comes twice
//!   counts the first time. Cron's fields are compared with the clock face: what is skipped does not come, and a
//!   minute that comes twice counts once, unless its hour is `*`.
//! - Where the sun does not set, the day lasts from midnight to midnight; where it does not rise, it has no
//!   length, at noon.
//!
//! Pure: the caller says what time it is, and only a caller that trusts its clock may ask.

mod cron;
mod parse;
mod sun;
#[cfg(test)]
mod tests;

use jiff::Zoned;
use jiff::civil::{Date, Weekday};

use crate::clock::WallTime;
use crate::place::Place;

pub use cron::Cron;

/// So far back a moment counts that fell where nobody looked: the camera was lost, or the device slept.
const LATE: i64 = 3_600_000;

/// Hours in which something holds: in any of its spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(Vec<Span>);

/// When no camera may be open, besides when somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivacySettings {
    /// Hours of privacy; `None`: none.
    pub hours: Option<Hours>,
    /// Take pictures while the clock is not trusted, though there are hours.
    pub capture_without_clock: bool,
}

/// One span of each of its days.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    days: Days,
    from: Mark,
    until: Mark,
}

/// Moments at which a picture is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moments(Vec<Moment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Moment {
    On(Days, Mark),
    Cron(Cron),
}

/// Days of the week, one bit each from Monday on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days(u8);

impl Days {
    const ALL: Self = Self(0x7f);

    fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

/// A point of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Minutes after midnight on the clock face, 0 to 1440.
    Clock(u16),
    /// Minutes after sunrise, negative before it.
    Sunrise(i16),
    /// Minutes after sunset.
    Sunset(i16),
}

impl Mark {
    fn is_sun(self) -> bool {
        !matches!(self, Self::Clock(_))
    }

    /// When that is on this day, in milliseconds since 1970; `None` where no calendar has it.
    fn on(self, date: Date, place: &Place) -> Option<i64> {
        let sun = |minutes: i16, pick: fn(sun::Day) -> i64| {
            let day = sun::day(date, place)?;
            Some(pick(day) + i64::from(minutes) * 60_000)
        };
        match self {
            Self::Clock(1440) => {
                Some(millis(&date.tomorrow().ok()?.to_zoned(place.zone.clone()).ok()?))
            }
            Self::Clock(minutes) => {
                let (hour, minute) = ((minutes / 60) as i8, (minutes % 60) as i8);
                Some(millis(&date.at(hour, minute, 0, 0).to_zoned(place.zone.clone()).ok()?))
            }
            Self::Sunrise(minutes) => sun(minutes, |day| day.rise),
            Self::Sunset(minutes) => sun(minutes, |day| day.set),
        }
    }
}

impl Span {
    /// The span that begins on this day, `from..until` in milliseconds since 1970.
    fn of(&self, date: Date, place: &Place) -> Option<std::ops::Range<i64>> {
        if !self.days.has(date.weekday()) {
            return None;
        }
        let from = self.from.on(date, place)?;
        let until = self.until.on(date, place)?;
        let over_night = match (self.from, self.until) {
            // The sun's day and night are what they are called, also where it does not rise or set.
            (Mark::Sunrise(_), Mark::Sunset(_)) => false,
            (Mark::Sunset(_), Mark::Sunrise(_)) => true,
            _ => until <= from,
        };
        let until = if over_night { self.until.on(date.tomorrow().ok()?, place)? } else { until };
        Some(from..until)
    }
}

impl Hours {
    /// Does it hold at this time there? Never, where it cannot be said: sun marks without coordinates.
    #[must_use]
    pub fn hold(&self, at: WallTime, place: &Place) -> bool {
        let Some(now) = place.civil(at) else { return false };
        let today = now.date();
        // A span may have begun the day before, and by the sun even one day more.
        let days = [Some(today), today.yesterday().ok(), today.tomorrow().ok()];
        days.into_iter().flatten().any(|day| {
            self.0.iter().any(|span| span.of(day, place).is_some_and(|span| span.contains(&at.0)))
        })
    }

    /// Does any of it go by the sun?
    #[must_use]
    pub fn needs_sun(&self) -> bool {
        self.0.iter().any(|span| span.from.is_sun() || span.until.is_sun())
    }

    /// Reads spans, one text each.
    ///
    /// # Errors
    /// Which text (counted from 0) is none, why, and what would be right.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, String)> {
        let spans =
            texts.into_iter().enumerate().map(|(n, text)| parse::span(text).map_err(|e| (n, e)));
        spans.collect::<Result<_, _>>().map(Self)
    }
}

impl Moments {
    /// Did a moment come after `last`, and by `now`? What came more than an hour before `now` does not count, and
    /// nothing does while the clock goes back.
    #[must_use]
    pub fn came(&self, last: WallTime, now: WallTime, place: &Place) -> bool {
        let last = last.0.max(now.0.saturating_sub(LATE));
        last < now.0 && self.0.iter().any(|moment| moment.came(last, now.0, place))
    }

    /// Does any of it go by the sun?
    #[must_use]
    pub fn needs_sun(&self) -> bool {
        self.0.iter().any(|moment| matches!(moment, Moment::On(_, mark) if mark.is_sun()))
    }

    /// The first that comes after `now`, within a year; `None` too where it cannot be said: sun marks without
    /// coordinates.
    #[must_use]
    pub fn next(&self, now: WallTime, place: &Place) -> Option<WallTime> {
        self.0.iter().filter_map(|moment| moment.next(now.0, place)).min().map(WallTime)
    }

    /// How many come in a week, of the week that begins at `from`; for what a configuration costs.
    #[must_use]
    pub fn in_a_week(&self, from: WallTime, place: &Place) -> u32 {
        let minutes = 0..7 * 24 * 60;
        let at = |minute: i64| WallTime(from.0.saturating_add(minute * 60_000));
        minutes.map(|m| u32::from(self.came(at(m), at(m + 1), place))).sum()
    }

    /// Reads moments, one text each.
    ///
    /// # Errors
    /// As [`Hours::read`].
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, String)> {
        let moments =
            texts.into_iter().enumerate().map(|(n, text)| parse::moment(text).map_err(|e| (n, e)));
        moments.collect::<Result<_, _>>().map(Self)
    }
}

impl Moment {
    fn came(&self, last: i64, now: i64, place: &Place) -> bool {
        match self {
            Self::Cron(cron) => cron.came(last, now, place),
            Self::On(days, mark) => {
                let Some(today) = place.civil(WallTime(now)).map(|now| now.date()) else {
                    return false;
                };
                let near = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
                near.into_iter()
                    .flatten()
                    .filter(|day| days.has(day.weekday()))
                    .any(|day| mark.on(day, place).is_some_and(|at| last < at && at <= now))
            }
        }
    }

    fn next(&self, now: i64, place: &Place) -> Option<i64> {
        match self {
            Self::Cron(cron) => cron.next(now, place),
            Self::On(days, mark) => {
                // The sun's marks may fall on the day before or after their own.
                let yesterday = place.civil(WallTime(now))?.date().yesterday().ok()?;
                yesterday
                    .series(jiff::Span::new().days(1))
                    .take(10)
                    .filter(|day| days.has(day.weekday()))
                    .filter_map(|day| mark.on(day, place))
                    .filter(|at| *at > now)
                    .min()
            }
        }
    }
}

fn millis(at: &Zoned) -> i64 {
    at.timestamp().as_millisecond()
}
