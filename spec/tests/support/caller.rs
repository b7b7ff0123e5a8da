//! Requests written as given, from an address of one's choice.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client with an address of its own.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub relay: &'a str,
    pub from: [u8; 4],
}

impl Caller<'_> {
    pub async fn stream(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(IpAddr::from(self.from), 0))
            .unwrap();
        socket.connect(self.relay.parse().unwrap()).await.unwrap()
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let mut stream = self.stream().await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(&[head.as_bytes(), body].concat())
            .await
            .unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        // A reset after the answer is as good as an end.
        let _ = timeout(Duration::from_secs(90), read).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer to {method} {path}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", b"").await
    }

    pub async fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.ask("POST", path, "", body).await
    }
}
