//! Reads a key template and says exactly what is wrong with one that cannot be used.
//!
//! Called when a configuration is validated and, on templates that passed once, for every key. Pure.

use super::{Field, MAX_KEY, Part, Segment, longest};

/// Fields a template may use, as shown in errors.
const KNOWN: &str = "{device} {camera} {yyyy} {mm} {dd} {hhmmss.mmm} {trigger} {seq} {sha16} {site} \
                     {tenant} {label:NAME} {event} {boot} {shard} {shard:3} {shard:4}";

/// Why a key template cannot be used, and what would be right. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing there.
    #[error("the key template is empty; leave it out to get the default")]
    Empty,
    /// A field nobody knows.
    #[error("unknown field {{{name}}} at column {column}; known are {KNOWN}")]
    UnknownField {
        /// Where its brace opens.
        column: usize,
        /// What stands between the braces.
        name: String,
    },
    /// `{` without `}`.
    #[error("the brace at column {column} is never closed; write fields as {{name}}")]
    Unclosed {
        /// Where the brace opens.
        column: usize,
    },
    /// A character that some store or event encoding would change.
    #[error(
        "character {character:?} at column {column} cannot be in a key; use letters A-Z a-z, digits, \
         and / _ . -"
    )]
    BadCharacter {
        /// Where.
        column: usize,
        /// Which.
        character: char,
    },
    /// Begins with `/`.
    #[error("a key does not begin with '/'; remove column 1")]
    LeadingSlash,
    /// Ends with `/`.
    #[error(
        "a key does not end with '/' (column {column}); add a file name such as {{seq}}-{{sha16}}.jpg"
    )]
    TrailingSlash {
        /// Where.
        column: usize,
    },
    /// `//`.
    #[error("'//' at column {column}: an empty folder name; write one '/'")]
    EmptySegment {
        /// Where the second slash is.
        column: usize,
    },
    /// `.` or `..` as a name, or `..` inside one.
    #[error("'.' and '..' cannot be folder names in a key (column {column}); remove the dots")]
    Dots {
        /// Where.
        column: usize,
    },
    /// Two pictures could get one key.
    #[error(
        "the field {{{0}}} is missing; every key needs {{seq}} and {{sha16}} so that no two pictures \
         share one"
    )]
    Missing(&'static str),
    /// The longest key it can give is too long.
    #[error("keys could be {length} bytes long; at most {MAX_KEY} are safe with every store")]
    TooLong {
        /// Longest key.
        length: usize,
    },
    /// A field stands for something the device has not been given.
    #[error("the template uses {{{field}}} but {field} is not set; set it, or remove the field")]
    Unset {
        /// Which.
        field: String,
    },
    /// A value is too long to stand in a key.
    #[error("{field} is {length} characters long; at most {max} fit into a key")]
    ValueTooLong {
        /// Which.
        field: String,
        /// Its length.
        length: usize,
        /// What is allowed.
        max: usize,
    },
}

impl TemplateError {
    /// Where in the template, in characters from 1, if it is one place.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::UnknownField { column, .. }
            | Self::Unclosed { column }
            | Self::BadCharacter { column, .. }
            | Self::TrailingSlash { column }
            | Self::EmptySegment { column }
            | Self::Dots { column } => Some(*column),
            Self::LeadingSlash => Some(1),
            Self::Empty
            | Self::Missing(_)
            | Self::TooLong { .. }
            | Self::Unset { .. }
            | Self::ValueTooLong { .. } => None,
        }
    }
}

/// Reads and checks a template.
pub(super) fn parse(source: &str) -> Result<Vec<Segment>, TemplateError> {
    if source.is_empty() {
        return Err(TemplateError::Empty);
    }
    let segments = split(source)?;
    for (field, name) in [(Field::Seq, "seq"), (Field::Sha16, "sha16")] {
        if !segments.iter().flatten().any(|part| *part == Part::Field(field.clone())) {
            return Err(TemplateError::Missing(name));
        }
    }
    let length = longest(&segments);
    if length > MAX_KEY { Err(TemplateError::TooLong { length }) } else { Ok(segments) }
}

fn split(source: &str) -> Result<Vec<Segment>, TemplateError> {
    let mut done: Vec<Segment> = Vec::new();
    let mut open = Segment::new();
    let mut end = 0;
    let mut chars = source.chars().zip(1..);
    while let Some((character, column)) = chars.next() {
        end = column;
        match character {
            '/' if open.is_empty() && done.is_empty() => return Err(TemplateError::LeadingSlash),
            '/' if open.is_empty() => return Err(TemplateError::EmptySegment { column }),
            '/' => done.push(close(std::mem::take(&mut open), column - 1)?),
            '{' => open.push(Part::Field(field(&mut chars, column)?)),
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | '-' => {
                add(&mut open, character, column)?;
            }
            _ => return Err(TemplateError::BadCharacter { column, character }),
        }
    }
    if open.is_empty() {
        return Err(TemplateError::TrailingSlash { column: end });
    }
    done.push(close(open, end)?);
    Ok(done)
}

/// Adds a literal character; two dots in a row never get in.
fn add(segment: &mut Segment, character: char, column: usize) -> Result<(), TemplateError> {
    match segment.last_mut() {
        Some(Part::Text(text)) if character == '.' && text.ends_with('.') => {
            return Err(TemplateError::Dots { column });
        }
        Some(Part::Text(text)) => text.push(character),
        _ => segment.push(Part::Text(character.into())),
    }
    Ok(())
}

fn close(segment: Segment, column: usize) -> Result<Segment, TemplateError> {
    match segment.as_slice() {
        [Part::Text(text)] if text == "." => Err(TemplateError::Dots { column }),
        _ => Ok(segment),
    }
}

fn field(
    chars: &mut impl Iterator<Item = (char, usize)>,
    column: usize,
) -> Result<Field, TemplateError> {
    let mut name = String::new();
    for (character, _) in chars {
        match character {
            '}' => return named(&name).ok_or(TemplateError::UnknownField { column, name }),
            '{' | '/' => break,
            _ => name.push(character),
        }
    }
    Err(TemplateError::Unclosed { column })
}

fn named(name: &str) -> Option<Field> {
    if let Some(label) = name.strip_prefix("label:") {
        let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let usable = !label.is_empty() && label.len() <= 32 && label.chars().all(right);
        return usable.then(|| Field::Label(label.into()));
    }
    Some(match name {
        "device" => Field::Device,
        "site" => Field::Site,
        "tenant" => Field::Tenant,
        "shard" | "shard:2" => Field::Shard(2),
        "shard:3" => Field::Shard(3),
        "shard:4" => Field::Shard(4),
        "camera" => Field::Camera,
        "yyyy" => Field::Year,
        "mm" => Field::Month,
        "dd" => Field::Day,
        "hhmmss.mmm" => Field::Time,
        "trigger" => Field::Trigger,
        "seq" => Field::Seq,
        "sha16" => Field::Sha16,
        "event" => Field::Event,
        "boot" => Field::Boot,
        _ => return None,
    })
}
