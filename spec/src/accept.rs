//! The acceptance lines: what must hold, the command that shows it, where its figure stands in the
//! output, and the goal. To add one, add a row to the list of its part; `evidence.rs` says what is read.
//!
//! A line whose figure nobody printed is `missing`, which is never `held`.

mod core;
mod credentials;
mod transports;

use crate::evidence::Find::{self, Accept, CompileFail, Passed};

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
    /// Shows nothing on a machine without the published vectors.
    pub(crate) vectors: bool,
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
    /// The part is delivered: from then on `cargo spec` fails in CI where a line has no figure.
    /// (`cargo spec accept` always does.)
    pub(crate) complete: bool,
}

/// All parts.
pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "core",
        lines: core::LINES,
        complete: true,
    },
    Part {
        name: "credentials",
        lines: credentials::LINES,
        complete: true,
    },
    Part {
        name: "transports",
        lines: transports::LINES,
        complete: false,
    },
];

const fn bench(words: &'static str) -> Source {
    Source {
        words,
        ci: &[],
        soak: None,
        in_ci: false,
        vectors: false,
    }
}
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

/// At least one passing test whose name holds `of`, and none that fails.
const fn passed(
    name: &'static str,
    claim: &'static str,
    source: &'static Source,
    of: &'static str,
) -> Line {
    Line {
        name,
        claim,
        source,
        find: Passed(of),
        goal: Goal::AtLeast(1.0),
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
