//! The ring of mapped buffers, on an open V4L2 node whose ioctls have types.
//!
//! Called by [`super::device`] (format negotiation) and [`super::V4l2Camera`] (frames). With the modules
//! below it, `node`, `format` and `buffers`, the only part of the camera that is unsafe, for one of two
//! reasons: an ioctl takes a pointer whose type its number implies, and a mapped buffer is memory that
//! the driver writes to.
//!
//! ```text
//!            QBUF                    DQBUF                  newest good one
//!  mapped ─────────▶ the driver's ─────────▶ ours, all filled ─────────────▶ lent (one, or a copy of it)
//!                         ▲                     │ the others: QBUF               │ next call: QBUF
//!                         └─────────────────────┴────────────────────────────────┘ (a copy's: at once)
//! ```
//!
//! Invariants: at most one buffer is lent, and [`Stream::lent`] shows no other; every buffer that was
//! taken from the driver is lent or given back before [`Stream::next`] returns, or the stream is over;
//! nothing blocks longer than the time-out given (the node is opened non-blocking, `poll` comes before
//! the first DQBUF); dropping a stream stops it, unmaps and closes, logs what fails, and never panics.
//!
//! A DQBUF that ends with EIO may have taken a buffer along, and does not say which (the V4L2
//! documentation warns of it). So any fault but a time-out ends the stream: opening it anew gives every
//! buffer back.
#![allow(unsafe_code)]

mod buffers;
pub(super) mod control;
mod format;
mod node;

use std::time::{Duration, Instant};

use rustix::event::{PollFlags, Timespec, poll};

use super::BUFFERS;
use super::access::{Access, Reading};
use buffers::{Mapping, Slot};

pub(super) use buffers::Filled;
pub(super) use format::{Listed, PixFormat, RateEntry, SizeEntry};
pub(super) use node::{Capability, Fault, Node};

/// How long to wait when `poll` promises a frame that DQBUF does not have, so that a driver which keeps
/// doing so costs no CPU.
const FALSE_PROMISE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// A running stream.
#[derive(Debug)]
pub(super) struct Stream {
    // Field order is drop order: the mappings go before the node is closed.
    buffers: Vec<Mapping>,
    node: Node,
    lent: Lent,
    reading: Reading,
    /// Where frames are copied before anybody reads them; `None` where they are read in place.
    copy: Option<Vec<u8>>,
}

/// What [`Stream::lent`] shows.
#[derive(Clone, Copy, Debug)]
enum Lent {
    Nothing,
    /// These bytes of this buffer, which is not the driver's.
    Buffer(u32, (usize, usize)),
    /// The first bytes of the copy.
    Copy(usize),
}

/// What came of waiting for a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next<T> {
    /// The frame that is lent.
    pub(super) filled: Filled,
    /// What was judged of it.
    pub(super) verdict: Result<T, &'static str>,
    /// Good frames that were given back unread, because this one is newer.
    pub(super) passed_over: u32,
    /// Bad frames that were given back beside this one.
    pub(super) bad: u32,
}

impl Stream {
    /// Maps `count` buffers (or as many as the driver gives), hands them to the driver and starts it.
    ///
    /// # Errors
    /// The call that was refused; everything taken so far has been given back.
    pub(super) fn start(node: Node, count: u32) -> Result<Self, Fault> {
        let (buffers, lent, copy) = (Vec::new(), Lent::Nothing, None);
        let mut stream = Self { buffers, node, lent, reading: Reading::default(), copy };
        let given = stream.node.request_buffers(count)?;
        if given < 2 {
            return Err(Fault::Driver("the driver has too little memory for two frame buffers"));
        }
        for index in 0..given {
            stream.buffers.push(stream.node.map(index)?);
        }
        stream.reading = measure(&stream.buffers);
        stream.copy = (stream.reading.access() == Access::Copied).then(Vec::new);
        for index in 0..given {
            stream.node.queue(index)?;
        }
        stream.node.switch(true)?;
        Ok(stream)
    }

    /// Bytes that the smallest buffer holds.
    pub(super) fn capacity(&self) -> usize {
        self.buffers.iter().map(Mapping::len).min().unwrap_or(0)
    }

    /// How many buffers go round.
    pub(super) fn count(&self) -> usize {
        self.buffers.len()
    }

    /// How fast the buffers are read.
    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// Gives the lent buffer back, waits for the next, at most `timeout`, and takes the newest of those
    /// that are filled. `judge` is shown each of them once, in their order; a good one beats a bad one.
    ///
    /// # Errors
    /// [`Fault::TimedOut`] leaves the stream as it is; after any other the stream is to be dropped.
    pub(super) fn next<T>(
        &mut self,
        timeout: Duration,
        mut judge: impl FnMut(&Filled, &[u8]) -> Result<T, &'static str>,
    ) -> Result<Next<T>, Fault> {
        if let Lent::Buffer(index, _) = std::mem::replace(&mut self.lent, Lent::Nothing) {
            self.node.queue(index)?;
        }
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400));
        let mut best = self.first(deadline)?;
        let mut verdict = judge(&best.filled, self.bytes(&best));
        let (mut passed_over, mut bad) = (0, 0);
        // A driver may fill as fast as buffers are given back: no more than there are.
        for _ in 1..self.buffers.len() {
            let Some(newer) = self.dequeue()? else { break };
            let judged = judge(&newer.filled, self.bytes(&newer));
            let back = if newer_is_lent(verdict.is_ok(), judged.is_ok()) {
                let older = std::mem::replace(&mut best, newer);
                (older, std::mem::replace(&mut verdict, judged))
            } else {
                (newer, judged)
            };
            *(if back.1.is_ok() { &mut passed_over } else { &mut bad }) += 1;
            self.node.queue(back.0.index)?;
        }
        self.lend(&best)?;
        Ok(Next { filled: best.filled, verdict, passed_over, bad })
    }

    /// Waits for the first filled buffer.
    fn first(&self, deadline: Instant) -> Result<Slot, Fault> {
        first(deadline, || self.node.wait(deadline), || self.dequeue())
    }

    fn dequeue(&self) -> Result<Option<Slot>, Fault> {
        let slot = self.node.dequeue()?;
        if slot.is_some_and(|slot| slot.index as usize >= self.buffers.len()) {
            return Err(Fault::Driver("the driver answered a buffer that it never gave"));
        }
        Ok(slot)
    }

    fn lend(&mut self, slot: &Slot) -> Result<(), Fault> {
        self.lent = Lent::Buffer(slot.index, slot.bytes);
        let Some(mut copy) = self.copy.take() else { return Ok(()) };
        copy.clear();
        copy.extend_from_slice(self.lent());
        self.lent = Lent::Copy(copy.len());
        self.copy = Some(copy);
        self.node.queue(slot.index)
    }

    /// The bytes of a buffer that was dequeued and is still ours.
    fn bytes(&self, slot: &Slot) -> &[u8] {
        self.buffers.get(slot.index as usize).map_or(&[], |mapping| {
            // SAFETY: every slot that comes here was dequeued and not queued since, so the driver does
            // not write to it; `next` queues it only after the borrow ended.
            unsafe { mapping.bytes(slot.bytes) }
        })
    }

    /// The bytes of the lent frame, cut to what the driver filled; empty when none is lent.
    pub(super) fn lent(&self) -> &[u8] {
        match self.lent {
            Lent::Nothing => &[],
            Lent::Copy(len) => {
                self.copy.as_ref().and_then(|copy| copy.get(..len)).unwrap_or_default()
            }
            Lent::Buffer(index, bytes) => {
                self.buffers.get(index as usize).map_or(&[], |mapping| {
                    // SAFETY: the buffer was dequeued and not queued since, so the driver does not write
                    // to it; queueing it again needs `&mut self`, which ends this borrow.
                    unsafe { mapping.bytes(bytes) }
                })
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // After an unplug the kernel answers ENODEV here: the stream is already off.
        if let Err(error) = self.node.switch(false) {
            tracing::debug!(%error, "Camera stream did not stop in order.");
        }
        self.buffers.clear();
        // Buffers go with the last descriptor anyway; freeing them now keeps S_FMT from answering EBUSY
        // should a child process have inherited one.
        if let Err(error) = self.node.request_buffers(0) {
            tracing::debug!(%error, "Camera buffers were not freed in order.");
        }
    }
}

/// A poll that finds something past its deadline does not time out, so a driver that promises and gives
/// nothing is held to the deadline here.
fn first<T>(
    deadline: Instant,
    wait: impl Fn() -> Result<PollFlags, Fault>,
    dequeue: impl Fn() -> Result<Option<T>, Fault>,
) -> Result<T, Fault> {
    loop {
        let events = wait()?;
        if let Some(slot) = dequeue()? {
            return Ok(slot);
        }
        if events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(Fault::Driver("the driver reports an error on the stream"));
        }
        poll(&mut [], Some(&FALSE_PROMISE)).ok(); // A pause cut short by a signal is still a pause.
        if Instant::now() >= deadline {
            return Err(Fault::TimedOut);
        }
    }
}

/// How fast the buffers of a node that does not stream are read. Takes and frees as many as a stream has,
/// since some drivers place few buffers elsewhere than many.
///
/// # Errors
/// Somebody else streams, or the driver gives no buffers.
pub(super) fn reading(node: &Node) -> Result<Reading, Fault> {
    node.request_buffers(BUFFERS)?; // what was refused is somebody else's, and not ours to free
    let result = node.map(0).map(|buffer| measure(&[buffer]));
    if let Err(error) = node.request_buffers(0) {
        tracing::debug!(%error, "Camera buffers were not freed in order.");
    }
    result
}

/// Before the first buffer is queued: none of them is the driver's yet.
fn measure(buffers: &[Mapping]) -> Reading {
    buffers.first().map_or_else(Reading::default, |first| {
        // SAFETY: the driver writes only to buffers that were queued.
        Reading::of(unsafe { first.bytes((0, first.len())) })
    })
}

/// Is the newer of two filled buffers the better one to lend?
fn newer_is_lent(older_good: bool, newer_good: bool) -> bool {
    newer_good || !older_good
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_driver_that_promises_frames_and_gives_none_times_out() {
        let promises = Cell::new(0);
        let wait = || {
            promises.set(promises.get() + 1);
            let enough = promises.get() > 3;
            if enough { Err(Fault::Driver("it waits for ever")) } else { Ok(PollFlags::IN) }
        };
        let nothing = || Ok(None::<()>);
        assert!(matches!(first(Instant::now(), wait, nothing), Err(Fault::TimedOut)));
        assert_eq!(promises.get(), 1);
        assert!(first(Instant::now(), || Ok(PollFlags::IN), || Ok(Some(()))).is_ok());
        let broken = first(Instant::now(), || Ok(PollFlags::ERR), nothing);
        assert!(matches!(broken, Err(Fault::Driver(_))));
    }

    #[test]
    fn the_newest_good_frame_is_lent_and_a_bad_one_only_for_want_of_better() {
        assert!(newer_is_lent(true, true));
        assert!(newer_is_lent(false, true));
        assert!(newer_is_lent(false, false));
        assert!(!newer_is_lent(true, false));
    }
}
