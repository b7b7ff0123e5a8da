//! Which request goes where.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flexstore_core::link::Link;
use flexstore_transports::https::Links;
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::watch;

use super::answer::{Answer, Problem, whole};
use super::origin;
use super::request::{Asked, Room};
use super::websocket;
use crate::Config;
use crate::config::Service;
use crate::dialect::Dialect;
use crate::hub::Hub;
use crate::proxy::{self, Network};
use crate::signal::{Around, Signal};
use crate::{dialect, link, rest};

/// What is done with a native link, until it is over.
pub(crate) type Native =
    Box<dyn Fn(Link) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What the handlers share.
pub(crate) struct Services {
    pub(crate) hub: Hub,
    pub(crate) native: Native,
    pub(crate) links: Links,
    pub(crate) room: Room,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) dialect: Dialect,
    signal: Option<Signal>,
    origins: Vec<String>,
    trusted_proxies: Vec<Network>,
    serves_hub: bool,
    stall: Duration,
}

impl Services {
    pub(super) fn new(
        hub: Hub,
        native: Native,
        config: &Config,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let signal = config
            .serves(Service::Signal)
            .then(|| Signal::start(config.signal.exempt_loopback));
        Self {
            hub,
            native,
            links: Links::new(config.max_connections),
            room: Room::new(),
            stopping,
            dialect: Dialect::new(&config.webrtc_addresses),
            signal,
            origins: config.origins.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            serves_hub: config.serves(Service::Hub),
            stall: config.stall(),
        }
    }

    pub(super) async fn answer(self: Arc<Self>, asked: Asked) -> Answer {
        let origin = origin::check(&self.origins, asked.headers());
        let (origin, result) = match origin {
            Ok(origin) => (origin, self.route(asked).await),
            Err(problem) => (None, Err(problem)),
        };
        let mut answer = result.unwrap_or_else(Answer::from);
        if answer.status() == StatusCode::LENGTH_REQUIRED {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        if let Some(origin) = origin {
            origin::allow(&mut answer, origin);
        }
        answer
    }

    async fn route(self: Arc<Self>, asked: Asked) -> Result<Answer, Problem> {
        asked.check()?;
        if let Some(answer) = origin::preflight(asked.method(), asked.headers()) {
            return Ok(answer);
        }
        let segments = asked.segments().ok_or_else(Problem::not_found)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = asked.method().clone();
        match (&segments[..], method) {
            (["healthz"], Method::GET | Method::HEAD) => Ok(healthy()),
            (["healthz"], _) => Err(Problem::method("GET, HEAD")),
            (["flexstore", "slot" | "topic" | "signal", ..], _) => {
                self.rendezvous(&segments[1..], asked).await
            }
            (["flexstore", ..], _) if !self.serves_hub => Err(Problem::not_found()),
            (["flexstore"], Method::GET) => self.websocket(asked),
            (["flexstore"], _) => Err(Problem::method("GET")),
            (["flexstore", "link"], _) => link::answer(&self, asked).await,
            (["flexstore", "sync", kind, name, _uuid], _) => {
                dialect::sync(&self, kind, name, asked).await
            }
            (["flexstore", "requestDataChannel", "test", "echo", _tag], _) => {
                dialect::echo(&self, asked).await
            }
            (["flexstore", kind, collection, tag], _) => {
                let place = rest::Place::parse(kind, collection, tag);
                let place = place.ok_or_else(Problem::not_found)?;
                rest::answer(&self, place, asked).await
            }
            _ => Err(Problem::not_found()),
        }
    }

    async fn rendezvous(&self, path: &[&str], asked: Asked) -> Result<Answer, Problem> {
        let signal = self.signal.as_ref().ok_or_else(Problem::not_found)?;
        let connected = asked.address.ip();
        let around = Around {
            client: proxy::client(&self.trusted_proxies, connected, asked.headers()),
            room: &self.room,
            stall: self.stall,
            stopping: self.stopping.clone(),
        };
        signal.handle(path, asked, around).await
    }

    /// A native link over WebSocket.
    fn websocket(self: Arc<Self>, asked: Asked) -> Result<Answer, Problem> {
        websocket::upgrade(asked, move |link| (self.native)(link))
    }
}

fn healthy() -> Answer {
    whole(StatusCode::OK, "text/plain", "ok")
}
