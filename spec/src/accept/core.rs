//! Part 1: the core.

use super::{Goal, Line, Source, bench, count, misuse, passed, said, speed};
use crate::evidence::Find::{Accept, Ratio, Value};

// --- Commands. `--nocapture` lets what a passing test prints through.

const CONVERGENCE: Source = Source {
    words: "test -p flexstore-testkit --test convergence -- --nocapture",
    ci: &[("HISTORIES", "5000")],
    soak: Some(&[("HISTORIES", "100000")]),
    in_ci: true,
    vectors: false,
};
const BINDING: Source = Source {
    words: "test -p flexstore --test binding -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const VERIFICATION: Source = Source {
    words: "test -p flexstore-core --test verdict -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: true,
};
const VERIFICATION_QUIET: Source = Source {
    words: "test -p flexstore-core --test verdict",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: true,
};
const VECTORS_CORE: Source = Source {
    words: "test -p flexstore-core --test jws --test json",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: true,
};
const VECTORS_SEAL: Source = Source {
    words: "test -p flexstore --test seal_vectors_jwe --test seal_vectors_primitives",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: true,
};
const SIGKILL: Source = Source {
    words: "test -p flexstore-spec --test durability -- --nocapture --test-threads=1",
    ci: &[("ROUNDS", "40")],
    soak: Some(&[("ROUNDS", "2000")]),
    in_ci: true,
    vectors: false,
};
const STORAGE_STATES: Source = Source {
    words: "test -p flexstore-storage --test states -- --nocapture",
    ci: &[("CRASH_STATES", "360")],
    soak: Some(&[("CRASH_STATES", "20000")]),
    in_ci: true,
    vectors: false,
};
const STORAGE_SLED: Source = Source {
    words: "test -p flexstore-storage --test sled_damage -- --nocapture",
    ci: &[("CRASH_STATES", "160")],
    soak: Some(&[("CRASH_STATES", "5000")]),
    in_ci: true,
    vectors: false,
};
const STORAGE_FSYNC: Source = Source {
    words: "test -p flexstore-storage --test fsync -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const STORAGE_FULL: Source = Source {
    words: "test -p flexstore-storage --test full -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const PROPERTIES: Source = Source {
    words: "test -p flexstore-core --test properties --test wire",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const SEAL: Source = Source {
    words: "test -p flexstore --test seal_limits --test seal_holes",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const RELAY: Source = Source {
    words: "test -p flexstore-spec --test relay_bad_input --test relay_load --test peers -- --test-threads=1",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const SESSIONS: Source = Source {
    words: "test -p flexstore-testkit --test sessions",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const MISUSE_CORE: Source = Source {
    words: "test --doc -p flexstore-core",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const MISUSE: Source = Source {
    words: "test --doc -p flexstore",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};

const CRYPTO: Source = bench("run --release -p flexstore-bench -- crypto");
const STORE: Source = bench("run --release -p flexstore-bench -- store");
const OPEN: Source = bench("run --release -p flexstore-bench -- open");
const REPLICATE: Source = bench("run --release -p flexstore-bench -- replicate");
const RECONCILE: Source = bench("run --release -p flexstore-bench -- reconcile");
const LATENCY: Source = bench("run --release -p flexstore-bench -- latency");
const MEMORY: Source = bench("run --release -p flexstore-bench -- memory");

/// The lines of part 1, in the order of its issue.
pub(super) const LINES: &[Line] = &[
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
        "binding/resigned",
        "a sealed payload signed by somebody else convinces nobody",
        &BINDING,
    ),
    // Durability
    count(
        "durability/sigkill-fjall",
        "rounds of SIGKILL under 8 writers lose nothing acknowledged (fjall)",
        &SIGKILL,
        40.0,
        2_000.0,
    ),
    count(
        "durability/sigkill-sled",
        "rounds of SIGKILL under 8 writers lose nothing acknowledged (sled)",
        &SIGKILL,
        40.0,
        2_000.0,
    ),
    reopen(
        "durability/reopen-fjall",
        "seconds until a killed relay of 100,000 items answers (fjall)",
    ),
    reopen(
        "durability/reopen-sled",
        "seconds until a killed relay of 100,000 items answers (sled)",
    ),
    count(
        "durability/crash-states",
        "states of the disk after a power loss open with everything acknowledged (fjall)",
        &STORAGE_STATES,
        300.0,
        20_000.0,
    ),
    said(
        "durability/rot-fjall",
        "damage of what was durable is told, never silent (fjall)",
        &STORAGE_STATES,
    ),
    said(
        "durability/rot-sled",
        "damage of what was durable is told, never silent (sled)",
        &STORAGE_SLED,
    ),
    said(
        "durability/fsync-fjall",
        "an fsync stands before the acknowledgement (fjall, strace)",
        &STORAGE_FSYNC,
    ),
    said(
        "durability/fsync-sled",
        "an fsync stands before the acknowledgement (sled, strace)",
        &STORAGE_FSYNC,
    ),
    said(
        "durability/full-fjall",
        "a full disk loses nothing, reads go on, writes come back (fjall)",
        &STORAGE_FULL,
    ),
    said(
        "durability/full-sled",
        "a full disk loses nothing, reads go on, writes come back (sled)",
        &STORAGE_FULL,
    ),
    said(
        "durability/failing-fjall",
        "a failing fsync acknowledges nothing and ends writing (fjall)",
        &STORAGE_FSYNC,
    ),
    said(
        "durability/failing-sled",
        "a failing fsync acknowledges nothing and ends writing (sled)",
        &STORAGE_FSYNC,
    ),
    // Verification
    said(
        "vectors/cctv",
        "CCTV: one verdict, singly and in 1,000 random batches",
        &VERIFICATION,
    ),
    said(
        "vectors/speccheck",
        "speccheck: one verdict, singly and in 1,000 random batches",
        &VERIFICATION,
    ),
    said(
        "vectors/wycheproof-ed25519",
        "Wycheproof Ed25519, but for case 151, on which ZIP 215 differs",
        &VERIFICATION,
    ),
    passed(
        "vectors/verdicts-frozen",
        "every verdict is the frozen one",
        &VERIFICATION_QUIET,
        "the_table_is_frozen",
    ),
    // Vectors
    passed(
        "vectors/wycheproof-jose",
        "Wycheproof JWS, JWK and JWS/JWE: no foreign record is taken for ours",
        &VECTORS_CORE,
        "foreign::wycheproof",
    ),
    passed(
        "vectors/cookbook-jws",
        "the JOSE cookbook's JWS",
        &VECTORS_CORE,
        "foreign::cookbook",
    ),
    passed(
        "vectors/javascript",
        "the JavaScript original's records",
        &VECTORS_CORE,
        "foreign::javascript_original",
    ),
    passed(
        "vectors/json",
        "the JSON test suite; every free choice frozen",
        &VECTORS_CORE,
        "must_refuse_and_must_accept",
    ),
    passed(
        "vectors/wycheproof-jwe",
        "Wycheproof JWE, X25519, AES-GCM, AES-KW, RSA-OAEP; every choice frozen",
        &VECTORS_SEAL,
        "wycheproof",
    ),
    passed(
        "vectors/cookbook-jwe",
        "the JOSE cookbook's JWE",
        &VECTORS_SEAL,
        "cookbook",
    ),
    // Bad input
    passed(
        "bad-input/records",
        "any bytes as a record end in a typed error; limits at and past the edge",
        &PROPERTIES,
        "limits",
    ),
    passed(
        "bad-input/frames",
        "any bytes as a frame end in a typed error; limits at and past the edge",
        &PROPERTIES,
        "any_bytes_end_in_a_typed_error_or_a_message",
    ),
    passed(
        "bad-input/josekit",
        "each of josekit's eight holes is closed",
        &SEAL,
        "hole",
    ),
    passed(
        "bad-input/link",
        "a link that sends rubbish is closed with a reason, nobody else notices",
        &RELAY,
        "messages_out_of_place",
    ),
    passed(
        "bad-input/bytes",
        "random bytes to the relay",
        &RELAY,
        "bytes_that_are_no_message",
    ),
    passed(
        "bad-input/queue",
        "a reader that never reads costs less than a mebibyte and is closed",
        &RELAY,
        "readers_that_never_read",
    ),
    passed(
        "bad-input/session",
        "what no honest peer sends closes the session with a reason",
        &SESSIONS,
        "what_no_honest_peer_sends",
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
        source: &SIGKILL,
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
