//! Time: the wall clock as told by the machine, how far it is trusted, and the time since boot.
//!
//! Capture times are [`BootTime`]; a [`WallTime`] is a boot time plus an offset, and the offset is
//! *trusted* or not. Intervals, time-outs and ages never use the wall clock.
//!
//! [`Timekeeper`] holds the one decision: which offset, from whom. Pure but for [`SystemClock`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds on CLOCK_BOOTTIME: since the kernel booted, suspended time included.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootTime(pub u64);

impl BootTime {
    /// Time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds since boot.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl std::ops::Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

/// The kernel's boot id, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

impl BootId {
    /// First 8 hex digits, as used in keys and event ids.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The machine's clocks. The one seam for time.
pub trait Clock: Send + Sync {
    /// Time since boot.
    fn boottime(&self) -> BootTime;
    /// The machine's wall clock, right or wrong.
    fn wall(&self) -> WallTime;
    /// Does the kernel say that its clock is disciplined (adjtimex without STA_UNSYNC)?
    fn kernel_synchronised(&self) -> bool;
    /// Was the clock set from a real-time clock at boot (`/sys/class/rtc/*/hctosys` is 1)?
    fn set_by_rtc(&self) -> bool;
    /// This boot.
    fn boot_id(&self) -> BootId;
}

/// Whom to believe about the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustPolicy {
    /// The kernel when it says synchronised, else the `Date` of a TLS-verified answer, else the `Date`
    /// of the configured http store.
    #[default]
    Auto,
    /// Only a kernel that says synchronised.
    Kernel,
    /// A clock that was set from a real-time clock, or a synchronised kernel.
    Rtc,
    /// Only the store's `Date`.
    Store,
    /// The machine's clock, always.
    Always,
}
