//! The JavaScript original's package of keys, running in node.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use flexstore::js::{
    KeySet, Member, Shelf, Signed, Team, Verified, encryption_key, migrate_device_file,
};
use flexstore::{KeyTag, Tag};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that one answer may take: a few RSA keys on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The original.
pub struct Node {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    /// Where it keeps the keys of its devices.
    _place: TempDir,
}

impl Node {
    pub fn start() -> Option<Self> {
        let Some(root) = packages() else {
            println!("skipped: @ki1r0y/distributed-security is not installed (cargo spec prepare)");
            return None;
        };
        let place = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/original/original.mjs");
        let spawned = Command::new("node")
            .arg(script)
            .current_dir(place.path())
            .env("FLEXSTORE_NPM", root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = spawned else {
            println!("skipped: node is not here");
            return None;
        };
        let requests = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Some(Self {
            child,
            requests,
            answers,
            _place: place,
        })
    }

    pub fn try_ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.requests, "{request}").unwrap();
        self.requests.flush().unwrap();
        let line = self.answers.recv_timeout(PATIENCE).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    pub fn ask(&mut self, request: Value) -> Value {
        self.try_ask(&request)
            .unwrap_or_else(|error| panic!("{request}: {error}"))
    }

    pub fn text(&mut self, request: Value) -> String {
        self.ask(request).as_str().unwrap().to_owned()
    }

    pub fn create(&mut self, members: Value) -> KeyTag {
        let tag = self.text(json!({"do": "create", "members": members}));
        KeyTag::parse(&tag).unwrap()
    }

    pub fn sign(&mut self, payload: Value, options: Value) -> String {
        self.text(json!({"do": "sign", "payload": payload, "options": options}))
    }

    /// What the original's collections ask of a signature, and no more.
    pub fn verifies(&mut self, record: &Verified) -> bool {
        let signature = text(record);
        let options = json!({"member": null});
        !self
            .ask(json!({"do": "verify", "signature": signature, "options": options}))
            .is_null()
    }

    /// What the original asks where it asks most: is the author a member by the Team it has?
    pub fn verifies_deeply(&mut self, record: &Verified) -> bool {
        let options = json!({"team": record.header().owner.to_string()});
        let request = json!({"do": "verify", "signature": text(record), "options": options});
        self.try_ask(&request).is_ok_and(|answer| !answer.is_null())
    }

    pub fn shared(&mut self, collection: &str, tag: &KeyTag) -> Verified {
        let record =
            self.text(json!({"do": "shared", "collection": collection, "tag": tag.to_string()}));
        credential(collection, &record)
    }

    pub fn put(&mut self, collection: &str, record: &Verified) {
        let tag = record.header().owner.to_string();
        self.ask(json!({
            "do": "put", "collection": collection, "tag": tag, "signature": text(record),
        }));
        self.ask(json!({"do": "forget", "tag": tag}));
    }

    pub fn team(&mut self, tag: &KeyTag) -> Team {
        Team::read(self.shared("Team", tag)).unwrap()
    }

    /// A member that lives there, with the key that it publishes.
    pub fn member(&mut self, tag: &KeyTag) -> Member {
        let key = encryption_key(&self.shared("EncryptionKey", tag)).unwrap();
        Member { tag: *tag, key }
    }

    /// The keys of a device that was made there, by the migrate call.
    pub fn migrated(&mut self, tag: &KeyTag) -> KeySet {
        let file = self.text(json!({"do": "device", "tag": tag.to_string()}));
        let migrated = migrate_device_file(&file, &format!("{tag}, this device")).unwrap();
        assert_eq!((migrated.keys.tag(), &migrated.prompt[..]), (*tag, ""));
        migrated.keys
    }

    pub fn opens(&mut self, jwe: &str, tag: &KeyTag) -> Option<String> {
        let request = json!({"do": "open", "jwe": jwe, "tag": tag.to_string()});
        let answer = self.try_ask(&request).ok()?;
        answer["text"].as_str().map(ToOwned::to_owned)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `$FLEXSTORE_NPM`, or where `cargo spec prepare` installs the package.
fn packages() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let named = std::env::var_os("FLEXSTORE_NPM").map(PathBuf::from);
    let entry = "node_modules/@ki1r0y/distributed-security/lib/api.mjs";
    [named, Some(root.join(target).join("npm"))]
        .into_iter()
        .flatten()
        .find(|place| place.join(entry).is_file())
}

pub fn text(record: &Verified) -> String {
    String::from_utf8(record.text().to_vec()).unwrap()
}

pub fn read(text: &str, place: &str, tag: Option<&str>) -> Verified {
    let tag = tag.map(|tag| Tag::new(tag).unwrap());
    let signed = Signed::parse(text.to_owned(), &Shelf::parse(place).unwrap(), tag.as_ref());
    signed.unwrap().verify().unwrap()
}

pub fn credential(collection: &str, text: &str) -> Verified {
    read(text, &format!("MutableCollection/{collection}"), None)
}
