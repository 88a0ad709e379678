//! The `vedette` binary: parse, dispatch, exit code.

fn main() {}
