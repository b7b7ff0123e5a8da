//! The client's end: requests, and the stream of events.

mod down;
mod halves;
mod shared;
mod up;

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flexstore_core::link::{DialError, Link, Protocol, Side};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};

use self::halves::{Incoming, Outgoing};
use self::shared::Shared;
use super::{HEARTBEAT, LINK_HEADER};
use crate::tls::Trust;

/// How long connecting, and opening a link, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than servers keep a connection that is not used, so that none is used that just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// What requests are made with; its connections are shared by all links.
#[derive(Clone, Default)]
pub struct Client {
    http: Arc<OnceLock<reqwest::Client>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// The client of HTTP/1.1 that believes these certificates, made at the first call.
    ///
    /// # Errors
    /// [`DialError::Refused`] if there can be none.
    pub fn http(&self, trust: &Trust) -> Result<reqwest::Client, DialError> {
        if let Some(http) = self.http.get() {
            return Ok(http.clone());
        }
        let mut tls = (*trust.config()?).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| DialError::Refused(words(&error)))?;
        Ok(self.http.get_or_init(|| http).clone())
    }
}

/// Connects to a service such as `https://example.org/flexstore`.
///
/// # Errors
/// [`DialError::UnknownService`] if the address is none of this form, `Unreachable` if nobody
/// answers in time or the service is overloaded, `Refused` if something else answers, or somebody
/// whose certificate is not believed.
pub async fn connect(service: &str, client: &Client, trust: &Trust) -> Result<Link, DialError> {
    let unknown = || DialError::UnknownService;
    let mut url: Url = service.parse().map_err(|_| unknown())?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
        return Err(unknown());
    }
    let host = url.host_str().ok_or_else(unknown)?;
    let name = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    (url.path_segments_mut().map_err(|()| unknown())?)
        .pop_if_empty()
        .push("link");
    let http = client.http(trust)?;
    let opening = http.post(url.clone()).timeout(CONNECT_TIMEOUT).send();
    let answer = opening.await.map_err(|error| failed(&error))?;
    let id = opened(&answer)?;
    let shared = Arc::new(Shared::new(http, url, id));
    let batches = down::start(Arc::clone(&shared), HEARTBEAT);
    up::start(Arc::clone(&shared), HEARTBEAT);
    Ok(Link {
        incoming: Box::pin(Incoming::new(Arc::clone(&shared), batches)),
        outgoing: Box::pin(Outgoing::new(shared)),
        name: name.into(),
        side: Side::Dialled,
        protocol: Protocol::Native,
    })
}

/// The id of a link that was opened.
fn opened(answer: &Response) -> Result<HeaderValue, DialError> {
    let status = answer.status();
    let id = answer.headers().get(LINK_HEADER);
    if let (StatusCode::CREATED, Some(id)) = (status, id) {
        let mut id = id.clone();
        // As good as a key, so not for logs.
        id.set_sensitive(true);
        return Ok(id);
    }
    let words = status.to_string().into();
    Err(if is_passing(status) {
        DialError::Unreachable(words)
    } else {
        DialError::Refused(words)
    })
}

/// Whether it may be otherwise soon.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn failed(error: &reqwest::Error) -> DialError {
    let mut source = error.source();
    while let Some(cause) = source {
        if is_of_tls(cause) {
            return DialError::Refused(words(error));
        }
        source = cause.source();
    }
    DialError::Unreachable(words(error))
}

/// Whether TLS found something wrong with the other side. An error of the system may hold another.
fn is_of_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let inner = cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| is_of_tls(inner))
}

/// What happened, with the causes and without the address.
fn words(error: &reqwest::Error) -> Box<str> {
    let mut words = String::from("the request failed");
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words.into()
}
