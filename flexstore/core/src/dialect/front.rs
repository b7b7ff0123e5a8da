//! The channels of one collection.

use std::collections::{BTreeMap, VecDeque};

use super::ended::Ended;
use super::session::{Role, Session};
use super::view::{Roots, View};
use crate::record::{SigningKey, js};
use crate::register::Row;
use crate::sync::{Origin, Output, Replica, SessionId, Ticket};
use crate::{Kind, Tag};

/// How long after a version came from an original its root may take, in milliseconds, before the
/// others are told of one that is derived. The original sends both at once, on two channels.
pub const ROOT_DELAY_MS: u64 = 200;
/// Subjects whose roots are waited for at a time; of more the root is told at once.
const MAX_LATER: usize = 4096;

/// The JavaScript front of one replica, of a collection of the js profile.
///
/// It is driven beside the replica: give it every output of the replica's ([`Front::observe`]) and
/// what comes on each channel ([`Front::receive`]), then pull frames from each channel whose peer
/// reads ([`Front::poll`]), and close those that it names ([`Front::poll_ended`]).
///
/// ```
/// # use std::sync::Arc;
/// # use flexstore_core::{*, dialect::*, record::js::Shelf, storage::*, sync::*};
/// let shelf = Shelf::parse("MutableCollection/notes")?;
/// let storage = Arc::new(MemoryStorage::new());
/// let mut replica = Replica::open(storage, shelf.collection().clone(), Settings::default())?;
/// let mut front = Front::new(Some(SigningKey::from_seed(&[1; 32])));
/// let (now, channel) = (1_700_000_000_000, SessionId(1));
/// front.open(now, channel, shelf, Role::Passive);
/// let now = now + VERSIONS_DELAY_MS;
/// let frame = front.poll(now, channel, &mut replica);
/// assert_eq!(frame.as_deref(), Some(r#"{"method":"versions","params":[17,17]}"#));
/// front.receive(now, channel, "no message", &mut replica);
/// assert_eq!(front.poll_ended(), Some((channel, Ended::Message(MessageError::NotJson))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Front {
    signer: Option<SigningKey>,
    channels: BTreeMap<SessionId, Channel>,
    tickets: BTreeMap<Ticket, (SessionId, Option<Tag>)>,
    /// When to tell of the root of a subject.
    later: BTreeMap<Tag, u64>,
    /// Roots looked up since their subjects changed, so that many channels cost one look.
    roots: Roots,
    ended: VecDeque<(SessionId, Ended)>,
}

struct Channel {
    session: Session,
    shelf: js::Shelf,
}

impl Channel {
    fn is_roots(&self) -> bool {
        self.shelf.collection().kind() == Kind::Versioned && !self.shelf.holds_states()
    }
}

impl Front {
    /// With the key that signs derived roots. Without one only roots are shown that an owner
    /// signed.
    #[must_use]
    pub const fn new(signer: Option<SigningKey>) -> Self {
        Self {
            signer,
            channels: BTreeMap::new(),
            tickets: BTreeMap::new(),
            later: BTreeMap::new(),
            roots: Roots::new(),
            ended: VecDeque::new(),
        }
    }

    /// Whether no channel is open.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.channels.is_empty()
    }

    /// A channel is open, to one of the replica's shelves. Its number is one that no session of
    /// the replica has.
    pub fn open(&mut self, now: u64, channel: SessionId, shelf: js::Shelf, role: Role) {
        let session = Session::new(role, now);
        self.channels.insert(channel, Channel { session, shelf });
    }

    /// A channel is closed, or its connection is gone.
    pub fn close(&mut self, channel: SessionId) {
        self.channels.remove(&channel);
    }

    /// The text of a frame came.
    pub fn receive(&mut self, now: u64, channel: SessionId, text: &str, replica: &mut Replica) {
        self.with(now, channel, replica, |session, view| {
            session.handle(now, text, view)
        });
    }

    /// The text of the next frame for a channel; `None` until something happens.
    pub fn poll(&mut self, now: u64, channel: SessionId, replica: &mut Replica) -> Option<String> {
        self.with(now, channel, replica, |session, view| {
            session.poll(now, view)
        })
        .flatten()
    }

    /// Whether more may be read from a channel; see [`Session::is_ready`].
    #[must_use]
    pub fn is_ready(&self, channel: SessionId) -> bool {
        let channel = self.channels.get(&channel);
        channel.is_some_and(|channel| channel.session.is_ready())
    }

    /// Whether a channel has compared and transferred everything, both ways.
    #[must_use]
    pub fn is_synchronized(&self, channel: SessionId) -> bool {
        let channel = self.channels.get(&channel);
        channel.is_some_and(|channel| channel.session.is_synchronized())
    }

    /// The next channel that is over for this side, and why.
    pub fn poll_ended(&mut self) -> Option<(SessionId, Ended)> {
        self.ended.pop_front()
    }

    fn with<T>(
        &mut self,
        now: u64,
        id: SessionId,
        replica: &mut Replica,
        call: impl FnOnce(&mut Session, &mut View<'_>) -> Result<T, Ended>,
    ) -> Option<T> {
        let channel = self.channels.get_mut(&id)?;
        let mut view = View {
            now,
            from: id,
            shelf: &channel.shelf,
            replica,
            signer: self.signer.as_ref(),
            roots: &mut self.roots,
            taken: Vec::new(),
        };
        let result = call(&mut channel.session, &mut view);
        for (ticket, root) in view.taken {
            self.tickets.insert(ticket, (id, root));
        }
        result.map_err(|ended| self.end(id, ended)).ok()
    }

    fn end(&mut self, id: SessionId, ended: Ended) {
        if self.channels.remove(&id).is_some() {
            self.ended.push_back((id, ended));
        }
    }

    /// Sees what the replica put out.
    pub fn observe(&mut self, now: u64, output: &Output) {
        match output {
            Output::Update(update) => self.updated(now, &update.row, &update.origin),
            Output::Stored(ticket) | Output::NotStored(ticket, _) => {
                let Some((id, root)) = self.tickets.remove(ticket) else {
                    return;
                };
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.session.settled(now, 1);
                }
                if let Some(subject) = root {
                    self.roots.remove(&subject);
                    self.later.remove(&subject);
                    self.root_changed(now, &subject);
                }
            }
            _ => {}
        }
    }

    fn updated(&mut self, now: u64, row: &Row, origin: &Origin) {
        self.roots.remove(&row.tag);
        let state = row.state.map(|state| state.tag());
        self.changed(now, |channel| {
            if channel.shelf.holds_states() {
                state.clone()
            } else {
                Some(row.tag.clone()).filter(|_| !channel.is_roots())
            }
        });
        let roots = self.channels.values().any(Channel::is_roots);
        let here = matches!(origin, Origin::Pushed(from) if self.channels.contains_key(from));
        if roots && here && row.state.is_some() && self.later.len() < MAX_LATER {
            self.later
                .entry(row.tag.clone())
                .or_insert(now + ROOT_DELAY_MS);
        } else if roots {
            self.later.remove(&row.tag);
            self.root_changed(now, &row.tag);
        }
    }

    fn root_changed(&mut self, now: u64, subject: &Tag) {
        self.changed(now, |channel| {
            Some(subject.clone()).filter(|_| channel.is_roots())
        });
    }

    fn changed(&mut self, now: u64, tag: impl Fn(&Channel) -> Option<Tag>) {
        let mut ended = Vec::new();
        for (id, channel) in &mut self.channels {
            if let Some(tag) = tag(channel)
                && let Err(error) = channel.session.changed(now, &tag)
            {
                ended.push((*id, error));
            }
        }
        for (id, error) in ended {
            self.end(id, error);
        }
    }

    /// When to call [`Front::handle_timeout`], in milliseconds since 1970.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        let sessions = self.channels.values();
        let sessions = sessions.filter_map(|channel| channel.session.next_timeout());
        sessions.chain(self.later.values().copied()).min()
    }

    /// Does what is due. Then poll the channels.
    pub fn handle_timeout(&mut self, now: u64) {
        let ids: Vec<SessionId> = self.channels.keys().copied().collect();
        for id in ids {
            let channel = self.channels.get_mut(&id);
            if let Some(Err(ended)) = channel.map(|one| one.session.handle_timeout(now)) {
                self.end(id, ended);
            }
        }
        let due = self.later.iter().filter(|(_, at)| **at <= now);
        let due: Vec<Tag> = due.map(|(subject, _)| subject.clone()).collect();
        for subject in due {
            self.later.remove(&subject);
            self.root_changed(now, &subject);
        }
    }
}
