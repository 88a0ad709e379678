//! The longest retention: pictures that are too old are removed, sent or not, because somebody promised that.
//!
//! A picture's age is told by trusted wall clocks at both ends; within one boot, by CLOCK_BOOTTIME; else by the time the
//! device was powered on since, as far as pictures tell it: from each boot between, the capture time of its last
//! picture. That is never more than the true age, so no wrong clock removes anything, and what was promised is late by
//! no more than the time without power and without pictures.
//!
//! Numbers follow time, so a picture that is too old makes those with lower numbers too old as well: a damaged file,
//! which cannot tell its age, goes with its neighbours.

use std::time::{Duration, Instant};

use tracing::info;

use super::{EVICT_ITEMS, Images};
use crate::clock::{BootId, BootTime};
use crate::contract::Facts;
use crate::spool::Loss;
use crate::spool::boots::wall_of;
use crate::spool::db::{BootSpan, End, State};
use crate::spool::files;

/// Most pictures removed in one turn of the thread.
const TURN: usize = 16 * EVICT_ITEMS;

/// How often is looked: a hundredth of the retention, so that it is kept to within that; every ten minutes at the least.
pub(super) fn period(max_age: Duration) -> Duration {
    (max_age / 100).clamp(Duration::from_secs(1), Duration::from_secs(600))
}

impl Images {
    /// Removes what is too old, where a longest retention is set and the time to look has come.
    pub(super) fn expire(&mut self, now: Instant) {
        let (Some(max_age), Some(due)) = (self.limits.max_age, self.expire_at) else { return };
        if now < due {
            return;
        }
        self.expire_at = now.checked_add(period(max_age));
        self.expire_held(now.checked_sub(max_age));
        let Some(cutoff) = self.oldest_allowed(max_age) else { return };
        let Some(seqs) = self.below(cutoff) else { return };
        if seqs.is_empty() {
            return;
        }
        if seqs.len() == TURN {
            self.expire_at = Some(now);
        }
        info!(pictures = seqs.len(), ?max_age, "Pictures have reached their longest retention.");
        let ends: Vec<_> = seqs.into_iter().map(|seq| (seq, End::Lost(Loss::Age))).collect();
        self.evict(&ends);
    }

    /// The highest number that is too old; `None` where none is.
    fn oldest_allowed(&mut self, max_age: Duration) -> Option<u64> {
        let spans = self.with_db(|db| db.boot_spans())?;
        let mut cutoff = None;
        for state in [State::Waiting, State::Ready, State::Quarantined] {
            let (mut above, mut looked) = (0, 0);
            'state: while looked < TURN {
                let page = self.with_db(|db| db.oldest_in(state, above))?;
                let Some(last) = page.last().map(|item| item.seq) else { break };
                for item in page {
                    self.cx.beat.busy();
                    looked += 1;
                    match files::read_facts(&self.cx.layout.image(item.seq)) {
                        Ok((facts, _)) if self.age(&facts, &spans) < max_age => break 'state,
                        Ok(_) => cutoff = cutoff.max(Some(item.seq)),
                        Err(_) => {}
                    }
                }
                above = last;
            }
        }
        cutoff
    }

    /// Up to [`TURN`] pictures with this number or a lower one that nobody is sending.
    fn below(&mut self, cutoff: u64) -> Option<Vec<u64>> {
        let mut found = Vec::new();
        for state in [State::Waiting, State::Ready, State::Quarantined] {
            let mut above = 0;
            'state: loop {
                let page = self.with_db(|db| db.oldest_in(state, above))?;
                let Some(last) = page.last().map(|item| item.seq) else { break };
                for item in page {
                    if item.seq > cutoff || found.len() == TURN {
                        break 'state;
                    }
                    if !self.loans.is_lent(item.seq) {
                        found.push(item.seq);
                    }
                }
                above = last;
            }
        }
        Some(found)
    }

    pub(super) fn age(&mut self, facts: &Facts, spans: &[BootSpan]) -> Duration {
        let wall = wall_of(facts, self.boots.offset_of(&facts.boot, facts.seq));
        if let (Some(taken), Some(now)) = (wall, self.boots.wall_now()) {
            return if now > taken { now.distance(taken) } else { Duration::ZERO };
        }
        powered(&facts.boot, facts.captured, spans, &self.cx.now.boot, self.boots.now())
    }
}

/// How long the device was powered on since then, at least; `spans` in the order of the boots.
fn powered(
    boot: &BootId,
    captured: BootTime,
    spans: &[BootSpan],
    current: &BootId,
    now: BootTime,
) -> Duration {
    if boot == current {
        return now.since(captured);
    }
    let own = spans.iter().position(|span| span.boot == *boot);
    let rest = own.and_then(|i| spans.get(i)).map_or(Duration::ZERO, |s| s.last.since(captured));
    let later = own.map_or(&[] as &[_], |i| spans.get(i + 1..).unwrap_or_default());
    let between = later.iter().filter(|span| span.boot != *current);
    between.fold(rest + now.since(BootTime(0)), |sum, span| sum + span.last.since(BootTime(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600 * 1_000_000_000;

    fn span(boot: &str, hours: u64) -> BootSpan {
        BootSpan { boot: BootId(boot.into()), last: BootTime(hours * HOUR) }
    }

    fn hours(boot: &str, captured: u64, spans: &[BootSpan], now: u64) -> u64 {
        let (boot, current) = (BootId(boot.into()), BootId("now".into()));
        powered(&boot, BootTime(captured * HOUR), spans, &current, BootTime(now * HOUR)).as_secs()
            / 3600
    }

    #[test]
    fn without_clocks_the_time_with_power_counts_as_far_as_pictures_tell_it() {
        let spans = [span("a", 5), span("b", 7), span("now", 2)];
        assert_eq!(hours("now", 1, &spans, 3), 2, "one boot, one clock");
        assert_eq!(hours("b", 6, &spans, 3), 1 + 3);
        assert_eq!(hours("a", 1, &spans, 3), 4 + 7 + 3);
        assert_eq!(hours("unheard-of", 1, &spans, 3), 3, "at least since this boot began");
    }

    #[test]
    fn it_is_looked_a_hundred_times_in_a_retention_and_every_ten_minutes_at_the_least() {
        assert_eq!(period(Duration::from_secs(36_000)), Duration::from_secs(360));
        assert_eq!(period(Duration::from_secs(30 * 86_400)), Duration::from_secs(600));
        assert_eq!(period(Duration::from_secs(3)), Duration::from_secs(1));
    }
}
