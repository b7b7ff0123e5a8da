//! What waits to be written to one link, and how the link is ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::LinkError;
use flexstore_core::wire::{CloseReason, Message};
use futures_util::SinkExt as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

/// The most frames that wait for a link; a peer that lets more gather is closed as too slow.
pub(super) const MAX_QUEUED_FRAMES: usize = 1 << 15;
/// The most bytes that wait for a link, as above. A session alone stays under 1 MiB by its window.
pub(super) const MAX_QUEUED_BYTES: usize = 16 << 20;
/// While more than this waits for a peer, nothing more is taken from it: it has to read before it
/// asks for more. A peer with one channel never gets here.
const HIGH_BYTES: usize = 1 << 20;
const HIGH_FRAMES: usize = MAX_QUEUED_FRAMES / 4;
/// What a queued frame costs beside its bytes.
const FRAME_COST: usize = 64;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) type Outgoing =
    std::pin::Pin<Box<dyn futures_util::Sink<Bytes, Error = LinkError> + Send>>;

/// Why a link is ended, and the channel on which that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) channel: u32,
    pub(super) reason: CloseReason,
}

/// The way to one peer, for every task that has something for it. Never waits.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Bytes>,
    load: Arc<Load>,
    ending: Arc<watch::Sender<Option<Ending>>>,
}

#[derive(Default)]
struct Load {
    bytes: AtomicUsize,
    frames: AtomicUsize,
    eased: Notify,
}

impl Load {
    fn is_high(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > HIGH_BYTES
            || self.frames.load(Ordering::Relaxed) > HIGH_FRAMES
    }
}

impl Outbox {
    pub(super) fn send(&self, channel: u32, message: &Message) {
        let frame = message.encode(channel);
        let cost = frame.len() + FRAME_COST;
        let bytes = self.load.bytes.fetch_add(cost, Ordering::Relaxed) + cost;
        self.load.frames.fetch_add(1, Ordering::Relaxed);
        if bytes > MAX_QUEUED_BYTES || self.queue.try_send(frame).is_err() {
            self.end(channel, CloseReason::TooSlow);
        }
    }

    /// Ends the link; the first reason stands.
    pub(super) fn end(&self, channel: u32, reason: CloseReason) {
        self.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            ending.get_or_insert(Ending { channel, reason });
            first
        });
    }

    /// Waits until the link is ended.
    pub(super) async fn ended(&self) {
        let mut ending = self.ending.subscribe();
        // The sender is in `self`, so it cannot be gone.
        let _ = ending.wait_for(Option::is_some).await;
    }

    /// Waits until the peer has read enough of what it asked for to ask for more.
    pub(super) async fn eased(&self) {
        while self.load.is_high() {
            self.load.eased.notified().await;
        }
    }
}

/// Makes the outbox of a link and what empties it, until the link is ended, broken, or no outbox
/// is left. Nothing of a frame written within `stall` means that the peer is too slow.
pub(super) fn open(
    mut outgoing: Outgoing,
    stall: Duration,
) -> (Outbox, impl Future<Output = Option<Ending>>) {
    let (queue, mut frames) = mpsc::channel::<Bytes>(MAX_QUEUED_FRAMES);
    let load = Arc::new(Load::default());
    let (sender, mut ending) = watch::channel(None);
    let outbox = Outbox {
        queue,
        load: Arc::clone(&load),
        ending: Arc::new(sender),
    };
    let write = async move {
        let ended = tokio::select! {
            biased;
            ended = ending.wait_for(Option::is_some) => ended.ok().and_then(|ending| *ending),
            ended = empty(&mut outgoing, &mut frames, &load, stall) => ended,
        };
        // Ended, and the last outbox gone, while a frame was being written: there is a last word.
        let ended = ended.or(*ending.borrow());
        // Whoever waits for the peer to read need not wait any more.
        load.bytes.store(0, Ordering::Relaxed);
        load.frames.store(0, Ordering::Relaxed);
        load.eased.notify_waiters();
        load.eased.notify_one();
        drop(frames);
        let _ = timeout(FAREWELL, farewell(&mut outgoing, ended)).await;
        ended
    };
    (outbox, write)
}

async fn empty(
    outgoing: &mut Outgoing,
    frames: &mut mpsc::Receiver<Bytes>,
    load: &Load,
    stall: Duration,
) -> Option<Ending> {
    let too_slow = Some(Ending {
        channel: 0,
        reason: CloseReason::TooSlow,
    });
    while let Some(first) = frames.recv().await {
        let mut next = Some(first);
        while let Some(frame) = next {
            let cost = frame.len() + FRAME_COST;
            match timeout(stall, outgoing.feed(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return too_slow,
            }
            load.bytes.fetch_sub(cost, Ordering::Relaxed);
            load.frames.fetch_sub(1, Ordering::Relaxed);
            if !load.is_high() {
                load.eased.notify_one();
            }
            next = frames.try_recv().ok();
        }
        match timeout(stall, outgoing.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return too_slow,
        }
    }
    None
}

async fn farewell(outgoing: &mut Outgoing, ending: Option<Ending>) {
    if let Some(Ending { channel, reason }) = ending {
        let _ = outgoing.feed(Message::Close(reason).encode(channel)).await;
    }
    let _ = outgoing.close().await;
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::sink;

    use super::*;

    #[tokio::test]
    async fn the_last_word_is_said_also_when_all_ends_during_a_write() {
        let held: Arc<Mutex<Option<Outbox>>> = Arc::default();
        let written: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let (holder, log) = (Arc::clone(&held), Arc::clone(&written));
        let outgoing: Outgoing = Box::pin(sink::unfold((), move |(), frame: Bytes| {
            log.lock().unwrap().push(frame);
            // As if by other threads, between the writer's look at the ending and its next.
            if let Some(outbox) = holder.lock().unwrap().take() {
                outbox.end(0, CloseReason::BadRecord);
            }
            std::future::ready(Ok(()))
        }));
        let (outbox, write) = open(outgoing, Duration::from_secs(5));
        outbox.send(0, &Message::Acknowledge(1));
        *held.lock().unwrap() = Some(outbox);
        let ended = write.await;
        assert_eq!(
            ended.map(|ending| ending.reason),
            Some(CloseReason::BadRecord)
        );
        let close = Message::Close(CloseReason::BadRecord).encode(0);
        assert_eq!(written.lock().unwrap().last(), Some(&close));
    }
}
