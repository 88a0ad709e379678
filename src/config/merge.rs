//! One tree of several files: tables merge, masks add up, everything else is the later file's. Pure.
//!
//! - Masks of all files hold: they hide what nobody may see, and a file that adds one must not show what
//!   another one hid. Other arrays are replaced whole: to add to an array from elsewhere would make its meaning depend on files
//!   that nobody sees together.
//! - Of alternatives (the schema's `oneOf`, as `s3` and `dir` of a destination, and `not`, as `keep` and
//!   `every`) a later file's takes the place of an earlier one's. Two in *one* file collide as ever.
//! - A table's own place stays where it was first written; each value's is where it stands.
//! - Nothing can be taken away: TOML has no word for that.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::errors::{ConfigErrors, MOST, blotted};
use super::retired::{self, Retired};
use super::source::{Sources, shifted};

/// The key whose arrays add up.
const MASKS: &str = "mask";

/// The tree of all files, and notes on keys of earlier versions; `None` when one is not TOML.
pub(crate) fn tree<'s>(
    sources: &'s Sources,
    schema: &Value,
    retired: &[Retired],
    errors: &mut ConfigErrors,
) -> Option<(Spanned<DeTable<'s>>, Vec<Note>)> {
    let (mut merged, mut notes) = (DeTable::new(), Vec::new());
    for file in sources.files() {
        let (root, syntax) = DeTable::parse_recoverable(&file.text);
        // Of a flood only the first ones: the rest follows from them.
        for error in syntax.iter().take(MOST) {
            let span = error.span().map(|span| shifted(&span, file.start));
            errors.push_first_of_line(span, error.message(), syntax_help(error.message()));
        }
        if !syntax.is_empty() {
            // What the parser recovered is a guess; errors about a guess only confuse.
            continue;
        }
        let mut root = moved_table(root.into_inner(), file.start);
        notes.extend(retired::replace(&mut root, retired));
        merge(&mut merged, root, schema);
    }
    errors.is_empty().then(|| (Spanned::new(0..sources.whole().len(), merged), notes))
}

/// What is told of a key, and where it stands in the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) span: Range<usize>,
    pub(crate) what: String,
}

/// The files together as TOML, a line a value with the file and line that it comes from behind it.
pub(crate) fn in_lines(sources: &Sources) -> Result<String, ConfigErrors> {
    let mut errors = ConfigErrors::new(sources);
    match tree(sources, super::schema(), retired::RETIRED, &mut errors) {
        Some((root, _)) => Ok(lines(root.get_ref(), sources)),
        None => Err(errors),
    }
}

/// The tree as TOML, a line a value with the file and line that it comes from behind it. What looks like a
/// secret is blotted.
fn lines(root: &DeTable<'_>, sources: &Sources) -> String {
    let mut out = String::new();
    table_lines(root, "", sources, &mut out);
    out
}

fn table_lines(table: &DeTable<'_>, path: &str, sources: &Sources, out: &mut String) {
    for (key, value) in table {
        let name = bare(key.get_ref());
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => table_lines(inner, &path, sources, out),
            leaf => {
                // An empty table stands where its header does.
                let place = if leaf.is_table() { key.span() } else { value.span() };
                let line = blotted(&format!("{path} = {}", plain(leaf)));
                let (file, number) = sources.line(place.start);
                let file = file.file_name().unwrap_or_default().display();
                writeln!(out, "{line}  # {file}:{number}").ok(); // writing to a String cannot fail
            }
        }
    }
}

/// A key as it may stand in a dotted one.
fn bare(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    match !key.is_empty() && key.bytes().all(plain) {
        true => key.to_owned(),
        false => toml::Value::String(key.to_owned()).to_string(),
    }
}

fn table(from: &DeTable<'_>) -> toml::Table {
    let each = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), plain(value.get_ref()))
    };
    from.iter().map(each).collect()
}

fn plain(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::Table(inner) => toml::Value::Table(table(inner)),
        DeValue::Array(items) => {
            toml::Value::Array(items.iter().map(|i| plain(i.get_ref())).collect())
        }
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Boolean(b) => toml::Value::Boolean(*b),
        DeValue::Datetime(time) => toml::Value::Datetime(*time),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_or_else(|_| toml::Value::String(n.to_string()), toml::Value::Integer),
        DeValue::Float(n) => n
            .as_str()
            .parse()
            .map_or_else(|_| toml::Value::String(n.to_string()), toml::Value::Float),
    }
}

/// A remedy for the parser's own words.
fn syntax_help(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "write each key and each table once"
    } else {
        "write `key = value`, text in double quotes, tables as `[name]` on a line of their own"
    }
}

fn merge<'s>(base: &mut DeTable<'s>, over: DeTable<'s>, schema: &Value) {
    for options in alternatives(schema) {
        if options.iter().any(|key| over.contains_key(*key)) {
            let gone = options.iter().filter(|key| !over.contains_key(**key));
            gone.for_each(|key| drop(base.remove(*key)));
        }
    }
    for (key, value) in over {
        let name = key.get_ref().as_ref();
        let inner = schema.get("properties").and_then(|p| p.get(name));
        let inner = inner.or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null);
        let (span, value) = (value.span(), value.into_inner());
        let old = base.get_mut(name).map(Spanned::get_mut);
        match (old, value) {
            (Some(DeValue::Table(old)), DeValue::Table(new)) => merge(old, new, inner),
            (Some(DeValue::Array(old)), DeValue::Array(new)) if name == MASKS => {
                new.into_iter().for_each(|mask| old.push(mask));
            }
            (_, value) => {
                // Inserted alone, the old key would keep its place.
                base.remove(name);
                base.insert(key, Spanned::new(span, value));
            }
        }
    }
}

/// Keys of this table of which one excludes the others, in groups.
fn alternatives(schema: &Value) -> Vec<Vec<&str>> {
    let list = |at: &'_ str| schema.pointer(at).and_then(Value::as_array).into_iter().flatten();
    let one_of = list("/oneOf").flat_map(required).collect();
    let not = schema.get("not").into_iter().chain(list("/not/anyOf"));
    not.map(|group| required(group).collect()).chain([one_of]).collect()
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let words = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str)
}

fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    let moved = table.into_iter().map(|(key, value)| {
        let key = Spanned::new(shifted(&key.span(), by), key.into_inner());
        (key, moved(value, by))
    });
    moved.collect()
}

fn moved(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shifted(&value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        DeValue::Array(array) => {
            let mut out = DeArray::new();
            array.into_iter().for_each(|item| out.push(moved(item, by)));
            DeValue::Array(out)
        }
        other => other,
    };
    Spanned::new(span, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// What these files, each with its name, are together; `schema` knows of alternatives.
    fn merged(files: &[(&str, &str)], schema: &Value) -> String {
        let files = files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned()));
        let sources = Sources::new(files.collect(), Vec::new());
        let mut errors = ConfigErrors::new(&sources);
        match tree(&sources, schema, &[], &mut errors) {
            Some((root, _)) => lines(root.get_ref(), &sources),
            None => errors.to_string(),
        }
    }

    #[test]
    fn tables_merge_values_and_arrays_are_the_later_files() {
        let files = [
            ("v.toml", "[a]\nx = 1\ny = 2\nlist = [1, 2]\n[a.b]\nz = 'ä'\n"),
            ("1.toml", "a.y = 3\na.list = [{ k = 'v' }]\n\"odd key\" = true\n"),
        ];
        assert_eq!(
            merged(&files, &Value::Null),
            "a.b.z = \"ä\"  # v.toml:6\na.list = [{ k = \"v\" }]  # 1.toml:2\na.x = 1  # v.toml:2\n\
             a.y = 3  # 1.toml:1\n\"odd key\" = true  # 1.toml:3\n"
        );
    }

    #[test]
    fn masks_of_all_files_add_up() {
        let files = [
            ("v.toml", "[[camera.a.mask]]\nn = 1\n[[camera.a.mask]]\nn = 2\n"),
            ("1.toml", "[[camera.a.mask]]\nn = 3\n"),
            ("2.toml", "camera.a.mask = []\n"),
        ];
        let shown = merged(&files, &Value::Null);
        assert!(
            shown.starts_with("camera.a.mask = [{ n = 1 }, { n = 2 }, { n = 3 }]  # "),
            "{shown}"
        );
    }

    #[test]
    fn a_later_alternative_takes_the_place_of_an_earlier_one() {
        let schema = serde_json::json!({ "properties": {
            "to": { "oneOf": [{ "required": ["s3"] }, { "required": ["dir"] }] },
            "of": { "not": { "anyOf": [{ "required": ["a", "b"] }, { "required": ["a", "c"] }] } },
        } });
        let with =
            |late: &str| merged(&[("v", "to.s3.x = 1\nof.b = 1\nof.c = 2"), ("l", late)], &schema);
        assert_eq!(with("to.dir.y = 2"), "of.b = 1  # v:2\nof.c = 2  # v:3\nto.dir.y = 2  # l:1\n");
        assert_eq!(with("of.a = 3"), "of.a = 3  # l:1\nto.s3.x = 1  # v:1\n");
        assert!(with("of.b = 3").contains("of.c = 2"), "b and c go together");
        let both = with("to.dir.y = 2\nto.s3.x = 3");
        assert!(
            both.contains("to.dir") && both.contains("to.s3"),
            "for the walk to refuse: {both}"
        );
    }
}
