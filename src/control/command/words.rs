//! Words from outside: which of them are well formed, and how they are repeated to people.
//!
//! Whatever a requester wrote may stand in a reason's text, in a log and on a terminal. [`quote`] and
//! [`serde_words`] are the only ways there: short, and without anything that moves a cursor or turns the
//! direction of writing.

/// Most characters of outside input in one reason.
pub(super) const MOST: usize = 80;

/// Longest camera name, and longest name of an entry of `meta`.
pub(super) const NAME: usize = 32;

/// Longest label, and longest value of an entry of `meta`.
pub(super) const WORD: usize = 64;

/// Longest command id.
pub(super) const ID: usize = 64;

/// `[a-z0-9-]{1,32}`: cameras, and names of metadata.
pub(super) fn is_name(text: &str) -> bool {
    is(text, NAME, |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// `[A-Za-z0-9._:-]{1,64}`: labels, and values of metadata.
pub(super) fn is_word(text: &str) -> bool {
    is(text, WORD, |c| c.is_ascii_alphanumeric() || b"._:-".contains(&c))
}

/// `[A-Za-z0-9_-]{1,64}`: command ids.
pub(super) fn is_id(text: &str) -> bool {
    is(text, ID, |c| c.is_ascii_alphanumeric() || b"_-".contains(&c))
}

fn is(text: &str, most: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(allowed)
}

/// What somebody wrote, to be repeated to a person: `` `cam…` ``.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", cut(text, MOST / 2))
}

/// What serde said of an input: its own words whole, the input's that it repeats cut short.
pub(super) fn serde_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // What follows the last of these is serde's own, whatever the input holds; what stands before it
    // repeats a field's name or a value.
    let own = text.rfind(", expected ").unwrap_or(text.len());
    format!("{}{}", cut(&text[..own], MOST), cut(&text[own..], 300))
}

/// The first `most` characters, those of no use on a terminal replaced.
fn cut(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).map(harmless).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

fn harmless(c: char) -> char {
    // Line and paragraph separators, marks that turn the direction of writing, and the byte order mark.
    let hidden = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    if c.is_control() || hidden { '?' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_words_and_ids_have_their_letters_and_lengths() {
        assert!(is_name("front-1") && !is_name("Front") && !is_name("") && !is_name("a_b"));
        assert!(is_word("v1.2:a-B") && !is_word("a b") && !is_word("ä"));
        assert!(is_id("01HZ_a-b") && !is_id("a/b") && !is_id("a.b"));
        let long = "a".repeat(64);
        assert!(is_id(&long) && is_word(&long) && !is_name(&long) && is_name(&long[..32]));
        assert!(!is_id(&"a".repeat(65)) && !is_word(&"a".repeat(65)) && !is_name(&long[..33]));
    }

    #[test]
    fn serdes_own_words_are_kept_and_the_inputs_cut() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct One {
            a: u8,
        }
        assert_eq!(serde_json::from_str::<One>("{\"a\":1}").unwrap().a, 1);
        let name = format!("\\u001b, expected {}", "x".repeat(500));
        let error = serde_json::from_str::<One>(&format!("{{\"{name}\":1}}")).unwrap_err();
        let words = serde_words(&error);
        assert!(words.starts_with("unknown field `?, expected xxx"), "{words}");
        assert!(words.ends_with("…, expected `a` at line 1 column 520"), "{words}");
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_short_and_harmless(text in any::<String>()) {
            let quoted = quote(&text);
            prop_assert!(quoted.chars().count() <= 100);
            prop_assert!(!quoted.chars().any(|c| c.is_control()));
        }
    }
}
