//! One link, shared by collections.
//!
//! The side that dialled opens a channel for each of its collections. Between two peers the other
//! side may not have a collection yet that it is asked for: it closes the channel, and opens one
//! itself when it has. Channels of the side that dialled have even numbers, the other's odd ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flexstore_core::CollectionId;
use flexstore_core::link::Side;
use flexstore_core::sync::SessionId;
use flexstore_core::wire::{CloseReason, MAX_CHANNELS, Message, Violation};
use tokio::sync::{Notify, mpsc};

use crate::peer::driver::{Command, Uplink};
use crate::random;

type Inbox = mpsc::WeakSender<Command>;

struct Channel {
    id: CollectionId,
    session: SessionId,
    inbox: Inbox,
}

pub(super) struct Line {
    service: Arc<str>,
    sessions: Arc<AtomicU64>,
    side: Side,
    frames: mpsc::Sender<Bytes>,
    channels: BTreeMap<u32, Channel>,
    next: u32,
    /// What the other side wanted and was not here. At most [`MAX_CHANNELS`].
    missed: BTreeSet<CollectionId>,
    /// Tells that a collection wants the link to end.
    pub(super) hang_up: Arc<Notify>,
}

impl Line {
    pub(super) fn new(
        service: &Arc<str>,
        sessions: &Arc<AtomicU64>,
        side: Side,
        frames: mpsc::Sender<Bytes>,
    ) -> Self {
        Self {
            service: Arc::clone(service),
            sessions: Arc::clone(sessions),
            side,
            frames,
            channels: BTreeMap::new(),
            next: u32::from(side == Side::Accepted),
            missed: BTreeSet::new(),
            hang_up: Arc::default(),
        }
    }

    /// Opens a channel for a collection.
    pub(super) async fn open(&mut self, id: &CollectionId, inbox: &Inbox) {
        let channel = self.next;
        self.next += 2;
        self.join(channel, id, inbox, true).await;
    }

    async fn join(&mut self, channel: u32, id: &CollectionId, inbox: &Inbox, opens: bool) -> bool {
        let Some(collection) = inbox.upgrade() else {
            return false;
        };
        let session = SessionId(self.sessions.fetch_add(1, Ordering::Relaxed));
        let entry = Channel {
            id: id.clone(),
            session,
            inbox: inbox.clone(),
        };
        self.channels.insert(channel, entry);
        let uplink = Uplink {
            service: Arc::clone(&self.service),
            channel,
            frames: self.frames.clone(),
            hang_up: Arc::clone(&self.hang_up),
        };
        let up = Command::Up {
            session,
            uplink,
            opens,
        };
        collection.send(up).await.is_ok()
    }

    /// A collection came to the service.
    pub(super) async fn attached(&mut self, id: &CollectionId, inbox: &Inbox) {
        if self.side == Side::Dialled || self.missed.remove(id) {
            self.open(id, inbox).await;
        }
    }

    /// A collection left the service, and has closed its channel itself; whether the link is of no
    /// use to anybody any more.
    pub(super) fn detached(&mut self, id: &CollectionId) -> bool {
        self.channels.retain(|_, channel| channel.id != *id);
        self.side == Side::Dialled && self.channels.is_empty()
    }

    /// Decodes and verifies a frame, here and not in the collection's own task, and hands it over.
    pub(super) async fn route(
        &mut self,
        frame: &Bytes,
        collections: &BTreeMap<CollectionId, Inbox>,
    ) -> Result<(), Violation> {
        let (number, message) = Message::decode(frame)?;
        if let Message::Open { collection, .. } = &message
            && !self.channels.contains_key(&number)
        {
            self.asked(number, collection, collections).await;
        }
        let closes = matches!(message, Message::Close(_));
        // A channel that was closed here may still hear what was under way.
        if let Some(channel) = self.channels.get(&number)
            && let Some(inbox) = channel.inbox.upgrade()
        {
            let session = channel.session;
            let message = message.check(&channel.id, &mut random::system())?;
            let _ = inbox.send(Command::Received { session, message }).await;
        }
        if closes && let Some(channel) = self.channels.remove(&number) {
            channel.down().await;
        }
        Ok(())
    }

    /// The other side opens a channel.
    async fn asked(
        &mut self,
        number: u32,
        id: &CollectionId,
        collections: &BTreeMap<CollectionId, Inbox>,
    ) {
        let room = self.channels.len() < MAX_CHANNELS as usize;
        if room
            && let Some(inbox) = collections.get(id)
            && self.join(number, id, inbox, false).await
        {
            return;
        }
        if self.missed.len() < MAX_CHANNELS as usize {
            self.missed.insert(id.clone());
        }
        let close = Message::Close(CloseReason::Done).encode(number);
        let _ = self.frames.send(close).await;
    }

    /// Says why the link ends.
    pub(super) fn complain(&self, reason: CloseReason) {
        let channel = self.channels.keys().next().copied().unwrap_or(0);
        let _ = self.frames.try_send(Message::Close(reason).encode(channel));
    }

    /// Tells all collections that the link is gone.
    pub(super) async fn down(self) {
        for channel in self.channels.into_values() {
            channel.down().await;
        }
    }
}

impl Channel {
    async fn down(self) {
        if let Some(inbox) = self.inbox.upgrade() {
            let session = self.session;
            let _ = inbox.send(Command::Down { session }).await;
        }
    }
}
