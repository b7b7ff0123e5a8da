//! The real relay, where JavaScript clients of this machine reach it.

use tempfile::TempDir;

use crate::support::javascript::{Author, Client};
use crate::support::relay::Relay;

pub struct Place {
    pub relay: Relay,
    _data: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("relay.toml");
        std::fs::write(&config, "webrtc_addresses = ['127.0.0.1']\n").unwrap();
        let store = data.path().join("store");
        let relay = Relay::start(&store, &["--config", config.to_str().unwrap()]);
        Self { relay, _data: data }
    }

    /// As a JavaScript app names the relay.
    pub fn service(&self) -> String {
        format!("http://{}/flexstore", self.relay.address)
    }

    /// Somebody with a JavaScript app; `None` where there is no node.
    pub async fn person(&self) -> Option<(Client, Author)> {
        let client = Client::start().await?;
        client.credentials(&self.service()).await;
        let author = client.create_author().await;
        Some((client, author))
    }
}
