//! The name of a pixel format in the file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::frame::PixelFormat;

/// A pixel format by its [name](PixelFormat::name); docs/formats.md has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format(pub(crate) PixelFormat);

impl From<Format> for PixelFormat {
    fn from(Format(format): Format) -> Self {
        format
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(d)?;
        PixelFormat::from_name(&name)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("there is no pixel format `{name}`")))
    }
}

impl JsonSchema for Format {
    fn schema_name() -> Cow<'static, str> {
        "Format".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = PixelFormat::PREFERENCE.map(PixelFormat::name);
        json_schema!({ "type": "string", "enum": names.as_slice() })
    }
}
