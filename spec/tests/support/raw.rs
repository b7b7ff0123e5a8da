//! WebSocket bytes by hand, for what no honest client sends.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::wire::{CloseReason, Message};

pub struct Raw(pub TcpStream);

pub const BINARY: u8 = 2;
pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;

impl Raw {
    /// A WebSocket to the relay.
    pub fn connect(address: &str) -> Self {
        Self::connect_to(address, "/flexstore")
    }

    /// A WebSocket to another path.
    pub fn connect_to(address: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: Upgrade\r\n\
            upgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The example of RFC 6455, section 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self(stream)
    }

    /// The head of a masked frame that announces so many bytes. The mask is zero.
    pub fn head(opcode: u8, len: u64) -> Vec<u8> {
        let mut head = vec![0x80 | opcode];
        match len {
            0..=125 => head.push(0x80 | len as u8),
            126..=0xffff => {
                head.push(0x80 | 126);
                head.extend((len as u16).to_be_bytes());
            }
            _ => {
                head.push(0x80 | 127);
                head.extend(len.to_be_bytes());
            }
        }
        head.extend([0; 4]);
        head
    }

    pub fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Self::head(opcode, payload.len() as u64);
        bytes.extend(payload);
        self.0.write_all(&bytes)
    }

    /// Every frame until the relay closes: opcode and payload.
    pub fn frames(&mut self) -> Vec<(u8, Bytes)> {
        let mut rest = &self.rest()[..];
        let mut frames = Vec::new();
        while rest.len() >= 2 {
            let (skip, len) = match rest[1] {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                127 => (
                    10,
                    u64::from_be_bytes(rest[2..10].try_into().unwrap()) as usize,
                ),
                len => (2, usize::from(len)),
            };
            frames.push((
                rest[0] & 15,
                Bytes::copy_from_slice(&rest[skip..skip + len]),
            ));
            rest = &rest[skip + len..];
        }
        frames
    }

    /// The reason that the relay gives on a channel, and the code of its close frame.
    pub fn ending(&mut self) -> (Option<CloseReason>, Option<u16>) {
        let frames = self.frames();
        let reason = frames.iter().rev().find_map(|(opcode, payload)| {
            match (*opcode == BINARY).then(|| Message::decode(payload).unwrap()) {
                Some((_, Message::Close(reason))) => Some(reason),
                _ => None,
            }
        });
        let code = frames.iter().find_map(|(opcode, payload)| {
            (*opcode == CLOSE).then(|| u16::from_be_bytes([payload[0], payload[1]]))
        });
        (reason, code)
    }

    /// Everything until the relay closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return bytes,
                Ok(n) => bytes.extend(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!("the relay does not close: {error}"),
            }
        }
    }
}
