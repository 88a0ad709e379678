//! A camera's controls: what it has, with their ranges, and setting them by name.

/// A value as a configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A number, in the control's own unit.
    Number(i64),
    /// A switch.
    Switch(bool),
    /// An entry of a menu, by its name.
    Entry(String),
}
