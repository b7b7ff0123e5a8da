//! The steps of the check, in the order in which they run: cheap ones first.

mod crates;
mod fuzz;
mod tests;

use std::time::{Duration, Instant};

use crate::command::Job;
use crate::place::Place;

/// What came of a step, with a word on it.
pub(crate) enum Verdict {
    Held(String),
    Failed(String),
    Skipped(String),
}

use Verdict::{Failed, Held, Skipped};

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Place) -> Verdict,
}

const STEPS: &[Step] = &[
    Step {
        name: "prepare",
        about: "install what the steps need",
        run: crates::prepare,
    },
    Step {
        name: "fmt",
        about: "cargo fmt --check",
        run: fmt,
    },
    Step {
        name: "arrows",
        about: "which crate may depend on which",
        run: crates::arrows,
    },
    Step {
        name: "deny",
        about: "licences, bans and sources; advisories",
        run: crates::deny,
    },
    Step {
        name: "clippy",
        about: "clippy -D warnings on every target",
        run: clippy,
    },
    Step {
        name: "purity",
        about: "core calls no clock, file, socket, thread",
        run: crates::purity,
    },
    Step {
        name: "docs",
        about: "rustdoc -D warnings",
        run: docs,
    },
    Step {
        name: "tests",
        about: "all tests and doctests",
        run: tests::tests,
    },
    Step {
        name: "package",
        about: "the published crates can be packed",
        run: crates::package,
    },
    Step {
        name: "bench",
        about: "every bench once, small",
        run: tests::bench,
    },
    Step {
        name: "acceptance",
        about: "acceptance lines that CI has time for",
        run: tests::accept,
    },
    Step {
        name: "fuzz",
        about: "every fuzz target, 5 minutes in all",
        run: fuzz::fuzz,
    },
];

/// Prints the steps.
pub(crate) fn list() {
    println!("steps (cargo spec STEP...):");
    for step in STEPS {
        println!("  {:<10} {}", step.name, step.about);
    }
}

/// Runs the named steps, or all of them, and says whether none failed.
pub(crate) fn run(place: &Place, names: &[String]) -> bool {
    if let Some(unknown) = names
        .iter()
        .find(|name| STEPS.iter().all(|step| step.name != **name))
    {
        eprintln!("no such step: {unknown}");
        list();
        return false;
    }
    let chosen = STEPS
        .iter()
        .filter(|step| names.is_empty() || names.iter().any(|name| name == step.name));
    let (mut held, mut failed, mut skipped) = (0, Vec::new(), 0);
    let all = Instant::now();
    for step in chosen {
        println!("run     {:<10} {}", step.name, step.about);
        let start = Instant::now();
        let verdict = (step.run)(place);
        let (word, note) = match &verdict {
            Held(note) => ("held", note),
            Failed(note) => ("FAILED", note),
            Skipped(note) => ("skipped", note),
        };
        let seconds = format!("{:.1} s", start.elapsed().as_secs_f64());
        match verdict {
            // Output before the verdict, so that the verdict is what one sees last.
            Failed(_) => {
                println!("{note}\n{word:<7} {:<10} {seconds}", step.name);
                failed.push(step.name);
            }
            Held(_) => held += 1,
            Skipped(_) => skipped += 1,
        }
        if word != "FAILED" {
            println!("{word:<7} {:<10} {seconds:<9} {note}", step.name);
        }
    }
    println!("\n{:.0} s in all", all.elapsed().as_secs_f64());
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    println!("{held} passed, {} failed, {skipped} skipped", failed.len());
    failed.is_empty()
}

/// A step that is one command.
fn plain(place: &Place, name: &str, job: Job) -> Verdict {
    let shown = job.shown().to_owned();
    let run = job.run(place, name);
    if run.success {
        Held(String::new())
    } else {
        Failed(format!("$ {shown}\n{}\n{}", run.tail(200), run.end))
    }
}

/// Skipped for a person, failed for CI, where nothing may be missing.
fn missing(place: &Place, word: String) -> Verdict {
    if place.ci {
        Failed(word)
    } else {
        Skipped(word)
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn fmt(place: &Place) -> Verdict {
    plain(
        place,
        "fmt",
        place.cargo("fmt --all -- --check", minutes(2)),
    )
}

fn clippy(place: &Place) -> Verdict {
    let words = "clippy --workspace --all-targets --all-features -- -D warnings";
    plain(place, "clippy", place.cargo(words, minutes(30)))
}

fn docs(place: &Place) -> Verdict {
    let job = place.cargo("doc --workspace --no-deps --all-features", minutes(30));
    plain(place, "docs", job.env("RUSTDOCFLAGS", "-D warnings"))
}

#[cfg(test)]
mod unit {
    use super::STEPS;

    #[test]
    fn no_step_is_hidden_by_a_subcommand_or_another_step() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.extend(["list", "accept", "soak", "help"]);
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
