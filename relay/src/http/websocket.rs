//! Requests that become a link over WebSocket.

use std::pin::Pin;

use flexstore_core::link::Link;
use flexstore_transports::websocket;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::upgrade::OnUpgrade;

use super::answer::{Answer, Problem, empty};
use super::request::Asked;

/// What is done with the link.
pub(crate) type Upgraded = Box<dyn FnOnce(Link) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A connection that becomes a link when its request is answered.
pub(super) struct Upgrade {
    pub(super) connection: OnUpgrade,
    pub(super) then: Upgraded,
}

/// Whether the client wants a WebSocket.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// Answers the handshake; `then` is run with the link when it stands.
pub(crate) fn upgrade<F>(
    mut asked: Asked,
    then: impl FnOnce(Link) -> F + Send + 'static,
) -> Result<Answer, Problem>
where
    F: Future<Output = ()> + Send + 'static,
{
    let accept = websocket_key(asked.headers()).ok_or_else(|| {
        let problem = Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade-required",
            "a WebSocket is served here",
        );
        problem.header(header::UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    let upgrade = Upgrade {
        connection: hyper::upgrade::on(&mut asked.request),
        then: Box::new(|link| Box::pin(then(link))),
    };
    let sent = asked.upgrades.try_send(upgrade);
    sent.map_err(|_| Problem::bad_request("the connection is being upgraded already"))?;
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer)
}

/// The answer to the key of a WebSocket handshake (RFC 6455, section 4.2.1), if it is one.
fn websocket_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let names = |header: HeaderName, word: &str| {
        let values = headers.get_all(header);
        let mut words = values.iter().filter_map(|value| value.to_str().ok());
        words.any(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        })
    };
    let upgrades = names(header::CONNECTION, "upgrade")
        && names(header::UPGRADE, "websocket")
        && names(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (upgrades && key.len() == 24)
        .then(|| websocket::accept_key(key.as_bytes()))
        .and_then(|accept| HeaderValue::from_str(&accept).ok())
}
