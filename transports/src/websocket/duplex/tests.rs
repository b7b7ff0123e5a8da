//! What every link promises, over a socket made of memory.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::websocket::{PING_INTERVAL, config};

/// What the socket holds under way.
const SOCKET: usize = 16 << 10;

async fn end(socket: DuplexStream, role: Role, ping: Duration) -> Link {
    let socket = Watched::new(socket);
    let stream = WebSocketStream::from_raw_socket(socket, role, Some(config())).await;
    let side = match role {
        Role::Client => Side::Dialled,
        Role::Server => Side::Accepted,
    };
    link(stream, "test".into(), side, ping)
}

async fn pair(ping: Duration) -> (Link, Link) {
    let (a, b) = duplex(SOCKET);
    (
        end(a, Role::Client, ping).await,
        end(b, Role::Server, ping).await,
    )
}

fn frame(number: usize, len: usize) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(len.max(8), number as u8);
    bytes.into()
}

/// Sends frames of many lengths, some flushed together, and demands those of the other side.
async fn exchange(mut link: Link) -> Link {
    let len = |number: usize| (number * 7919) % 3000;
    let send = async {
        for number in 0..5000 {
            let sent = link.outgoing.feed(frame(number, len(number))).await;
            sent.unwrap();
            if number % 10 == 0 {
                link.outgoing.flush().await.unwrap();
            }
        }
        link.outgoing.flush().await.unwrap();
    };
    let receive = async {
        for number in 0..5000 {
            let received = link.incoming.next().await.unwrap().unwrap();
            assert_eq!(received, frame(number, len(number)));
        }
    };
    tokio::join!(send, receive);
    link
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_whole_and_in_order_both_ways() {
    let (a, b) = pair(PING_INTERVAL).await;
    let (a, b) = tokio::join!(tokio::spawn(exchange(a)), tokio::spawn(exchange(b)));
    drop((a.unwrap(), b.unwrap()));
}

#[tokio::test]
async fn a_frame_has_the_greatest_length_and_no_more() {
    let (mut a, mut b) = pair(PING_INTERVAL).await;
    let most = frame(1, MAX_FRAME_BYTES);
    let (sent, received) = tokio::join!(a.outgoing.send(most.clone()), b.incoming.next());
    assert_eq!((sent, received), (Ok(()), Some(Ok(most))));
    let more = frame(2, MAX_FRAME_BYTES + 1);
    assert_eq!(a.outgoing.send(more).await, Err(LinkError::TooLong));
    // Nothing was sent, and the link goes on.
    let (sent, received) = tokio::join!(a.outgoing.send(frame(3, 8)), b.incoming.next());
    assert_eq!((sent, received), (Ok(()), Some(Ok(frame(3, 8)))));
}

#[tokio::test]
async fn what_the_other_side_must_not_send_ends_the_link_with_a_reason() {
    let long = (MAX_FRAME_BYTES as u64 + 1).to_be_bytes();
    let announced = [&[0x82, 127][..], &long].concat();
    let cases = [
        (announced, LinkError::TooLong, 1009_u16),
        (vec![0x81, 2, b'h', b'i'], LinkError::Protocol, 1003),
        (vec![0x83, 0], LinkError::Protocol, 1002),
        // Fragments, the second of which starts anew.
        (vec![0x02, 1, 0, 0x02, 1, 0], LinkError::Protocol, 1002),
    ];
    for (bytes, error, code) in cases {
        let (mut raw, socket) = duplex(SOCKET);
        let mut link = end(socket, Role::Client, PING_INTERVAL).await;
        raw.write_all(&bytes).await.unwrap();
        assert_eq!(link.incoming.next().await, Some(Err(error.clone())));
        assert_eq!(link.incoming.next().await, None);
        assert_eq!(link.outgoing.send(frame(1, 8)).await, Err(error));
        drop(link);
        let mut said = Vec::new();
        raw.read_to_end(&mut said).await.unwrap();
        // The close frame, masked with the four bytes after its length.
        assert_eq!(said[0], 0x88);
        let heard = [said[6] ^ said[2], said[7] ^ said[3]];
        assert_eq!(u16::from_be_bytes(heard), code);
    }
}

#[tokio::test]
async fn the_reason_of_a_close_is_heard() {
    let (mut raw, socket) = duplex(SOCKET);
    let mut link = end(socket, Role::Client, PING_INTERVAL).await;
    raw.write_all(b"\x88\x06\x03\xf3busy").await.unwrap();
    let closed = LinkError::Closed("busy".into());
    assert_eq!(link.incoming.next().await, Some(Err(closed.clone())));
    assert_eq!(link.outgoing.send(frame(1, 8)).await, Err(closed));
    let mut answer = [0; 2];
    raw.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[0], 0x88, "a close is answered");
}

#[tokio::test]
async fn closing_delivers_what_was_sent_and_ends_the_other_side() {
    let (mut a, mut b) = pair(PING_INTERVAL).await;
    a.outgoing.feed(frame(1, 100)).await.unwrap();
    let closing = a.outgoing.close();
    let reading = async {
        assert_eq!(b.incoming.next().await, Some(Ok(frame(1, 100))));
        assert_eq!(b.incoming.next().await, None);
        drop(b);
    };
    let (closed, ()) = tokio::join!(closing, reading);
    assert_eq!(closed, Ok(()));
    assert!(a.incoming.next().await.is_some_and(|frame| frame.is_err()));
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_ever() {
    let (mut a, b) = pair(PING_INTERVAL).await;
    let start = Instant::now();
    assert_eq!(a.outgoing.close().await, Ok(()));
    assert!(start.elapsed() <= LINGER + Duration::from_millis(10));
    drop(b);
}

#[tokio::test]
async fn dropping_either_half_ends_the_other_side() {
    for half in 0..2 {
        let (a, mut b) = pair(PING_INTERVAL).await;
        let Link {
            incoming, outgoing, ..
        } = a;
        if half == 0 {
            drop(outgoing);
            assert_eq!(b.incoming.next().await, None);
            drop(incoming);
        } else {
            drop(incoming);
            drop(outgoing);
            assert!(!matches!(b.incoming.next().await, Some(Ok(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_makes_the_sender_wait() {
    let (mut a, b) = pair(PING_INTERVAL).await;
    let mut taken = 0;
    while let Ok(sent) = timeout(Duration::from_secs(1), a.outgoing.send(frame(1, 8 << 10))).await {
        sent.unwrap();
        taken += 8 << 10;
    }
    assert!(taken <= SOCKET + (32 << 10), "{taken}");
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_found_in_two_intervals() {
    // It holds the socket open and neither reads nor writes.
    let (raw, socket) = duplex(SOCKET);
    let mut link = end(socket, Role::Server, PING_INTERVAL).await;
    let start = Instant::now();
    assert_eq!(link.incoming.next().await, Some(Err(LinkError::Gone)));
    assert!(start.elapsed() <= 2 * PING_INTERVAL + Duration::from_secs(1));
    assert_eq!(link.outgoing.send(frame(1, 8)).await, Err(LinkError::Gone));
    drop(raw);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_learns_that_its_peer_is_dead() {
    let (raw, socket) = duplex(SOCKET);
    let Link {
        mut incoming,
        mut outgoing,
        ..
    } = end(socket, Role::Server, PING_INTERVAL).await;
    let sending = tokio::spawn(async move {
        while outgoing.send(frame(1, 8 << 10)).await.is_ok() {}
        Instant::now()
    });
    let start = Instant::now();
    assert_eq!(incoming.next().await, Some(Err(LinkError::Gone)));
    assert!(sending.await.unwrap() - start <= 2 * PING_INTERVAL + Duration::from_secs(1));
    drop(raw);
}

#[tokio::test(start_paused = true)]
async fn peers_with_nothing_to_say_stay_linked() {
    let (mut a, mut b) = pair(PING_INTERVAL).await;
    let quiet = async { tokio::join!(a.incoming.next(), b.incoming.next()) };
    assert!(timeout(20 * PING_INTERVAL, quiet).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_lives_gets_everything_between_pings() {
    let (mut a, mut b) = pair(PING_INTERVAL).await;
    let sending = async {
        for number in 0..20 {
            let sent = a.outgoing.send(frame(number, 100 << 10)).await;
            sent.unwrap();
        }
    };
    let reading = async {
        for number in 0..20 {
            sleep(PING_INTERVAL / 2).await;
            let received = b.incoming.next().await.unwrap().unwrap();
            assert_eq!(received, frame(number, 100 << 10));
        }
    };
    tokio::select! {
        _ = async { tokio::join!(sending, reading) } => {}
        ended = a.incoming.next() => panic!("ended: {ended:?}"),
    }
}
