//! Takes every secret out of a text.
//!
//! Two ways at once, because each alone would miss some: literally, whatever the files with secrets hold,
//! also as it looks in a URL or in base64; and by its look, whatever stands where secrets stand. Blotting
//! out too much costs support a guess, too little costs the customer a password.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Asked, files as readable};
use crate::camera::Source;
use crate::camera::exec::Redactor;
use crate::config::errors::is_secret;
use crate::config::{self, Config};
use crate::upload::DestinationSettings;

/// What stands for a secret.
const BLOT: &str = "…";
/// Most bytes of a file that are looked at for secrets.
const MOST: u64 = 64 << 10;
/// Parameters of presigned URLs whose value is a secret, or half of one; small letters.
const SIGNED: [&str; 7] = [
    "signature=",
    "x-amz-credential=",
    "x-amz-security-token=",
    "awsaccesskeyid=",
    "ossaccesskeyid=",
    "q-ak=",
    "q-sign=",
];
/// Before a credential, wherever it stands; small letters.
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "digest "];

/// Knows this device's secrets.
#[derive(Debug)]
pub(super) struct Scrubber(Redactor);

impl Scrubber {
    /// Reads every file that may hold a secret.
    pub(super) fn new(asked: &Asked, config: Option<&Config>) -> Self {
        let mut commands: Vec<Vec<String>> = Vec::new();
        for camera in config.into_iter().flat_map(|c| &c.cameras) {
            if let Source::Exec(exec) = &camera.source {
                commands.push(exec.command.clone());
            }
        }
        let mut secrets = Vec::new();
        let drop_ins =
            fs::read_dir(config::drop_in_dir(&asked.config)).into_iter().flatten().flatten();
        let configured = [asked.config.clone()].into_iter().chain(drop_ins.map(|e| e.path()));
        let last_good = readable::own(&asked.context.state_dir, "last-good.toml", MOST);
        let texts = configured.map(|file| bytes_of(&file)).chain(last_good);
        for bytes in texts {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            secrets.extend(written_out(&text));
            // A broken file is read by nobody else: whatever stands in quotes may be a command.
            commands.push(quoted(&text));
        }
        for file in files(asked, config) {
            secrets.extend(of_file(&file));
        }
        if let Some(DestinationSettings::S3(s3)) = config.map(|c| &c.upload.destination) {
            secrets.push(s3.access_key.clone());
            secrets.push(s3.secret_key.0.clone());
            secrets.extend(s3.session_token.iter().map(|token| token.0.clone()));
        }
        Self::of(commands.iter().map(Vec::as_slice), secrets)
    }

    fn of<'c>(commands: impl Iterator<Item = &'c [String]>, secrets: Vec<String>) -> Self {
        let mut all: Vec<String> = secrets.iter().flat_map(|secret| looks(secret)).collect();
        // The longest first: a blot must not leave the end of a secret whose beginning is another one.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(Redactor::of_all(commands, all.into_iter()))
    }

    /// The text without secrets.
    pub(super) fn scrub(&self, text: &str) -> String {
        let text = without_private_keys(text);
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let (line, end) = match line.strip_suffix('\n') {
                Some(line) => (line, "\n"),
                None => (line, ""),
            };
            out.push_str(&without_tokens(&self.0.redact(line)));
            out.push_str(end);
        }
        out
    }
}

/// The files that may hold secrets.
fn files(asked: &Asked, config: Option<&Config>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let given = asked.context.credentials_dir.clone();
    let of_unit = PathBuf::from("/run/credentials").join(&asked.unit);
    let beside = asked.config.parent().map(Path::to_owned);
    for dir in given.into_iter().chain([of_unit]) {
        files.extend(fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()));
    }
    // Whatever lies beside the configuration under a name that says so, also where a broken
    // configuration does not name it.
    let says_so = |path: &PathBuf| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        ["credential", "password", "secret", "token", ".key"].iter().any(|w| name.contains(w))
    };
    let beside = beside.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    files.extend(beside.map(|e| e.path()).filter(says_so));
    if let Some(mqtt) = config.and_then(|c| c.mqtt.as_ref()) {
        files.extend(mqtt.password_file.clone());
        files.extend(mqtt.client_certificate.as_ref().map(|(_, key)| key.clone()));
    }
    files
}

/// The beginning of a file; nothing where it cannot be read.
fn bytes_of(path: &Path) -> Vec<u8> {
    readable::beginning(path, MOST).unwrap_or_default()
}

/// Secrets that somebody wrote into a configuration by mistake.
fn written_out(text: &str) -> Vec<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let secret = pairs.filter(|(key, _)| is_secret(key.trim().trim_matches(['"', '\''])));
    secret.flat_map(|(_, value)| quoted(value)).collect()
}

/// All that stands in quotes on one line, in order.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for mut rest in text.lines() {
        while let Some(at) = rest.find(['"', '\'']) {
            let (quote, behind) = rest[at..].split_at(1);
            let Some((inner, left)) = behind.split_once(quote) else { break };
            found.push(inner.to_owned());
            rest = left;
        }
    }
    found
}

/// Every line of a file, and what stands behind `=` in it.
fn of_file(path: &Path) -> Vec<String> {
    let bytes = bytes_of(path);
    let text = String::from_utf8_lossy(&bytes);
    let mut secrets = Vec::new();
    // A password may begin as a comment or a section does; only a file of keys has such lines.
    let of_keys = text.lines().any(|line| {
        line.split_once('=').is_some_and(|(name, _)| is_name(name) && name.contains('_'))
    });
    for line in text.lines().map(str::trim) {
        // Of such lines the words are no secret, and everywhere.
        let passed = of_keys && line.starts_with(['[', '#', ';']);
        if line.is_empty()
            || passed
            || line.starts_with("-----BEGIN ")
            || line.starts_with("-----END ")
        {
            continue;
        }
        match line.split_once('=') {
            // `name = value` of a credentials file; base64 ends with `=` too.
            Some((name, value)) if is_name(name) && !value.trim_matches('=').is_empty() => {
                secrets.push(value.trim().to_owned());
            }
            _ => {}
        }
        secrets.push(line.to_owned());
    }
    secrets
}

fn is_name(word: &str) -> bool {
    let word = word.trim();
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// A secret as it stands, in a URL, in JSON, and in base64.
fn looks(secret: &str) -> [String; 4] {
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    [secret.to_owned(), url.replace('+', "%20"), json, STANDARD.encode(secret)]
}

/// Whole blocks of private keys, also where their end is missing.
fn without_private_keys(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("-----BEGIN ") {
        let line = rest[at..].lines().next().unwrap_or_default();
        if !line.contains("PRIVATE KEY-----") {
            let (before, behind) = rest.split_at(at + 11);
            out.push_str(before);
            rest = behind;
            continue;
        }
        out.push_str(&rest[..at]);
        out.push_str("(a private key)");
        let end = rest[at..].find("-----END ").map(|end| at + end + 9);
        let end = end.and_then(|end| Some(end + rest[end..].find("-----")? + 5));
        rest = end.map_or("", |end| &rest[end..]);
    }
    out.push_str(rest);
    out
}

/// Presigned parameters, bearer tokens, JSON web tokens and AWS key ids.
fn without_tokens(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ',' | ';' | '<' | '>' | '`');
    let length = |from: usize| line[from..].find(ends).unwrap_or(line.len() - from);
    let mut ranges = Vec::new();
    for word in SIGNED.iter().chain(&SCHEMES) {
        for (at, found) in lower.match_indices(word) {
            let from = at + found.len();
            ranges.push(from..from + length(from));
        }
    }
    for start in ["eyJ", "AKIA", "ASIA"] {
        for (at, _) in line.match_indices(start) {
            let begins = line[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
            if begins && length(at) >= 16 {
                ranges.push(at..at + length(at));
            }
        }
    }
    ranges.sort_by_key(|range| range.start);
    let (mut out, mut done) = (String::with_capacity(line.len()), 0);
    for range in ranges.into_iter().filter(|r| !r.is_empty()) {
        if range.start >= done {
            out.push_str(&line[done..range.start]);
            out.push_str(BLOT);
        }
        done = done.max(range.end);
    }
    out.push_str(&line[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        Scrubber::of(std::iter::empty(), secrets.iter().map(|s| (*s).to_owned()).collect())
    }

    #[test]
    fn a_known_secret_is_found_in_every_look_it_may_have() {
        let scrubber = scrubber(&["s/k+HUSH=\"é"]);
        for text in [
            "x s/k+HUSH=\"é x",
            "?a=s%2Fk%2BHUSH%3D%22%C3%A9",
            r#"{"x":"s/k+HUSH=\"é"}"#,
            "cy9rK0hVU0g9IsOp",
        ] {
            let shown = scrubber.scrub(text);
            assert!(!shown.contains("HUSH") && !shown.contains("hVU0g9"), "{shown}");
        }
    }

    #[test]
    fn unknown_secrets_are_known_by_their_look() {
        let scrubber = scrubber(&[]);
        for text in [
            "https://b/k?X-Amz-Signature=HUSH&X-Amz-Credential=HUSH%2F2026&x=1",
            "https://b/k?q-ak=HUSH&q-signature=HUSH",
            "Authorization: Bearer HUSH",
            "with bearer HUSH.HUSH in it",
            "rtsp://me:HUSH@cam/1",
            "--password=HUSH",
            "\"password\": \"HU SH HUSH\"",
            "token eyJhbGciOiJIUzHUSH.eyJzdWIi.HUSH in it",
            "id AKIAHUSHHUSHHUSHHUSH",
            "-----BEGIN EC PRIVATE KEY-----\nHUSH\nHUSH\n-----END EC PRIVATE KEY-----\nleft",
            "-----BEGIN PRIVATE KEY-----\nHUSH cut off",
        ] {
            let shown = scrubber.scrub(text);
            assert!(!shown.contains("HUSH"), "{shown}");
        }
        let plain = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nbucket pictures at host\n";
        assert_eq!(scrubber.scrub(plain), plain);
    }

    #[test]
    fn lines_of_secret_files_are_secrets_and_their_names_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        fs::write(
            &file,
            "[default]\naws_access_key_id = AK\naws_secret_access_key = S=K\n# c\nabc=\n",
        )
        .unwrap();
        let found = of_file(&file);
        assert!(found.contains(&"AK".into()) && found.contains(&"S=K".into()), "{found:?}");
        assert!(
            found.contains(&"abc=".into()) && !found.contains(&"[default]".into()),
            "{found:?}"
        );
        assert_eq!(of_file(dir.path()), Vec::<String>::new());
        for password in ["#hush", ";hush=x", "[hush]", "-----hush"] {
            fs::write(&file, format!("{password}\n")).unwrap();
            assert_eq!(of_file(&file), [password]);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_known_secret_is_never_shown(
            before in "\\PC{0,60}", secret in "[A-Za-z0-9/+]{12}", after in "\\PC{0,60}",
        ) {
            let shown = scrubber(&[&secret]).scrub(&format!("{before}{secret}{after}"));
            prop_assert!(!shown.contains(&secret), "{}", shown);
        }

        #[test]
        fn private_keys_are_taken_out_of_any_text(text in any::<String>()) {
            without_private_keys(&text);
            let planted = format!("{text}-----BEGIN RSA PRIVATE KEY-----\nHUSHHUSH");
            prop_assert!(!without_private_keys(&planted).contains("HUSHHUSH"));
        }
    }
}
