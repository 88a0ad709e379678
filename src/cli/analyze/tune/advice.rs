//! Suggestions that held: each was tried on the clip, and what became of every event is told. Pure; whoever
//! calls runs the detector.
//!
//! Rounds: the clip is watched with each proposal beside those already taken; the best that holds is taken,
//! and the next round begins with what it left. A change *holds* when no event in which something went
//! somewhere is lost, and either events that went nowhere go, or events that go somewhere come, or many fewer
//! pictures show what was shown before. Nothing is advised that was not tried.

use serde::Serialize;

use super::super::super::status::count;
use super::change::{self, Change};
use super::log::{Event, Figures, Log};
use super::propose::{self, Proposal};
use crate::capture::WatchSettings;

/// Most rounds, and so most changes.
const ROUNDS: usize = 5;
/// Where the clip shows nothing that is wanted, one event says too little.
const ENOUGH: usize = 2;
/// `drop_similar` is worth its setting from this share of pictures on, and this many.
const SHARE: f64 = 0.2;
const PICTURES: usize = 3;

/// One suggestion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Suggestion {
    /// The setting as it is written in the configuration.
    pub(super) setting: String,
    /// What in the clip speaks for it.
    pub(super) why: String,
    /// With all suggestions before this one.
    pub(super) before: Figures,
    /// With this one too.
    pub(super) after: Figures,
    /// Begin of events that it takes away, in seconds; nothing went anywhere in them.
    pub(super) gone: Vec<f64>,
    /// Begin of events that it brings.
    pub(super) new: Vec<f64>,
}

/// What a clip says about a camera's settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::cli::analyze) struct Advice {
    /// As it is now.
    pub(super) now: Figures,
    /// With all suggestions.
    pub(super) then: Figures,
    pub(super) suggestions: Vec<Suggestion>,
    /// The changes that they make.
    #[serde(skip)]
    pub(super) changes: Vec<Change>,
    /// All of them as a drop-in; empty when nothing is to be changed.
    pub(super) toml: String,
    /// What else is to be known.
    pub(super) remarks: Vec<String>,
}

/// Tries what the clip speaks for. `watch` runs the detector over the clip with each of some settings.
///
/// # Errors
/// Those of `watch`.
pub(super) fn give<E>(
    camera: &str,
    log: &Log,
    settings: &WatchSettings,
    mut watch: impl FnMut(&[WatchSettings]) -> Result<Vec<Log>, E>,
) -> Result<Advice, E> {
    let (mut suggestions, mut taken) = (Vec::new(), Vec::new());
    let (mut with, mut seen) = (settings.clone(), std::borrow::Cow::Borrowed(log));
    for _ in 0..ROUNDS {
        let proposals = propose::all(&seen, &with);
        let changed = |p: &Proposal| {
            let mut changed = with.clone();
            p.change.apply(&mut changed);
            changed
        };
        let trials: Vec<_> = proposals.iter().map(changed).collect();
        if trials.is_empty() {
            break;
        }
        let results = watch(&trials)?;
        let all = proposals.into_iter().zip(trials).zip(results);
        let held = all.filter_map(|((proposal, trial), after)| {
            let gain = gain(&seen, &after)?;
            Some((gain, proposal, trial, after))
        });
        let best = held.max_by_key(|(gain, p, ..)| (*gain, std::cmp::Reverse(p.change.weight())));
        let Some((_, proposal, trial, after)) = best else { break };
        suggestions.push(Suggestion {
            setting: proposal.change.line(),
            why: proposal.why,
            before: seen.figures(),
            after: after.figures(),
            gone: missing(&seen.events, &after.events).map(|e| e.began).collect(),
            new: missing(&after.events, &seen.events).map(|e| e.began).collect(),
        });
        replace(&mut taken, proposal.change);
        (with, seen) = (trial, std::borrow::Cow::Owned(after));
    }
    let toml =
        if taken.is_empty() { String::new() } else { change::drop_in(camera, settings, &taken) };
    let (now, then) = (log.figures(), seen.figures());
    Ok(Advice { now, then, suggestions, changes: taken, toml, remarks: remarks(log, settings) })
}

/// A later change of the same setting takes the place of an earlier one; zones add up.
fn replace(taken: &mut Vec<Change>, change: Change) {
    let same = |other: &Change| std::mem::discriminant(other) == std::mem::discriminant(&change);
    if !matches!(change, Change::Exclude(_)) {
        taken.retain(|other| !same(other));
    }
    taken.push(change);
}

/// How much better it is: events that are rightly gone or come, else the pictures that are spared. `None`
/// where it does not hold.
fn gain(before: &Log, after: &Log) -> Option<(usize, usize)> {
    let (old, new) = (before.figures(), after.figures());
    let gone: Vec<_> = missing(&before.events, &after.events).collect();
    let come: Vec<_> = missing(&after.events, &before.events).collect();
    if gone.iter().any(|e| e.goes) {
        return None;
    }
    let found = come.iter().filter(|e| e.goes).count();
    let noise = come.len() - found;
    let enough = if old.going > 0 { 1 } else { ENOUGH };
    if gone.len() >= enough && noise == 0 && new.staying() < old.staying() {
        return Some((gone.len() + found, 0));
    }
    if found > 0 && found > noise {
        return Some((found - noise, 0));
    }
    let spared = old.pictures.saturating_sub(new.pictures);
    let many = spared >= PICTURES && spared as f64 >= SHARE * old.pictures as f64;
    (many && gone.is_empty() && come.is_empty()).then_some((0, spared))
}

/// Events of `these` at whose time `others` has none.
fn missing<'a>(these: &'a [Event], others: &'a [Event]) -> impl Iterator<Item = &'a Event> {
    let meets = |a: &Event, b: &Event| a.since <= b.last && b.since <= a.last;
    these.iter().filter(move |e| !others.iter().any(|other| meets(e, other)))
}

/// What no setting helps against, and what the clip cannot tell.
fn remarks(log: &Log, settings: &WatchSettings) -> Vec<String> {
    let mut told = Vec::new();
    let figures = log.figures();
    if settings.motion.is_none() {
        told.push("Motion detection is off for this camera, so there is nothing to tune.".into());
    } else if figures.going == 0 {
        told.push(
            "Nothing in this clip goes from one place to another. Record one in which somebody walks where you \
             want to be told: without it no suggestion knows what has to be found."
                .into(),
        );
    }
    if figures.staying() > 0 {
        told.push(format!(
            "In {} nothing left its place: a branch, a screen, a flag, or somebody who stands and works. Look \
             at the pictures: only you know which.",
            count(figures.staying() as u64, "event")
        ));
    }
    for condition in crate::firstpass::Condition::ALL {
        let has = log.moments.iter().filter(|m| m.conditions.contains(condition)).count();
        if has > 0 {
            let share = has as f64 / log.moments.len().max(1) as f64;
            told.push(format!(
                "The picture is {} in {:.0} % of the clip: see to the camera before its settings.",
                condition.name(),
                (share * 100.0).max(1.0)
            ));
        }
    }
    if log.length() < 60.0 {
        told.push(format!(
            "The clip is {:.0} s long. Some minutes at the busiest time, in wind, and at night say more.",
            log.length()
        ));
    }
    if log.left_out > 0 {
        told.push(format!(
            "Only the first {} were looked at for this; {} were left out.",
            count(log.moments.len() as u64, "frame"),
            log.left_out
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::super::by_default as settings;
    use super::*;
    use crate::firstpass::Sensitivity;

    fn event(began: f64, goes: bool) -> Event {
        let (since, last, run) = (began, began + 0.3, if goes { 5.0 } else { 0.3 });
        Event { since, began, last, goes, run, peak: 0.02, ..Event::default() }
    }

    fn log(events: &[(f64, bool)]) -> Log {
        Log { events: events.iter().map(|e| event(e.0, e.1)).collect(), ..Log::default() }
    }

    /// A detector that finds `else_` but with `min_duration` as proposed, where it finds `longer`.
    fn advice(now: &[(f64, bool)], longer: &[(f64, bool)], else_: &[(f64, bool)]) -> Advice {
        let plain = settings().motion.map(|(_, events)| events.min_duration);
        let mut rounds = 0;
        give("yard", &log(now), &settings(), |trials| {
            rounds += 1;
            assert!(rounds <= ROUNDS && !trials.is_empty());
            let of = |s: &WatchSettings| {
                let is_longer = s.motion.as_ref().map(|(_, events)| events.min_duration) != plain;
                log(if is_longer { longer } else { else_ })
            };
            Ok::<_, Infallible>(trials.iter().map(of).collect())
        })
        .unwrap()
    }

    #[test]
    fn what_rids_of_events_that_go_nowhere_is_suggested_with_what_it_does() {
        let now = [(10.0, true), (20.0, false), (30.0, false)];
        let told = advice(&now, &now[..1], &now);
        assert_eq!(told.suggestions.len(), 1, "{told:?}");
        let first = &told.suggestions[0];
        assert_eq!(first.setting, "min_duration = \"400ms\"");
        assert_eq!((first.before.events, first.after.events), (3, 1));
        assert_eq!((first.gone.as_slice(), first.new.len()), (&[20.0, 30.0][..], 0));
        assert_eq!((told.now.events, told.then.events), (3, 1));
        assert_eq!(told.toml, "[camera.yard.motion]\nmin_duration = \"400ms\"");
    }

    #[test]
    fn what_loses_an_event_that_goes_somewhere_is_not_suggested() {
        let now = [(10.0, true), (20.0, false), (30.0, false), (40.0, true)];
        let told = advice(&now, &now[..1], &now);
        assert_eq!((told.suggestions.len(), told.toml.as_str()), (0, ""), "{told:?}");
        assert_eq!(told.now, told.then);
    }

    #[test]
    fn what_brings_as_much_noise_as_it_finds_is_not_suggested() {
        let (now, both) = ([(10.0, true)], [(10.0, true), (20.0, true), (30.0, false)]);
        assert_eq!(advice(&now, &now, &both).suggestions.len(), 0);
        let told = advice(&now, &now, &both[..2]);
        assert_eq!(told.suggestions[0].setting, "sensitivity = \"high\"");
        assert_eq!(told.suggestions[0].new, [20.0]);
    }

    #[test]
    fn one_event_alone_says_too_little_where_nothing_goes_anywhere() {
        let now = [(10.0, false), (20.0, false)];
        assert_eq!(advice(&now[..1], &[], &now[..1]).suggestions.len(), 0);
        assert_eq!(advice(&now, &[], &now).suggestions.len(), 1);
    }

    #[test]
    fn a_later_change_of_a_setting_takes_the_place_of_the_earlier_one() {
        let mut taken = Vec::new();
        for change in [
            Change::MinArea(0.1),
            Change::Exclude([0.0; 4]),
            Change::Exclude([0.5; 4]),
            Change::MinArea(0.2),
            Change::Sensitivity(Sensitivity::Low),
        ] {
            replace(&mut taken, change);
        }
        assert_eq!(taken.len(), 4);
        assert!(taken.contains(&Change::MinArea(0.2)) && !taken.contains(&Change::MinArea(0.1)));
    }
}
