//! One task per service: connects, shares the link among collections, connects again.

mod line;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::CollectionId;
use flexstore_core::link::{self, Backoff, DialError, Dialer, Link, Side};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use self::line::Line;
use super::driver::Command;
use crate::random;

/// Frames that wait to be written to one link.
const FRAMES: usize = 1024;
/// How long what waits to be written when a link ends may take.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The services of a peer.
pub(crate) struct Services {
    dialer: Arc<dyn Dialer>,
    sessions: Arc<AtomicU64>,
    tasks: Mutex<BTreeMap<Arc<str>, mpsc::UnboundedSender<Attach>>>,
}

enum Attach {
    Add(CollectionId, mpsc::WeakSender<Command>),
    Remove(CollectionId),
    /// A link that the app made.
    Link(Link),
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
        self.tell(service, Attach::Add(id.clone(), inbox.downgrade()));
    }

    /// Uses a link that the app made.
    pub(super) fn serve(&self, service: &str, link: Link) {
        self.tell(service, Attach::Link(link));
    }

    fn tell(&self, service: &str, mut attach: Attach) {
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
            given: None,
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
    /// The next link, where the app made it.
    given: Option<Link>,
}

/// The peer is closed.
struct Closed;

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        while let Ok(dialled) = self.link().await {
            match dialled {
                Ok(link) => {
                    let began = Instant::now();
                    if self.serve(link).await.is_err() {
                        return;
                    }
                    backoff.held(began.elapsed());
                }
                Err(error) => {
                    let hopeless = error == DialError::UnknownService;
                    self.unreachable(error).await;
                    // Only a link that the app makes will do.
                    if hopeless && self.pause(std::future::pending()).await.is_err() {
                        return;
                    }
                }
            }
            let random = random::bytes::<1>().map_or(0, |[byte]| byte);
            if self.pause(sleep(backoff.wait(random))).await.is_err() {
                return;
            }
        }
    }

    /// A link, once any collection wants one: the app's, or else a new one.
    async fn link(&mut self) -> Result<Result<Link, DialError>, Closed> {
        loop {
            while let Ok(attach) = self.attaches.try_recv() {
                self.note(attach);
            }
            self.collections
                .retain(|_, inbox| inbox.upgrade().is_some());
            if let Some(link) = self.given.take() {
                return Ok(Ok(link));
            }
            if !self.collections.is_empty() {
                break;
            }
            let attach = self.attaches.recv().await.ok_or(Closed)?;
            self.note(attach);
        }
        let mut dialing = self.dialer.dial(&self.service);
        loop {
            tokio::select! {
                dialled = &mut dialing => return Ok(dialled),
                attach = self.attaches.recv() => self.note(attach.ok_or(Closed)?),
            }
            if let Some(link) = self.given.take() {
                return Ok(Ok(link));
            }
        }
    }

    /// Waits, at most until the app gives a link.
    async fn pause(&mut self, over: impl Future<Output = ()>) -> Result<(), Closed> {
        tokio::pin!(over);
        while self.given.is_none() {
            tokio::select! {
                () = &mut over => break,
                attach = self.attaches.recv() => self.note(attach.ok_or(Closed)?),
            }
        }
        Ok(())
    }

    async fn unreachable(&mut self, error: DialError) {
        let inboxes = self.collections.values();
        for inbox in inboxes.filter_map(mpsc::WeakSender::upgrade) {
            let service = Arc::clone(&self.service);
            let error = error.clone();
            let _ = inbox.send(Command::Unreachable { service, error }).await;
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
            Attach::Link(link) => self.given = Some(link),
        }
    }

    async fn serve(&mut self, link: Link) -> Result<(), Closed> {
        let Link {
            mut incoming,
            outgoing,
            side,
            ..
        } = link;
        let (frames, queue) = mpsc::channel(FRAMES);
        let writer = tokio::spawn(write(queue, outgoing));
        let mut line = Line::new(&self.service, &self.sessions, side, frames);
        if side == Side::Dialled {
            for (id, inbox) in &self.collections {
                line.open(id, inbox).await;
            }
        }
        let mut served = Ok(());
        loop {
            tokio::select! {
                frame = incoming.next() => {
                    let Some(Ok(frame)) = frame else { break };
                    if let Err(violation) = line.route(&frame, &self.collections).await {
                        let service = link::shown(&self.service);
                        tracing::warn!(service, %violation, "closing the link");
                        line.complain(violation.reason());
                        break;
                    }
                }
                attach = self.attaches.recv() => match attach {
                    Some(Attach::Add(id, inbox)) => {
                        line.attached(&id, &inbox).await;
                        self.collections.insert(id, inbox);
                    }
                    Some(Attach::Remove(id)) => {
                        self.collections.remove(&id);
                        if line.detached(&id) {
                            break;
                        }
                    }
                    // Who makes a new link has given the old one up.
                    Some(Attach::Link(link)) => {
                        self.given = Some(link);
                        break;
                    }
                    None => {
                        served = Err(Closed);
                        break;
                    }
                },
                () = line.hang_up.notified() => break,
            }
        }
        line.down().await;
        // The writer ends when the last sender is gone, after what it still holds.
        let _ = tokio::time::timeout(LAST_WORDS, writer).await;
        served
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
