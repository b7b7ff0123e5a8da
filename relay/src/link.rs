//! Links over HTTPS: requests for `/flexstore/link`, handed to the transport's own end.

use std::convert::Infallible;

use bytes::Bytes;
use flexstore_transports::https::{
    AT_HEADER, LINK_HEADER, LinkId, MAX_POST_BYTES, Refused, SEEN_HEADER,
};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};

use crate::http::{self, Answer, Asked, Problem, Services};

/// Answers a request about a link.
pub(crate) async fn answer(services: &Services, asked: Asked) -> Result<Answer, Problem> {
    let id = asked.headers().get(LINK_HEADER).map(HeaderValue::as_bytes);
    let id = id.map(|id| LinkId::parse(id).ok_or_else(unknown));
    match (asked.method().clone(), id.transpose()?) {
        (Method::POST, None) => open(services, &asked),
        (Method::POST, Some(id)) => take(services, &id, asked).await,
        (Method::GET, Some(id)) => events(services, &id, asked.headers()),
        (Method::DELETE, Some(id)) => {
            services.links.close(&id).map_err(problem)?;
            Ok(http::empty(StatusCode::NO_CONTENT))
        }
        (Method::GET | Method::DELETE, None) => Err(unknown()),
        _ => Err(Problem::method("GET, POST, DELETE")),
    }
}

fn open(services: &Services, asked: &Asked) -> Result<Answer, Problem> {
    let name = asked.address.to_string();
    let (id, link) = services.links.open(&name).map_err(problem)?;
    tracing::debug!(peer = %name, "a link over HTTPS");
    let mut answer = http::empty(StatusCode::CREATED);
    let headers = answer.headers_mut();
    let id = HeaderValue::from_str(&id.text()).map_err(|_| unknown())?;
    headers.insert(LINK_HEADER, id);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tokio::spawn((services.native)(link));
    Ok(answer)
}

async fn take(services: &Services, id: &LinkId, asked: Asked) -> Result<Answer, Problem> {
    let number = |name| number(asked.headers(), &HeaderName::from_static(name));
    let (at, seen) = (number(AT_HEADER)?, number(SEEN_HEADER)?);
    let held = asked.body(&services.room, MAX_POST_BYTES).await?;
    let taken = services.links.take(id, at, seen, held.bytes.clone());
    taken.await.map_err(problem)?;
    Ok(http::empty(StatusCode::NO_CONTENT))
}

fn events(services: &Services, id: &LinkId, headers: &HeaderMap) -> Result<Answer, Problem> {
    let last = number(headers, &HeaderName::from_static("last-event-id"))?;
    let events = services.links.events(id, last).map_err(problem)?;
    let frames = events.map(|bytes: Bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Asks nginx to pass events on as they come.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    Ok(answer)
}

/// A number in a header; 0 if there is none.
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(0);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Problem::bad_request("not a number"))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-link", "there is no such link")
}

fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::OutOfPlace => Problem::new(
            StatusCode::CONFLICT,
            "out-of-place",
            "not a place in the stream",
        ),
        Refused::Full | Refused::Busy => Problem::overloaded(),
        _ => unknown(),
    }
}
