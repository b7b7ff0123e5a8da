//! The real relay over TLS, and over plain HTTP, WebSocket and HTTPS alike: clients that trust it
//! sync, others are told why not.

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::time::Duration;

use flexstore_core::link::{DialError, Dialer as _};
use flexstore_transports::Transports;
use support::client::{Client, collection};
use support::relay::Relay;
use tempfile::TempDir;

const SELF_SIGNED: &str = "tls = { self_signed = ['localhost', '127.0.0.1'] }";

fn trusting(folder: &TempDir) -> Transports {
    let pem = std::fs::read(folder.path().join("data/relay-certificate.pem")).unwrap();
    Transports::new().trust(pem).unwrap()
}

/// Two clients, each over its own transport, with what each has at first and what is written live.
async fn sync(alice: (&str, Transports), bob: (&str, Transports)) {
    let id = collection("shared");
    let (mut a, mut b) = (Client::new(&id, 1), Client::new(&id, 2));
    a.transports = alice.1;
    b.transports = bob.1;
    for number in 0..1000 {
        a.put(&format!("a-{number}"), &"x".repeat(1024));
        b.put(&format!("b-{number}"), &"y".repeat(200));
    }
    // One that is longer than what a request carries.
    a.put("long", &"z".repeat(700_000));
    for client in [&mut a, &mut b] {
        client.drain();
        client
            .until("stored", |client| !client.replica.is_waiting())
            .await;
    }
    a.connect(alice.0).await;
    a.until("sent", Client::is_settled).await;
    b.connect(bob.0).await;
    b.until("got", |b| b.is_settled() && b.len() == 2001).await;
    a.until("got", |a| a.is_settled() && a.len() == 2001).await;
    assert_eq!(a.digests(), b.digests());
    let written = a.write("live", "to b");
    tokio::join!(a.until_acknowledged(&written), b.until_has(&written));
    let written = b.write("live", "to a");
    tokio::join!(b.until_acknowledged(&written), a.until_has(&written));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_sync_over_requests_and_websockets() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let service = |scheme: &str| format!("{scheme}://{}/flexstore", relay.address);
    let plain = Transports::new();
    sync(
        (&service("http"), plain.clone()),
        (&service("ws"), plain.clone()),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_sync_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::configured(folder.path(), SELF_SIGNED).unwrap();
    let trusting = trusting(&folder);
    let port = relay.address.rsplit(':').next().unwrap();
    sync(
        (
            &format!("https://localhost:{port}/flexstore"),
            trusting.clone(),
        ),
        (&format!("wss://127.0.0.1:{port}/flexstore"), trusting),
    )
    .await;
}

#[tokio::test]
async fn whoever_is_not_believed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::configured(folder.path(), "tls = { self_signed = ['localhost'] }").unwrap();
    for scheme in ["wss", "https"] {
        let service = format!("{scheme}://{}/flexstore", relay.address);
        // Signed by nobody we know, then for another name.
        for transports in [Transports::new(), trusting(&folder)] {
            let dialled = transports.dial(&service).await.err();
            assert!(
                matches!(dialled, Some(DialError::Refused(_))),
                "{service}: {dialled:?}"
            );
        }
    }
    for scheme in ["ws", "http"] {
        let service = format!("{scheme}://{}/flexstore", relay.address);
        assert!(Transports::new().dial(&service).await.is_err(), "{service}");
    }
    assert!(Transports::new().trust("no certificate").is_err());
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = |certificate: &str, key: &str| {
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        format!(
            "tls = {{ certificate = '{}', key = '{}' }}",
            at(certificate),
            at(key)
        )
    };
    let made = Relay::configured(folder.path(), SELF_SIGNED).unwrap();
    made.kill();
    let written = folder.path().join("data/relay-certificate.pem");
    std::fs::copy(written, folder.path().join("good.pem")).unwrap();
    std::fs::write(folder.path().join("bad.pem"), "nothing").unwrap();
    for (certificate, key, named) in [
        ("none.pem", "none.pem", "none.pem"),
        ("bad.pem", "bad.pem", "bad.pem"),
        ("good.pem", "bad.pem", "bad.pem"),
        ("good.pem", "good.pem", "good.pem"),
    ] {
        let refused = Relay::configured(folder.path(), &config(certificate, key));
        let words = refused.err().unwrap();
        assert!(
            words.contains("cannot use") && words.contains(named),
            "{words}"
        );
    }
    let refused = Relay::configured(folder.path(), "tls = { certificate = 'x' }");
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_relay_that_goes_is_missed_at_once() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let service = format!("http://{}/flexstore", relay.address);
    let id = collection("cut");
    let mut alice = Client::new(&id, 1);
    alice.connect(&service).await;
    alice.until("live", Client::is_settled).await;
    let mut relay = relay;
    relay.signal(rustix::process::Signal::TERM);
    let gone = alice.until("told", |alice| !alice.is_connected());
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .unwrap();
    assert_eq!(relay.wait().code(), Some(0));
    assert_eq!(alice.closed, Some(flexstore_core::wire::CloseReason::Done));
}
