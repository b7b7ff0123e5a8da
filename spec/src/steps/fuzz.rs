//! A short fuzz of every parser. A target is a file in `spec/fuzz/src/bin`; there is no list.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Verdict::{self, Failed, Held};
use super::{minutes, missing};
use crate::command::Job;
use crate::place::Place;
use crate::tools;

/// Seconds for all targets together.
const TOTAL: u64 = 300;
/// Seconds that a target gets at least, however many there are.
const LEAST: u64 = 5;

pub(super) fn fuzz(place: &Place) -> Verdict {
    let tool = match tools::install(place, &tools::FUZZ) {
        Ok(tool) => tool,
        Err(reason) => return missing(place, reason),
    };
    let folder = place.root.join("spec/fuzz");
    let targets = names(&folder.join("src/bin"));
    if targets.is_empty() {
        return Failed("spec/fuzz/src/bin holds no target".to_owned());
    }
    // Stable Rust has coverage, but no sanitizer; unsafe code is forbidden, so little is lost.
    let cargo_fuzz = |word: &str, limit: Duration| -> Job {
        let job = place
            .command(&tool, limit)
            .arg("fuzz")
            .arg(word)
            .words("-s none --fuzz-dir");
        job.arg(&folder)
            .arg("--target-dir")
            .arg(place.target.join("fuzz"))
    };
    let build = cargo_fuzz("build", minutes(20)).run(place, "fuzz-build");
    if !build.success {
        return Failed(format!("{}\n{}", build.tail(100), build.end));
    }
    let each = (TOTAL / targets.len() as u64).max(LEAST);
    for target in &targets {
        println!("        {target} for {each} s");
        // What is found goes below target/; the repository's corpus only seeds it.
        let found = place.target.join("fuzz-corpus").join(target);
        let crashes = place.target.join("fuzz-artifacts").join(target);
        if let Err(error) = fs::create_dir_all(&found).and_then(|()| fs::create_dir_all(&crashes)) {
            return Failed(format!("cannot make {}: {error}", found.display()));
        }
        let mut job = cargo_fuzz("run", Duration::from_secs(each) + minutes(3))
            .arg(target)
            .arg(&found);
        let seeds = folder.join("corpus").join(target);
        if seeds.is_dir() {
            job = job.arg(seeds);
        }
        let run = job
            .arg("--")
            .arg(format!("-max_total_time={each}"))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .run(place, &format!("fuzz-{target}"));
        if !run.success {
            return Failed(format!("{target}: {}\n{}", run.end, run.tail(60)));
        }
    }
    Held(format!("{} targets, {each} s each", targets.len()))
}

/// The targets, by the names of their files.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
