//! Strict JSON against JSONTestSuite: must accept, must refuse, and what we choose where the
//! standard leaves the choice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::path::Path;

use flexstore_core::json::{JsonError, parse_strict};
use serde_json::Value;
use support::{frozen, lines, report, vectors};

/// Texts that RFC 8259 §4 allows and calls unpredictable ("SHOULD be unique"): we refuse a member
/// that is named twice, since parsers read it differently.
const DUPLICATES: [&str; 2] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
];

fn outcome(text: &[u8]) -> String {
    match parse_strict(text) {
        Ok(value) => {
            let shown = value.to_string();
            // Whatever we accept, the plain parser reads alike.
            assert_eq!(serde_json::from_slice::<Value>(text).unwrap(), value);
            format!("accepts: {shown}")
        }
        Err(JsonError::Syntax { .. }) => "refuses: syntax".into(),
        Err(JsonError::DuplicateKey) => "refuses: named twice".into(),
        Err(JsonError::TooDeep) => "refuses: too deep".into(),
        Err(other) => format!("refuses: {other}"),
    }
}

fn outcomes(folder: &Path) -> Vec<(String, String)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), outcome(&text))
        })
        .collect();
    all.sort();
    all
}

fn refused(outcome: &str) -> bool {
    outcome.starts_with("refuses")
}

#[test]
fn must_refuse_and_must_accept() {
    let Some(folder) = vectors() else { return };
    let all = outcomes(&folder.join("jsontestsuite/test_parsing"));
    let of = |prefix| all.iter().filter(move |(name, _)| name.starts_with(prefix));

    let kept: Vec<_> = of("n_").filter(|(_, outcome)| !refused(outcome)).collect();
    let n = of("n_").count();
    let figure = format!("{} of {n} refused {kept:?}", n - kept.len());
    report(
        "vectors/json-must-refuse",
        &figure,
        "188 of 188",
        n == 188 && kept.is_empty(),
    );

    let lost: Vec<_> = of("y_").filter(|(_, outcome)| refused(outcome)).collect();
    let named: Vec<_> = lost.iter().map(|(name, _)| name.as_str()).collect();
    let n = of("y_").count();
    let figure = format!(
        "{} of {n} accepted, duplicate members refused {named:?}",
        n - lost.len()
    );
    let held = n == 95
        && named == DUPLICATES
        && lost
            .iter()
            .all(|(_, outcome)| outcome == "refuses: named twice");
    report(
        "vectors/json-must-accept",
        &figure,
        "95 but for 2 with duplicate members",
        held,
    );

    let free: Vec<_> = of("i_").cloned().collect();
    report(
        "vectors/json-free",
        &format!("{} frozen", free.len()),
        "35",
        free.len() == 35,
    );
    freeze(
        "json-parsing.json",
        "JSONTestSuite i_*: free to accept or refuse. We refuse what is no UTF-8 or no Unicode (lone surrogates), a byte order mark, nesting past 64 and numbers past f64; we accept integers past 64 bits and underflows as an f64 near by",
        free,
    );
}

#[test]
fn transformations_are_frozen() {
    let Some(folder) = vectors() else { return };
    let all = outcomes(&folder.join("jsontestsuite/test_transform"));
    report(
        "vectors/json-transform",
        &format!("{} frozen", all.len()),
        "22",
        all.len() == 22,
    );
    freeze(
        "json-transform.json",
        "JSONTestSuite test_transform: what becomes of each text. Integers of 64 bits stay exact (JavaScript rounds past 2^53); other numbers become an f64; NFC and NFD are two names; a member named twice is refused",
        all,
    );
}

fn freeze(file: &str, about: &str, outcomes: Vec<(String, String)>) {
    let about = ("about".to_owned(), Value::from(about));
    let outcomes = outcomes
        .into_iter()
        .map(|(name, outcome)| (name, outcome.into()));
    frozen(file, &lines(std::iter::once(about).chain(outcomes)));
}

/// Bombs: deep, wide, long, and all in a thread of little stack. Each is judged in time that grows
/// as its length does.
#[test]
fn bombs_are_judged() {
    let bombs: Vec<(&str, Vec<u8>, bool)> = vec![
        ("100,000 [", "[".repeat(100_000).into(), false),
        ("100,000 {\"\":", "{\"\":".repeat(100_000).into(), false),
        (
            "deep after a member",
            format!("{{\"a\":{}", "[{\"b\":".repeat(50_000)).into(),
            false,
        ),
        (
            "200,000 empty arrays",
            format!("[{}[]]", "[],".repeat(200_000)).into(),
            true,
        ),
        (
            "a number of a million digits",
            "1".repeat(1_000_000).into(),
            false,
        ),
        (
            "a fraction of a million digits",
            format!("0.{}", "1".repeat(1_000_000)).into(),
            true,
        ),
        (
            "an exponent of a million digits",
            format!("1e{}", "9".repeat(1_000_000)).into(),
            false,
        ),
        (
            "a string of a million escapes",
            format!("\"{}\"", "\\u0000".repeat(1_000_000)).into(),
            true,
        ),
        (
            "a million quotes, open",
            "\"\\\"".repeat(1_000_000).into(),
            false,
        ),
        ("a million spaces", " ".repeat(1_000_000).into(), false),
        (
            "100,000 members",
            {
                let members: Vec<_> = (0..100_000).map(|i| format!("\"{i}\":{i}")).collect();
                format!("{{{}}}", members.join(",")).into()
            },
            true,
        ),
        (
            "100,000 members, the last again",
            {
                let members: Vec<_> = (0..100_000).map(|i| format!("\"{i}\":{i}")).collect();
                format!("{{{},\"99999\":0}}", members.join(",")).into()
            },
            false,
        ),
    ];
    let judge = move || {
        for (name, text, accepted) in bombs {
            assert_eq!(parse_strict(&text).is_ok(), accepted, "{name}");
        }
    };
    // A quarter of what a thread of the app would have.
    let thread = std::thread::Builder::new()
        .stack_size(512 << 10)
        .spawn(judge)
        .unwrap();
    report(
        "json/bombs",
        "12 bombs",
        "judged on 512 KiB of stack",
        thread.join().is_ok(),
    );
}

/// A double that is written and read is the same double, as in JavaScript. It is not, for about a
/// tenth of those below 1,000, unless serde_json has its feature `float_roundtrip`.
#[test]

fn doubles_are_read_exactly() {
    let exact = |text: &str| {
        let value = parse_strict(text.as_bytes()).unwrap().as_f64();
        value == text.parse().ok()
    };
    assert!(exact("902.3984464710553"));
    let mut bits = 1u64;
    let mut wrong = 0;
    for _ in 0..100_000 {
        // Xorshift: the same doubles on every run.
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let double = f64::from_bits(bits);
        wrong += usize::from(double.is_finite() && !exact(&format!("{double:e}")));
    }
    let figure = format!("100000 doubles, {wrong} read as another");
    report("json/doubles", &figure, "0 read as another", wrong == 0);
}
