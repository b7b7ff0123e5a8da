//! Links over WebSocket (RFC 6455): one binary message is one frame of the link.
//!
//! - A text message, or a message of more than [`MAX_FRAME_BYTES`], ends the link with the close
//!   code that the RFC has for it, 1003 or 1009.
//! - Each side pings every [`PING_INTERVAL`] and gives the other up when two intervals passed
//!   without a byte from it, and without room for what waits to be written; pongs are sent whenever the incoming half is read.
//! - [`Link::outgoing`] buffers until it is flushed, so several frames that are ready cost one
//!   write. Closing it says goodbye, then waits up to [`LINGER`] for the other side to read that:
//!   a socket that is dropped with unread bytes in it is reset, and takes the last words with it.
//! - No compression is offered (it leaks lengths of secrets, and costs memory for every link).
//!
//! Memory: a link at rest holds about 4 KiB. What a peer announces and does not send is reserved
//! as address space only, at most one frame of it.

mod duplex;
mod watched;

use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::{DialError, Link, MAX_FRAME_BYTES, Side};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::{StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use self::watched::Watched;
use crate::tls::Trust;

/// How often each side pings; a peer that is silent for two of these is gone.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long closing waits for the other side to take notice.
pub const LINGER: Duration = Duration::from_secs(1);
/// How long connecting, with the handshake, may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes read at a time; allocated for every link, so it is small.
const READ_BUFFER: usize = 4 << 10;
/// Small frames are gathered up to here before they are written. Not allocated in advance.
const WRITE_BUFFER: usize = 16 << 10;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // What the socket does not take stays at one frame: a frame is taken only when the one
        // before it is on its way. A ping and a close frame fit beside it.
        .max_write_buffer_size(WRITE_BUFFER + MAX_FRAME_BYTES + (4 << 10))
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
}

/// Connects to a service such as `ws://127.0.0.1:3000/flexstore` or `wss://example.org/flexstore`.
///
/// # Errors
/// [`DialError::UnknownService`] if the address is none of this form, `Unreachable` if nobody
/// answers in time or the service is overloaded, `Refused` if something else answers, or somebody
/// whose certificate is not believed.
pub async fn connect(service: &str) -> Result<Link, DialError> {
    connect_trusting(service, &Trust::new()).await
}

/// As [`connect`], with a say in whose certificates are believed.
///
/// # Errors
/// As [`connect`].
pub async fn connect_trusting(service: &str, trust: &Trust) -> Result<Link, DialError> {
    let uri: Uri = service.parse().map_err(|_| DialError::UnknownService)?;
    let (encrypted, port) = match uri.scheme_str() {
        Some("ws") => (false, 80),
        Some("wss") => (true, 443),
        _ => return Err(DialError::UnknownService),
    };
    let host = uri.host().ok_or(DialError::UnknownService)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(port);
    let unreachable = |error: std::io::Error| DialError::Unreachable(error.to_string().into());
    let name = format!("{host}:{port}").into();
    let connecting = async {
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        if encrypted {
            shake(&uri, trust.shake(host, stream).await?, name).await
        } else {
            shake(&uri, stream, name).await
        }
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    connected.unwrap_or_else(|_| Err(DialError::Unreachable("no answer in time".into())))
}

/// The client's half of the handshake of RFC 6455.
async fn shake<S>(uri: &Uri, stream: S, name: Box<str>) -> Result<Link, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = client_async_with_config(uri, Watched::new(stream), Some(config())).await;
    let (stream, _) = connected.map_err(refused)?;
    Ok(duplex::link(stream, name, Side::Dialled, PING_INTERVAL))
}

fn refused(error: WsError) -> DialError {
    let unreachable = match &error {
        WsError::Io(_) => true,
        WsError::Http(response) => {
            response.status() == StatusCode::SERVICE_UNAVAILABLE
                || response.status() == StatusCode::TOO_MANY_REQUESTS
        }
        _ => false,
    };
    let words = error.to_string().into();
    if unreachable {
        DialError::Unreachable(words)
    } else {
        DialError::Refused(words)
    }
}

/// The `Sec-WebSocket-Accept` that answers a client's `Sec-WebSocket-Key`.
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// The server's end of a link, over a connection that has been upgraded to a WebSocket, with what
/// was read of it beyond the request.
pub async fn accept<S>(upgraded: S, already_read: Bytes, name: &str) -> Link
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let part = already_read.into();
    let stream = WebSocketStream::from_partially_read(
        Watched::new(upgraded),
        part,
        Role::Server,
        Some(config()),
    )
    .await;
    duplex::link(stream, name.into(), Side::Accepted, PING_INTERVAL)
}
