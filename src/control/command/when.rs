//! A command's life: from when, for how long, and what is left of it.

use std::time::Duration;

use super::words::quote;
use super::{Code, Rejection};
use crate::clock::WallTime;
use crate::contract::command::rfc3339;

/// Longest time to live in seconds.
pub(super) const MAX_TTL_S: u32 = 86_400;

/// Time to live of a command that says none, in seconds.
pub(super) const TTL_S: u32 = 60;

/// How far a requester's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(300);

/// Longest time that is read.
const LONGEST: usize = 40;

/// When a command was issued, and how long it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    issued: Option<WallTime>,
    ttl: Duration,
}

impl Life {
    /// Reads both fields.
    pub(super) fn new(issued_at: Option<&str>, ttl_s: Option<u32>) -> Result<Self, Rejection> {
        let ttl_s = ttl_s.unwrap_or(TTL_S);
        if !(1..=MAX_TTL_S).contains(&ttl_s) {
            let text = format!("ttl_s is {ttl_s}; it must be 1 to {MAX_TTL_S} seconds");
            return Err(Rejection::new(Code::BadValue, text));
        }
        let issued = issued_at.map(wall).transpose()?;
        Ok(Self { issued, ttl: Duration::from_secs(ttl_s.into()) })
    }

    /// What is left at `now`. Without a trusted clock, or without a time of issue, a command lives from
    /// its arrival on.
    pub(super) fn left(self, now: Option<WallTime>) -> Result<Duration, Rejection> {
        let (Some(issued), Some(now)) = (self.issued, now) else { return Ok(self.ttl) };
        let age = now.distance(issued);
        if issued > now {
            return if age > AHEAD { Err(early(issued, now)) } else { Ok(self.ttl) };
        }
        self.ttl.checked_sub(age).ok_or_else(|| {
            let over = (age - self.ttl).as_secs();
            let text = format!("its time to live was over {over} s before it came; send a new one");
            Rejection::new(Code::Expired, text)
        })
    }
}

fn early(issued: WallTime, now: WallTime) -> Rejection {
    let words = |wall| rfc3339(wall).unwrap_or_else(|| "an unknown time".into());
    let (issued, now) = (words(issued), words(now));
    Rejection::new(
        Code::NotYetValid,
        format!("issued_at is {issued}, and here it is {now}: set the requester's clock"),
    )
}

fn wall(text: &str) -> Result<WallTime, Rejection> {
    let stamp = (text.len() <= LONGEST).then(|| text.parse::<jiff::Timestamp>().ok()).flatten();
    stamp.map(|stamp| WallTime(stamp.as_millisecond())).ok_or_else(|| {
        let text = quote(text);
        let right = "it must be RFC 3339, as in 2026-11-22T10:15:30Z";
        Rejection::new(Code::BadValue, format!("issued_at is {text}; {right}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-22T10:15:30Z.
    const NOW: WallTime = WallTime(1_795_342_530_000);

    fn left(
        issued_at: Option<&str>,
        ttl_s: Option<u32>,
        now: Option<WallTime>,
    ) -> Result<u64, Code> {
        let life = Life::new(issued_at, ttl_s).map_err(|r| r.code)?;
        life.left(now).map(|left| left.as_secs()).map_err(|r| r.code)
    }

    #[test]
    fn a_life_ends_by_a_trusted_clock_only() {
        let issued = Some("2026-11-22T10:15:00Z");
        assert_eq!(left(issued, None, Some(NOW)), Ok(30));
        assert_eq!(left(issued, Some(30), Some(NOW)), Ok(0), "its last moment");
        assert_eq!(left(issued, Some(29), Some(NOW)), Err(Code::Expired));
        assert_eq!(left(issued, Some(29), None), Ok(29), "an untrusted clock judges nobody");
        assert_eq!(left(None, Some(29), Some(NOW)), Ok(29));
    }

    #[test]
    fn a_requesters_clock_may_be_five_minutes_ahead() {
        assert_eq!(left(Some("2026-11-22T10:20:30Z"), None, Some(NOW)), Ok(60));
        let late = Some("2026-11-22T10:20:30.001Z");
        assert_eq!(left(late, None, Some(NOW)), Err(Code::NotYetValid));
        assert_eq!(left(late, None, None), Ok(60));
    }

    #[test]
    fn times_are_rfc_3339_and_lives_a_second_to_a_day() {
        assert_eq!(left(Some("2026-11-22T12:15:00+02:00"), None, Some(NOW)), Ok(30));
        for wrong in ["", "now", "2026-11-22", "2026-11-22T10:15:30", "1795342530", "9"] {
            assert_eq!(left(Some(wrong), None, None), Err(Code::BadValue), "{wrong}");
        }
        for (ttl, right) in [(0, false), (1, true), (86_400, true), (86_401, false)] {
            assert_eq!(left(None, Some(ttl), None).is_ok(), right, "{ttl}");
        }
    }

    proptest! {
        #[test]
        fn no_time_overflows(
            issued in prop_oneof!["[0-9T:Z+.-]{0,45}", "-?[0-9]{4,6}-1[0-2]-0[1-9]T00:00:00Z"],
            ttl in any::<u32>(),
            now in any::<i64>(),
        ) {
            if let Ok(left) = left(Some(&issued), Some(ttl), Some(WallTime(now))) {
                prop_assert!(left <= u64::from(ttl));
            }
        }
    }
}
