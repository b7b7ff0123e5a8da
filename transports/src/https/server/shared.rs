//! What the requests of one link and its two halves share.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::{FRAME_COST, Over};

/// Pieces of the stream that wait for the reader, each as long as a body at most.
const MAX_PIECES: usize = 2;

pub(super) struct Shared {
    state: Mutex<State>,
    /// Pieces go in one after the other.
    pub(super) pieces: tokio::sync::Mutex<mpsc::Sender<Bytes>>,
    /// Of the stream from the client so much was taken.
    pub(super) taken: watch::Sender<u64>,
    /// Whether the link is over, for those who wait.
    pub(super) over: watch::Sender<bool>,
}

pub(super) struct State {
    /// Frames that the client has not seen, and the number of the first of them.
    pub(super) unseen: VecDeque<Bytes>,
    pub(super) first: u64,
    pub(super) unseen_bytes: usize,
    /// The number of the last frame that went into the stream of events.
    pub(super) sent: u64,
    /// No more frames will come.
    pub(super) closing: bool,
    pub(super) over: Option<Over>,
    /// Which stream of events is the current one.
    pub(super) stream: u64,
    /// Since when there is none.
    pub(super) detached: Option<Instant>,
    /// When the client last gave a sign of life.
    pub(super) heard: Instant,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    pub(super) events: Option<Waker>,
}

impl State {
    /// The number of the last frame that was written.
    pub(super) fn last(&self) -> u64 {
        self.first + self.unseen.len() as u64 - 1
    }

    /// Lets go of the frames up to a number.
    pub(super) fn see(&mut self, number: u64) {
        while self.first <= number.min(self.sent) {
            let Some(frame) = self.unseen.pop_front() else {
                break;
            };
            self.first += 1;
            self.unseen_bytes -= frame.len() + FRAME_COST;
        }
        wake(&mut self.writer);
    }
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Shared {
    pub(super) fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (pieces, receiver) = mpsc::channel(MAX_PIECES);
        let now = Instant::now();
        let state = State {
            unseen: VecDeque::new(),
            first: 1,
            unseen_bytes: 0,
            sent: 0,
            closing: false,
            over: None,
            stream: 0,
            detached: Some(now),
            heard: now,
            reader: None,
            writer: None,
            events: None,
        };
        let shared = Self {
            state: Mutex::new(state),
            pieces: tokio::sync::Mutex::new(pieces),
            taken: watch::Sender::new(0),
            over: watch::Sender::new(false),
        };
        (shared, receiver)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the link; the first reason stands.
    pub(super) fn end(&self, over: Over) {
        let mut state = self.lock();
        state.over.get_or_insert(over);
        self.over.send_replace(true);
        let State {
            reader,
            writer,
            events,
            ..
        } = &mut *state;
        [reader, writer, events].into_iter().for_each(wake);
    }
}
