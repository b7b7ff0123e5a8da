//! The listener's own links, over sockets, with TLS and without, against the suite of all links.
#![allow(clippy::unwrap_used, reason = "a test")]

use flexstore_core::link::{Dialer as _, Link};
use flexstore_core::storage::MemoryStorage;
use flexstore_testkit::link::link_conformance;
use flexstore_transports::Transports;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::Tls;

/// A listener that hands out the links that it accepts.
struct Listener {
    scheme: &'static str,
    address: String,
    transports: Transports,
    accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<Link>>,
    _stop: oneshot::Sender<()>,
}

impl Listener {
    async fn start(scheme: &'static str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let encrypted = matches!(scheme, "wss" | "https");
        let tls = encrypted.then(|| Tls::SelfSigned {
            self_signed: vec!["localhost".into(), "127.0.0.1".into()],
        });
        let acceptor = tls.map(|tls| tls::acceptor(&tls, data.path()).unwrap());
        let mut transports = Transports::new();
        if encrypted {
            let pem = std::fs::read(data.path().join(CERTIFICATE_FILE)).unwrap();
            transports = transports.trust(pem).unwrap();
        }
        let config = Config::default();
        let (hub, _) = Hub::start(Arc::new(MemoryStorage::new()), &config).unwrap();
        let (links, accepted) = mpsc::unbounded_channel();
        let native = Box::new(move |link| {
            links.send(link).unwrap();
            Box::pin(std::future::ready(())) as _
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let (_stopping, stopping) = watch::channel(false);
            let services = Services::new(hub, native, &config, stopping.clone());
            let door = Door::new(services, acceptor, config.stall(), stopping);
            let mut server = Server::new(listener, 100, door);
            tokio::select! {
                () = server.accept() => {}
                _ = stopped => {}
            }
        });
        Self {
            scheme,
            address,
            transports,
            accepted: tokio::sync::Mutex::new(accepted),
            _stop: stop,
        }
    }

    fn service(&self) -> String {
        format!("{}://{}/flexstore", self.scheme, self.address)
    }

    async fn pair(&self) -> (Link, Link) {
        let dialled = self.transports.dial(&self.service()).await.unwrap();
        let accepted = self.accepted.lock().await.recv().await.unwrap();
        (dialled, accepted)
    }
}

async fn conforms(scheme: &'static str) {
    let listener = Listener::start(scheme).await;
    link_conformance(|| listener.pair()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_conforms() {
    conforms("ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_tls_conforms() {
    conforms("wss").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_conform() {
    conforms("http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_tls_conform() {
    conforms("https").await;
}
