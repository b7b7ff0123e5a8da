//! Five devices, those who use them, and those who mean them harm.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flexstore_core::authority::{Member, Roster, Sealed, TeamRecord};
use flexstore_core::record::{Content, Draft};
use flexstore_core::sync::{Keys, Writing};
use flexstore_core::{CollectionId, Digest, KeyTag, Kind, SigningKey, Tag, Verified};
use flexstore_testkit::model;
use flexstore_testkit::network::Network;

const DEVICES: usize = 5;
const LEAVES: usize = 6;
/// The first two are flat; each of the others has the one before it within.
const TEAMS: usize = 4;
const FLAT: usize = 2;

/// One store: a replica of each collection of items, and perhaps one of the Team collection.
pub(crate) struct Device {
    pub(crate) team: Option<usize>,
    pub(crate) items: Vec<usize>,
    pub(crate) pins: BTreeMap<KeyTag, Digest>,
    knows_firsts: bool,
}

/// A write that a device acknowledged to somebody who belonged, as far as the device knew.
pub(crate) struct Acknowledged {
    pub(crate) node: usize,
    pub(crate) digest: Digest,
}

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) ids: Vec<CollectionId>,
    pub(crate) devices: Vec<Device>,
    leaves: Vec<SigningKey>,
    teams: Vec<SigningKey>,
    pub(crate) firsts: BTreeMap<KeyTag, Digest>,
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// What the hostile relay has seen: everything.
    seen: Vec<Verified>,
    /// Of nodes without Team records, what was displaced when last looked at.
    pub(crate) displaced: BTreeMap<usize, BTreeSet<Digest>>,
}

macro_rules! tally {
    ($($name:ident),*) => {
        /// What happened, so that it shows that something did.
        #[derive(Default, Debug)]
        pub(crate) struct Tally { $(pub(crate) $name: u64),* }

        impl Tally {
            pub(crate) fn add(&mut self, other: &Self) { $(self.$name += other.$name;)* }

            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

tally!(
    writes,
    removals,
    not_members,
    team_changes,
    forged_items,
    forged_team_records,
    relayed,
    moved,
    mutated,
    restarts,
    counting,
    unjudged,
    void,
    displaced,
    restored,
    forks,
    acknowledged
);

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let name = |kind| CollectionId::new(kind, "items").unwrap();
        let ids: Vec<_> = [Kind::Immutable, Kind::Mutable, Kind::Versioned]
            .map(name)
            .into();
        let mut network = Network::new(seed, DEVICES, &ids[0]);
        let mut devices = Vec::new();
        for device in 0..DEVICES {
            // Some clocks are right, some off, as far as others still take what they date.
            let skew = [0, 0, 1000, -200_000, 240_000][network.below(5) as usize];
            network.nodes[device].skew = skew;
            let mut items = vec![device];
            items.extend(ids[1..].iter().map(|id| network.add_beside(device, id)));
            // The first device makes the teams; of the others some learn of them late, or never.
            let learns = device == 0 || network.below(5) < 3;
            let team = learns.then(|| network.add_beside(device, &CollectionId::team()));
            devices.push(Device {
                team,
                items,
                pins: BTreeMap::new(),
                knows_firsts: network.below(2) == 0,
            });
        }
        let keys = |from: u8, count: usize| {
            let key = |n| SigningKey::from_seed(&[from + n as u8; 32]);
            (0..count).map(key).collect()
        };
        Self {
            network,
            ids,
            devices,
            leaves: keys(1, LEAVES),
            teams: keys(101, TEAMS),
            firsts: BTreeMap::new(),
            acknowledged: Vec::new(),
            seen: Vec::new(),
            displaced: BTreeMap::new(),
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.network.below(n as u64) as usize
    }

    /// The model of what a device knows of teams.
    pub(crate) fn model(&self, device: &Device) -> model::Teams {
        let mut teams = model::Teams::new();
        let Some(node) = device.team else {
            return teams;
        };
        for record in self.network.nodes[node].received.values() {
            teams.add(record.header().owner, TeamRecord::of(record).unwrap());
        }
        for (team, record) in &device.pins {
            teams.pin(*team, *record);
        }
        teams
    }

    /// A flat team's tag, or `None` past the last.
    pub(crate) fn flat(&self, n: usize) -> Option<KeyTag> {
        (n < FLAT).then(|| self.teams[n].tag())
    }

    pub(crate) fn found(&mut self, tally: &mut Tally) {
        let leaf = |n: usize| Member::leaf(self.leaves[n].tag());
        let mut lists = [
            vec![leaf(0), leaf(1), leaf(2)],
            vec![leaf(1), leaf(2), leaf(4)],
            vec![leaf(3)],
            vec![leaf(4)],
        ];
        let founders = [0, 1, 3, 4];
        for team in 0..TEAMS {
            let mut members = std::mem::take(&mut lists[team]);
            if team >= FLAT {
                let within = self.teams[team - 1].tag();
                let record = Some(self.firsts[&within]);
                members.insert(
                    self.below(2),
                    Member {
                        tag: within,
                        record,
                    },
                );
            }
            let roster = roster(members, BTreeMap::new());
            let first = self.change(0, team, founders[team], roster, None);
            let Some(first) = first else { continue };
            tally.team_changes += 1;
            self.firsts.insert(self.teams[team].tag(), first);
        }
        for device in 0..DEVICES {
            self.pin(device);
        }
    }

    fn pin(&mut self, device: usize) {
        let one = &mut self.devices[device];
        if let Some(node) = one.team
            && one.knows_firsts
        {
            one.pins.clone_from(&self.firsts);
            for (team, first) in &self.firsts {
                self.network.pin(node, team, first);
            }
        }
    }

    /// Somebody makes a Team record on a device.
    fn change(
        &mut self,
        device: usize,
        team: usize,
        author: usize,
        roster: Roster,
        follows: Option<Digest>,
    ) -> Option<Digest> {
        let node = self.devices[device].team?;
        let writing = Writing {
            tag: self.teams[team].tag().tag(),
            content: content(&roster),
            follows,
        };
        let keys = Keys::Member {
            owner: &self.teams[team],
            author: &self.leaves[author],
        };
        let written = self.network.write(node, writing, keys).ok()?;
        self.note(node, &written.stamp.digest);
        Some(written.stamp.digest)
    }

    fn note(&mut self, node: usize, digest: &Digest) {
        self.seen
            .extend(self.network.nodes[node].received.get(digest).cloned());
    }

    pub(crate) fn act(&mut self, tally: &mut Tally) {
        let device = self.below(DEVICES);
        match self.below(30) {
            0..=7 => self.write(device, tally),
            8..=11 => self.change_team(device, tally),
            12..=15 => self.forge_item(device, tally),
            16 | 17 => self.forge_team_record(device, tally),
            18..=20 => self.relay(device, tally),
            21..=25 => {
                let other = self.below(DEVICES);
                self.connect(device, other);
            }
            26 => self.network.disconnect_one(),
            27 => {
                self.network.restart(device);
                tally.restarts += 1;
            }
            28 => self.learn_late(device),
            _ => self.network.now += self.network.below(100_000),
        }
    }

    fn learn_late(&mut self, device: usize) {
        // Two in three do not: some never learn of teams.
        if self.devices[device].team.is_some() || self.below(3) > 0 {
            return;
        }
        let beside = self.devices[device].items[0];
        let node = self.network.add_beside(beside, &CollectionId::team());
        self.devices[device].team = Some(node);
        self.pin(device);
    }

    fn name(&mut self) -> Tag {
        Tag::new(["one", "one", "one", "two"][self.below(4)]).unwrap()
    }

    fn text(&mut self) -> Content {
        let text = format!("word {}", self.below(2));
        Content::Plain {
            payload: text.into(),
            cty: Some("text/plain".into()),
        }
    }

    /// The tag under which content stands in a collection.
    fn tag(&mut self, collection: usize, content: &Content) -> Tag {
        match (collection, content) {
            (0, Content::Plain { payload, .. }) => Digest::of(payload).tag(),
            (0, _) => Digest::of(format!("word {}", self.below(2)).as_bytes()).tag(),
            _ => self.name(),
        }
    }

    /// Somebody honest writes or removes on a device: for a team only who belongs to it, as far
    /// as the device knows.
    fn write(&mut self, device: usize, tally: &mut Tally) {
        let collection = self.below(3);
        let node = self.devices[device].items[collection];
        let (mut team, mut author) = (self.below(TEAMS + 1), self.below(LEAVES));
        let rows = self.rows(node);
        let removing = !rows.is_empty() && self.below(3) == 0;
        let content = if removing {
            Content::Tombstone
        } else {
            self.text()
        };
        let mut tag = self.tag(collection, &content);
        if removing {
            // What is there.
            let row = &rows[self.below(rows.len())];
            let of = |keys: &[SigningKey]| keys.iter().position(|k| k.tag() == row.owner);
            tag = row.tag.clone();
            team = of(&self.teams).unwrap_or(TEAMS);
            author = of(&self.leaves).unwrap_or(author);
        }
        let writing = Writing::new(tag, content);
        let author = &self.leaves[author];
        let keys = match self.teams.get(team) {
            None => Keys::Solo(author),
            Some(owner) => {
                let teams = self.model(&self.devices[device]);
                if self.devices[device].team.is_some()
                    && teams.path(&owner.tag()).is_ok()
                    && !teams.is_current(&owner.tag(), &author.tag())
                {
                    tally.not_members += 1;
                    return;
                }
                Keys::Member { owner, author }
            }
        };
        let Ok(written) = self.network.write(node, writing, keys) else {
            return;
        };
        tally.removals += u64::from(removing);
        tally.writes += u64::from(!removing);
        let digest = written.stamp.digest;
        self.note(node, &digest);
        self.acknowledged.push(Acknowledged { node, digest });
    }

    /// A member changes a team, as the device sees it.
    fn change_team(&mut self, device: usize, tally: &mut Tally) {
        let Some(node) = self.devices[device].team else {
            return;
        };
        let (team, author) = (self.below(TEAMS), self.below(LEAVES));
        let teams = self.model(&self.devices[device]);
        let tag = self.teams[team].tag();
        let Some(head) = teams.path(&tag).ok().and_then(|path| path.last().copied()) else {
            return;
        };
        if !teams.is_current(&tag, &self.leaves[author].tag()) {
            return;
        }
        let head = TeamRecord::of(&self.network.nodes[node].received[&head]).unwrap();
        let mut members = head.members.clone();
        let mut until = BTreeMap::new();
        match self.below(12) {
            0..=4 => {
                let gone = members.remove(self.below(members.len()));
                if let Some(time) = self.until() {
                    until.insert(gone.tag, time);
                }
            }
            5..=7 => {
                let joins = self.below(LEAVES);
                let entry = Member::leaf(self.leaves[joins].tag());
                if !members.iter().any(|member| member.tag == entry.tag) {
                    members.push(entry);
                }
            }
            8 if self.below(3) == 0 => members.clear(),
            _ => {}
        }
        // With every change, the newer records of teams within.
        for member in &mut members {
            let path = teams.path(&member.tag).unwrap_or_default();
            if member.record.is_some() && !path.is_empty() {
                member.record = path.last().copied();
            }
        }
        let made = self.change(
            device,
            team,
            author,
            roster(members, until),
            Some(head.digest),
        );
        tally.team_changes += u64::from(made.is_some());
    }

    /// Since when a removed key does not count, if the removal says.
    fn until(&mut self) -> Option<u64> {
        let back = self.network.below(150_000);
        match self.below(4) {
            0 => None,
            1 => Some(0),
            _ => Some(self.network.now - back),
        }
    }

    fn any_time(&mut self) -> u64 {
        let span = 2 * (self.network.now - 1_700_000_000_000) + 100_000;
        let time = self.network.now - self.network.below(span).min(self.network.now);
        // Rounded, so that some are equal; and some ahead.
        time / 1000 * 1000 + [0, 0, 0, 1, 200_000, 400_000][self.below(6)]
    }

    /// Somebody with all keys signs whatever, and gives it to a device.
    fn forge_item(&mut self, device: usize, tally: &mut Tally) {
        let collection = self.below(3);
        let content = if self.below(3) == 0 {
            Content::Tombstone
        } else {
            self.text()
        };
        let like = self.below(self.seen.len().max(1));
        let like = self.seen.get(like).map_or(0, |record| record.header().iat);
        let iat = if self.below(3) == 0 {
            like + self.network.below(2)
        } else {
            self.any_time()
        };
        let draft = Draft {
            collection: self.ids[collection].clone(),
            tag: self.tag(collection, &content),
            content,
            ant: None,
            iat,
        };
        let author = self.below(LEAVES);
        let team = self.below(TEAMS);
        let record = match self.below(4) {
            // With a team's key alone, which proves nothing.
            0 => draft.sign(&self.teams[team]),
            1 => draft.sign(&self.leaves[author]),
            _ => draft.sign_for(&self.teams[team], &self.leaves[author]),
        };
        let record = record.unwrap();
        self.network
            .inject(self.devices[device].items[collection], &record);
        self.seen.push(record);
        tally.forged_items += 1;
    }

    /// A Team record that follows any, or none, lists anybody, and is signed by anybody.
    fn forge_team_record(&mut self, device: usize, tally: &mut Tally) {
        let team = self.below(TEAMS);
        let tag = self.teams[team].tag();
        let of_team = |record: &&Verified| {
            record.header().collection.is_team() && record.header().owner == tag
        };
        let known: Vec<Verified> = self.seen.iter().filter(of_team).cloned().collect();
        let ant = match self.below(6) {
            0 => None,
            _ if known.is_empty() => None,
            _ => Some(known[self.below(known.len())].clone()),
        };
        let mut members: Vec<Member> = Vec::new();
        if let Some(ant) = &ant {
            members = TeamRecord::of(ant).unwrap().members;
        }
        let author = self.below(LEAVES);
        let me = Member::leaf(self.leaves[author].tag());
        if !members.iter().any(|member| member.tag == me.tag) && self.below(4) > 0 {
            members.insert(self.below(members.len() + 1), me);
        }
        let mut until = BTreeMap::new();
        if members.len() > 1 && self.below(2) == 0 {
            let gone = members.remove(self.below(members.len()));
            until.extend(self.until().map(|time| (gone.tag, time)));
        }
        let iat = match &ant {
            Some(ant) if self.below(4) > 0 => ant.header().iat + 1 + self.network.below(50_000),
            _ => self.any_time(),
        };
        let draft = Draft {
            collection: CollectionId::team(),
            tag: tag.tag(),
            content: content(&roster(members, until)),
            ant: ant.map(|ant| ant.digest()),
            iat,
        };
        let record = draft
            .sign_for(&self.teams[team], &self.leaves[author])
            .unwrap();
        self.seen.push(record.clone());
        if let Some(node) = self.devices[device].team {
            self.network.inject(node, &record);
            tally.forged_team_records += 1;
        }
    }

    /// A relay passes on what it has seen, to whom and when it likes; or elsewhere; or changed.
    fn relay(&mut self, device: usize, tally: &mut Tally) {
        if self.seen.is_empty() {
            return;
        }
        let one = self.below(self.seen.len());
        let record = self.seen[one].clone();
        let home = record.header().collection.clone();
        let at = self.ids.iter().position(|id| *id == home);
        let node = match at {
            Some(at) => Some(self.devices[device].items[at]),
            None => self.devices[device].team,
        };
        match (self.below(4), node) {
            (0, _) => {
                let elsewhere = (at.unwrap_or(0) + 1 + self.below(2)) % 3;
                if at == Some(elsewhere) {
                    return;
                }
                let node = self.devices[device].items[elsewhere];
                let closed = self.network.offer(node, record.text().clone());
                assert!(closed.is_some(), "a record was moved to another collection");
                tally.moved += 1;
            }
            (1, Some(node)) => {
                let mut text = record.text().to_vec();
                let place = self.below(text.len());
                text[place] ^= 1 << self.below(7);
                let closed = self.network.offer(node, Bytes::from(text));
                assert!(closed.is_some(), "a changed record was taken");
                tally.mutated += 1;
            }
            (_, Some(node)) => {
                self.network.inject(node, &record);
                tally.relayed += 1;
            }
            _ => {}
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let nodes = |device: &Device| {
            let mut all: Vec<Option<usize>> = device.items.iter().copied().map(Some).collect();
            all.push(device.team);
            all
        };
        let pairs = nodes(&self.devices[a])
            .into_iter()
            .zip(nodes(&self.devices[b]));
        for (a, b) in pairs.collect::<Vec<_>>() {
            if let (Some(a), Some(b)) = (a, b)
                && !self.network.connected(a, b)
            {
                self.network.connect(a, b);
            }
        }
    }

    pub(crate) fn connect_all(&mut self) {
        for a in 0..DEVICES {
            for b in 0..a {
                self.connect(a, b);
            }
        }
    }

    /// All clocks right, all crash, all come back.
    pub(crate) fn start_again(&mut self) {
        for node in &mut self.network.nodes {
            node.skew = 0;
        }
        for device in 0..DEVICES {
            self.network.restart(device);
        }
    }

    /// Steps until nothing is left to do; a bound, since peers might offer and refuse for ever.
    pub(crate) fn rest(&mut self) -> Result<(), String> {
        let frames = self.network.frames;
        if self.network.run(30_000) {
            Ok(())
        } else {
            let more = self.network.frames - frames;
            Err(format!("does not come to rest, {more} frames"))
        }
    }
}

pub(crate) fn roster(members: Vec<Member>, mut until: BTreeMap<KeyTag, u64>) -> Roster {
    until.retain(|tag, _| !members.iter().any(|member| member.tag == *tag));
    let sealed = (!members.is_empty()).then(|| Sealed {
        key: [7; 32],
        wrap: "sealed".into(),
    });
    Roster {
        members,
        until,
        sealed,
    }
}

pub(crate) fn content(roster: &Roster) -> Content {
    Content::Plain {
        payload: roster.write().into(),
        cty: Some("json".into()),
    }
}
