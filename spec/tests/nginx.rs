//! The real relay behind the real nginx, with its buffering on, as Debian has both defaults.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test

mod support;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flexstore_core::record::{Draft, MAX_ITEM_BYTES};
use flexstore_core::{CollectionId, Kind, Tag};
use support::client::{Client, collection, key, now};
use support::http::ask_at;
use support::relay::Relay;

/// What the README shows.
const LOCATIONS: &str = r#"
    location /flexstore {
        proxy_pass http://RELAY;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
"#;
/// The least that can be written, with HTTP/1.0 to the relay where nginx is not new.
const BARE: &str = "location / { proxy_pass http://RELAY; }";

struct Nginx {
    child: Child,
    address: String,
}

impl Nginx {
    fn start(folder: &Path, relay: &Relay, locations: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let locations = locations.replace("RELAY", &relay.address);
        let at = folder.to_str().unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let config = format!(
            "user root;\ndaemon off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\n\
             http {{\naccess_log {at}/access.log;\n{temporary}\
             map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n\
             server {{\nlisten {address};\n{locations}\n}}\n}}\n"
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .args(["-e", &format!("{at}/error.log")])
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nginx is not on the PATH: cargo spec installs it");
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < until, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, address }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers on SIGTERM; killed, it would leave them.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Two clients sync through nginx, with much in both directions and live writes.
async fn syncs(service: &str) {
    let id = collection("behind nginx");
    let (mut alice, mut bob) = (Client::new(&id, 1), Client::new(&id, 2));
    for number in 0..1000 {
        alice.put(&format!("tag-{number}"), &"x".repeat(1024));
    }
    // Near the greatest; nginx by itself lets no body of more than 1 MiB through.
    alice.put("long", &"z".repeat(760_000));
    alice.drain();
    alice
        .until("stored", |alice| !alice.replica.is_waiting())
        .await;
    alice.connect(service).await;
    alice.until("sent", Client::is_settled).await;
    bob.connect(service).await;
    bob.until("got", |bob| bob.is_settled() && bob.len() == 1001)
        .await;
    let start = Instant::now();
    let rounds: u32 = 20;
    for round in 0..rounds {
        let written = alice.write("live", &format!("{round} from alice"));
        tokio::join!(alice.until_acknowledged(&written), bob.until_has(&written));
        let written = bob.write("live", &format!("{round} from bob"));
        tokio::join!(bob.until_acknowledged(&written), alice.until_has(&written));
    }
    let each = start.elapsed() / (2 * rounds);
    println!("{service}: a live write there and acknowledged in {each:?}");
    // Held back until a buffer is full, it would be the time of a heart-beat.
    assert!(each < Duration::from_secs(1));
    assert_eq!(alice.digests(), bob.digests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_sync_over_requests_and_events() {
    for locations in [BARE, LOCATIONS] {
        let folder = tempfile::tempdir().unwrap();
        let relay = Relay::start(&folder.path().join("data"), &[]);
        let nginx = Nginx::start(folder.path(), &relay, locations);
        syncs(&format!("http://{}/flexstore", nginx.address)).await;
        // No address tells who may speak for a link.
        let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
        assert!(log.contains("POST /flexstore/link HTTP"));
        let known = |line: &&str| line.contains("/flexstore/link HTTP");
        assert_eq!(log.lines().find(|line| !known(line)), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_sync_over_a_websocket() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(&folder.path().join("data"), &[]);
    let nginx = Nginx::start(folder.path(), &relay, LOCATIONS);
    syncs(&format!("ws://{}/flexstore", nginx.address)).await;
}

#[test]
fn single_items_pass() {
    for locations in [BARE, LOCATIONS] {
        let folder = tempfile::tempdir().unwrap();
        let relay = Relay::start(&folder.path().join("data"), &[]);
        let nginx = Nginx::start(folder.path(), &relay, locations);
        let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
            ask_at(&nginx.address, method, path, headers, body)
        };
        // A name with a slash, a space and an umlaut; the longest text that fits.
        let id = CollectionId::new(Kind::Mutable, "a/b ü").unwrap();
        let path = "/flexstore/MutableCollection/a%2Fb%20%C3%BC/tag";
        let text = "t".repeat((MAX_ITEM_BYTES - 2000) / 4 * 3);
        let tag = Tag::new("tag").unwrap();
        let item = Draft::text(id, tag, &text, now()).sign(&key(1)).unwrap();
        assert!(item.text().len() > MAX_ITEM_BYTES - 2000);
        assert_eq!(ask("PUT", path, &[], item.text()).status, 201);
        let answer = ask("GET", path, &[], b"");
        assert_eq!((answer.status, &answer.body), (200, item.text()));
        let tag = answer.header("etag").unwrap();
        assert_eq!(
            ask("GET", path, &[("if-none-match", &tag)], b"").status,
            304
        );
        assert_eq!(
            ask("GET", "/flexstore/x/y/z", &[], b"").problem(404),
            "not-found"
        );
    }
}
