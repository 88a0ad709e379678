//! The invariants of the spool, asked of a directory that a power cut or a kill has left.
//!
//! The spool's own recovery opens it. What is said here is said of what had been acknowledged by then.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use vedette::spool::{Acceptance, Claim, Loss, Opened, Order, Snapshot, Spool};

use crate::drive::{Said, Workload, body_of, command, failed};
use crate::fixture::{BOOT, moment};

/// What recovery did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) adopted: u64,
    pub(crate) torn: u64,
    pub(crate) finished: u64,
    pub(crate) rebuilt: u64,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.adopted += other.adopted;
        self.torn += other.torn;
        self.finished += other.finished;
        self.rebuilt += other.rebuilt;
    }
}

/// Opens the spool twice and holds it against what was said. The error is the first thing that is wrong.
///
/// - no acknowledged picture is missing, each with its right bytes and the key that it was sent under;
/// - one that is told to be stored stays so (but where the index was lost: there it may come again);
/// - nothing is claimed that is not whole, nor that nobody handed over;
/// - `kept = stored + queued + quarantined + lost`, and each of them is what it must be;
/// - no number is given twice; commands that were accepted are known;
/// - of what was stored out of memory nothing is known, and none of its numbers is given again;
/// - the second opening finds nothing to do, and the same account.
pub(crate) async fn check(path: &Path, said: &Said, workload: Workload) -> Result<Found> {
    let (spool, opened) = open(path, workload)?;
    let first = first(&spool, &opened, said, workload).await;
    spool.stop().await; // whatever was found, so that the disk can be unmounted
    let before = first?;

    let (spool, again) = open(path, workload).context("the second opening")?;
    let after = spool.snapshot().await.map(|s| sums(&s));
    spool.stop().await;
    let after = after?;
    ensure!(
        (again.adopted, again.torn, again.finished, again.rebuilt) == (0, 0, 0, false),
        "the second opening had something to do: {again:?}"
    );
    ensure!(again.next_seq == opened.next_seq, "{again:?} after {opened:?}");
    ensure!(before == after, "the second opening changed the account: {after:?}, was {before:?}");
    let Opened { adopted, torn, finished, rebuilt, .. } = opened;
    Ok(Found { adopted, torn, finished, rebuilt: u64::from(rebuilt) })
}

/// What the first opening shows; its sums.
async fn first(spool: &Spool, opened: &Opened, said: &Said, workload: Workload) -> Result<Sums> {
    let snapshot = spool.snapshot().await?;
    ensure!(
        snapshot.holds() && snapshot.outbox.holds(),
        "the account does not add up: {snapshot:?}"
    );
    ensure!(said.wiped || !opened.rebuilt, "the index was rebuilt, and nobody removed it");
    ensure!(snapshot.at_risk.pictures == 0, "in memory after a start: {:?}", snapshot.at_risk);
    let sent = said.storing.last_key_value().map(|(seq, _)| seq);
    let highest = said.kept.last().max(sent).copied().unwrap_or(0);
    ensure!(
        opened.next_seq > highest,
        "number {} is given again: {highest} is used",
        opened.next_seq
    );
    let queued = queued(spool, &snapshot, said).await?;
    let anew = opened.rebuilt || opened.generation > 1;
    account(&snapshot, said, &queued, workload, anew)?;
    if !anew {
        commands(spool, said).await?;
    }
    Ok(sums(&spool.snapshot().await?))
}

fn open(path: &Path, workload: Workload) -> Result<(Spool, Opened)> {
    Ok(Spool::open(&workload.settings(path), moment(BOOT))?)
}

/// Everything that can be claimed, loaded and compared.
async fn queued(spool: &Spool, snapshot: &Snapshot, said: &Said) -> Result<BTreeSet<u64>> {
    ensure!(!said.timed || snapshot.waiting == 0, "{} wait for a clock", snapshot.waiting);
    let (mut found, mut claims) = (BTreeSet::new(), Vec::new());
    claim_all(spool, said, &mut found, &mut claims).await?;
    if snapshot.waiting > 0 {
        spool.give_up_waiting().await?;
        claim_all(spool, said, &mut found, &mut claims).await?;
    }
    ensure!(
        snapshot.queued == found.len() as u64,
        "{} are said to be queued, {} are",
        snapshot.queued,
        found.len()
    );
    Ok(found)
}

async fn claim_all(
    spool: &Spool,
    said: &Said,
    found: &mut BTreeSet<u64>,
    claims: &mut Vec<Claim>,
) -> Result<()> {
    while let Some(claim) = spool.claim(Order::Oldest).await? {
        let seq = claim.seq;
        let loaded =
            claim.load().map_err(|e| anyhow!("{seq} is queued and cannot be read: {e}"))?;
        ensure!(loaded.body == body_of(seq), "{seq} has other bytes");
        ensure!(seq <= said.given, "{seq} was never handed over");
        let key = said.storing.get(&seq).unwrap_or(&loaded.key);
        ensure!(*key == loaded.key, "{seq} was {key}, and is {}", loaded.key);
        found.insert(seq);
        claims.push(claim);
    }
    Ok(())
}

fn account(
    snapshot: &Snapshot,
    said: &Said,
    queued: &BTreeSet<u64>,
    workload: Workload,
    anew: bool,
) -> Result<()> {
    let evicts = workload.evicts();
    let gone = said.kept.iter().filter(|s| !queued.contains(s) && !said.storing.contains_key(s));
    let gone: Vec<_> = gone.collect();
    let lost = snapshot.lost_total();
    ensure!(evicts || gone.is_empty(), "acknowledged and gone: {gone:?}");
    ensure!(
        gone.len() as u64 <= lost || anew,
        "acknowledged, gone and not in the ledger: {gone:?}"
    );
    ensure!(evicts || lost == 0, "lost: {:?}", snapshot.lost);
    ensure!(snapshot.lost[Loss::Missing as usize] == 0, "missing: {:?}", snapshot.lost);
    ensure!(snapshot.quarantined == 0 || anew, "{} are set aside", snapshot.quarantined);
    if anew {
        return Ok(()); // a rebuilt ledger begins with what is there
    }
    let again: Vec<_> = said.stored.intersection(queued).collect();
    ensure!(again.is_empty(), "told to be stored, and queued: {again:?}");
    // What was stored out of memory may be in neither side of the sum.
    let rows = said.stored.intersection(&said.durable).count();
    let least = if workload.holds() { rows } else { said.stored.len() };
    let (least, most) = (least as u64, said.storing.len() as u64);
    ensure!((least..=most).contains(&snapshot.stored), "{} stored of {most}", snapshot.stored);
    let least = if workload.holds() { said.durable.len() } else { said.kept.len() };
    let (least, most) = (least as u64, said.given);
    ensure!((least..=most).contains(&snapshot.kept), "{} kept of {most}", snapshot.kept);
    Ok(())
}

async fn commands(spool: &Spool, said: &Said) -> Result<()> {
    for id in &said.accepted {
        let Acceptance::Known(told) = spool.accept(command(id)).await? else {
            return Err(anyhow!("command {id} was accepted, and is forgotten"));
        };
        let failed = said.concluded.contains(id) && failed(&told);
        ensure!(!failed, "command {id} was concluded, and failed: {told:?}");
    }
    Ok(())
}

/// What an opening must not change.
type Sums = ([u64; 7], Vec<u64>);

fn sums(s: &Snapshot) -> Sums {
    let numbers = [s.kept, s.stored, s.queued, s.quarantined, s.bytes, s.generation, s.high_seq];
    (numbers, s.lost.to_vec())
}
