//! One child process: output to a log, a sign of life while it runs, an end when it takes too long.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::place::Place;

/// How often a quiet terminal is told that something still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// How long output is awaited of processes that outlive the command.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// A command still to be run.
pub(crate) struct Job {
    command: Command,
    limit: Duration,
    shown: String,
}

/// What a command left behind.
pub(crate) struct Run {
    pub(crate) success: bool,
    /// How it ended, in words.
    pub(crate) end: String,
    pub(crate) stdout: Vec<String>,
    /// Standard output and error as they came.
    pub(crate) output: Vec<String>,
    pub(crate) log: PathBuf,
}

impl Job {
    pub(crate) fn new(program: &Path, dir: &Path, limit: Duration) -> Self {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null());
        // `cargo run` describes the runner itself in these; they must not reach other builds,
        // whose build scripts would see them change and run again.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
            if ours.iter().any(|prefix| text.starts_with(prefix)) || text == "CARGO_CRATE_NAME" {
                command.env_remove(&name);
            }
        }
        let shown = program
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Self {
            command,
            limit,
            shown: shown.unwrap_or_default(),
        }
    }

    pub(crate) fn words(self, words: &str) -> Self {
        words
            .split_whitespace()
            .fold(self, |job, word| job.arg(word))
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        let arg = arg.into();
        self.shown.push(' ');
        self.shown.push_str(&arg.to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// The command as one would type it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Runs it to its end. `log` names the file that keeps the output.
    pub(crate) fn run(mut self, place: &Place, log: &str) -> Run {
        let path = place.logs().join(format!("{}.log", log.replace('/', "-")));
        let mut run = Run {
            success: false,
            end: String::new(),
            stdout: Vec::new(),
            output: Vec::new(),
            log: path,
        };
        let started = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match started {
            Ok(child) => self.watch(child, place, &mut run),
            Err(error) => run.end = format!("cannot start `{}`: {error}", self.shown),
        }
        run
    }

    fn watch(&self, mut child: Child, place: &Place, run: &mut Run) {
        let mut log = fs::create_dir_all(place.logs())
            .and_then(|()| File::create(&run.log))
            .ok();
        if let Some(log) = &mut log {
            let _ = writeln!(log, "$ {}", self.shown);
        }
        let (sender, lines) = mpsc::channel();
        listen(child.stdout.take(), true, sender.clone());
        listen(child.stderr.take(), false, sender);

        let start = Instant::now();
        let mut told = start;
        let mut ended: Option<Instant> = None;
        loop {
            match lines.recv_timeout(Duration::from_millis(200)) {
                Ok((is_stdout, line)) => {
                    if place.verbose {
                        println!("  | {line}");
                    }
                    if let Some(log) = &mut log {
                        let _ = writeln!(log, "{line}");
                    }
                    if is_stdout {
                        run.stdout.push(line.clone());
                    }
                    run.output.push(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if ended.is_none() && !matches!(child.try_wait(), Ok(None)) {
                ended = Some(Instant::now());
            }
            // A process that the command leaked keeps the pipe open: do not wait for it.
            if ended.is_some_and(|at| at.elapsed() > STRAGGLERS) {
                break;
            }
            if ended.is_none() && start.elapsed() > self.limit {
                end_tree(&mut child);
                run.end = format!("ended after its limit of {} s", self.limit.as_secs());
                return;
            }
            if !place.verbose && told.elapsed() > SIGN_OF_LIFE {
                told = Instant::now();
                let last = run.output.last().map_or("", |line| line.trim());
                let last: String = last.chars().take(100).collect();
                println!("        {:>5} s  {last}", start.elapsed().as_secs());
            }
        }
        match child.wait() {
            Ok(status) => {
                run.success = status.success();
                run.end = status.to_string();
            }
            Err(error) => run.end = format!("cannot learn its end: {error}"),
        }
    }
}

impl Run {
    /// The end of the output, for a person who asks why.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let from = self.output.len().saturating_sub(lines);
        let mut text = String::new();
        if from > 0 {
            text.push_str(&format!(
                "(the first {from} lines are in {})\n",
                self.log.display()
            ));
        }
        text.push_str(&self.output[from..].join("\n"));
        text
    }
}

fn listen(pipe: Option<impl Read + Send + 'static>, is_stdout: bool, to: Sender<(bool, String)>) {
    let Some(pipe) = pipe else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        // Bytes, not `lines()`: a test may print what is not UTF-8.
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if to.send((is_stdout, text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// Ends a child and everything below it, each by its id. They share the runner's process group, so
/// that Ctrl-C reaches them too; a group of their own could be ended at once but would survive it.
fn end_tree(child: &mut Child) {
    let mut ids = vec![child.id()];
    let parents = parents();
    let mut at = 0;
    while let Some(parent) = ids.get(at).copied() {
        ids.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| *id),
        );
        at += 1;
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -9 {}", ids.join(" "))])
        .status();
    let _ = child.wait();
}

/// Every process with its parent, from Linux's `/proc`; empty elsewhere.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // `id (name) state parent …`; the name may hold spaces and brackets.
            let (_, rest) = stat.rsplit_once(')')?;
            Some((id, rest.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Run, Duration) {
        // Below the real target directory, which exists while tests run.
        let target = env::current_exe().unwrap().with_file_name("spec-tests");
        let place = Place {
            root: env::current_dir().unwrap(),
            target,
            verbose: false,
            ci: false,
        };
        let start = Instant::now();
        let run = place
            .command("sh", limit)
            .arg("-c")
            .arg(script)
            .run(&place, &format!("test-{}", script.len()));
        (run, start.elapsed())
    }

    #[test]
    fn output_and_end_are_told() {
        let (run, _) = shell("echo out; echo err >&2; exit 3", Duration::from_secs(20));
        assert!(!run.success);
        assert_eq!(run.stdout, ["out"]);
        assert_eq!(run.output.len(), 2);
        assert!(run.end.contains('3'), "{}", run.end);
        assert!(shell("true", Duration::from_secs(20)).0.success);
    }

    #[test]
    fn what_hangs_is_ended_with_everything_below_it() {
        // The inner shell stays (it has work after its sleep), so this is two levels deep.
        let script = "sh -c 'echo $$; sleep 60; echo late'; echo later";
        let (run, took) = shell(script, Duration::from_secs(1));
        assert!(!run.success && run.end.contains("limit"), "{}", run.end);
        assert!(took < Duration::from_secs(20));
        let inner: u32 = run.stdout[0].parse().unwrap();
        let state = fs::read_to_string(format!("/proc/{inner}/stat")).unwrap_or_default();
        assert!(
            state.is_empty() || state.contains(") Z"),
            "still there: {state}"
        );
    }

    #[test]
    fn what_outlives_its_command_is_not_awaited() {
        let (run, took) = shell("sleep 30 & echo done", Duration::from_secs(20));
        assert!(run.success);
        assert!(took < Duration::from_secs(20));
    }
}
