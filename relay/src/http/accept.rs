//! Takes connections in, as many as there is room for, and turns the others away.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::door::Door;
use crate::descriptors;

/// After a failed accept, so that a lasting error does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Between two lines in the log about the same trouble.
const NOTE_PAUSE: Duration = Duration::from_secs(1);
/// ENFILE and EMFILE: no file descriptor is left, in the system or in the process.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];
const OVERLOADED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(super) struct Server {
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
    pub(super) fn new(listener: TcpListener, max_connections: usize, door: Door) -> Self {
        let seats = descriptors::most_connections(max_connections);
        Self {
            listener,
            reserve: reserve(),
            seats: Arc::new(Semaphore::new(seats)),
            door,
            connections: JoinSet::new(),
            noted: None,
        }
    }

    /// Lets go of all but the connections.
    pub(super) fn into_connections(self) -> JoinSet<()> {
        self.connections
    }

    pub(super) async fn accept(&mut self) {
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
            if !self.door.is_encrypted() {
                // A new socket's buffer takes so little at once.
                let _ = stream.try_write(OVERLOADED);
            }
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
