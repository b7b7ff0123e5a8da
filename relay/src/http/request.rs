//! A request, whence it came, and its body, for which nobody waits for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::answer::Problem;
use super::path;
use super::websocket::Upgrade;

/// How long a body may take, and a second more for every [`BODY_RATE`] bytes that came.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(12);
/// Whoever sends a body slower than this many bytes a second is cut off.
pub const BODY_RATE: usize = 16 << 10;
/// The most bytes of bodies that are held at a time, of all clients; beyond, 503.
pub const MAX_BODY_BYTES_IN_ALL: usize = 256 << 20;

/// Of a body that is too long anyway so much is read, so that the client hears why.
const MAX_DISCARDED: u64 = 8 << 20;
/// What one permit of the bodies' room stands for.
const UNIT: usize = 1 << 10;

/// A request as a handler gets it.
pub(crate) struct Asked {
    pub(crate) request: hyper::Request<Incoming>,
    /// Of the client, or of the proxy before it.
    pub(crate) address: SocketAddr,
    pub(super) upgrades: mpsc::Sender<Upgrade>,
}

/// The room for the bodies of all requests.
pub(crate) struct Room(Arc<Semaphore>);

/// A body, and the room that it takes.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Asked {
    pub(super) const fn new(
        request: hyper::Request<Incoming>,
        address: SocketAddr,
        upgrades: mpsc::Sender<Upgrade>,
    ) -> Self {
        Self {
            request,
            address,
            upgrades,
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    pub(crate) fn method(&self) -> &Method {
        self.request.method()
    }

    /// The decoded segments of the path.
    pub(super) fn segments(&self) -> Option<Vec<String>> {
        path::segments(self.request.uri().path())
    }

    /// The parameters of the query, decoded.
    pub(crate) fn query(&self) -> Result<Vec<(String, String)>, Problem> {
        let query = self.request.uri().query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = if value.is_empty() {
                Some(String::new())
            } else {
                path::decode(value)
            };
            Some((path::decode(name)?, value?))
        });
        let pairs: Option<Vec<_>> = pairs.collect();
        pairs
            .ok_or_else(|| Problem::bad_request("the query is not percent-encoded as it should be"))
    }

    /// Refuses what two servers in a row might read as different requests (RFC 9112, section 11.2):
    /// a body whose end is told by its chunks, since hyper would hide a length beside them; several
    /// hosts, or none.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.headers().contains_key(header::TRANSFER_ENCODING) {
            let problem = Problem::new(
                StatusCode::LENGTH_REQUIRED,
                "length-required",
                "a body comes with its length, not in chunks",
            );
            return Err(problem);
        }
        let hosts = self.headers().get_all(header::HOST).iter().count();
        if hosts == 1 || hosts == 0 && self.request.version() < Version::HTTP_11 {
            return Ok(());
        }
        Err(Problem::bad_request("a request names one host"))
    }

    /// The whole body, if it is not longer than this and comes in time.
    pub(crate) async fn body(self, room: &Room, limit: usize) -> Result<Held, Problem> {
        let mut body = self.request.into_body();
        let announced = body.size_hint().upper().unwrap_or(u64::MAX);
        let fits = announced <= limit as u64;
        if !fits && announced > MAX_DISCARDED {
            return Err(Problem::too_long(limit));
        }
        let start = Instant::now();
        let (mut bytes, mut held, mut taken) = (BytesMut::new(), None, 0);
        loop {
            let grace = Duration::from_secs((taken / BODY_RATE) as u64);
            let frame = timeout_at(start + BODY_TIMEOUT + grace, body.frame()).await;
            let Some(frame) = frame.map_err(|_| too_slow())? else {
                break;
            };
            let frame =
                frame.map_err(|_| Problem::bad_request("the body does not end as announced"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            taken += data.len();
            if fits {
                room.hold(&mut held, taken)?;
                bytes.extend_from_slice(&data);
            }
        }
        if !fits {
            return Err(Problem::too_long(limit));
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _room: held,
        })
    }
}

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BODY_BYTES_IN_ALL / UNIT)))
    }

    /// Takes as much as so many bytes need.
    fn hold(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Problem> {
        let there = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(there);
        if missing == 0 {
            return Ok(());
        }
        let more = Arc::clone(&self.0)
            .try_acquire_many_owned(missing as u32)
            .map_err(|_| Problem::overloaded())?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "too-slow",
        "the body did not come in time",
    )
}
