//! Bytes of a reconciliation against the bare `negentropy` crate, without a frame limit: the same
//! two sets, one side asks, the other answers. Half of the differences are on each side, spread
//! over the whole of the order. Processor time is for information.
//!
//! `equal-bytes` and `equal-trips` are two whole replicas that hold the same: all frames, both ways.

use std::sync::Arc;
use std::time::Duration;

use flexstore_core::Digest;
use flexstore_core::record::Stamp;
use flexstore_core::storage::MemoryStorage;
use flexstore_core::sync::index::Index;
use flexstore_core::sync::reconcile::{Found, advance, initiate, respond};
use flexstore_core::sync::{Input, Output, Replica, SessionId, Settings};
use flexstore_core::wire::{Checked, Message};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::Outcome;
use crate::machine::{on_one_core, thread_time};
use crate::report::{Goal, Line, Report};
use crate::work::{self, THEN};

const CHANNEL: u32 = 0;

pub(crate) fn run(report: &mut Report) -> Outcome {
    on_one_core(|| {
        for items in [100_000, 1_000_000] {
            for differences in [1, 100, 10_000] {
                let case = format!("{items}-{differences}");
                if report.wants(&case) {
                    // Bytes do not depend on the machine, but a million items take their time.
                    let items = report.size(items, items / 100);
                    let differences = differences.min(items / 10);
                    report.line(&compare(case, items, differences)?);
                }
            }
        }
        if report.wants("equal-bytes") || report.wants("equal-trips") {
            let (bytes, trips) = equal(1000)?;
            let line = Line::new("reconcile", "equal-bytes", bytes as f64, "bytes");
            report.line(&line.goal(Goal::AtMost(200.0)));
            let line = Line::new("reconcile", "equal-trips", trips as f64, "round trips");
            report.line(&line.goal(Goal::AtMost(1.0)));
        }
        Ok(())
    })
}

/// What a reconciliation came to.
struct Ran {
    bytes: usize,
    trips: usize,
    /// Digests that one side found it has, and needs.
    found: (usize, usize),
    cpu: Duration,
}

fn compare(case: String, items: usize, differences: usize) -> Outcome<Line> {
    let stamp = |n: usize| Stamp {
        iat: THEN + n as u64 * 7,
        digest: Digest::of(&n.to_le_bytes()),
    };
    // Every so many items one is missing, on the one side or on the other.
    let every = items / differences;
    let missing = |n: usize| (n % every == every / 2).then_some(n / every % 2 == 0);
    let left = |n: &usize| missing(*n) != Some(true);
    let right = |n: &usize| missing(*n) != Some(false);
    let (left, right) = (
        (0..items).filter(left).map(stamp).collect::<Vec<_>>(),
        (0..items).filter(right).map(stamp).collect::<Vec<_>>(),
    );
    let expected = (items - right.len(), items - left.len());
    let (ours, theirs) = (ours(&left, &right)?, theirs(&left, &right)?);
    if ours.found != expected || theirs.found != expected {
        return Err(format!("{case}: another difference was found than there is").into());
    }
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Line::new("reconcile", case, ours.bytes as f64, "bytes")
        .peer("negentropy", theirs.bytes as f64)
        .goal(Goal::AtMost(1.1))
        .with("items", items)
        .with("differences", expected.0 + expected.1)
        .with("trips", ours.trips)
        .with("peer_trips", theirs.trips)
        .with("cpu_ms", ms(ours.cpu))
        .with("peer_cpu_ms", ms(theirs.cpu)))
}

fn ours(left: &[Stamp], right: &[Stamp]) -> Outcome<Ran> {
    let (left, right) = (Index::build(left.to_vec()), Index::build(right.to_vec()));
    let before = thread_time();
    let mut found = Found::default();
    let (mut bytes, mut trips) = (0, 0);
    let mut message = Some(initiate(&left));
    while let Some(query) = message {
        let answer = respond(&right, &query)?;
        bytes += query.len() + answer.len();
        trips += 1;
        message = advance(&left, &answer, &mut found)?;
    }
    Ok(Ran {
        bytes,
        trips,
        found: (found.have.len(), found.need.len()),
        cpu: thread_time() - before,
    })
}

fn theirs(left: &[Stamp], right: &[Stamp]) -> Outcome<Ran> {
    let vector = |stamps: &[Stamp]| -> Outcome<NegentropyStorageVector> {
        let mut vector = NegentropyStorageVector::new();
        for stamp in stamps {
            vector.insert(stamp.iat, Id::from_byte_array(*stamp.digest.as_bytes()))?;
        }
        vector.seal()?;
        Ok(vector)
    };
    let (left, right) = (vector(left)?, vector(right)?);
    let mut left = Negentropy::borrowed(&left, 0)?;
    let mut right = Negentropy::borrowed(&right, 0)?;
    let before = thread_time();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let (mut bytes, mut trips) = (0, 0);
    let mut message = Some(left.initiate()?);
    while let Some(query) = message {
        let answer = right.reconcile(&query)?;
        bytes += query.len() + answer.len();
        trips += 1;
        message = left.reconcile_with_ids(&answer, &mut have, &mut need)?;
    }
    Ok(Ran {
        bytes,
        trips,
        found: (have.len(), need.len()),
        cpu: thread_time() - before,
    })
}

/// Bytes of all frames, and how often the opener waited for an answer, until both are live.
fn equal(items: usize) -> Outcome<(usize, usize)> {
    const SESSION: SessionId = SessionId(1);
    let author = work::authors(1).into_iter().next().ok_or("no author")?;
    let records: Result<Vec<_>, _> = (0..items)
        .map(|n| work::record(n, &work::text(n), &author))
        .collect();
    let records = records?;
    let replica = || -> Outcome<Replica> {
        let storage = Arc::new(MemoryStorage::new());
        let mut replica = Replica::open(storage, work::id()?, Settings::default())?;
        // A first peer brings the records.
        let first = SessionId(0);
        let opens = false;
        let now = THEN + items as u64;
        replica.handle(
            now,
            Input::Connected {
                session: first,
                opens,
            },
        );
        let open = Message::Open {
            oldest: 1,
            newest: 1,
            collection: work::id()?,
            replica: [1; 16],
            filter: Default::default(),
            summary: Default::default(),
        };
        for message in [Checked::Plain(open), Checked::Records(records.clone())] {
            let session = first;
            replica.handle(now, Input::Received { session, message });
        }
        while replica.poll().is_some() {}
        replica.handle(now, Input::Disconnected(first));
        if replica.index().len() != items {
            return Err("the records were not taken".into());
        }
        Ok(replica)
    };
    let mut sides = [replica()?, replica()?];
    let now = THEN + items as u64;
    for (side, opens) in sides.iter_mut().zip([true, false]) {
        let session = SESSION;
        side.handle(now, Input::Connected { session, opens });
    }
    let (mut bytes, mut trips, mut live) = (0, 0, 0);
    let mut from = 0;
    loop {
        let mut frames = Vec::new();
        while let Some(output) = sides[from].poll() {
            match output {
                Output::Send { message, .. } => frames.push(message.encode(CHANNEL)),
                Output::Synchronized { .. } => live += 1,
                _ => {}
            }
        }
        if frames.is_empty() && from == 0 {
            break;
        }
        trips += usize::from(from == 0);
        for frame in frames {
            bytes += frame.len();
            let (_, message) = Message::decode(&frame)?;
            let (session, message) = (SESSION, Checked::Plain(message));
            sides[1 - from].handle(now, Input::Received { session, message });
        }
        from = 1 - from;
    }
    if live == 2 {
        Ok((bytes, trips))
    } else {
        Err("equal sets did not become live".into())
    }
}
