//! Links over requests and events, through a proxy that cuts its connections.

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::client::{Client, collection};
use support::relay::Relay;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// Passes bytes on, and cuts every connection when it has lived this long.
async fn cutting_proxy(relay: String, life: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let cuts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cuts);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (relay, cuts) = (relay.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(&relay).await else {
                    return;
                };
                let pass = tokio::io::copy_bidirectional(&mut client, &mut server);
                if tokio::time::timeout(life, pass).await.is_err() {
                    cuts.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (address, cuts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_outlives_its_connections() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let (address, cuts) = cutting_proxy(relay.address.clone(), Duration::from_millis(150)).await;
    let service = format!("http://{address}/flexstore");
    let id = collection("cut");
    let (mut alice, mut bob) = (Client::new(&id, 1), Client::new(&id, 2));
    alice.connect(&service).await;
    bob.connect(&service).await;
    let until = Instant::now() + Duration::from_secs(6);
    let mut round = 0;
    while Instant::now() < until {
        for number in 0..20 {
            alice.put(
                &format!("a-{number}"),
                &format!("{round}{}", "x".repeat(20_000)),
            );
            bob.put(
                &format!("b-{number}"),
                &format!("{round}{}", "y".repeat(20_000)),
            );
        }
        let (a, b) = (
            alice.write("a", &round.to_string()),
            bob.write("b", &round.to_string()),
        );
        tokio::join!(
            async {
                alice.until_acknowledged(&a).await;
                alice.until_has(&b).await;
            },
            async {
                bob.until_acknowledged(&b).await;
                bob.until_has(&a).await;
            }
        );
        round += 1;
        sleep(Duration::from_millis(20)).await;
    }
    // The same links all the time.
    assert!(alice.is_connected() && bob.is_connected());
    let cuts = cuts.load(Ordering::Relaxed);
    println!("{round} rounds, {cuts} connections cut");
    assert!(
        cuts > 20 && round > 5,
        "{round} rounds, {cuts} connections cut"
    );
    assert_eq!(alice.digests(), bob.digests());
}
