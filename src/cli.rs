//! What people call: one file per subcommand.
