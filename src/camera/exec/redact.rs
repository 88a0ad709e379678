//! Takes passwords out of what people see of a command: its words, and what it writes to its stderr.
//!
//! Cameras are named by URLs that hold a user and a password, and programs repeat them in their
//! complaints. Called for every line that is logged, every error text, and `Display` of the settings.
//! Pure. Blotting out too much is harmless here, too little is not.

/// What stands for a secret.
const BLOT: &str = "…";

/// Words before a `=` or `:` whose value is a secret; `rtsp://host/user=admin&password=…` is a usual
/// form of camera URLs.
const SECRETS: [&str; 8] =
    ["password", "passwd", "pwd", "pass", "token", "secret", "authorization", "auth"];

/// `text` without the user part of its URLs and without the values of words such as `password=`.
#[must_use]
pub fn redact(text: &str) -> String {
    values(&users(text))
}

/// `scheme://user:password@host` becomes `scheme://…@host`. A password may itself hold `@` or `/`, so
/// everything up to the last `@` of the word goes.
fn users(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let word = after.find(ends_word).unwrap_or(after.len());
        let host = after[..word].rfind('@').unwrap_or(0);
        if host > 0 {
            out.push_str(BLOT);
        }
        rest = &after[host..];
    }
    out.push_str(rest);
    out
}

/// `password=x` becomes `password=…`, up to the next `&`, `;` or the end of the word; after
/// `Authorization:` the whole rest goes.
fn values(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    while let Some((value, end)) = next_value(&lower, from) {
        out.push_str(&text[from..value]);
        out.push_str(BLOT);
        from = end;
    }
    out.push_str(&text[from..]);
    out
}

/// Where the next secret value stands at or after `from`.
fn next_value(lower: &str, from: usize) -> Option<(usize, usize)> {
    let found = |word: &&str| {
        let mut at = from;
        loop {
            let key = at + lower.get(at..)?.find(*word)?;
            at = key + word.len();
            let value = match lower.as_bytes().get(at) {
                Some(b'=') => at + 1..ends_at(lower, at + 1),
                Some(b':') if *word == "authorization" => at + 1..lower.len(),
                _ => continue,
            };
            if !value.is_empty() {
                return Some((value.start, value.end));
            }
        }
    };
    SECRETS.iter().filter_map(found).min()
}

fn ends_at(text: &str, from: usize) -> usize {
    let end = text[from..].find(|c| ends_word(c) || matches!(c, '&' | ';' | ','));
    end.map_or(text.len(), |at| from + at)
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            ("-headers Authorization: Basic aHVzaA==", "-headers Authorization:…"),
            ("password=hush pass=hush", "password=… pass=…"),
            ("password= compass", "password= compass"),
            ("?password=&password=hush&x=1", "?password=&password=…&x=1"),
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
