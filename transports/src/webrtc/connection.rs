//! One peer connection of the `webrtc` crate: made, described, verified, and closed for sure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ::webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use ::webrtc::error::Error as CrateError;
use ::webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceGatheringState, RTCIceServer, RTCPeerConnectionState,
    RTCSessionDescription, RTCStatsReportEntry, SettingEngineBuilder, StatsSelector,
};
use flexstore_core::link::LinkError;
use tokio::sync::{mpsc, watch};

use super::description::{Description, Role};
use super::{ConnectError, GATHERING, Settings, Turn, host};

/// What may have been sent on one channel and not yet be acknowledged.
pub const SEND_BUFFER_BYTES: usize = 1 << 20;

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not there yet.
    Connecting,
    /// The other side was reached, and has the certificate that the crate was told.
    Connected,
    /// It is over.
    Over(LinkError),
}

/// What the crate calls when something happens.
struct Events {
    gathered: watch::Sender<bool>,
    status: watch::Sender<Status>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
}

impl Events {
    fn over(&self, error: LinkError) {
        self.status.send_if_modified(|status| {
            let first = !matches!(status, Status::Over(_));
            if first {
                *status = Status::Over(error);
            }
            first
        });
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => {
                self.status.send_if_modified(|status| {
                    let waited = *status == Status::Connecting;
                    if waited {
                        *status = Status::Connected;
                    }
                    waited
                });
            }
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => {
                self.over(LinkError::Gone);
            }
            _ => {}
        }
    }

    /// The crate's driver waits for this, so it must not wait for us.
    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        if self.channels.try_send(channel).is_err() {
            self.over(LinkError::Protocol);
        }
    }
}

/// The channels that the other side opens, as it does.
pub(super) type Announced = mpsc::Receiver<Arc<dyn DataChannel>>;

/// A connection that is closed when this is dropped.
pub(crate) struct Connection {
    /// `None` once it is closed.
    peer: Option<Arc<dyn PeerConnection>>,
    gathered: watch::Receiver<bool>,
    status: watch::Receiver<Status>,
    announced: Announced,
}

impl Connection {
    /// Binds the sockets. The other side may open so many channels; one more ends the connection.
    pub(super) async fn open(
        settings: &Settings,
        channels: usize,
        send_buffer: usize,
    ) -> Result<Self, ConnectError> {
        let (gathered, gathering) = watch::channel(false);
        let (status, states) = watch::channel(Status::Connecting);
        let (announce, announced) = mpsc::channel(channels.max(1));
        let handler = Arc::new(Events {
            gathered,
            status,
            channels: announce,
        });
        let configuration = RTCConfigurationBuilder::new()
            .with_ice_servers(servers(settings))
            .build();
        let engine = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            .with_sctp_max_receive_buffer_size(host::window())
            .build();
        let host = host::Host::runtime()
            .ok_or_else(|| ConnectError::Setup("the webrtc crate has no runtime".into()))?;
        let peer = PeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_setting_engine(engine)
            .with_handler(handler)
            .with_runtime(host)
            .with_udp_addrs(sockets(&settings.addresses))
            .with_data_channel_send_buffer_limit(send_buffer)
            .build()
            .await
            .map_err(setup)?;
        Ok(Self {
            peer: Some(Arc::new(peer)),
            gathered: gathering,
            status: states,
            announced,
        })
    }

    /// A channel of ours. With an identifier, the other side makes the same by itself.
    pub(super) async fn channel(
        &self,
        label: &str,
        identifier: Option<u16>,
    ) -> Result<Arc<dyn DataChannel>, ConnectError> {
        let init = RTCDataChannelInit {
            negotiated: identifier,
            ..RTCDataChannelInit::default()
        };
        let made = self.peer()?.create_data_channel(label, Some(init)).await;
        made.map_err(setup)
    }

    /// What to tell the other side first. There must be a channel already.
    pub(super) async fn offer(&mut self) -> Result<Description, ConnectError> {
        let offer = self.peer()?.create_offer(None).await.map_err(setup)?;
        self.describe(offer, Role::Offer).await
    }

    /// What to tell the other side after its offer.
    pub(super) async fn answer(
        &mut self,
        offer: &Description,
    ) -> Result<Description, ConnectError> {
        let sdp = RTCSessionDescription::offer(offer.sdp()).map_err(setup)?;
        self.peer()?
            .set_remote_description(sdp)
            .await
            .map_err(setup)?;
        let answer = self.peer()?.create_answer(None).await.map_err(setup)?;
        let answer = self.describe(answer, Role::Answer).await?;
        self.candidates(offer).await?;
        Ok(answer)
    }

    /// Takes the other side's answer.
    pub(super) async fn accept(&mut self, answer: &Description) -> Result<(), ConnectError> {
        let sdp = RTCSessionDescription::answer(answer.sdp()).map_err(setup)?;
        self.peer()?
            .set_remote_description(sdp)
            .await
            .map_err(setup)?;
        self.candidates(answer).await
    }

    async fn candidates(&self, remote: &Description) -> Result<(), ConnectError> {
        for (place, candidate) in remote.candidates.iter().enumerate() {
            let init = RTCIceCandidateInit {
                candidate: candidate.text(place + 1),
                sdp_mid: Some(remote.mid.to_string()),
                sdp_mline_index: Some(0),
                ..RTCIceCandidateInit::default()
            };
            // One that the crate does not like leaves the others.
            let _ = self.peer()?.add_ice_candidate(init).await;
        }
        Ok(())
    }

    async fn describe(
        &mut self,
        sdp: RTCSessionDescription,
        role: Role,
    ) -> Result<Description, ConnectError> {
        self.peer()?
            .set_local_description(sdp)
            .await
            .map_err(setup)?;
        // Servers that do not answer cost this long, and no more.
        let gathered = self.gathered.wait_for(|gathered| *gathered);
        let _ = tokio::time::timeout(GATHERING, gathered).await;
        let local = self.peer()?.local_description().await;
        let local = local.ok_or_else(|| ConnectError::Setup("nothing to signal".into()))?;
        Ok(Description::parse(&local.sdp, role)?)
    }

    /// Waits until the other side was reached, and makes sure that it is the one that signalled.
    /// The crate compares too; this holds whatever becomes of that.
    pub(super) async fn reached(
        &mut self,
        remote: &Description,
        settings: &Settings,
    ) -> Result<(), ConnectError> {
        let settled = self.status.wait_for(|status| *status != Status::Connecting);
        let status = tokio::time::timeout(settings.connecting, settled).await;
        let status = status.map_err(|_| ConnectError::Unreachable)?;
        match status.map(|status| status.clone()) {
            Ok(Status::Connected) => {}
            Ok(Status::Over(LinkError::Protocol)) => return Err(ConnectError::Protocol),
            _ => return Err(ConnectError::Unreachable),
        }
        if self.certificate().await == Some(remote.fingerprint) {
            Ok(())
        } else {
            Err(ConnectError::Fingerprint)
        }
    }

    /// SHA-256 of the certificate that the other side showed.
    async fn certificate(&self) -> Option<[u8; 32]> {
        let report = self
            .peer
            .as_ref()?
            .get_stats(Instant::now(), StatsSelector::None)
            .await;
        let remote = report.iter().find_map(|entry| match entry {
            RTCStatsReportEntry::Transport(transport) => Some(&transport.remote_certificate_id),
            _ => None,
        })?;
        let print = report.iter().find_map(|entry| match entry {
            RTCStatsReportEntry::Certificate(certificate) if certificate.stats.id == *remote => {
                Some(&certificate.fingerprint)
            }
            _ => None,
        })?;
        let mut bytes = [0; 32];
        let mut pairs = print.split(':');
        for byte in &mut bytes {
            *byte = u8::from_str_radix(pairs.next()?, 16).ok()?;
        }
        pairs.next().is_none().then_some(bytes)
    }

    /// The next channel that the other side opens.
    pub(super) async fn announced(&mut self) -> Option<Arc<dyn DataChannel>> {
        self.announced.recv().await
    }

    /// All the channels that the other side opens, for one who also needs the connection.
    pub(super) fn announcements(&mut self) -> Announced {
        std::mem::replace(&mut self.announced, mpsc::channel(1).1)
    }

    fn peer(&self) -> Result<&dyn PeerConnection, ConnectError> {
        self.peer.as_deref().ok_or(ConnectError::Unreachable)
    }

    /// Tells the other side, then ends the crate's task, which has the sockets.
    pub(super) async fn close(mut self) {
        if let Some(peer) = self.peer.take() {
            // It fails only where it is closed already.
            let _ = peer.close().await;
        }
    }

    /// Resolves when the connection is over, with why.
    pub(super) async fn over(&self) -> LinkError {
        let mut status = self.status.clone();
        let over = status.wait_for(|status| matches!(status, Status::Over(_)));
        match over.await.as_deref() {
            Ok(Status::Over(error)) => error.clone(),
            _ => LinkError::Gone,
        }
    }
}

impl Drop for Connection {
    /// Closes without anybody waiting.
    fn drop(&mut self) {
        // Without a runtime the crate's task is gone already.
        if let Some(peer) = self.peer.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { peer.close().await });
        }
    }
}

fn servers(settings: &Settings) -> Vec<RTCIceServer> {
    let stun = settings.stun.iter().map(|url| RTCIceServer {
        urls: vec![url.to_string()],
        ..RTCIceServer::default()
    });
    let turn = settings.turn.iter().map(
        |Turn {
             url,
             user,
             password,
         }| RTCIceServer {
            urls: vec![url.to_string()],
            username: user.to_string(),
            credential: password.to_string(),
        },
    );
    stun.chain(turn).collect()
}

/// For the crate, a wildcard is every interface but the loopback.
fn sockets(addresses: &[IpAddr]) -> Vec<String> {
    if addresses.is_empty() {
        return ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"]
            .map(str::to_owned)
            .to_vec();
    }
    let socket = |ip: &IpAddr| std::net::SocketAddr::new(*ip, 0).to_string();
    addresses.iter().map(socket).collect()
}

fn setup(error: CrateError) -> ConnectError {
    ConnectError::Setup(error.to_string().into())
}
