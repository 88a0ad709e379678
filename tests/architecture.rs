//! Who may know whom, held against the source itself.
//!
//! Every path in `src/**/*.rs` is read as text (comments, literals and test code taken out, `use` trees
//! and `super::` spelt out) and compared with [`RULES`]. A rule that stands in the way is changed here,
//! in the open, or not at all.

#[path = "support/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use source::{paths, sources, test_modules, without_comments_and_literals, without_test_items};

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
    "alarm",
    "backoff",
    "account",
    "contract",
    "duty",
    "firstpass",
    "still::*",
    "spool::browse",
    "spool::held",
    "spool::unwritten",
    "spool::trailer",
    "spool::retention",
    "upload::classify",
    "grant::s3",
    "grant::cos",
    "grant::oss",
    "control::command",
    "control::request",
    "doctor::report",
    "doctor::clock",
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
    Rule {
        whose: &["mqtt"],
        but: &[],
        never: &[
            "reqwest",
            "rusty_s3",
            "crate::account",
            "crate::camera",
            "crate::capture",
            "crate::config",
            "crate::control",
            "crate::firstpass",
            "crate::grant",
            "crate::still",
            "crate::sys",
            "crate::upload",
        ],
        why: "mqtt carries messages between the broker, the spool's outbox and the desk, and knows none by \
              meaning",
    },
    Rule {
        whose: &["*"],
        but: &["mqtt::session"],
        never: &["rumqttc"],
        why: "one file knows the MQTT library, so that another version can stand beside it",
    },
    Rule {
        whose: &["tls"],
        but: &[],
        never: &["tokio", "reqwest", "rumqttc", "crate::config", "crate::mqtt", "crate::upload"],
        why: "who is believed is decided once, for all that goes out",
    },
    Rule {
        whose: &["mqtt::fault"],
        but: &[],
        never: &["tokio", "std::fs", "std::net", "Instant::now", "crate::spool", "crate::tls"],
        why: "faults and waits are decided purely",
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
        but: &["cli", "main", "doctor", "diagnose"],
        never: &["crate::doctor", "crate::diagnose"],
        why: "the doctor looks at everyone from outside, and nobody leans on it",
    },
    Rule {
        whose: &["doctor", "diagnose"],
        but: &[],
        never: &["crate::spool", "crate::still", "reqwest", "rusty_s3"],
        why: "the doctor speaks to store and broker by the agent's own code, and never touches the spool",
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
    let all = "account agent alarm backoff camera capture cli clock config contract control diagnose doctor duty \
        firstpass frame grant health identity log main mqtt page spool status still sys tls upload *";
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
        ("mqtt::line", "use rumqttc::EventLoop;", "rumqttc"),
        ("mqtt::outbox", "use crate::control::desk;", "crate::control"),
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
