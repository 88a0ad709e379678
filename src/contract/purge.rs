//! `purge`: which pictures somebody wants away from a device unsent, and the receipt of what was removed.
//!
//! Pure. The selection comes in with a command, the receipt is its result; fields are only ever added.

use serde::{Deserialize, Serialize};

use super::Class;

/// Most pictures in flight that a receipt names.
pub const MAX_NAMED: usize = 64;

/// Which pictures are meant: those that fit every field that is there. None there: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Of this camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// Of this class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Of this event, its manifest included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Taken at least so many seconds ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_s: Option<u64>,
}

/// Pictures of one camera and class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The camera.
    pub camera: String,
    /// The class.
    pub class: Class,
    /// How many.
    pub pictures: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// What was removed, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Pictures that were removed.
    pub pictures: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// The same by camera and class.
    pub parts: Vec<Part>,
    /// When the first of them was taken, RFC 3339; `None` where of none the time is known.
    pub oldest: Option<String>,
    /// When the last of them was taken.
    pub newest: Option<String>,
    /// Removed ones whose time of capture is not known.
    pub undated: u64,
    /// Sequence numbers of pictures that were meant and left alone, as they were being sent: at most [`MAX_NAMED`].
    pub in_flight: Vec<u64>,
    /// How many those were.
    pub in_flight_count: u64,
    /// Pictures left alone because their files do not tell whether they are meant: damaged ones.
    pub unreadable: u64,
}

impl Receipt {
    /// Adds a picture that was removed; `taken` is when, RFC 3339.
    pub fn add(&mut self, camera: &str, class: Class, bytes: u64, taken: Option<&str>) {
        self.pictures += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.parts.iter_mut().find(|p| p.camera == camera && p.class == class) {
            Some(part) => {
                part.pictures += 1;
                part.bytes = part.bytes.saturating_add(bytes);
            }
            None => self.parts.push(Part { camera: camera.to_owned(), class, pictures: 1, bytes }),
        }
        let Some(taken) = taken else {
            self.undated += 1;
            return;
        };
        // One form of writing, so that the order of the texts is that of the times.
        if self.oldest.as_deref().is_none_or(|oldest| taken < oldest) {
            self.oldest = Some(taken.to_owned());
        }
        if self.newest.as_deref().is_none_or(|newest| taken > newest) {
            self.newest = Some(taken.to_owned());
        }
    }

    /// Notes a picture that was left alone because it was being sent.
    pub fn leave_in_flight(&mut self, seq: u64) {
        self.in_flight_count += 1;
        if self.in_flight.len() < MAX_NAMED {
            self.in_flight.push(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_counts_by_camera_and_class_and_spans_the_times_that_are_known() {
        let mut receipt = Receipt::default();
        receipt.add("front", Class::Event, 100, Some("2026-11-22T10:15:30.123Z"));
        receipt.add("front", Class::Event, 50, Some("2026-11-21T23:59:59.000Z"));
        receipt.add("back", Class::Best, 7, None);
        assert_eq!((receipt.pictures, receipt.bytes, receipt.undated), (3, 157, 1));
        assert_eq!(receipt.oldest.as_deref(), Some("2026-11-21T23:59:59.000Z"));
        assert_eq!(receipt.newest.as_deref(), Some("2026-11-22T10:15:30.123Z"));
        let parts: Vec<_> =
            receipt.parts.iter().map(|p| (p.camera.as_str(), p.pictures, p.bytes)).collect();
        assert_eq!(parts, [("front", 2, 150), ("back", 1, 7)]);
        (0..100).for_each(|seq| receipt.leave_in_flight(seq));
        assert_eq!((receipt.in_flight.len(), receipt.in_flight_count), (MAX_NAMED, 100));
    }
}
