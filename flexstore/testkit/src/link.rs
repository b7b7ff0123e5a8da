//! The suite that every link passes, whatever carries it, and a link that memory carries.
//!
//! [`link_conformance`] wants a new, connected pair at each call of `make`: the end that dialled,
//! then the end that accepted. It panics where a link does not behave.
#![allow(clippy::expect_used, reason = "a suite fails by panicking")]
#![allow(clippy::panic, reason = "a suite fails by panicking")]

mod memory;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError, MAX_FRAME_BYTES, Side};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};

pub use self::memory::memory;

/// The longest that any wait of the suite may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// After how long without a frame taken a writer is held to wait.
const STANDSTILL: Duration = Duration::from_secs(2);
/// What links and the system under them may hold of what nobody reads.
const MOST_HELD: usize = 24 << 20;
/// Lengths at which encodings change, up to the greatest.
const LENGTHS: [usize; 14] = [
    0,
    1,
    2,
    125,
    126,
    127,
    16 << 10,
    (16 << 10) + 1,
    (1 << 16) - 1,
    1 << 16,
    (1 << 16) + 1,
    1 << 20,
    MAX_FRAME_BYTES - 1,
    MAX_FRAME_BYTES,
];

/// Runs all of it.
pub async fn link_conformance<F>(make: impl Fn() -> F)
where
    F: Future<Output = (Link, Link)>,
{
    tells_its_side(make().await);
    carries_every_length(make().await).await;
    refuses_what_is_too_long(make().await).await;
    carries_many_small_frames(make().await).await;
    let (dialled, accepted) = make().await;
    makes_the_writer_wait(dialled, accepted).await;
    let (dialled, accepted) = make().await;
    makes_the_writer_wait(accepted, dialled).await;
    let (dialled, accepted) = make().await;
    delivers_before_it_closes(dialled, accepted).await;
    let (dialled, accepted) = make().await;
    delivers_before_it_closes(accepted, dialled).await;
    let (dialled, accepted) = make().await;
    ends_when_it_is_dropped(dialled, accepted).await;
    let (dialled, accepted) = make().await;
    ends_when_it_is_dropped(accepted, dialled).await;
}

/// Each end knows which it is, both what the frames are, and neither is without a name.
pub fn tells_its_side((dialled, accepted): (Link, Link)) {
    assert_eq!(dialled.side, Side::Dialled);
    assert_eq!(accepted.side, Side::Accepted);
    assert_eq!(dialled.protocol, accepted.protocol);
    assert!(!dialled.name.is_empty() && !accepted.name.is_empty());
}

/// Frames of every length come whole and in order, both ways at once.
pub async fn carries_every_length((mut dialled, mut accepted): (Link, Link)) {
    let frames: Vec<Bytes> = LENGTHS
        .into_iter()
        .zip(0..)
        .map(|(length, number)| patterned(number, length))
        .collect();
    soon("every length", async {
        tokio::join!(
            exchange(&mut dialled, &frames),
            exchange(&mut accepted, &frames)
        )
    })
    .await;
}

/// A frame that is too long is refused at once, and the link goes on.
pub async fn refuses_what_is_too_long((mut dialled, mut accepted): (Link, Link)) {
    soon("one past the greatest length", async {
        for _ in 0..2 {
            let long = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
            assert_eq!(dialled.outgoing.feed(long).await, Err(LinkError::TooLong));
            let frame = patterned(7, 100);
            dialled.outgoing.send(frame.clone()).await.expect("sent");
            assert_eq!(accepted.incoming.next().await, Some(Ok(frame)));
            std::mem::swap(&mut dialled, &mut accepted);
        }
    })
    .await;
}

/// Thousands of frames, some flushed together, both ways at once.
pub async fn carries_many_small_frames((mut dialled, mut accepted): (Link, Link)) {
    let frames: Vec<Bytes> = (0..20_000)
        .map(|number| patterned(number, number * 7919 % 200))
        .collect();
    soon("many small frames", async {
        tokio::join!(
            exchange(&mut dialled, &frames),
            exchange(&mut accepted, &frames)
        )
    })
    .await;
}

/// Who writes to somebody that does not read has to wait; all comes when it is read.
pub async fn makes_the_writer_wait(mut writer: Link, mut reader: Link) {
    let length = 64 << 10;
    let most = 2 * MOST_HELD / length;
    let mut written = 0;
    while written < most {
        let frame = patterned(written, length);
        match timeout(STANDSTILL, writer.outgoing.send(frame)).await {
            Ok(sent) => sent.expect("nobody closed"),
            Err(_) => break,
        }
        written += 1;
    }
    let held = written * length;
    assert!(held < MOST_HELD, "{} MiB wait for nobody", held >> 20);
    // A frame whose sending was cut short may be on its way, or not.
    let mut read = 0;
    while read < written {
        let next = soon("what waited", reader.incoming.next()).await;
        let frame = next.expect("not closed").expect("a frame");
        assert_eq!(frame, patterned(read, length));
        read += 1;
    }
    let last = patterned(usize::MAX, 10);
    soon("room again", async {
        writer.outgoing.send(last.clone()).await.expect("sent");
        loop {
            let frame = reader.incoming.next().await;
            let frame = frame.expect("not closed").expect("a frame");
            if frame == last {
                break;
            }
            assert_eq!(frame, patterned(written, length), "the one cut short");
        }
    })
    .await;
}

/// What was written before closing arrives, then the end; and both ends are told.
pub async fn delivers_before_it_closes(mut closer: Link, mut other: Link) {
    let frames: Vec<Bytes> = (0..200).map(|number| patterned(number, 1000)).collect();
    let close = async {
        for frame in &frames {
            let fed = closer.outgoing.feed(frame.clone()).await;
            fed.expect("nobody closed");
        }
        assert_eq!(closer.outgoing.close().await, Ok(()));
        closer
            .outgoing
            .send(patterned(0, 1))
            .await
            .expect_err("closed");
        while let Some(Ok(_)) = closer.incoming.next().await {}
    };
    let read = async {
        for frame in &frames {
            assert_eq!(other.incoming.next().await, Some(Ok(frame.clone())));
        }
        assert_eq!(other.incoming.next().await, None);
        until_refused(&mut other).await;
    };
    soon("closing", async { tokio::join!(close, read) }).await;
}

/// An end that is dropped is missed by the other.
pub async fn ends_when_it_is_dropped(mut dropped: Link, mut other: Link) {
    soon("dropping", async {
        dropped.outgoing.send(patterned(1, 10)).await.expect("sent");
        assert_eq!(other.incoming.next().await, Some(Ok(patterned(1, 10))));
        drop(dropped);
        while let Some(Ok(_)) = other.incoming.next().await {}
        until_refused(&mut other).await;
    })
    .await;
}

/// Writes until that is an error.
async fn until_refused(link: &mut Link) {
    while link.outgoing.send(patterned(2, 10)).await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Writes frames, some flushed together, and demands the same from the other side.
async fn exchange(link: &mut Link, frames: &[Bytes]) {
    let send = async {
        for (number, frame) in frames.iter().enumerate() {
            let fed = link.outgoing.feed(frame.clone()).await;
            fed.expect("nobody closed");
            if number % 10 == 0 {
                link.outgoing.flush().await.expect("nobody closed");
            }
        }
        link.outgoing.flush().await.expect("nobody closed");
    };
    let receive = async {
        for (number, frame) in frames.iter().enumerate() {
            let next = link.incoming.next().await.expect("not closed");
            assert!(next.as_ref() == Ok(frame), "frame {number} is another");
        }
    };
    tokio::join!(send, receive);
}

/// Bytes that tell which frame they are, as far as there is room.
fn patterned(number: usize, length: usize) -> Bytes {
    let mut bytes = vec![number as u8; length];
    for (byte, of_number) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *byte = of_number;
    }
    bytes.into()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("in vain: {what}"))
}

#[cfg(test)]
mod tests;
