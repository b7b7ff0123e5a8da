//! What a hostile client sends to the real relay: the link that sent it is closed with a reason,
//! and a healthy client on the same relay notices nothing.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use flexstore_core::CollectionId;
use flexstore_core::link::MAX_FRAME_BYTES;
use flexstore_core::wire::{CloseReason, Filter, MAX_CHANNELS, Message, Summary};
use getrandom::SysRng;
use getrandom::rand_core::{Rng as _, UnwrapErr};
use support::client::{Client, collection, key, record};
use support::raw::{BINARY, Raw, TEXT};
use support::relay::Relay;

fn open(id: &CollectionId, channel: u32) -> Bytes {
    let message = Message::Open {
        oldest: 1,
        newest: 1,
        collection: id.clone(),
        replica: [7; 16],
        filter: Filter::default(),
        summary: Summary::default(),
    };
    message.encode(channel)
}

/// Does something bad while a healthy client works, and demands that it works on.
async fn beside_a_healthy_client(bad: impl FnOnce(&Relay)) {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let id = collection("healthy");
    let (mut alice, mut bob) = (Client::new(&id, 1), Client::new(&id, 2));
    alice.connect(&relay.service()).await;
    bob.connect(&relay.service()).await;
    alice.until("live", Client::is_settled).await;
    bob.until("live", Client::is_settled).await;
    bad(&relay);
    let written = alice.write("tag", "still here");
    tokio::join!(alice.until_acknowledged(&written), bob.until_has(&written),);
    assert!(alice.is_connected() && bob.is_connected());
}

/// The reason and code with which a link ends that sends these frames.
fn ending(relay: &Relay, opcode: u8, frames: &[Bytes]) -> (Option<CloseReason>, Option<u16>) {
    let mut raw = Raw::connect(&relay.address);
    for frame in frames {
        // The relay may have closed before the last of them.
        if raw.send(opcode, frame).is_err() {
            break;
        }
    }
    raw.ending()
}

#[tokio::test]
async fn bytes_that_are_no_message() {
    beside_a_healthy_client(|relay| {
        let mut random = UnwrapErr(SysRng);
        for len in [0, 1, 2, 100, 5000, MAX_FRAME_BYTES] {
            let mut bytes = vec![0; len];
            random.fill_bytes(&mut bytes);
            let ended = ending(relay, BINARY, &[bytes.into()]);
            assert_eq!(ended, (Some(CloseReason::Protocol), Some(1000)), "{len}");
        }
    })
    .await;
}

#[tokio::test]
async fn text_and_frames_that_are_too_long() {
    beside_a_healthy_client(|relay| {
        let (reason, code) = ending(relay, TEXT, &[Bytes::from_static(b"hello")]);
        assert_eq!((reason, code), (None, Some(1003)));
        let long = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
        assert_eq!(ending(relay, BINARY, &[long]), (None, Some(1009)));
        // Announced only.
        let mut raw = Raw::connect(&relay.address);
        std::io::Write::write_all(&mut raw.0, &Raw::head(BINARY, 1 << 40)).unwrap();
        assert_eq!(raw.ending(), (None, Some(1009)));
        // A control frame with a payload longer than RFC 6455 has it, and a reserved opcode.
        assert_eq!(
            ending(relay, 9, &[Bytes::from(vec![0; 126])]),
            (None, Some(1002))
        );
        assert_eq!(ending(relay, 3, &[Bytes::new()]), (None, Some(1002)));
    })
    .await;
}

#[tokio::test]
async fn records_that_do_not_belong() {
    beside_a_healthy_client(|relay| {
        let (id, other) = (collection("mine"), collection("other"));
        let good = record(&id, "tag", "payload", &key(3));
        let mut forged = good.to_vec();
        let last = forged.len() - 3;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let bad = [
            Bytes::from_static(b"no record"),
            forged.into(),
            record(&other, "tag", "payload", &key(3)),
        ];
        for bad in bad {
            let records = Message::Records(vec![good.clone(), bad]).encode(5);
            let ended = ending(relay, BINARY, &[open(&id, 5), records]);
            assert_eq!(ended, (Some(CloseReason::BadRecord), Some(1000)));
        }
    })
    .await;
}

#[tokio::test]
async fn messages_out_of_place() {
    beside_a_healthy_client(|relay| {
        let id = collection("mine");
        let protocol = (Some(CloseReason::Protocol), Some(1000));
        let asks = |channel| Message::Reconciled.encode(channel);
        // No channel, another channel, a channel that was closed, one opened twice.
        let closed = Message::Close(CloseReason::Done).encode(1);
        assert_eq!(ending(relay, BINARY, &[asks(1)]), protocol);
        assert_eq!(ending(relay, BINARY, &[open(&id, 1), asks(2)]), protocol);
        assert_eq!(
            ending(relay, BINARY, &[open(&id, 1), closed, asks(1)]),
            protocol
        );
        assert_eq!(
            ending(relay, BINARY, &[open(&id, 1), open(&id, 1)]),
            protocol
        );
        // An answer that nobody asked for.
        let told = Message::Acknowledge(1).encode(1);
        assert_eq!(ending(relay, BINARY, &[open(&id, 1), told]), protocol);
    })
    .await;
}

#[tokio::test]
async fn channels_up_to_the_limit_and_past_it() {
    beside_a_healthy_client(|relay| {
        let many: Vec<_> = (0..=MAX_CHANNELS)
            .map(|channel| open(&collection(&format!("c{}", channel % 50)), channel))
            .collect();
        let mut raw = Raw::connect(&relay.address);
        for frame in &many {
            raw.send(BINARY, frame).unwrap();
        }
        let frames = raw.frames();
        let decoded = frames.iter().filter(|(opcode, _)| *opcode == BINARY);
        let decoded: Vec<_> = decoded
            .map(|(_, payload)| Message::decode(payload).unwrap())
            .collect();
        let last = (MAX_CHANNELS, Message::Close(CloseReason::Limit));
        assert_eq!(decoded.last(), Some(&last));
        // As many as are allowed are served: the same again without the last, and a channel closed
        // makes room for another.
        let mut raw = Raw::connect(&relay.address);
        for frame in &many[..MAX_CHANNELS as usize] {
            raw.send(BINARY, frame).unwrap();
        }
        let close = Message::Close(CloseReason::Done).encode(0);
        raw.send(BINARY, &close).unwrap();
        raw.send(BINARY, &many[MAX_CHANNELS as usize]).unwrap();
        raw.send(8, &1000_u16.to_be_bytes()).unwrap();
        let (reason, _) = raw.ending();
        assert_eq!(reason, None);
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_not_answered() {
    beside_a_healthy_client(|relay| {
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let status = |request: String| {
            let answer = relay.ask(&request);
            answer.get(9..12).unwrap_or("").to_owned()
        };
        let get = |path: &str, headers: &str| {
            status(format!(
                "GET {path} HTTP/1.1\r\nhost: relay\r\n{headers}connection: close\r\n\r\n"
            ))
        };
        assert_eq!(get("/flexstore", ""), "426");
        assert_eq!(get("/flexstore", &upgrade.replace("13", "12")), "426");
        assert_eq!(get("/elsewhere", upgrade), "404");
        let page = format!("{upgrade}origin: https://evil.example\r\n");
        assert_eq!(get("/flexstore", &page), "403");
        assert_eq!(
            status("POST /flexstore HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n".into()),
            "405"
        );
        assert_eq!(status("nonsense\r\n\r\n".into()), "400");
        let many = "a: b\r\n".repeat(flexstore_relay_limits::MAX_HEADERS + 1);
        assert_eq!(get("/healthz", &many), "431");
        let long = format!(
            "a: {}\r\n",
            "b".repeat(flexstore_relay_limits::MAX_REQUEST_BYTES)
        );
        assert_eq!(get("/healthz", &long), "431");
    })
    .await;
}

/// The relay's own, which a black-box test does not link.
mod flexstore_relay_limits {
    pub(crate) const MAX_HEADERS: usize = 64;
    pub(crate) const MAX_REQUEST_BYTES: usize = 16 << 10;
}
