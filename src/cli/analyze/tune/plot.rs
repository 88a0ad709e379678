//! The score over time as an SVG: nothing but lines and words, so that a browser shows it from a file. Pure.
//!
//! The score is drawn on a logarithmic scale, because a person far away covers a thousandth of the picture and
//! one at the door a third. Bounded: one column a pixel, whatever the clip's length.

use std::fmt::Write as _;

use super::log::Log;
use crate::firstpass::{Condition, LightChange};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 36.0;
const HEIGHT: f64 = 220.0;
/// Strips below the curve: pictures, light, conditions.
const STRIP: f64 = 20.0;
/// The scale's ends: a ten-thousandth of what is watched, and all of it.
const DECADES: f64 = 4.0;

/// Draws it; `threshold` is the smallest share that a moving thing must cover.
pub(super) fn draw(log: &Log, threshold: Option<f32>) -> String {
    let plot = Plot { length: log.length().max(0.001) };
    let bottom = TOP + HEIGHT;
    let conditions: Vec<_> = Condition::ALL
        .into_iter()
        .filter(|c| log.moments.iter().any(|m| m.conditions.contains(*c)))
        .collect();
    let height = bottom + 34.0 + STRIP * (2.0 + conditions.len() as f64) + 12.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" role=\"img\" aria-label=\"Score over time\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    plot.events(&mut out, log);
    plot.scale(&mut out, threshold);
    plot.curve(&mut out, log);
    plot.seconds(&mut out, bottom);
    let mut y = bottom + 34.0;
    label(&mut out, y, "kept");
    for m in log.moments.iter().filter(|m| m.kept) {
        let x = plot.x(m.t);
        add(
            &mut out,
            format_args!(
                "<path d=\"M{x:.1} {:.1}l5 12h-10z\" fill=\"#178a3a\"><title>kept at {:.2} s: {}</title></path>\n",
                y + 2.0,
                m.t,
                escaped(&m.why)
            ),
        );
    }
    y += STRIP;
    label(&mut out, y, "light");
    plot.light(&mut out, log, y);
    for condition in conditions {
        y += STRIP;
        label(&mut out, y, condition.name());
        let has = log.moments.iter().map(|m| (m.t, m.conditions.contains(condition)));
        for (from, to) in spans(has) {
            plot.bar(
                &mut out,
                (from, to),
                (y + 3.0, STRIP - 8.0),
                "#c0392b",
                0.8,
                condition.name(),
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

struct Plot {
    length: f64,
}

impl Plot {
    fn x(&self, t: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (t / self.length).clamp(0.0, 1.0)
    }

    fn bar(
        &self,
        out: &mut String,
        (from, to): (f64, f64),
        (y, height): (f64, f64),
        colour: &str,
        opacity: f64,
        words: &str,
    ) {
        let x = self.x(from);
        let width = (self.x(to) - x).max(1.5);
        add(
            out,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\" \
             fill-opacity=\"{opacity}\"><title>{}</title></rect>\n",
                escaped(words)
            ),
        );
    }

    fn events(&self, out: &mut String, log: &Log) {
        let mut taken = 0.0;
        for (number, event) in log.events.iter().enumerate() {
            let words = format!(
                "event {}, {:.1} s to {:.1} s{}",
                number + 1,
                event.began,
                event.last,
                if event.goes { "" } else { ": nothing left its place" }
            );
            let colour = if event.goes { "#f5b041" } else { "#b7a1d6" };
            self.bar(out, (event.since, event.last), (TOP, HEIGHT), colour, 0.4, &words);
            let x = self.x(event.since);
            if x >= taken {
                add(
                    out,
                    format_args!(
                        "<text x=\"{:.1}\" y=\"{}\" fill=\"#444\">event {}</text>\n",
                        x,
                        TOP - 6.0,
                        number + 1
                    ),
                );
                taken = x + 64.0;
            }
        }
    }

    fn scale(&self, out: &mut String, threshold: Option<f32>) {
        let right = WIDTH - RIGHT;
        for (share, words) in
            [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %")]
        {
            let y = height_of(share);
            add(
                out,
                format_args!(
                    "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{words}</text>\n",
                    LEFT - 6.0,
                    y + 4.0
                ),
            );
        }
        if let Some(threshold) = threshold {
            let y = height_of(f64::from(threshold));
            add(
                out,
                format_args!(
                    "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#c0392b\" stroke-dasharray=\"6 4\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#c0392b\">min_area {:.2} %</text>\n",
                    right - 4.0,
                    y - 4.0,
                    threshold * 100.0
                ),
            );
        }
    }

    /// The highest score of each column.
    fn curve(&self, out: &mut String, log: &Log) {
        let columns = (WIDTH - LEFT - RIGHT) as usize;
        let mut highest = vec![None::<f32>; columns + 1];
        for m in &log.moments {
            let column = ((self.x(m.t) - LEFT) as usize).min(columns);
            highest[column] = Some(highest[column].unwrap_or(0.0).max(m.score));
        }
        let mut points = String::new();
        for (column, score) in highest.iter().enumerate() {
            if let Some(score) = score {
                let (x, y) = (LEFT + column as f64, height_of(f64::from(*score)));
                add(&mut points, format_args!("{x:.0},{y:.1} "));
            }
        }
        add(
            out,
            format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.5\" \
             stroke-linejoin=\"round\"/>\n<text x=\"{LEFT}\" y=\"14\" fill=\"#1f5fa8\">Share of what is watched \
             that moves</text>\n",
                points.trim_end()
            ),
        );
    }

    fn seconds(&self, out: &mut String, bottom: f64) {
        let step = step(self.length);
        for i in 0..=(self.length / step) as u32 {
            let t = f64::from(i) * step;
            let x = self.x(t);
            add(
                out,
                format_args!(
                    "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#444\"/><text x=\"{x:.1}\" y=\"{}\" \
                 text-anchor=\"middle\" fill=\"#444\">{}</text>\n",
                    bottom + 19.0,
                    clock(t, step)
                ),
            );
        }
    }

    fn light(&self, out: &mut String, log: &Log, y: f64) {
        let kinds = [
            (LightChange::Step, "#8e44ad", "light changed at once"),
            (LightChange::Drift, "#aab7b8", "light changes little by little"),
            (LightChange::Flash, "#f1c40f", "a flash"),
            (LightChange::Infrared, "#e84393", "day and night mode"),
        ];
        for (kind, colour, words) in kinds {
            let has = log.moments.iter().map(|m| (m.t, m.light == Some(kind)));
            for span in spans(has) {
                self.bar(out, span, (y + 3.0, STRIP - 8.0), colour, 0.9, words);
            }
        }
    }
}

/// Stretches of time in which something holds.
fn spans(has: impl Iterator<Item = (f64, bool)>) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::new();
    let mut on = false;
    for (t, holds) in has {
        match found.last_mut().filter(|_| on) {
            Some(last) if holds => last.1 = t,
            _ if holds => found.push((t, t)),
            _ => {}
        }
        on = holds;
    }
    found
}

fn height_of(share: f64) -> f64 {
    let up = (share.max(1e-12).log10() + DECADES) / DECADES;
    TOP + HEIGHT * (1.0 - up.clamp(0.0, 1.0))
}

/// Seconds between two numbers on the axis: at most about a dozen of them.
fn step(length: f64) -> f64 {
    let steps =
        [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];
    steps.into_iter().find(|step| length / step <= 12.0).unwrap_or((length / 12.0).ceil())
}

fn clock(t: f64, step: f64) -> String {
    let t = t.round() as u64;
    if step < 60.0 && t < 600 { format!("{t} s") } else { format!("{}:{:02}", t / 60, t % 60) }
}

fn label(out: &mut String, y: f64, words: &str) {
    add(
        out,
        format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{words}</text>\n",
            LEFT - 6.0,
            y + 13.0
        ),
    );
}

fn add(out: &mut String, words: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(words);
}

/// Words within XML or HTML.
pub(super) fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::log::{Event, Moment};
    use super::*;

    fn log() -> Log {
        let moment = |i: usize| Moment {
            t: i as f64 / 10.0,
            score: if (40..60).contains(&i) { 0.02 } else { 0.0 },
            kept: i == 45,
            why: "the <best> of event 1".into(),
            light: (80..85).contains(&i).then_some(LightChange::Step),
            ..Moment::default()
        };
        let event = Event { since: 4.0, began: 4.2, last: 5.9, goes: true, ..Event::default() };
        Log { moments: (0..100).map(moment).collect(), events: vec![event], ..Log::default() }
    }

    #[test]
    fn events_pictures_light_and_the_threshold_are_on_it() {
        let svg = draw(&log(), Some(0.001));
        for part in [
            "event 1, 4.2 s to 5.9 s",
            "kept at 4.50 s",
            "&lt;best&gt;",
            "min_area 0.10 %",
            "light changed at once",
        ] {
            assert_eq!(svg.matches(part).count(), 1, "{part} in\n{svg}");
        }
        assert!(!svg.contains("frozen"), "a condition that never was has no strip");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn an_empty_clip_and_a_day_are_drawn_in_bounds() {
        assert!(draw(&Log::default(), None).contains("</svg>"));
        let mut day = log();
        day.moments.iter_mut().for_each(|m| m.t *= 8640.0);
        let svg = draw(&day, Some(0.001));
        assert!(svg.len() < 40_000 && svg.matches("text-anchor=\"middle\"").count() < 14);
    }

    #[test]
    fn the_scale_is_logarithmic_and_ends_at_the_frame() {
        assert_eq!(height_of(1.0), TOP);
        assert_eq!(height_of(0.0), TOP + HEIGHT);
        let step = height_of(0.001) - height_of(0.01);
        assert!((step - (height_of(0.01) - height_of(0.1))).abs() < 1e-9);
    }

    #[test]
    fn stretches_end_where_it_ends() {
        let has = [false, true, true, false, true].iter().enumerate();
        assert_eq!(spans(has.map(|(t, on)| (t as f64, *on))), [(1.0, 2.0), (4.0, 4.0)]);
    }
}
