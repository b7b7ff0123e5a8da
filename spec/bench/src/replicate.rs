//! Replication of 100,000 items of 1 KiB, three processes on the machine's cores, fjall everywhere:
//! `up` from a client to a relay that has nothing, until all is durable there; `down` from the relay
//! to a client that has nothing, until all is durable there.

use crate::Outcome;
use crate::child::Process;
use crate::machine::{directory, fsync_ms};
use crate::report::{Goal, Line, Report, median};

const CASES: [&str; 2] = ["up-100000", "down-100000"];

pub(crate) fn run(report: &mut Report) -> Outcome {
    if !CASES.iter().any(|case| report.wants(case)) {
        return Ok(());
    }
    let count = report.size(100_000, 2_000);
    let rounds = report.size(5, 1);
    let place = directory()?;
    let from = place.path().join("from");
    let mut client = Process::client(&from)?;
    client.command(&format!("fill {count}"))?;
    client.close()?;
    let (mut fsync, mut rates, mut cpu) = (Vec::new(), [Vec::new(), Vec::new()], [0.0, 0.0]);
    for _ in 0..rounds {
        fsync.push(fsync_ms(place.path())?);
        let (relay_dir, to) = (place.path().join("relay"), place.path().join("to"));
        let (relay, service) = Process::relay(&relay_dir, "32")?;
        let mut clients = [Process::client(&from)?, Process::client(&to)?];
        for (leg, client) in clients.iter_mut().enumerate() {
            let busy = relay.cpu()?;
            let answer = client.command(&format!("sync {service}"))?;
            let number = |name: &str| answer[name].as_f64().ok_or("a client said no figure");
            if number("count")? != count as f64 {
                return Err(format!("{} of {count} items came", answer["count"]).into());
            }
            rates[leg].push(count as f64 / number("seconds")?);
            cpu[leg] += number("cpu")? + relay.cpu()? - busy;
        }
        for process in clients {
            process.close()?;
        }
        relay.stop()?;
        std::fs::remove_dir_all(relay_dir)?;
        std::fs::remove_dir_all(to)?;
    }
    let fsync = median(fsync);
    for ((case, rates), cpu) in CASES.into_iter().zip(rates).zip(cpu) {
        let line = Line::new("replicate", case, median(rates), "items/s")
            .goal(Goal::AtLeast(15_000.0))
            .fsync(fsync)
            .with("cpu_us", cpu * 1e6 / (count * rounds) as f64)
            .with("rounds", rounds);
        report.line(&line);
    }
    Ok(())
}
