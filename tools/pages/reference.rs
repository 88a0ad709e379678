//! `vedette.toml`(5): the commented reference, `config/vedette.toml`, as a man page. Pure.
//!
//! A ruler (`# ------ cameras`) begins a section. Words of a comment are running text, filled anew to
//! the reader's width; keys, and comments that are indented like a listing, stand as they are.

use crate::roff::{literal, prose, section, text, title};

/// Where the package puts what the reference names by its place in the project.
const PLACES: &[(&str, &str)] = &[
    ("config/examples", "/usr/share/doc/vedette/examples"),
    ("config/schema.json", "/usr/share/doc/vedette/schema.json"),
    ("docs/", "/usr/share/doc/vedette/"),
    ("systemd/", "/usr/share/doc/vedette/examples/"),
];

/// The whole page.
pub(crate) fn page(reference: &str, date: &jiff::Timestamp) -> String {
    let reference = &installed(reference);
    let mut out = title("vedette.toml", 5, date);
    out += &section("NAME", &format!("vedette.toml \\- {}\n", text("configuration of vedette(1)")));
    out += ".SH DESCRIPTION\n";
    for block in blocks(reference) {
        out += &match block {
            Block::Section(name) => format!(".SH {}\n", text(&name.to_uppercase())),
            Block::Prose(words) => format!(".PP\n{}\n", prose(&words)),
            Block::Literal(lines) => literal(&lines),
        };
    }
    out += &section(
        "SEE ALSO",
        "\\fBvedette\\fR(1),\n\\fBvedette\\-check\\fR(1)\n.PP\n\
         Short files to begin with are in /usr/share/doc/vedette/examples.\n",
    );
    out
}

fn installed(reference: &str) -> String {
    let mut text = reference.to_owned();
    for (ours, theirs) in PLACES {
        // Only a word of its own: `/run/systemd/` is none.
        for before in [" ", "(", "`"] {
            text = text.replace(&format!("{before}{ours}"), &format!("{before}{theirs}"));
        }
    }
    text
}

#[derive(Debug, PartialEq, Eq)]
enum Block {
    Section(String),
    Prose(String),
    Literal(String),
}

enum Line<'a> {
    Ruler(&'a str),
    /// Nothing, or a `#` alone: what comes after it is a new paragraph.
    Gap,
    Words(&'a str),
    Code(&'a str),
}

fn kind(line: &str) -> Line<'_> {
    let line = line.trim_end();
    let Some(rest) = line.strip_prefix('#') else {
        return if line.is_empty() { Line::Gap } else { Line::Code(line) };
    };
    if rest.starts_with(" ---") {
        return Line::Ruler(rest.trim_start_matches([' ', '-']));
    }
    match rest.strip_prefix(' ') {
        None if rest.is_empty() => Line::Gap,
        // A listing within a comment.
        Some(words) if words.starts_with("  ") => Line::Code(words),
        Some(words) => Line::Words(words),
        None => Line::Code(line),
    }
}

fn blocks(reference: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut gap = true;
    for line in reference.lines() {
        match (kind(line), blocks.last_mut()) {
            (Line::Ruler(name), _) => blocks.push(Block::Section(name.to_owned())),
            (Line::Gap, _) => {
                gap = true;
                continue;
            }
            (Line::Words(words), Some(Block::Prose(said))) if !gap => {
                said.push('\n');
                said.push_str(words);
            }
            (Line::Words(words), _) => blocks.push(Block::Prose(words.to_owned())),
            (Line::Code(code), Some(Block::Literal(said))) if !gap => {
                said.push('\n');
                said.push_str(code);
            }
            (Line::Code(code), _) => blocks.push(Block::Literal(code.to_owned())),
        }
        gap = false;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = include_str!("../../config/vedette.toml");

    #[test]
    fn rulers_words_keys_and_listings_are_told_apart() {
        let text = "# Vedette: one\n# two\n#\n# three\n\n# ------ cameras\n[camera.x]\n#a = 1\n# of keys:\n#     [default]\n";
        let literal = |s: &str| Block::Literal(s.into());
        let prose = |s: &str| Block::Prose(s.into());
        let wanted = vec![
            prose("Vedette: one\ntwo"),
            prose("three"),
            Block::Section("cameras".into()),
            literal("[camera.x]\n#a = 1"),
            prose("of keys:"),
            literal("    [default]"),
        ];
        assert_eq!(blocks(text), wanted);
    }

    #[test]
    fn places_in_the_project_become_places_on_the_device() {
        let page = page(REFERENCE, &jiff::Timestamp::UNIX_EPOCH);
        for (ours, _) in PLACES {
            assert!(!page.contains(&format!(" {}", text(ours))), "{ours}");
        }
        assert!(page.contains(&text("/usr/share/doc/vedette/exec-cameras.md")));
    }

    #[test]
    fn every_line_of_the_reference_is_in_the_page() {
        let page = page(REFERENCE, &jiff::Timestamp::UNIX_EPOCH);
        for line in installed(REFERENCE).lines() {
            let words = match kind(line) {
                Line::Gap => continue,
                Line::Ruler(name) => text(&name.to_uppercase()),
                Line::Words(words) => prose(words),
                Line::Code(code) => text(code),
            };
            // A mark that is opened on one line and closed on the next is not looked for.
            assert!(page.contains(&words) || line.matches('`').count() % 2 == 1, "{line}");
        }
    }
}
