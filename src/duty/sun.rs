//! Sunrise and sunset.
//!
//! The sunrise equation (J. Meeus, *Astronomical Algorithms*, low accuracy; as the NOAA solar calculator has
//! it): the middle of the sun 0.833° below the horizon, which is its radius and what the air bends. Right to two
//! minutes between the polar circles; a mountain in the way is not in it.

use jiff::civil::Date;

use super::millis;
use crate::place::Place;

/// A day of the sun, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// When it rises.
    pub(super) rise: i64,
    /// When it sets.
    pub(super) set: i64,
}

/// Julian day of 1970-01-01T00:00Z, and of J2000.0.
const UNIX: f64 = 2_440_587.5;
const J2000: f64 = 2_451_545.0;
const DAY_MS: f64 = 86_400_000.0;
/// How far below the horizon the sun's middle is when its edge shows.
const HORIZON: f64 = -0.833;
/// The tilt of the Earth's axis.
const TILT: f64 = 23.4397;
/// Where in its orbit the Earth is nearest to the sun.
const PERIHELION: f64 = 102.9372;

/// The sun's day of this date on the clock face there; `None` without coordinates.
pub(super) fn day(date: Date, place: &Place) -> Option<Day> {
    let location = place.location?;
    let zone = || place.zone.clone();
    let noon = millis(&date.at(12, 0, 0, 0).to_zoned(zone()).ok()?) as f64 / DAY_MS + UNIX - J2000;
    let west = -location.longitude / 360.0;
    // Solar noon nearest to the clock's noon: zones lie up to hours beside their sun.
    let mean = (noon - west).round() + west;
    let anomaly = 357.5291 + 0.985_600_28 * mean;
    let sine = |degrees: f64| degrees.to_radians().sin();
    let centre = 1.9148 * sine(anomaly) + 0.02 * sine(2.0 * anomaly) + 0.0003 * sine(3.0 * anomaly);
    let longitude = anomaly + centre + 180.0 + PERIHELION;
    let transit = J2000 + mean + 0.0053 * sine(anomaly) - 0.0069 * sine(2.0 * longitude);
    let declination = (sine(longitude) * sine(TILT)).asin();
    let latitude = location.latitude.to_radians();
    let half =
        (sine(HORIZON) - latitude.sin() * declination.sin()) / (latitude.cos() * declination.cos());
    let unix = |julian: f64| ((julian - UNIX) * DAY_MS).round() as i64;
    if half >= 1.0 {
        let noon = unix(transit);
        return Some(Day { rise: noon, set: noon });
    }
    if half <= -1.0 {
        let midnight = |date: Date| Some(millis(&date.to_zoned(zone()).ok()?));
        return Some(Day { rise: midnight(date)?, set: midnight(date.tomorrow().ok()?)? });
    }
    let half = half.acos().to_degrees() / 360.0;
    Some(Day { rise: unix(transit - half), set: unix(transit + half) })
}
