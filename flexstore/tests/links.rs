//! What a peer does with links: two apps with nothing but a link between them, links that the app
//! made, and what an app can show while a service comes and goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flexstore::link::{DialError, Dialer, Dialing, Link, LinkError, Protocol, Side};
use flexstore::{Collection, Connection, MemoryStorage, Mutable, Peer};
use futures_util::{sink, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(20);
const SERVICE: &str = "by-hand:ben";

/// One end of a link in memory, that ends when it is cut.
fn end(
    side: Side,
    incoming: mpsc::Receiver<Bytes>,
    outgoing: mpsc::Sender<Bytes>,
    cut: watch::Receiver<bool>,
) -> Link {
    let incoming = stream::unfold((incoming, cut), |(mut frames, mut cut)| async move {
        let frame = tokio::select! {
            frame = frames.recv() => frame?,
            _ = cut.wait_for(|cut| *cut) => return None,
        };
        // A way takes time, so that somebody who looks sees what goes on.
        sleep(Duration::from_millis(2)).await;
        Some((Ok(frame), (frames, cut)))
    });
    let outgoing = sink::unfold(outgoing, |frames, frame| async move {
        frames.send(frame).await.map_err(|_| LinkError::Gone)?;
        Ok(frames)
    });
    Link {
        incoming: Box::pin(incoming),
        outgoing: Box::pin(outgoing),
        name: "memory".into(),
        side,
        protocol: Protocol::Native,
    }
}

/// Both ends, and what cuts them.
fn pair() -> (Link, Link, watch::Sender<bool>) {
    let (cut, _) = watch::channel(false);
    let (to_ben, from_ann) = mpsc::channel(16);
    let (to_ann, from_ben) = mpsc::channel(16);
    let ann = end(Side::Dialled, from_ben, to_ben, cut.subscribe());
    let ben = end(Side::Accepted, from_ann, to_ann, cut.subscribe());
    (ann, ben, cut)
}

/// Answers with what was put in, in order; then nobody is there.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<VecDeque<Result<Link, DialError>>>>);

impl Dialer for Desk {
    fn dial(&self, service: &str) -> Dialing {
        let next = if service == SERVICE {
            Some(Err(DialError::UnknownService))
        } else {
            self.0.lock().unwrap().pop_front()
        };
        let silence = || Err(DialError::Unreachable("nobody is there".into()));
        Box::pin(std::future::ready(next.unwrap_or_else(silence)))
    }
}

async fn app(desk: &Desk) -> (Peer, Collection<Mutable>) {
    let peer = Peer::connected(Arc::new(MemoryStorage::new()), desk.clone()).unwrap();
    peer.credentials().create_device().await.unwrap();
    let notes = peer.collection("notes").open().unwrap();
    (peer, notes)
}

async fn lists(notes: &Collection<Mutable>, count: usize) {
    let come = async {
        while notes.list().unwrap().len() != count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let here = timeout(SOON, come).await;
    assert!(here.is_ok(), "{:?} of {count}", notes.list().unwrap().len());
}

async fn shows(
    notes: &Collection<Mutable>,
    service: &str,
    wanted: impl Fn(Connection) -> bool,
) -> Connection {
    let mut progress = notes.progress();
    let seen =
        progress.wait_for(|all| all.get(service).is_some_and(|one| wanted(one.connection())));
    let seen = timeout(SOON, seen).await;
    seen.expect("shown in time").unwrap()[service].connection()
}

#[tokio::test]
async fn two_apps_sync_over_a_link_that_they_made() {
    let desk = Desk::default();
    let ((ann, anns), (ben, bens)) = (app(&desk).await, app(&desk).await);
    anns.store("from Ann").await.unwrap();
    bens.store("from Ben").await.unwrap();
    for notes in [&anns, &bens] {
        notes.synchronize(SERVICE);
    }
    let (left, right, cut) = pair();
    ann.serve(SERVICE, left);
    ben.serve(SERVICE, right);
    for notes in [&anns, &bens] {
        lists(notes, 2).await;
        timeout(SOON, notes.synchronized()).await.unwrap();
    }
    // A collection that comes later on either side finds the other.
    for late in ["ann first", "ben first"] {
        let open = |peer: &Peer| -> Collection<Mutable> {
            peer.collection(late).service(SERVICE).open().unwrap()
        };
        let (first, second) = if late.starts_with("ann") {
            (&ann, &ben)
        } else {
            (&ben, &ann)
        };
        let one = open(first);
        one.store("early").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        let other = open(second);
        lists(&other, 1).await;
    }
    // The next link goes on where the first ended, whoever dials.
    cut.send_replace(true);
    anns.store("while apart").await.unwrap();
    let (left, right, _cut) = pair();
    ben.serve(SERVICE, left);
    ann.serve(SERVICE, right);
    lists(&bens, 3).await;
}

#[tokio::test]
async fn an_app_can_show_how_it_stands_with_a_service() {
    let desk = Desk::default();
    let ((_ann, anns), (ben, bens)) = (app(&desk).await, app(&desk).await);
    for number in 0..300 {
        bens.store(format!("note {number}")).await.unwrap();
    }
    bens.synchronize(SERVICE);
    let service = "anywhere:at-all";
    let mut progress = anns.progress();
    anns.synchronize(service);
    let offline = |state| matches!(state, Connection::Offline { .. });
    let Connection::Offline { since } = shows(&anns, service, offline).await else {
        panic!("nobody answers");
    };
    // It dials again by itself.
    let (left, right, cut) = pair();
    desk.0.lock().unwrap().push_back(Ok(left));
    ben.serve(SERVICE, right);
    let mut seen = Vec::new();
    let live = async {
        while seen.last() != Some(&Connection::Live) {
            progress.changed().await.unwrap();
            seen.extend(
                progress
                    .borrow_and_update()
                    .get(service)
                    .map(|one| one.connection()),
            );
        }
    };
    timeout(SOON, live).await.unwrap();
    assert_eq!(anns.list().unwrap().len(), 300);
    let syncing = |state: &Connection| matches!(state, Connection::Syncing { of: 300, .. });
    assert!(seen.iter().any(syncing), "{seen:?}");

    cut.send_replace(true);
    let Connection::Offline { since: later } = shows(&anns, service, offline).await else {
        panic!("the link is cut");
    };
    assert!(later > since, "since the link went, not since the start");
}
