//! The listener, and everything that is answered over HTTP.
//!
//! ```text
//!  accept ──> door (one connection: TLS, HTTP/1.1) ──> route ──> one handler for each service
//!                                                        └── upgrade ──> a link over WebSocket
//! ```
//!
//! Every wait for a client is bounded: for its TLS handshake, the head of a request, the body, and
//! for it to take the answer. Errors are problem details (RFC 9457).

mod accept;
mod answer;
mod door;
mod origin;
mod path;
mod request;
mod route;
mod socket;
mod tls;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use flexstore_core::storage::{Storage, StorageError};
use flexstore_transports::Transports;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use self::answer::{Answer, Problem, empty, json, whole};
pub(crate) use self::request::{Asked, Room};
pub(crate) use self::websocket::{is_wanted as is_upgrade, upgrade};

pub use self::door::{
    HEADER_TIMEOUT, MAX_HEADERS, MAX_REQUEST_BYTES, MAX_REQUESTS_PER_CONNECTION, TLS_TIMEOUT,
};
pub use self::request::{BODY_RATE, BODY_TIMEOUT, MAX_BODY_BYTES_IN_ALL};
pub(crate) use self::route::Services;
pub use self::tls::{CERTIFICATE_FILE, TlsError};

use self::accept::Server;
use self::door::Door;
use crate::Config;
use crate::hub::Hub;
use crate::peers;

/// How long links have to take leave when the relay stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a relay does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The certificate or its key is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    let acceptor = config
        .tls
        .as_ref()
        .map(|tls| tls::acceptor(tls, &config.data))
        .transpose()?;
    let (hub, registry) = Hub::start(storage, &config)?;
    let (stop, stopping) = watch::channel(false);
    let mut followers = JoinSet::new();
    for peer in &config.peers {
        let dialer = Transports::new();
        followers.spawn(peers::follow(
            peer.clone(),
            dialer,
            hub.clone(),
            stopping.clone(),
        ));
    }
    let stall = config.stall();
    let max_connections = config.max_connections;
    let native = {
        let (hub, stopping) = (hub.clone(), stopping.clone());
        Box::new(move |link| Box::pin(hub.clone().serve(link, stopping.clone())) as _)
    };
    let services = Services::new(hub, native, &config, stopping.clone());
    let door = Door::new(services, acceptor, stall, stopping);
    let mut server = Server::new(listener, max_connections, door);
    tokio::select! {
        () = shutdown => {}
        () = server.accept() => {}
    }
    stop.send_replace(true);
    let mut connections = server.into_connections();
    let left = async {
        while connections.join_next().await.is_some() {}
        while followers.join_next().await.is_some() {}
    };
    if timeout(STOP_TIMEOUT, left).await.is_err() {
        connections.shutdown().await;
        followers.shutdown().await;
    }
    // The collections end with the last hub, and with them the last owners of the store.
    let _ = registry.await;
    Ok(())
}

#[cfg(test)]
mod tests;
