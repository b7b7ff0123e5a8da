//! Clients that speak as the JavaScript Flexstore does, as children: `tests/javascript/client.mjs` in
//! node, or in a page of headless Chromium. What they can be asked stands at the top of that file.

pub mod collection;
pub mod place;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use collection::Collection;

/// The longest that one answer may take: RSA keys on a busy machine, a rendezvous of 60 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// The longest that something may take to happen.
const SOON: Duration = Duration::from_secs(30);

pub const IMMUTABLE: &str = "ImmutableCollection";
pub const MUTABLE: &str = "MutableCollection";
pub const VERSIONED: &str = "VersionedCollection";
pub const STATE: &str = "StateCollection";

/// The collections of the people's keys.
pub const CREDENTIALS: [(&str, &str); 3] = [
    (MUTABLE, "EncryptionKey"),
    (MUTABLE, "KeyRecovery"),
    (MUTABLE, "Team"),
];

/// What came from a child.
#[derive(Default)]
struct Heard {
    answers: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    events: Vec<Value>,
    /// It has ended.
    ended: bool,
}

#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    news: Notify,
}

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    fn take(&self, line: &str) {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let mut heard = self.heard();
        match value["id"].as_u64() {
            Some(id) => {
                let answer = match value["error"].as_str() {
                    Some(error) => Err(error.to_owned()),
                    None => Ok(value["ok"].take()),
                };
                if let Some(waiting) = heard.answers.remove(&id) {
                    let _ = waiting.send(answer);
                }
            }
            None => heard.events.push(value),
        }
        drop(heard);
        self.news.notify_waiters();
    }

    async fn listen(self: Arc<Self>, from: ChildStdout) {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            self.take(&line);
        }
        let mut heard = self.heard();
        heard.ended = true;
        heard.answers.clear();
        drop(heard);
        self.news.notify_waiters();
    }
}

/// A running client; killed when dropped.
pub struct Client {
    child: Child,
    requests: tokio::sync::Mutex<ChildStdin>,
    ear: Arc<Ear>,
    next: AtomicU64,
    /// Where it keeps the keys of its devices, and Chromium its profile.
    place: TempDir,
}

/// An author: the person's tag, and those of the device and the recovery.
#[derive(Debug, Clone)]
pub struct Author {
    pub tag: String,
    pub device: String,
    pub recovery: String,
}

impl Client {
    /// In node; nothing where node or its packages are not there (`cargo spec prepare` installs them).
    pub async fn start() -> Option<Self> {
        Self::run("client.mjs", &[]).await
    }

    /// In node, with more in its environment, such as `NODE_EXTRA_CA_CERTS`.
    pub async fn start_with(environment: &[(&str, &str)]) -> Option<Self> {
        Self::run("client.mjs", environment).await
    }

    /// In a page of headless Chromium.
    pub async fn start_page() -> Option<Self> {
        if !on_path("chromium") {
            println!("skipped: chromium is not installed (cargo spec prepare)");
            return None;
        }
        Self::run("browser.mjs", &[]).await
    }

    async fn run(script: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let Some(root) = packages() else {
            println!("skipped: @roamhq/wrtc is not installed (cargo spec prepare)");
            return None;
        };
        let place = tempfile::tempdir().unwrap();
        let mut child = Command::new("node")
            .arg(scripts().join(script))
            .current_dir(place.path())
            .env("FLEXSTORE_NPM", root)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap().into();
        let ear = Arc::new(Ear::default());
        tokio::spawn(ear.clone().listen(child.stdout.take().unwrap()));
        let next = AtomicU64::new(1);
        let client = Self {
            child,
            requests,
            ear,
            next,
            place,
        };
        let ready = |event: &Value| event["event"] == "ready";
        client.until("ready", ready).await;
        Some(client)
    }

    /// Its working directory.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Asks; the words of the error where it has one.
    pub async fn try_ask(&self, name: &str, mut request: Value) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        request["id"] = id.into();
        request["do"] = name.into();
        let (sender, answer) = oneshot::channel();
        self.ear.heard().answers.insert(id, sender);
        let line = format!("{request}\n");
        let mut requests = self.requests.lock().await;
        requests.write_all(line.as_bytes()).await.unwrap();
        requests.flush().await.unwrap();
        drop(requests);
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => panic!("the client has ended: {name}"),
            Err(_) => panic!("no answer: {line}"),
        }
    }

    pub async fn ask(&self, name: &str, request: Value) -> Value {
        let answer = self.try_ask(name, request).await;
        answer.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Every event since the start, or since it was last cleared.
    pub fn events(&self) -> Vec<Value> {
        self.ear.heard().events.clone()
    }

    pub fn clear_events(&self) {
        self.ear.heard().events.clear();
    }

    /// Waits for an event, those that have come included.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let news = self.ear.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                {
                    let heard = self.ear.heard();
                    if let Some(event) = heard.events.iter().find(|event| holds(event)) {
                        return event.clone();
                    }
                    assert!(!heard.ended, "the client has ended: {what}");
                }
                news.await;
            }
        };
        let in_time = timeout(SOON, wait).await;
        in_time.unwrap_or_else(|_| panic!("in vain: {what}; {}", self.tail()))
    }

    fn tail(&self) -> String {
        let heard = self.ear.heard();
        let last = heard.events.iter().rev().take(12).rev();
        last.map(|event| format!("\n{event}")).collect()
    }

    /// A person with a device; who signs what this client stores.
    pub async fn create_author(&self) -> Author {
        let made = self.ask("createAuthor", json!({})).await;
        Author {
            tag: string(&made["author"]),
            device: string(&made["device"]),
            recovery: string(&made["recovery"]),
        }
    }

    /// A team of those whose keys are known here.
    pub async fn create_team(&self, members: &[&str]) -> String {
        string(&self.ask("createTeam", json!({"members": members})).await)
    }

    /// Connects the three collections of keys.
    pub async fn credentials(&self, service: &str) {
        self.ask("credentials", json!({"service": service})).await;
        for (kind, name) in CREDENTIALS {
            self.collection(kind, name).synchronized().await;
        }
    }

    /// Makes a collection where it is not there, and connects it to a service.
    pub async fn open(&self, kind: &str, name: &str, service: &str) -> Collection<'_> {
        let request = json!({"type": kind, "name": name, "service": service});
        self.ask("open", request).await;
        self.collection(kind, name)
    }

    /// Makes a collection without services; it keeps deletions.
    pub async fn open_alone(&self, kind: &str, name: &str) -> Collection<'_> {
        let request = json!({"type": kind, "name": name, "tombstones": true});
        self.ask("open", request).await;
        self.collection(kind, name)
    }

    /// One that is there.
    pub fn collection(&self, kind: &str, name: &str) -> Collection<'_> {
        Collection {
            client: self,
            kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Closes the connection of a service.
    pub async fn disconnect(&self, service: &str) {
        self.ask("disconnect", json!({"service": service})).await;
    }

    /// Closes all connections.
    pub async fn disconnect_all(&self) {
        self.ask("disconnect", json!({})).await;
    }

    /// Signals by hand: the offer. Both sides name the collections in the same order.
    pub async fn offer(&self, label: &str, collections: &[(&str, &str)]) -> Value {
        let request = json!({"label": label, "collections": collections});
        self.ask("offer", request).await
    }

    /// Signals by hand: the answer to an offer.
    pub async fn accept(
        &self,
        label: &str,
        collections: &[(&str, &str)],
        signals: &Value,
    ) -> Value {
        let request = json!({"label": label, "collections": collections, "signals": signals});
        self.ask("accept", request).await
    }

    /// Signals by hand: what the offering side does with the answer.
    pub async fn complete(&self, label: &str, signals: &Value) {
        let request = json!({"label": label, "signals": signals});
        self.ask("complete", request).await;
    }

    /// An event for every message: `none`, `brief` (long parameters cut) or `full`.
    pub async fn report_messages(&self, report: &str) {
        self.ask("messages", json!({"report": report})).await;
    }

    /// How many messages of each kind went through a channel, such as `sent put`, and `sent characters`.
    pub async fn counts(&self, kind: &str, name: &str) -> HashMap<String, u64> {
        let all = self.ask("counts", json!({})).await;
        let counts = all[format!("{kind}/{name}")].as_object();
        let each = |(key, value): (&String, &Value)| (key.clone(), value.as_u64().unwrap());
        counts
            .map(|map| map.iter().map(each).collect())
            .unwrap_or_default()
    }

    pub async fn reset_counts(&self) {
        self.ask("counts", json!({"reset": true})).await;
    }

    /// Items that moved in either direction on any channel since the counts were reset.
    pub async fn moved(&self) -> u64 {
        let all = self.ask("counts", json!({})).await;
        let words = ["get", "put", "delete"]
            .map(|word| [format!("sent {word}"), format!("received {word}")]);
        let channels = all.as_object().unwrap().values();
        channels
            .flat_map(|counts| words.iter().flatten().map(|word| counts[word].as_u64()))
            .flatten()
            .sum()
    }

    /// Stops the process where it is: it reads nothing any more.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().unwrap();
        let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// A page: the same service as seen through a reverse proxy at the page's origin.
    pub async fn behind(&self, service: &str) -> String {
        string(&self.ask("behind", json!({"service": service})).await)
    }

    /// A page: a picture of it.
    pub async fn screenshot(&self, path: &Path) {
        self.ask("screenshot", json!({"path": path})).await;
    }
}

/// A team of two people who see each other's keys at a relay; when both know it.
pub async fn team_of(one: &Client, other: &Client, members: [&Author; 2]) -> String {
    let [keys, _, teams] = CREDENTIALS;
    for author in members {
        one.collection(keys.0, keys.1).has(&author.tag).await;
    }
    let team = one
        .create_team(&members.map(|author| &author.tag[..]))
        .await;
    for (kind, name) in [keys, teams] {
        other.collection(kind, name).has(&team).await;
    }
    team
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(string).collect()
}

/// The folder of the scripts.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javascript")
}

/// Where the packages from npm are.
pub fn packages() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let named = std::env::var_os("FLEXSTORE_NPM").map(PathBuf::from);
    [named, Some(root.join(target).join("npm"))]
        .into_iter()
        .flatten()
        .find(|place| place.join("node_modules/@roamhq/wrtc").is_dir() && on_path("node"))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
