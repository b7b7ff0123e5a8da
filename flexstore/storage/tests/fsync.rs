//! Acknowledged means fsynced, seen by strace; and a failed fsync is final.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod child;

use std::fs;
use std::process::{Command, Output};

use flexstore_storage::Engine;

use self::child::ROLE;

/// Runs only as the child of another test.
#[test]
fn child() {
    if let Ok(role) = std::env::var(ROLE) {
        child::run(&role);
    }
}

/// `None`, with a word, where strace is not to be had. In CI that is a failure.
fn strace(arguments: &[&str], role: &str) -> Option<Output> {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        assert!(std::env::var_os("CI").is_none(), "no strace in CI");
        println!("skipped: strace does not run here");
        return None;
    }
    let output = Command::new("strace")
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, role)
        .output()
        .unwrap();
    Some(output)
}

/// Between a batch and its acknowledgement the file that it was written to is fsynced.
fn fsyncs_before_it_tells(engine: Engine, file: &str) {
    let dir = tempfile::tempdir().unwrap();
    let trace = tempfile::NamedTempFile::new().unwrap();
    let calls = "trace=write,pwrite64,fsync,fdatasync";
    let arguments = [
        "-f",
        "-y",
        "-s",
        "40",
        "-e",
        calls,
        "-o",
        trace.path().to_str().unwrap(),
    ];
    let role = format!("waits {engine} 30 {}", dir.path().display());
    let Some(output) = strace(&arguments, &role) else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let (mut clean, mut told, mut begun) = (false, 0, None);
    for line in fs::read_to_string(trace.path()).unwrap().lines() {
        let thread = line.split_whitespace().next().unwrap();
        let syncs = line.contains("fsync(") || line.contains("fdatasync(");
        if syncs && line.contains(file) {
            if line.ends_with("= 0") {
                clean = true;
            } else {
                assert!(line.contains("unfinished"), "{line}");
                begun = Some(thread.to_string());
            }
        } else if line.contains("sync resumed>") && begun.as_deref() == Some(thread) {
            assert!(line.ends_with("= 0"), "{line}");
            (clean, begun) = (true, None);
        } else if line.contains("submitting ") {
            clean = false;
        } else if line.contains("acknowledged ") {
            assert!(clean, "not fsynced before: {line}");
            told += 1;
        }
    }
    assert_eq!(told, 30);
    println!(
        "{{\"accept\":\"durability/fsync-{engine}\",\"figure\":{told},\"unit\":\"acknowledgements\",\"held\":true}}"
    );
}

#[test]
fn fjall_fsyncs_before_it_tells() {
    fsyncs_before_it_tells(Engine::Fjall, ".jnl>");
}

#[test]
fn sled_fsyncs_before_it_tells() {
    fsyncs_before_it_tells(Engine::Sled, "/sled/db>");
}

fn child_alone(role: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, role)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// From the first fsync that fails, nothing is acknowledged and nothing is taken.
fn a_failed_fsync_is_final(engine: Engine, call: &str, when: &str, batches: u64) {
    let dir = tempfile::tempdir().unwrap();
    let role = |role: &str, number| format!("{role} {engine} {number} {}", dir.path().display());
    // Making a store takes many an fsync that is not meant.
    child_alone(&role("waits", 1));
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error=EIO:when={when}");
    let arguments = ["-f", "-e", &trace, "-e", &inject, "-o", "/dev/null"];
    let Some(output) = strace(&arguments, &role("fails", batches)) else {
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let end = said
        .find("failed ")
        .into_iter()
        .chain(said.find("refused ReadOnly"))
        .min();
    let (before, after) = said.split_at(end.expect("it fails"));
    assert!(before.contains("acknowledged "), "{said}");
    assert!(!after.contains("acknowledged "), "{said}");
    assert!(after.contains("refused ReadOnly"), "{said}");
    assert!(after.contains("reads go on"), "{said}");

    // After a restart: what was acknowledged is there, and writes are taken.
    let acknowledged = before.matches("acknowledged ").count() as u64;
    child_alone(&role("reads", acknowledged));
    println!(
        "{{\"accept\":\"durability/failing-{engine}\",\"figure\":{acknowledged},\"unit\":\"acknowledged before\",\"held\":true}}"
    );
}

#[test]
fn fjall_stays_read_only_after_a_failed_fsync() {
    for when in ["20", "33+"] {
        a_failed_fsync_is_final(Engine::Fjall, "fdatasync", when, 200);
    }
}

/// The fsync of one of fjall's own threads, as it writes out a memtable or changes journals.
#[test]
fn fjall_stays_read_only_after_a_workers_failed_fsync() {
    for when in ["20", "25+"] {
        a_failed_fsync_is_final(Engine::Fjall, "fsync", when, 1_200);
    }
}

#[test]
fn sled_stays_read_only_after_a_failed_fsync() {
    for when in ["20", "33+"] {
        a_failed_fsync_is_final(Engine::Sled, "fdatasync", when, 200);
    }
}

/// While an fsync takes 400 ms, batches are taken and read as ever.
fn a_slow_fsync_stalls_nobody(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let delay = "inject=fdatasync:delay_exit=400000";
    let arguments = [
        "-f",
        "-e",
        "trace=fdatasync",
        "-e",
        delay,
        "-o",
        "/dev/null",
    ];
    let role = format!("hurries {engine} 300 {}", dir.path().display());
    let Some(output) = strace(&arguments, &role) else {
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, figures) = said.split_once("slowest ").expect("it ends well");
    let words: Vec<&str> = figures.split_whitespace().collect();
    let slowest: u64 = words[0].parse().unwrap();
    let durable: u64 = words[2].parse().unwrap();
    println!("{engine}: the slowest batch was taken in {slowest} ms, all durable in {durable} ms");
    assert!(slowest < 200, "{slowest} ms");
    assert!(durable >= 400, "{durable} ms");
}

#[test]
fn fjall_takes_batches_during_a_slow_fsync() {
    a_slow_fsync_stalls_nobody(Engine::Fjall);
}

#[test]
fn sled_takes_batches_during_a_slow_fsync() {
    a_slow_fsync_stalls_nobody(Engine::Sled);
}
