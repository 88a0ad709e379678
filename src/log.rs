//! Logging: journald when present, else stderr; repeats are rate-limited, secrets never get here.
