//! Commands as they come over MQTT: parsed and judged, purely.

mod code;
mod said;
mod words;

pub use self::code::Code;
pub use self::said::{MAX_BOXES, MAX_META, check_said};
