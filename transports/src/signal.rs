//! Rendezvous at a relay: a link to whoever comes to the same place there.
//!
//! - [`join`] takes one of the two seats at a slot, and is a link to the other seat. What is sent
//!   before the other has come waits at the relay.
//! - [`free_name`] asks for a slot's name that nobody uses.
//! - [`topic`] announces under a name, and gets a link to each of the others who do.
//!
//! Services are `ws(s)://host/flexstore`, where frames travel over a WebSocket, and
//! `http(s)://host/flexstore`, where they travel in requests and long polls; at one place both
//! kinds meet. A frame has at most [`MAX_MESSAGE_BYTES`]. The relay sees what is sent: what needs
//! to be secret, or from somebody for sure, is sealed by whoever sends it.

mod one_by_one;
mod poll;
mod topic;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{DialError, Link, LinkError};
use flexstore_core::wire::signal::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Name};
use futures_util::Sink;
use reqwest::{Response, StatusCode};

pub use self::topic::{Arrival, Topic};
use crate::tls::Trust;
use crate::websocket;

/// How long an answer may take that need not wait for anybody.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes a seat at a slot: a link to whoever takes the other, which ends when that one leaves, or
/// the relay has kept the slot for long enough.
///
/// # Errors
/// [`DialError::UnknownService`] if the service or the name is of no use, `Refused` if two are
/// there already, `Unreachable` if nobody answers or the relay has too much to do.
pub async fn join(service: &str, slot: &str, trust: &Trust) -> Result<Link, DialError> {
    let path = format!("slot/{}", segment(slot)?);
    let link = open(service, &path, trust).await?;
    Ok(limited(link, MAX_MESSAGE_BYTES))
}

/// A name for a slot that nobody uses, kept for a minute for whoever [joins](join) it.
///
/// # Errors
/// As [`join`].
pub async fn free_name(service: &str, trust: &Trust) -> Result<String, DialError> {
    let url = format!("{}/slot", with_scheme(service, "http")?);
    let asked = http(trust)?.post(url).timeout(ANSWER_TIMEOUT).send().await;
    let answer = judge(asked.map_err(unreachable)?, StatusCode::CREATED)?;
    let location = answer.headers().get(reqwest::header::LOCATION);
    let name = location
        .and_then(|location| location.to_str().ok()?.rsplit('/').next())
        // A name that a relay draws needs no encoding.
        .and_then(|name| {
            name.parse::<Name>()
                .ok()
                .filter(|parsed| parsed.segment() == name)
        });
    let name = name.ok_or_else(|| DialError::Refused("the answer names no slot".into()))?;
    Ok(name.as_str().to_owned())
}

/// Announces under a name, until what is returned, and every link that came of it, is dropped.
///
/// # Errors
/// As [`join`]; `Refused` if there are too many already.
pub async fn topic(service: &str, name: &str, trust: &Trust) -> Result<Topic, DialError> {
    let path = format!("topic/{}", segment(name)?);
    let link = open(service, &path, trust).await?;
    Topic::new(limited(link, MAX_FRAME_BYTES)).await
}

async fn open(service: &str, path: &str, trust: &Trust) -> Result<Link, DialError> {
    let url = format!("{}/{path}", service.trim_end_matches('/'));
    match service.split_once(':').map(|(scheme, _)| scheme) {
        Some("ws" | "wss") => websocket::connect_trusting(&url, trust).await,
        Some("http" | "https") => poll::enter(url, http(trust)?).await,
        _ => Err(DialError::UnknownService),
    }
}

/// A link that takes no frame that the relay would not: it would end the link for it.
fn limited(link: Link, most: usize) -> Link {
    Link {
        outgoing: Box::pin(Limited {
            outgoing: link.outgoing,
            most,
        }),
        ..link
    }
}

struct Limited {
    outgoing: Pin<Box<dyn Sink<Bytes, Error = LinkError> + Send>>,
    most: usize,
}

impl Sink<Bytes> for Limited {
    type Error = LinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.outgoing.as_mut().poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > self.most {
            return Err(LinkError::TooLong);
        }
        self.outgoing.as_mut().start_send(frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.outgoing.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.outgoing.as_mut().poll_close(cx)
    }
}

fn segment(name: &str) -> Result<String, DialError> {
    let name: Name = name.parse().map_err(|_| DialError::UnknownService)?;
    Ok(name.segment())
}

/// The service by the other of the two ways: `ws` and `http`, `wss` and `https` are the same port.
fn with_scheme(service: &str, scheme: &str) -> Result<String, DialError> {
    let (own, rest) = service.split_once("://").ok_or(DialError::UnknownService)?;
    let secure = match own {
        "ws" | "http" => "",
        "wss" | "https" => "s",
        _ => return Err(DialError::UnknownService),
    };
    Ok(format!("{scheme}{secure}://{}", rest.trim_end_matches('/')))
}

fn http(trust: &Trust) -> Result<reqwest::Client, DialError> {
    let tls = trust.config()?;
    reqwest::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| DialError::Refused(error.to_string().into()))
}

fn unreachable(error: reqwest::Error) -> DialError {
    if error.is_builder() {
        return DialError::UnknownService;
    }
    DialError::Unreachable(error.to_string().into())
}

/// The answer, if it is the one that is expected.
fn judge(answer: Response, expected: StatusCode) -> Result<Response, DialError> {
    let words = || answer.status().to_string().into();
    match answer.status() {
        status if status == expected => Ok(answer),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Err(DialError::Unreachable(words()))
        }
        _ => Err(DialError::Refused(words())),
    }
}
