//! What was seen, drawn over a frame: zones, boxes, masks, and a panel of words below a frame of the film.
//! Pure.
//!
//! Colours mean the same everywhere: green is kept, amber an event, blue motion that is no event, red not looked
//! at, violet suggested.

use super::log::{Log, Moment};
use super::visits::{self, Area};
use crate::firstpass::{LightChange, MotionSettings, Polygon};
use crate::still::canvas::{Canvas, Ink, Letters, Place};
use crate::still::privacy::Mask;

pub(super) const PAPER: Ink = [24, 26, 30];
pub(super) const INK: Ink = [232, 234, 237];
pub(super) const FAINT: Ink = [150, 156, 164];
pub(super) const KEPT: Ink = [74, 222, 128];
pub(super) const EVENT: Ink = [255, 190, 60];
pub(super) const MOTION: Ink = [96, 190, 255];
pub(super) const EXCLUDED: Ink = [255, 84, 84];
pub(super) const INCLUDED: Ink = [74, 222, 128];
pub(super) const SUGGESTED: Ink = [214, 120, 255];
const MASKED: Ink = [190, 190, 190];

/// Width of a frame of the film at least: its words need it.
const FILM_WIDTH: usize = 640;
/// Height of the words below it.
const PANEL: usize = 72;
/// Stripes of an area are so far apart.
const STRIPES: i64 = 12;

/// Zones and masks of a camera, brought to one size of pictures.
#[derive(Debug, Default)]
pub(super) struct Ground {
    areas: Vec<(Polygon, Ink, Style)>,
    size: (usize, usize),
    dots: Vec<(i64, i64, Ink, f32)>,
}

/// How an area is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Its edge.
    Edge,
    /// Its edge, and stripes in it.
    Striped,
}

impl Ground {
    /// Of what a camera is set to, with zones that are suggested.
    pub(super) fn new(motion: Option<&MotionSettings>, masks: &[Mask], suggested: &[Area]) -> Self {
        let mut areas = Vec::new();
        if let Some(motion) = motion {
            let include = motion.include.iter().map(|z| (z.polygon.clone(), INCLUDED, Style::Edge));
            areas.extend(include);
            let exclude =
                motion.exclude.iter().map(|z| (z.polygon.clone(), EXCLUDED, Style::Striped));
            areas.extend(exclude);
        }
        areas.extend(masks.iter().map(|mask| (mask.area.clone(), MASKED, Style::Edge)));
        areas.extend(suggested.iter().map(|&[left, top, right, bottom]| {
            let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
            (Polygon(corners), SUGGESTED, Style::Striped)
        }));
        Self { areas, ..Self::default() }
    }

    /// Draws it; what it comes to is kept for the next picture of this size.
    pub(super) fn draw(&mut self, canvas: &mut Canvas) {
        if self.size != canvas.size() {
            self.size = canvas.size();
            self.dots = self.areas.iter().flat_map(|a| dots(a, canvas.size())).collect();
        }
        self.dots.iter().for_each(|&(x, y, ink, share)| canvas.dot(x, y, ink, share));
    }
}

/// The pixels that show an area: its edge two pixels thick, stripes where it is striped.
fn dots(
    (area, ink, style): &(Polygon, Ink, Style),
    (width, height): (usize, usize),
) -> Vec<(i64, i64, Ink, f32)> {
    let (w, h) = (width as i64, height as i64);
    let inside: Vec<bool> = (0..height)
        .flat_map(|y| {
            let row = crossings(area, (y as f32 + 0.5) / height as f32);
            (0..width).map(move |x| {
                let x = (x as f32 + 0.5) / width as f32;
                row.iter().filter(|cross| **cross > x).count() % 2 == 1
            })
        })
        .collect();
    let is =
        |x: i64, y: i64| (0..w).contains(&x) && (0..h).contains(&y) && inside[(y * w + x) as usize];
    let mut found = Vec::new();
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).filter(|&(y, x)| is(x, y)) {
        let edge = [(2, 0), (-2, 0), (0, 2), (0, -2)].iter().any(|(dx, dy)| !is(x + dx, y + dy));
        if edge {
            found.push((x, y, *ink, 1.0));
        } else if *style == Style::Striped && (x + y) % STRIPES < 2 {
            found.push((x, y, *ink, 0.6));
        }
    }
    found
}

/// Where a row crosses an area's edge, in 0..1 of the width.
fn crossings(area: &Polygon, y: f32) -> Vec<f32> {
    let points = &area.0;
    let nexts = points.iter().cycle().skip(1);
    let edges = points.iter().zip(nexts).filter(|_| points.len() > 2);
    edges
        .filter(|((_, y1), (_, y2))| (*y1 > y) != (*y2 > y))
        .map(|((x1, y1), (x2, y2))| x1 + (y - y1) / (y2 - y1) * (x2 - x1))
        .collect()
}

/// What a moment is, in its colour.
pub(super) fn colour(m: &Moment) -> Ink {
    match (m.kept, m.event) {
        (true, _) => KEPT,
        (false, Some(_)) => EVENT,
        (false, None) => MOTION,
    }
}

/// The boxes of a moment, the largest in the colour of what it is.
pub(super) fn boxes(canvas: &mut Canvas, m: &Moment, size: (u32, u32)) {
    let (w, h) = canvas.size();
    for (at, b) in m.boxes.iter().enumerate().rev() {
        let [left, top, right, bottom] = visits::share(*b, size);
        let along = |v: f32, side: usize| (v * side as f32).round() as i64;
        let (x, y) = (along(left, w), along(top, h));
        let place: Place = [x, y, (along(right, w) - x).max(3), (along(bottom, h) - y).max(3)];
        // A dark edge around it keeps it legible on any ground.
        canvas.edge([x - 1, y - 1, place[2] + 2, place[3] + 2], 1, [0; 3]);
        canvas.edge(place, if at == 0 { 3 } else { 1 }, colour(m));
    }
}

/// A frame of the film: the frame with all that was seen, and words below.
pub(super) fn film(
    mut frame: Canvas,
    m: &Moment,
    log: &Log,
    ground: &mut Ground,
    threshold: Option<f32>,
) -> Canvas {
    ground.draw(&mut frame);
    boxes(&mut frame, m, log.size);
    let (width, height) = frame.size();
    let wide = width.max(FILM_WIDTH);
    let mut whole = Canvas::new(wide, height + PANEL, PAPER);
    whole.put((wide - width) / 2, 0, &frame);
    let (w, top) = (wide as i64, height as i64);
    if m.kept || m.event.is_some() {
        whole.edge([0, 0, w, top], if m.kept { 6 } else { 3 }, colour(m));
    }
    let state = state(m, log);
    let line = |n: i64| top + 6 + n * 22;
    whole.write(8, line(0), Letters::Normal, INK, &format!("{:>7.2} s  frame {}", m.t, m.n));
    whole.write(208, line(0), Letters::Normal, state.1, &state.0);
    if let Some(words) = light(m.light) {
        whole.write(w - 8 - 8 * words.len() as i64, line(0), Letters::Normal, SUGGESTED, words);
    }
    bar(&mut whole, [8, line(1) + 2, 184, 12], m.score, threshold, colour(m));
    let conditions: Vec<_> = m.conditions.iter().map(|c| c.name()).collect();
    let mut words = format!("moves: {}", percent(m.score));
    if !conditions.is_empty() {
        words += &format!("   the picture is {}", conditions.join(", "));
    }
    whole.write(208, line(1), Letters::Normal, FAINT, &words);
    whole.write(8, line(2), Letters::Normal, INK, &m.why);
    whole
}

/// The score on the plot's scale, with a mark at the threshold.
fn bar(canvas: &mut Canvas, [x, y, w, h]: Place, score: f32, threshold: Option<f32>, ink: Ink) {
    let along = |share: f32| {
        let up = (share.max(1e-12).log10() + 4.0) / 4.0;
        (up.clamp(0.0, 1.0) * w as f32).round() as i64
    };
    canvas.fill([x, y, w, h], [60, 64, 70], 1.0);
    canvas.fill([x, y, along(score), h], ink, 1.0);
    if let Some(threshold) = threshold {
        canvas.fill([x + along(threshold), y - 3, 2, h + 6], EXCLUDED, 1.0);
    }
}

fn state(m: &Moment, log: &Log) -> (String, Ink) {
    let event = m.event.map(|number| {
        let last = log.events.get(number).map_or(0.0, |e| e.last);
        let quiet = if m.t > last { ", over, waiting for more" } else { "" };
        format!("event {}{quiet}", number + 1)
    });
    match (m.kept, event) {
        (true, Some(event)) => (format!("KEPT, {event}"), KEPT),
        (true, None) => ("KEPT".to_owned(), KEPT),
        (false, Some(event)) => (event, EVENT),
        (false, None) if m.moves() => ("motion, no event".to_owned(), MOTION),
        (false, None) => ("nothing moves".to_owned(), FAINT),
    }
}

fn light(change: Option<LightChange>) -> Option<&'static str> {
    Some(match change? {
        LightChange::Step => "light changed: not motion",
        LightChange::Drift => "light changes slowly",
        LightChange::Flash => "a flash: not motion",
        LightChange::Infrared => "day and night mode: not motion",
    })
}

pub(super) fn percent(share: f32) -> String {
    let share = share * 100.0;
    if share >= 10.0 { format!("{share:.0} %") } else { format!("{share:.2} %") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firstpass::Zone;
    use crate::frame::PixelBox;

    const GREY: Ink = [128; 3];

    fn at(canvas: &Canvas, x: usize, y: usize) -> Ink {
        canvas.samples()[(y * canvas.size().0 + x) * 3..][..3].try_into().unwrap()
    }

    #[test]
    fn zones_and_masks_are_drawn_where_they_are() {
        let square = |x: f32| Polygon(vec![(x, 0.2), (x + 0.2, 0.2), (x + 0.2, 0.8), (x, 0.8)]);
        let motion = MotionSettings {
            exclude: vec![Zone::from(square(0.1))],
            include: vec![Zone::from(square(0.4))],
            ..MotionSettings::default()
        };
        let masks = [Mask::from(square(0.7))];
        let mut ground = Ground::new(Some(&motion), &masks, &[[0.0, 0.9, 0.1, 1.0]]);
        for size in [(200, 100), (100, 50)] {
            let mut canvas = Canvas::new(size.0, size.1, GREY);
            ground.draw(&mut canvas);
            let seen = |x: f32, y: f32| {
                at(&canvas, (x * size.0 as f32) as usize, (y * size.1 as f32) as usize)
            };
            assert_eq!(
                [seen(0.1, 0.5), seen(0.4, 0.5), seen(0.7, 0.5)],
                [EXCLUDED, INCLUDED, MASKED]
            );
            assert_eq!(seen(0.0, 0.95), SUGGESTED);
            assert_eq!([seen(0.05, 0.5), seen(0.5, 0.5), seen(0.95, 0.5)], [GREY; 3]);
        }
    }

    #[test]
    fn a_film_frame_shows_boxes_state_and_why() {
        let b = PixelBox { x: 100, y: 100, w: 200, h: 100 };
        let m = Moment {
            boxes: vec![b],
            kept: true,
            event: Some(0),
            score: 0.02,
            why: "the best".into(),
            ..Moment::default()
        };
        let mut log = Log::new((800, 400));
        log.events.push(super::super::log::Event::default());
        let mut ground = Ground::default();
        let frame = || Canvas::new(800, 400, GREY);
        let shown = film(frame(), &m, &log, &mut ground, Some(0.001));
        assert_eq!(shown.size(), (800, 400 + PANEL));
        assert_eq!(
            [at(&shown, 101, 150), at(&shown, 200, 150), at(&shown, 2, 2)],
            [KEPT, GREY, KEPT]
        );
        let quiet = film(frame(), &Moment::default(), &log, &mut ground, None);
        assert_eq!([at(&quiet, 101, 150), at(&quiet, 2, 2)], [GREY; 2]);
        let why = |canvas: &Canvas| (0..200).any(|x| at(canvas, x, 400 + 58) == INK);
        assert!(why(&shown) && !why(&quiet));
        let small = film(Canvas::new(160, 120, GREY), &m, &log, &mut ground, None);
        assert_eq!(small.size().0, FILM_WIDTH, "words have room");
    }

    #[test]
    fn polygons_that_are_none_and_boxes_beyond_the_frame_do_no_harm() {
        let odd = [
            vec![],
            vec![(0.0, 0.0), (1.0, 1.0)],
            vec![(f32::NAN, 0.0), (1.0, f32::INFINITY), (0.0, 1.0)],
        ];
        let masks = odd.map(|points| Mask::from(Polygon(points)));
        let mut canvas = Canvas::new(40, 30, GREY);
        Ground::new(None, &masks, &[]).draw(&mut canvas);
        let b = PixelBox { x: u32::MAX, y: 0, w: u32::MAX, h: u32::MAX };
        boxes(&mut canvas, &Moment { boxes: vec![b], ..Moment::default() }, (640, 480));
    }
}
