//! The task that carries texts between the channels and the link.

use std::collections::VecDeque;

use ::webrtc::data_channel::DataChannelEvent;
use bytes::Bytes;
use flexstore_core::link::LinkError;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Duration, sleep, timeout};

use super::channels::{Channel, Channels, usable};
use super::{SEND_BUFFER_BYTES, SLOW};
use crate::webrtc::connection::{Announced, Connection};
use crate::webrtc::pipe::{Outbox, Pipe};
use crate::webrtc::{LINGER, MAX_MESSAGE_BYTES};

/// What may wait to be sent before the sender has to, in bytes.
const OUTBOX_BYTES: usize = 128 << 10;
/// How often it is asked what is not yet acknowledged, while that is too much.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// The queue between the link and the task.
pub(super) type TextPipe = Pipe<Texts>;

/// Texts on their way out.
#[derive(Default)]
pub(super) struct Texts {
    texts: VecDeque<Text>,
    bytes: usize,
}

/// One of them. An empty one closes the channel.
pub(super) struct Text {
    label: Box<str>,
    text: Box<str>,
}

impl Outbox for Texts {
    type Message = Text;
    const BYTES: usize = OUTBOX_BYTES;

    fn push(&mut self, frame: Bytes) -> Result<(), LinkError> {
        let frame = std::str::from_utf8(&frame).map_err(|_| LinkError::Protocol)?;
        let (label, text) = frame.split_once('\0').ok_or(LinkError::Protocol)?;
        if !usable(label) {
            return Err(LinkError::Protocol);
        }
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(LinkError::TooLong);
        }
        self.bytes += frame.len();
        self.texts.push_back(Text {
            label: label.into(),
            text: text.into(),
        });
        Ok(())
    }

    fn take(&mut self) -> Option<Text> {
        let text = self.texts.pop_front()?;
        self.bytes -= text.label.len() + 1 + text.text.len();
        Some(text)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Carries both ways until the link is over, and closes the connection.
pub(super) async fn run(mut connection: Connection, channels: Channels, pipe: TextPipe) {
    let mut announced = connection.announcements();
    let over = {
        let read = read(&channels, &pipe, &mut announced);
        tokio::pin!(read);
        let over = tokio::select! {
            how = &mut read => Some(how),
            how = write(&connection, &channels, &pipe) => how.err().map(Err),
            error = connection.over() => Some(Err(error)),
        };
        match over {
            Some(over) => over,
            // All was sent. Until it has arrived, what still comes is read.
            None => tokio::select! {
                how = &mut read => how,
                () = arrived(&channels) => Ok(()),
                error = connection.over() => Err(error),
            },
        }
    };
    pipe.end(over);
    connection.close().await;
}

/// Everything that was sent is acknowledged, or a little while is over.
async fn arrived(channels: &Channels) {
    let arrived = async {
        while outstanding(channels).await > 0 {
            sleep(ASK_AGAIN).await;
        }
    };
    let _ = timeout(LINGER, arrived).await;
}

/// What was sent on all channels and is not acknowledged.
async fn outstanding(channels: &Channels) -> usize {
    let mut sum = 0;
    for channel in channels.all() {
        sum += channel.channel.outstanding_bytes().await.unwrap_or(0);
    }
    sum
}

/// Until nobody wants to send any more.
async fn write(
    connection: &Connection,
    channels: &Channels,
    pipe: &TextPipe,
) -> Result<(), LinkError> {
    // What was sent since it was last asked what is not acknowledged.
    let mut since = 0;
    while let Some(Text { label, text }) = pipe.next().await {
        let channel = match channels.get(&label) {
            Some(channel) => channel,
            None if text.is_empty() || !channels.may_open(&label) => continue,
            None => {
                let opened = channels.open(connection, &label).await;
                opened.map_err(|_| LinkError::Protocol)?
            }
        };
        since += text.len();
        let sent = timeout(SLOW, async {
            while since >= SEND_BUFFER_BYTES {
                if outstanding(channels).await < SEND_BUFFER_BYTES {
                    since = 0;
                } else {
                    sleep(ASK_AGAIN).await;
                }
            }
            channels.settled().await;
            send(&channel, &text).await
        });
        // A slow reader is closed, not buffered for.
        if !sent.await.map_err(|_| LinkError::Gone)? {
            channels.closed(&channel);
        }
    }
    Ok(())
}

/// Sends a text, or closes the channel. Says whether there still is one.
async fn send(channel: &Channel, text: &str) -> bool {
    let mut open = channel.open.subscribe();
    if open.wait_for(|open| *open).await.is_err() {
        return false;
    }
    if !text.is_empty() {
        return channel.channel.send_text(text).await.is_ok();
    }
    // To close discards what was not acknowledged.
    while channel
        .channel
        .outstanding_bytes()
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        sleep(ASK_AGAIN).await;
    }
    let _ = channel.channel.close().await;
    true
}

type Happening = BoxFuture<'static, (Channel, Option<DataChannelEvent>)>;

fn next(channel: Channel) -> Happening {
    Box::pin(async move {
        let event = channel.channel.poll().await;
        (channel, event)
    })
}

/// Until the last channel closes.
async fn read(
    channels: &Channels,
    pipe: &TextPipe,
    announced: &mut Announced,
) -> Result<(), LinkError> {
    let mut news = channels.news.lock().await;
    let mut happenings = FuturesUnordered::new();
    loop {
        pipe.room().await;
        tokio::select! {
            channel = announced.recv() => match channel {
                Some(channel) => channels.announced(channel).await?,
                None => return Err(LinkError::Gone),
            },
            Some(channel) = news.recv() => happenings.push(next(channel)),
            Some((channel, event)) = happenings.next() => {
                match event {
                    Some(DataChannelEvent::OnMessage(message)) => {
                        let text = std::str::from_utf8(&message.data);
                        let text = text.map_err(|_| LinkError::Protocol)?;
                        if !message.is_string {
                            return Err(LinkError::Protocol);
                        }
                        if text.len() > MAX_MESSAGE_BYTES {
                            return Err(LinkError::TooLong);
                        }
                        // An empty one is no message, and would read as the end.
                        if !text.is_empty() {
                            pipe.deliver(frame(&channel, text));
                        }
                    }
                    None | Some(DataChannelEvent::OnClose) => {
                        let last = channels.closed(&channel);
                        if last.is_some() {
                            pipe.deliver(frame(&channel, ""));
                        }
                        if last == Some(true) {
                            return Ok(());
                        }
                        continue;
                    }
                    Some(DataChannelEvent::OnOpen) => channels.opened(&channel),
                    Some(_) => {}
                }
                happenings.push(next(channel));
            }
        }
    }
}

fn frame(channel: &Channel, text: &str) -> Bytes {
    let label = channel.label.as_bytes();
    Bytes::from([label, b"\0", text.as_bytes()].concat())
}
