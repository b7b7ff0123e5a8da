//! The listener, and the few requests that are answered.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::storage::{Storage, StorageError};
use flexstore_transports::{Transports, websocket};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::hub::Hub;
use crate::{Config, descriptors, peers};

/// How long a client may take to send the head of a request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most header fields of a request.
pub const MAX_HEADERS: usize = 64;
/// The longest head of a request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 16 << 10;

/// How long a connection that is not upgraded may live: the head, and reading the short answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);
/// How long links have to take leave when the relay stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed accept, so that a lasting error does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Between two lines in the log about the same trouble.
const NOTE_PAUSE: Duration = Duration::from_secs(1);
/// ENFILE and EMFILE: no file descriptor is left, in the system or in the process.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];
const OVERLOADED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Why a relay does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Serves on a listener and a store until `shutdown` is ready, then closes every link, waits
/// until all is handed to the store, and lets go of it.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    storage: Arc<dyn Storage>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (hub, registry) = Hub::start(storage, &config)?;
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    for peer in config.peers {
        let dialer = Transports::new();
        connections.spawn(peers::follow(peer, dialer, hub.clone(), stopping.clone()));
    }
    let mut server = Server {
        listener,
        reserve: reserve(),
        seats: Arc::new(Semaphore::new(descriptors::most_connections(
            config.max_connections,
        ))),
        door: Door {
            hub,
            origins: config.origins.into(),
            stopping,
        },
        connections,
        noted: None,
    };
    tokio::select! {
        () = shutdown => {}
        () = server.accept() => {}
    }
    stop.send_replace(true);
    let Server {
        listener,
        door,
        mut connections,
        ..
    } = server;
    drop((listener, door));
    let left = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_TIMEOUT, left).await.is_err() {
        connections.shutdown().await;
    }
    // The collections end with the last hub, and with them the last owners of the store.
    let _ = registry.await;
    Ok(())
}

struct Server {
    listener: TcpListener,
    /// A descriptor to give up when none is left, so that a client can be turned away.
    reserve: Option<File>,
    seats: Arc<Semaphore>,
    door: Door,
    connections: JoinSet<()>,
    noted: Option<Instant>,
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

impl Server {
    async fn accept(&mut self) {
        loop {
            while self.connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) => self.shed(&error).await,
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, address: SocketAddr) {
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else {
            self.note("turned away clients: too many connections");
            // A new socket's buffer takes so little at once.
            let _ = stream.try_write(OVERLOADED);
            return;
        };
        let door = self.door.clone();
        self.connections.spawn(door.receive(stream, address, seat));
    }

    /// Says what happens at most once a second: whoever makes it happen shall not fill the logs.
    fn note(&mut self, words: &'static str) {
        if self.noted.is_none_or(|noted| noted.elapsed() > NOTE_PAUSE) {
            self.noted = Some(Instant::now());
            tracing::warn!("{words}");
        }
    }

    /// Takes the client that there is no descriptor for, and drops it, so that it need not wait
    /// for nothing; those who are served keep theirs.
    async fn shed(&mut self, error: &io::Error) {
        let exhausted = error
            .raw_os_error()
            .is_some_and(|code| NO_DESCRIPTORS.contains(&code));
        if exhausted {
            self.note("turned away clients: no file descriptor is left");
            self.reserve = None;
            let _ = timeout(ACCEPT_PAUSE, self.listener.accept()).await;
            self.reserve = reserve();
        } else {
            tracing::warn!(%error, "accepting a connection failed");
        }
        sleep(ACCEPT_PAUSE).await;
    }
}

#[derive(Clone)]
struct Door {
    hub: Hub,
    origins: Arc<[String]>,
    stopping: watch::Receiver<bool>,
}

type Answer = Response<Full<Bytes>>;

impl Door {
    async fn receive(self, stream: TcpStream, address: SocketAddr, _seat: OwnedSemaphorePermit) {
        // A frame is written when it is ready: waiting for more to come would only delay it.
        let _ = stream.set_nodelay(true);
        let (upgrades, mut upgraded) = mpsc::channel(1);
        let service = service_fn(|mut request| {
            let (answer, upgrade) = self.answer(&mut request);
            if let Some(upgrade) = upgrade {
                let _ = upgrades.try_send(upgrade);
            }
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_REQUEST_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut stopping = self.stopping.clone();
        tokio::select! {
            served = timeout(REQUEST_TIMEOUT, connection) => {
                if !matches!(served, Ok(Ok(()))) {
                    tracing::debug!(%address, "a connection without a proper request");
                    return;
                }
            }
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let Ok(upgrade) = upgraded.try_recv() else {
            return;
        };
        let Some(parts) = upgrade
            .await
            .ok()
            .and_then(|upgraded| upgraded.downcast::<TokioIo<TcpStream>>().ok())
        else {
            return;
        };
        let name = address.to_string();
        let link = websocket::accept(parts.io.into_inner(), parts.read_buf, &name).await;
        tracing::debug!(peer = %name, "a link");
        self.hub.serve(link, self.stopping).await;
    }

    fn answer(&self, request: &mut Request<Incoming>) -> (Answer, Option<OnUpgrade>) {
        let plain = |status| (respond(status, ""), None);
        match (request.uri().path(), request.method()) {
            ("/healthz", &Method::GET | &Method::HEAD) => (respond(StatusCode::OK, "ok"), None),
            ("/flexstore", &Method::GET) => {
                let headers = request.headers();
                if !self.invites(headers) {
                    return plain(StatusCode::FORBIDDEN);
                }
                let Some(accept) = websocket_key(headers) else {
                    return plain(StatusCode::UPGRADE_REQUIRED);
                };
                let mut answer = respond(StatusCode::SWITCHING_PROTOCOLS, "");
                let headers = answer.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
                (answer, Some(hyper::upgrade::on(request)))
            }
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    /// Browsers name the page's origin with every WebSocket that a page opens; others do not.
    fn invites(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|origin| {
            self.origins
                .iter()
                .any(|known| known.as_bytes() == origin.as_bytes())
        })
    }
}

fn respond(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    // One request for each connection: whoever wants more wants a link.
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    if status == StatusCode::UPGRADE_REQUIRED {
        let websocket = HeaderValue::from_static("websocket");
        answer.headers_mut().insert(header::UPGRADE, websocket);
    }
    answer
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
