//! Hours from what people write.

use super::{Days, Mark, Span};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SPAN_HELP: &str = "write `mon-fri 07:00 to 19:00`, `22:00 to 06:00`, `sat,sun`, or with the sun: `sunset-30m to sunrise`";
/// Nobody means more by "after sunset".
const MOST_OFFSET: i16 = 12 * 60;

/// `[days] from to until`, or days alone for all of them.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let wrong = |what: String| format!("{what}; {SPAN_HELP}");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, rest) = leading_days(&words);
    match (days, rest) {
        (Some(days), []) => Ok(Span { days, from: Mark::Clock(0), until: Mark::Clock(1440) }),
        (days, [from, "to", until]) => {
            let mark = |word: &&str| mark(word).map_err(wrong);
            Ok(Span { days: days.unwrap_or(Days::ALL), from: mark(from)?, until: mark(until)? })
        }
        _ => Err(wrong(format!("`{text}` says no hours"))),
    }
}

fn leading_days<'a, 'b>(words: &'a [&'b str]) -> (Option<Days>, &'a [&'b str]) {
    match words.split_first() {
        Some((first, rest)) => match days(first) {
            Some(days) => (Some(days), rest),
            None => (None, words),
        },
        None => (None, words),
    }
}

/// `mon`, `mon-fri`, `fri-mon`, `sat,sun`, `daily`.
fn days(word: &str) -> Option<Days> {
    let word = word.to_ascii_lowercase();
    if word == "daily" {
        return Some(Days::ALL);
    }
    let number = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut bits = 0u8;
    for part in word.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        let length = (last + 7 - first) % 7;
        (first..=first + length).for_each(|day| bits |= 1 << (day % 7));
    }
    Some(Days(bits))
}

/// `07:30`, `24:00`, `sunrise`, `sunset-30m`, `sunrise+1h`.
fn mark(word: &str) -> Result<Mark, String> {
    let wrong = || format!("`{word}` is no time of day");
    let lower = word.to_ascii_lowercase();
    for (name, mark) in
        [("sunrise", Mark::Sunrise as fn(i16) -> Mark), ("sunset", Mark::Sunset as fn(i16) -> Mark)]
    {
        if let Some(offset) = lower.strip_prefix(name) {
            return minutes(offset).map(mark).ok_or_else(|| {
                format!("`{word}` is no time of day: up to 12 hours from {name} as `{name}-30m` or `{name}+2h`")
            });
        }
    }
    let digits = |text: &str| -> Option<u16> {
        let two = text.len() <= 2 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        two.then(|| text.parse().ok()).flatten()
    };
    let (hour, minute) = lower.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = (
        digits(hour).ok_or_else(wrong)?,
        digits(minute).filter(|_| minute.len() == 2).ok_or_else(wrong)?,
    );
    let all = hour * 60 + minute;
    if minute > 59 || all > 1440 { Err(wrong()) } else { Ok(Mark::Clock(all)) }
}

/// Nothing, or a sign, a number and `m` or `h`.
fn minutes(text: &str) -> Option<i16> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return None,
    };
    let (number, unit) = match (rest.strip_suffix('m'), rest.strip_suffix('h')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => return None,
    };
    let number: i16 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
    let minutes = number.checked_mul(unit)?;
    (minutes <= MOST_OFFSET).then_some(sign * minutes)
}
