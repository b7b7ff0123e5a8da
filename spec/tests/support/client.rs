//! A client made by hand: one `Replica`, one store, at most one link.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flexstore_core::link::{DialError, Dialer as _, Link, LinkError};
use flexstore_core::record::{Content, Draft};
use flexstore_core::storage::{MemoryStorage, Progress, Storage};
use flexstore_core::sync::{
    Input, Keys, Output, Replica, SessionId, Settings, Ticket, Transfer, Update, Writing, Written,
};
use flexstore_core::wire::{CloseReason, Message};
use flexstore_core::{CollectionId, Digest, Kind, SigningKey, Tag};
use flexstore_transports::Transports;
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The longest that any wait of these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

pub fn collection(name: &str) -> CollectionId {
    CollectionId::new(Kind::Mutable, name).unwrap()
}

pub fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// A signed record as its text.
pub fn record(id: &CollectionId, tag: &str, payload: &str, by: &SigningKey) -> Bytes {
    let draft = Draft::text(id.clone(), Tag::new(tag).unwrap(), payload, now());
    draft.sign(by).unwrap().text().clone()
}

pub struct Client {
    pub id: CollectionId,
    pub replica: Replica,
    pub key: SigningKey,
    pub transports: Transports,
    progress: mpsc::UnboundedReceiver<Progress>,
    link: Option<Connected>,
    sessions: u64,
    pub stored: BTreeSet<Ticket>,
    pub updates: Vec<Update>,
    /// Whether the session is live.
    pub live: bool,
    pub transfer: Transfer,
    /// What was sent on this link, in order, so that a count of acknowledgements names records.
    pub sent: Vec<Digest>,
    /// The reason that the other side gave on the channel.
    pub closed: Option<CloseReason>,
}

struct Connected {
    session: SessionId,
    incoming: Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>,
    outgoing: mpsc::UnboundedSender<Bytes>,
}

impl Client {
    pub fn new(id: &CollectionId, number: u8) -> Self {
        Self::on(Arc::new(MemoryStorage::new()), id, number)
    }

    pub fn on(storage: Arc<dyn Storage>, id: &CollectionId, number: u8) -> Self {
        let (sender, progress) = mpsc::unbounded_channel();
        storage.watch(Box::new(move |progress| {
            let _ = sender.send(progress);
        }));
        let settings = Settings {
            replica: [number; 16],
            ..Settings::default()
        };
        Self {
            id: id.clone(),
            replica: Replica::open(storage, id.clone(), settings).unwrap(),
            key: key(number),
            transports: Transports::new(),
            progress,
            link: None,
            sessions: 0,
            stored: BTreeSet::new(),
            updates: Vec::new(),
            live: false,
            transfer: Transfer::default(),
            sent: Vec::new(),
            closed: None,
        }
    }

    pub async fn connect(&mut self, service: &str) {
        self.try_connect(service).await.unwrap();
    }

    /// Connects to what may be gone.
    pub async fn try_connect(&mut self, service: &str) -> Result<(), DialError> {
        let Link {
            incoming,
            mut outgoing,
            ..
        } = self.transports.dial(service).await?;
        let (sender, mut frames) = mpsc::unbounded_channel::<Bytes>();
        // A task of its own: a client that waits to write must not stop reading.
        tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                let mut next = Some(frame);
                while let Some(frame) = next {
                    if outgoing.feed(frame).await.is_err() {
                        return;
                    }
                    next = frames.try_recv().ok();
                }
                if outgoing.flush().await.is_err() {
                    return;
                }
            }
            let _ = outgoing.close().await;
        });
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.link = Some(Connected {
            session,
            incoming,
            outgoing: sender,
        });
        self.live = false;
        self.closed = None;
        self.transfer = Transfer::default();
        self.sent.clear();
        let opens = true;
        self.replica
            .handle(now(), Input::Connected { session, opens });
        self.drain();
        Ok(())
    }

    pub fn disconnect(&mut self) {
        if let Some(link) = self.link.take() {
            self.replica
                .handle(now(), Input::Disconnected(link.session));
            self.live = false;
            self.drain();
        }
    }

    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    pub fn write(&mut self, tag: &str, payload: &str) -> Written {
        let written = self.put(tag, payload);
        self.drain();
        written
    }

    /// Writes without handing it to the store yet.
    pub fn put(&mut self, tag: &str, payload: &str) -> Written {
        let content = Content::Plain {
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            cty: Some("text/plain".into()),
        };
        let writing = Writing::new(Tag::new(tag).unwrap(), content);
        self.replica
            .write(now(), writing, Keys::Solo(&self.key))
            .unwrap()
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.replica.poll() {
            match output {
                Output::Send { message, .. } => {
                    if let Message::Records(texts) = &message {
                        self.sent.extend(texts.iter().map(|text| Digest::of(text)));
                    }
                    if let Some(link) = &self.link {
                        let _ = link.outgoing.send(message.encode(0));
                    }
                }
                Output::Close { reason, .. } => panic!("the relay misbehaves: {reason}"),
                Output::Update(update) => self.updates.push(update),
                Output::Stored(ticket) => {
                    self.stored.insert(ticket);
                }
                Output::Synchronized { .. } => self.live = true,
                Output::Refused { reason, .. } => panic!("refused: {reason:?}"),
                Output::Progress { transfer, .. } => self.transfer = transfer,
                _ => {}
            }
        }
    }

    /// Waits for one thing to happen.
    pub async fn step(&mut self) {
        let incoming = async {
            match &mut self.link {
                Some(link) => link.incoming.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            progress = self.progress.recv() => {
                let progress = progress.unwrap();
                self.replica.handle(now(), Input::Stored(progress));
            }
            frame = incoming => match frame {
                Some(Ok(frame)) => self.receive(&frame),
                _ => self.disconnect(),
            },
        }
        self.drain();
    }

    fn receive(&mut self, frame: &Bytes) {
        let (_, message) = Message::decode(frame).unwrap();
        if let Message::Close(reason) = message {
            self.closed = Some(reason);
        }
        let message = message
            .check(self.replica.register().id(), &mut UnwrapErr(SysRng))
            .unwrap();
        if let Some(link) = &self.link {
            let session = link.session;
            self.replica
                .handle(now(), Input::Received { session, message });
        }
    }

    /// Goes on until something holds.
    pub async fn until(&mut self, what: &'static str, mut holds: impl FnMut(&Self) -> bool) {
        let steps = async {
            while !holds(self) {
                self.step().await;
            }
        };
        let in_time = timeout(PATIENCE, steps).await.is_ok();
        assert!(in_time, "in vain: {what}; {}", self.state());
    }

    pub fn len(&self) -> usize {
        self.replica.index().len()
    }

    fn state(&self) -> String {
        format!(
            "connected {}, live {}, waiting {}, closed {:?}, {} records, {} stored, {:?}",
            self.is_connected(),
            self.live,
            self.replica.is_waiting(),
            self.closed,
            self.len(),
            self.stored.len(),
            self.transfer
        )
    }

    /// The digests of the set.
    pub fn digests(&self) -> BTreeSet<Digest> {
        let mut digests = BTreeSet::new();
        self.replica
            .register()
            .each(&mut |row| {
                digests.insert(row.stamp.digest);
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        digests
    }

    /// Live, and everything that came is durable here.
    pub fn is_settled(&self) -> bool {
        self.live && !self.replica.is_waiting()
    }

    /// Something was sent, and everything that was is durable at the relay.
    pub fn is_acknowledged(&self) -> bool {
        let Transfer {
            sent,
            acknowledged,
            to_send,
            ..
        } = self.transfer;
        sent > 0 && acknowledged == to_send
    }

    /// Goes on until a write is durable here and at the relay.
    pub async fn until_acknowledged(&mut self, written: &Written) {
        self.until("acknowledged", |client| {
            client.stored.contains(&written.ticket) && client.is_acknowledged()
        })
        .await;
    }

    /// Goes on until a record is durable here.
    pub async fn until_has(&mut self, written: &Written) {
        self.until("pushed", |client| {
            client.replica.index().contains(&written.stamp)
        })
        .await;
    }
}
