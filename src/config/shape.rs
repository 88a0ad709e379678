//! Holds a parsed file against the schema: every unknown key, wrong type, value out of range and
//! missing key is reported at once, each at its place; `${…}` is expanded on the way.
//!
//! The result is plain JSON without the parts that were wrong, so that the meaning of the rest can
//! still be checked. Pure. Nesting is bounded by the parser (80 levels).

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::errors::{ConfigErrors, is_secret, nearest};
use super::expand::{Variables, expand};
use super::place::Path;
use super::source::Sources;
use super::units;

/// Checks `root` against `schema` and gives back what is sound of it, expanded.
pub(crate) fn check(
    root: &Spanned<DeTable<'_>>,
    sources: &Sources,
    schema: &Value,
    variables: &Variables,
    errors: &mut ConfigErrors,
) -> Value {
    let mut walk = Walk { source: sources.whole(), variables, errors };
    // What the whole lacks is missing at the end of the main file.
    let end = sources.end_of_main();
    let sound = walk.table(root.get_ref(), &At { path: Path::default(), span: end..end, schema });
    sound.unwrap_or(Value::Null)
}

/// A value to check: where it stands, and what the schema says of it.
struct At<'a> {
    path: Path,
    span: Range<usize>,
    schema: &'a Value,
}

impl At<'_> {
    /// A keyword of the schema that lists words.
    fn words(&self, keyword: &str) -> Vec<&str> {
        words(self.schema.get(keyword))
    }
}

struct Walk<'w> {
    source: &'w str,
    variables: &'w Variables,
    errors: &'w mut ConfigErrors,
}

impl Walk<'_> {
    fn value(&mut self, value: &DeValue<'_>, at: &At<'_>) -> Option<Value> {
        let wanted = wanted_type(at.schema, value);
        match (value, wanted) {
            (DeValue::Table(table), "object") => self.table(table, at),
            (DeValue::Array(array), "array") => self.array(array, at),
            (DeValue::String(text), "string") => self.text(text, at),
            (DeValue::Boolean(b), "boolean") => Some(Value::Bool(*b)),
            (DeValue::Integer(n), "integer" | "number") => self.integer(n, at),
            (DeValue::Float(n), "number") => self.float(n.as_str(), at),
            (DeValue::Array(_), "object") => {
                let help = format!("write `[{}]`, with single brackets", at.path);
                self.error(at, "expected a table, found an array".into(), help)
            }
            (found, _) => {
                let (wanted, found) = (wanted_name(at.schema), found_name(found));
                self.error(at, format!("expected {wanted}, found {found}"), example(at.schema))
            }
        }
    }

    /// A broken entry takes the whole array with it: the indices of the rest would no longer fit.
    fn array(&mut self, array: &DeArray<'_>, at: &At<'_>) -> Option<Value> {
        self.count(array.len(), "minItems", "maxItems", at);
        let schema = at.schema.get("items").unwrap_or(&Value::Null);
        let each = |(i, v): (usize, &Spanned<DeValue<'_>>)| {
            self.value(v.get_ref(), &At { path: at.path.index(i), span: v.span(), schema })
        };
        let items: Vec<_> = array.iter().enumerate().map(each).collect();
        items.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn table(&mut self, table: &DeTable<'_>, at: &At<'_>) -> Option<Value> {
        let none = Map::new();
        let known = at.schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = at.schema.get("additionalProperties").filter(|o| o.is_object());
        let names = at.schema.pointer("/propertyNames/format").and_then(Value::as_str);
        let (mut out, mut given) = (Map::new(), Vec::new());
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let place = if value.get_ref().is_table() { key.span() } else { value.span() };
            let at = |span, schema| At { path: at.path.key(name), span, schema };
            if let Some(Err(help)) = names.map(|format| units::check(format, name)) {
                let at = at(key.span(), &Value::Null);
                self.error::<()>(&at, format!("`{name}` is not a name"), help);
            }
            given.push((name, key.span()));
            match known.get(name).or(others) {
                Some(schema) => {
                    let sound = self.value(value.get_ref(), &at(place, schema));
                    out.extend(sound.map(|v| (name.to_owned(), v)));
                }
                None => {
                    // Somebody who mistyped a key has not left it out as well.
                    let meant = self.unknown(name, known, &at(key.span(), &Value::Null));
                    given.extend(meant.map(|m| (m, key.span())));
                }
            }
        }
        self.count(table.len(), "minProperties", "maxProperties", at);
        self.missing(&given, at);
        self.exactly_one(given, at);
        let complete = at.words("required").iter().all(|key| out.contains_key(*key));
        complete.then_some(Value::Object(out))
    }

    /// Tells of an unknown key, and which one was probably meant.
    fn unknown<'k>(
        &mut self,
        name: &str,
        known: &'k Map<String, Value>,
        at: &At<'_>,
    ) -> Option<&'k str> {
        let near = nearest(name, known.keys().map(String::as_str));
        let help = match near {
            _ if is_secret(name) => {
                "secrets are not written here: put them into a file, see `credentials_file`".into()
            }
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", quoted(known.keys().map(String::as_str))),
        };
        self.error::<()>(at, format!("unknown key `{name}`"), help);
        near
    }

    fn missing(&mut self, given: &[(&str, Range<usize>)], at: &At<'_>) {
        for key in at.words("required") {
            if given.iter().any(|(name, _)| *name == key) {
                continue;
            }
            let property = at.schema.get("properties").and_then(|p| p.get(key));
            let is_table = property.and_then(|p| p.get("type")).is_some_and(|t| t == "object");
            let path = at.path.key(key);
            let name = if is_table { format!("[{path}]") } else { key.to_owned() };
            let at = At { path, span: at.span.clone(), schema: &Value::Null };
            let help = format!("add `{name}`: {}", about(property));
            self.error::<()>(&at, format!("`{name}` is missing"), help);
        }
    }

    fn exactly_one(&mut self, mut given: Vec<(&str, Range<usize>)>, at: &At<'_>) {
        let options = at.schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let options: Vec<&str> = options.flat_map(|o| words(o.get("required"))).collect();
        given.retain(|(name, _)| options.contains(name));
        given.sort_by_key(|(_, span)| span.start);
        let (path, all) = (&at.path, quoted(options.iter().copied()));
        match given.as_slice() {
            [] if !options.is_empty() => {
                let help = format!("add exactly one of {all}");
                self.error::<()>(at, format!("`{path}` has none of {all}"), help);
            }
            [(first, _), (second, span), ..] if first != second => {
                let at = At { path: path.key(second), span: span.clone(), schema: &Value::Null };
                let what = format!("`{path}` has both `{first}` and `{second}`");
                self.error::<()>(&at, what, format!("keep one of {all}"));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, at: &At<'_>) -> Option<Value> {
        match expand(text, self.variables) {
            Ok(text) => match wrong_text(&text, at) {
                Some((what, help)) => self.error(at, what, help),
                None => Some(Value::String(text.into_owned())),
            },
            Err(unknown) => {
                let place = text.get(unknown.place).and_then(|t| self.within(&at.span, t));
                let span = place.unwrap_or(at.span.clone());
                let at = At { path: at.path.clone(), span, schema: at.schema };
                self.error(&at, unknown.what, unknown.help)
            }
        }
    }

    /// The place of `part` inside the source of a string.
    fn within(&self, span: &Range<usize>, part: &str) -> Option<Range<usize>> {
        let at = self.source.get(span.clone())?.find(part)? + span.start;
        Some(at..at + part.len())
    }

    fn integer(&mut self, n: &DeInteger<'_>, at: &At<'_>) -> Option<Value> {
        match i64::from_str_radix(n.as_str(), n.radix()) {
            #[allow(clippy::cast_precision_loss, reason = "only compared with ranges")]
            Ok(n) => self.number(n as f64, Value::from(n), at),
            Err(_) => self.error(at, format!("{n} is too large"), limits(at.schema)),
        }
    }

    fn float(&mut self, text: &str, at: &At<'_>) -> Option<Value> {
        match text.parse::<f64>().ok().filter(|n| n.is_finite()) {
            Some(n) => self.number(n, Value::from(n), at),
            None => self.error(at, format!("{text} is not a finite number"), limits(at.schema)),
        }
    }

    fn number(&mut self, n: f64, value: Value, at: &At<'_>) -> Option<Value> {
        let bound = |key| at.schema.get(key).and_then(Value::as_f64);
        let low = bound("minimum").is_some_and(|min| n < min);
        let high = bound("maximum").is_some_and(|max| n > max);
        if !low && !high {
            return Some(value);
        }
        let size = if low { "small" } else { "large" };
        self.error(at, format!("{value} is too {size}"), limits(at.schema))
    }

    fn count(&mut self, n: usize, least: &str, most: &str, at: &At<'_>) {
        let bound = |key| at.schema.get(key).and_then(Value::as_u64);
        let noun = if n == 1 { "entry" } else { "entries" };
        let what = format!("`{}` has {n} {noun}", at.path);
        if let Some(min) = bound(least).filter(|min| (n as u64) < *min) {
            let help = format!("give at least {min}: {}", about(Some(at.schema)));
            self.error::<()>(at, what, help);
        } else if let Some(max) = bound(most).filter(|max| (n as u64) > *max) {
            self.error::<()>(at, what, format!("give at most {max}"));
        }
    }

    /// Tells of an error; `None`, so that the value it is about is left out.
    fn error<T>(&mut self, at: &At<'_>, what: String, help: String) -> Option<T> {
        self.errors.push(at.path.to_string(), Some(at.span.clone()), what, help);
        None
    }
}

/// What is wrong with an expanded text, and what would be right.
fn wrong_text(text: &str, at: &At<'_>) -> Option<(String, String)> {
    let allowed = at.words("enum");
    if !allowed.is_empty() && !allowed.contains(&text) {
        let near = nearest(text, allowed.iter().copied());
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        let what = format!("`{text}` is not one of the allowed words");
        return Some((what, format!("{near}allowed: {}", quoted(allowed))));
    }
    let format = at.schema.get("format").and_then(Value::as_str).unwrap_or_default();
    if let Err(help) = units::check(format, text) {
        return Some((format!("`{text}` is not {}", noun(format)), help));
    }
    out_of_range(text, at.schema)
}

/// A duration or size outside the schema's own bounds.
fn out_of_range(text: &str, schema: &Value) -> Option<(String, String)> {
    let outside = |low: &str, high: &str, less: fn(&str, &str) -> bool| {
        let (min, max) = (schema.get(low)?.as_str()?, schema.get(high)?.as_str()?);
        let small = less(text, min);
        (small || less(max, text)).then(|| {
            let size = if small { "small" } else { "large" };
            (format!("`{text}` is too {size}"), format!("give {min} to {max}"))
        })
    };
    outside("minDuration", "maxDuration", |a, b| units::duration(a) < units::duration(b))
        .or_else(|| outside("minSize", "maxSize", |a, b| units::size(a) < units::size(b)))
}

/// The allowed range of a number, in words.
fn limits(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(min), Some(max)) => format!("give {min} to {max}"),
        (Some(min), None) => format!("give {min} or more"),
        _ => "give a smaller number".into(),
    }
}

/// What the schema says of a property.
fn about(schema: Option<&Value>) -> String {
    let text = schema.and_then(|s| s.get("description")).and_then(Value::as_str);
    let line = text.unwrap_or("see config/vedette.toml").replace('\n', " ");
    line.trim_end_matches('.').to_owned()
}

fn example(schema: &Value) -> String {
    let text = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    if let Err(help) = units::check(text, "") {
        return help;
    }
    let allowed = words(schema.get("enum"));
    if !allowed.is_empty() {
        return format!("allowed: {}", quoted(allowed));
    }
    match schema.get("minimum") {
        Some(_) => format!("{}: {}", limits(schema), about(Some(schema))),
        None => about(Some(schema)),
    }
}

/// The type that the schema wants; of several the one that was found, if it is among them.
fn wanted_type<'s>(schema: &'s Value, found: &DeValue<'_>) -> &'s str {
    let found = match found {
        DeValue::Boolean(_) => "boolean",
        DeValue::Integer(_) => "integer",
        DeValue::String(_) => "string",
        _ => "",
    };
    let several = words(schema.get("type"));
    match several.iter().find(|wanted| **wanted == found) {
        Some(wanted) => wanted,
        None if several.is_empty() => {
            schema.get("type").and_then(Value::as_str).unwrap_or("string")
        }
        None => "one of several",
    }
}

fn wanted_name(schema: &Value) -> &'static str {
    if schema.get("type").is_some_and(Value::is_array) {
        return "a whole number, `true` or `false`, or text in quotes";
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => "a table",
        Some("array") => "an array `[…]`",
        Some("boolean") => "`true` or `false`",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        _ => "text in quotes",
    }
}

fn found_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn noun(format: &str) -> &'static str {
    match format {
        "duration" => "a duration",
        "size" => "a size",
        "frame-size" => "a frame size",
        "pace" => "a pace",
        "usb-id" => "a USB id",
        "name" => "a name",
        _ => "allowed here",
    }
}

fn words(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}
