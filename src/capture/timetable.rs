//! What the clock asks of a camera now: is it motion's hour, which zones are on, is a picture due? Pure.
//!
//! Asked by the camera thread with every frame and answered anew once a second; by status and `check` as well,
//! which look ahead. The thread goes by the machine's own time since boot and not by the frames' stamps: those
//! come from drivers, may stand still or be from next year, and a camera that was lost has none.
//!
//! - Hours that go by a clock which is not trusted *hold*, so that a device that never learns the time rather
//!   takes a picture too many; moments do not come, and when the time becomes known nothing is made up for.
//! - A moment that fell where no frame came is taken with the first frame after it, up to an hour late
//!   ([`Moments::came`]). A clock that is set back by up to an hour makes no moment come twice.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootTime, WallTime};
use crate::duty::{Hours, Moments};
use crate::place::Place;

/// No schedule is finer than this.
const EVERY: Duration = Duration::from_secs(1);

/// A clock that is set back by more, in milliseconds, is another clock: its moments come, whatever came before.
const SET_BACK: i64 = 3_600_000;

/// What of a camera goes by the clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockSettings {
    /// Motion makes events in these hours only; `None`: always.
    pub motion: Option<Hours>,
    /// The hours of each zone that has some, in the order of [`crate::firstpass::Zone::active`].
    pub zones: Vec<Hours>,
    /// A picture is due at these moments.
    pub moments: Option<Moments>,
    /// Where the camera stands: whose clock and sun.
    pub place: Arc<Place>,
}

impl ClockSettings {
    /// Does anything go by the clock?
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.motion.is_some() || self.moments.is_some() || !self.zones.is_empty()
    }

    /// Does motion make events at this time? `None`: nobody knows the time.
    #[must_use]
    pub fn motion_holds(&self, wall: Option<WallTime>) -> bool {
        self.motion.as_ref().is_none_or(|hours| self.holds(hours, wall))
    }

    /// Of the zones that have hours, which are on at this time? `None`: nobody knows the time.
    #[must_use]
    pub fn zones_on(&self, wall: Option<WallTime>) -> Vec<bool> {
        self.zones.iter().map(|hours| self.holds(hours, wall)).collect()
    }

    /// The first moment after this time, within a year.
    #[must_use]
    pub fn next(&self, wall: WallTime) -> Option<WallTime> {
        self.moments.as_ref()?.next(wall, &self.place)
    }

    /// The same as RFC 3339, by the clock that hangs there.
    #[must_use]
    pub fn next_text(&self, wall: WallTime) -> Option<String> {
        let at = self.place.civil(self.next(wall)?)?;
        Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }

    fn holds(&self, hours: &Hours, wall: Option<WallTime>) -> bool {
        wall.is_none_or(|wall| hours.hold(wall, &self.place))
    }
}

/// What holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Motion makes events.
    pub motion: bool,
    /// Of each zone that has hours, whether it is on.
    pub zones: Vec<bool>,
    /// A moment came: told once.
    pub due: bool,
}

impl Default for Now {
    /// Where nothing goes by the clock.
    fn default() -> Self {
        Self { motion: true, zones: Vec::new(), due: false }
    }
}

/// One camera's timetable. It outlives a reopening of the camera.
#[derive(Debug)]
pub struct Timetable {
    settings: ClockSettings,
    now: Now,
    next: BootTime,
    /// The newest trusted time that moments were asked for.
    last: Option<WallTime>,
}

impl Timetable {
    /// One that was not asked yet: everything holds.
    #[must_use]
    pub fn new(settings: ClockSettings) -> Self {
        let now = Now { zones: settings.zones_on(None), ..Now::default() };
        Self { settings, now, next: BootTime(0), last: None }
    }

    /// What holds now; `clock` is asked, if need be, for the time since boot, and for the trusted time if there is
    /// one.
    pub fn now(&mut self, clock: impl FnOnce() -> (BootTime, Option<WallTime>)) -> &Now {
        self.now.due = false;
        if !self.settings.is_any() {
            return &self.now;
        }
        let (at, wall) = clock();
        if at < self.next {
            return &self.now;
        }
        self.next = at + EVERY;
        self.now.motion = self.settings.motion_holds(wall);
        self.now.zones = self.settings.zones_on(wall);
        if let Some(wall) = wall {
            self.now.due = self.came(wall);
        }
        &self.now
    }

    fn came(&mut self, wall: WallTime) -> bool {
        let Some(last) = self.last.replace(wall) else { return false };
        if wall < last && last.0.saturating_sub(wall.0) <= SET_BACK {
            self.last = Some(last);
            return false;
        }
        let ClockSettings { moments, place, .. } = &self.settings;
        moments.as_ref().is_some_and(|moments| moments.came(last, wall, place))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;

    use super::*;

    fn settings(motion: &[&str], zones: &[&str], moments: &[&str]) -> ClockSettings {
        let zone = Place::zone(Some("Europe/Berlin")).unwrap();
        let some = |texts: &[&str]| (!texts.is_empty()).then_some(());
        ClockSettings {
            motion: some(motion).map(|()| Hours::read(motion.iter().copied()).unwrap()),
            zones: zones.iter().map(|zone| Hours::read([*zone]).unwrap()).collect(),
            moments: some(moments).map(|()| Moments::read(moments.iter().copied()).unwrap()),
            place: Arc::new(Place { location: None, zone }),
        }
    }

    fn wall(text: &str) -> WallTime {
        let time = format!("{text}[Europe/Berlin]").parse::<Zoned>().unwrap();
        WallTime(time.timestamp().as_millisecond())
    }

    /// Asks at these seconds of a day: for motion, zones, and whether a picture is due.
    struct Clock {
        timetable: Timetable,
        boot: u64,
    }

    impl Clock {
        fn new(settings: ClockSettings) -> Self {
            Self { timetable: Timetable::new(settings), boot: 7_000_000_000 }
        }

        fn at(&mut self, time: Option<&str>) -> Now {
            self.boot += 1_000_000_000;
            let (boot, wall) = (BootTime(self.boot), time.map(wall));
            self.timetable.now(|| (boot, wall)).clone()
        }

        fn due(&mut self, time: &str) -> bool {
            self.at(Some(time)).due
        }
    }

    #[test]
    fn motion_and_zones_hold_in_their_hours() {
        let mut clock =
            Clock::new(settings(&["mon-fri 07:00 to 19:00"], &["22:00 to 06:00", "mon"], &[]));
        // 2026-11-23 is a Monday.
        for (time, motion, zones) in [
            ("2026-11-23T06:59:59", false, [false, true]),
            ("2026-11-23T07:00", true, [false, true]),
            ("2026-11-23T23:00", false, [true, true]),
            ("2026-11-24T05:59", false, [true, false]),
            ("2026-11-24T12:00", true, [false, false]),
        ] {
            let now = clock.at(Some(time));
            assert_eq!(
                (now.motion, &now.zones[..], now.due),
                (motion, &zones[..], false),
                "{time}"
            );
        }
    }

    #[test]
    fn what_goes_by_a_clock_that_nobody_trusts_holds_and_no_moment_comes() {
        let mut clock =
            Clock::new(settings(&["03:00 to 03:01"], &["mon 03:00 to 03:01"], &["* * * * *"]));
        for _ in 0..120 {
            let now = clock.at(None);
            assert_eq!((now.motion, &now.zones[..], now.due), (true, &[true][..], false));
        }
        // The time becomes known: hours go by it, and nothing is made up for.
        let now = clock.at(Some("2026-11-23T12:00:30"));
        assert_eq!((now.motion, &now.zones[..], now.due), (false, &[false][..], false));
        assert!(clock.due("2026-11-23T12:01"));
    }

    #[test]
    fn a_moment_is_told_once_and_late_where_no_frame_came() {
        let mut clock = Clock::new(settings(&[], &[], &["08:00", "16:00"]));
        assert!(!clock.due("2026-11-23T07:59:59"));
        assert!(clock.due("2026-11-23T08:00"));
        assert!(!clock.due("2026-11-23T08:00:01"));
        assert!(clock.due("2026-11-23T16:59"), "the camera was lost since 08:00");
        assert!(!clock.due("2026-11-23T17:00"));
        assert!(!clock.due("2026-11-24T09:01"), "more than an hour late");
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_makes_no_moment_come_twice() {
        let mut clock = Clock::new(settings(&[], &[], &["08:00"]));
        assert!(!clock.due("2026-11-23T07:59:59"));
        assert!(clock.due("2026-11-23T08:00:10"));
        for time in ["2026-11-23T07:59:50", "2026-11-23T08:00", "2026-11-23T08:00:11"] {
            assert!(!clock.due(time), "{time}");
        }
        assert!(!clock.due("2026-11-20T07:59:59"), "another clock");
        assert!(clock.due("2026-11-20T08:00"));
    }

    #[test]
    fn the_clock_is_looked_at_once_a_second_and_never_where_nothing_goes_by_it() {
        let mut idle = Timetable::new(settings(&[], &[], &[]));
        assert_eq!(idle.now(|| panic!("nobody needs it")), &Now::default());
        let mut timetable = Timetable::new(settings(&[], &["08:00 to 09:00"], &["08:00"]));
        let early = wall("2026-11-23T07:59:59");
        let late = wall("2026-11-23T08:00");
        assert_eq!(timetable.now(|| (BootTime(5), Some(early))).zones, [false]);
        assert_eq!(timetable.now(|| (BootTime(1_000_000_004), Some(late))).zones, [false]);
        let now = timetable.now(|| (BootTime(1_000_000_005), Some(late)));
        assert_eq!((&now.zones[..], now.due), (&[true][..], true));
        assert!(
            !timetable.now(|| (BootTime(1_000_000_006), Some(late))).due,
            "once, and not a second long"
        );
    }

    #[test]
    fn the_next_moment_is_the_first_of_all() {
        let next = |moments: &[&str], from: &str| settings(&[], &[], moments).next(wall(from));
        let monday = "2026-11-23T08:00";
        assert_eq!(next(&["mon 08:00", "sun 09:30"], monday), Some(wall("2026-11-29T09:30")));
        assert_eq!(next(&["mon 08:00"], monday), Some(wall("2026-11-30T08:00")));
        assert_eq!(
            next(&["*/15 8-18 * * mon-fri"], "2026-11-27T18:45"),
            Some(wall("2026-11-30T08:00"))
        );
        assert_eq!(next(&["0 12 29 2 *"], monday), None, "no such day within a year");
        assert_eq!(next(&["0 12 24 dec *"], monday), Some(wall("2026-12-24T12:00")));
        let text = settings(&[], &[], &["20:15"]).next_text(wall("2026-07-01T20:15"));
        assert_eq!(text.as_deref(), Some("2026-07-02T20:15:00+02:00"));
        assert_eq!(next(&["sunrise"], monday), None, "nobody knows where");
        assert_eq!(next(&[], monday), None);
    }
}
