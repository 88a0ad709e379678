//! Backoff: full jitter and the breaker. Pure: randomness is passed in.
