//! What must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use flexstore_core::authority::{Standing, TeamRecord};
use flexstore_core::register::{ReadError, Row, Selection};
use flexstore_core::sync::Origin;
use flexstore_core::{Digest, KeyTag, Tag, Verified};
use flexstore_testkit::model::{Group, Shown, Teams};
use flexstore_testkit::network::Node;

use crate::world::{Device, Tally, World};

type Groups = BTreeMap<(Tag, KeyTag), Vec<Verified>>;
type Sets = BTreeMap<(Tag, KeyTag), Vec<(Digest, Standing)>>;

fn groups<'a>(records: impl IntoIterator<Item = &'a Verified>) -> Groups {
    let mut groups = Groups::new();
    for record in records {
        let header = record.header();
        let group = groups
            .entry((header.tag.clone(), header.owner))
            .or_default();
        group.push(record.clone());
    }
    groups
}

fn rows(node: &Node) -> Vec<Row> {
    let mut rows = Vec::new();
    let register = node.replica.register();
    register
        .each(&mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn sets(node: &Node) -> Sets {
    let mut sets = Sets::new();
    for row in rows(node) {
        let set = sets.entry((row.tag, row.owner)).or_default();
        set.push((row.stamp.digest, row.standing));
    }
    sets.values_mut().for_each(|set| set.sort_unstable());
    sets
}

/// A replica has and shows what the model makes of what it received.
pub(crate) fn check_items(one: &Node, teams: &Teams, tally: &mut Tally) -> Result<(), String> {
    let kind = one.replica.register().id().kind();
    let register = one.replica.register();
    let groups = groups(one.received.values());
    let sets = sets(one);
    let mut signers: BTreeMap<Tag, Vec<KeyTag>> = BTreeMap::new();
    for ((tag, owner), records) in &groups {
        let group = Group::new(teams, kind, records);
        let (expected, set) = (group.set(), sets.get(&(tag.clone(), *owner)));
        for (_, standing) in &expected {
            match standing {
                Standing::Counts => tally.counting += 1,
                Standing::Unjudged => tally.unjudged += 1,
                Standing::Void => tally.void += 1,
            }
        }
        tally.displaced += (records.len() - expected.len()) as u64;
        if Some(&expected) != set {
            let of = |record: &Verified| {
                let header = record.header();
                let tombstone = record.is_tombstone();
                (record.stamp(), header.author, tombstone)
            };
            let all: Vec<_> = records.iter().map(of).collect();
            return Err(format!(
                "set of {kind:?} {tag} {owner}: {set:#?}, model {expected:#?}, of {all:#?}"
            ));
        }
        let shown = match register.find(tag, Some(*owner), Selection::Latest) {
            Ok(None) => Shown::Nothing,
            Ok(Some(row)) => Shown::Record(row.stamp.digest),
            Err(ReadError::Unjudged(_)) => Shown::Unjudged,
            Err(error) => return Err(error.to_string()),
        };
        let expected = group.shown();
        if shown != expected {
            return Err(format!(
                "{kind:?} {tag} {owner} {shown:?}, model {expected:?}"
            ));
        }
        if matches!(expected, Shown::Record(_)) {
            signers.entry(tag.clone()).or_default().push(*owner);
        }
        let versions = register.versions(tag, Some(*owner)).unwrap();
        let versions: Vec<_> = versions.rows().iter().map(|r| r.stamp.digest).collect();
        if kind == flexstore_core::Kind::Versioned && versions != group.versions() {
            return Err(format!("versions {tag} {owner} {versions:?}"));
        }
    }
    if sets.len() != groups.len() {
        return Err("rows of nobody".into());
    }
    let tags: Vec<Tag> = signers.keys().cloned().collect();
    if register.tags().unwrap() != tags {
        return Err(format!("tags {:?}, model {tags:?}", register.tags()));
    }
    for (tag, expected) in &signers {
        if register.signers(tag).unwrap() != *expected {
            return Err(format!("signers of {tag}, model {expected:?}"));
        }
    }
    // The index is the rows.
    let rows = rows(one);
    let index = one.replica.index();
    if index.len() != rows.len() || !rows.iter().all(|row| index.contains(&row.stamp)) {
        return Err("the index is not the rows".into());
    }
    let restored = |update: &&flexstore_core::sync::Update| update.origin == Origin::Judged;
    tally.restored += one.updates.iter().filter(restored).count() as u64;
    Ok(())
}

impl World {
    pub(crate) fn rows(&self, node: usize) -> Vec<Row> {
        rows(&self.network.nodes[node])
    }

    /// Every replica has and shows what the model makes of what it received.
    pub(crate) fn check_each(&self, tally: &mut Tally) -> Result<(), String> {
        for device in &self.devices {
            let teams = self.model(device);
            for &node in &device.items {
                check_items(&self.network.nodes[node], &teams, tally)
                    .map_err(|what| format!("at node {node}: {what}"))?;
            }
            self.check_removed(device, &teams)?;
            if let Some(node) = device.team {
                // Team records are never displaced.
                let here: BTreeSet<Digest> =
                    self.rows(node).iter().map(|row| row.stamp.digest).collect();
                let received = &self.network.nodes[node].received;
                if here != received.keys().copied().collect() {
                    return Err(format!("at node {node} Team records are missing"));
                }
            }
        }
        let closed = self
            .network
            .nodes
            .iter()
            .find(|node| !node.closed.is_empty());
        closed.map_or(Ok(()), |node| {
            Err(format!("an honest session was closed: {:?}", node.closed))
        })
    }

    /// Of a flat team, whom the last record in force does not list: nothing dated at or after
    /// its `until` counts, and with 0 nothing at all. Looked at without the rest of the model.
    fn check_removed(&self, device: &Device, teams: &Teams) -> Result<(), String> {
        let Some(node) = device.team else {
            return Ok(());
        };
        for team in (0..).map_while(|n| self.flat(n)) {
            let path: Vec<TeamRecord> = teams
                .path(&team)
                .unwrap_or_default()
                .iter()
                .map(|digest| TeamRecord::of(&self.network.nodes[node].received[digest]).unwrap())
                .collect();
            let counting = |row: &Row| row.owner == team && row.is_team() && row.counts();
            for row in device
                .items
                .iter()
                .flat_map(|node| self.rows(*node))
                .filter(counting)
            {
                let time = row.stamp.iat;
                for (at, record) in path.iter().enumerate() {
                    if record.lists(&row.author) {
                        continue;
                    }
                    let until = record.until.get(&row.author).copied();
                    if until == Some(0) {
                        return Err(format!("{row:?} counts, removed with until 0"));
                    }
                    let last = path[at..].iter().all(|later| {
                        !later.lists(&row.author) && !later.until.contains_key(&row.author)
                            || later.digest == record.digest
                    });
                    if last && time >= until.unwrap_or(u64::MAX).min(record.iat) {
                        return Err(format!("{row:?} counts, though removed"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Where no Team record comes, what was displaced stays so.
    pub(crate) fn nothing_displaced_comes_back(&mut self) -> Result<(), String> {
        for device in &self.devices {
            let silent = device.pins.is_empty()
                && device
                    .team
                    .is_none_or(|node| self.network.nodes[node].received.is_empty());
            for &node in &device.items {
                let rows = self.rows(node);
                let set: BTreeSet<Digest> = rows.iter().map(|row| row.stamp.digest).collect();
                let received = self.network.nodes[node].received.keys();
                let displaced: BTreeSet<Digest> = received
                    .filter(|digest| !set.contains(digest))
                    .copied()
                    .collect();
                let before = self.displaced.remove(&node).unwrap_or_default();
                if !silent {
                    continue;
                }
                if !before.is_subset(&displaced) {
                    return Err(format!("at node {node} something displaced came back"));
                }
                self.displaced.insert(node, displaced);
            }
        }
        Ok(())
    }

    /// Devices that know the same of teams have the same sets: those of all that any of them
    /// received. No acknowledged write is lost to them.
    pub(crate) fn check_together(&self, tally: &mut Tally) -> Result<(), String> {
        type Knowledge = (BTreeSet<Digest>, BTreeMap<KeyTag, Digest>);
        let mut classes: BTreeMap<Knowledge, Vec<&Device>> = BTreeMap::new();
        for device in &self.devices {
            let received = |node: usize| self.network.nodes[node].received.keys().copied();
            let records = device.team.map(|node| received(node).collect());
            let known = (records.unwrap_or_default(), device.pins.clone());
            classes.entry(known).or_default().push(device);
        }
        let spread: BTreeSet<_> = self
            .devices
            .iter()
            .filter_map(|device| device.team)
            .collect();
        let counts = spread
            .iter()
            .map(|node| self.network.nodes[*node].received.len());
        if counts.collect::<BTreeSet<_>>().len() > 1 {
            return Err("Team records did not spread".into());
        }
        for class in classes.values() {
            let teams = self.model(class[0]);
            for (at, id) in self.ids.iter().enumerate() {
                let nodes: Vec<usize> = class.iter().map(|device| device.items[at]).collect();
                let all: BTreeMap<Digest, Verified> = nodes
                    .iter()
                    .flat_map(|node| self.network.nodes[*node].received.clone())
                    .collect();
                let expected: Sets = groups(all.values())
                    .into_iter()
                    .map(|(name, records)| (name, Group::new(&teams, id.kind(), &records).set()))
                    .collect();
                for node in nodes {
                    let sets = sets(&self.network.nodes[node]);
                    if sets != expected {
                        return Err(format!(
                            "{id:?} at node {node}: {sets:#?}, of all that was received \
                             {expected:#?}"
                        ));
                    }
                }
            }
            tally.forks += u64::from(self.forked(class[0], &teams));
        }
        for one in &self.acknowledged {
            let register = self.network.nodes[one.node].replica.register();
            if register.sent(&one.digest).unwrap().is_none() {
                return Err(format!("{} was acknowledged and is lost", one.digest));
            }
            tally.acknowledged += 1;
        }
        Ok(())
    }

    /// Whether somebody was removed while others went on.
    fn forked(&self, device: &Device, teams: &Teams) -> bool {
        let Some(node) = device.team else {
            return false;
        };
        let received = &self.network.nodes[node].received;
        self.firsts.keys().any(|team| {
            let path = teams.path(team).unwrap_or_default();
            let of_team = |record: &&Verified| record.header().owner == *team;
            received.values().filter(of_team).count() > path.len()
        })
    }
}
