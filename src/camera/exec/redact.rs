//! Takes passwords out of what people see of a command: what it writes to its stderr.
//!
//! Cameras are named by URLs that hold a user and a password, and programs repeat them in their
//! complaints, whole or in part. A [`Redactor`] is made of the command and called for every line that is
//! logged and every error text: it blots out what looks like a secret, and literally every secret that
//! the command itself held ([`super::secrets`]). Pure. Blotting out too much is harmless here, too little
//! is not.

use std::fmt;
use std::ops::Range;

use super::secrets::{self, SECRETS};

/// What stands for a secret.
const BLOT: &str = "…";

/// Before a value that holds a blank.
const SCHEMES: [&str; 3] = ["basic ", "bearer ", "digest "];

/// Blots secrets out of texts about one command.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// The secrets that the command held.
    held: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({})", self.held.len())
    }
}

impl Redactor {
    pub(super) fn of(command: &[String]) -> Self {
        Self { held: secrets::held(command) }
    }

    /// Of all these commands, and with `more` secrets to be blotted out literally.
    pub(crate) fn of_all<'c>(
        commands: impl Iterator<Item = &'c [String]>,
        more: impl Iterator<Item = String>,
    ) -> Self {
        let mut held: Vec<String> = commands.flat_map(secrets::held).collect();
        held.extend(more.filter(|secret| secret.chars().count() >= secrets::SHORTEST));
        Self { held }
    }

    /// `text` without the secrets of the command, the user part of URLs, and the values of words such as
    /// `password=`.
    pub(crate) fn redact(&self, text: &str) -> String {
        let held = self.held.iter().flat_map(|secret| {
            text.match_indices(secret.as_str()).map(|(at, found)| at..at + found.len())
        });
        let lower = text.to_ascii_lowercase();
        blot(text, held.chain(users(text)).chain(values(&lower)).collect())
    }

    /// `text`, which was cut, without the beginning of a secret at its end.
    pub(super) fn without_a_begun_one<'t>(&self, text: &'t str) -> &'t str {
        let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let begun = |secret: &String| {
            let ends = secret.char_indices().map(|(at, _)| at);
            ends.filter(|at| text.ends_with(&secret[..*at])).max()
        };
        let most = self.held.iter().filter_map(begun).max().unwrap_or(0);
        &text[..text.len() - most]
    }
}

/// `text` with one blot for each run of the ranges.
fn blot(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_by_key(|range| range.start);
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    let mut blotted = None;
    for range in ranges {
        if blotted.is_none_or(|end| range.start > end) {
            out.push_str(&text[done..range.start]);
            out.push_str(BLOT);
        }
        done = done.max(range.end);
        blotted = Some(done);
    }
    out.push_str(&text[done..]);
    out
}

/// The user parts of URLs: `scheme://user:password@host` becomes `scheme://…@host`. A password may
/// itself hold `@` or `/`, so everything up to the last `@` of the word goes.
fn users(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let word = text[start..].find(ends_word).map_or(text.len(), |end| start + end);
        let host = text[start..word].rfind('@').map_or(start, |end| start + end);
        if host > start {
            found.push(start..host);
        }
        from = host;
    }
    found
}

/// The values of secret words in a text of small letters: `password=x` becomes `password=…`.
pub(super) fn values(lower: &str) -> Vec<Range<usize>> {
    let of = |word: &'static str| {
        let ends = lower.match_indices(word).map(|(at, found)| at + found.len());
        ends.filter_map(move |end| value(lower, end, word == "authorization"))
    };
    SECRETS.into_iter().flat_map(of).collect()
}

/// The value of a word that ends at `end`: between quotes, or up to the next `&`, `;`, `,` or the end of
/// the word; the rest of the line after `Authorization:` and such.
fn value(lower: &str, end: usize, header: bool) -> Option<Range<usize>> {
    let behind = lower.get(end..)?;
    let unquoted = behind.strip_prefix(['"', '\'']).unwrap_or(behind);
    let tail = match (unquoted.strip_prefix('='), unquoted.strip_prefix(':')) {
        (Some(tail), _) => tail,
        (None, Some(tail)) => tail.trim_start_matches([' ', '\t']),
        (None, None) => return None,
    };
    let start = lower.len() - tail.len();
    if let Some(quote) = tail.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let len = tail[1..].find(quote).unwrap_or(tail.len() - 1);
        return (len > 0).then_some(start + 1..start + 1 + len);
    }
    let whole = (header && unquoted.starts_with(':'))
        || SCHEMES.iter().any(|scheme| tail.starts_with(scheme));
    let ends = |c| ends_word(c) || matches!(c, '&' | ';' | ',');
    let len = if whole { None } else { tail.find(ends) }.unwrap_or(tail.len());
    (len > 0).then_some(start..start + len)
}

pub(super) fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn what_the_command_held_is_blotted_out_wherever_it_stands() {
        for command in [
            "cam|rtsp://me:HUSH@cam/1",
            "cam|rtsp://HUSH@cam/1",
            "cam|rtsp://me:HU%53H@cam/1",
            "cam|http://cam/?user=me&password=HUSH&channel=1",
            "cam|user-pw=HUSH",
            "cam|rtsp-pwd:HUSH",
            "cam|PASS=HUSH",
            "cam|api_key=\"HUSH\"",
            "cam|-headers|Authorization: Basic HUSH",
            "cam|--password|HUSH",
            "cam|--rtsp-pwd|HUSH",
            "cam|-u|me:HUSH",
            "cam|--user|me:HUSH",
            "cam|--user=me:HUSH",
            "cam|--Token|HUSH",
            "cam|--secret=HUSH",
            "sh|-c|exec cam --password 'HUSH' -i x",
            "sh|-c|exec cam -i 'rtsp://me:HUSH@cam/1'; true",
        ] {
            let words: Vec<String> = command.split('|').map(str::to_owned).collect();
            let redactor = Redactor::of(&words);
            let shown = redactor.redact("cannot log in with <HUSH>, camera porch");
            assert_eq!(shown, "cannot log in with <…>, camera porch", "{command}");
            assert_eq!(redactor.without_a_begun_one("in with HUS"), "in with ", "{command}");
            assert!(!format!("{redactor:?}").contains("HUSH"));
        }
        for command in ["cam|-u|porch", "cam|-pass|1", "cam|-f|mjpeg|-", "cam|pw=ab"] {
            let words: Vec<String> = command.split('|').map(str::to_owned).collect();
            assert_eq!(Redactor::of(&words).redact("porch 1 ab mjpeg"), "porch 1 ab mjpeg");
        }
    }

    #[test]
    fn users_of_urls_are_blotted_out_and_the_rest_stays() {
        for (text, shown) in [
            ("rtsp://admin:hush@10.0.0.7:554/1", "rtsp://…@10.0.0.7:554/1"),
            ("[rtsp @ 0x55] rtsp://u:hush@h: 401", "[rtsp @ 0x55] rtsp://…@h: 401"),
            ("'rtsp://u:hu@sh@h/' and http://hush@b", "'rtsp://…@h/' and http://…@b"),
            ("rtsp://u:hu/sh@h/1", "rtsp://…@h/1"),
            ("rtsp://h:554/1 mail a@b", "rtsp://h:554/1 mail a@b"),
            ("://@", "://@"),
            ("nothing to see", "nothing to see"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn values_of_secret_words_are_blotted_out() {
        for (text, shown) in [
            ("rtsp://h/user=me&password=hush&channel=1", "rtsp://h/user=me&password=…&channel=1"),
            ("http://h/?Token=hush", "http://h/?Token=…"),
            ("-headers Authorization: Basic aHVzaA==", "-headers Authorization: …"),
            ("password=hush pass=hush", "password=… pass=…"),
            ("password= compass", "password= compass"),
            ("?password=&password=hush&x=1", "?password=&password=…&x=1"),
            ("pw:hush user-pw: hush x", "pw:… user-pw: … x"),
            ("rtsp-pwd='hu sh' x api_key:hush", "rtsp-pwd='…' x api_key:…"),
            ("{\"password\": \"hu sh\", \"x\": 1}", "{\"password\": \"…\", \"x\": 1}"),
            ("auth=Bearer hush", "auth=…"),
            ("keyframe: 3, x", "keyframe: 3, x"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    proptest! {
        #[test]
        fn a_password_in_a_url_is_never_shown(
            before in "[a-zé /:@=]{0,20}",
            password in "HUSH[a-zA-Z0-9:/@?#%&=é]{0,12}",
            after in "[a-z0-9/ @é]{0,20}",
        ) {
            let shown = redact(&format!("{before}rtsp://me:{password}@host/{after}"));
            prop_assert!(!shown.contains("HUSH"), "{}", shown);
        }

        #[test]
        fn any_text_is_redacted_without_a_panic_and_twice_is_once(text in any::<String>()) {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }
    }
}
