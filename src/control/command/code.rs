//! Why commands are rejected: the codes that requesters' programs go by.

/// Why a command was not taken. The words are stable; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Its topic is not below this device's own `cmd/`.
    Foreign,
    /// Its id is not well formed, or the topic's and the payload's are not the same.
    BadId,
    /// Its payload is too long; it was not read.
    TooLarge,
    /// It was retained: an order of another time.
    Retained,
    /// It is not JSON, or a field is missing or of the wrong type.
    Malformed,
    /// It has a field that is not known.
    UnknownField,
    /// Its operation is not known.
    UnknownOp,
    /// A value is outside its limits.
    BadValue,
    /// It was issued more than five minutes after our time.
    NotYetValid,
    /// Its time to live was over when it came.
    Expired,
    /// Too many commands came in too short a time.
    RateLimited,
    /// Too many commands are at work.
    Busy,
    /// It could not be written down: the disk or the index is failing.
    Unavailable,
}

impl Code {
    /// All codes, in the order that counters keep.
    pub const ALL: [Self; 13] = [
        Self::Foreign,
        Self::BadId,
        Self::TooLarge,
        Self::Retained,
        Self::Malformed,
        Self::UnknownField,
        Self::UnknownOp,
        Self::BadValue,
        Self::NotYetValid,
        Self::Expired,
        Self::RateLimited,
        Self::Busy,
        Self::Unavailable,
    ];

    /// Is it about the moment at which a command came, and not about the command? Then it is not told of
    /// a command that was accepted before and comes again: that one's own story goes on.
    #[must_use]
    pub fn is_of_the_moment(self) -> bool {
        matches!(
            self,
            Self::Retained
                | Self::NotYetValid
                | Self::Expired
                | Self::RateLimited
                | Self::Busy
                | Self::Unavailable
        )
    }

    /// The word that is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::BadId => "bad-id",
            Self::TooLarge => "too-large",
            Self::Retained => "retained",
            Self::Malformed => "malformed",
            Self::UnknownField => "unknown-field",
            Self::UnknownOp => "unknown-op",
            Self::BadValue => "bad-value",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::RateLimited => "rate-limited",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}
