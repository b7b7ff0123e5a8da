//! The JavaScript clients of one collection: a channel for each, and the front that serves them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flexstore_core::dialect::{Front, Role, join_frame, relay_key};
use flexstore_core::record::js::{ENCRYPTION_KEY, Shelf};
use flexstore_core::storage::StorageError;
use flexstore_core::sync::{Origin, Output, Replica, SessionId};
use flexstore_core::{Profile, SigningKey};
use tokio::sync::mpsc::{self, Permit};
use tokio::sync::{OwnedSemaphorePermit, mpsc::error::TrySendError};

use super::collection::Event;
use super::identity;

/// Frames that wait for one channel; more are not made before there is room.
const MAX_WAITING: usize = 16;

/// The way of frames to one channel.
pub(super) struct Texts {
    queue: mpsc::Sender<Bytes>,
    /// The front has more than there was room for.
    starved: Arc<AtomicBool>,
}

impl Texts {
    fn room(&self) -> Option<Permit<'_, Bytes>> {
        match self.queue.try_reserve() {
            Ok(permit) => Some(permit),
            Err(TrySendError::Closed(())) => None,
            Err(TrySendError::Full(())) => {
                self.starved.store(true, Ordering::Release);
                // There may be room since, and nobody left to tell of it.
                self.queue.try_reserve().ok()
            }
        }
    }
}

/// The way of frames to a channel, and what carries them on to the connection: until the front has
/// done with the channel, or the connection is gone.
pub(super) fn texts(
    shelf: Shelf,
    inbox: mpsc::Sender<Event>,
    connection: mpsc::Sender<Bytes>,
) -> (Texts, impl Future<Output = ()>) {
    let (queue, mut frames) = mpsc::channel::<Bytes>(MAX_WAITING);
    let starved = Arc::new(AtomicBool::new(false));
    let texts = Texts {
        queue,
        starved: Arc::clone(&starved),
    };
    let carry = async move {
        while let Some(frame) = frames.recv().await {
            if connection.send(frame).await.is_err() {
                return;
            }
            if frames.len() <= MAX_WAITING / 2 && starved.swap(false, Ordering::AcqRel) {
                let _ = inbox.send(Event::Room).await;
            }
        }
        // Without a text: the channel is closed.
        let _ = connection.send(join_frame(&shelf, "")).await;
    };
    (texts, carry)
}

/// In the collection of keys, lets JavaScript clients know the one that signs here: without its
/// record they take no list of versions from this relay.
pub(super) fn introduce(
    replica: &mut Replica,
    signer: &SigningKey,
    now: u64,
) -> Result<(), StorageError> {
    let register = replica.register();
    let keys =
        Shelf::credential(ENCRYPTION_KEY).is_ok_and(|keys| keys.collection() == register.id());
    let tag = signer.tag();
    if !keys || !register.group(&tag.tag(), &tag)?.is_empty() {
        return Ok(());
    }
    // No reader refuses what it makes; a store that takes nothing is heard of soon enough.
    if let Ok(key) = relay_key(signer, &identity::random()?, now) {
        let _ = replica.offer(now, &key.into(), Origin::Written);
    }
    Ok(())
}

struct Channel {
    shelf: Shelf,
    texts: Texts,
    /// Held until more may be read from the client.
    turn: Option<OwnedSemaphorePermit>,
    _held: Arc<()>,
}

/// The front of a collection and its channels.
pub(super) struct Originals {
    front: Front,
    channels: BTreeMap<SessionId, Channel>,
}

impl Originals {
    /// `None` for a collection that JavaScript clients have no part in.
    pub(super) fn of(profile: Profile, signer: &SigningKey) -> Option<Self> {
        (profile == Profile::JavaScript).then(|| Self {
            front: Front::new(Some(signer.clone())),
            channels: BTreeMap::new(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    pub(super) fn open(
        &mut self,
        now: u64,
        session: SessionId,
        shelf: Shelf,
        texts: Texts,
        held: Arc<()>,
    ) {
        self.front.open(now, session, shelf.clone(), Role::Passive);
        let channel = Channel {
            shelf,
            texts,
            turn: None,
            _held: held,
        };
        self.channels.insert(session, channel);
    }

    pub(super) fn receive(
        &mut self,
        now: u64,
        session: SessionId,
        text: &str,
        turn: OwnedSemaphorePermit,
        replica: &mut Replica,
    ) {
        // Of a channel that was closed, what was under way may still come.
        if let Some(channel) = self.channels.get_mut(&session) {
            channel.turn = Some(turn);
            self.front.receive(now, session, text, replica);
        }
    }

    pub(super) fn close(&mut self, session: SessionId) -> bool {
        self.front.close(session);
        self.channels.remove(&session).is_some()
    }

    pub(super) fn observe(&mut self, now: u64, output: &Output) {
        self.front.observe(now, output);
    }

    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.front.next_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: u64) {
        self.front.handle_timeout(now);
    }

    /// Sends what there is and there is room for; whether there was anything.
    pub(super) fn pump(&mut self, now: u64, replica: &mut Replica) -> bool {
        let mut sent = false;
        for (session, channel) in &mut self.channels {
            while let Some(room) = channel.texts.room() {
                let Some(text) = self.front.poll(now, *session, replica) else {
                    break;
                };
                room.send(join_frame(&channel.shelf, &text));
                sent = true;
            }
            if self.front.is_ready(*session) {
                channel.turn = None;
            }
        }
        while let Some((session, ended)) = self.front.poll_ended() {
            tracing::info!(%ended, "closed a JavaScript channel");
            self.channels.remove(&session);
        }
        sent
    }
}
