//! One connection of a JavaScript client: a text channel for each shelf of a collection.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use flexstore_core::dialect::split_frame;
use flexstore_core::link::Link;
use flexstore_core::record::js::Shelf;
use flexstore_core::sync::SessionId;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{Semaphore, mpsc, watch};

use super::Hub;
use super::collection::Event;
use super::originals::texts;

/// Frames of all channels that wait for the connection.
const MAX_WAITING: usize = 4;

struct Channel {
    session: SessionId,
    inbox: mpsc::Sender<Event>,
    /// One message at a time is taken: what it asks for may be much.
    turn: Arc<Semaphore>,
    /// Held by the collection while it serves the channel.
    held: Weak<()>,
}

struct Connection {
    hub: Hub,
    name: Box<str>,
    channels: HashMap<Shelf, Channel>,
    frames: mpsc::Sender<Bytes>,
}

/// Serves a connection until either side ends it or `stopping` is true.
pub(super) async fn serve(link: Link, hub: Hub, mut stopping: watch::Receiver<bool>) {
    let Link {
        mut incoming,
        mut outgoing,
        name,
        ..
    } = link;
    let (frames, mut queue) = mpsc::channel(MAX_WAITING);
    let writer = tokio::spawn(async move {
        while let Some(frame) = queue.recv().await {
            if outgoing.send(frame).await.is_err() {
                return;
            }
        }
        let _ = outgoing.close().await;
    });
    let mut connection = Connection {
        hub,
        name,
        channels: HashMap::new(),
        frames,
    };
    loop {
        let frame = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => break,
            frame = incoming.next() => frame,
        };
        let Some(Ok(frame)) = frame else { break };
        if !connection.take(&frame).await {
            break;
        }
    }
    for channel in connection.channels.into_values() {
        let _ = channel.inbox.send(Event::Leave(channel.session)).await;
    }
    drop(connection.frames);
    if *stopping.borrow() {
        writer.abort();
    }
    let _ = writer.await;
}

impl Connection {
    /// Whether the connection goes on.
    async fn take(&mut self, frame: &Bytes) -> bool {
        let Ok((shelf, text)) = split_frame(frame) else {
            tracing::info!(peer = %self.name, "a JavaScript client opened no channel of ours");
            return false;
        };
        if text.is_empty() {
            if let Some(channel) = self.channels.remove(&shelf) {
                let _ = channel.inbox.send(Event::Leave(channel.session)).await;
            }
            return true;
        }
        if !self.channels.contains_key(&shelf) && !self.open(&shelf).await {
            return false;
        }
        let Some(channel) = self.channels.get(&shelf) else {
            return true;
        };
        let turn = Arc::clone(&channel.turn).acquire_owned().await;
        // Of a channel that was closed here, what was under way may still come.
        if let Ok(turn) = turn
            && channel.held.strong_count() > 0
        {
            let text = Event::Text {
                session: channel.session,
                text: text.to_owned(),
                turn,
            };
            let _ = channel.inbox.send(text).await;
        }
        true
    }

    async fn open(&mut self, shelf: &Shelf) -> bool {
        let joined = self.hub.join(shelf.collection().clone()).await;
        let (session, inbox) = match joined {
            Ok(place) => place,
            Err(reason) => {
                tracing::info!(peer = %self.name, %reason, "a JavaScript client is turned away");
                return false;
            }
        };
        let held = Arc::new(());
        let channel = Channel {
            session,
            inbox: inbox.clone(),
            turn: Arc::new(Semaphore::new(1)),
            held: Arc::downgrade(&held),
        };
        let frames = self.frames.clone();
        let (texts, carry) = texts(shelf.clone(), inbox, frames);
        tokio::spawn(carry);
        let front = Event::Front {
            session,
            shelf: shelf.clone(),
            texts,
            held,
        };
        let opened = channel.inbox.send(front).await.is_ok();
        self.channels.insert(shelf.clone(), channel);
        opened
    }
}
