//! Time: the wall clock as told by the machine, and the time since boot.
//!
//! Capture times are [`BootTime`]; a [`WallTime`] is a boot time plus an offset, and the offset is
//! *trusted* or not: [`Timekeeper`] holds that one decision. Intervals, time-outs and ages never use the
//! wall clock.
//!
//! [`Clock`] is the one seam for time, and [`SystemClock`] the one that reads this machine. Failure: a
//! clock that cannot be read answers its zero.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod keeper;

pub use keeper::{Offset, ServerTime, Timekeeper, TrustPolicy, TrustSource, build_time};

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
    /// Is the machine's clock disciplined: by the kernel's word (adjtimex without STA_UNSYNC), or where
    /// the kernel must not be asked, by the mark of systemd-timesyncd?
    fn kernel_synchronised(&self) -> bool;
    /// Was the clock set from a real-time clock at boot (`/sys/class/rtc/*/hctosys` is 1)?
    fn set_by_rtc(&self) -> bool;
    /// This boot.
    fn boot_id(&self) -> BootId;
}

impl WallTime {
    /// Seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Distance between two wall times, whichever is the later.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
    rtc: bool,
}

impl SystemClock {
    /// Reads the boot id and how the clock was set, once. Where `/proc` is missing the boot id is made
    /// from the time the machine booted, which is as unique as that clock.
    #[must_use]
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|s| s.trim().to_owned())
            .ok()
            .filter(|s| s.len() == 36)
            .unwrap_or_else(|| {
                let ms = machine_wall().0.saturating_sub_unsigned(machine_boottime().millis());
                format!("{:08x}-0000-0000-0000-{:012x}", ms >> 16 & 0xffff_ffff, ms & 0xffff)
            });
        Self { boot: BootId(boot), rtc: any_rtc_set_the_clock() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn boottime(&self) -> BootTime {
        machine_boottime()
    }

    fn wall(&self) -> WallTime {
        machine_wall()
    }

    fn kernel_synchronised(&self) -> bool {
        disciplined(crate::sys::kernel_clock_synchronised(), || {
            std::path::Path::new(TIMESYNC_MARK).exists()
        })
    }

    fn set_by_rtc(&self) -> bool {
        self.rtc
    }

    fn boot_id(&self) -> BootId {
        self.boot.clone()
    }
}

/// systemd-timesyncd makes this file when it has set the clock, in each boot anew
/// (systemd-timesyncd.service(8), "Files"). chrony and ntpd make none.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// The kernel's word counts where it may be asked, also when it says no. Our own systemd unit forbids
/// asking (`ProtectClock=`: adjtimex fails with EPERM); only then the mark decides.
fn disciplined(kernel: Option<bool>, mark: impl FnOnce() -> bool) -> bool {
    kernel.unwrap_or_else(mark)
}

fn machine_boottime() -> BootTime {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    BootTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

fn machine_wall() -> WallTime {
    let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => WallTime(millis(after)),
        Err(before) => WallTime(millis(before.duration()).saturating_neg()),
    }
}

fn any_rtc_set_the_clock() -> bool {
    std::fs::read_dir("/sys/class/rtc").is_ok_and(|dir| {
        dir.flatten().any(|rtc| {
            std::fs::read_to_string(rtc.path().join("hctosys")).is_ok_and(|s| s.trim() == "1")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_timesyncd_counts_only_where_the_kernel_must_not_be_asked() {
        for mark in [false, true] {
            assert_eq!(disciplined(None, || mark), mark);
            assert!(disciplined(Some(true), || mark));
            assert!(!disciplined(Some(false), || mark));
        }
    }

    #[test]
    fn the_system_clock_reads_this_machine() {
        let clock = SystemClock::new();
        assert_eq!(clock.boot_id().0.len(), 36);
        assert!(clock.boottime() > BootTime(0) && clock.boottime() <= clock.boottime());
        assert!(clock.wall() >= build_time());
    }
}
