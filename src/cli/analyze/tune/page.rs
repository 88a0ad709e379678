//! The page that shows it all, standing alone: no script, nothing from elsewhere. Pure.

use std::fmt::Write as _;

use super::super::super::status::count;
use super::advice::{Advice, Suggestion};
use super::log::{Figures, Log};
use super::plot::escaped;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:1240px;margin:1.5em auto;padding:0 1em;color:#1b1e22}\
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em}img{max-width:100%;height:auto;border:1px solid #ccc}\
pre{background:#f3f4f6;padding:.8em 1em;overflow-x:auto}table{border-collapse:collapse}\
td,th{padding:.25em .9em .25em 0;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}\
.good{color:#178a3a}li{margin-bottom:.8em}";

/// All that is on the page.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) log: &'a Log,
    pub(super) advice: &'a Advice,
    /// What the film leaves out.
    pub(super) film: &'a str,
}

impl Page<'_> {
    pub(super) fn html(&self) -> String {
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{}</p>\n",
            escaped(&summary(self.log, self.advice.now)),
            title = escaped(self.title),
        );
        self.suggestions(&mut out);
        let film = format!(
            "<a href=\"clip.avi\">clip.avi</a> opens in VLC, mpv and ffplay. {}",
            escaped(self.film)
        );
        let sheet = "Green frame: kept. Amber: an event. Blue: motion that was no event. Red stripes: not looked at. \
                     Violet stripes: suggested.";
        for (head, words, picture) in [
            (
                "What moved, and when",
                "Shaded: an event; violet where nothing left its place. Triangles: pictures kept.",
                "score.svg",
            ),
            ("What was kept, and why", sheet, "sheet.jpg"),
        ] {
            add(
                &mut out,
                format_args!(
                    "<h2>{head}</h2>\n<p>{words}</p>\n<a href=\"{picture}\"><img src=\"{picture}\" alt=\"{head}\"></a>\n"
                ),
            );
        }
        add(&mut out, format_args!("<h2>The clip with all that was seen</h2>\n<p>{film}</p>\n"));
        self.events(&mut out);
        out.push_str("</html>\n");
        out
    }

    fn suggestions(&self, out: &mut String) {
        out.push_str("<h2>Suggestions</h2>\n");
        let advice = self.advice;
        if advice.suggestions.is_empty() {
            out.push_str("<p class=\"good\">Nothing is to be changed.</p>\n");
        } else {
            out.push_str("<ol>\n");
            for s in &advice.suggestions {
                add(
                    out,
                    format_args!(
                        "<li><code>{}</code><br>{}.<br>{}</li>\n",
                        escaped(&s.setting),
                        escaped(&sentence(&s.why)),
                        escaped(&effect(s))
                    ),
                );
            }
            add(
                out,
                format_args!(
                    "</ol>\n<p>All of it, as a file of its own: save it as <code>20-tuned.toml</code> in \
                 <code>/etc/vedette/vedette.d</code>, then <code>vedette check</code> and <code>systemctl reload \
                 vedette</code>. Events {} &rarr; {}, pictures {} &rarr; {}.</p>\n<pre>{}</pre>\n",
                    advice.now.events,
                    advice.then.events,
                    advice.now.pictures,
                    advice.then.pictures,
                    escaped(&advice.toml)
                ),
            );
        }
        if !advice.remarks.is_empty() {
            let items: Vec<_> =
                advice.remarks.iter().map(|r| format!("<li>{}</li>", escaped(r))).collect();
            add(out, format_args!("<ul>\n{}\n</ul>\n", items.join("\n")));
        }
    }

    fn events(&self, out: &mut String) {
        const MOST: usize = 200;
        if self.log.events.is_empty() {
            return;
        }
        out.push_str(
            "<h2>Events</h2>\n<table>\n<tr><th>Event</th><th>From</th><th>To</th><th>Most that moved</th>\
             <th>Pictures</th><th></th></tr>\n",
        );
        for (number, e) in self.log.events.iter().enumerate().take(MOST) {
            let words = if e.goes { "" } else { "nothing left its place" };
            add(
                out,
                format_args!(
                    "<tr><td>{}</td><td>{:.1} s</td><td>{:.1} s</td><td>{:.2} %</td><td>{}</td><td>{words}</td></tr>\n",
                    number + 1,
                    e.since,
                    e.last,
                    e.peak * 100.0,
                    e.kept.len()
                ),
            );
        }
        out.push_str("</table>\n");
        if self.log.events.len() > MOST {
            add(out, format_args!("<p>The first {MOST} of {}.</p>\n", self.log.events.len()));
        }
    }
}

/// What a clip comes to, in one sentence.
pub(super) fn summary(log: &Log, now: Figures) -> String {
    let similar = match now.similar {
        0 => String::new(),
        n => format!(", {n} not kept because they show what the one before showed"),
    };
    format!(
        "{:.0} s, {}: {}, {} kept{similar}.",
        log.length(),
        count(log.moments.len() as u64, "frame"),
        count(now.events as u64, "event"),
        count(now.pictures as u64, "picture"),
    )
}

/// What a suggestion does, as it was seen when the detector ran with it.
pub(super) fn effect(s: &Suggestion) -> String {
    let mut words = format!(
        "Tried on this clip: events {} → {}, pictures {} → {}.",
        s.before.events, s.after.events, s.before.pictures, s.after.pictures
    );
    for (what, times) in [("Gone", &s.gone), ("New", &s.new)] {
        if !times.is_empty() {
            let most = 8;
            let mut list: Vec<_> = times.iter().take(most).map(|t| format!("{t:.1} s")).collect();
            if times.len() > most {
                list.push(format!("and {} more", times.len() - most));
            }
            words += &format!(
                " {what}: the {} at {}.",
                if times.len() == 1 { "event" } else { "events" },
                list.join(", ")
            );
        }
    }
    words
}

pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn add(out: &mut String, words: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(words);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(suggestions: Vec<Suggestion>) -> Advice {
        let figures = Figures { events: 3, going: 1, pictures: 3, similar: 0 };
        let toml = if suggestions.is_empty() { "" } else { "[camera.yard.motion]" };
        Advice {
            now: figures,
            then: figures,
            suggestions,
            changes: Vec::new(),
            toml: toml.into(),
            remarks: vec!["a < b".into()],
        }
    }

    fn page(advice: &Advice) -> String {
        let log = Log::default();
        Page { title: "Camera yard: <clip>.avi", log: &log, advice, film: "" }.html()
    }

    #[test]
    fn it_stands_alone_and_trusts_no_name() {
        let html = page(&advice(Vec::new()));
        for foreign in ["<script", "http:", "https:", "<clip>", "a < b"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        for part in [
            "Nothing is to be changed",
            "&lt;clip&gt;.avi",
            "sheet.jpg",
            "score.svg",
            "clip.avi",
            "a &lt; b",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn a_suggestion_says_why_and_what_it_would_have_done() {
        let figures = |events| Figures { events, going: 1, pictures: events, similar: 0 };
        let suggestion = Suggestion {
            setting: "min_duration = \"400ms\"".into(),
            why: "two came".into(),
            before: figures(3),
            after: figures(1),
            gone: vec![20.0, 30.5],
            new: Vec::new(),
        };
        assert_eq!(
            effect(&suggestion),
            "Tried on this clip: events 3 → 1, pictures 3 → 1. Gone: the events at 20.0 s, 30.5 s."
        );
        let html = page(&advice(vec![suggestion]));
        assert!(html.contains("Two came.") && html.contains("[camera.yard.motion]"));
        assert!(!html.contains("Nothing is to be changed"));
    }
}
