//! One connection: TLS where there is any, requests and answers, and perhaps a link at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flexstore_core::link::Link;
use flexstore_transports::websocket;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::request::Asked;
use super::route::Services;
use super::socket::{Impatient, Socket};
use super::websocket::{Upgrade, Upgraded};

/// How long a client may take for its TLS handshake.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request, the next one on a connection that is
/// kept included.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most header fields of a request.
pub const MAX_HEADERS: usize = 64;
/// The longest head of a request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 16 << 10;
/// The most requests on one connection; the answer to the last says that it is closed.
pub const MAX_REQUESTS_PER_CONNECTION: usize = 1000;

/// How long an answer may still take when the relay stops.
const LAST_ANSWER: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Door {
    services: Arc<Services>,
    acceptor: Option<TlsAcceptor>,
    stall: Duration,
    stopping: watch::Receiver<bool>,
}

type Io = TokioIo<Impatient<Socket>>;

impl Door {
    pub(super) fn new(
        services: Services,
        acceptor: Option<TlsAcceptor>,
        stall: Duration,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            services: Arc::new(services),
            acceptor,
            stall,
            stopping,
        }
    }

    /// Whether whoever comes speaks TLS first.
    pub(super) const fn is_encrypted(&self) -> bool {
        self.acceptor.is_some()
    }

    pub(super) async fn receive(
        self,
        stream: TcpStream,
        address: SocketAddr,
        _seat: OwnedSemaphorePermit,
    ) {
        // A frame is written when it is ready: waiting for more to come would only delay it.
        let _ = stream.set_nodelay(true);
        // In a box of its own: an idle link shall not hold the room that HTTP needed.
        if let Some((link, upgraded)) = Box::pin(self.talk(stream, address)).await {
            drop(self);
            upgraded(link).await;
        }
    }

    /// Answers requests until the client goes, or wants a link.
    async fn talk(&self, stream: TcpStream, address: SocketAddr) -> Option<(Link, Upgraded)> {
        let socket = match &self.acceptor {
            None => Socket::Plain(stream),
            Some(acceptor) => {
                let shaken = timeout(TLS_TIMEOUT, acceptor.accept(stream)).await;
                Socket::Tls(Box::new(shaken.ok()?.ok()?))
            }
        };
        let (upgrades, mut upgrade) = mpsc::channel(1);
        if let Err(error) = self.serve(socket, address, upgrades).await {
            tracing::debug!(%address, %error, "a connection without a proper request");
            return None;
        }
        let Upgrade { connection, then } = upgrade.try_recv().ok()?;
        let parts = connection.await.ok()?.downcast::<Io>().ok()?;
        let socket = parts.io.into_inner().into_inner();
        let name = address.to_string();
        tracing::debug!(peer = %name, "a link");
        let link = websocket::accept(socket, parts.read_buf, &name).await;
        Some((link, then))
    }

    async fn serve(
        &self,
        socket: Socket,
        address: SocketAddr,
        upgrades: mpsc::Sender<Upgrade>,
    ) -> hyper::Result<()> {
        let asked = AtomicUsize::new(0);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let last = asked.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_REQUESTS_PER_CONNECTION;
            let services = Arc::clone(&self.services);
            let asked = Asked::new(request, address, upgrades.clone());
            async move {
                let mut answer = services.answer(asked).await;
                if last {
                    let close = HeaderValue::from_static("close");
                    answer
                        .headers_mut()
                        .entry(header::CONNECTION)
                        .or_insert(close);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_REQUEST_BYTES)
            .serve_connection(TokioIo::new(Impatient::new(socket, self.stall)), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut stopping = self.stopping.clone();
        tokio::select! {
            served = connection.as_mut() => return served,
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
    }
}
