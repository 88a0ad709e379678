//! Configuration: one strict TOML file, validated into each part's own settings.
