//! One change of a camera's settings: what it does to them, and how it is written in the configuration.
//! Pure.

use std::fmt::Write as _;
use std::time::Duration;

use super::visits::Area;
use crate::capture::WatchSettings;
use crate::firstpass::similarity::Likeness;
use crate::firstpass::{MotionSettings, Polygon, Sensitivity, Zone};

/// A change that a clip speaks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Do not look here.
    Exclude(Area),
    /// Motion must last so long.
    MinDuration(Duration),
    /// A moving thing must cover so much of the watched area.
    MinArea(f32),
    /// Both thresholds, in one word.
    Sensitivity(Sensitivity),
    /// Drop pictures that show what the last one showed.
    DropSimilar(Likeness),
}

impl Change {
    /// Smaller is gentler: of two changes with the same effect the gentler one is better.
    pub(super) fn weight(&self) -> u8 {
        match self {
            Self::DropSimilar(_) => 0,
            Self::Exclude(_) => 1,
            Self::MinDuration(_) => 2,
            Self::MinArea(_) => 3,
            Self::Sensitivity(_) => 4,
        }
    }

    pub(super) fn apply(&self, settings: &mut WatchSettings) {
        if let Self::DropSimilar(likeness) = self {
            settings.drop_similar = Some(*likeness);
        }
        let Some((motion, events)) = &mut settings.motion else { return };
        match self {
            Self::Exclude(area) => motion.exclude.push(Zone::from(corners(*area))),
            Self::MinDuration(time) => events.min_duration = *time,
            Self::MinArea(share) => motion.min_area = *share,
            Self::Sensitivity(word) => (motion.threshold, motion.min_area) = word.thresholds(),
            Self::DropSimilar(_) => {}
        }
    }

    /// The setting in the words of the configuration, but for zones, which take more than a line.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Exclude([left, top, right, bottom]) => {
                format!("exclude zone, x {left} to {right}, y {top} to {bottom}")
            }
            Self::MinDuration(time) => format!("min_duration = \"{}ms\"", time.as_millis()),
            Self::MinArea(share) => format!("min_area = {share}"),
            Self::Sensitivity(word) => format!("sensitivity = \"{}\"", name(*word)),
            Self::DropSimilar(likeness) => format!(
                "drop_similar = \"{}\"",
                match likeness {
                    Likeness::Same => "same",
                    Likeness::Alike => "alike",
                }
            ),
        }
    }
}

/// The word that these thresholds have, unless they were set one by one.
pub(super) fn word(motion: &MotionSettings) -> Option<Sensitivity> {
    let words = [Sensitivity::Low, Sensitivity::Medium, Sensitivity::High];
    words.into_iter().find(|w| w.thresholds() == (motion.threshold, motion.min_area))
}

pub(super) fn name(word: Sensitivity) -> &'static str {
    match word {
        Sensitivity::Low => "low",
        Sensitivity::Medium => "medium",
        Sensitivity::High => "high",
    }
}

/// All changes as a drop-in for this camera. Zones are an array, which a later file replaces whole: so those
/// that are there already stand in it too.
pub(super) fn drop_in(camera: &str, before: &WatchSettings, changes: &[Change]) -> String {
    let is_zone = |c: &&Change| matches!(c, Change::Exclude(_));
    let is_camera = |c: &&Change| matches!(c, Change::DropSimilar(_));
    let mut out = String::new();
    let table = |out: &mut String, head: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _infallible = writeln!(out, "[{head}]\n{}\n", lines.join("\n"));
        }
    };
    let lines = |of: Vec<&Change>| of.into_iter().map(Change::line).collect();
    table(&mut out, &format!("camera.{camera}"), lines(changes.iter().filter(is_camera).collect()));
    let motion = changes.iter().filter(|c| !is_zone(c) && !is_camera(c)).collect();
    table(&mut out, &format!("camera.{camera}.motion"), lines(motion));
    let new: Vec<_> = changes.iter().filter(is_zone).collect();
    if new.is_empty() {
        return out.trim_end().to_owned();
    }
    let there = before.motion.iter().flat_map(|(motion, _)| {
        let kinds = [("include", &motion.include), ("exclude", &motion.exclude)];
        kinds.into_iter().flat_map(|(kind, zones)| zones.iter().map(move |zone| (kind, zone)))
    });
    let there: Vec<_> = there.collect();
    if there.iter().any(|(_, zone)| zone.active.is_some()) {
        out.push_str("# Add this to the zones of the configuration: they have hours, which a clip does not tell.\n");
    } else {
        there.iter().for_each(|(kind, zone)| add_zone(&mut out, camera, kind, &zone.polygon));
    }
    for change in new {
        if let Change::Exclude(area) = change {
            add_zone(&mut out, camera, "exclude", &corners(*area));
        }
    }
    out.trim_end().to_owned()
}

fn add_zone(out: &mut String, camera: &str, kind: &str, polygon: &Polygon) {
    let head = format!("[[camera.{camera}.motion.zone]]");
    let _infallible = write!(out, "{head}\nkind = \"{kind}\"\npoints = {}\n\n", points(polygon));
}

fn points(polygon: &Polygon) -> String {
    let each: Vec<_> = polygon.0.iter().map(|(x, y)| format!("[{x}, {y}]")).collect();
    format!("[{}]", each.join(", "))
}

fn corners([left, top, right, bottom]: Area) -> Polygon {
    Polygon(vec![(left, top), (right, top), (right, bottom), (left, bottom)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firstpass::trigger::EventSettings;

    fn settings() -> WatchSettings {
        let mut motion = MotionSettings::default();
        motion.include.push(Zone::from(corners([0.0, 0.25, 1.0, 1.0])));
        WatchSettings {
            motion: Some((motion, EventSettings::default())),
            ..WatchSettings::default()
        }
    }

    const ALL: [Change; 5] = [
        Change::Exclude([0.7, 0.0, 1.0, 0.2]),
        Change::MinDuration(Duration::from_millis(600)),
        Change::MinArea(0.0035),
        Change::Sensitivity(Sensitivity::Low),
        Change::DropSimilar(Likeness::Alike),
    ];

    /// What is suggested is what was tried: the configuration reads the drop-in as the very settings.
    #[test]
    fn a_drop_in_is_read_as_the_settings_that_were_tried() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vedette.toml");
        std::fs::create_dir(dir.path().join("vedette.d")).unwrap();
        let text = "[device]\nid = \"d\"\n[camera.yard.scene]\n[[camera.yard.motion.zone]]\nkind = \"include\"\n\
                    points = [[0, 0.25], [1, 0.25], [1, 1], [0, 1]]\n[destination.dir]\npath = \"/tmp\"\n";
        std::fs::write(&path, text).unwrap();
        for changes in ALL.map(|c| vec![c]).into_iter().chain([ALL[..3].to_vec(), ALL.to_vec()]) {
            let mut tried = settings();
            // A word sets both thresholds; one that is given beside it wins, wherever it stands.
            let word = changes.iter().find(|c| matches!(c, Change::Sensitivity(_)));
            word.iter().for_each(|c| c.apply(&mut tried));
            let rest = changes.iter().filter(|c| !matches!(c, Change::Sensitivity(_)));
            rest.for_each(|c| c.apply(&mut tried));
            let drop_in = drop_in("yard", &settings(), &changes);
            std::fs::write(dir.path().join("vedette.d/tuned.toml"), &drop_in).unwrap();
            let context = crate::config::Context::from_env(Some(dir.path().to_owned()));
            let read = crate::config::check(&path, &context)
                .unwrap_or_else(|e| panic!("{}\n{drop_in}", e.render(false)));
            let read = read.cameras[0].watch();
            assert_eq!(read, WatchSettings { analyse_fps: read.analyse_fps, ..tried }, "{drop_in}");
        }
    }

    #[test]
    fn zones_with_hours_are_not_written_anew() {
        let mut before = settings();
        if let Some((motion, _)) = &mut before.motion {
            motion.include[0].active = Some(0);
        }
        let told = drop_in("yard", &before, &ALL[..1]);
        assert!(!told.contains("include") && told.starts_with("# Add this"), "{told}");
    }

    #[test]
    fn thresholds_that_were_set_one_by_one_have_no_word() {
        let mut motion = MotionSettings::default();
        assert_eq!(word(&motion), Some(Sensitivity::Medium));
        motion.min_area *= 2.0;
        assert_eq!(word(&motion), None);
    }
}
