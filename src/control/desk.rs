//! The desk: takes MQTT commands through their life, from delivery to outcome.
