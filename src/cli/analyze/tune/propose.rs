//! What a clip speaks for: changes that are worth a try. Pure.
//!
//! Each comes with the reason in words. None of them is advice yet: `advice` has the detector run again with
//! each, and keeps what held.
//!
//! What is proposed follows from telling events in which something went somewhere from those in which
//! nothing left its place ([`super::visits`]): a proposal lies between the two, and never nearer than
//! [`CARE`] to the events that went somewhere.

use std::time::Duration;

use super::super::super::status::count;
use super::change::{self, Change};
use super::log::{Event, Log};
use super::visits::{self, Area, Visit};
use crate::capture::WatchSettings;
use crate::firstpass::Sensitivity;
use crate::firstpass::similarity::Likeness;
use crate::firstpass::trigger::Keep;

/// How near to what is wanted a threshold may come, as a share of it.
const CARE: f64 = 0.5;
/// Longest `min_duration`: who walks by is in the picture for no longer.
const LONGEST: f64 = 2.0;
/// Largest `min_area` where the clip shows nothing that is wanted.
const LARGEST: f64 = 0.02;
/// So often must something come back to its place.
const AGAIN: usize = 3;
/// Largest zone, as a share of the frame, and how many are proposed at a time.
const LARGEST_ZONE: f32 = 0.15;
const ZONES: usize = 3;
/// A zone reaches so far beyond what was seen.
const MARGIN: f32 = 0.01;
/// A thing that went somewhere and had more of its way than this in a zone speaks against it.
const CROSSES: f32 = 0.3;

/// A change, and what in the clip speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal {
    pub(super) change: Change,
    pub(super) why: String,
}

/// All that is worth a try with these settings, of which the clip looks like this.
pub(super) fn all(log: &Log, settings: &WatchSettings) -> Vec<Proposal> {
    let Some((motion, events)) = &settings.motion else { return Vec::new() };
    let mut found = zones(&log.visits);
    found.extend(longer(log, events.min_duration));
    found.extend(larger(log, motion.min_area));
    let (now, staying) = (change::word(motion), log.figures().staying());
    let up = match now {
        Some(Sensitivity::Low) => Some(Sensitivity::Medium),
        Some(Sensitivity::Medium) => Some(Sensitivity::High),
        _ => None,
    };
    let down = match now {
        Some(Sensitivity::High) => Some(Sensitivity::Medium),
        Some(Sensitivity::Medium) => Some(Sensitivity::Low),
        _ => None,
    };
    found.extend(up.map(|word| Proposal {
        change: Change::Sensitivity(word),
        why: "things that go somewhere are missed: they are too small or too faint".to_owned(),
    }));
    found.extend(down.filter(|_| staying > 0).map(|word| Proposal {
        change: Change::Sensitivity(word),
        why: "what begins events without going anywhere is small or faint".to_owned(),
    }));
    let series = matches!(events.keep, Keep::Every(_) | Keep::All) || settings.interval.is_some();
    if settings.drop_similar.is_none() && series {
        found.push(Proposal {
            change: Change::DropSimilar(Likeness::Same),
            why: "many pictures show what the picture before them showed".to_owned(),
        });
    }
    found
}

/// `min_duration`, where events that go nowhere are shorter than all others.
fn longer(log: &Log, now: Duration) -> Option<Proposal> {
    let wanted = log.events.iter().filter(|e| e.goes).map(|e| e.run).fold(f64::MAX, f64::min);
    let most = (wanted * CARE).min(LONGEST);
    let short = |e: &&Event| !e.goes && e.run < most;
    let longest = log.events.iter().filter(short).map(|e| e.run).reduce(f64::max)?;
    let n = log.events.iter().filter(short).count();
    // In steps of 100 ms; just as long would not do.
    let ms = ((longest * 10.0 + 1e-6).floor() as u64 + 1) * 100;
    let time = Duration::from_millis(ms);
    let than = if wanted == f64::MAX {
        String::new()
    } else {
        format!("; whatever goes somewhere moves for at least {wanted:.1} s")
    };
    (time > now && time.as_secs_f64() <= most).then(|| Proposal {
        change: Change::MinDuration(time),
        why: format!(
            "{} came of something that moved for at most {longest:.1} s and went nowhere{than}",
            count(n as u64, "event")
        ),
    })
}

/// `min_area`, where events that go nowhere are smaller than all others.
fn larger(log: &Log, now: f32) -> Option<Proposal> {
    let peak = |e: &Event| f64::from(e.peak);
    let wanted = log.events.iter().filter(|e| e.goes).map(peak).fold(f64::MAX, f64::min);
    let most = (wanted * CARE).min(LARGEST);
    let small = |e: &&Event| !e.goes && peak(e) < most;
    let largest = log.events.iter().filter(small).map(peak).reduce(f64::max)?;
    let n = log.events.iter().filter(small).count();
    let share = rounded_up(largest * 1.1);
    let than = if wanted == f64::MAX {
        String::new()
    } else {
        format!("; whatever goes somewhere covers at least {}", percent(wanted))
    };
    (share > f64::from(now) && share <= most).then(|| Proposal {
        change: Change::MinArea(share as f32),
        why: format!(
            "{} came of something that covered at most {} of what is watched and went nowhere{than}",
            count(n as u64, "event"),
            percent(largest)
        ),
    })
}

/// Places to which something that goes nowhere comes again and again.
fn zones(visits: &[Visit]) -> Vec<Proposal> {
    let size = |a: Area| (a[2] - a[0]) * (a[3] - a[1]);
    let stays = |v: &&Visit| !v.goes && v.boxes.len() > 1 && size(v.area) <= LARGEST_ZONE;
    let mut places: Vec<(Area, usize)> = Vec::new();
    for visit in visits.iter().filter(stays) {
        let fits = |(area, _): &&mut (Area, usize)| {
            visits::touch(*area, visit.area)
                && size(visits::union(*area, visit.area)) <= LARGEST_ZONE
        };
        match places.iter_mut().find(fits) {
            Some((area, n)) => (*area, *n) = (visits::union(*area, visit.area), *n + 1),
            None => places.push((visit.area, 1)),
        }
    }
    places.retain(|(area, n)| {
        let crossed = visits.iter().any(|v| v.goes && v.share_in(*area) > CROSSES);
        *n >= AGAIN && !crossed
    });
    places.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    places
        .into_iter()
        .take(ZONES)
        .map(|(area, n)| Proposal {
            change: Change::Exclude(grown(area)),
            why: format!("something moves here again and again, {n} times, and goes nowhere"),
        })
        .collect()
}

/// With a margin, in hundredths of the frame.
fn grown([left, top, right, bottom]: Area) -> Area {
    let down = |v: f32| ((v - MARGIN) * 100.0).floor().max(0.0) / 100.0;
    let up = |v: f32| ((v + MARGIN) * 100.0).ceil().min(100.0) / 100.0;
    [down(left), down(top), up(right), up(bottom)]
}

/// Two digits that count, never less.
fn rounded_up(v: f64) -> f64 {
    if v <= 0.0 {
        return 0.0001;
    }
    let step = 10_f64.powf(v.log10().floor() - 1.0);
    // Through text: what is written in the configuration is what is tried.
    let text = format!("{:.6}", (v / step).ceil() * step);
    text.parse().unwrap_or(v)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::super::by_default as settings;
    use super::*;
    use crate::capture::WatchSettings;

    fn event(goes: bool, run: f64, peak: f32) -> Event {
        Event { goes, run, peak, ..Event::default() }
    }

    fn visit(goes: bool, from: f64, area: Area) -> Visit {
        Visit { from, to: from + 1.0, area, goes, boxes: vec![area; 3] }
    }

    fn changes(log: &Log, settings: &WatchSettings) -> Vec<Change> {
        all(log, settings).into_iter().map(|p| p.change).collect()
    }

    #[test]
    fn thresholds_lie_between_what_stays_and_what_goes_and_far_from_what_goes() {
        let short = event(false, 0.45, 0.004);
        let log = Log { events: vec![event(true, 4.0, 0.03), short.clone()], ..Log::default() };
        let found = changes(&log, &settings());
        assert!(found.contains(&Change::MinDuration(Duration::from_millis(500))), "{found:?}");
        assert!(found.contains(&Change::MinArea(0.0045)), "{found:?}");
        // A wanted event that is nearly as short and as small leaves no room.
        let log = Log { events: vec![event(true, 0.8, 0.006), short], ..Log::default() };
        let found = changes(&log, &settings());
        let near = |c: &Change| matches!(c, Change::MinDuration(_) | Change::MinArea(_));
        assert!(!found.iter().any(near), "{found:?}");
    }

    #[test]
    fn a_threshold_is_never_lowered() {
        let mut high = settings();
        if let Some((motion, events)) = &mut high.motion {
            (motion.min_area, events.min_duration) = (0.01, Duration::from_secs(1));
        }
        let log = Log { events: vec![event(false, 0.4, 0.004)], ..Log::default() };
        assert_eq!(changes(&log, &high), []);
    }

    #[test]
    fn a_place_that_is_come_back_to_is_a_zone_unless_somebody_walks_there() {
        let branch = [0.801, 0.101, 0.899, 0.199];
        let mut visits: Vec<_> = (0..3).map(|i| visit(false, f64::from(i) * 5.0, branch)).collect();
        visits.push(visit(false, 20.0, [0.1, 0.1, 0.2, 0.2]));
        let log = |visits: &[Visit]| Log { visits: visits.to_vec(), ..Log::default() };
        let zones = |visits: &[Visit]| {
            let found = changes(&log(visits), &settings()).into_iter();
            found.filter(|c| matches!(c, Change::Exclude(_))).collect::<Vec<_>>()
        };
        assert_eq!(zones(&visits), [Change::Exclude([0.79, 0.09, 0.91, 0.21])]);
        assert_eq!(zones(&visits[1..]), [], "twice is not again and again");
        visits.push(visit(true, 30.0, branch));
        assert_eq!(zones(&visits), [], "somebody walked there");
    }

    #[test]
    fn alike_pictures_are_a_matter_of_series_only() {
        let drops = |s: &WatchSettings| {
            changes(&Log::default(), s).contains(&Change::DropSimilar(Likeness::Same))
        };
        assert!(!drops(&settings()));
        let series = WatchSettings { interval: Some(Duration::from_secs(1)), ..settings() };
        assert!(drops(&series));
        assert!(!drops(&WatchSettings { drop_similar: Some(Likeness::Same), ..series }));
    }

    #[test]
    fn numbers_are_written_as_they_are_tried() {
        for (v, expected) in [(0.00341, 0.0035), (0.0012, 0.0012), (0.0199, 0.02), (0.0, 0.0001)] {
            assert_eq!(rounded_up(v), expected, "{v}");
        }
    }
}
