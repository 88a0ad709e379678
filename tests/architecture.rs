//! Who may know whom, held against the source itself.
//!
//! Every path in `src/**/*.rs` is read as text (comments, literals and test code taken out, `use` trees
//! and `super::` spelt out) and compared with [`RULES`]. A rule that stands in the way is changed here,
//! in the open, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What some modules must not name.
struct Rule {
    /// Modules the rule binds, with all below them; `a::*` binds only what is below `a`; `*` is all.
    whose: &'static [&'static str],
    /// Modules it does not bind, with all below them.
    but: &'static [&'static str],
    /// Path segments that must not appear; those that begin with `crate` only at a path's start.
    never: &'static [&'static str],
    /// The reason, as told to whoever breaks it.
    why: &'static str,
}

const LEAVES: &[&str] = &[
    "frame",
    "backoff",
    "account",
    "contract",
    "firstpass",
    "still::*",
    "spool::trailer",
    "spool::retention",
    "upload::classify",
    "grant::s3",
    "grant::cos",
    "grant::oss",
    "control::command",
    "status",
];

const RULES: &[Rule] = &[
    Rule {
        whose: LEAVES,
        but: &[],
        never: &[
            "tokio",
            "std::fs",
            "std::net",
            "std::os::unix::net",
            "rustix",
            "libc",
            "reqwest",
            "rusqlite",
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "crate::clock::SystemClock",
        ],
        why: "leaves decide purely: no runtime, no files, no sockets, no clock of their own",
    },
    Rule {
        whose: LEAVES,
        but: &[],
        never: &[
            "crate::capture",
            "crate::config",
            "crate::health",
            "crate::identity",
            "crate::log",
            "crate::mqtt",
            "crate::page",
            "crate::sys",
        ],
        why: "leaves know only what is as pure as they are",
    },
    Rule {
        whose: &["clock"],
        but: &[],
        never: &["tokio", "std::net", "std::os::unix::net", "reqwest", "rusqlite"],
        why: "the clock reads the machine's clocks and nothing else",
    },
    Rule {
        whose: &["camera", "capture"],
        but: &[],
        never: &[
            "tokio",
            "reqwest",
            "rusqlite",
            "std::net",
            "crate::config",
            "crate::control",
            "crate::grant",
            "crate::mqtt",
            "crate::spool",
            "crate::upload",
        ],
        why: "cameras know nothing of the spool's inside or the network",
    },
    Rule {
        whose: &["still", "firstpass"],
        but: &[],
        never: &[
            "tokio",
            "std::net",
            "crate::config",
            "crate::control",
            "crate::grant",
            "crate::mqtt",
            "crate::upload",
        ],
        why: "making a picture needs no network and no configuration file",
    },
    Rule {
        whose: &["spool"],
        but: &[],
        never: &[
            "reqwest",
            "rusty_s3",
            "std::net",
            "crate::camera",
            "crate::capture",
            "crate::config",
            "crate::control",
            "crate::firstpass",
            "crate::grant",
            "crate::mqtt",
            "crate::upload",
        ],
        why: "the spool stores opaque items: no camera, no network",
    },
    Rule {
        whose: &["upload"],
        but: &[],
        never: &[
            "rusqlite",
            "crate::camera",
            "crate::capture",
            "crate::config",
            "crate::control",
            "crate::mqtt",
            "crate::still",
        ],
        why: "upload knows the spool's handle and grants: no SQL, no MQTT",
    },
    Rule {
        whose: &["grant"],
        but: &[],
        never: &[
            "rusqlite",
            "crate::camera",
            "crate::capture",
            "crate::config",
            "crate::control",
            "crate::mqtt",
            "crate::spool",
            "crate::upload",
        ],
        why: "a grant turns an intent into a signed request and knows nobody else",
    },
    Rule {
        whose: &["control"],
        but: &[],
        never: &[
            "rusqlite",
            "crate::camera::v4l2",
            "crate::capture",
            "crate::grant",
            "crate::spool::db",
            "crate::spool::images",
            "crate::upload",
        ],
        why: "control sends typed commands and never touches an image",
    },
    Rule { whose: &["*"], but: &["spool"], never: &["rusqlite"], why: "all SQL is the spool's" },
    Rule {
        whose: &["*"],
        but: &["agent", "cli", "main"],
        never: &["crate::agent"],
        why: "the agent is the composition root: it knows everyone, nobody knows it",
    },
    Rule {
        whose: &["*"],
        but: &["cli", "main"],
        never: &["crate::cli"],
        why: "the command line is a face of the library, not a part of it",
    },
    Rule {
        whose: &["*"],
        but: &[],
        never: &["tokio::spawn", "tokio::task::spawn", "tokio::task::spawn_local"],
        why: "tasks belong to a JoinSet, where an early end is seen",
    },
    Rule {
        whose: &["*"],
        but: &["firstpass::shrink", "sys", "camera::v4l2::stream"],
        never: &["unsafe"],
        why: "unsafe code stays in the three modules that are reviewed for it",
    },
];

#[test]
fn modules_know_only_whom_they_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources(&root);
    assert!(sources.len() > 20, "only {} files found", sources.len());
    let test_only: BTreeSet<_> =
        sources.iter().flat_map(|(m, text)| test_modules(m, text)).collect();
    let faults: Vec<_> = sources
        .iter()
        .filter(|(module, _)| !test_only.iter().any(|t| covers(t, module)))
        .flat_map(|(module, text)| faults(module, text))
        .collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_module_named_by_a_rule_is_spelt_as_in_the_design() {
    let all = "account agent backoff camera capture cli clock config contract control firstpass \
        frame grant health identity log main mqtt page spool status still sys upload *";
    let known: BTreeSet<_> = all.split_whitespace().collect();
    for rule in RULES {
        let named = rule.whose.iter().chain(rule.but).copied();
        let paths = rule.never.iter().filter_map(|p| p.strip_prefix("crate::"));
        for name in named.chain(paths) {
            let first = name.split("::").next().unwrap();
            assert!(known.contains(first), "`{name}` is no module: {}", rule.why);
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let cases = [
        ("frame", "use tokio::sync::mpsc;", "tokio"),
        ("frame", "use std::{fmt,\n  fs::{self, File}};", "std::fs"),
        ("contract::key", "fn f() { let t = SystemTime::now(); }", "SystemTime::now"),
        ("still::encode", "use std::time; fn f() { time::Instant :: now(); }", "Instant::now"),
        ("capture", "use crate::{frame::Frame, spool::Spool};", "crate::spool"),
        ("camera::v4l2::stream", "fn f(g: crate::grant::Intent) {}", "crate::grant"),
        ("spool::db", "use super::super::upload;", "crate::upload"),
        ("spool", "use super::camera::Camera;", "crate::camera"),
        ("upload", "fn f() -> Result<(), rusqlite::Error> { todo() }", "rusqlite"),
        ("health", "use crate::agent::Agent;", "crate::agent"),
        ("agent", "fn f() { tokio::spawn(async {}); }", "tokio::spawn"),
        ("agent", "use tokio::{time, task::{self, spawn as go}};", "tokio::task::spawn"),
        ("clock", "fn f() { unsafe { libc::time(x) } }", "unsafe"),
        ("control", "/* \" */ use crate::upload; /* \" */", "crate::upload"),
        ("frame", "const C: char = '\"'; use tokio::time; // \"", "tokio"),
    ];
    for (module, text, what) in cases {
        let found = faults(module, text);
        assert!(!found.is_empty(), "not found in {module}: {text}");
        assert!(found.iter().all(|f| f.contains(&format!("`{what}`"))), "{found:?}");
    }
}

#[test]
fn what_only_looks_like_a_violation_is_not_one() {
    let cases = [
        (
            "frame",
            "//! Unlike tokio::fs, std::fs blocks.\n/* use tokio::fs; /* nested */ tokio::fs */",
        ),
        (
            "frame",
            r##"const S: &str = "tokio::fs \" std::fs"; const R: &str = r#"use std::fs; ""#;"##,
        ),
        ("frame", "#[cfg(test)]\nmod tests { use std::fs; fn f() { { tokio::spawn(x) } } }"),
        ("frame", "#[cfg(test)] use std::{fs, net};\nfn f<'a>(x: &'a str) {}"),
        ("still", "use crate::account::InHand; fn f() { Instant::now(); }"),
        ("spool::db", "use rusqlite::Connection; use super::trailer;"),
        ("sys", "fn f() { unsafe { libc::adjtimex(x) } }"),
        ("config::camera", "use crate::{camera::Settings, upload, spool, grant::S3Settings};"),
        ("status", "struct S { tokio: u8, unsafe_: u8 }"),
    ];
    for (module, text) in cases {
        assert_eq!(faults(module, text), Vec::<String>::new(), "{module}: {text}");
    }
}

#[test]
fn test_files_of_a_module_are_left_out() {
    let text = "#[cfg(test)]\nmod model;\n#[cfg(test)] pub(crate) mod tests;\nmod real;";
    let found: Vec<_> = test_modules("spool", text).collect();
    assert_eq!(found, ["spool::model", "spool::tests"]);
}

/// Every source file: its module path and its text.
fn sources(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                found.push((module_of(root, &path), text));
            }
        }
    }
    found.sort();
    found
}

fn module_of(root: &Path, path: &Path) -> String {
    let below: PathBuf = path.strip_prefix(root).expect("below src").with_extension("");
    let names: Vec<_> = below.iter().map(|n| n.to_str().expect("UTF-8 name")).collect();
    for banned in ["mod", "util", "utils", "prelude"] {
        assert!(!names.contains(&banned), "{}: no {banned}.rs here", path.display());
    }
    names.join("::")
}

/// Is `module` the one that `pattern` names, or below it?
fn covers(pattern: &str, module: &str) -> bool {
    if let Some(above) = pattern.strip_suffix("::*") {
        return module.strip_prefix(above).is_some_and(|m| m.starts_with("::"));
    }
    let rest = module.strip_prefix(pattern);
    pattern == "*" || rest.is_some_and(|m| m.is_empty() || m.starts_with("::"))
}

/// What this text, as the source of `module`, does against the rules.
fn faults(module: &str, text: &str) -> Vec<String> {
    let code = without_test_items(&without_comments_and_literals(text));
    let paths = paths(&code, module);
    let mut found = Vec::new();
    for rule in RULES {
        let binds = rule.whose.iter().any(|p| covers(p, module));
        if !binds || rule.but.iter().any(|p| covers(p, module)) {
            continue;
        }
        for (line, path) in &paths {
            for never in rule.never.iter().filter(|n| names(path, n)) {
                found.push(format!(
                    "{module}, line {line}: `{}` must not name `{never}`: {}",
                    path.join("::"),
                    rule.why
                ));
            }
        }
    }
    found
}

/// Does the path hold these segments in a row? `crate` is only ever at its start.
fn names(path: &[String], pattern: &str) -> bool {
    let wanted: Vec<_> = pattern.split("::").collect();
    // A crate's name alone is somebody's field; with more behind it, it is the crate.
    if path.len() == 1 && pattern != "unsafe" {
        return false;
    }
    let starts = if wanted.len() == 1 { 1 } else { path.len() };
    (0..starts).any(|at| {
        path[at..].len() >= wanted.len() && path[at..].iter().zip(&wanted).all(|(a, b)| a == b)
    })
}

/// Modules that exist for tests alone and have a file of their own.
fn test_modules<'a>(module: &'a str, text: &str) -> impl Iterator<Item = String> + use<'a> {
    let code = without_comments_and_literals(text);
    let words: Vec<_> = code.split("#[cfg(test)]").skip(1).map(str::to_owned).collect();
    words.into_iter().filter_map(move |after| {
        let item = after.split_once(';')?.0;
        let name = item.rsplit_once("mod ")?.1;
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        plain.then(|| format!("{module}::{}", name.trim()))
    })
}

/// The text with comments, strings and character literals blanked, line for line.
fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            // The `r` of an identifier that ends in r is no raw string's.
            while is_word(chars[at - 1]) && at < chars.len() && is_word(chars[at]) {
                out.push(chars[at]);
                at += 1;
            }
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when there is none.
fn literal_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let begins = |s: &str| rest.iter().copied().take(s.len()).eq(s.chars());
    if begins("//") {
        return at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
    }
    if begins("/*") {
        return at + block_comment(rest);
    }
    let prefix = rest.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let raw = rest[..prefix].contains(&'r');
    let hashes = if raw { rest[prefix..].iter().take_while(|c| **c == '#').count() } else { 0 };
    match rest.get(prefix + hashes) {
        Some('"') if prefix <= 2 => at + string(rest, prefix + hashes + 1, hashes, raw),
        Some('\'') if prefix == 0 || rest[..prefix] == ['b'] => at + character(rest, prefix),
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[char], body: usize, hashes: usize, raw: bool) -> usize {
    let mut at = body;
    while at < rest.len() {
        if !raw && rest[at] == '\\' {
            at += 2;
        } else if rest[at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
        {
            return at + 1 + hashes;
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// A character literal's length with its prefix; 0 for a lifetime.
fn character(rest: &[char], prefix: usize) -> usize {
    match rest[prefix + 1..] {
        ['\\', _, ref more @ ..] => prefix + 4 + more.iter().position(|c| *c == '\'').unwrap_or(0),
        [_, '\'', ..] => prefix + 3,
        _ => 0,
    }
}

/// Blanks each item under `#[cfg(test)]`: up to its `;` or its closing brace.
fn without_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        out.push_str(before);
        let end = item_end(&item[MARK.len()..]) + MARK.len();
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out + rest
}

fn item_end(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(c, '}' | ';') {
            return at + 1;
        }
    }
    item.len()
}

/// Every path in the code with its line; `use` trees spelt out, `self` and `super` resolved.
fn paths(code: &str, module: &str) -> Vec<(usize, Vec<String>)> {
    let mut reader = Reader { rest: code, line: 1, module, found: Vec::new() };
    while !reader.rest.is_empty() {
        if reader.rest.starts_with(is_word) {
            reader.path(&[]);
        } else {
            reader.skip(1);
        }
    }
    reader.found
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    module: &'a str,
    found: Vec<(usize, Vec<String>)>,
}

impl Reader<'_> {
    fn skip(&mut self, chars: usize) {
        let end = self.rest.char_indices().nth(chars).map_or(self.rest.len(), |(at, _)| at);
        self.line += self.rest[..end].matches('\n').count();
        self.rest = &self.rest[end..];
    }

    fn skip_space(&mut self) {
        while self.rest.starts_with(char::is_whitespace) {
            self.skip(1);
        }
    }

    fn word(&mut self) -> String {
        let word: String = self.rest.chars().take_while(|c| is_word(*c)).collect();
        self.skip(word.chars().count());
        word
    }

    /// One path below `prefix`, with the group at its end if it has one.
    fn path(&mut self, prefix: &[String]) {
        let line = self.line;
        let mut path = prefix.to_vec();
        loop {
            let word = self.word();
            match word.as_str() {
                "self" if !path.is_empty() => {}
                _ => path.push(word),
            }
            self.skip_space();
            if !self.rest.starts_with("::") {
                break;
            }
            self.skip(2);
            self.skip_space();
            if self.rest.starts_with('{') {
                self.group(&path);
                return;
            }
            if !self.rest.starts_with(is_word) {
                break;
            }
        }
        self.found.push((line, resolved(&path, self.module)));
    }

    fn group(&mut self, prefix: &[String]) {
        let mut depth = 0;
        let mut fresh = true;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => fresh = true,
                // A word that does not begin an entry is an alias after `as`.
                c if is_word(c) && fresh => {
                    self.path(prefix);
                    fresh = false;
                    continue;
                }
                _ => {}
            }
            self.skip(1);
            if c == '{' {
                fresh = true;
            }
            if depth == 0 {
                return;
            }
        }
    }
}

fn resolved(path: &[String], module: &str) -> Vec<String> {
    let mut base: Vec<_> =
        std::iter::once("crate").chain(module.split("::")).map(str::to_owned).collect();
    let supers = path.iter().take_while(|w| *w == "super").count();
    let rest = match path.first().map(String::as_str) {
        Some("super") => {
            base.truncate(base.len().saturating_sub(supers).max(1));
            &path[supers..]
        }
        Some("self") if path.len() > 1 => &path[1..],
        _ => return path.to_vec(),
    };
    base.extend_from_slice(rest);
    base
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
