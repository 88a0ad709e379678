//! Which wall clock is believed: which offset, from whom. Pure but for the [`Clock`] it asks.
//!
//! Invariants: an offset is against CLOCK_BOOTTIME, so a jump of the machine's wall clock moves nothing
//! that was already decided; trust, once won, is kept for the boot and only ever improved; the floor
//! for certificates is never trust. Every number from a server is checked before it is used.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{BootId, BootTime, Clock, WallTime};

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

/// Who vouches for the wall clock, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustSource {
    /// The configured store's `Date`, over plain http.
    Store,
    /// The `Date` of an answer over verified TLS.
    Tls,
    /// The configuration: always believe the machine.
    Machine,
    /// A real-time clock set the machine's clock at boot.
    Rtc,
    /// The kernel says that its clock is disciplined.
    Kernel,
}

impl TrustSource {
    /// The word used in the boot record, metadata and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Tls => "tls",
            Self::Machine => "machine",
            Self::Rtc => "rtc",
            Self::Kernel => "kernel",
        }
    }
}

/// Wall time minus time since boot, and who vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds to add to a [`BootTime`] to get nanoseconds since 1970.
    pub ns: i64,
    /// Who vouches for it.
    pub source: TrustSource,
}

impl Offset {
    /// The wall time of a moment.
    #[must_use]
    pub fn wall_at(self, boot: BootTime) -> WallTime {
        wall_from(self.ns, boot)
    }
}

/// A server's time, as one answer told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTime {
    /// Its `Date` header (or the time in its body), whole seconds.
    pub date: WallTime,
    /// When the request went out.
    pub sent: BootTime,
    /// When the answer's head came in.
    pub received: BootTime,
    /// The answer came over TLS whose certificate was verified.
    pub verified: bool,
    /// The answer carries `Age`: a cache gave it, and its date is when it was made.
    pub has_age: bool,
}

/// How often the kernel is asked whether its clock is disciplined.
const KERNEL_POLL: Duration = Duration::from_secs(2);
/// An answer that took longer says too little about when its `Date` was written.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(30);
/// 2000-01-01 and 2200-01-01: a date outside is no date.
const PLAUSIBLE_MS: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// An offset learned from servers, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    ns: i64,
    error: u64,
}

impl Estimate {
    /// `Date` is cut to whole seconds and was written some time between `sent` and `received`: the
    /// estimate is the middle of both, and its error half of both.
    fn of(t: &ServerTime) -> Option<Self> {
        if !PLAUSIBLE_MS.contains(&t.date.0) {
            return None;
        }
        let round_trip = t.received.since(t.sent);
        let half = u64::try_from(round_trip.as_nanos() / 2).ok()?;
        let middle = i64::try_from(t.sent.0.checked_add(half)?).ok()?;
        let date = t.date.0.checked_mul(1_000_000)?.checked_add(500_000_000)?;
        Some(Self { ns: date.checked_sub(middle)?, error: half.saturating_add(500_000_000) })
    }

    /// Replaces the old estimate when the new one is sharper or contradicts it; otherwise the old one
    /// stands, so that one-second dates do not make the clock tremble.
    fn better_than(self, old: Self) -> bool {
        self.error <= old.error || self.ns.abs_diff(old.ns) > self.error.saturating_add(old.error)
    }
}

#[derive(Debug, Default)]
struct Believed {
    trusted: Option<Offset>,
    /// The error of `trusted`, where it came from a server.
    trusted_error: u64,
    /// What signatures go by; never trust.
    signing: Option<Estimate>,
    polled: Option<BootTime>,
    durable: Option<WallTime>,
}

/// The one place that decides which wall time is believed. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    policy: TrustPolicy,
    believed: Arc<Mutex<Believed>>,
}

impl fmt::Debug for Timekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timekeeper")
            .field("policy", &self.policy)
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}

impl Timekeeper {
    /// Asks the clock at once, so that a machine that is synchronised is trusted from the start.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, policy: TrustPolicy) -> Self {
        let keeper = Self { clock, policy, believed: Arc::default() };
        keeper.poll();
        keeper
    }

    /// Time since boot.
    #[must_use]
    pub fn boottime(&self) -> BootTime {
        self.clock.boottime()
    }

    /// This boot.
    #[must_use]
    pub fn boot_id(&self) -> BootId {
        self.clock.boot_id()
    }

    /// The trusted wall time of a moment of this boot; `None` while nobody vouches for the clock.
    #[must_use]
    pub fn wall_at(&self, boot: BootTime) -> Option<WallTime> {
        self.offset().map(|o| o.wall_at(boot))
    }

    /// The trusted offset of this boot, as it is known now.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.with(|b| b.trusted)
    }

    /// The best guess at the store's time, for signatures: what servers say, else the trusted time,
    /// else the machine's clock as it is.
    #[must_use]
    pub fn signing_time(&self) -> WallTime {
        let now = self.clock.boottime();
        let ns = self.with(|b| b.signing.map(|e| e.ns).or_else(|| b.trusted.map(|o| o.ns)));
        ns.map_or_else(|| self.clock.wall(), |ns| wall_from(ns, now))
    }

    /// The time to check certificates at: the trusted time, else the machine's, but never before this
    /// program was built nor before the newest time that was ever trusted and written down.
    #[must_use]
    pub fn certificate_time(&self) -> WallTime {
        let clock = self.wall_at(self.clock.boottime()).unwrap_or_else(|| self.clock.wall());
        let durable = self.with(|b| b.durable).unwrap_or(WallTime(i64::MIN));
        clock.max(build_time()).max(durable)
    }

    /// Tells the newest trusted time that is known from a durable record. It is a floor for
    /// certificates and never trust.
    pub fn remember(&self, durable: WallTime) {
        self.with(|b| b.durable = b.durable.max(Some(durable)));
    }

    /// Asks the machine again (the kernel at most every 2 s) and says whether the clock became trusted
    /// by it. Whoever has a turn to spare calls this.
    pub fn poll(&self) -> bool {
        let now = self.clock.boottime();
        let due = self.with(|b| {
            let due = b.polled.is_none_or(|at| now.since(at) >= KERNEL_POLL);
            if due {
                b.polled = Some(now);
            }
            due
        });
        let Some(source) = due.then(|| self.machine_trust()).flatten() else { return false };
        let ns = offset_between(self.clock.boottime(), self.clock.wall());
        self.with(|b| {
            b.trusted_error = 0;
            b.trusted.replace(Offset { ns, source }).is_none()
        })
    }

    /// Learns from a server's answer. The caller passes only answers of the configured store. Returns
    /// whether the clock became trusted by it.
    pub fn observe(&self, told: &ServerTime) -> bool {
        if told.has_age || told.received.since(told.sent) > LONGEST_ROUND_TRIP {
            return false;
        }
        let Some(new) = Estimate::of(told) else { return false };
        let source = self.server_trust(told);
        self.with(|b| {
            if b.signing.is_none_or(|old| new.better_than(old)) {
                b.signing = Some(new);
            }
            let Some(source) = source else { return false };
            let old = b.trusted;
            let take = old.is_none_or(|old| {
                let standing = Estimate { ns: old.ns, error: b.trusted_error };
                source > old.source || (source == old.source && new.better_than(standing))
            });
            if take {
                b.trusted = Some(Offset { ns: new.ns, source });
                b.trusted_error = new.error;
            }
            take && old.is_none()
        })
    }

    /// Takes a server's word for what the time is, for signatures only: the store said that ours is
    /// wrong. However long the exchange took: a signature has minutes to spare.
    pub fn correct(&self, told: &ServerTime) {
        if let Some(new) = Estimate::of(told) {
            self.with(|b| b.signing = Some(new));
        }
    }

    /// Whether a server's `Date` could make the clock trusted at all.
    #[must_use]
    pub fn believes_servers(&self) -> bool {
        matches!(self.policy, TrustPolicy::Auto | TrustPolicy::Store)
    }

    fn machine_trust(&self) -> Option<TrustSource> {
        let kernel = || self.clock.kernel_synchronised().then_some(TrustSource::Kernel);
        match self.policy {
            TrustPolicy::Auto | TrustPolicy::Kernel => kernel(),
            TrustPolicy::Rtc => {
                kernel().or_else(|| self.clock.set_by_rtc().then_some(TrustSource::Rtc))
            }
            TrustPolicy::Store => None,
            TrustPolicy::Always => Some(TrustSource::Machine),
        }
    }

    /// A date before this program was built is a server's wrong clock: good enough to sign for that
    /// server, not good enough to date a picture.
    fn server_trust(&self, told: &ServerTime) -> Option<TrustSource> {
        let source = if told.verified { TrustSource::Tls } else { TrustSource::Store };
        (self.believes_servers() && told.date >= build_time()).then_some(source)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Believed) -> T) -> T {
        f(&mut self.believed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// When this program was built, rounded down to the day; `SOURCE_DATE_EPOCH` decides where it is set.
#[must_use]
pub fn build_time() -> WallTime {
    let seconds: i64 = env!("VEDETTE_BUILD_EPOCH").parse().unwrap_or(0);
    WallTime(seconds.saturating_mul(1000))
}

fn wall_from(ns: i64, boot: BootTime) -> WallTime {
    let boot = i64::try_from(boot.0).unwrap_or(i64::MAX);
    WallTime(ns.saturating_add(boot).div_euclid(1_000_000))
}

fn offset_between(boot: BootTime, wall: WallTime) -> i64 {
    let boot = i64::try_from(boot.0).unwrap_or(i64::MAX);
    wall.0.saturating_mul(1_000_000).saturating_sub(boot)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

    use super::*;

    const S: u64 = 1_000_000_000;
    /// 2030-01-01T00:00:00Z, after any build of this version.
    const NOW: i64 = 1_893_456_000_000;

    #[derive(Default)]
    struct Hands {
        boot: AtomicU64,
        wall: AtomicI64,
        kernel: AtomicBool,
        rtc: bool,
    }

    impl Clock for Hands {
        fn boottime(&self) -> BootTime {
            BootTime(self.boot.load(Ordering::Relaxed))
        }
        fn wall(&self) -> WallTime {
            WallTime(self.wall.load(Ordering::Relaxed))
        }
        fn kernel_synchronised(&self) -> bool {
            self.kernel.load(Ordering::Relaxed)
        }
        fn set_by_rtc(&self) -> bool {
            self.rtc
        }
        fn boot_id(&self) -> BootId {
            BootId("0a1b2c3d-0000-0000-0000-000000000000".into())
        }
    }

    fn keeper(policy: TrustPolicy) -> (Arc<Hands>, Timekeeper) {
        let hands = Arc::new(Hands { rtc: true, ..Hands::default() });
        (hands.clone(), Timekeeper::new(hands, policy))
    }

    fn told(date_ms: i64, sent_s: u64, received_s: u64, verified: bool) -> ServerTime {
        ServerTime {
            date: WallTime(date_ms),
            sent: BootTime(sent_s * S),
            received: BootTime(received_s * S),
            verified,
            has_age: false,
        }
    }

    #[test]
    fn a_store_over_http_is_believed_until_tls_and_the_kernel_know_better() {
        let (hands, keeper) = keeper(TrustPolicy::Auto);
        assert_eq!(keeper.wall_at(BootTime(0)), None);
        assert!(keeper.observe(&told(NOW, 100, 100, false)));
        assert_eq!(keeper.offset().unwrap().source, TrustSource::Store);
        assert_eq!(keeper.wall_at(BootTime(90 * S)), Some(WallTime(NOW - 10_000 + 500)));
        assert!(!keeper.observe(&told(NOW + 60_000, 100, 100, true)), "it was trusted already");
        assert_eq!(keeper.offset().unwrap().source, TrustSource::Tls);
        assert_eq!(keeper.wall_at(BootTime(100 * S)), Some(WallTime(NOW + 60_500)));
        keeper.observe(&told(NOW, 100, 100, false));
        assert_eq!(keeper.offset().unwrap().source, TrustSource::Tls, "never worse");
        hands.kernel.store(true, Ordering::Relaxed);
        hands.wall.store(NOW + 30_000, Ordering::Relaxed);
        hands.boot.store(100 * S, Ordering::Relaxed);
        keeper.poll();
        assert_eq!(keeper.offset().unwrap().source, TrustSource::Kernel);
        assert_eq!(keeper.wall_at(BootTime(100 * S)), Some(WallTime(NOW + 30_000)));
    }

    #[test]
    fn each_policy_believes_only_whom_it_names() {
        let answer = told(NOW, 0, 0, true);
        for (policy, source) in [
            (TrustPolicy::Kernel, None),
            (TrustPolicy::Rtc, Some(TrustSource::Rtc)),
            (TrustPolicy::Always, Some(TrustSource::Machine)),
            (TrustPolicy::Store, Some(TrustSource::Tls)),
        ] {
            let (_, keeper) = keeper(policy);
            keeper.observe(&answer);
            assert_eq!(keeper.offset().map(|o| o.source), source, "{policy:?}");
        }
        let hands = Arc::new(Hands { kernel: true.into(), ..Hands::default() });
        assert_eq!(Timekeeper::new(hands, TrustPolicy::Store).offset(), None);
    }

    #[test]
    fn a_cached_a_slow_and_an_impossible_date_are_ignored() {
        let (_, keeper) = keeper(TrustPolicy::Auto);
        let cached = ServerTime { has_age: true, ..told(NOW, 0, 0, true) };
        let (slow, never) = (told(NOW, 0, 31, true), told(i64::MAX, 0, 0, true));
        for answer in [cached, slow, never, told(0, 0, 0, true)] {
            assert!(!keeper.observe(&answer), "{answer:?}");
        }
        keeper.correct(&never);
        let wild = ServerTime { sent: BootTime(u64::MAX), received: BootTime(u64::MAX), ..cached };
        assert!(!keeper.observe(&ServerTime { has_age: false, ..wild }));
        assert_eq!((keeper.offset(), keeper.signing_time()), (None, WallTime(0)));
    }

    #[test]
    fn a_server_before_our_build_is_signed_for_but_not_trusted() {
        let (_, keeper) = keeper(TrustPolicy::Auto);
        assert!(!keeper.observe(&told(1_000_000_000_000, 0, 0, true)));
        assert_eq!(keeper.offset(), None);
        assert_eq!(keeper.signing_time(), WallTime(1_000_000_000_500));
    }

    #[test]
    fn one_second_dates_do_not_make_the_clock_tremble_but_a_real_change_is_taken() {
        let (_, keeper) = keeper(TrustPolicy::Store);
        keeper.observe(&told(NOW, 10, 10, false));
        let first = keeper.offset();
        keeper.observe(&told(NOW + 2_000, 11, 12, false));
        assert_eq!(keeper.offset(), first);
        keeper.observe(&told(NOW + 90_000, 11, 12, false));
        assert_ne!(keeper.offset(), first);
    }

    #[test]
    fn signatures_follow_the_store_even_where_only_the_kernel_is_trusted() {
        let (hands, keeper) = keeper(TrustPolicy::Kernel);
        hands.wall.store(1_000, Ordering::Relaxed);
        assert_eq!(keeper.signing_time(), WallTime(1_000));
        keeper.correct(&told(NOW, 0, 0, false));
        hands.boot.store(5 * S, Ordering::Relaxed);
        hands.wall.store(-77, Ordering::Relaxed);
        assert_eq!(keeper.signing_time(), WallTime(NOW + 5_500));
        assert_eq!(keeper.offset(), None);
    }

    #[test]
    fn certificates_are_never_checked_before_the_build_or_the_newest_durable_time() {
        let (hands, keeper) = keeper(TrustPolicy::Auto);
        assert_eq!(keeper.certificate_time(), build_time());
        keeper.remember(WallTime(NOW));
        assert_eq!(keeper.certificate_time(), WallTime(NOW));
        assert_eq!(keeper.offset(), None, "a floor is not trust");
        hands.wall.store(NOW + 5, Ordering::Relaxed);
        assert_eq!(keeper.certificate_time(), WallTime(NOW + 5));
    }
}
