//! Durable stores and reads of 1 KiB plain items through a peer, as an app does it.
//!
//! `durable-64`: 64 tasks, each of which stores, waits until its item is durable and stores the
//! next; signing is included. `retrieve`: two tasks on two threads, random order, out of a store of
//! 100,000 items that was opened afresh.

use std::sync::Arc;
use std::time::Instant;

use flexstore_storage::{Engine, Options};

use crate::Outcome;
use crate::machine::{directory, fsync_ms, process_time};
use crate::report::{Goal, Line, Report, median};
use crate::work;

const WRITERS: usize = 64;
const READERS: usize = 2;

pub(crate) fn run(report: &mut Report) -> Outcome {
    if report.wants("durable-64") || report.wants("durable-64-sled") || report.wants("retrieve") {
        work::runtime()?.block_on(measure(report))?;
    }
    Ok(())
}

async fn measure(report: &mut Report) -> Outcome {
    let (rounds, a_round) = (5, report.size(20_000, 400));
    let place = directory()?;
    let dirs =
        [Engine::Fjall, Engine::Sled].map(|engine| (engine, place.path().join(engine.name())));
    let mut stores = Vec::new();
    for (engine, dir) in &dirs {
        if *engine == Engine::Fjall || report.wants("durable-64-sled") {
            let storage = flexstore_storage::open(dir, Options::new(*engine))?;
            stores.push((*engine, work::offline(storage).await?, Vec::new(), 0.0));
        }
    }
    let mut fsync = Vec::new();
    for round in 0..rounds {
        fsync.push(fsync_ms(place.path())?);
        for (_, (_, items), rates, cpu) in &mut stores {
            let from = round * a_round;
            let (start, before) = (Instant::now(), process_time());
            work::fill(items, from..from + a_round, WRITERS).await?;
            rates.push(a_round as f64 / start.elapsed().as_secs_f64());
            *cpu += (process_time() - before).as_secs_f64();
        }
    }
    let fsync = median(fsync);
    for (engine, (peer, _), rates, cpu) in stores {
        let (case, goal) = match engine {
            Engine::Fjall => ("durable-64", Goal::AtLeast(15_000.0)),
            _ => ("durable-64-sled", Goal::None),
        };
        peer.close().await;
        let line = Line::new("store", case, median(rates), "items/s")
            .goal(goal)
            .fsync(fsync)
            .with("cpu_us", cpu * 1e6 / (rounds * a_round) as f64)
            .with("writers", WRITERS);
        report.line(&line);
    }
    if report.wants("retrieve") {
        let (_, dir) = &dirs[0];
        report.line(&retrieve(dir, rounds * a_round).await?);
    }
    Ok(())
}

async fn retrieve(dir: &std::path::Path, count: usize) -> Outcome<Line> {
    let storage = flexstore_storage::open(dir, Options::default())?;
    let (peer, items) = work::offline(storage).await?;
    let order = Arc::new(work::shuffled(count));
    let (mut rates, mut cpu) = (Vec::new(), 0.0);
    for _ in 0..5 {
        let (start, before) = (Instant::now(), process_time());
        let mut tasks = Vec::new();
        for reader in 0..READERS {
            let (items, order) = (items.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                for &n in order.iter().skip(reader).step_by(READERS) {
                    let item = items.retrieve(work::tag(n)).await?;
                    if item.is_none_or(|item| item.bytes().map_or(0, <[u8]>::len) != 1024) {
                        return Err::<(), crate::Error>("an item is missing".into());
                    }
                }
                Ok(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        rates.push(count as f64 / start.elapsed().as_secs_f64());
        cpu += (process_time() - before).as_secs_f64() / 5.0;
    }
    peer.close().await;
    Ok(Line::new("store", "retrieve", median(rates), "items/s")
        .goal(Goal::AtLeast(100_000.0))
        .with("cpu_us", cpu * 1e6 / count as f64)
        .with("items", count)
        .with("threads", READERS))
}
