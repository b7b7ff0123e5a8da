//! WebRTC on the loopback, both ends in this process: frames of 16 KiB through our link, against
//! messages of 16 KiB through the bare `webrtc` crate, whose window is made small enough for the
//! kernel's buffers; without that it does a thirtieth.

use std::sync::Arc;
use std::time::Instant;

use ::webrtc::data_channel::{DataChannel, DataChannelEvent};
use ::webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    SettingEngineBuilder,
};
use bytes::{Bytes, BytesMut};
use flexstore_core::link::Link;
use flexstore_transports::rendezvous::{Key, by_hand};
use flexstore_transports::webrtc::{SEND_BUFFER_BYTES, Settings};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;

use crate::report::{Goal, Line, Report, median};
use crate::{Outcome, work};

const MESSAGE_BYTES: usize = 16 << 10;
const NAME: &str = "webrtc crate";
/// The window that the bare crate needs.
const WINDOW_BYTES: u32 = 64 << 10;

pub(crate) fn run(report: &mut Report) -> Outcome {
    if !report.wants("16k") && !report.wants("16k-alone") {
        return Ok(());
    }
    work::runtime()?.block_on(measure(report))
}

async fn measure(report: &mut Report) -> Outcome {
    let mut ours = Ours::connect().await?;
    let mut bare = Bare::connect().await?;
    let rounds = report.size(7, 1);
    let count = report.size(8192, 256);
    let (mut ours_took, mut bare_took) = (Vec::new(), Vec::new());
    // The first round of each warms up and does not count.
    for round in 0..=rounds {
        let rates = (ours.round(count).await?, bare.round(count).await?);
        if round > 0 {
            ours_took.push(rates.0);
            bare_took.push(rates.1);
        }
    }
    let (ours_rate, bare_rate) = (median(ours_took), median(bare_took));
    let line = Line::new("webrtc", "16k", ours_rate, "MB/s")
        .peer(NAME, bare_rate)
        .goal(Goal::AtLeast(0.9))
        .with("rounds", rounds);
    report.line(&line);
    let line = Line::new("webrtc", "16k-alone", ours_rate, "MB/s").goal(Goal::AtLeast(100.0));
    report.line(&line);
    bare.close().await?;
    ours.close().await
}

/// Megabytes a second.
fn rate(count: usize, start: Instant) -> f64 {
    (count * MESSAGE_BYTES) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// Both ends of a link of ours.
struct Ours {
    from: Link,
    to: Link,
}

impl Ours {
    async fn connect() -> Outcome<Self> {
        let key = Key::generate()?;
        let mut settings = Settings::default();
        settings.addresses = vec!["127.0.0.1".parse()?];
        let (offer, text) = by_hand::Offer::make(&settings, &key).await?;
        let (answer, text) = by_hand::Answer::to(&text, &key, &settings).await?;
        let (from, to) = tokio::join!(offer.accept(&text), answer.connected());
        Ok(Self {
            from: from?,
            to: to?,
        })
    }

    async fn round(&mut self, count: usize) -> Outcome<f64> {
        let frame = Bytes::from(vec![7; MESSAGE_BYTES]);
        let start = Instant::now();
        let send = async {
            for _ in 0..count {
                self.from.outgoing.feed(frame.clone()).await?;
            }
            self.from.outgoing.flush().await
        };
        let receive = async {
            for _ in 0..count {
                let frame = self.to.incoming.next().await.ok_or("the link ended")??;
                if frame.len() != MESSAGE_BYTES {
                    return Err("another frame".into());
                }
            }
            Ok::<_, crate::Error>(())
        };
        let (sent, received) = tokio::join!(send, receive);
        sent?;
        received?;
        Ok(rate(count, start))
    }

    async fn close(mut self) -> Outcome {
        Ok(self.from.outgoing.close().await?)
    }
}

/// Both ends of a channel of the bare crate.
struct Bare {
    peers: [Arc<dyn PeerConnection>; 2],
    from: Arc<dyn DataChannel>,
    to: Arc<dyn DataChannel>,
}

struct Events {
    gathered: mpsc::Sender<()>,
    channel: mpsc::Sender<Arc<dyn DataChannel>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let _ = self.channel.try_send(channel);
    }
}

struct End {
    peer: Arc<dyn PeerConnection>,
    gathered: mpsc::Receiver<()>,
    channel: mpsc::Receiver<Arc<dyn DataChannel>>,
}

async fn end() -> Outcome<End> {
    let (gathered, gathering) = mpsc::channel(1);
    let (channel, channels) = mpsc::channel(1);
    let engine = SettingEngineBuilder::new()
        .with_sctp_max_receive_buffer_size(WINDOW_BYTES)
        .build();
    let peer = PeerConnectionBuilder::new()
        .with_setting_engine(engine)
        .with_handler(Arc::new(Events { gathered, channel }))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .with_data_channel_send_buffer_limit(SEND_BUFFER_BYTES)
        .build()
        .await?;
    Ok(End {
        peer: Arc::new(peer),
        gathered: gathering,
        channel: channels,
    })
}

impl Bare {
    async fn connect() -> Outcome<Self> {
        let (mut a, mut b) = (end().await?, end().await?);
        let from = a.peer.create_data_channel("bench", None).await?;
        let offer = a.peer.create_offer(None).await?;
        a.peer.set_local_description(offer).await?;
        a.gathered.recv().await.ok_or("nothing gathered")?;
        let offer = a.peer.local_description().await.ok_or("no offer")?;
        b.peer.set_remote_description(offer).await?;
        let answer = b.peer.create_answer(None).await?;
        b.peer.set_local_description(answer).await?;
        b.gathered.recv().await.ok_or("nothing gathered")?;
        let answer = b.peer.local_description().await.ok_or("no answer")?;
        a.peer.set_remote_description(answer).await?;
        let to = b.channel.recv().await.ok_or("no channel")?;
        while !matches!(from.poll().await.ok_or("closed")?, DataChannelEvent::OnOpen) {}
        Ok(Self {
            peers: [a.peer, b.peer],
            from,
            to,
        })
    }

    async fn round(&mut self, count: usize) -> Outcome<f64> {
        let message = BytesMut::from(&vec![7; MESSAGE_BYTES][..]);
        let start = Instant::now();
        let from = Arc::clone(&self.from);
        let send = tokio::spawn(async move {
            for _ in 0..count {
                from.send(message.clone()).await?;
            }
            Ok::<_, ::webrtc::error::Error>(())
        });
        let mut received = 0;
        while received < count * MESSAGE_BYTES {
            if let DataChannelEvent::OnMessage(message) = self.to.poll().await.ok_or("closed")? {
                received += message.data.len();
            }
        }
        send.await??;
        Ok(rate(count, start))
    }

    async fn close(self) -> Outcome {
        for peer in self.peers {
            peer.close().await?;
        }
        Ok(())
    }
}
