//! The relay's binary: arguments, configuration, [`flexstore_relay::run`].
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flexstore_relay::{Config, EngineName, run, telemetry};

/// Verifies, stores and forwards Flexstore collections, and can read nothing.
#[derive(Parser)]
#[command(name = "flexstore-relay", version)]
struct Arguments {
    /// Where to listen; port 0 for a free one [default: 127.0.0.1:3000]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The data directory, made if it is not there [default: flexstore-data]
    #[arg(long)]
    data: Option<PathBuf>,
    /// The storage engine [default: fjall]
    #[arg(long)]
    storage: Option<EngineName>,
    /// Memory for blocks that were read from the disk, in MiB [default: 32]
    #[arg(long)]
    cache_mib: Option<u64>,
    /// A relay to sync with, such as wss://relay.example/flexstore; may be given several times
    #[arg(long = "peer")]
    peers: Vec<String>,
    /// A TOML file with these and other settings; arguments win
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Arguments {
    fn config(self) -> Result<Config, flexstore_relay::ConfigError> {
        let mut config = self
            .config
            .as_deref()
            .map_or_else(|| Ok(Config::default()), Config::read)?;
        config.listen = self.listen.unwrap_or(config.listen);
        config.data = self.data.unwrap_or(config.data);
        config.storage = self.storage.unwrap_or(config.storage);
        config.cache_mib = self.cache_mib.unwrap_or(config.cache_mib);
        if !self.peers.is_empty() {
            config.peers = self.peers;
        }
        Ok(config)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::install();
    let outcome: Result<(), Box<dyn Error>> = match Arguments::parse().config() {
        Ok(config) => run(config).await.map_err(Into::into),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flexstore-relay: {error}");
            ExitCode::FAILURE
        }
    }
}
