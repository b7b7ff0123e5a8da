//! A live push: from before a client stores an item of 1 KiB until another client has it, durable
//! at the writer, at the relay and at the reader, which tells its app. Three processes, fjall.

use crate::child::Process;
use crate::machine::{directory, fsync_ms};
use crate::report::{Goal, Line, Report, median};
use crate::{Outcome, work};

const WARM_UP: usize = 50;

pub(crate) fn run(report: &mut Report) -> Outcome {
    if !report.wants("push") {
        return Ok(());
    }
    let count = report.size(1000, 50);
    let place = directory()?;
    let (relay, service) = Process::relay(&place.path().join("relay"), "32")?;
    let mut writer = Process::client(&place.path().join("writer"))?;
    let mut reader = Process::client(&place.path().join("reader"))?;
    for client in [&mut writer, &mut reader] {
        client.command(&format!("sync {service}"))?;
    }
    reader.command("updates")?;
    let (mut fsync, mut pushes, mut stores) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..WARM_UP + count {
        if n % 100 == 0 {
            fsync.push(fsync_ms(place.path())?);
        }
        let sent = writer.command(&format!("store {n}"))?;
        let came = loop {
            let update = reader.answer()?;
            if update["tag"] == work::tag(n) {
                break update["ns"].as_f64();
            }
        };
        let (Some(from), Some(to), Some(here)) =
            (sent["ns"].as_f64(), came, sent["stored"].as_f64())
        else {
            return Err("a client said no time".into());
        };
        if n >= WARM_UP {
            pushes.push((to - from) / 1e6);
            stores.push((here - from) / 1e6);
        }
    }
    for client in [writer, reader] {
        client.stop()?;
    }
    relay.stop()?;
    pushes.sort_by(f64::total_cmp);
    let tenth = |n: usize| pushes.get(pushes.len() * n / 10).copied();
    let line = Line::new("latency", "push", median(pushes.clone()), "ms")
        .goal(Goal::AtMost(1.5))
        .fsync(median(fsync))
        .with("p10", tenth(1))
        .with("p90", tenth(9))
        .with("store_ms", median(stores))
        .with("pushes", count);
    report.line(&line);
    Ok(())
}
