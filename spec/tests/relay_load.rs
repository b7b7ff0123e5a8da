//! The real relay under peers that hold resources: who reads nothing, who never finishes a request,
//! who connects too often. Others are served meanwhile.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::link::MAX_FRAME_BYTES;
use flexstore_core::wire::{Filter, Message, Summary};
use flexstore_core::{CollectionId, Digest};
use support::client::{Client, collection};
use support::raw::{BINARY, Raw};
use support::relay::Relay;

const MIB: u64 = 1 << 20;
/// The relay's ping interval is 20 s; a dead peer is found in two of them.
const DEAD: Duration = Duration::from_secs(45);

fn configure(dir: &std::path::Path, text: &str) -> String {
    let path = dir.join("relay.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A relay with 2,000 records of about 3 KB in one collection, and their digests.
async fn stocked(relay: &Relay) -> (CollectionId, Vec<Digest>, Client) {
    let id = collection("stock");
    let mut alice = Client::new(&id, 1);
    for number in 0..2000 {
        alice.put(&format!("tag-{number}"), &"z".repeat(2048));
    }
    alice.drain();
    alice
        .until("stored", |alice| alice.stored.len() == 2000)
        .await;
    alice.connect(&relay.service()).await;
    alice.until("sent", Client::is_settled).await;
    (id, alice.digests().into_iter().collect(), alice)
}

/// Opens channels, asks for everything on each, and reads nothing. `false` if the relay closed
/// before all was asked.
fn ask_without_reading(
    raw: &mut Raw,
    id: &CollectionId,
    digests: &[Digest],
    channels: u32,
) -> bool {
    let timeout = Some(Duration::from_millis(500));
    raw.0.set_write_timeout(timeout).unwrap();
    (0..channels).all(|channel| {
        let open = Message::Open {
            oldest: 1,
            newest: 1,
            collection: id.clone(),
            replica: [7; 16],
            filter: Filter::default(),
            summary: Summary::default(),
        };
        let want = Message::Want(digests.to_vec());
        let frames = [open.encode(channel), want.encode(channel)];
        frames.iter().all(|frame| raw.send(BINARY, frame).is_ok())
    })
}

fn is_closed(stream: &mut TcpStream, until: Instant) -> bool {
    let mut buffer = [0; 1 << 16];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[tokio::test]
async fn readers_that_never_read_cost_less_than_a_mebibyte_and_are_closed() {
    let data = tempfile::tempdir().unwrap();
    // The cache of the engine would grow with what is read, and that is not what is measured.
    let config = configure(data.path(), "stall_seconds = 2\ncache_mib = 0");
    let store = data.path().join("data");
    let relay = Relay::start(&store, &["--config", &config]);
    let (id, digests, mut alice) = stocked(&relay).await;
    let (before, idle) = (relay.memory(), relay.descriptors());
    // One channel: what the window lets out rests in the system's buffers. Thirty: it does not.
    let mut readers = Vec::new();
    for channels in [1; 30].into_iter().chain([30; 10]) {
        let mut raw = Raw::connect(&relay.address);
        ask_without_reading(&mut raw, &id, &digests, channels);
        readers.push(raw);
    }
    let mut most = relay.memory().saturating_sub(before);

    // Somebody who reads is served as before.
    let mut bob = Client::new(&id, 2);
    let start = Instant::now();
    bob.connect(&relay.service()).await;
    bob.until("got", Client::is_settled).await;
    assert_eq!(bob.len(), 2000);
    println!("2,000 records beside them: {:?}", start.elapsed());
    let until = Instant::now() + DEAD;
    while relay.descriptors() > idle + 1 {
        assert!(
            Instant::now() < until,
            "readers that do not read are not closed"
        );
        most = most.max(relay.memory().saturating_sub(before));
        let written = alice.write("tag-1", "on and on");
        tokio::join!(alice.until_acknowledged(&written), bob.until_has(&written),);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{} readers: at most {} KiB", readers.len(), most >> 10);
    assert!(most < readers.len() as u64 * MIB, "{} MiB", most / MIB);
}

#[test]
fn requests_that_trickle_are_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let start = Instant::now();
    let starts = [
        "",
        "G",
        "GET /healthz HTTP/1.1\r\n",
        "POST /healthz HTTP/1.1\r\nhost: r\r\ncontent-length: 100000\r\n\r\n",
    ];
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(&relay.address).unwrap();
        stream
            .write_all(starts[number % starts.len()].as_bytes())
            .unwrap();
        stream.set_nonblocking(true).unwrap();
        slow.push(stream);
    }
    while !slow.is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(15),
            "{} left",
            slow.len()
        );
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        assert!(relay.get("/healthz").starts_with("HTTP/1.1 200"));
        assert!(asked.elapsed() < Duration::from_secs(1));
        slow.retain_mut(|stream| {
            let _ = stream.write(b"a");
            let mut buffer = [0; 512];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
    }
}

#[test]
fn what_is_announced_and_not_sent_takes_no_memory() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let before = relay.memory();
    let mut links: Vec<Raw> = (0..400).map(|_| Raw::connect(&relay.address)).collect();
    let idle = relay.memory().saturating_sub(before);
    let mut head = Raw::head(BINARY, MAX_FRAME_BYTES as u64);
    head.push(0);
    for link in &mut links {
        link.0.write_all(&head).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let announced = relay.memory().saturating_sub(before);
    println!(
        "400 links: {} KiB at rest, {} KiB with a frame announced",
        idle >> 10,
        announced >> 10
    );
    assert!(announced < 400 * (64 << 10));
}

#[test]
fn a_link_at_rest_costs_at_most_12_kib() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    // What the process takes once, however many come.
    let first: Vec<Raw> = (0..200).map(|_| Raw::connect(&relay.address)).collect();
    let before = relay.memory();
    let count = 2000;
    let links: Vec<Raw> = (0..count).map(|_| Raw::connect(&relay.address)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let each = relay.memory().saturating_sub(before) / count;
    println!("{count} links: {each} bytes of the relay's memory each");
    // Without optimisation, tasks are larger than they are in a release.
    let most = if cfg!(debug_assertions) { 16 } else { 12 };
    assert!(each <= most << 10);
    drop((first, links));
}

#[test]
fn clients_beyond_the_cap_are_turned_away() {
    let data = tempfile::tempdir().unwrap();
    let config = configure(data.path(), "max_connections = 5");
    let store = data.path().join("data");
    let relay = Relay::start(&store, &["--config", &config]);
    let mut held: Vec<Raw> = (0..5).map(|_| Raw::connect(&relay.address)).collect();
    assert!(relay.get("/healthz").starts_with("HTTP/1.1 503"));
    held.pop();
    let until = Instant::now() + Duration::from_secs(10);
    while !relay.get("/healthz").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn without_descriptors_new_clients_are_shed_and_old_ones_kept() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start_with_descriptors(100, data.path());
    let id = collection("kept");
    let (mut alice, mut bob) = (Client::new(&id, 1), Client::new(&id, 2));
    alice.connect(&relay.service()).await;
    bob.connect(&relay.service()).await;
    let crowd: Vec<TcpStream> = (0..150)
        .map(|_| TcpStream::connect(&relay.address).unwrap())
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let shed = crowd.iter().filter(|stream| {
        let mut stream = stream.try_clone().unwrap();
        is_closed(&mut stream, Instant::now() + Duration::from_millis(1))
    });
    let shed = shed.count();
    println!("{shed} of 150 shed");
    assert!(shed >= 100);
    assert!(relay.descriptors() < 90, "nothing is left for the store");
    let written = alice.write("tag", "kept");
    tokio::join!(alice.until_acknowledged(&written), bob.until_has(&written),);
    drop(crowd);
    let until = Instant::now() + Duration::from_secs(15);
    while !relay.get("/healthz").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until, "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_thousand_names_of_collections_give_their_memory_back() {
    let data = tempfile::tempdir().unwrap();
    let config = configure(data.path(), "idle_seconds = 1\nmax_collections = 900");
    let store = data.path().join("data");
    let relay = Relay::start(&store, &["--config", &config]);
    let opens = |from: u32, to: u32| {
        let mut raw = Raw::connect(&relay.address);
        let frames: Vec<Bytes> = (from..to)
            .map(|channel| {
                Message::Open {
                    oldest: 1,
                    newest: 1,
                    collection: collection(&format!("../../{channel}")),
                    replica: [7; 16],
                    filter: Filter::default(),
                    summary: Summary::default(),
                }
                .encode(channel)
            })
            .collect();
        for frame in frames {
            if raw.send(BINARY, &frame).is_err() {
                break;
            }
        }
        let _ = raw.send(8, &1000_u16.to_be_bytes());
        raw.ending().0
    };
    assert_eq!(opens(0, 900), None);
    // Past the limit while they are open; again after nobody has used them for a second.
    assert_eq!(
        opens(900, 1000),
        Some(flexstore_core::wire::CloseReason::Limit)
    );
    let until = Instant::now() + Duration::from_secs(10);
    while opens(900, 1000).is_some() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(200));
    }
}
