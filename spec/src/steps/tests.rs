//! Steps that run the project's own tests, benches and acceptance lines.

use super::Verdict::{self, Failed, Held, Skipped};
use super::{minutes, missing};
use crate::accept::PARTS;
use crate::evidence;
use crate::judge::{self, Size};
use crate::place::Place;
use crate::prepare;

pub(super) fn tests(place: &Place) -> Verdict {
    if let Err(word) = prepare::npm(place) {
        println!("        {word}");
    }
    let job = place.cargo(
        "test --workspace --all-features --no-fail-fast",
        minutes(40),
    );
    let run = job.run(place, "tests");
    let count = |word: &str| -> usize {
        let results = run
            .output
            .iter()
            .filter(|line| line.starts_with("test result:"));
        results.filter_map(|line| counted(line, word)).sum()
    };
    let (passed, failed, ignored) = (count("passed"), count("failed"), count("ignored"));
    let words = format!("tests: {passed} passed, {failed} failed, {ignored} ignored");
    if !run.success {
        return Failed(format!("{}\n{}\n{words}", run.tail(300), run.end));
    }
    if passed == 0 {
        return Failed("no test ran".to_owned());
    }
    Held(words)
}

/// The number before the word in `test result: ok. 3 passed; 0 failed; …`.
fn counted(line: &str, word: &str) -> Option<usize> {
    let (before, _) = line.split_once(&format!(" {word}"))?;
    before.rsplit(' ').next()?.parse().ok()
}

pub(super) fn bench(place: &Place) -> Verdict {
    if let Err(word) = prepare::npm(place) {
        println!("        {word}");
    }
    let job = place.cargo(
        "run --release -p flexstore-bench -- all --quick",
        minutes(30),
    );
    let run = job.run(place, "bench");
    if !run.success {
        return Failed(format!("{}\n{}", run.tail(100), run.end));
    }
    match evidence::objects(&run.stdout).count() {
        0 => missing(place, "the bench prints no case yet".to_owned()),
        cases => Held(format!(
            "{cases} cases ran; their figures mean nothing at this size"
        )),
    }
}

/// The lines that CI has time for. One without a figure fails only in CI, and only once its part
/// is complete: a person's machine may lack the vectors, strace, or the right to mount.
pub(super) fn accept(place: &Place) -> Verdict {
    let mut held = 0;
    let (mut not, mut absent, mut due) = (Vec::new(), Vec::new(), false);
    for part in PARTS {
        let lines: Vec<_> = part.lines.iter().filter(|line| line.source.in_ci).collect();
        let judged = judge::judge(place, &lines, Size::Ci);
        judge::print(&judged);
        for line in &judged {
            match line.verdict {
                judge::Verdict::Held => held += 1,
                judge::Verdict::Not => not.push(line.line.name),
                judge::Verdict::Missing => {
                    absent.push(line.line.name);
                    due |= part.complete && place.ci;
                }
            }
        }
    }
    let words = if absent.is_empty() {
        format!("{held} lines held")
    } else {
        format!("{held} lines held, missing: {}", absent.join(" "))
    };
    if !not.is_empty() {
        Failed(format!("not held: {}; {words}", not.join(" ")))
    } else if due {
        Failed(words)
    } else if absent.is_empty() {
        Held(words)
    } else {
        Skipped(words)
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn reads_libtest_results() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out";
        assert_eq!(counted(line, "passed"), Some(12));
        assert_eq!(counted(line, "ignored"), Some(3));
        assert_eq!(counted(line, "skipped"), None);
    }
}
