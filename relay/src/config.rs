//! What can be set, and the defaults of all of it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flexstore_storage::Engine;
use serde::Deserialize;

use crate::proxy::Network;

/// What a relay is started with. Every field has a default that works.
///
/// ```
/// let config: flexstore_relay::Config = "listen = '127.0.0.1:0'".parse()?;
/// assert_eq!(config.listen.port(), 0);
/// assert!("lisen = 'x'".parse::<flexstore_relay::Config>().is_err());
/// # Ok::<(), flexstore_relay::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 for a free one. `127.0.0.1:3000` by default.
    pub listen: SocketAddr,
    /// The data directory, made if it is not there. `flexstore-data` by default.
    pub data: PathBuf,
    /// The storage engine, `fjall` by default.
    pub storage: EngineName,
    /// Memory for blocks that were read from the disk, in MiB. 32 by default; the engine's least
    /// if less.
    pub cache_mib: u64,
    /// The most connections at a time; who comes beyond is answered 503. 10,000 by default.
    pub max_connections: usize,
    /// The most collections open at a time; a channel for another is closed with `Limit`. 10,000
    /// by default.
    pub max_collections: usize,
    /// After how many seconds a collection that nobody uses gives its memory back. 60 by default.
    pub idle_seconds: u64,
    /// For how many seconds a peer may take nothing of what is sent to it. 20 by default.
    pub stall_seconds: u64,
    /// Web pages of these origins may connect. None by default: a request that names an origin
    /// comes from a page, and pages have not been asked in.
    ///
    /// `"*"` asks in all pages.
    pub origins: Vec<String>,
    /// The addresses at which JavaScript clients reach this relay over WebRTC (UDP, any port). All
    /// that the machine has by default.
    pub webrtc_addresses: Vec<IpAddr>,
    /// Relays to sync with, as services: `["wss://relay.example/flexstore"]`. None by default.
    /// Name each other on both sides.
    pub peers: Vec<String>,
    /// Speaks TLS, and nothing else, on the same port: `https://` and `wss://`. Off by default.
    pub tls: Option<Tls>,
    /// What is served: all by default. The paths of what is not answer 404.
    pub services: Vec<Service>,
    /// Proxies before the relay, addresses or networks. What they say in `X-Forwarded-For` counts
    /// as the address of a client; of others it is not believed. None by default.
    pub trusted_proxies: Vec<Network>,
    /// Of the service `signal`.
    pub signal: SignalConfig,
}

/// A service of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Service {
    /// Replicates collections.
    Hub,
    /// Rendezvous: slots, topics, and the routes by which JavaScript clients meet.
    Signal,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Hub, Self::Signal];
}

/// What can be set of the service `signal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SignalConfig {
    /// Whether clients on this machine are free of the limits for each address. Not by default: a
    /// proxy on this machine that is not named as trusted would free everybody.
    pub exempt_loopback: bool,
}

/// Where the certificate comes from.
///
/// ```
/// use flexstore_relay::{Config, Tls};
///
/// let config: Config = "tls = { certificate = 'chain.pem', key = 'key.pem' }".parse()?;
/// assert!(matches!(config.tls, Some(Tls::Files { .. })));
/// let config: Config = "tls = { self_signed = ['localhost', '127.0.0.1'] }".parse()?;
/// assert!(matches!(config.tls, Some(Tls::SelfSigned { .. })));
/// assert!("tls = { certificate = 'chain.pem' }".parse::<Config>().is_err());
/// # Ok::<(), flexstore_relay::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[non_exhaustive]
pub enum Tls {
    /// Files in the form of PEM.
    Files {
        /// The certificate, then those of the authorities up to the root.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// For tests: a new one at every start, written to `relay-certificate.pem` in the data
    /// directory, so that a client can be told to trust it.
    SelfSigned {
        /// The host names and addresses that it is for.
        self_signed: Vec<String>,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            data: PathBuf::from("flexstore-data"),
            storage: EngineName::Fjall,
            cache_mib: 32,
            max_connections: 10_000,
            max_collections: 10_000,
            idle_seconds: 60,
            stall_seconds: 20,
            origins: Vec::new(),
            webrtc_addresses: Vec::new(),
            peers: Vec::new(),
            tls: None,
            services: Service::ALL.to_vec(),
            trusted_proxies: Vec::new(),
            signal: SignalConfig::default(),
        }
    }
}

/// The name of a storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// The default.
    #[default]
    Fjall,
    /// The other.
    Sled,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Fjall => Self::Fjall,
            EngineName::Sled => Self::Sled,
        }
    }
}

/// Why a configuration is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, or has a setting that is not known or out of bounds.
    #[error(transparent)]
    Syntax(#[from] toml::de::Error),
}

impl std::str::FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        text.parse()
    }

    pub(crate) fn serves(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    pub(crate) const fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    pub(crate) const fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }
}
