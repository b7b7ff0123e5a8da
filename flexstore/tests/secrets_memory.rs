//! A cost out of bounds takes no memory. In a process of its own, since it is the process's peak
//! that is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test

use std::time::Instant;

use flexstore::{RecoverySecret, UnwrapError};
use flexstore_core::{decode_base64url, encode_base64url};

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

#[test]
fn a_cost_out_of_bounds_takes_neither_time_nor_memory() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("secrets_golden.json")).unwrap();
    let jwe = golden["words_jwe"].as_str().unwrap();
    let kid = golden["kid"].as_str().unwrap();
    let (header, rest) = jwe.split_once('.').unwrap();
    let header = String::from_utf8(decode_base64url(header.as_bytes()).unwrap()).unwrap();
    let secret = RecoverySecret::joined("1", &[0; 64]).unwrap();
    let open = |from: &str, to: &str| {
        let header = header.replacen(from, to, 1);
        let jwe = format!("{}.{rest}", encode_base64url(header.as_bytes()));
        secret.open(&jwe, kid).unwrap_err()
    };
    open("dir", "warm up");
    let before = peak();
    for (from, to) in [
        ("65536", "65535"),
        ("65536", "262145"),
        ("65536", "2147483647"),
        ("65536", "4294967295"),
        (r#""t":3"#, r#""t":2"#),
        (r#""t":3"#, r#""t":11"#),
        (r#""t":3"#, r#""t":4294967295"#),
        (r#""p":4"#, r#""p":3"#),
        (r#""p":4"#, r#""p":9"#),
        (r#""p":4"#, r#""p":16777215"#),
    ] {
        let start = Instant::now();
        assert!(matches!(open(from, to), UnwrapError::Cost(_)), "{to}");
        assert!(
            start.elapsed().as_millis() < 5,
            "{to}: {:?}",
            start.elapsed()
        );
    }
    let refused = peak() - before;
    assert!(refused < 1 << 10, "{refused} KiB for what was refused");
    // The measure measures: one derivation shows.
    assert_eq!(open("dir", "dir"), UnwrapError::Failed);
    assert!(peak() - before > 60 << 10);
}
