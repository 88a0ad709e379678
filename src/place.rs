//! Where the device stands: its coordinates and its time zone.
//!
//! Made by `config`; hours go by it, and so do Exif's coordinates and the time burnt into pictures. Pure, but for [`Place::zone`], which may read the system's time zone data.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::WallTime;

/// Where the device stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its coordinates, where they are known.
    pub location: Option<Location>,
    /// Its time zone: what clock faces show there.
    pub zone: TimeZone,
}

impl Default for Place {
    /// Nowhere, by UTC.
    fn default() -> Self {
        Self { location: None, zone: TimeZone::UTC }
    }
}

/// Coordinates, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// Degrees, north positive, -90 to 90.
    pub latitude: f64,
    /// Degrees, east positive, -180 to 180.
    pub longitude: f64,
    /// Metres above sea level.
    pub altitude: Option<f64>,
}

impl Place {
    /// The time zone of this IANA name (`Europe/Berlin`), by the system's data; or of this POSIX rule
    /// (`CET-1CEST,M3.5.0,M10.5.0/3`), which needs none. Without either the system's, which is UTC where the
    /// system has none.
    ///
    /// # Errors
    /// It is neither, or the system does not know the name.
    pub fn zone(name: Option<&str>) -> Result<TimeZone, jiff::Error> {
        match name {
            Some(name) => TimeZone::get(name).or_else(|e| TimeZone::posix(name).map_err(|_| e)),
            None => Ok(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
        }
    }

    /// What calendar and clock face show there; `None` for times that no calendar has.
    #[must_use]
    pub fn civil(&self, wall: WallTime) -> Option<jiff::Zoned> {
        let at = Timestamp::from_millisecond(wall.0).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_needs_no_data_of_the_system() {
        let rule = Place::zone(Some("CET-1CEST,M3.5.0,M10.5.0/3")).unwrap();
        let place = Place { zone: rule, ..Place::default() };
        let at: Timestamp = "2026-07-10T11:00:00Z".parse().unwrap();
        let face = place.civil(WallTime(at.as_millisecond())).unwrap();
        assert_eq!(face.time().to_string(), "13:00:00");
    }

    #[test]
    fn summer_and_winter_show_on_the_clock_face() {
        let place = Place { zone: Place::zone(Some("Europe/Berlin")).unwrap(), ..Place::default() };
        let face = |wall: &str| {
            let at: Timestamp = wall.parse().unwrap();
            place.civil(WallTime(at.as_millisecond())).unwrap().to_string()
        };
        assert_eq!(face("2026-01-10T11:00:00Z"), "2026-01-10T12:00:00+01:00[Europe/Berlin]");
        assert_eq!(face("2026-07-10T11:00:00Z"), "2026-07-10T13:00:00+02:00[Europe/Berlin]");
    }

    #[test]
    fn a_zone_that_is_none_is_an_error() {
        assert!(Place::zone(Some("Europe/Atlantis")).is_err());
        assert!(Place::zone(Some("")).is_err());
        assert!(Place::zone(None).is_ok());
    }
}
