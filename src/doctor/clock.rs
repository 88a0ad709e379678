//! The clock: who vouches for it, and how far it is from the store's. Pure.

use std::time::Duration;

use super::report::{Check, Finding};
use crate::clock::{TrustPolicy, TrustSource, WallTime, build_time};
use crate::upload::classify::CLOCK_TOLERANCE;

/// What is known of the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The machine's clock.
    pub(super) machine: WallTime,
    /// Who vouches for it, the store included where it could be asked.
    pub(super) source: Option<TrustSource>,
    /// Whom the configuration believes.
    pub(super) policy: TrustPolicy,
    /// The store's time at the same moment.
    pub(super) store: Option<WallTime>,
}

const SET: &str = "Let the machine keep time: `timedatectl set-ntp true` with systemd-timesyncd, or chrony; \
                   without a network, a real-time clock.";

/// Judges.
pub(super) fn judge(known: Known) -> Finding {
    if let Some(store) = known.store.filter(|s| s.distance(known.machine) > CLOCK_TOLERANCE) {
        let way = if store < known.machine { "ahead of" } else { "behind" };
        let text =
            format!("the clock is {} {way} the store's", span(store.distance(known.machine)));
        let help = format!("{SET} Uploads go on meanwhile: they are signed by the store's time.");
        return Finding::wrong(Check::Clock, text, help);
    }
    if known.machine < build_time() {
        let text = "the clock is earlier than the day this program was built";
        return Finding::wrong(Check::Clock, text, SET);
    }
    let beside = match known.store {
        Some(_) => ", as the store's within two minutes",
        None => "",
    };
    match known.source {
        Some(source) => Finding::ok(Check::Clock, format!("trusted ({}){beside}", source.name())),
        None => {
            let policy = match known.policy {
                TrustPolicy::Kernel => " (`clock.trust` believes the kernel only)",
                TrustPolicy::Rtc => {
                    " (`clock.trust` believes a real-time clock or the kernel only)"
                }
                TrustPolicy::Store => " (`clock.trust` believes the store only)",
                _ => "",
            };
            let text = format!(
                "nobody vouches for the clock{policy}: pictures wait for the right time{beside}"
            );
            Finding::warning(Check::Clock, text, SET)
        }
    }
}

fn span(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..7200 => format!("{} min", s / 60),
        7200..172_800 => format!("{} h", s / 3600),
        _ => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn the_clock_is_judged_by_the_store_first_then_by_who_vouches() {
        let machine = WallTime(build_time().0 + 1_000_000);
        let known = Known { machine, source: None, policy: TrustPolicy::Auto, store: None };
        let at = |ms: i64| Known { store: Some(WallTime(machine.0 + ms)), ..known };
        for (known, state, part) in [
            (at(-86_400_000), State::Wrong, "24 h ahead of"),
            (at(30 * 86_400_000), State::Wrong, "30 days behind"),
            (at(119_000), State::Warning, "nobody vouches"),
            (
                Known { source: Some(TrustSource::Kernel), ..at(0) },
                State::Ok,
                "(kernel), as the store's",
            ),
            (Known { source: Some(TrustSource::Rtc), ..known }, State::Ok, "(rtc)"),
            (Known { machine: WallTime(0), ..known }, State::Wrong, "earlier than"),
            (Known { policy: TrustPolicy::Kernel, ..known }, State::Warning, "the kernel only"),
        ] {
            let found = judge(known);
            assert!(found.state == state && found.text.contains(part), "{found:?}");
        }
    }
}
