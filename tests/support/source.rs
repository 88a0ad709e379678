//! The project's own source, read as text: modules, code without comments, literals and test items, and
//! the paths that it names.
//!
//! For `tests/architecture.rs`. A text scanner, not a parser: it knows just enough of the language to
//! tell code from what only looks like it.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file: its module path and its text.
pub(crate) fn sources(root: &Path) -> Vec<(String, String)> {
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

/// Modules that exist for tests alone and have a file of their own.
pub(crate) fn test_modules<'a>(
    module: &'a str,
    text: &str,
) -> impl Iterator<Item = String> + use<'a> {
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
pub(crate) fn without_comments_and_literals(text: &str) -> String {
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
pub(crate) fn without_test_items(code: &str) -> String {
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
pub(crate) fn paths(code: &str, module: &str) -> Vec<(usize, Vec<String>)> {
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
