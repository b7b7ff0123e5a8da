//! The Flexstore relay: verifies, stores and forwards, and can read nothing.
//!
//! [`serve`] is the relay on a listener and a store that are there; [`run`] makes both from a
//! [`Config`], says on stdout when it is ready, and stops on SIGTERM or SIGINT. The binary is
//! `run` with arguments.
//!
//! ```text
//!  TcpListener ──> http ── GET /healthz
//!    (TLS)          ├───── WebSocket /flexstore ──────────────────> hub ──> Storage
//!                   ├───── /flexstore/{Kind}/{collection}/{tag} ──> rest ─┘
//!                   ├───── /flexstore/sync ── WebRTC ─────────────> hub
//!                   └───── /flexstore/slot, topic, signal ────────> signal
//! ```
//!
//! It serves any collection without being told of it, verifies every record, and forwards it to
//! everyone but the sender once it is durable. It holds no key that opens anything, and links no
//! code that could.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flexstore_core::link::Dialer as _;
//! use flexstore_core::storage::MemoryStorage;
//! use flexstore_relay::{Config, serve};
//! use flexstore_transports::Transports;
//! use tokio::net::TcpListener;
//! use tokio::sync::oneshot;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let service = format!("ws://{}/flexstore", listener.local_addr()?);
//! let (stop, stopped) = oneshot::channel::<()>();
//! let shutdown = async { drop(stopped.await) };
//! let storage = Arc::new(MemoryStorage::new());
//! let relay = tokio::spawn(serve(Config::default(), listener, storage, shutdown));
//!
//! let link = Transports::new().dial(&service).await?;
//! # drop(link);
//! # drop(stop);
//! relay.await??;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod config;
mod descriptors;
mod dialect;
mod http;
mod hub;
mod link;
mod peers;
mod proxy;
mod rest;
mod run;
pub mod signal;
pub mod telemetry;

pub use config::{Config, ConfigError, EngineName, Service, SignalConfig, Tls};
pub use dialect::MAX_JAVASCRIPT_CONNECTIONS;
pub use http::{
    BODY_RATE, BODY_TIMEOUT, CERTIFICATE_FILE, HEADER_TIMEOUT, MAX_BODY_BYTES_IN_ALL, MAX_HEADERS,
    MAX_REQUEST_BYTES, MAX_REQUESTS_PER_CONNECTION, ServeError, TLS_TIMEOUT, TlsError, serve,
};
pub use proxy::{BadNetwork, Network};
pub use run::{READY, RunError, run};
