//! Object keys from templates.
