//! One task per service: connects, shares the link among collections, connects again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::CollectionId;
use flexstore_core::link::{Dialer, Link};
use flexstore_core::sync::SessionId;
use flexstore_core::wire::{Message, Violation};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::driver::{Command, Uplink};
use crate::random;

/// Frames that wait to be written to one link.
const FRAMES: usize = 1024;
/// The first wait before connecting again; it doubles with every failure.
const LEAST_WAIT: Duration = Duration::from_millis(100);
/// After how long a link counts as one that held.
const HELD: Duration = Duration::from_secs(1);
/// The longest wait before connecting again.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// The services of a peer.
pub(crate) struct Services {
    dialer: Arc<dyn Dialer>,
    sessions: Arc<AtomicU64>,
    tasks: Mutex<BTreeMap<Arc<str>, mpsc::UnboundedSender<Attach>>>,
}

enum Attach {
    Add(CollectionId, mpsc::WeakSender<Command>),
    Remove(CollectionId),
}

impl Services {
    pub(super) fn new(dialer: Arc<dyn Dialer>, sessions: Arc<AtomicU64>) -> Self {
        Self {
            dialer,
            sessions,
            tasks: Mutex::default(),
        }
    }

    /// Lets a collection sync with a service.
    pub(crate) fn attach(&self, service: &str, id: &CollectionId, inbox: &mpsc::Sender<Command>) {
        let mut attach = Attach::Add(id.clone(), inbox.downgrade());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(service) {
            match task.send(attach) {
                Ok(()) => return,
                Err(back) => attach = back.0,
            }
        }
        let service: Arc<str> = service.into();
        let (sender, attaches) = mpsc::unbounded_channel();
        let _ = sender.send(attach);
        let task = Task {
            service: Arc::clone(&service),
            dialer: Arc::clone(&self.dialer),
            sessions: Arc::clone(&self.sessions),
            attaches,
            collections: BTreeMap::new(),
        };
        tokio::spawn(task.run());
        tasks.insert(service, sender);
    }

    /// Ends all links.
    pub(super) fn close(&self) {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Ends it.
    pub(crate) fn detach(&self, service: &str, id: &CollectionId) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(service) {
            let _ = task.send(Attach::Remove(id.clone()));
        }
    }
}

struct Task {
    service: Arc<str>,
    dialer: Arc<dyn Dialer>,
    sessions: Arc<AtomicU64>,
    attaches: mpsc::UnboundedReceiver<Attach>,
    collections: BTreeMap<CollectionId, mpsc::WeakSender<Command>>,
}

/// The collections that share a link, by channel.
type Channels = BTreeMap<u32, (CollectionId, SessionId, mpsc::WeakSender<Command>)>;

impl Task {
    async fn run(mut self) {
        let mut wait = LEAST_WAIT;
        loop {
            while let Ok(attach) = self.attaches.try_recv() {
                self.note(attach);
            }
            self.collections
                .retain(|_, inbox| inbox.upgrade().is_some());
            if self.collections.is_empty() {
                match self.attaches.recv().await {
                    Some(attach) => self.note(attach),
                    None => return,
                }
                continue;
            }
            match self.dialer.dial(&self.service).await {
                Ok(link) => {
                    let began = Instant::now();
                    self.serve(link).await;
                    // A link that held was not the problem.
                    if began.elapsed() > HELD {
                        wait = LEAST_WAIT;
                    }
                }
                Err(error) => {
                    for inbox in self
                        .collections
                        .values()
                        .filter_map(mpsc::WeakSender::upgrade)
                    {
                        let service = Arc::clone(&self.service);
                        let error = error.clone();
                        let _ = inbox.send(Command::Unreachable { service, error }).await;
                    }
                }
            }
            sleep(jittered(wait)).await;
            wait = (wait * 2).min(MOST_WAIT);
        }
    }

    fn note(&mut self, attach: Attach) {
        match attach {
            Attach::Add(id, inbox) => {
                self.collections.insert(id, inbox);
            }
            Attach::Remove(id) => {
                self.collections.remove(&id);
            }
        }
    }

    async fn serve(&mut self, link: Link) {
        let Link {
            mut incoming,
            outgoing,
            ..
        } = link;
        let hang_up = Arc::new(Notify::new());
        let (frames, queue) = mpsc::channel(FRAMES);
        let writer = tokio::spawn(write(queue, outgoing));
        let mut channels = Channels::new();
        let mut next = 0;
        let ids: Vec<CollectionId> = self.collections.keys().cloned().collect();
        for id in ids {
            self.open(id, &mut next, &mut channels, &frames, &hang_up)
                .await;
        }
        loop {
            tokio::select! {
                frame = incoming.next() => {
                    let Some(Ok(frame)) = frame else { break };
                    if let Err(violation) = route(&frame, &channels).await {
                        tracing::warn!(service = %self.service, %violation, "closing the link");
                        let channel = channels.keys().next().copied().unwrap_or(0);
                        let _ = frames.try_send(Message::Close(violation.reason()).encode(channel));
                        break;
                    }
                }
                attach = self.attaches.recv() => match attach {
                    Some(Attach::Add(id, inbox)) => {
                        self.collections.insert(id.clone(), inbox);
                        self.open(id, &mut next, &mut channels, &frames, &hang_up).await;
                    }
                    Some(Attach::Remove(id)) => {
                        self.collections.remove(&id);
                        // The collection has closed its channel itself.
                        channels.retain(|_, (other, ..)| *other != id);
                        if channels.is_empty() {
                            break;
                        }
                    }
                    None => break,
                },
                () = hang_up.notified() => break,
            }
        }
        for (_, session, inbox) in channels.into_values() {
            down(session, &inbox).await;
        }
        // The writer ends when the last sender is gone, after what it still holds.
        drop(frames);
        let _ = tokio::time::timeout(Duration::from_secs(5), writer).await;
    }

    async fn open(
        &self,
        id: CollectionId,
        next: &mut u32,
        channels: &mut Channels,
        frames: &mpsc::Sender<Bytes>,
        hang_up: &Arc<Notify>,
    ) {
        let Some(weak) = self.collections.get(&id).cloned() else {
            return;
        };
        let Some(inbox) = weak.upgrade() else { return };
        let session = SessionId(self.sessions.fetch_add(1, Ordering::Relaxed));
        let channel = *next;
        *next += 1;
        channels.insert(channel, (id, session, weak));
        let uplink = Uplink {
            service: Arc::clone(&self.service),
            channel,
            frames: frames.clone(),
            hang_up: Arc::clone(hang_up),
        };
        let _ = inbox.send(Command::Up { session, uplink }).await;
    }
}

/// Decodes and verifies a frame, here and not in the collection's own task, and hands it over.
async fn route(frame: &Bytes, channels: &Channels) -> Result<(), Violation> {
    let (channel, message) = Message::decode(frame)?;
    // A channel that was closed here may still hear what was under way.
    let Some((id, session, inbox)) = channels.get(&channel) else {
        return Ok(());
    };
    let message = message.check(id, &mut random::system())?;
    if let Some(inbox) = inbox.upgrade() {
        let _ = inbox
            .send(Command::Received {
                session: *session,
                message,
            })
            .await;
    }
    Ok(())
}

async fn down(session: SessionId, inbox: &mpsc::WeakSender<Command>) {
    if let Some(inbox) = inbox.upgrade() {
        let _ = inbox.send(Command::Down { session }).await;
    }
}

/// Writes frames, several with one flush where several wait.
async fn write(
    mut queue: mpsc::Receiver<Bytes>,
    mut outgoing: std::pin::Pin<
        Box<dyn futures_util::Sink<Bytes, Error = flexstore_core::link::LinkError> + Send>,
    >,
) {
    while let Some(frame) = queue.recv().await {
        if outgoing.feed(frame).await.is_err() {
            return;
        }
        while let Ok(frame) = queue.try_recv() {
            if outgoing.feed(frame).await.is_err() {
                return;
            }
        }
        if outgoing.flush().await.is_err() {
            return;
        }
    }
    let _ = outgoing.close().await;
}

/// Between half and all of a wait, so that many peers do not come back in one moment.
fn jittered(wait: Duration) -> Duration {
    let byte = random::bytes::<1>().map_or(0, |[byte]| byte);
    wait.mul_f64(0.5 + f64::from(byte) / 512.0)
}
