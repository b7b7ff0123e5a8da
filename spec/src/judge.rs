//! Runs acceptance lines and holds each figure against its goal.

use std::fs;
use std::ptr;
use std::time::{Duration, Instant};

use crate::accept::{FSYNC_MS, Goal, Line, PARTS, Part, Source};
use crate::command::Run;
use crate::evidence::{self, Figure, Find};
use crate::place::Place;
use crate::prepare;

/// How much of a line is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// What CI has time for.
    Ci,
    /// Full size where a line has one, and the other lines as they are.
    Soak,
    /// Only lines that have a full size.
    SoakOnly,
}

/// Whether a line held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    /// There is a figure, and it is not good enough; or its command failed.
    Not,
    /// Nobody printed a figure.
    Missing,
}

/// A line with what came of it.
pub(crate) struct Judged {
    pub(crate) line: &'static Line,
    pub(crate) verdict: Verdict,
    pub(crate) figure: String,
    pub(crate) goal: String,
    /// Why it is missing or not held, where the figure does not say.
    pub(crate) why: String,
    seed: Option<String>,
}

/// Prints the parts.
pub(crate) fn list() {
    println!("\nparts (cargo spec accept PART):");
    for part in PARTS {
        println!("  {:<10} {} lines", part.name, part.lines.len());
    }
}

/// Runs the lines of one part, or of all, prints them, and says whether all held.
pub(crate) fn accept(place: &Place, part: Option<&str>, size: Size, only: Option<&str>) -> bool {
    let parts: Vec<&Part> = PARTS
        .iter()
        .filter(|known| part.is_none_or(|name| name == known.name))
        .collect();
    if parts.is_empty() {
        let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        eprintln!("no such part; there is {}", names.join(", "));
        return false;
    }
    let lines: Vec<&'static Line> = parts
        .iter()
        .flat_map(|part| part.lines)
        .filter(|line| size != Size::SoakOnly || line.source.soak.is_some())
        .filter(|line| only.is_none_or(|text| line.name.contains(text)))
        .collect();
    if lines.is_empty() {
        eprintln!("no line is left to run");
        return false;
    }
    if let Err(missing) = prepare::npm(place) {
        println!("        {missing}");
    }
    let judged = judge(place, &lines, size);
    print(&judged);
    record(
        place,
        &judged,
        if size == Size::Ci { "accept" } else { "soak" },
    );
    let held = judged
        .iter()
        .filter(|line| line.verdict == Verdict::Held)
        .count();
    println!("{held} passed, {} failed, 0 skipped", judged.len() - held);
    held == judged.len()
}

/// Runs every command of these lines once.
pub(crate) fn judge(place: &Place, lines: &[&'static Line], size: Size) -> Vec<Judged> {
    let mut done: Vec<(&'static Source, Run)> = Vec::new();
    for line in lines {
        if done.iter().any(|(source, _)| ptr::eq(*source, line.source)) {
            continue;
        }
        let run = show(place, line.source, size);
        done.push((line.source, run));
    }
    let outcome = |line: &&'static Line| {
        let (_, run) = done
            .iter()
            .find(|(source, _)| ptr::eq(*source, line.source))?;
        Some(weigh(line, run, size != Size::Ci))
    };
    lines.iter().filter_map(outcome).collect()
}

fn show(place: &Place, source: &'static Source, size: Size) -> Run {
    let full = source.soak.filter(|_| size != Size::Ci);
    let limit = if full.is_some() {
        Duration::from_secs(24 * 3600)
    } else {
        Duration::from_secs(2400)
    };
    let mut job = place.cargo(source.words, limit);
    if place.ci {
        // A test whose peer is missing fails then; a skipped test is no evidence.
        job = job.env("CI", "true");
    }
    for (name, value) in full.unwrap_or(source.ci) {
        job = job.env(name, *value);
    }
    if full.is_some() {
        job = job.env("FLEXSTORE_SOAK", "1");
    }
    println!("run     {}", job.shown());
    let start = Instant::now();
    let log: String = source
        .words
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let mut run = job.run(place, &format!("accept-{log}"));
    if source.vectors && std::env::var_os("FLEXSTORE_VECTORS").is_none() {
        // Its tests passed by being skipped, which shows nothing.
        println!("        FLEXSTORE_VECTORS is not set: no evidence");
        run.stdout.clear();
    }
    println!(
        "        {} after {:.1} s, log {}",
        run.end,
        start.elapsed().as_secs_f64(),
        run.log.display()
    );
    run
}

fn weigh(line: &'static Line, run: &Run, soak: bool) -> Judged {
    let mut judged = Judged {
        line,
        verdict: Verdict::Missing,
        figure: "-".to_owned(),
        goal: goal_text(line.goal, soak, None),
        why: String::new(),
        seed: None,
    };
    let Some(found) = evidence::find(line.find, &run.stdout) else {
        judged.why = if run.success {
            "printed no figure".to_owned()
        } else {
            first_error(run)
        };
        return judged;
    };
    judged.goal = goal_text(line.goal, soak, found.fsync_ms);
    judged.figure = match found.figure {
        Some(figure) => format!("{} {}", number(figure), found.unit)
            .trim_end()
            .to_owned(),
        None => "-".to_owned(),
    };
    judged.verdict = if meets(line.goal, &found, soak) {
        Verdict::Held
    } else {
        Verdict::Not
    };
    // A bench that ends badly has measured what it printed; a test that fails has shown nothing,
    // since what it asserts may come after what it prints.
    let measured = matches!(line.find, Find::Ratio(..) | Find::Value(..));
    if !run.success && !measured {
        judged.verdict = Verdict::Not;
        judged.why = format!("the command failed: {}", first_error(run));
    } else if judged.verdict == Verdict::Not && needs_probe(line.goal) && found.fsync_ms.is_none() {
        judged.why = "no fsync_ms beside a durable figure".to_owned();
    }
    judged.seed = found.seed;
    judged
}

/// Whether the figure is good enough.
fn meets(goal: Goal, found: &Figure, soak: bool) -> bool {
    if found.held == Some(false) {
        return false;
    }
    let Some(figure) = found.figure else {
        return matches!(goal, Goal::Said) && found.held == Some(true);
    };
    match goal {
        Goal::AtLeast(least) => figure >= least,
        Goal::AtMost(most) => figure <= most,
        Goal::Count { ci, soak: full } => {
            found.held == Some(true) && figure >= if soak { full } else { ci }
        }
        Goal::DurableAtLeast(least) => found
            .fsync_ms
            .is_some_and(|cost| figure >= least / slowness(cost)),
        Goal::DurableAtMost(most) => found
            .fsync_ms
            .is_some_and(|cost| figure <= most * slowness(cost)),
        Goal::Said => found.held == Some(true),
    }
}

const fn needs_probe(goal: Goal) -> bool {
    matches!(goal, Goal::DurableAtLeast(_) | Goal::DurableAtMost(_))
}

/// How many times slower an fsync is than the goals assume; never less than once.
fn slowness(fsync_ms: f64) -> f64 {
    (fsync_ms / FSYNC_MS).max(1.0)
}

fn goal_text(goal: Goal, soak: bool, fsync_ms: Option<f64>) -> String {
    let slow = fsync_ms.map_or(1.0, slowness);
    let scaled = match fsync_ms {
        Some(cost) if slow > 1.0 => format!(" (scaled: fsync {cost:.2} ms)"),
        _ => String::new(),
    };
    match goal {
        Goal::AtLeast(least) => format!(">= {}", number(least)),
        Goal::AtMost(most) => format!("<= {}", number(most)),
        Goal::Count { ci, soak: full } => format!(">= {}", number(if soak { full } else { ci })),
        Goal::DurableAtLeast(least) => format!(">= {}{scaled}", number(least / slow)),
        Goal::DurableAtMost(most) => format!("<= {}{scaled}", number(most * slow)),
        Goal::Said => "holds".to_owned(),
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn first_error(run: &Run) -> String {
    let line = run
        .output
        .iter()
        .find(|line| line.starts_with("error") || line.contains("panicked at"));
    line.map_or_else(|| run.end.clone(), |line| line.chars().take(110).collect())
}

pub(crate) fn print(judged: &[Judged]) {
    let width = judged
        .iter()
        .map(|line| line.line.name.len())
        .max()
        .unwrap_or(0);
    println!();
    for line in judged {
        let held = match line.verdict {
            Verdict::Held => "held",
            Verdict::Not => "NOT HELD",
            Verdict::Missing => "not held: missing",
        };
        let seed = line
            .seed
            .as_ref()
            .map(|seed| format!("  seed {seed}"))
            .unwrap_or_default();
        println!(
            "{:<width$}  {:>18}  goal {:<14}  {held}{seed}  ({})",
            line.line.name, line.figure, line.goal, line.line.claim
        );
        if !line.why.is_empty() {
            println!("{:<width$}  {:>18}  {}", "", "", line.why);
        }
    }
    println!();
}

/// Keeps the figures, one JSON object a line, to be noted or compared.
fn record(place: &Place, judged: &[Judged], name: &str) {
    let mut text = String::new();
    for line in judged {
        let object = serde_json::json!({
            "line": line.line.name,
            "figure": line.figure,
            "goal": line.goal,
            "held": line.verdict == Verdict::Held,
            "missing": line.verdict == Verdict::Missing,
            "seed": line.seed,
        });
        text.push_str(&object.to_string());
        text.push('\n');
    }
    let path = place.logs().join(format!("{name}.jsonl"));
    if fs::create_dir_all(place.logs())
        .and_then(|()| fs::write(&path, text))
        .is_ok()
    {
        println!("figures: {}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn figure(figure: f64) -> Figure {
        Figure {
            figure: Some(figure),
            unit: String::new(),
            held: None,
            fsync_ms: None,
            seed: None,
        }
    }

    fn run(success: bool, stdout: &str) -> Run {
        Run {
            success,
            end: "exit status: 101".to_owned(),
            stdout: stdout.lines().map(str::to_owned).collect(),
            output: vec!["error: no test target named `x`".to_owned()],
            log: PathBuf::new(),
        }
    }

    static SOURCE: Source = Source {
        words: "test",
        ci: &[],
        soak: None,
        in_ci: true,
        vectors: false,
    };
    static TEST: Line = Line {
        name: "a/b",
        claim: "",
        source: &SOURCE,
        find: Find::Accept("a/b"),
        goal: Goal::Said,
    };
    static SPEED: Line = Line {
        name: "a/c",
        claim: "",
        source: &SOURCE,
        find: Find::Value("s", "c"),
        goal: Goal::AtLeast(2.0),
    };

    #[test]
    fn what_nobody_printed_is_missing() {
        for success in [true, false] {
            assert_eq!(
                weigh(&TEST, &run(success, ""), false).verdict,
                Verdict::Missing
            );
            assert_eq!(
                weigh(&SPEED, &run(success, ""), false).verdict,
                Verdict::Missing
            );
        }
        assert!(
            weigh(&TEST, &run(false, ""), false)
                .why
                .contains("no test target")
        );
    }

    #[test]
    fn a_failed_test_shows_nothing_but_a_bench_has_measured() {
        let said = "{\"accept\":\"a/b\",\"figure\":1,\"held\":true}";
        assert_eq!(weigh(&TEST, &run(true, said), false).verdict, Verdict::Held);
        assert_eq!(weigh(&TEST, &run(false, said), false).verdict, Verdict::Not);
        let measured = "{\"bench\":\"s\",\"case\":\"c\",\"value\":2}";
        assert_eq!(
            weigh(&SPEED, &run(false, measured), false).verdict,
            Verdict::Held
        );
    }

    #[test]
    fn a_line_that_says_no_never_holds() {
        let no = Figure {
            held: Some(false),
            fsync_ms: Some(0.1),
            ..figure(1e9)
        };
        for goal in [
            Goal::AtLeast(1.0),
            Goal::Count { ci: 1.0, soak: 1.0 },
            Goal::DurableAtLeast(1.0),
            Goal::Said,
        ] {
            assert!(!meets(goal, &no, false));
        }
        assert!(!meets(
            Goal::AtMost(2.0),
            &Figure {
                held: Some(false),
                ..figure(1.0)
            },
            false
        ));
    }

    #[test]
    fn a_count_must_be_said_to_hold_and_be_large_enough() {
        let goal = Goal::Count {
            ci: 40.0,
            soak: 2000.0,
        };
        assert!(!meets(goal, &figure(40.0), false));
        let held = |count| Figure {
            held: Some(true),
            ..figure(count)
        };
        assert!(meets(goal, &held(40.0), false));
        assert!(!meets(goal, &held(39.0), false));
        assert!(!meets(goal, &held(40.0), true));
    }

    #[test]
    fn durable_goals_scale_with_the_probe_and_need_one() {
        let goal = Goal::DurableAtLeast(15_000.0);
        let with = |value, cost| Figure {
            fsync_ms: Some(cost),
            ..figure(value)
        };
        assert!(!meets(goal, &figure(20_000.0), false));
        assert!(
            !meets(goal, &with(14_000.0, 0.1), false),
            "a fast disk does not lower the goal"
        );
        assert!(meets(goal, &with(7_500.0, 0.6), false));
        assert!(!meets(goal, &with(7_400.0, 0.6), false));
        assert!(meets(Goal::DurableAtMost(1.5), &with(3.0, 0.6), false));
        assert!(goal_text(goal, false, Some(0.6)).contains("7500 (scaled"));
    }

    #[test]
    fn an_empty_figure_meets_no_number() {
        let none = Figure {
            figure: None,
            ..figure(0.0)
        };
        assert!(!meets(Goal::AtMost(1.0), &none, false));
        assert!(!meets(Goal::AtLeast(0.0), &none, false));
    }
}
