//! A seat by requests and long polls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{DialError, Link, LinkError, Protocol, Side};
use flexstore_core::wire::signal::{CURSOR_HEADER, SEAT_HEADER, unpack};
use futures_util::stream::unfold;
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::one_by_one::{OneByOne, Outlet, Sending};
use super::{ANSWER_TIMEOUT, judge, unreachable};

/// How long a poll may take: longer than a relay lets it wait.
const POLL_TIMEOUT: Duration = Duration::from_secs(40);
/// Between two attempts at the same.
const PAUSE: Duration = Duration::from_secs(1);
/// How long requests may fail: less than the silence after which a relay gives a seat up.
const PATIENCE: Duration = Duration::from_secs(40);

struct Seat {
    client: Client,
    url: String,
    /// Shows that it is ours.
    token: HeaderValue,
    left: AtomicBool,
}

impl Seat {
    fn dress(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(SEAT_HEADER, self.token.clone())
    }

    /// Once; nobody waits for it.
    fn leave(&self) {
        if !self.left.swap(true, Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
        {
            let request = self
                .dress(self.client.delete(&self.url))
                .timeout(ANSWER_TIMEOUT);
            runtime.spawn(request.send());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Takes a seat.
pub(super) async fn enter(url: String, client: Client) -> Result<Link, DialError> {
    let asked = client.post(&url).timeout(ANSWER_TIMEOUT).send().await;
    let answer = judge(asked.map_err(unreachable)?, StatusCode::CREATED)?;
    let token = answer.headers().get(SEAT_HEADER).cloned();
    let mut token = token.ok_or_else(|| DialError::Refused("the answer gives no seat".into()))?;
    token.set_sensitive(true);
    let host = answer.url().host_str().unwrap_or_default();
    let port = answer.url().port_or_known_default().unwrap_or_default();
    let name = format!("{host}:{port}").into();
    let seat = Arc::new(Seat {
        client,
        url,
        token,
        left: AtomicBool::new(false),
    });
    let reader = Reader {
        seat: Arc::clone(&seat),
        cursor: 0,
        waiting: VecDeque::new(),
        over: false,
    };
    Ok(Link {
        incoming: Box::pin(unfold(reader, Reader::next)),
        outgoing: Box::pin(OneByOne::new(Writer { seat, sent: 0 })),
        name,
        side: Side::Dialled,
        protocol: Protocol::Native,
    })
}

struct Reader {
    seat: Arc<Seat>,
    cursor: u64,
    waiting: VecDeque<Bytes>,
    over: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, LinkError>, Self)> {
        let until = Instant::now() + PATIENCE;
        while self.waiting.is_empty() {
            if self.over || self.seat.left.load(Ordering::Relaxed) {
                return None;
            }
            match self.poll().await {
                Ok(()) => {}
                Err(None) if Instant::now() < until => sleep(PAUSE).await,
                Err(error) => {
                    self.over = true;
                    return Some((Err(error.unwrap_or(LinkError::Gone)), self));
                }
            }
        }
        let frame = self.waiting.pop_front()?;
        Some((Ok(frame), self))
    }

    /// Fetches what there is. Trying again may help where no error is given.
    async fn poll(&mut self) -> Result<(), Option<LinkError>> {
        let url = format!("{}?cursor={}", self.seat.url, self.cursor);
        let request = self.seat.dress(self.seat.client.get(url));
        let answer = request
            .timeout(POLL_TIMEOUT)
            .send()
            .await
            .map_err(|_| None)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(()),
            StatusCode::GONE => {
                self.over = true;
                return Ok(());
            }
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(Some(LinkError::Closed(status.to_string().into())));
            }
            _ => return Err(None),
        }
        let cursor = answer.headers().get(CURSOR_HEADER);
        let cursor = cursor.and_then(|cursor| cursor.to_str().ok()?.parse().ok());
        let body = answer.bytes().await.map_err(|_| None)?;
        let frames = unpack(body).map_err(|_| Some(LinkError::Protocol))?;
        self.cursor = cursor.ok_or(Some(LinkError::Protocol))?;
        self.waiting.extend(frames);
        Ok(())
    }
}

struct Writer {
    seat: Arc<Seat>,
    /// How many frames were sent before: the relay takes each number once.
    sent: u64,
}

impl Outlet for Writer {
    fn send(&mut self, frame: Bytes) -> Result<Sending, LinkError> {
        if self.seat.left.load(Ordering::Relaxed) {
            return Err(LinkError::Gone);
        }
        let number = self.sent;
        self.sent += 1;
        Ok(Box::pin(send(Arc::clone(&self.seat), frame, number)))
    }

    fn close(&mut self) {
        self.seat.leave();
    }
}

async fn send(seat: Arc<Seat>, frame: Bytes, number: u64) -> Result<(), LinkError> {
    let until = Instant::now() + PATIENCE;
    let url = format!("{}?number={number}", seat.url);
    loop {
        let request = seat.dress(seat.client.post(&url)).body(frame.clone());
        let answer = request.timeout(ANSWER_TIMEOUT).send().await;
        let status = answer.map(|answer| answer.status());
        match status {
            // Nobody: whom a message on a topic is for may just have left.
            Ok(StatusCode::NO_CONTENT | StatusCode::NOT_FOUND) => return Ok(()),
            Ok(StatusCode::GONE) => return Err(LinkError::Gone),
            Ok(status) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(LinkError::Closed(status.to_string().into()));
            }
            // There may be room later on, as long as the relay answers at all.
            Ok(_) => {}
            Err(_) if Instant::now() < until => {}
            Err(_) => return Err(LinkError::Gone),
        }
        sleep(PAUSE).await;
    }
}
