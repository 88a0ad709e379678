//! The JSON schema of the file, generated from the tables in `raw`.
//!
//! `config/schema.json` is this, for editors; `shape` holds every file against it. TOML has no null,
//! so optional keys are simply keys that are not required.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw::Root;

/// The schema, generated once.
#[must_use]
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Root>().to_value();
        tidy(&mut schema);
        if let Some(root) = schema.as_object_mut() {
            root.insert("title".into(), "Vedette configuration".into());
        }
        schema
    })
}

/// The schema as the file `config/schema.json` holds it.
#[must_use]
pub fn schema_json() -> String {
    format!("{:#}\n", schema())
}

/// Takes null out of types and defaults, whole tables out of defaults, and Rust's number formats out.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    map.insert("type".into(), one);
                }
            }
            if let Some(Value::Array(words)) = map.get_mut("enum") {
                words.retain(|w| !w.is_null());
            }
            unwrap_option(map);
            map.retain(|key, value| match (key.as_str(), &value) {
                ("default", Value::Null | Value::Object(_) | Value::Array(_)) => false,
                ("format", Value::String(name)) => !name.starts_with("uint") && name != "double",
                _ => true,
            });
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// `anyOf: [X, null]` becomes `X`, beside what the field itself says.
fn unwrap_option(map: &mut serde_json::Map<String, Value>) {
    let Some(Value::Array(options)) = map.get_mut("anyOf") else { return };
    options.retain(|o| o.get("type").is_none_or(|t| t != "null"));
    let inner = if options.len() == 1 { options.pop() } else { None };
    let Some(Value::Object(inner)) = inner else { return };
    map.remove("anyOf");
    for (key, value) in inner {
        map.entry(key).or_insert(value);
    }
}
