//! The secrets that a command holds in its arguments, so that they can be blotted out wherever they
//! appear again, and the words by which a secret is known.
//!
//! Each argument is looked at as a whole and in its words: it may be a script for a shell. Pure.

use super::redact::{ends_word, values};

/// Ends of names whose value is a secret: `user-pw=`, `rtsp_password:`, `--api-key`;
/// `rtsp://host/user=admin&password=…` is a usual form of camera URLs.
pub(crate) const SECRETS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "pw",
    "token",
    "secret",
    "key",
    "authorization",
    "auth",
];

/// Options whose argument is a user and, behind `:`, a password.
const USERS: [&str; 2] = ["u", "user"];

/// A shorter one says too little, and would blot out half of everything.
pub(super) const SHORTEST: usize = 3;

/// Does a value of this name have to be kept from people?
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|word| name.ends_with(word))
}

/// Is this an option whose argument is a secret, or holds one?
pub(crate) fn is_secret_option(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    name.len() < word.len() && (is_secret_name(name) || USERS.contains(&name))
}

/// Every secret in the command that is long enough to be looked for.
pub(super) fn held(command: &[String]) -> Vec<String> {
    let whole: Vec<&str> = command.iter().map(String::as_str).collect();
    let script = |c| ends_word(c) || c == ';';
    let parts = whole.iter().flat_map(|word| word.split(script));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let mut held = Vec::new();
    for words in [&whole, &parts] {
        words.iter().for_each(|word| of_word(word, &mut held));
        for pair in words.windows(2) {
            of_option(pair[0], pair[1], &mut held);
        }
    }
    held.sort_unstable();
    held.dedup();
    held
}

/// The user parts of URLs, and the values behind `=` or `:`.
fn of_word(word: &str, held: &mut Vec<String>) {
    for (at, url) in word.match_indices("://") {
        let behind = &word[at + url.len()..];
        let user = behind.rsplit_once('@').map_or("", |(user, _)| user);
        keep(user, held);
        keep(user.split_once(':').map_or("", |(_, password)| password), held);
    }
    for value in values(&word.to_ascii_lowercase()) {
        // A separator may be a part of the secret.
        keep(&word[value.start..], held);
        let value = &word[value];
        keep(value, held);
        keep(value.split_once(' ').map_or("", |(_scheme, secret)| secret), held);
    }
    if let Some((option, value)) = word.split_once('=') {
        of_option(option, value, held);
    }
    if let Some((user, password)) = word.strip_prefix("-u").and_then(|user| user.split_once(':')) {
        keep(if user.contains('=') { "" } else { password }, held);
    }
}

/// The argument of an option.
fn of_option(option: &str, argument: &str, held: &mut Vec<String>) {
    if !is_secret_option(option) {
        return;
    }
    if USERS.contains(&option.trim_start_matches('-')) {
        keep(argument.split_once(':').map_or("", |(_, password)| password), held);
    } else {
        keep(argument, held);
    }
}

/// Keeps a secret, also as a program shows it that has taken the percent signs out of its URL.
fn keep(secret: &str, held: &mut Vec<String>) {
    let secret = secret.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    for secret in [secret.to_owned(), decoded(secret)] {
        if secret.chars().count() >= SHORTEST {
            held.push(secret);
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
