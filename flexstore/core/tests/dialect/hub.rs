//! A relay's replica and its front, originals and native peers, on a clock of the test's.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flexstore_core::dialect::{
    Compared, Ended, Front, Message, Page, Role, Session, Shelves, Taken, VERSIONS_DELAY_MS,
};
use flexstore_core::record::js;
use flexstore_core::storage::{MemoryStorage, Progress, Sequence, StorageError};
use flexstore_core::sync::{Input, Origin, Output, Replica, SessionId, Settings};
use flexstore_core::{CollectionId, Digest, Signed, SigningKey, Tag, Verified};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::support::key;

pub(crate) const START: u64 = 1_700_000_000_000;

/// One shelf of an original, by its rules as far as they matter here: a mutable item gives way to
/// a later one, anything else to whatever comes; what is deleted is gone.
pub(crate) struct Original {
    shelf: js::Shelf,
    pub(crate) texts: BTreeMap<Tag, Bytes>,
    /// Where the test merges roots: those that came.
    pub(crate) incoming: Option<Vec<Bytes>>,
}

impl Original {
    /// Time, and whether it deletes: the original reads native records as its own.
    fn read(&self, tag: &Tag, text: &Bytes) -> (u64, bool) {
        let record: Verified = match js::Signed::parse(text.clone(), &self.shelf, Some(tag)) {
            Ok(signed) => signed.verify().unwrap().into(),
            Err(_) => Signed::parse(text.clone()).unwrap().verify().unwrap(),
        };
        (record.header().iat, record.is_tombstone())
    }
}

impl Shelves for Original {
    fn page(&mut self, after: Option<&Tag>, most: usize) -> Result<Page, StorageError> {
        let later = self
            .texts
            .iter()
            .filter(|(tag, _)| after.is_none_or(|after| *tag > after));
        let shown = later
            .take(most)
            .map(|(tag, text)| (tag.clone(), Digest::of(text)));
        let shown: Vec<_> = shown.collect();
        let next = shown
            .last()
            .map(|(tag, _)| tag.clone())
            .filter(|_| shown.len() == most);
        Ok(Page { shown, next })
    }

    fn shown(&mut self, tag: &Tag) -> Result<Option<Bytes>, StorageError> {
        Ok(self.texts.get(tag).cloned())
    }

    fn tombstones(&mut self, _: &Tag) -> Result<Vec<Bytes>, StorageError> {
        Ok(Vec::new())
    }

    fn compare(&mut self, tag: &Tag, hash: &Digest) -> Result<Compared, StorageError> {
        let equal = self
            .texts
            .get(tag)
            .is_some_and(|text| Digest::of(text) == *hash);
        Ok(if equal {
            Compared::Known
        } else {
            Compared::Unknown
        })
    }

    fn take(&mut self, tag: &Tag, text: Bytes) -> Result<Taken, StorageError> {
        let (iat, deletes) = self.read(tag, &text);
        if deletes {
            self.texts.remove(tag);
            return Ok(Taken::Done);
        }
        let mutable = self.shelf.to_string().starts_with("Mutable");
        if let Some(incoming) = &mut self.incoming {
            incoming.push(text);
            return Ok(Taken::Done);
        }
        let there = self.texts.get(tag);
        let stays = there.is_some_and(|there| mutable && self.read(tag, there).0 > iat);
        if !stays {
            self.texts.insert(tag.clone(), text);
        }
        Ok(Taken::Done)
    }
}

/// A channel of a client.
pub(crate) struct Client {
    pub(crate) id: SessionId,
    pub(crate) store: Original,
    session: Option<Session>,
    /// All that the client was sent since it connected.
    pub(crate) heard: Vec<Message>,
    /// All that it sent.
    pub(crate) said: Vec<Message>,
}

pub(crate) struct Hub {
    pub(crate) now: u64,
    pub(crate) replica: Replica,
    pub(crate) front: Front,
    storage: Arc<MemoryStorage>,
    pub(crate) clients: Vec<Client>,
    /// Another relay, or a native client.
    pub(crate) peer: Option<Replica>,
    pub(crate) ended: Vec<(SessionId, Ended)>,
    signer: SigningKey,
}

const NATIVE: SessionId = SessionId(1000);

impl Hub {
    pub(crate) fn new(id: &CollectionId) -> Self {
        let storage = Arc::new(MemoryStorage::new());
        Self {
            now: START,
            replica: open(&storage, id),
            front: Front::new(Some(key(99))),
            storage,
            clients: Vec::new(),
            peer: None,
            ended: Vec::new(),
            signer: key(99),
        }
    }

    /// As after the process was started anew: what is not on disk is gone.
    pub(crate) fn restart(&mut self) {
        let id = self.replica.register().id().clone();
        self.replica = open(&self.storage, &id);
        self.front = Front::new(Some(self.signer.clone()));
        for client in &mut self.clients {
            client.session = None;
        }
        self.peer = None;
    }

    pub(crate) fn client(&mut self, label: &str) -> usize {
        let shelf = js::Shelf::parse(label).unwrap();
        let store = Original {
            shelf,
            texts: BTreeMap::new(),
            incoming: None,
        };
        let id = SessionId(0);
        let client = Client {
            id,
            store,
            session: None,
            heard: Vec::new(),
            said: Vec::new(),
        };
        self.clients.push(client);
        let at = self.clients.len() - 1;
        self.connect(at);
        at
    }

    pub(crate) fn connect(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.id = SessionId(client.id.0 + 1 + 100 * at as u64 * u64::from(client.id.0 == 0));
        client.session = Some(Session::new(Role::Active, self.now));
        client.heard.clear();
        client.said.clear();
        let shelf = client.store.shelf.clone();
        self.front.open(self.now, client.id, shelf, Role::Passive);
        self.now += VERSIONS_DELAY_MS;
        self.run();
    }

    pub(crate) fn disconnect(&mut self, at: usize) {
        self.front.close(self.clients[at].id);
        self.clients[at].session = None;
    }

    /// A native peer opens a session with the relay.
    pub(crate) fn native(&mut self) {
        let id = self.replica.register().id().clone();
        let mut peer = open(&Arc::new(MemoryStorage::new()), &id);
        let (session, now) = (NATIVE, self.now);
        self.replica.handle(
            now,
            Input::Connected {
                session,
                opens: false,
            },
        );
        peer.handle(
            now,
            Input::Connected {
                session,
                opens: true,
            },
        );
        self.peer = Some(peer);
        self.run();
    }

    pub(crate) fn peer_writes(&mut self, record: impl Into<Verified>) {
        let (record, now) = (record.into(), self.now);
        let peer = self.peer.as_mut().unwrap();
        peer.offer(now, &record, Origin::Written).unwrap();
        self.run();
    }

    /// A client stores an item and tells the relay live.
    pub(crate) fn puts(&mut self, at: usize, record: &js::Verified) {
        self.put_text(at, &record.stands(), record.text().clone());
    }

    pub(crate) fn put_text(&mut self, at: usize, tag: &Tag, text: Bytes) {
        let client = &mut self.clients[at];
        client.store.texts.insert(tag.clone(), text);
        if let Some(session) = &mut client.session {
            session.changed(self.now, tag).unwrap();
        }
        self.run();
    }

    /// A client deletes an item, and tells the relay live if it is connected.
    pub(crate) fn deletes(&mut self, at: usize, tombstone: &js::Verified) {
        let tag = tombstone.stands();
        self.clients[at].store.texts.remove(&tag);
        let record = tombstone.text().clone();
        self.say(at, Message::Delete { tag, record });
        self.run();
    }

    pub(crate) fn say(&mut self, at: usize, message: Message) {
        let id = self.clients[at].id;
        self.front
            .receive(self.now, id, &message.write(), &mut self.replica);
        self.clients[at].said.push(message);
    }

    /// Passes whatever is to be passed until all is still.
    pub(crate) fn run(&mut self) {
        for _ in 0..10_000 {
            let mut moved = self.settle();
            for at in 0..self.clients.len() {
                moved |= self.exchange(at);
            }
            while let Some(ended) = self.front.poll_ended() {
                self.ended.push(ended);
            }
            if !moved {
                return;
            }
        }
        panic!("they never end");
    }

    /// Lets time pass, with what is due in it.
    pub(crate) fn wait(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(at) = self.front.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.front.handle_timeout(self.now);
            self.run();
        }
        self.now = until;
    }

    fn exchange(&mut self, at: usize) -> bool {
        let (now, client) = (self.now, &mut self.clients[at]);
        let Some(session) = &mut client.session else {
            return false;
        };
        let to = self.front.poll(now, client.id, &mut self.replica);
        if let Some(frame) = &to {
            session.handle(now, frame, &mut client.store).unwrap();
            client.heard.push(Message::parse(frame).unwrap());
        }
        let from = session.poll(now, &mut client.store).unwrap();
        if let Some(frame) = &from {
            self.front.receive(now, client.id, frame, &mut self.replica);
            client.said.push(Message::parse(frame).unwrap());
        }
        to.is_some() || from.is_some()
    }

    /// Both replicas put out what they have to.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let id = self.replica.register().id().clone();
        loop {
            let mut outputs = Vec::new();
            while let Some(output) = self.replica.poll() {
                self.front.observe(self.now, &output);
                outputs.push((true, output));
            }
            if let Some(peer) = &mut self.peer {
                outputs.extend(std::iter::from_fn(|| peer.poll()).map(|output| (false, output)));
            }
            if outputs.is_empty() {
                return moved;
            }
            moved = true;
            for (from_hub, output) in outputs {
                if let Output::Send { session, message } = output {
                    let message = message.check(&id, &mut random).unwrap();
                    let to = if from_hub {
                        self.peer.as_mut().unwrap()
                    } else {
                        &mut self.replica
                    };
                    to.handle(self.now, Input::Received { session, message });
                }
            }
        }
    }

    pub(crate) fn text(&self, at: usize, tag: &Tag) -> Option<&Bytes> {
        self.clients[at].store.texts.get(tag)
    }
}

fn open(storage: &Arc<MemoryStorage>, id: &CollectionId) -> Replica {
    let storage = Arc::clone(storage);
    let mut replica = Replica::open(storage, id.clone(), Settings::default()).unwrap();
    // All is durable at once.
    replica.handle(START, Input::Stored(Progress::Durable(Sequence(u64::MAX))));
    replica
}
