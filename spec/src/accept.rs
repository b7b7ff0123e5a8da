//! The acceptance lines: what must hold, the command that shows it, where its figure stands in the
//! output, and the goal. To add one, add a row to the list of its part; `evidence.rs` says what is read.
//!
//! A line whose figure nobody printed is `missing`, which is never `held`.

use crate::evidence::Find::{self, Accept, CompileFail, Ratio, Value};

/// One line of "must hold".
pub(crate) struct Line {
    /// Unique, and `area/what`.
    pub(crate) name: &'static str,
    /// What holds, in words.
    pub(crate) claim: &'static str,
    pub(crate) source: &'static Source,
    pub(crate) find: Find,
    pub(crate) goal: Goal,
}

/// A cargo command whose output shows one or several lines. It runs once for all of them.
pub(crate) struct Source {
    /// What follows `cargo`.
    pub(crate) words: &'static str,
    /// Environment at the size that CI has time for.
    pub(crate) ci: &'static [(&'static str, &'static str)],
    /// Environment at full size; `None` where there is only one size.
    pub(crate) soak: Option<&'static [(&'static str, &'static str)]>,
    /// Part of plain `cargo spec`. Speed is not: a figure needs a machine that does nothing else.
    pub(crate) in_ci: bool,
}

/// What the figure is held against. A line that says of itself `"held": false` never holds.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// At least this many; more in soak.
    Count {
        ci: f64,
        soak: f64,
    },
    /// At least this much where one fsync costs [`FSYNC_MS`]; scaled by the line's `fsync_ms` where
    /// it costs more.
    DurableAtLeast(f64),
    /// At most this much, scaled in the same way.
    DurableAtMost(f64),
    /// The line itself says whether it held.
    Said,
}

/// The cost of an fsync at which durable goals are meant literally.
pub(crate) const FSYNC_MS: f64 = 0.3;

/// A part of the project with its lines.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) lines: &'static [Line],
    /// The part is delivered: from then on plain `cargo spec` fails where a line has no figure.
    /// (`cargo spec accept` always does.)
    pub(crate) complete: bool,
}

/// All parts.
pub(crate) const PARTS: &[Part] = &[Part {
    name: "core",
    lines: CORE,
    complete: false,
}];

// --- Commands. `--nocapture` lets what a passing test prints through.

const CONVERGENCE: Source = Source {
    words: "test -p flexstore-testkit --test convergence -- --nocapture",
    ci: &[("HISTORIES", "5000")],
    soak: Some(&[("HISTORIES", "100000")]),
    in_ci: true,
};
const BINDING: Source = Source {
    words: "test -p flexstore-testkit --test binding -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
};
const VERIFICATION: Source = Source {
    words: "test -p flexstore-testkit --test verification -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
};
const VECTORS: Source = Source {
    words: "test -p flexstore-testkit --test vectors -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
};
const DURABILITY: Source = Source {
    words: "test -p flexstore-spec --test durability -- --nocapture --test-threads=1",
    ci: &[("ROUNDS", "40")],
    soak: Some(&[("ROUNDS", "2000")]),
    in_ci: true,
};
const BAD_INPUT: Source = Source {
    words: "test -p flexstore-spec --test bad_input -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
};
const MISUSE_CORE: Source = Source {
    words: "test --doc -p flexstore-core",
    ci: &[],
    soak: None,
    in_ci: true,
};
const MISUSE: Source = Source {
    words: "test --doc -p flexstore",
    ci: &[],
    soak: None,
    in_ci: true,
};

const fn bench(words: &'static str) -> Source {
    Source {
        words,
        ci: &[],
        soak: None,
        in_ci: false,
    }
}
const CRYPTO: Source = bench("run --release -p flexstore-bench -- crypto");
const STORE: Source = bench("run --release -p flexstore-bench -- store");
const OPEN: Source = bench("run --release -p flexstore-bench -- open");
const REPLICATE: Source = bench("run --release -p flexstore-bench -- replicate");
const RECONCILE: Source = bench("run --release -p flexstore-bench -- reconcile");
const LATENCY: Source = bench("run --release -p flexstore-bench -- latency");
const MEMORY: Source = bench("run --release -p flexstore-bench -- memory");

// --- Lines.

/// A line that prints its own verdict under its own name.
const fn said(name: &'static str, claim: &'static str, source: &'static Source) -> Line {
    Line {
        name,
        claim,
        source,
        find: Accept(name),
        goal: Goal::Said,
    }
}

/// A line that prints how many under its own name.
const fn count(
    name: &'static str,
    claim: &'static str,
    source: &'static Source,
    ci: f64,
    soak: f64,
) -> Line {
    Line {
        name,
        claim,
        source,
        find: Accept(name),
        goal: Goal::Count { ci, soak },
    }
}

/// A figure of the bench.
const fn speed(
    name: &'static str,
    claim: &'static str,
    source: &'static Source,
    find: Find,
    goal: Goal,
) -> Line {
    Line {
        name,
        claim,
        source,
        find,
        goal,
    }
}

/// The lines of part 1, in the order of its issue.
const CORE: &[Line] = &[
    // Convergence
    count(
        "convergence/histories",
        "random histories of 5 replicas end in equal sets and equal readings",
        &CONVERGENCE,
        5_000.0,
        100_000.0,
    ),
    said(
        "binding/moved",
        "an item moved to another tag or collection convinces nobody",
        &BINDING,
    ),
    said(
        "binding/resealed",
        "a sealed payload signed by somebody else convinces nobody",
        &BINDING,
    ),
    // Durability
    count(
        "durability/sigkill-fjall",
        "rounds of SIGKILL under 8 writers lose nothing acknowledged (fjall)",
        &DURABILITY,
        40.0,
        2_000.0,
    ),
    count(
        "durability/sigkill-sled",
        "rounds of SIGKILL under 8 writers lose nothing acknowledged (sled)",
        &DURABILITY,
        40.0,
        2_000.0,
    ),
    reopen(
        "durability/reopen-fjall",
        "seconds to reopen 100,000 items (fjall)",
    ),
    reopen(
        "durability/reopen-sled",
        "seconds to reopen 100,000 items (sled)",
    ),
    said(
        "durability/fsync-fjall",
        "an fsync stands before the acknowledgement (fjall)",
        &DURABILITY,
    ),
    said(
        "durability/fsync-sled",
        "an fsync stands before the acknowledgement (sled)",
        &DURABILITY,
    ),
    said(
        "durability/full-fjall",
        "a full disk loses nothing and heals (fjall)",
        &DURABILITY,
    ),
    said(
        "durability/full-sled",
        "a full disk loses nothing and heals (sled)",
        &DURABILITY,
    ),
    said(
        "durability/failing-fjall",
        "a failing fsync acknowledges nothing (fjall)",
        &DURABILITY,
    ),
    said(
        "durability/failing-sled",
        "a failing fsync acknowledges nothing (sled)",
        &DURABILITY,
    ),
    // Verification
    count(
        "verification/batches",
        "random batches of all CCTV and speccheck cases: verdicts as one by one",
        &VERIFICATION,
        1_000.0,
        1_000.0,
    ),
    // Vectors
    said(
        "vectors/wycheproof",
        "all Wycheproof cases of what we accept or refuse",
        &VECTORS,
    ),
    said("vectors/cookbook", "the JOSE cookbook", &VECTORS),
    said("vectors/cctv", "CCTV's Ed25519 cases", &VECTORS),
    said("vectors/speccheck", "speccheck's Ed25519 cases", &VECTORS),
    said("vectors/json", "the JSON test suite", &VECTORS),
    said(
        "vectors/choices",
        "the choice in every `may` case is the frozen one",
        &VECTORS,
    ),
    // Bad input
    said(
        "bad-input/parsers",
        "any bytes to any parser end in a typed error",
        &BAD_INPUT,
    ),
    said(
        "bad-input/link",
        "a link that sends rubbish is closed, nobody else notices",
        &BAD_INPUT,
    ),
    said(
        "bad-input/limits",
        "every limit holds at its edge and past it",
        &BAD_INPUT,
    ),
    said(
        "bad-input/paths",
        "tags such as ../../x touch no path",
        &BAD_INPUT,
    ),
    // Speed
    speed(
        "speed/sign",
        "x the npm package",
        &CRYPTO,
        Ratio("crypto", "sign"),
        Goal::AtLeast(3.0),
    ),
    speed(
        "speed/verify",
        "x the npm package",
        &CRYPTO,
        Ratio("crypto", "verify"),
        Goal::AtLeast(4.0),
    ),
    speed(
        "speed/verify-batch",
        "x the npm package, 256 items by 16 authors",
        &CRYPTO,
        Ratio("crypto", "verify-batch"),
        Goal::AtLeast(10.0),
    ),
    speed(
        "speed/seal",
        "x the npm package",
        &CRYPTO,
        Ratio("crypto", "seal"),
        Goal::AtLeast(4.0),
    ),
    speed(
        "speed/open",
        "x the npm package",
        &CRYPTO,
        Ratio("crypto", "open"),
        Goal::AtLeast(25.0),
    ),
    speed(
        "speed/store",
        "durable stores/s by 64 writers, signing included",
        &STORE,
        Value("store", "durable-64"),
        Goal::DurableAtLeast(15_000.0),
    ),
    speed(
        "speed/retrieve",
        "plain items/s",
        &STORE,
        Value("store", "retrieve"),
        Goal::AtLeast(100_000.0),
    ),
    speed(
        "speed/reopen",
        "ms to reopen and list 100,000 items",
        &OPEN,
        Value("open", "reopen-100000"),
        Goal::AtMost(100.0),
    ),
    speed(
        "speed/replicate-up",
        "items/s client to relay, 100,000 items",
        &REPLICATE,
        Value("replicate", "up-100000"),
        Goal::DurableAtLeast(15_000.0),
    ),
    speed(
        "speed/replicate-down",
        "items/s relay to client, 100,000 items",
        &REPLICATE,
        Value("replicate", "down-100000"),
        Goal::DurableAtLeast(15_000.0),
    ),
    reconcile("speed/reconcile-100000-1", "100000-1"),
    reconcile("speed/reconcile-100000-100", "100000-100"),
    reconcile("speed/reconcile-100000-10000", "100000-10000"),
    reconcile("speed/reconcile-1000000-1", "1000000-1"),
    reconcile("speed/reconcile-1000000-100", "1000000-100"),
    reconcile("speed/reconcile-1000000-10000", "1000000-10000"),
    speed(
        "speed/equal-bytes",
        "bytes when nothing differs",
        &RECONCILE,
        Value("reconcile", "equal-bytes"),
        Goal::AtMost(200.0),
    ),
    speed(
        "speed/equal-trips",
        "round trips when nothing differs",
        &RECONCILE,
        Value("reconcile", "equal-trips"),
        Goal::AtMost(1.0),
    ),
    speed(
        "speed/push",
        "ms client to relay to client, durable at every hop, median",
        &LATENCY,
        Value("latency", "push"),
        Goal::DurableAtMost(1.5),
    ),
    speed(
        "speed/memory",
        "bytes an item between 100,000 and 1,000,000 in the relay",
        &MEMORY,
        Value("memory", "relay"),
        Goal::AtMost(150.0),
    ),
    // Misuse does not compile
    misuse(
        "misuse/unverified-payload",
        "reading a payload before verification",
        &MISUSE_CORE,
        "Signed",
    ),
    misuse(
        "misuse/admit-unverified",
        "admitting the unverified",
        &MISUSE_CORE,
        "admi",
    ),
    misuse(
        "misuse/print-secret",
        "printing a secret",
        &MISUSE,
        "Secret",
    ),
];

const fn reopen(name: &'static str, claim: &'static str) -> Line {
    Line {
        name,
        claim,
        source: &DURABILITY,
        find: Accept(name),
        goal: Goal::AtMost(2.0),
    }
}

const fn reconcile(name: &'static str, case: &'static str) -> Line {
    Line {
        name,
        claim: "x the bytes of the bare negentropy crate (items-differences)",
        source: &RECONCILE,
        find: Ratio("reconcile", case),
        goal: Goal::AtMost(1.1),
    }
}

/// At least one `compile_fail` doctest whose name holds `of`.
const fn misuse(
    name: &'static str,
    claim: &'static str,
    source: &'static Source,
    of: &'static str,
) -> Line {
    Line {
        name,
        claim,
        source,
        find: CompileFail(of),
        goal: Goal::AtLeast(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_an_area() {
        for part in PARTS {
            let mut names: Vec<_> = part.lines.iter().map(|line| line.name).collect();
            assert!(names.iter().all(|name| name.split_once('/').is_some()));
            names.sort_unstable();
            let before = names.len();
            names.dedup();
            assert_eq!(names.len(), before);
        }
    }
}
