//! What people ask of the spool: which pictures are there, what is known of one, and what is to be sent again, removed
//! or checked.
//!
//! An [`Ask`] gets one [`Told`], through the running agent's socket or from a spool that was opened by itself where no
//! agent runs: the same code either way. Whatever may be long comes in pages, one call a page, and the spool's thread
//! does its other work between them; these are only the words, pure: `above` is 0 first, then the `next` of the answer until there is none.
//!
//! No ask touches a picture that is being sent, and whatever is removed is counted lost(`purged`), in the one order.

use serde::{Deserialize, Serialize};

use crate::contract::{Class, Facts};

/// Pictures looked at in one call.
pub const PAGE: usize = 256;
/// Files read in one call.
pub const SWEEP: usize = 64;

/// Where a picture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// It waits for a trusted clock.
    Waiting,
    /// It is to be sent.
    Queued,
    /// It was set aside.
    Quarantined,
}

impl Held {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Which pictures are meant; an empty one means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of this camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// Of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// From this number on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Up to this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// Up to [`PAGE`] pictures, by number.
    List {
        /// Which.
        #[serde(default)]
        filter: Filter,
        /// Above this number.
        #[serde(default)]
        above: u64,
    },
    /// All that is known of one.
    Show {
        /// Its number.
        seq: u64,
    },
    /// What was set aside is queued again, and what rests after a refusal is sent now.
    Retry {
        /// Which.
        #[serde(default)]
        filter: Filter,
        /// Above this number.
        #[serde(default)]
        above: u64,
    },
    /// Removes pictures that are not being sent.
    Purge {
        /// Which.
        #[serde(default)]
        filter: Filter,
        /// Above this number.
        #[serde(default)]
        above: u64,
    },
    /// Reads up to [`SWEEP`] files and holds them against the index.
    Check {
        /// Is what is wrong to be put right?
        #[serde(default)]
        repair: bool,
        /// Above this number.
        #[serde(default)]
        above: u64,
    },
}

/// One picture, by its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// Where it stands.
    pub held: Held,
    /// Its camera.
    pub camera: String,
    /// What it is worth.
    pub class: Class,
    /// The boot in which it was taken.
    pub boot: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// Answers that refused it.
    pub attempts: u32,
    /// Why it was set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Is it being sent?
    #[serde(default)]
    pub in_flight: bool,
    /// Does it rest after a refusal?
    #[serde(default)]
    pub resting: bool,
}

/// All that is known of one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its row.
    pub entry: Entry,
    /// Its file.
    pub file: String,
    /// The key it is stored under, once that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What its file tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// What is wrong with its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Pictures that something was done to, of one camera and class.
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

/// What was done with one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// To which.
    pub parts: Vec<Part>,
    /// The lowest and the highest number among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seqs: Option<(u64, u64)>,
    /// Pictures that were meant and left alone: they are being sent, or their files cannot be read.
    pub left: u64,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl Done {
    /// Adds one picture.
    pub fn add(&mut self, entry: &Entry) {
        let Entry { camera, class, bytes, seq, .. } = entry;
        let same = |p: &&mut Part| p.camera == *camera && p.class == *class;
        match self.parts.iter_mut().find(same) {
            Some(part) => {
                part.pictures += 1;
                part.bytes += bytes;
            }
            None => {
                let (camera, class) = (camera.clone(), *class);
                self.parts.push(Part { camera, class, pictures: 1, bytes: *bytes });
            }
        }
        self.seqs = Some(self.seqs.map_or((*seq, *seq), |(a, b)| (a.min(*seq), b.max(*seq))));
    }

    /// Adds what was done with a later page, and goes on from there.
    pub fn merge(&mut self, page: Self) {
        for part in page.parts {
            let same = |p: &&mut Part| p.camera == part.camera && p.class == part.class;
            match self.parts.iter_mut().find(same) {
                Some(p) => {
                    p.pictures += part.pictures;
                    p.bytes += part.bytes;
                }
                None => self.parts.push(part),
            }
        }
        self.seqs = match (self.seqs, page.seqs) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        self.left += page.left;
        self.next = page.next;
    }

    /// Pictures and bytes of their files.
    #[must_use]
    pub fn sum(&self) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(n, b), part| (n + part.pictures, b + part.bytes))
    }
}

/// What a check finds of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// File and row are there, and the bytes are those of the digest.
    Whole,
    /// It was set aside already.
    Aside,
    /// It is being sent, or its removal goes on.
    Busy,
    /// There is a row and no file. Put right: lost(`missing`).
    Missing,
    /// The file is not what it should be. Put right: set aside.
    Corrupt,
    /// The disk would not give the file. Nothing puts that right.
    Unreadable,
    /// A whole picture without a row, as from a copy that somebody put back. Put right: it is queued.
    Stray,
    /// A file without a row that is no picture. Put right: it is removed.
    Litter,
}

impl Verdict {
    /// Is nothing wrong?
    #[must_use]
    pub fn is_well(self) -> bool {
        matches!(self, Self::Whole | Self::Aside | Self::Busy)
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Each number that was looked at, in order.
    pub found: Vec<(u64, Verdict)>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// To [`Ask::List`]: pictures, and where the next page begins.
    List(Vec<Entry>, Option<u64>),
    /// To [`Ask::Show`]; nothing where there is no such picture.
    Show(Option<Box<Shown>>),
    /// To [`Ask::Retry`] and [`Ask::Purge`].
    Done(Done),
    /// To [`Ask::Check`].
    Checked(Checked),
}
