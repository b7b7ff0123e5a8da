//! Reopening a store of 100,000 items of 1 KiB and the first `list`: storage, peer and collection,
//! after a clean close.

use std::path::Path;
use std::time::Instant;

use flexstore::{Collection, Mutable, Peer};
use flexstore_storage::Options;

use crate::Outcome;
use crate::machine::{directory, process_time};
use crate::report::{Goal, Line, Report, median};
use crate::work;

const CASE: &str = "reopen-100000";

pub(crate) fn run(report: &mut Report) -> Outcome {
    if !report.wants(CASE) {
        return Ok(());
    }
    let count = report.size(100_000, 2_000);
    let place = directory()?;
    let dir = place.path().join("store");
    work::runtime()?.block_on(async {
        let storage = flexstore_storage::open(&dir, Options::default())?;
        let (peer, items) = work::offline(storage).await?;
        work::fill(&items, 0..count, 512).await?;
        peer.close().await;
        Outcome::Ok(())
    })?;
    let (mut all, mut opened, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let (whole, open, used) = work::runtime()?.block_on(reopen(&dir, count))?;
        all.push(whole);
        opened.push(open);
        cpu.push(used);
    }
    let line = Line::new("open", CASE, median(all), "ms")
        .goal(Goal::AtMost(100.0))
        .with("open_ms", median(opened))
        .with("cpu_ms", median(cpu))
        .with("items", count);
    report.line(&line);
    Ok(())
}

/// Milliseconds until the list is there, until the collection is open, and of processor time.
async fn reopen(dir: &Path, count: usize) -> Outcome<(f64, f64, f64)> {
    let (start, before) = (Instant::now(), process_time());
    let storage = flexstore_storage::open(dir, Options::default())?;
    let peer = Peer::open(storage)?;
    let items: Collection<Mutable> = peer.collection(work::NAME).open()?;
    let open = start.elapsed();
    let listed = items.list()?.len();
    let whole = start.elapsed();
    let cpu = process_time() - before;
    peer.close().await;
    if listed != count {
        return Err(format!("{listed} items are listed, and {count} were stored").into());
    }
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    Ok((ms(whole), ms(open), ms(cpu)))
}
