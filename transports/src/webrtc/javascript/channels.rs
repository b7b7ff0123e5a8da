//! The channels of a connection, by their labels.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::webrtc::data_channel::DataChannel;
use flexstore_core::link::LinkError;
use tokio::sync::{mpsc, watch};

use super::{MAX_CHANNELS, MAX_LABEL_BYTES, With};
use crate::webrtc::ConnectError;
use crate::webrtc::connection::Connection;

/// The identifier of the second channel between peers. The first takes the one before, and yet is
/// opened in-band.
const SECOND_IDENTIFIER: u16 = 126;
/// One channel.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) label: Arc<str>,
    pub(super) channel: Arc<dyn DataChannel>,
    /// Whether messages can be sent.
    pub(super) open: watch::Sender<bool>,
    in_band: bool,
}

/// Who opens channels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// We, in-band.
    Ours,
    /// The other side, in-band.
    Theirs,
    /// Both; the first in-band.
    Both,
}

struct State {
    by_label: BTreeMap<Arc<str>, Channel>,
    /// Whether the one that is opened in-band between peers is.
    first: bool,
    /// The label that the other side opens in-band, if we know it.
    awaited: Option<Box<str>>,
    /// Made for labels to come.
    prepared: VecDeque<Arc<dyn DataChannel>>,
}

/// The channels of a connection.
pub(super) struct Channels {
    rule: Rule,
    offered: bool,
    state: Mutex<State>,
    /// Whether a channel was opened in-band, so that the other side is known to be up.
    settled: watch::Sender<bool>,
    /// Those that are new, for whoever reads.
    added: mpsc::UnboundedSender<Channel>,
    pub(super) news: tokio::sync::Mutex<mpsc::UnboundedReceiver<Channel>>,
}

impl Channels {
    pub(super) fn offering(with: With) -> Self {
        let rule = match with {
            With::Relay => Rule::Ours,
            With::Peer => Rule::Both,
        };
        Self::new(rule, true, None)
    }

    pub(super) fn answering(with: With, awaited: Option<&str>) -> Self {
        let rule = match with {
            With::Relay => Rule::Theirs,
            With::Peer => Rule::Both,
        };
        Self::new(rule, false, awaited.map(Into::into))
    }

    fn new(rule: Rule, offered: bool, awaited: Option<Box<str>>) -> Self {
        // As long as there may be channels.
        let (added, news) = mpsc::unbounded_channel();
        Self {
            rule,
            offered,
            state: Mutex::new(State {
                by_label: BTreeMap::new(),
                // Whoever answers has it opened by the other side.
                first: !offered,
                awaited,
                prepared: VecDeque::new(),
            }),
            settled: watch::Sender::new(false),
            added,
            news: tokio::sync::Mutex::new(news),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel of this label, if there is one.
    pub(super) fn get(&self, label: &str) -> Option<Channel> {
        self.lock().by_label.get(label).cloned()
    }

    /// The channel is open.
    pub(super) fn opened(&self, channel: &Channel) {
        channel.open.send_replace(true);
        if channel.in_band {
            self.settled.send_replace(true);
        }
    }

    /// Waits until the other side is up. The crate loses what comes on a channel with an agreed
    /// identifier in the same breath as the last of the handshake.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        // It fails only when the channels are gone.
        let _ = settled.wait_for(|settled| *settled).await;
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Channel> {
        self.lock().by_label.values().cloned().collect()
    }

    /// Whether a frame on an unknown label opens a channel.
    pub(super) fn may_open(&self, label: &str) -> bool {
        let awaited = self.lock().awaited.as_deref() == Some(label);
        self.rule != Rule::Theirs && !awaited
    }

    /// Makes all the channels that peers may want. To the crate, a message for a channel that is
    /// not there yet makes the channel unusable for ever; one that is there keeps it.
    pub(super) async fn prepare(&self, connection: &Connection) -> Result<(), ConnectError> {
        let identifiers = match self.rule {
            Rule::Both => SECOND_IDENTIFIER..SECOND_IDENTIFIER + MAX_CHANNELS as u16 - 1,
            Rule::Ours | Rule::Theirs => 0..0,
        };
        for identifier in identifiers {
            // The identifier is agreed, and the label stays here.
            let channel = connection.channel("", Some(identifier)).await?;
            self.lock().prepared.push_back(channel);
        }
        Ok(())
    }

    /// Opens a channel. It may not be there for the other side yet.
    pub(super) async fn open(
        &self,
        connection: &Connection,
        label: &str,
    ) -> Result<Channel, ConnectError> {
        let prepared = {
            let mut state = self.lock();
            if state.by_label.len() >= MAX_CHANNELS || !usable(label) {
                return Err(ConnectError::Protocol);
            }
            if self.rule == Rule::Both && std::mem::replace(&mut state.first, true) {
                Some(state.prepared.pop_front().ok_or(ConnectError::Protocol)?)
            } else {
                None
            }
        };
        let in_band = prepared.is_none();
        let channel = match prepared {
            Some(channel) => channel,
            None => connection.channel(label, None).await?,
        };
        Ok(self.put(label.into(), channel, in_band))
    }

    /// Takes a channel that the other side opened. `Err` if it may not.
    pub(super) async fn announced(&self, channel: Arc<dyn DataChannel>) -> Result<(), LinkError> {
        let label = channel.label().await;
        let label: Arc<str> = label.map_err(|_| LinkError::Protocol)?.into();
        {
            let mut state = self.lock();
            let expected = match self.rule {
                Rule::Ours => false,
                Rule::Theirs => true,
                // The first, from whoever offered.
                Rule::Both => {
                    !self.offered && state.awaited.as_deref().is_none_or(|l| l == &*label)
                }
            };
            if !expected || !usable(&label) || state.by_label.len() >= MAX_CHANNELS {
                return Err(LinkError::Protocol);
            }
            state.awaited = None;
        }
        let channel = self.put(label, channel, true);
        self.opened(&channel);
        Ok(())
    }

    fn put(&self, label: Arc<str>, channel: Arc<dyn DataChannel>, in_band: bool) -> Channel {
        let channel = Channel {
            label: Arc::clone(&label),
            channel,
            open: watch::Sender::new(false),
            in_band,
        };
        self.lock().by_label.insert(label, channel.clone());
        // Fails only when nobody reads any more.
        let _ = self.added.send(channel.clone());
        channel
    }

    /// Forgets a channel that is closed. `None` if the label is another's by now, or was forgotten;
    /// else whether it was the last.
    pub(super) fn closed(&self, channel: &Channel) -> Option<bool> {
        let mut state = self.lock();
        let current = state.by_label.get(&channel.label)?;
        if !Arc::ptr_eq(&current.channel, &channel.channel) {
            return None;
        }
        state.by_label.remove(&channel.label);
        Some(state.by_label.is_empty())
    }
}

/// A label that a frame can carry.
pub(super) fn usable(label: &str) -> bool {
    !label.is_empty() && label.len() <= MAX_LABEL_BYTES && !label.contains('\0')
}
