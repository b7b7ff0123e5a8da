//! What requests that come twice, late, or not at all do to a link.
#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::BytesMut;
use flexstore_core::link::LinkError;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep};

use super::super::events::{Event, Parser};
use super::super::{MAX_POST_BYTES, MAX_POSTS, RESUME_TIME, ROOM_TIMEOUT, deframe};
use super::*;

fn framed(frames: &[&[u8]]) -> Bytes {
    let mut bytes = BytesMut::new();
    for frame in frames {
        deframe::frame(&mut bytes, frame);
    }
    bytes.freeze()
}

fn open() -> (Links, LinkId, Link) {
    let links = Links::new(2);
    let (id, link) = links.open("test").unwrap();
    (links, id, link)
}

/// What a stream of events holds now.
fn held(events: &mut Events) -> Vec<Event> {
    let mut parser = Parser::default();
    let mut all = Vec::new();
    while let Some(Some(bytes)) = events.next().now_or_never() {
        parser.feed(&bytes);
        while let Some(event) = parser.next().unwrap() {
            all.push(event);
        }
    }
    all
}

#[tokio::test]
async fn bodies_are_taken_once_and_in_order() {
    let (links, id, mut link) = open();
    let stream = framed(&[b"one", b"two", b"three"]);
    // The second half first; it waits for its turn.
    let late = links.take(&id, 10, 0, stream.slice(10..));
    let first = links.take(&id, 0, 0, stream.slice(..10));
    let (late, first) = tokio::join!(late, first);
    assert_eq!((late, first), (Ok(()), Ok(())));
    // Again, as a whole and in parts.
    for from in [0, 4, 10, stream.len()] {
        let again = links.take(&id, from as u64, 0, stream.slice(from..));
        assert_eq!(again.await, Ok(()));
    }
    for expected in ["one", "two", "three"] {
        let frame = link.incoming.next().await.unwrap().unwrap();
        assert_eq!(frame, expected);
    }
    // Half known, half new.
    let more = [&stream[..], &framed(&[b"four"])].concat();
    let taken = links.take(&id, 4, 0, Bytes::copy_from_slice(&more[4..]));
    assert_eq!(taken.await, Ok(()));
    let frame = link.incoming.next().await.unwrap().unwrap();
    assert_eq!(frame, "four");
    assert_eq!(link.incoming.next().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn places_hold_at_and_past_the_limits() {
    let (links, id, _link) = open();
    let body = |length| Bytes::from(vec![0; length]);
    let furthest = (MAX_POSTS * MAX_POST_BYTES) as u64;
    let take = |at, length| links.take(&id, at, 0, body(length));
    assert_eq!(take(furthest, 1).await, Err(Refused::Busy), "in vain");
    assert_eq!(take(furthest + 1, 1).await, Err(Refused::OutOfPlace));
    assert_eq!(take(0, MAX_POST_BYTES + 1).await, Err(Refused::OutOfPlace));
    assert_eq!(take(0, MAX_POST_BYTES).await, Ok(()));
    let unheard_of = links.take(&id, 0, 1, Bytes::new());
    assert_eq!(unheard_of.await, Err(Refused::OutOfPlace));
    assert!(links.open("second").is_ok());
    assert_eq!(links.events(&id, 1).err(), Some(Refused::OutOfPlace));
    let unknown = LinkId([0; 16]);
    assert_eq!(links.events(&unknown, 0).err(), Some(Refused::Unknown));
}

#[test]
fn there_are_as_many_as_there_may_be() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let (links, _, link) = open();
    let second = links.open("second").unwrap();
    assert_eq!(links.open("third").err(), Some(Refused::Full));
    drop(link);
    assert!(links.open("third").is_ok());
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_for_room_and_not_for_ever() {
    let (links, id, mut link) = open();
    let frame = vec![7; MAX_POST_BYTES - 4];
    let body = framed(&[&frame]);
    let take = |number: u64| links.take(&id, number * body.len() as u64, 0, body.clone());
    let mut number = 0;
    let start = Instant::now();
    while take(number).await.is_ok() {
        number += 1;
    }
    assert!(number < 5, "{number} bodies for nobody");
    assert_eq!(start.elapsed(), ROOM_TIMEOUT);
    // It is sent again, and then there is room.
    let read = async {
        sleep(ROOM_TIMEOUT / 2).await;
        link.incoming.next().await
    };
    let (again, read) = tokio::join!(take(number), read);
    assert_eq!((again, read), (Ok(()), Some(Ok(frame.into()))));
}

#[tokio::test]
async fn a_stream_that_broke_is_taken_up_where_it_was() {
    let (links, id, mut link) = open();
    let frame = |number: u8| Bytes::from(vec![number; 10]);
    for number in 1..=5 {
        link.outgoing.send(frame(number)).await.unwrap();
    }
    let expected = |from: u8| -> Vec<Event> {
        let numbers = from..=5;
        numbers
            .map(|number| Event::Frame(number.into(), frame(number)))
            .collect()
    };
    let mut events = links.events(&id, 0).unwrap();
    assert_eq!(held(&mut events), expected(1));
    // Somebody asks again: the old stream ends.
    let mut later = links.events(&id, 2).unwrap();
    assert_eq!(events.next().await, None);
    assert_eq!(held(&mut later), expected(3));
    drop((events, later));
    // What was seen is not kept.
    let seen = links.take(&id, 0, 4, Bytes::new());
    assert_eq!(seen.await, Ok(()));
    let mut events = links.events(&id, 4).unwrap();
    assert_eq!(held(&mut events), expected(5));
    assert_eq!(links.events(&id, 3).err(), Some(Refused::OutOfPlace));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_silent_is_missed() {
    // No stream of events was ever asked for.
    let (links, _, mut link) = open();
    let start = Instant::now();
    assert_eq!(link.incoming.next().await, Some(Err(LinkError::Gone)));
    assert!(start.elapsed() > RESUME_TIME && start.elapsed() < 2 * HEARTBEAT);
    assert_eq!(link.incoming.next().await, None);
    assert_eq!(link.outgoing.send(Bytes::new()).await, Err(LinkError::Gone));
    drop(link);
    // One that is open, and no request beside it.
    let (id, mut link) = links.open("test").unwrap();
    let mut events = links.events(&id, 0).unwrap();
    let start = Instant::now();
    assert_eq!(link.incoming.next().await, Some(Err(LinkError::Gone)));
    assert!(start.elapsed() > 2 * HEARTBEAT && start.elapsed() < 3 * HEARTBEAT);
    assert_eq!(held(&mut events).last(), Some(&Event::End));
    // Somebody who gives a sign of life now and then.
    let (id, mut link) = links.open("test").unwrap();
    let _events = links.events(&id, 0).unwrap();
    let alive = async {
        for _ in 0..10 {
            sleep(HEARTBEAT).await;
            links.take(&id, 0, 0, Bytes::new()).await.unwrap();
        }
    };
    tokio::select! {
        () = alive => {}
        _ = link.incoming.next() => unreachable!("given up"),
    }
}
