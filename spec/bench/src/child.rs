//! The processes of a bench that has several: the bench itself, executed again.
//!
//! A client takes one command a line on stdin and answers each with one line of JSON on stdout.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use flexstore::{Collection, Mutable, Peer};
use flexstore_relay::{Config, READY};
use flexstore_storage::Options;
use flexstore_transports::Transports;
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::machine::{monotonic, process_time};
use crate::{Outcome, authority, work};

/// The first argument of a child.
pub(crate) const WORD: &str = "child";
/// How long a child may take to end.
const ENDING: Duration = Duration::from_secs(40);

pub(crate) fn main(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let run = match words[..] {
        ["relay", dir, cache_mib] => relay(Path::new(dir), cache_mib),
        ["client", dir] => client(Path::new(dir)),
        _ => Err("no such child".into()),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn relay(dir: &Path, cache_mib: &str) -> Outcome {
    let mut config = Config::default();
    config.listen.set_port(0);
    config.data = dir.to_path_buf();
    config.cache_mib = cache_mib.parse()?;
    Ok(work::runtime()?.block_on(flexstore_relay::run(config))?)
}

fn client(dir: &Path) -> Outcome {
    let runtime = work::runtime()?;
    let _inside = runtime.enter();
    let storage = flexstore_storage::open(dir, Options::default())?;
    let peer = Peer::connected(storage, Transports::new())?;
    let items: Collection<Mutable> = peer.collection(work::NAME).open()?;
    runtime.block_on(peer.credentials().create_device())?;
    say(&json!("ready"))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = runtime.block_on(obey(&peer, &items, &words))?;
        say(&answer)?;
    }
    runtime.block_on(peer.close());
    Ok(())
}

fn say(answer: &Value) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{answer}")?;
    Ok(stdout.flush()?)
}

async fn obey(peer: &Peer, items: &Collection<Mutable>, words: &[&str]) -> Outcome<Value> {
    match words {
        // A person with so many changes of its list; items are that person's from now on.
        ["person", changes] => {
            authority::changes(peer, changes.parse()?).await?;
            Ok(json!("made"))
        }
        // Keys and teams in step with a service.
        ["publish", service] => {
            peer.credentials().synchronize(service)?;
            peer.credentials().synchronized().await?;
            Ok(json!("published"))
        }
        // Many items, durable.
        ["fill", count] => {
            work::fill(items, 0..count.parse()?, 512).await?;
            Ok(json!("filled"))
        }
        // In step with a service: all of ours durable there, all of theirs durable here.
        ["sync", service] => {
            let (start, cpu) = (Instant::now(), process_time());
            items.synchronize(service);
            items.synchronized().await;
            // Batches become durable in order, so once this one is, all before it are.
            items.store("end").tag("end").await?;
            let seconds = start.elapsed().as_secs_f64();
            let cpu = (process_time() - cpu).as_secs_f64();
            Ok(json!({"seconds": seconds, "cpu": cpu, "count": items.list()?.len() - 1}))
        }
        ["store", n] => {
            let n = n.parse()?;
            let start = monotonic();
            items.store(work::text(n)).tag(work::tag(n)).await?;
            Ok(json!({"ns": start, "stored": monotonic()}))
        }
        // Says when each item is durable here, from now on.
        ["updates"] => {
            let mut updates = items.updates();
            say(&json!("listening"))?;
            while let Some(update) = updates.next().await {
                let now = monotonic();
                say(&json!({"tag": update?.tag().as_str(), "ns": now}))?;
            }
            Ok(Value::Null)
        }
        _ => Err("no such command".into()),
    }
}

/// A process.
pub(crate) struct Process {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(words: &[&std::ffi::OsStr]) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("a child has no stdout")?);
        Ok(Self {
            child,
            commands,
            answers,
        })
    }

    /// A relay, and the service string under which it is reached.
    pub(crate) fn relay(dir: &Path, cache_mib: &str) -> Outcome<(Self, String)> {
        let mut relay = Self::start(&["relay".as_ref(), dir.as_ref(), cache_mib.as_ref()])?;
        let line = relay.line()?;
        let address = line.strip_prefix(READY).ok_or("the relay did not start")?;
        Ok((relay, format!("ws://{address}/flexstore")))
    }

    /// A client.
    pub(crate) fn client(dir: &Path) -> Outcome<Self> {
        let mut client = Self::start(&["client".as_ref(), dir.as_ref()])?;
        client.answer()?;
        Ok(client)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err("a child ended".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits for one answer.
    pub(crate) fn answer(&mut self) -> Outcome<Value> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// Gives a command and waits for its answer.
    pub(crate) fn command(&mut self, command: &str) -> Outcome<Value> {
        let commands = self.commands.as_mut().ok_or("the child is stopping")?;
        writeln!(commands, "{command}")?;
        commands.flush()?;
        self.answer()
    }

    /// A line of `/proc/PID/status`, in bytes.
    pub(crate) fn memory(&self, name: &str) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
        Ok(kib.ok_or("the system does not say")?.parse::<u64>()? << 10)
    }

    /// Processor seconds that it has used.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        // Fields 14 and 15, in ticks; the name in parentheses may hold anything.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let ticks = rest.split_whitespace().skip(11).take(2);
        let sum = ticks
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum::<u64>();
        Ok(sum as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Ends a client, which closes its store.
    pub(crate) fn close(mut self) -> Outcome {
        self.commands = None;
        self.ended()
    }

    /// Ends a relay, which closes its store, or a client that listens, which does not.
    pub(crate) fn stop(mut self) -> Outcome {
        if let Some(pid) = Pid::from_raw(i32::try_from(self.child.id())?) {
            let _ = kill_process(pid, Signal::TERM);
        }
        self.ended()
    }

    fn ended(&mut self) -> Outcome {
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > ENDING {
                return Err("a child does not end".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
