//! The few words of roff that the pages need. Pure.

/// Text that roff shows as it stands: no backslash, dot or quote of it is a request.
///
/// Hyphens become minus signs, so that options can be searched for and copied.
pub(crate) fn text(plain: &str) -> String {
    guarded(&escaped(plain))
}

fn escaped(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 8);
    for c in plain.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            // Without these, roff turns them into typographic ones.
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            _ => out.push(c),
        }
    }
    out
}

/// A dot that begins a line would be a request.
fn guarded(escaped: &str) -> String {
    let guard =
        |line: &str| if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() };
    escaped.split('\n').map(guard).collect::<Vec<_>>().join("\n")
}

/// Running text in which `words` between back quotes are bold, as man pages write what is typed.
pub(crate) fn prose(plain: &str) -> String {
    let mut out = String::new();
    for (number, part) in plain.split('`').enumerate() {
        let marked = number % 2 == 1;
        out += if marked { "\\fB" } else { "" };
        out += &escaped(part);
        out += if marked { "\\fR" } else { "" };
    }
    guarded(&out)
}

/// A page's first line. `date` is written as the day.
pub(crate) fn title(name: &str, section: u8, date: &jiff::Timestamp) -> String {
    let day = date.strftime("%Y-%m-%d");
    let version = crate::VERSION;
    format!(".TH {} {section} {day} \"Vedette {version}\" \"Vedette\"\n", text(name).to_uppercase())
}

/// A section of paragraphs.
pub(crate) fn section(name: &str, body: &str) -> String {
    format!(".SH {name}\n{body}")
}

/// Lines as they stand, in a fixed font and indented.
pub(crate) fn literal(lines: &str) -> String {
    format!(".PP\n.RS 4\n.EX\n{}\n.EE\n.RE\n", text(lines.trim_end_matches('\n')))
}

/// A word and what it means.
pub(crate) fn item(word: &str, meaning: &str) -> String {
    format!(".TP\n\\fB{}\\fR\n{}\n", text(word), prose(meaning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_request_or_an_escape() {
        assert_eq!(text(".SH no\n'no\na\\b --c"), "\\&.SH no\n\\(aqno\na\\eb \\-\\-c");
    }

    #[test]
    fn words_between_back_quotes_are_bold() {
        assert_eq!(prose("see `vedette check`."), "see \\fBvedette check\\fR.");
        assert_eq!(prose("`x`\n.y"), "\\fBx\\fR\n\\&.y");
    }
}
