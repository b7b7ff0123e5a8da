//! A relay's memory for each item: how much its resident set grows between 100,000 and 1,000,000
//! items, with the cache set to its least.
//!
//! The relay is a process of its own, on fjall. The items are signed, have payloads of 200 bytes
//! (bodies rest on disk, so their size does not matter) and come over a WebSocket as live pushes.

use std::collections::VecDeque;
use std::time::Duration;

use flexstore::{Dialer as _, link::Link};
use flexstore_core::SigningKey;
use flexstore_core::wire::{Message, PROTOCOL_VERSION};
use flexstore_transports::Transports;
use futures_util::{SinkExt as _, StreamExt as _};

use crate::child::Process;
use crate::machine::directory;
use crate::report::{Goal, Line, Report};
use crate::{Outcome, work};

const CHANNEL: u32 = 0;
const PAYLOAD: usize = 200;
/// Records a frame, and frames that are not acknowledged.
const RECORDS: usize = 256;
const FRAMES: usize = 8;
/// For memtables and buffers to come to rest.
const REST: Duration = Duration::from_secs(3);

pub(crate) fn run(report: &mut Report) -> Outcome {
    if !report.wants("relay") {
        return Ok(());
    }
    let (few, many) = (report.size(100_000, 5_000), report.size(1_000_000, 20_000));
    let place = directory()?;
    let (relay, service) = Process::relay(&place.path().join("relay"), "0")?;
    let (before, after) = work::runtime()?.block_on(async {
        let mut source = Source::connect(&service).await?;
        source.push(0..few).await?;
        tokio::time::sleep(REST).await;
        let before = relay.memory("VmRSS")?;
        source.push(few..many).await?;
        tokio::time::sleep(REST).await;
        Outcome::Ok((before, relay.memory("VmRSS")?))
    })?;
    relay.stop()?;
    let grown = after as f64 - before as f64;
    let line = Line::new("memory", "relay", grown / (many - few) as f64, "bytes/item")
        .goal(Goal::AtMost(150.0))
        .with("rss_few", before)
        .with("rss_many", after)
        .with("items", many)
        .with("payload_bytes", PAYLOAD);
    report.line(&line);
    Ok(())
}

/// A client that keeps nothing.
struct Source {
    link: Link,
    authors: Vec<SigningKey>,
    sent: u64,
    acknowledged: u64,
}

impl Source {
    async fn connect(service: &str) -> Outcome<Self> {
        let mut link = Transports::new().dial(service).await?;
        let open = Message::Open {
            oldest: PROTOCOL_VERSION,
            newest: PROTOCOL_VERSION,
            collection: work::id()?,
            replica: [9; 16],
            filter: Default::default(),
            summary: Default::default(),
        };
        link.outgoing.send(open.encode(CHANNEL)).await?;
        let mut source = Self {
            link,
            authors: work::authors(16),
            sent: 0,
            acknowledged: 0,
        };
        match source.next().await? {
            Message::Welcome { .. } => Ok(source),
            _ => Err("the relay did not welcome".into()),
        }
    }

    async fn next(&mut self) -> Outcome<Message> {
        let frame = self.link.incoming.next().await.ok_or("the relay left")??;
        Ok(Message::decode(&frame)?.1)
    }

    async fn push(&mut self, items: std::ops::Range<usize>) -> Outcome {
        let mut under_way = VecDeque::new();
        let mut from = items.start;
        while from < items.end || !under_way.is_empty() {
            while from < items.end && under_way.len() < FRAMES {
                let to = (from + RECORDS).min(items.end);
                let texts: Result<Vec<_>, _> = (from..to).map(|n| self.text(n)).collect();
                self.sent += (to - from) as u64;
                under_way.push_back(self.sent);
                let frame = Message::Records(texts?).encode(CHANNEL);
                self.link.outgoing.send(frame).await?;
                from = to;
            }
            match self.next().await? {
                Message::Acknowledge(count) => self.acknowledged = count,
                Message::Refused { .. } | Message::Close(_) => {
                    return Err("the relay refused".into());
                }
                _ => {}
            }
            while under_way
                .front()
                .is_some_and(|sent| *sent <= self.acknowledged)
            {
                under_way.pop_front();
            }
        }
        Ok(())
    }

    fn text(&self, n: usize) -> Outcome<bytes::Bytes> {
        let payload = format!("{n:020}").repeat(PAYLOAD / 20);
        let author = &self.authors[n % self.authors.len()];
        Ok(work::record(n, &payload, author)?.text().clone())
    }
}
