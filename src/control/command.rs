//! Commands as they come over MQTT: parsed and judged, purely.
