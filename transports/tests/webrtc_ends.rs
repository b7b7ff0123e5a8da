//! What a link over WebRTC leaves when it is dropped: nothing. In a file of its own, because it
//! counts the sockets of the process.
#![allow(clippy::unwrap_used)] // a test

mod support;

use std::time::{Duration, Instant};

use flexstore_core::link::Protocol;
use flexstore_testkit::link::memory;
use flexstore_transports::rendezvous::{self, Key, by_hand};
use flexstore_transports::webrtc::{LINGER, Settings, javascript};
use tokio::runtime::Handle;

fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let to_socket = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(entry.unwrap().path()).ok()?;
        target.to_str()?.starts_with("socket:").then_some(())
    };
    open.filter_map(to_socket).count()
}

async fn back_to(before: (usize, usize), what: &str) {
    let start = Instant::now();
    loop {
        let now = (sockets(), Handle::current().metrics().num_alive_tasks());
        if now == before {
            eprintln!("{what}: nothing is left after {:?}", start.elapsed());
            return;
        }
        // The crate's close takes a little.
        let limit = LINGER + Duration::from_secs(2);
        assert!(start.elapsed() < limit, "{what}: {before:?}, {now:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_socket_and_no_task_is_left() {
    let settings = Settings::default();
    let key = Key::generate().unwrap();
    let before = (sockets(), Handle::current().metrics().num_alive_tasks());

    let (a, b) = support::linked().await;
    assert!(sockets() > before.0);
    drop((a, b));
    back_to(before, "both ends").await;

    let (a, mut b) = support::linked().await;
    drop(a);
    while futures_util::StreamExt::next(&mut b.incoming)
        .await
        .is_some()
    {}
    back_to(before, "one end, and the other still held").await;
    drop(b);

    let offer = by_hand::Offer::make(&settings, &key).await.unwrap();
    drop(offer);
    back_to(before, "an offer").await;

    let (offer, text) = by_hand::Offer::make(&settings, &key).await.unwrap();
    let (answer, _) = by_hand::Answer::to(&text, &key, &settings).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), answer.connected());
    assert!(waiting.await.is_err());
    drop(offer);
    back_to(before, "an answer that was waited for").await;

    let (a, b) = memory(Protocol::Native);
    let meeting = rendezvous::connect(a, "here", &key, &settings);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), meeting)
            .await
            .is_err()
    );
    drop(b);
    back_to(before, "a rendezvous where nobody came").await;

    let with = javascript::With::Relay;
    let (offer, signals) = javascript::offer(with, &["MutableCollection/x"], &settings)
        .await
        .unwrap();
    let (_, link) = javascript::answer(&signals, with, &[], &settings)
        .await
        .unwrap();
    drop(link);
    drop(offer);
    back_to(before, "a JavaScript link before anybody came").await;

    let (offer, signals) = javascript::offer(with, &["MutableCollection/x"], &settings)
        .await
        .unwrap();
    let (signals, answered) = javascript::answer(&signals, with, &[], &settings)
        .await
        .unwrap();
    let offered = offer.accept(&signals).await.unwrap();
    drop((offered, answered));
    back_to(before, "a JavaScript link").await;
}
