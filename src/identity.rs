//! Identity: device id, hardware fingerprint, labels.
