use jiff::tz::TimeZone;

use super::*;
use crate::place::Location;

fn place(zone: &str, latitude: f64, longitude: f64) -> Place {
    let location = Some(Location { latitude, longitude, altitude: None });
    Place { location, zone: TimeZone::get(zone).unwrap() }
}

fn berlin() -> Place {
    place("Europe/Berlin", 52.52, 13.405)
}

fn at(text: &str) -> WallTime {
    WallTime(text.parse::<Zoned>().unwrap().timestamp().as_millisecond())
}

/// A time in Berlin.
fn b(text: &str) -> WallTime {
    at(&format!("{text}[Europe/Berlin]"))
}

fn hours(text: &str) -> Hours {
    Hours::read([text]).unwrap()
}

fn hold(text: &str, times: &[&str]) -> Vec<bool> {
    let (hours, place) = (hours(text), berlin());
    times.iter().map(|time| hours.hold(b(time), &place)).collect()
}

#[test]
fn office_hours_hold_on_their_days_from_their_first_to_before_their_last_minute() {
    // 2026-11-23 is a Monday.
    let times = [
        "2026-11-23T06:59:59",
        "2026-11-23T07:00",
        "2026-11-23T18:59:59",
        "2026-11-23T19:00",
        "2026-11-27T12:00",
        "2026-11-28T12:00",
        "2026-11-29T12:00",
    ];
    let expected = [false, true, true, false, true, false, false];
    assert_eq!(hold("mon-fri 07:00 to 19:00", &times), expected);
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let times = ["2026-11-27T23:00", "2026-11-28T05:59", "2026-11-28T06:00", "2026-11-28T23:00"];
    assert_eq!(hold("fri 22:00 to 06:00", &times), [true, true, false, false]);
    assert_eq!(hold("fri-mon", &["2026-11-23T00:00", "2026-11-24T00:00"]), [true, false]);
    assert_eq!(hold("sat,sun", &["2026-11-27T23:59", "2026-11-28T00:00"]), [false, true]);
    assert_eq!(hold("08:00 to 08:00", &["2026-11-27T07:00", "2026-11-27T08:00"]), [true, true]);
}

#[test]
fn on_the_days_when_clocks_change_hours_end_when_the_clock_face_says_so() {
    // Back by an hour at 03:00 on 2026-10-25: 02:30 comes twice, and the first ends it.
    let place = berlin();
    let until = hours("00:00 to 02:30");
    assert!(until.hold(at("2026-10-25T02:29:00+02:00[Europe/Berlin]"), &place));
    assert!(!until.hold(at("2026-10-25T02:29:00+01:00[Europe/Berlin]"), &place));
    // Forward at 02:00 on 2026-03-29: 02:30 is not there, and becomes 03:30.
    assert_eq!(hold("00:00 to 02:30", &["2026-03-29T03:29", "2026-03-29T03:30"]), [true, false]);
}

#[test]
fn the_sun_rises_and_sets_where_almanacs_say_so() {
    let almanac = [
        ("Europe/Berlin", 52.52, 13.405, "2026-06-21", "04:43", "21:33"),
        ("Europe/London", 51.5074, -0.1278, "2026-12-21", "08:04", "15:54"),
        ("America/New_York", 40.7128, -74.006, "2026-03-20", "06:59", "19:08"),
        ("Australia/Sydney", -33.8688, 151.2093, "2026-01-01", "05:48", "20:09"),
        ("Asia/Shanghai", 31.2304, 121.4737, "2026-09-23", "05:45", "17:51"),
        ("Pacific/Auckland", -36.8485, 174.7633, "2026-06-21", "07:33", "17:11"),
    ];
    for (zone, latitude, longitude, date, rise, set) in almanac {
        let place = place(zone, latitude, longitude);
        let day = sun::day(date.parse().unwrap(), &place).unwrap();
        for (what, ours, theirs) in [("rise", day.rise, rise), ("set", day.set, set)] {
            let theirs = at(&format!("{date}T{theirs}[{zone}]"));
            let off = (ours - theirs.0) as f64 / 60_000.0;
            assert!(off.abs() <= 2.5, "{zone} {what}: {off} minutes off");
        }
    }
}

#[test]
fn beyond_the_polar_circle_days_have_all_of_it_or_nothing() {
    let tromso = place("Europe/Oslo", 69.65, 18.96);
    let day = hours("sunrise to sunset");
    let night = hours("sunset to sunrise");
    let (shorter, longer) = (hours("sunrise+1h to sunset-1h"), hours("sunset-1h to sunrise+1h"));
    for hour in 0..24 {
        let summer = at(&format!("2026-06-21T{hour:02}:30[Europe/Oslo]"));
        let winter = at(&format!("2026-12-21T{hour:02}:30[Europe/Oslo]"));
        assert!(day.hold(summer, &tromso) && !night.hold(summer, &tromso), "summer {hour}");
        assert!(!day.hold(winter, &tromso) && night.hold(winter, &tromso), "winter {hour}");
        assert!(!shorter.hold(winter, &tromso) && longer.hold(winter, &tromso), "winter {hour}");
    }
}

#[test]
fn day_and_night_by_the_sun_share_every_minute_of_the_year() {
    for place in
        [berlin(), place("Pacific/Kiritimati", 1.87, -157.4), place("America/Nome", 64.5, -165.4)]
    {
        let (day, night) = (hours("sunrise to sunset"), hours("sunset to sunrise"));
        let mut time = at("2026-01-01T00:00:17[UTC]").0;
        for _ in 0..365 * 24 {
            let (d, n) = (day.hold(WallTime(time), &place), night.hold(WallTime(time), &place));
            assert!(d != n, "{place:?}: {time}, day {d}, night {n}");
            time += 3_600_000;
        }
    }
}

#[test]
fn by_the_sun_needs_coordinates_and_holds_never_without() {
    let nowhere = Place { location: None, ..berlin() };
    assert!(hours("sunrise to sunset").needs_sun() && !hours("mon").needs_sun());
    assert!(!hours("sunrise to sunset").hold(b("2026-06-21T12:00"), &nowhere));
    assert!(Moments::read(["sunset-1h"]).unwrap().needs_sun());
}

fn came(text: &str, last: &str, now: &str) -> bool {
    Moments::read([text]).unwrap().came(b(last), b(now), &berlin())
}

#[test]
fn a_moment_comes_once_and_up_to_an_hour_late() {
    assert!(came("08:00", "2026-11-23T07:59:59", "2026-11-23T08:00"));
    assert!(!came("08:00", "2026-11-23T08:00", "2026-11-23T08:00:01"));
    assert!(came("08:00", "2026-11-23T03:00", "2026-11-23T08:59"));
    assert!(!came("08:00", "2026-11-23T03:00", "2026-11-23T09:01"));
    assert!(!came("08:00", "2026-11-23T08:30", "2026-11-23T07:30"), "the clock went back");
    assert!(!came("sat 08:00", "2026-11-23T07:00", "2026-11-23T08:00"));
    assert!(came("24:00", "2026-11-23T23:59", "2026-11-24T00:00"));
    assert!(came("sunset-10m", "2026-11-23T15:40", "2026-11-23T16:00"));
}

#[test]
fn cron_is_cron() {
    let quarter = "*/15 8-18 * * mon-fri";
    assert!(came(quarter, "2026-11-23T08:14", "2026-11-23T08:15"));
    assert!(!came(quarter, "2026-11-23T08:15", "2026-11-23T08:29:59"));
    assert!(!came(quarter, "2026-11-23T19:00", "2026-11-23T19:59"));
    assert!(!came(quarter, "2026-11-28T09:00", "2026-11-28T09:59"));
    // Both days given: either does. 2026-12-01 is a Tuesday, 2026-12-04 a Friday.
    for (day, expected) in [("01", true), ("02", false), ("04", true)] {
        let (last, now) = (format!("2026-12-{day}T11:59"), format!("2026-12-{day}T12:00"));
        assert_eq!(came("0 12 1 dec fri", &last, &now), expected, "{day}");
    }
    assert!(came("0 0 * * 7", "2026-11-28T23:59", "2026-11-29T00:00"), "7 is Sunday");
    let week = |text| Moments::read([text]).unwrap().in_a_week(b("2026-11-23T00:00"), &berlin());
    assert_eq!((week(quarter), week("mon-fri 08:00"), week("5/20 * * * *")), (220, 5, 504));
}

#[test]
fn the_next_moment_is_the_one_that_comes() {
    // Over the day on which clocks go back, and the one on which they go forward, to the minute.
    for begins in ["2026-10-24T20:17:30", "2026-03-28T20:17:30"] {
        for text in
            ["30 2 * * *", "30 * * * *", "02:30", "sunset+20m", "*/7 1-4 * * sun", "sun 24:00"]
        {
            let (moments, place) = (Moments::read([text]).unwrap(), berlin());
            let from = b(begins);
            let minute = |m: i64| WallTime((from.0 / 60_000 + m) * 60_000);
            let came = (1..2 * 24 * 60).find(|&m| moments.came(minute(m - 1), minute(m), &place));
            let next = moments.next(from, &place).unwrap();
            match came {
                Some(m) => {
                    assert!(minute(m - 1) < next && next <= minute(m), "{begins} {text}: {next:?}")
                }
                None => assert!(next > minute(2 * 24 * 60 - 1), "{begins} {text}: {next:?}"),
            }
        }
    }
}

#[test]
fn a_minute_that_comes_twice_counts_once_unless_every_hour_does() {
    let (place, night) = (berlin(), b("2026-10-25T00:00"));
    let count = |text| {
        let moments = Moments::read([text]).unwrap();
        (0..360)
            .filter(|m| {
                moments.came(
                    WallTime(night.0 + m * 60_000),
                    WallTime(night.0 + (m + 1) * 60_000),
                    &place,
                )
            })
            .count()
    };
    assert_eq!((count("30 2 * * *"), count("30 * * * *"), count("02:30")), (1, 6, 1));
}

#[test]
fn what_cannot_be_meant_is_told_with_what_would_be_right() {
    for text in [
        "",
        "8",
        "08:60",
        "24:01",
        "7:5",
        "mon-fri 7:00",
        "noon to 12:00",
        "sunset-13h to 08:00",
        "mun 08:00 to 09:00",
        "08:00 to",
        "08:00-09:00",
        "sunrise5m to 9:00",
    ] {
        let (n, why) = Hours::read(["mon", text]).unwrap_err();
        assert!(n == 1 && why.contains("write `mon-fri 07:00 to 19:00`"), "{text}: {why}");
    }
    for (text, said) in [
        ("61 * * * *", "`61` is no minute"),
        ("* * * *", "five fields, this has 4"),
        ("*/0 * * * *", "is no minute"),
        ("* 9-8 * * *", "is no hour"),
        ("* * * foo *", "is no month"),
        ("* * * * mon-", "is no day of the week"),
        ("mon", "says no time"),
        ("+5 * * * *", "is no minute"),
    ] {
        let (_, why) = Moments::read([text]).unwrap_err();
        assert!(why.contains(said) && why.contains("`mon-fri 08:00`"), "{text}: {why}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_and_no_time_panics(text in ".{0,40}", wall: i64, last: i64) {
        let place = berlin();
        for text in [text.as_str(), "* * * * *", "sunrise to sunset", "fri 24:00", "mon 24:00 to 00:00"] {
            if let Ok(hours) = Hours::read([text]) {
                std::hint::black_box(hours.hold(WallTime(wall), &place));
            }
            if let Ok(moments) = Moments::read([text]) {
                assert!(last < wall || !moments.came(WallTime(last), WallTime(wall), &place));
                assert!(moments.next(WallTime(wall), &place).is_none_or(|next| next.0 > wall));
            }
        }
    }
}
