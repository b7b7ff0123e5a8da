//! Two apps in two networks that have only a relay in common find each other over WebRTC, and over
//! a real TURN server where the direct path is blocked. Wants root, for the networks; without it,
//! on a developer's machine, these are skipped and say so.
//!
//! ```text
//!   ann 10.91.1.2 ───── 10.91.1.1 between 10.91.2.1 ───── 10.91.2.2 ben
//!                                 (relay, coturn)
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test

mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flexstore::{MemoryStorage, Mutable, Peer};
use flexstore_transports::Transports;
use flexstore_transports::rendezvous::{Key, Place};
use flexstore_transports::webrtc::{Settings, Turn};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

/// For what should come about, in seconds.
const PATIENCE: u64 = 60;
/// For what should not.
const IMPATIENCE: u64 = 10;
const TURN_USER: &str = "flexstore";
const TURN_PASSWORD: &str = "only for this test";
/// What a child process is to be: `ann` or `ben`.
const ROLE: &str = "NETWORKS_ROLE";
const SERVICE: &str = "NETWORKS_SERVICE";
const TURN: &str = "NETWORKS_TURN";
const SECONDS: &str = "NETWORKS_SECONDS";

fn run(words: &str) -> bool {
    let mut words = words.split(' ');
    let status = Command::new(words.next().unwrap())
        .args(words)
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Two networks and what lies between them; gone when dropped.
struct Networks {
    prefix: String,
    children: Vec<Child>,
}

impl Networks {
    /// `None` where one may not make networks.
    fn new(name: &str, forwards: bool) -> Option<Self> {
        let prefix = format!("fx{name}{}", std::process::id());
        let networks = Self {
            prefix,
            children: Vec::new(),
        };
        for place in ["ann", "between", "ben"] {
            if !run(&format!("ip netns add {}", networks.place(place))) {
                assert!(std::env::var_os("CI").is_none(), "no networks to be made");
                println!("skipped: making networks wants root");
                return None;
            }
            networks.exec(place, "ip link set lo up");
        }
        for (number, place) in [(1, "ann"), (2, "ben")] {
            let (near, far) = (networks.place(place), networks.place("between"));
            let made = format!(
                "ip link add v{number} netns {near} type veth peer name v{number} netns {far}"
            );
            assert!(run(&made), "{made}");
            networks.exec(
                "between",
                &format!("ip addr add 10.91.{number}.1/24 dev v{number}"),
            );
            networks.exec(
                place,
                &format!("ip addr add 10.91.{number}.2/24 dev v{number}"),
            );
            for side in ["between", place] {
                networks.exec(side, &format!("ip link set v{number} up"));
            }
            networks.exec(place, &format!("ip route add default via 10.91.{number}.1"));
        }
        let forward = format!(
            "echo {} > /proc/sys/net/ipv4/ip_forward",
            u8::from(forwards)
        );
        let status = networks
            .command("between", "sh")
            .args(["-c", &forward])
            .status();
        assert!(status.unwrap().success());
        Some(networks)
    }

    fn place(&self, place: &str) -> String {
        format!("{}{place}", self.prefix)
    }

    fn command(&self, place: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.place(place), program]);
        command
    }

    fn exec(&self, place: &str, words: &str) {
        let mut words = words.split(' ');
        let mut command = self.command(place, words.next().unwrap());
        assert!(command.args(words).status().unwrap().success());
    }

    fn spawn(&mut self, command: &mut Command) {
        self.children.push(command.spawn().unwrap());
    }

    fn relay(&mut self, data: &std::path::Path) {
        let binary = support::relay::binary();
        let mut command = self.command("between", binary.to_str().unwrap());
        command
            .args(["--listen", "0.0.0.0:3000", "--data"])
            .arg(data);
        self.spawn(command.stdout(Stdio::null()));
    }

    fn turn(&mut self) {
        let mut command = self.command("between", "turnserver");
        command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech"]);
        command.args([
            "--realm",
            "flexstore",
            "--log-file",
            "stdout",
            "--pidfile",
            "/dev/null",
        ]);
        command.args(["--listening-ip", "10.91.1.1", "--listening-ip", "10.91.2.1"]);
        command.args(["--relay-ip", "10.91.2.1"]);
        command.args(["--user", &format!("{TURN_USER}:{TURN_PASSWORD}")]);
        self.spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    }

    /// This test's binary again, as one of the two.
    fn app(&self, place: &str, number: u8, place_of_both: &str, turn: bool, seconds: u64) -> Child {
        let this = std::env::current_exe().unwrap();
        let service = place_of_both.replace("RELAY", &format!("10.91.{number}.1:3000"));
        let mut command = self.command(place, this.to_str().unwrap());
        command.args(["--exact", "one_of_the_two", "--ignored", "--nocapture"]);
        command.env(ROLE, place).env(SERVICE, service);
        command.env(SECONDS, seconds.to_string());
        if turn {
            command.env(TURN, format!("turn:10.91.{number}.1:3478"));
        }
        command.stdout(Stdio::null()).spawn().unwrap()
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = kill_process(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
        }
        for place in ["ann", "between", "ben"] {
            run(&format!("ip netns del {}", self.place(place)));
        }
    }
}

fn service() -> String {
    let key = Key::generate().unwrap();
    // Both dial the relay by another address; the slot is the same.
    let place = Place::new("ws://RELAY/flexstore", "two networks", key);
    place.service().replace("ws://relay/", "ws://RELAY/")
}

/// Ends well if the other one's item came over WebRTC and ours is there.
#[test]
#[ignore = "a child process of the others"]
fn one_of_the_two() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seconds = std::env::var(SECONDS).unwrap().parse().unwrap();
    let met = runtime.block_on(async { timeout(Duration::from_secs(seconds), meet(&role)).await });
    met.expect("met in time");
}

async fn meet(role: &str) {
    let mut settings = Settings::default();
    if let Ok(turn) = std::env::var(TURN) {
        settings.turn = vec![Turn::new(&turn, TURN_USER, TURN_PASSWORD)];
    }
    let transports = Transports::new().webrtc(settings);
    let peer = Peer::connected(Arc::new(MemoryStorage::new()), transports).unwrap();
    peer.credentials().create_device().await.unwrap();
    let service = std::env::var(SERVICE).unwrap();
    let notes = peer.collection::<Mutable>("notes").service(&service);
    let notes = notes.open().unwrap();
    notes.store(format!("from {role}")).tag(role).await.unwrap();
    while notes.list().unwrap().len() < 2 {
        sleep(Duration::from_millis(20)).await;
    }
    notes.synchronized().await;
    // The other one may not have looked yet.
    sleep(Duration::from_secs(1)).await;
}

/// Whether the two met.
fn two_meet(name: &str, forwards: bool, turn: bool, seconds: u64) -> Option<bool> {
    let data = tempfile::tempdir().unwrap();
    let mut networks = Networks::new(name, forwards)?;
    networks.relay(data.path());
    if turn {
        networks.turn();
    }
    wait_for(&networks, "10.91.1.1:3000");
    let service = service();
    let mut apps = [
        networks.app("ann", 1, &service, turn, seconds),
        networks.app("ben", 2, &service, turn, seconds),
    ];
    let until = Instant::now() + Duration::from_secs(seconds + 5);
    let met = apps.each_mut().map(|app| {
        while app.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended = app.try_wait().unwrap();
        let _ = app.kill();
        let _ = app.wait();
        ended.is_some_and(|status| status.success())
    });
    Some(met == [true, true])
}

/// Until somebody listens there.
fn wait_for(networks: &Networks, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let knock = format!("exec 3<>/dev/tcp/{}/{}", address.ip(), address.port());
    let until = Instant::now() + Duration::from_secs(PATIENCE);
    loop {
        let mut command = networks.command("ann", "bash");
        let status = command.args(["-c", &knock]).stderr(Stdio::null()).status();
        if status.unwrap().success() {
            return;
        }
        assert!(Instant::now() < until, "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_networks_with_only_a_relay_in_common() {
    assert_ne!(two_meet("r", true, false, PATIENCE), Some(false));
}

#[test]
fn a_turn_server_carries_what_has_no_direct_path() {
    let without = two_meet("b", false, false, IMPATIENCE);
    assert_ne!(without, Some(true), "the path is not blocked");
    assert_ne!(two_meet("t", false, true, PATIENCE), Some(false));
}
