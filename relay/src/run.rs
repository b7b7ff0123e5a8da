//! A relay from its configuration to its end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use flexstore_storage::{OpenError, Options};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::http::{prepare, serve_with};
use crate::{Config, ServeError, descriptors};

/// The line on stdout that says that the relay is ready; its address follows.
pub const READY: &str = "flexstore-relay listening on ";

/// Why a relay did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The store does not open.
    #[error("cannot open the data directory {}: {source}", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Signals cannot be waited for, or nobody can be told that the relay is ready.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
    /// It did not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Opens the store, listens, prints the one line [`READY`] with the address, and serves until
/// SIGTERM or SIGINT. Then links are closed, what is written is made durable, and the store is
/// closed.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config) -> Result<(), RunError> {
    // Before anything is open, so that no signal finds it half open.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    descriptors::raise(config.max_connections);
    let options = Options::new(config.storage.into()).with_cache_bytes(config.cache_mib << 20);
    let storage =
        flexstore_storage::open(&config.data, options).map_err(|source| RunError::Open {
            path: config.data.clone(),
            source,
        })?;
    let keys = prepare(&config).map_err(ServeError::from)?;
    let address = config.listen;
    let listening = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    tracing::info!(%address, data = %config.data.display(), "ready");
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{READY}{address}")?;
    stdout.flush()?;
    drop(stdout);
    serve_with(keys, config, listener, storage, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
    .await?;
    Ok(())
}
