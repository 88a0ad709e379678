//! The contact sheet: the empty scene with zones, then a row an event with the pictures that were kept and the
//! best of the others, each with boxes, score, time, and why. Pure.
//!
//! Bounded: at most [`MOST_EVENTS`] events of [`COLUMNS`] pictures, and one row of motion that was no event.

use std::collections::BTreeMap;

use super::super::super::status::count;
use super::draw::{self, FAINT, Ground, INK, PAPER};
use super::log::{Event, Log};
use crate::still::canvas::{Canvas, Ink, Letters};
use crate::still::text::wrap;

/// Pictures of a row.
const COLUMNS: usize = 4;
/// Most events that are shown, spread evenly over those that were.
const MOST_EVENTS: usize = 16;
/// Width of a picture.
pub(super) const CELL: usize = 400;
const GAP: usize = 16;
/// Lines of words below a picture.
const LINES: usize = 4;
const LINE: usize = 20;
/// Height of the words above a row.
const HEAD: usize = 40;
/// Width of the scene above all rows.
const SCENE: usize = 2 * CELL + GAP;

/// One row: its words and its pictures, as places in [`Log::moments`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    words: String,
    ink: Ink,
    pub(super) pictures: Vec<usize>,
}

/// What stands on the sheet.
pub(super) fn rows(log: &Log) -> Vec<Row> {
    let n = log.events.len();
    let shown = n.min(MOST_EVENTS);
    let mut rows: Vec<_> = (0..shown)
        .map(|i| i * n / shown)
        .map(|number| row(log, number, &log.events[number]))
        .collect();
    let almost = log.almost(COLUMNS);
    if !almost.is_empty() {
        let words = "Motion that was no event, the clearest of it".to_owned();
        rows.push(Row { words, ink: draw::MOTION, pictures: almost });
    }
    rows
}

fn row(log: &Log, number: usize, event: &Event) -> Row {
    // One place is for the best of the others, so that they can be compared.
    let kept: Vec<_> = spread(&event.kept, COLUMNS - 1);
    let mut pictures = kept.clone();
    pictures.extend(log.best_left(event, COLUMNS - kept.len()));
    let nowhere = if event.goes { "" } else { " Nothing left its place." };
    let words = format!(
        "Event {}: {:.1} s to {:.1} s, {} kept.{nowhere}",
        number + 1,
        event.since,
        event.last,
        count(event.kept.len() as u64, "picture")
    );
    Row { words, ink: draw::EVENT, pictures }
}

fn spread(of: &[usize], most: usize) -> Vec<usize> {
    let n = of.len().min(most);
    (0..n).map(|i| of[i * of.len() / n]).collect()
}

/// Draws it. `pictures` by their places in [`Log::moments`], `CELL` pixels wide at most; `words` stand beside
/// the scene, each with its colour.
pub(super) fn draw(
    title: &str,
    log: &Log,
    rows: &[Row],
    (scene, pictures): (&Canvas, &BTreeMap<usize, Canvas>),
    ground: &mut Ground,
    words: &[(Ink, String)],
) -> Canvas {
    let width = COLUMNS * (CELL + GAP) + GAP;
    let high = |places: &[usize]| {
        places.iter().filter_map(|at| pictures.get(at)).map(|p| p.size().1).max().unwrap_or(0)
    };
    let tall = |row: &Row| HEAD + high(&row.pictures) + LINES * LINE + GAP;
    let columns = (width - SCENE - 3 * GAP) / Letters::Normal.width();
    let words: Vec<(Ink, String)> = words
        .iter()
        .flat_map(|(ink, line)| wrap(line, columns).into_iter().map(move |line| (*ink, line)))
        .collect();
    let mut scene = scene.clone();
    ground.draw(&mut scene);
    let top = 2 * GAP + Letters::Huge.height();
    let first = top + scene.size().1.max(words.len() * LINE) + 2 * GAP;
    let height = first + rows.iter().map(tall).sum::<usize>();
    let mut sheet = Canvas::new(width, height, PAPER);
    sheet.write(GAP as i64, GAP as i64, Letters::Huge, INK, title);
    sheet.put(GAP, top, &scene);
    for (i, (ink, line)) in words.iter().enumerate() {
        let x = (SCENE + 2 * GAP) as i64;
        sheet.write(x, (top + i * LINE) as i64, Letters::Normal, *ink, line);
    }
    let mut y = first;
    for row in rows {
        sheet.fill([0, y as i64, width as i64, 1], FAINT, 0.5);
        sheet.write(GAP as i64, (y + 8) as i64, Letters::Large, row.ink, &row.words);
        let below = y + HEAD + high(&row.pictures);
        for (column, at) in row.pictures.iter().enumerate() {
            let x = GAP + column * (CELL + GAP);
            if let Some(picture) = pictures.get(at) {
                cell(&mut sheet, (x, y + HEAD), below, log, *at, picture, ground);
            }
        }
        y += tall(row);
    }
    sheet
}

fn cell(
    sheet: &mut Canvas,
    (x, y): (usize, usize),
    below: usize,
    log: &Log,
    at: usize,
    picture: &Canvas,
    ground: &mut Ground,
) {
    let Some(m) = log.moments.get(at) else { return };
    let mut picture = picture.clone();
    ground.draw(&mut picture);
    draw::boxes(&mut picture, m, log.size);
    let (w, h) = picture.size();
    if m.kept {
        picture.edge([0, 0, w as i64, h as i64], 5, draw::KEPT);
    }
    sheet.put(x, y, &picture);
    let line = |n: usize| (below + 6 + n * LINE) as i64;
    let (ink, state) = if m.kept { (draw::KEPT, "KEPT") } else { (FAINT, "not kept") };
    let left = x as i64;
    sheet.write(left, line(0), Letters::Normal, ink, state);
    let facts = format!("{:.2} s  moves {}", m.t, draw::percent(m.score));
    sheet.write(left + 80, line(0), Letters::Normal, INK, &facts);
    let why = wrap(&m.why, CELL / Letters::Normal.width());
    for (n, words) in why.iter().take(LINES - 1).enumerate() {
        sheet.write(left, line(n + 1), Letters::Normal, if m.kept { INK } else { FAINT }, words);
    }
}

/// The scene without what passes: of each sample the middle value of all frames. `None` without frames of one
/// size.
pub(super) fn scene(frames: &[Canvas]) -> Option<Canvas> {
    let (width, height) = frames.first()?.size();
    let frames: Vec<_> = frames.iter().filter(|f| f.size() == (width, height)).collect();
    let mut values = vec![0; frames.len()];
    let middle = |at: usize| {
        values.iter_mut().zip(&frames).for_each(|(value, frame)| *value = frame.samples()[at]);
        let half = values.len() / 2;
        *values.select_nth_unstable(half).1
    };
    let rgb: Vec<u8> = (0..width * height * 3).map(middle).collect();
    Canvas::of_samples(width, height, rgb)
}

/// The size in which the scene is shown.
pub(super) const SCENE_SIZE: (usize, usize) = (SCENE, 2 * SCENE);

#[cfg(test)]
mod tests {
    use super::super::log::Moment;
    use super::*;

    fn log(kept: usize) -> Log {
        let moment = |i: usize| Moment {
            t: i as f64,
            boxes: vec![crate::frame::PixelBox { x: 0, y: 0, w: 10, h: 10 }],
            kept: i < kept,
            event: (i < 20).then_some(0),
            worth: Some(i as f32),
            ..Moment::default()
        };
        let event = Event { frames: (0, 20), kept: (0..kept).collect(), ..Event::default() };
        let size = (640, 360);
        Log { moments: (0..30).map(moment).collect(), events: vec![event], size, ..Log::default() }
    }

    #[test]
    fn a_row_has_what_was_kept_and_the_best_that_was_not() {
        assert_eq!(rows(&log(1))[0].pictures, [0, 19, 18, 17]);
        assert_eq!(rows(&log(12))[0].pictures, [0, 4, 8, 19]);
        assert_eq!(rows(&log(1))[1].pictures, [29, 28, 27, 26], "motion that was no event");
        assert!(rows(&Log::default()).is_empty());
    }

    #[test]
    fn many_events_are_spread_over_a_sheet_that_a_jpeg_can_hold() {
        let mut log = log(1);
        log.events = vec![log.events[0].clone(); 1000];
        let rows = rows(&log);
        assert_eq!(rows.len(), MOST_EVENTS + 1);
        let picture = Canvas::new(CELL, CELL, [9; 3]);
        let pictures: BTreeMap<_, _> = (0..30).map(|at| (at, picture.clone())).collect();
        let words = [(INK, "words ".repeat(200))];
        let scene = Canvas::new(SCENE, 459, [9; 3]);
        let sheet = draw("t", &log, &rows, (&scene, &pictures), &mut Ground::default(), &words);
        assert!(sheet.size().1 < 20_000 && sheet.size().0 == COLUMNS * (CELL + GAP) + GAP);
    }

    #[test]
    fn the_scene_has_nothing_that_only_passes() {
        let frame = |passer: Option<i64>| {
            let mut canvas = Canvas::new(50, 20, [90, 100, 110]);
            passer.iter().for_each(|x| canvas.fill([*x, 5, 10, 10], [255, 0, 0], 1.0));
            canvas
        };
        let frames =
            [frame(Some(0)), frame(Some(12)), frame(None), frame(Some(24)), frame(Some(36))];
        assert_eq!(scene(&frames), Some(frame(None)));
        assert_eq!(scene(&[]), None);
    }
}
