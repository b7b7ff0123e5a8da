//! The native link: one ordered, reliable channel.

use std::sync::Arc;

use ::webrtc::data_channel::{DataChannel, DataChannelEvent};
use bytes::{Bytes, BytesMut};
use flexstore_core::link::{Link, LinkError, Protocol, Side};
use tokio::time::timeout;

use super::connection::{Connection, SEND_BUFFER_BYTES};
use super::description::Description;
use super::frames::{self, Cutter, Joiner, Met};
use super::pipe::{Outbox, Pipe, pipe};
use super::{ConnectError, LINGER, Settings};

/// The label of the one channel.
const LABEL: &str = "flexstore";
/// What may wait to be sent before the sender has to, in bytes.
const OUTBOX_BYTES: usize = 256 << 10;

impl Outbox for Cutter {
    type Message = BytesMut;
    const BYTES: usize = OUTBOX_BYTES;

    fn push(&mut self, frame: Bytes) -> Result<(), LinkError> {
        Cutter::push(self, frame);
        Ok(())
    }

    fn take(&mut self) -> Option<BytesMut> {
        Cutter::take(self)
    }

    fn bytes(&self) -> usize {
        Cutter::bytes(self)
    }
}

/// One who offers, before the answer is there.
pub(crate) struct Offering {
    connection: Connection,
    channel: Arc<dyn DataChannel>,
}

/// One who answered, before it was reached.
pub(crate) struct Answering(Connection);

/// Starts, and says what to tell the other side.
pub(crate) async fn offer(settings: &Settings) -> Result<(Offering, Description), ConnectError> {
    // The other side has no channels to open.
    let mut connection = Connection::open(settings, 1, SEND_BUFFER_BYTES).await?;
    let channel = connection.channel(LABEL, None).await?;
    let description = connection.offer().await?;
    let offering = Offering {
        connection,
        channel,
    };
    Ok((offering, description))
}

/// The end that made the offer.
pub(crate) async fn dialled(
    offering: Offering,
    answer: &Description,
    settings: &Settings,
) -> Result<Link, ConnectError> {
    let Offering {
        mut connection,
        channel,
    } = offering;
    connection.accept(answer).await?;
    connection.reached(answer, settings).await?;
    let opened = timeout(settings.connecting, opened(&*channel)).await;
    opened.map_err(|_| ConnectError::Unreachable)??;
    Ok(link(connection, channel, Side::Dialled))
}

/// Answers, and says what to tell the other side.
pub(crate) async fn answer(
    offer: &Description,
    settings: &Settings,
) -> Result<(Answering, Description), ConnectError> {
    let mut connection = Connection::open(settings, 1, SEND_BUFFER_BYTES).await?;
    let description = connection.answer(offer).await?;
    Ok((Answering(connection), description))
}

/// The end that answered.
pub(crate) async fn accepted(
    Answering(mut connection): Answering,
    offer: &Description,
    settings: &Settings,
) -> Result<Link, ConnectError> {
    connection.reached(offer, settings).await?;
    let channel = timeout(settings.connecting, connection.announced()).await;
    let channel = channel.ok().flatten().ok_or(ConnectError::Unreachable)?;
    if !channel.label().await.is_ok_and(|label| label == LABEL) {
        return Err(ConnectError::Protocol);
    }
    Ok(link(connection, channel, Side::Accepted))
}

async fn opened(channel: &dyn DataChannel) -> Result<(), ConnectError> {
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnOpen => return Ok(()),
            DataChannelEvent::OnClose | DataChannelEvent::OnError => break,
            _ => {}
        }
    }
    Err(ConnectError::Unreachable)
}

fn link(connection: Connection, channel: Arc<dyn DataChannel>, side: Side) -> Link {
    let name = match side {
        Side::Dialled => "webrtc, offered",
        Side::Accepted => "webrtc, answered",
    };
    let (pipe, link) = pipe(name.into(), side, Protocol::Native);
    tokio::spawn(async move { run(connection, &*channel, &pipe).await });
    link
}

/// Carries both ways until the link is over, and closes the connection.
async fn run(connection: Connection, channel: &dyn DataChannel, pipe: &Pipe<Cutter>) {
    let mut joiner = Joiner::default();
    let mut said = false;
    let mut over = tokio::select! {
        how = read(channel, pipe, &mut joiner) => how,
        how = write(channel, pipe) => {
            said = true;
            how
        },
        error = connection.over() => Err(error),
    };
    if said && over.is_ok() {
        // What the other side sent before it heard our goodbye is read.
        over = tokio::select! {
            how = read(channel, pipe, &mut joiner) => how,
            () = linger(pipe) => Err(LinkError::Gone),
            error = connection.over() => Err(error),
        };
    }
    let well = over.is_ok();
    pipe.end(over);
    if well {
        let _ = timeout(LINGER, part(channel, &mut joiner, said)).await;
    }
    connection.close().await;
}

/// What waits, and then goodbye.
async fn write(channel: &dyn DataChannel, pipe: &Pipe<Cutter>) -> Result<(), LinkError> {
    while let Some(message) = pipe.next().await {
        channel.send(message).await.map_err(|_| LinkError::Gone)?;
    }
    let sent = channel.send(frames::goodbye()).await;
    sent.map_err(|_| LinkError::Gone)
}

/// Until the other side says goodbye.
async fn read(
    channel: &dyn DataChannel,
    pipe: &Pipe<Cutter>,
    joiner: &mut Joiner,
) -> Result<(), LinkError> {
    loop {
        pipe.room().await;
        match channel.poll().await {
            Some(DataChannelEvent::OnMessage(message)) => {
                if message.is_string {
                    return Err(LinkError::Protocol);
                }
                match joiner.message(message.data.freeze(), |frame| pipe.deliver(frame))? {
                    Met::More => {}
                    Met::Goodbye => return Ok(()),
                    Met::Heard => return Err(LinkError::Protocol),
                }
            }
            None | Some(DataChannelEvent::OnClose | DataChannelEvent::OnError) => {
                return Err(LinkError::Gone);
            }
            Some(_) => {}
        }
    }
}

/// Tells the other side that all was read, and waits until it says the same or is gone.
async fn part(channel: &dyn DataChannel, joiner: &mut Joiner, said: bool) -> Option<()> {
    if !said {
        channel.send(frames::goodbye()).await.ok()?;
    }
    channel.send(frames::heard()).await.ok()?;
    loop {
        let heard = match channel.poll().await? {
            DataChannelEvent::OnMessage(message) => {
                joiner.message(message.data.freeze(), |_| ()) == Ok(Met::Heard)
            }
            DataChannelEvent::OnClose | DataChannelEvent::OnError => true,
            _ => false,
        };
        if heard {
            return Some(());
        }
    }
}

/// How long to wait for the other side's goodbye: as long as somebody reads, and then a little.
async fn linger(pipe: &Pipe<Cutter>) {
    pipe.deaf().await;
    tokio::time::sleep(LINGER).await;
}
