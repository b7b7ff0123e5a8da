//! The npm package as a peer: a long-lived node process that does rounds on request.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::Outcome;

/// What its figures are called.
pub(crate) const NAME: &str = "@ki1r0y/distributed-security";

const SCRIPT: &str = include_str!("../js/crypto.mjs");

/// The process.
pub(crate) struct Npm {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Where it keeps its keys.
    _place: TempDir,
}

/// What a round took.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Npm {
    /// Starts it on the cores that this thread has; `None` where the package or node is not there.
    pub(crate) fn start() -> Outcome<Option<Self>> {
        let Some(root) = root() else { return Ok(None) };
        let place = tempfile::tempdir()?;
        let script = place.path().join("crypto.mjs");
        std::fs::write(&script, SCRIPT)?;
        let spawned = Command::new("node")
            .arg(&script)
            .current_dir(place.path())
            .env("FLEXSTORE_NPM", root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = spawned else {
            return Ok(None);
        };
        let questions = child.stdin.take().ok_or("node has no stdin")?;
        let answers = child.stdout.take().ok_or("node has no stdout")?;
        Ok(Some(Self {
            child,
            questions,
            answers: BufReader::new(answers),
            _place: place,
        }))
    }

    /// Does an operation so often.
    pub(crate) fn round(&mut self, operation: &str, count: usize) -> Outcome<Took> {
        writeln!(self.questions, "{operation} {count}")?;
        self.questions.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|_| "node ended, or said what makes no sense")?;
        let seconds = |name: &str| -> Outcome<Duration> {
            let seconds = answer[name].as_f64().ok_or("node said no time")?;
            Ok(Duration::try_from_secs_f64(seconds)?)
        };
        Ok(Took {
            wall: seconds("seconds")?,
            cpu: seconds("cpu")?,
        })
    }
}

impl Drop for Npm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `$FLEXSTORE_NPM`, or where `cargo spec prepare` installs the package.
fn root() -> Option<PathBuf> {
    let has = |root: &Path| {
        root.join("node_modules")
            .join(NAME)
            .join("lib/api.mjs")
            .is_file()
    };
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let named = std::env::var_os("FLEXSTORE_NPM").map(PathBuf::from);
    [named, Some(target.join("npm"))]
        .into_iter()
        .flatten()
        .find(|root| has(root))
        .and_then(|root| std::path::absolute(root).ok())
}
