//! What a peer connection runs on: the runtime of the `webrtc` crate, with large receive buffers
//! and without TCP.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime,
    UdpSockRef, UdpSocketState, default_runtime,
};

/// The receive buffer asked for each socket. With the kernel's 208 KiB, a burst of messages
/// overflows it, and SCTP waits a whole second before it sends again what was lost.
pub const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// The smallest and the largest window of SCTP. A window holds the longest message.
const WINDOW_BYTES: std::ops::RangeInclusive<usize> = (128 << 10)..=(1 << 20);

type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The crate's own runtime for tokio, with what is said above.
pub(super) struct Host(Arc<dyn Runtime>);

impl Host {
    /// `None` if the crate was built without a runtime.
    pub(super) fn runtime() -> Option<Arc<dyn Runtime>> {
        Some(Arc::new(Self(default_runtime()?)))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

/// Asks for the buffer, and says what the kernel gave; it may cap what is asked for.
fn enlarge(socket: &UdpSocket) -> io::Result<usize> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    state.set_recv_buffer_size(UdpSockRef::from(socket), RECEIVE_BUFFER_BYTES)?;
    state.recv_buffer_size(UdpSockRef::from(socket))
}

/// How much a peer may have under way to us: what the socket's buffer holds, whose count includes
/// the kernel's own cost of about as much again for each packet, and twice that for safety.
pub(super) fn window() -> u32 {
    static WINDOW: OnceLock<u32> = OnceLock::new();
    *WINDOW.get_or_init(|| {
        let given = UdpSocket::bind("127.0.0.1:0").and_then(|socket| enlarge(&socket));
        let window = given.unwrap_or(0) / 4;
        let window = window.clamp(*WINDOW_BYTES.start(), *WINDOW_BYTES.end());
        u32::try_from(window).unwrap_or(u32::MAX)
    })
}

impl Runtime for Host {
    fn spawn(&self, future: Waiting<'static, ()>) -> Box<dyn JoinHandle> {
        self.0.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // Where the kernel gives less, the window was made to suit.
        let _ = enlarge(&socket);
        self.0.wrap_udp_socket(socket)
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.0.wrap_tcp_listener(listener)
    }

    /// A peer's candidate must not make us connect to any address over TCP.
    fn connect_tcp<'a>(
        &'a self,
        _: SocketAddr,
    ) -> Waiting<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Waiting<'a, io::Result<Vec<SocketAddr>>> {
        self.0.resolve_host(host)
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Waiting<'static, ()> {
        self.0.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.0.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.0.block_on(future);
    }

    fn yield_now(&self) -> Waiting<'static, ()> {
        self.0.yield_now()
    }

    fn name(&self) -> &'static str {
        "flexstore"
    }
}
