//! A listener between two who speak the native protocol over WebSocket: forwards every frame as it
//! is, and counts the records in them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flexstore_core::Digest;
use flexstore_core::wire::Message;
use flexstore_transports::websocket;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    There,
    Back,
}

#[derive(Default)]
pub struct Seen {
    /// How often each record crossed, by connection and way.
    pub crossings: BTreeMap<(usize, Way, Digest), u32>,
    /// Bytes of all frames.
    pub bytes: usize,
    connections: usize,
}

/// Cut when dropped.
pub struct Tap {
    /// Where to dial instead.
    pub service: String,
    pub seen: Arc<Mutex<Seen>>,
    target: watch::Sender<Option<String>>,
}

impl Tap {
    /// Before whoever is named by [`Tap::target`]; until then it takes no connection.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("ws://{}/flexstore", listener.local_addr().unwrap());
        let (target, mut follow) = watch::channel(None::<String>);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let counts = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok(Ok((stream, _))) = tokio::select! {
                accepted = listener.accept() => Ok(accepted),
                gone = async { while follow.changed().await.is_ok() {} } => Err(gone),
            } {
                let Some(target) = follow.borrow().clone() else {
                    continue;
                };
                let mut cut = follow.clone();
                cut.mark_unchanged();
                let counts = Arc::clone(&counts);
                tokio::spawn(async move {
                    tokio::select! {
                        () = forward(stream, &target, &counts) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            service,
            seen,
            target,
        }
    }

    /// Forwards to a service from now on; every connection there is is cut.
    pub fn target(&self, service: Option<String>) {
        self.target.send_replace(service);
    }

    /// The most often that a record crossed on one connection in one way, and how many did.
    pub fn most(&self) -> (u32, usize) {
        let seen = self.seen.lock().unwrap();
        let most = seen.crossings.values().max().copied().unwrap_or(0);
        (most, seen.crossings.len())
    }

    pub fn bytes(&self) -> usize {
        self.seen.lock().unwrap().bytes
    }
}

async fn forward(stream: TcpStream, target: &str, seen: &Mutex<Seen>) {
    let Ok(mut near) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let Ok(mut far) = websocket::connect(target).await else {
        return;
    };
    let connection = {
        let mut seen = seen.lock().unwrap();
        seen.connections += 1;
        seen.connections
    };
    let count = |way, frame: &bytes::Bytes| {
        let mut seen = seen.lock().unwrap();
        seen.bytes += frame.len();
        if let Ok((_, Message::Records(texts))) = Message::decode(frame) {
            for text in texts {
                let crossing = (connection, way, Digest::of(&text));
                *seen.crossings.entry(crossing).or_default() += 1;
            }
        }
    };
    loop {
        tokio::select! {
            frame = near.next() => match frame {
                Some(Ok(Frame::Binary(frame))) => {
                    count(Way::There, &frame);
                    if far.outgoing.send(frame).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                _ => return,
            },
            frame = far.incoming.next() => match frame {
                Some(Ok(frame)) => {
                    count(Way::Back, &frame);
                    if near.send(Frame::Binary(frame)).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
