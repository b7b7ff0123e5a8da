//! The relay, as a process of its own: this program once more, with `relay` as its first word.
//! In earnest it is the binary `flexstore-relay`, somewhere else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use crate::Result;

const START_TIMEOUT: Duration = Duration::from_secs(15);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A port that was just in use may need a moment.
const RESTARTS: u32 = 5;

/// The child's side.
pub(crate) async fn serve(listen: SocketAddr, data: PathBuf) -> Result<()> {
    let mut config = flexstore_relay::Config::default();
    config.listen = listen;
    config.data = data;
    tokio::select! {
        ran = flexstore_relay::run(config) => Ok(ran?),
        // The parent holds the other end: when it is gone, however it went, so is the relay.
        () = parent_gone() => Ok(()),
    }
}

async fn parent_gone() {
    // On a thread of its own, and not tokio's stdin, which would keep the process from ending.
    let (gone, parent) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = parent.await;
}

/// By which transport all sync with the relay. No TLS: nobody is on the way to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// `ws://`
    Websocket,
    /// `http://`: requests and an event stream
    Https,
}

/// A running relay. Killed when dropped.
pub(crate) struct Relay {
    child: Child,
    /// Open for as long as the relay shall live.
    lifeline: Option<ChildStdin>,
    address: SocketAddr,
    data: PathBuf,
}

impl Relay {
    /// Starts one on a free port.
    pub(crate) async fn start(data: &Path) -> Result<Self> {
        Self::start_on(data, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let mut tries = 0;
        loop {
            match Self::start_on(&self.data, self.address).await {
                Ok(relay) => {
                    *self = relay;
                    return Ok(());
                }
                Err(error) if tries == RESTARTS => return Err(error),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
            tries += 1;
        }
    }

    async fn start_on(data: &Path, listen: SocketAddr) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["relay", "--listen", &listen.to_string(), "--data"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start the relay: {error}"))?;
        let stdout = child.stdout.take().ok_or("the relay has no stdout")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = timeout(START_TIMEOUT, stdout.read_line(&mut line));
        read.await.map_err(|_| "the relay does not get ready")??;
        let Some(address) = line.trim().strip_prefix(flexstore_relay::READY) else {
            let mut words = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                let _ = timeout(START_TIMEOUT, stderr.read_to_string(&mut words)).await;
            }
            let words = words.trim().trim_start_matches("quickstart: ");
            return Err(format!("the relay did not start: {words}").into());
        };
        Ok(Self {
            address: address.parse()?,
            data: data.to_owned(),
            lifeline: child.stdin.take(),
            child,
        })
    }

    /// What a collection is told to sync with.
    pub(crate) fn service(&self, transport: Transport) -> String {
        let scheme = match transport {
            Transport::Websocket => "ws",
            Transport::Https => "http",
        };
        format!("{scheme}://{}/flexstore", self.address)
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// SIGKILL: no last word, no flush.
    pub(crate) async fn kill(&mut self) -> Result<ExitStatus> {
        self.child.start_kill()?;
        Ok(self.child.wait().await?)
    }

    /// Lets it go.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.lifeline.take());
        if timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}
