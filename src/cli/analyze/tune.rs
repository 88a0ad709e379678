//! `vedette analyze --tune DIR`: pictures and a page that a person looks at to set up a camera, and suggestions
//! that were tried.
//!
//! ```text
//!  clip ─ story ─▶ Log ─┬─▶ propose ─▶ advice ──▶ suggestions, as words, TOML and JSON
//!                       │     ▲          │ trial: the clip again, with each change
//!                       │     └── Logs ◀─┘
//!                       ├─▶ plot ──────────────▶ score.svg
//!                       ├─▶ sheet, film: which frames ─▶ the clip again, drawn ─▶ sheet.jpg, clip.avi
//!                       └─▶ page ──────────────▶ index.html
//! ```
//!
//! All but this file and `avi` is pure. The clip is read a few times rather than held in memory: once to see,
//! once a round to try (all proposals side by side), once to draw. What is written shows masked pictures only.
//! Bounded: see [`log`], [`film`], [`avi`], [`sheet`]; what is left out is said on the page.

mod advice;
mod avi;
mod change;
mod draw;
mod film;
mod log;
mod page;
mod plot;
mod propose;
mod sheet;
mod visits;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub(super) use self::advice::Advice;
use self::change::Change;
use self::draw::{FAINT, Ground, INK};
use self::log::Log;
use super::clip::{About, Clip};
use super::story::{Story, Told};
use crate::capture::WatchSettings;
use crate::frame::Frame;
use crate::still::canvas::{Canvas, Ink};
use crate::still::privacy::Mask;

/// Largest picture of the film.
const FILM_SIZE: (usize, usize) = (800, 800);
const FILM_QUALITY: u8 = 72;
const SHEET_QUALITY: u8 = 88;
/// Frames of which the empty scene is made.
const SCENE_FRAMES: usize = 15;

/// Follows a clip for the sake of its camera's settings.
pub(super) struct Tuning<'a> {
    clip: &'a Clip,
    about: About,
    dir: &'a Path,
    camera: Option<&'a str>,
    settings: &'a WatchSettings,
    masks: &'a [Mask],
    log: Log,
}

impl<'a> Tuning<'a> {
    /// Makes the directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn begin(
        clip: &'a Clip,
        about: About,
        dir: &'a Path,
        camera: Option<&'a str>,
        (settings, masks): (&'a WatchSettings, &'a [Mask]),
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let log = Log::new(about.size);
        Ok(Self { clip, about, dir, camera, settings, masks, log })
    }

    /// Takes what became of the next frames.
    pub(super) fn add(&mut self, told: &[Told]) {
        remember(&mut self.log, told, self.about.fps);
    }

    /// The clip was seen: tries what it speaks for, draws everything, and writes it.
    ///
    /// # Errors
    /// The clip cannot be read again, or a file cannot be written.
    pub(super) fn finish(mut self) -> anyhow::Result<Advice> {
        self.log = std::mem::take(&mut self.log).finish();
        let watch = |settings: &[WatchSettings]| watch(self.clip, &self.about, settings);
        // Whoever tunes no camera in particular writes a name into the drop-in.
        let advice = advice::give(self.camera.unwrap_or("NAME"), &self.log, self.settings, watch)?;
        let film = self.draw(&advice)?;
        self.write("score.svg", plot::draw(&self.log, self.threshold()).as_bytes())?;
        let page =
            page::Page { title: &self.title(), log: &self.log, advice: &advice, film: &film };
        self.write("index.html", page.html().as_bytes())?;
        Ok(advice)
    }

    fn title(&self) -> String {
        let clip = self.clip.path.file_name().unwrap_or_default().to_string_lossy();
        match self.camera {
            Some(camera) => format!("Camera {camera}: {clip}"),
            None => format!("{clip}, by the defaults"),
        }
    }

    fn threshold(&self) -> Option<f32> {
        self.settings.motion.as_ref().map(|(motion, _)| motion.min_area)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    fn ground(&self, suggested: &[visits::Area]) -> Ground {
        let motion = self.settings.motion.as_ref().map(|(motion, _)| motion);
        Ground::new(motion, self.masks, suggested)
    }

    /// Goes through the clip once more and draws; says what the film leaves out.
    fn draw(&self, advice: &Advice) -> anyhow::Result<String> {
        let rows = sheet::rows(&self.log);
        let plan = film::plan(&self.log, self.about.fps, film::MOST);
        let mut brush = Brush {
            tuning: self,
            on_sheet: rows.iter().flat_map(|row| row.pictures.iter().copied()).collect(),
            in_scene: film::spread(&self.log, SCENE_FRAMES).into_iter().collect(),
            in_film: plan.frames.iter().copied().collect(),
            ground: self.ground(&[]),
            cells: BTreeMap::new(),
            scene: Vec::new(),
            film: None,
            fps: plan.fps,
            full: false,
        };
        let mut next = 0;
        self.clip.each(|frame| {
            // Frames that nobody could look at have a place in the log as well.
            while self.log.moments.get(next).is_some_and(|m| m.n < frame.sequence) {
                next += 1;
            }
            match self.log.moments.get(next) {
                Some(m) if m.n == frame.sequence => brush.frame(next, frame),
                _ => Ok(()),
            }
        })?;
        let mut left_out: Vec<String> = plan.left_out.into_iter().collect();
        if brush.full {
            let shown = brush.film.as_ref().map_or(0, |film| film.frames());
            left_out.push(format!("The film is full at 64 MB and ends after {shown} frames."));
        }
        if let Some(film) = brush.film.take() {
            film.finish().context("writing clip.avi")?;
        }
        let scene = sheet::scene(&brush.scene).unwrap_or_else(|| Canvas::new(1, 1, draw::PAPER));
        // A zone is suggested on the scene, and not drawn over every picture as if it were there.
        let mut suggested = self.ground(&suggested(advice));
        let scene = {
            let mut scene = scene;
            suggested.draw(&mut scene);
            scene
        };
        let drawn = sheet::draw(
            &self.title(),
            &self.log,
            &rows,
            (&scene, &brush.cells),
            &mut brush.ground,
            &words(&self.log, self.settings, advice),
        );
        self.write("sheet.jpg", &drawn.to_jpeg(SHEET_QUALITY)?)?;
        Ok(left_out.join(" "))
    }
}

fn remember(log: &mut Log, told: &[Told], fps: f64) {
    told.iter().for_each(|told| log.add(told.n, told.n as f64 / fps, &told.seen));
}

/// Runs the detector over a clip with each of these settings, side by side.
fn watch(clip: &Clip, about: &About, settings: &[WatchSettings]) -> anyhow::Result<Vec<Log>> {
    let story = |s: &WatchSettings| (Story::new(s.clone(), &about.boot), Log::new(about.size));
    let mut stories: Vec<_> = settings.iter().map(story).collect();
    clip.each(|frame| {
        for (story, log) in &mut stories {
            remember(log, &story.next(frame.sequence, frame), about.fps);
        }
        Ok(())
    })?;
    let end = |(story, mut log): (Story, Log)| {
        remember(&mut log, &story.end(), about.fps);
        log.finish()
    };
    Ok(stories.into_iter().map(end).collect())
}

/// Draws the frames of one pass over the clip, each where it is wanted.
struct Brush<'t> {
    tuning: &'t Tuning<'t>,
    on_sheet: BTreeSet<usize>,
    in_scene: BTreeSet<usize>,
    in_film: BTreeSet<usize>,
    ground: Ground,
    cells: BTreeMap<usize, Canvas>,
    scene: Vec<Canvas>,
    film: Option<avi::Writer<File>>,
    fps: f64,
    full: bool,
}

impl Brush<'_> {
    fn frame(&mut self, at: usize, frame: &Frame<'_>) -> anyhow::Result<()> {
        let filmed = self.in_film.contains(&at) && !self.full;
        if !filmed && !self.on_sheet.contains(&at) && !self.in_scene.contains(&at) {
            return Ok(());
        }
        let masks = self.tuning.masks;
        let Ok(whole) = Canvas::of_frame(frame.data, frame.geometry, masks, FILM_SIZE) else {
            return Ok(()); // a broken frame has no picture
        };
        if self.on_sheet.contains(&at) {
            self.cells.insert(at, whole.fitted((sheet::CELL, 2 * sheet::CELL))?);
        }
        if self.in_scene.contains(&at) {
            self.scene.push(whole.fitted(sheet::SCENE_SIZE)?);
        }
        if filmed { self.film(at, whole) } else { Ok(()) }
    }

    fn film(&mut self, at: usize, frame: Canvas) -> anyhow::Result<()> {
        let Tuning { log, .. } = self.tuning;
        let threshold = self.tuning.threshold();
        let drawn = draw::film(frame, &log.moments[at], log, &mut self.ground, threshold);
        let film = match &mut self.film {
            Some(film) => film,
            None => {
                let path = self.tuning.path("clip.avi");
                let file =
                    File::create(&path).with_context(|| format!("writing {}", path.display()))?;
                let size = (drawn.size().0 as u32, drawn.size().1 as u32);
                self.film.insert(avi::Writer::new(file, size, self.fps)?)
            }
        };
        // A camera that changed its size: a film has one.
        let mut shown = Canvas::new(film.size().0, film.size().1, draw::PAPER);
        shown.put(0, 0, &drawn);
        self.full = !film.add(&shown.to_frame(FILM_QUALITY)?)?;
        Ok(())
    }
}

/// Zones that are suggested.
fn suggested(advice: &Advice) -> Vec<visits::Area> {
    advice
        .changes
        .iter()
        .filter_map(|c| if let Change::Exclude(area) = c { Some(*area) } else { None })
        .collect()
}

/// What stands beside the scene on the sheet.
fn words(log: &Log, settings: &WatchSettings, advice: &Advice) -> Vec<(Ink, String)> {
    let mut words = vec![(INK, page::summary(log, advice.now)), (INK, String::new())];
    if let Some((motion, events)) = &settings.motion {
        let word = change::word(motion).map_or("set by hand", change::name);
        words.push((
            FAINT,
            format!(
                "Now: sensitivity {word}, min_area {}, min_duration {:?}",
                draw::percent(motion.min_area),
                events.min_duration
            ),
        ));
    }
    for (ink, meaning) in [
        (draw::KEPT, "Green: kept; edge of an include zone"),
        (draw::EVENT, "Amber: an event"),
        (draw::MOTION, "Blue: motion that was no event"),
        (draw::EXCLUDED, "Red stripes: not looked at"),
        (draw::SUGGESTED, "Violet stripes: suggested, not to be looked at"),
    ] {
        words.push((ink, meaning.to_owned()));
    }
    words.push((INK, String::new()));
    if advice.suggestions.is_empty() {
        words.push((draw::KEPT, "Nothing is to be changed.".to_owned()));
    }
    for s in &advice.suggestions {
        words.push((draw::SUGGESTED, s.setting.clone()));
        words.push((INK, format!("{}. {}", page::sentence(&s.why), page::effect(s))));
    }
    words
}

/// The advice in words for a terminal.
pub(super) fn told(advice: &Advice, dir: &Path) -> String {
    let mut out = String::new();
    for s in &advice.suggestions {
        out += &format!(
            "suggested: {}\n  {}. {}\n",
            s.setting,
            page::sentence(&s.why),
            page::effect(s)
        );
    }
    if advice.suggestions.is_empty() {
        out += "Nothing is to be changed.\n";
    }
    advice.remarks.iter().for_each(|remark| out += &format!("  {remark}\n"));
    out + &format!("Look at {}\n", dir.join("index.html").display())
}
