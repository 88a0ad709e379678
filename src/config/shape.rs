//! Holds a parsed file against the schema: every unknown key, wrong type, value out of range and
//! missing key is reported at once, each at its place; `${…}` is expanded on the way.
//!
//! The result is plain JSON without the parts that were wrong, so that the meaning of the rest can
//! still be checked. Pure. Nesting is bounded by the parser (80 levels).

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::errors::{ConfigErrors, nearest};
use super::expand::{Variables, expand};
use super::place::Path;
use super::units;

/// Checks `root` against `schema` and gives back what is sound of it, expanded.
pub(crate) fn check(
    root: &Spanned<DeTable<'_>>,
    source: &str,
    schema: &Value,
    variables: &Variables,
    errors: &mut ConfigErrors,
) -> Value {
    let mut walk = Walk { source, variables, errors };
    walk.table(root.get_ref(), None, schema, &Path::default())
}

struct Walk<'w> {
    source: &'w str,
    variables: &'w Variables,
    errors: &'w mut ConfigErrors,
}

impl Walk<'_> {
    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        place: Range<usize>,
        schema: &Value,
        path: &Path,
    ) -> Option<Value> {
        let span = if value.get_ref().is_table() { place } else { value.span() };
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or("string");
        match (value.get_ref(), wanted) {
            (DeValue::Table(table), "object") => Some(self.table(table, Some(span), schema, path)),
            (DeValue::Array(array), "array") => {
                self.count("entries", array.len(), ["minItems", "maxItems"], &span, schema, path);
                let schema = schema.get("items").unwrap_or(&Value::Null);
                let items = array.iter().enumerate();
                let items = items.map(|(i, v)| self.value(v, v.span(), schema, &path.index(i)));
                // A broken entry takes the whole array with it: indices would no longer fit.
                items.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (DeValue::String(text), "string") => self.text(text, &span, schema, path),
            (DeValue::Boolean(b), "boolean") => Some(Value::Bool(*b)),
            (DeValue::Integer(n), "integer" | "number") => self.integer(n, &span, schema, path),
            (DeValue::Float(n), "number") => self.float(n.as_str(), &span, schema, path),
            (found, _) => {
                let what = format!("expected {}, found {}", wanted_name(schema), found_name(found));
                self.error(path, &span, what, example(schema));
                None
            }
        }
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        span: Option<Range<usize>>,
        schema: &Value,
        path: &Path,
    ) -> Value {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties").filter(|o| o.is_object());
        let names = schema.pointer("/propertyNames/format").and_then(Value::as_str);
        let mut out = Map::new();
        for (key, value) in table {
            let (name, path) = (key.get_ref().as_ref(), path.key(key.get_ref()));
            if let Some(Err(help)) = names.map(|format| units::check(format, name)) {
                self.error(&path, &key.span(), format!("`{name}` is not a name"), help);
            }
            match known.get(name).or(others) {
                Some(schema) => {
                    let value = self.value(value, key.span(), schema, &path);
                    out.extend(value.map(|v| (name.to_owned(), v)));
                }
                None => self.unknown(name, &key.span(), known, &path),
            }
        }
        // What the whole file lacks is missing at its end.
        let end = self.source.trim_end().len();
        let place = span.unwrap_or(end..end);
        self.count(
            "entries",
            table.len(),
            ["minProperties", "maxProperties"],
            &place,
            schema,
            path,
        );
        self.missing(table, &place, schema, path);
        self.exactly_one(table, &place, schema, path);
        Value::Object(out)
    }

    fn unknown(
        &mut self,
        name: &str,
        span: &Range<usize>,
        known: &Map<String, Value>,
        path: &Path,
    ) {
        let help = match nearest(name, known.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", quoted(known.keys().map(String::as_str))),
        };
        self.error(path, span, format!("unknown key `{name}`"), help);
    }

    fn missing(&mut self, table: &DeTable<'_>, span: &Range<usize>, schema: &Value, path: &Path) {
        for key in words(schema.get("required")) {
            if table.contains_key(key) {
                continue;
            }
            let property = schema.get("properties").and_then(|p| p.get(key));
            let kind = property.and_then(|p| p.get("type")).and_then(Value::as_str);
            let full = path.key(key).to_string();
            let (what, help) = match kind {
                Some("object") if key == "camera" => {
                    ("there is no camera".into(), "add `[camera.front]` with a source, for example `v4l2.device = \"/dev/video0\"`".into())
                }
                Some("object") => (format!("there is no `[{full}]`"), format!("add `[{full}]`: {}", about(property))),
                _ => (format!("`{key}` is missing"), format!("add `{key}`: {}", about(property))),
            };
            self.error(&path.key(key), span, what, help);
        }
    }

    fn exactly_one(
        &mut self,
        table: &DeTable<'_>,
        span: &Range<usize>,
        schema: &Value,
        path: &Path,
    ) {
        let options = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let options: Vec<&str> = options.flat_map(|o| words(o.get("required"))).collect();
        let mut present: Vec<_> = options.iter().filter_map(|o| table.get_key_value(*o)).collect();
        present.sort_by_key(|(key, _)| key.span().start);
        match present.as_slice() {
            [] if !options.is_empty() => {
                let help = format!("add exactly one of {}", quoted(options.iter().copied()));
                self.error(
                    path,
                    span,
                    format!("`{path}` has none of {}", quoted(options.iter().copied())),
                    help,
                );
            }
            [(a, _), (b, _), ..] => {
                let a = a.get_ref();
                let help = format!("keep one of {}", quoted(options.iter().copied()));
                let what = format!("`{path}` has both `{a}` and `{}`", b.get_ref());
                self.error(&path.key(b.get_ref()), &b.span(), what, help);
            }
            _ => {}
        }
    }

    fn text(
        &mut self,
        text: &str,
        span: &Range<usize>,
        schema: &Value,
        path: &Path,
    ) -> Option<Value> {
        let text = match expand(text, self.variables) {
            Ok(text) => text,
            Err(unknown) => {
                let place = text.get(unknown.place).and_then(|t| self.within(span, t));
                let place = place.unwrap_or(span.clone());
                self.error(path, &place, unknown.what, unknown.help);
                return None;
            }
        };
        let wrong = self.wrong_text(&text, schema);
        if let Some((what, help)) = wrong {
            self.error(path, span, what, help);
            return None;
        }
        Some(Value::String(text.into_owned()))
    }

    fn wrong_text(&self, text: &str, schema: &Value) -> Option<(String, String)> {
        let allowed = words(schema.get("enum"));
        if !allowed.is_empty() && !allowed.contains(&text) {
            let help = match nearest(text, allowed.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Allowed: {}", quoted(allowed)),
                None => format!("allowed: {}", quoted(allowed)),
            };
            return Some((format!("`{text}` is not one of the allowed words"), help));
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        if let Err(help) = units::check(format, text) {
            return Some((format!("`{text}` is not {}", noun(format)), help));
        }
        out_of_range(text, schema)
    }

    /// The place of `part` inside the source of a string.
    fn within(&self, span: &Range<usize>, part: &str) -> Option<Range<usize>> {
        let at = self.source.get(span.clone())?.find(part)? + span.start;
        Some(at..at + part.len())
    }

    fn integer(
        &mut self,
        n: &DeInteger<'_>,
        span: &Range<usize>,
        schema: &Value,
        path: &Path,
    ) -> Option<Value> {
        match i64::from_str_radix(n.as_str(), n.radix()) {
            #[allow(clippy::cast_precision_loss, reason = "the ranges are far below 2^53")]
            Ok(n) => self.number(n as f64, Value::from(n), span, schema, path),
            Err(_) => {
                self.error(path, span, format!("{n} is too large"), limits(schema));
                None
            }
        }
    }

    fn float(
        &mut self,
        text: &str,
        span: &Range<usize>,
        schema: &Value,
        path: &Path,
    ) -> Option<Value> {
        match text.parse::<f64>().ok().filter(|n| n.is_finite()) {
            Some(n) => self.number(n, Value::from(n), span, schema, path),
            None => {
                self.error(path, span, format!("{text} is not a finite number"), limits(schema));
                None
            }
        }
    }

    fn number(
        &mut self,
        n: f64,
        value: Value,
        span: &Range<usize>,
        schema: &Value,
        path: &Path,
    ) -> Option<Value> {
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        let low = bound("minimum").is_some_and(|min| n < min);
        let high = bound("maximum").is_some_and(|max| n > max);
        if !low && !high {
            return Some(value);
        }
        let what = format!("{value} is too {}", if low { "small" } else { "large" });
        self.error(path, span, what, limits(schema));
        None
    }

    fn count(
        &mut self,
        noun: &str,
        n: usize,
        keys: [&str; 2],
        span: &Range<usize>,
        schema: &Value,
        path: &Path,
    ) {
        let bound = |key| schema.get(key).and_then(Value::as_u64);
        let n = n as u64;
        if let Some(min) = bound(keys[0]).filter(|min| n < *min) {
            self.error(
                path,
                span,
                format!("`{path}` has {n} {noun}"),
                format!("give at least {min}: {}", about(Some(schema))),
            );
        }
        if let Some(max) = bound(keys[1]).filter(|max| n > *max) {
            self.error(
                path,
                span,
                format!("`{path}` has {n} {noun}"),
                format!("give at most {max}"),
            );
        }
    }

    fn error(
        &mut self,
        path: &Path,
        span: &Range<usize>,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(path.to_string(), Some(span.clone()), what, help);
    }
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

fn wanted_name(schema: &Value) -> &'static str {
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
