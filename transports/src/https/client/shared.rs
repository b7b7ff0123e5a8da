//! What the two halves of a link and its two tasks share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::BytesMut;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, Url};
use tokio::sync::{Notify, watch};

use super::super::{LINK_HEADER, Over};

pub(super) struct Shared {
    http: reqwest::Client,
    url: Url,
    id: HeaderValue,
    up: Mutex<Up>,
    /// There is something to send, or to say.
    pub(super) poke: Notify,
    pub(super) over: watch::Sender<Option<Over>>,
}

/// What goes to the server.
pub(super) struct Up {
    /// Frames, each after its length, that are in no request yet.
    pub(super) buffer: BytesMut,
    /// No more will come.
    pub(super) closed: bool,
    /// The server takes no more.
    pub(super) refused: bool,
    pub(super) writer: Option<Waker>,
    /// The number of the last frame that was read, and what those cost that the server does not
    /// know to be read.
    pub(super) seen: u64,
    pub(super) unsaid: usize,
}

impl Shared {
    pub(super) fn new(http: reqwest::Client, url: Url, id: HeaderValue) -> Self {
        let up = Up {
            buffer: BytesMut::new(),
            closed: false,
            refused: false,
            writer: None,
            seen: 0,
            unsaid: 0,
        };
        Self {
            http,
            url,
            id,
            up: Mutex::new(up),
            poke: Notify::new(),
            over: watch::Sender::new(None),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Up> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn request(&self, method: Method) -> RequestBuilder {
        self.http
            .request(method, self.url.clone())
            .header(LINK_HEADER, self.id.clone())
    }

    /// Ends the link; the first reason stands.
    pub(super) fn end(&self, over: Over) {
        self.over.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(over);
            first
        });
        if let Some(writer) = self.lock().writer.take() {
            writer.wake();
        }
        self.poke.notify_one();
    }

    /// Why the link is over, if it is.
    pub(super) fn why_over(&self) -> Option<Over> {
        self.over.borrow().clone()
    }

    /// Waits until the link is over.
    pub(super) async fn until_over(&self) {
        // The sender is in `self`, so it cannot be gone.
        let _ = self.over.subscribe().wait_for(Option::is_some).await;
    }
}
