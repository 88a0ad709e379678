//! Object metadata from facts.
