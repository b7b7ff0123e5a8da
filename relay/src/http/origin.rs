//! Requests from web pages. A browser names the page's origin (RFC 6454); others do not.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};

use super::answer::{Answer, Problem, empty};

/// What pages of these origins may send and see.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type, if-match, if-none-match, last-event-id, flexstore-link, flexstore-at, flexstore-seen, flexstore-seat, flexstore-cursor",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("etag, flexstore-cursor, flexstore-link, flexstore-seat, location");
/// For so many seconds a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origin to let in: `Ok(None)` where no page asks.
pub(super) fn check(
    origins: &[String],
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Problem> {
    let mut named = headers.get_all(header::ORIGIN).iter();
    let known = |origin: &HeaderValue| {
        let is = |known: &String| known == "*" || known.as_bytes() == origin.as_bytes();
        origins.iter().any(is)
    };
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some(origin), None) if known(origin) => Ok(Some(origin.clone())),
        _ => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin",
            "pages of this origin are not let in",
        )),
    }
}

/// The answer to a browser that asks whether a page may ask.
pub(super) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Answer> {
    let asks =
        method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut answer = empty(StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        answer
    })
}

/// Tells the browser that the page may see the answer.
pub(super) fn allow(answer: &mut Answer, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
