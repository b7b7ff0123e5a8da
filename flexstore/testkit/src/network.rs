//! A network of replicas in one thread, with virtual time: links with latency that break, stores
//! whose fsync takes its time, nodes that crash and come back, and nothing that is not decided by
//! the seed.
//!
//! Every message is encoded, carried as bytes, decoded and verified, as over a real link.
//!
//! A node is one replica of one collection. Several may share a store, as on a real device; they
//! then crash together, and what the one of the Team collection learns is told to the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flexstore_core::authority::{TeamRecord, js};
use flexstore_core::record::js as javascript;
use flexstore_core::storage::{MemoryStorage, Progress, Storage};
use flexstore_core::sync::{
    Input, Keys, MAX_AHEAD_MS, Output, Replica, SessionId, Settings, Ticket, Update, WriteError,
    Writing, Written,
};
use flexstore_core::wire::{Checked, CloseReason, Filter, Message, RefusalReason, Summary};
use flexstore_core::{CollectionId, Digest, KeyTag, Verified};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// One replica, its store, and what it told its app.
pub struct Node {
    /// The replica.
    pub replica: Replica,
    storage: Arc<MemoryStorage>,
    progress: Arc<Mutex<Vec<Progress>>>,
    id: CollectionId,
    settings: Settings,
    /// What is added to the network's time to give this node's clock, in ms.
    pub skew: i64,
    /// The first node of this one's store; itself, unless it was added beside another.
    pub home: usize,
    /// Every record that it wrote, or that it was sent and had to take.
    pub received: BTreeMap<Digest, Verified>,
    /// Changes that the app was told of.
    pub updates: Vec<Update>,
    /// Writes that the app was told are durable.
    pub stored: Vec<Ticket>,
    /// Records that peers refused.
    pub refused: Vec<RefusalReason>,
    /// Sessions that became live.
    pub synchronized: usize,
    /// The most records that a session was ever expected to send.
    pub expected: u64,
    /// Why sessions were closed by this node.
    pub closed: Vec<CloseReason>,
    /// When the fsync that runs is over.
    fsync: Option<u64>,
}

struct Pipe {
    from: usize,
    to: usize,
    session: SessionId,
    /// Frames under way, with their time of arrival.
    frames: VecDeque<(u64, Bytes)>,
}

/// The network.
pub struct Network {
    /// The nodes, by number.
    pub nodes: Vec<Node>,
    pipes: Vec<Pipe>,
    /// Virtual time, in ms since 1970.
    pub now: u64,
    sessions: u64,
    /// The only source of randomness.
    pub random: ChaCha8Rng,
    /// Bytes carried so far.
    pub bytes: u64,
    /// Frames carried so far.
    pub frames: u64,
    /// How often each record was carried in each session, by the node that sent it.
    pub crossings: BTreeMap<(SessionId, usize, Digest), u32>,
}

impl Network {
    /// `count` nodes with empty stores.
    #[must_use]
    pub fn new(seed: u64, count: usize, id: &CollectionId) -> Self {
        let mut network = Self {
            nodes: Vec::new(),
            pipes: Vec::new(),
            now: 1_700_000_000_000,
            sessions: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            bytes: 0,
            frames: 0,
            crossings: BTreeMap::new(),
        };
        for number in 0..count {
            let mut replica = [0; 16];
            replica[0] = number as u8;
            network.add(
                id,
                Settings {
                    replica,
                    ..Settings::default()
                },
            );
        }
        network
    }

    /// Adds a node with an empty store.
    pub fn add(&mut self, id: &CollectionId, settings: Settings) -> usize {
        let home = self.nodes.len();
        self.push(home, Arc::new(MemoryStorage::new()), id, settings)
    }

    /// Adds a node for another collection in the store of one that is there.
    pub fn add_beside(&mut self, node: usize, id: &CollectionId) -> usize {
        let there = &self.nodes[node];
        let (home, skew, settings) = (there.home, there.skew, there.settings.clone());
        let storage = Arc::clone(&there.storage);
        let added = self.push(home, storage, id, settings);
        self.nodes[added].skew = skew;
        added
    }

    fn push(
        &mut self,
        home: usize,
        storage: Arc<MemoryStorage>,
        id: &CollectionId,
        settings: Settings,
    ) -> usize {
        let progress: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let sink = Arc::clone(&progress);
        storage.watch(Box::new(move |progress| {
            sink.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(progress);
        }));
        let replica = open(&storage, id, &settings);
        self.nodes.push(Node {
            replica,
            storage,
            progress,
            id: id.clone(),
            settings,
            skew: 0,
            home,
            received: BTreeMap::new(),
            updates: Vec::new(),
            stored: Vec::new(),
            refused: Vec::new(),
            synchronized: 0,
            expected: 0,
            closed: Vec::new(),
            fsync: None,
        });
        self.nodes.len() - 1
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    /// The clock of a node.
    #[must_use]
    pub fn clock(&self, node: usize) -> u64 {
        self.now.saturating_add_signed(self.nodes[node].skew)
    }

    /// Connects two nodes; the first opens. The number of the session at both.
    pub fn connect(&mut self, opener: usize, other: usize) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.pipes.push(Pipe {
            from: opener,
            to: other,
            session,
            frames: VecDeque::new(),
        });
        self.pipes.push(Pipe {
            from: other,
            to: opener,
            session,
            frames: VecDeque::new(),
        });
        for (node, opens) in [(other, false), (opener, true)] {
            let now = self.clock(node);
            self.nodes[node]
                .replica
                .handle(now, Input::Connected { session, opens });
            self.drain(node);
        }
        session
    }

    /// Whether two nodes are connected.
    #[must_use]
    pub fn connected(&self, a: usize, b: usize) -> bool {
        self.pipes.iter().any(|pipe| pipe.from == a && pipe.to == b)
    }

    /// Breaks a session: what is under way is lost, and both ends learn of it.
    pub fn disconnect(&mut self, session: SessionId) {
        let ends: Vec<usize> = self
            .pipes
            .iter()
            .filter(|p| p.session == session)
            .map(|p| p.from)
            .collect();
        self.pipes.retain(|pipe| pipe.session != session);
        for node in ends {
            let now = self.clock(node);
            self.nodes[node]
                .replica
                .handle(now, Input::Disconnected(session));
            self.drain(node);
        }
    }

    /// Breaks one session, chosen at random, if there is one.
    pub fn disconnect_one(&mut self) {
        if !self.pipes.is_empty() {
            let at = self.below(self.pipes.len() as u64) as usize;
            self.disconnect(self.pipes[at].session);
        }
    }

    /// Crashes a node, and all that share its store, and starts them again on what that holds.
    pub fn restart(&mut self, node: usize) {
        let home = self.nodes[node].home;
        for node in self.housemates(home) {
            self.restart_one(node);
        }
    }

    /// The nodes of one store.
    fn housemates(&self, home: usize) -> Vec<usize> {
        let all = 0..self.nodes.len();
        all.filter(|node| self.nodes[*node].home == home).collect()
    }

    fn restart_one(&mut self, node: usize) {
        let sessions: Vec<SessionId> = self
            .pipes
            .iter()
            .filter(|p| p.from == node)
            .map(|p| p.session)
            .collect();
        for session in sessions {
            self.disconnect(session);
        }
        let Node {
            storage,
            id,
            settings,
            ..
        } = &self.nodes[node];
        // What the store said before is for a replica that is no more; opening may write.
        self.take_progress(node);
        let replica = open(storage, id, settings);
        self.nodes[node].replica = replica;
        self.nodes[node].fsync = None;
        self.drain_one(node);
    }

    /// Writes at a node, by its clock.
    ///
    /// # Errors
    /// [`WriteError`], as the replica has it.
    pub fn write(
        &mut self,
        node: usize,
        writing: Writing,
        keys: Keys<'_>,
    ) -> Result<Written, WriteError> {
        let now = self.clock(node);
        let written = self.nodes[node].replica.write(now, writing, keys);
        self.drain(node);
        if let Ok(written) = &written
            && let Ok(Some(record)) = self.nodes[node]
                .replica
                .register()
                .record(&written.stamp.digest)
        {
            self.nodes[node].received.insert(record.digest(), record);
        }
        written
    }

    /// Pins a record of a team at a node of the Team collection.
    pub fn pin(&mut self, node: usize, team: &KeyTag, record: &Digest) {
        self.nodes[node].replica.pin(team, record);
        self.drain(node);
        self.tell_housemates(node);
    }

    /// Hands a node a record as if a peer had sent it, over a session of its own.
    pub fn inject(&mut self, node: usize, record: &Verified) {
        if let Some(reason) = self.offer(node, record.sent().clone()) {
            self.nodes[node].closed.push(reason);
        }
    }

    /// Hands a node whatever bytes in place of a record's, over a session of its own, and tells
    /// why it was closed, if it was.
    pub fn offer(&mut self, node: usize, text: Bytes) -> Option<CloseReason> {
        let message = Message::Records(vec![text]);
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let now = self.clock(node);
        let open = Message::Open {
            oldest: 1,
            newest: 1,
            collection: self.nodes[node].id.clone(),
            replica: [0xee; 16],
            filter: Filter::default(),
            summary: Summary::default(),
        };
        self.nodes[node].replica.handle(
            now,
            Input::Connected {
                session,
                opens: false,
            },
        );
        let mut violation = None;
        for message in [open, message] {
            match message.check(&self.nodes[node].id, &mut self.random) {
                Ok(message) => self.hand(node, session, message),
                Err(error) => violation = Some(error.reason()),
            }
        }
        self.nodes[node]
            .replica
            .handle(now, Input::Disconnected(session));
        let before = self.nodes[node].closed.len();
        self.drain(node);
        violation.or_else(|| self.nodes[node].closed.drain(before..).next())
    }

    /// Hands a node a message, and notes the records that it has to take.
    fn hand(&mut self, node: usize, session: SessionId, message: Checked) {
        let now = self.clock(node);
        let Node {
            received,
            id,
            replica,
            ..
        } = &mut self.nodes[node];
        if let Checked::Records(records) = &message {
            let ours = |record: &&Verified| record.belongs_in(id);
            let takes = |record: &&Verified| {
                let header = record.header();
                header.iat <= now + MAX_AHEAD_MS
                    && (!id.is_credential() || header.tag == header.owner.tag())
                    && (!id.is_team() || TeamRecord::of(record).is_ok())
                    && (!id.is_javascript_team() || is_javascript_team(record))
            };
            // A record of another collection ends the session, so nothing after it is taken.
            for record in records.iter().take_while(ours).filter(takes) {
                received.insert(record.digest(), record.clone());
            }
        }
        replica.handle(now, Input::Received { session, message });
    }

    /// Does what is due next: a frame that arrives, an fsync that ends, a time-out. `false` when
    /// nothing is left to do.
    pub fn step(&mut self) -> bool {
        let frames = self
            .pipes
            .iter()
            .enumerate()
            .filter_map(|(i, pipe)| pipe.frames.front().map(|(at, _)| (*at, 0, i)));
        let fsyncs = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(i, node)| node.fsync.map(|at| (at, 1, i)));
        let Some((at, what, i)) = frames.chain(fsyncs).min() else {
            return self.time_out();
        };
        // What is long due, as the next slice of what is judged anew, comes between the others.
        if self.next_timeout().is_some_and(|(due, _)| due < self.now) && self.below(2) == 0 {
            return self.time_out();
        }
        self.now = self.now.max(at);
        if what == 1 {
            self.nodes[i].fsync = None;
            for progress in self.take_progress(i) {
                let now = self.clock(i);
                self.nodes[i].replica.handle(now, Input::Stored(progress));
            }
            self.drain(i);
            return true;
        }
        let Pipe {
            session, from, to, ..
        } = self.pipes[i];
        if let Some((_, frame)) = self.pipes[i].frames.pop_front() {
            let checked = Message::decode(&frame)
                .map_err(flexstore_core::wire::Violation::from)
                .and_then(|(_, message)| message.check(&self.nodes[to].id, &mut self.random));
            match checked {
                Ok(message) => {
                    if let Checked::Records(records) = &message {
                        for record in records {
                            let crossing = (session, from, record.digest());
                            *self.crossings.entry(crossing).or_default() += 1;
                        }
                    }
                    self.hand(to, session, message);
                    self.drain(to);
                }
                Err(violation) => {
                    self.nodes[to].closed.push(violation.reason());
                    self.disconnect(session);
                }
            }
        }
        true
    }

    /// Goes on to the next time-out of a node, if one has any.
    fn time_out(&mut self) -> bool {
        let Some((at, i)) = self.next_timeout() else {
            return false;
        };
        self.now = self.now.max(at);
        let now = self.clock(i);
        self.nodes[i].replica.handle(now, Input::Timeout);
        self.drain(i);
        true
    }

    fn next_timeout(&self) -> Option<(u64, usize)> {
        let due = self.nodes.iter().enumerate().filter_map(|(i, node)| {
            let at = node.replica.next_timeout()?;
            Some((at.saturating_add_signed(-node.skew), i))
        });
        due.min()
    }

    /// Steps until nothing is left to do, at most `limit` times; whether that was enough.
    pub fn run(&mut self, limit: usize) -> bool {
        (0..limit).any(|_| !self.step())
    }

    fn take_progress(&self, node: usize) -> Vec<Progress> {
        let mut progress = self.nodes[node]
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *progress)
    }

    fn drain(&mut self, node: usize) {
        let updates = self.nodes[node].updates.len();
        self.drain_one(node);
        if self.nodes[node].id.holds_teams() && self.nodes[node].updates.len() > updates {
            self.tell_housemates(node);
        }
    }

    /// New Team records or pins are in a store: the replicas of its other collections look.
    fn tell_housemates(&mut self, node: usize) {
        for other in self.housemates(self.nodes[node].home) {
            if other != node {
                let now = self.clock(other);
                self.nodes[other].replica.handle(now, Input::TeamsChanged);
                self.drain_one(other);
            }
        }
    }

    fn drain_one(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].replica.poll() {
            match output {
                Output::Send { session, message } => self.carry(node, session, &message),
                Output::Close { session, reason } => {
                    self.nodes[node].closed.push(reason);
                    self.disconnect(session);
                }
                Output::Update(update) => self.nodes[node].updates.push(update),
                Output::Stored(ticket) => self.nodes[node].stored.push(ticket),
                Output::Synchronized { .. } => self.nodes[node].synchronized += 1,
                Output::Progress { transfer, .. } => {
                    let expected = &mut self.nodes[node].expected;
                    *expected = transfer.to_send.max(*expected);
                }
                Output::Refused { reason, .. } => self.nodes[node].refused.push(reason),
                _ => {}
            }
        }
        if self.nodes[node].replica.is_waiting() && self.nodes[node].fsync.is_none() {
            let takes = self.below(4);
            self.nodes[node].fsync = Some(self.now + takes);
        }
    }

    fn carry(&mut self, from: usize, session: SessionId, message: &Message) {
        let latency = 1 + self.below(20);
        let now = self.now;
        let pipe = self
            .pipes
            .iter_mut()
            .find(|p| p.session == session && p.from == from);
        if let Some(pipe) = pipe {
            let frame = message.encode(0);
            self.bytes += frame.len() as u64;
            self.frames += 1;
            // Ordered: no frame overtakes the one before.
            let at = pipe
                .frames
                .back()
                .map_or(0, |(at, _)| *at)
                .max(now + latency);
            pipe.frames.push_back((at, frame));
        }
    }
}

fn is_javascript_team(record: &Verified) -> bool {
    javascript::Verified::of(record).is_some_and(|record| js::TeamRecord::of(&record).is_ok())
}

fn open(storage: &Arc<MemoryStorage>, id: &CollectionId, settings: &Settings) -> Replica {
    let storage: Arc<dyn Storage> = Arc::<MemoryStorage>::clone(storage);
    match Replica::open(storage, id.clone(), settings.clone()) {
        Ok(replica) => replica,
        Err(error) => unreachable!("a memory store opens: {error}"),
    }
}
