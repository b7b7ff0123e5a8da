//! Part 2: credentials.

use super::{Goal, Line, Source, bench, count, passed, speed};
use crate::evidence::Find::{Ratio, Value};

const HISTORIES: Source = Source {
    words: "test -p flexstore-testkit --test authority -- --nocapture",
    ci: &[("HISTORIES", "3000")],
    soak: Some(&[("HISTORIES", "50000")]),
    in_ci: true,
    vectors: false,
};
const DAGS: Source = Source {
    words: "test -p flexstore-testkit --test judging -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const CASES: Source = Source {
    words: "test -p flexstore-core --test authority",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const PEOPLE: Source = Source {
    words: "test -p flexstore-spec --test people --test people_attacked",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const FLAWS: Source = Source {
    words: "test -p flexstore --test original_flaws",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const VECTORS: Source = Source {
    words: "test -p flexstore --test js_vectors",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: true,
};
const ORIGINAL: Source = Source {
    words: "test -p flexstore-spec --test original",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const SECRETS: Source = Source {
    words: "test -p flexstore --test secrets --test secrets_wrap --test secrets_memory --test vault --test canary",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const PEOPLE_COST: Source = bench("run --release -p flexstore-bench -- crypto");
const JUDGING_COST: Source = bench("run --release -p flexstore-bench -- authority");

/// The lines of part 2, in the order of its issue.
pub(super) const LINES: &[Line] = &[];
