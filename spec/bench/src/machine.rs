//! The machine: cores, clocks, disk.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use crate::Outcome;
use crate::report::median;

/// Runs on one core, then on all again. Threads and processes started meanwhile stay on it.
pub(crate) fn on_one_core<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| before.is_set(*core));
    one.set(last.ok_or("no core to run on")?);
    sched_setaffinity(None, &one)?;
    let result = run();
    sched_setaffinity(None, &before)?;
    result
}

/// Processor time of this thread.
pub(crate) fn thread_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

/// Processor time of this process.
pub(crate) fn process_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

/// Nanoseconds since some moment, the same in all processes.
pub(crate) fn monotonic() -> u64 {
    u64::try_from(time_of(ClockId::Monotonic).as_nanos()).unwrap_or(u64::MAX)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A directory on a disk; `/tmp` may be memory.
pub(crate) fn directory() -> Outcome<TempDir> {
    let place = match std::env::var_os("FLEXSTORE_BENCH_DIR") {
        Some(place) => PathBuf::from(place),
        None => std::env::current_exe()?
            .parent()
            .ok_or("the executable is nowhere")?
            .to_path_buf(),
    };
    Ok(tempfile::Builder::new()
        .prefix("flexstore-bench-")
        .tempdir_in(place)?)
}

/// What one fsync of 4 KiB costs here and now, in ms.
pub(crate) fn fsync_ms(dir: &Path) -> Outcome<f64> {
    let mut file = File::create(dir.join("probe"))?;
    let mut costs = Vec::new();
    for round in 0..101_u8 {
        file.write_all(&[round; 4096])?;
        let start = Instant::now();
        file.sync_all()?;
        costs.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(costs))
}
