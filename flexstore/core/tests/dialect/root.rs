//! Roots that a relay derives, and what becomes of the originals that merge them.

use std::collections::{BTreeMap, BTreeSet};

use flexstore_core::authority::Standing;
use flexstore_core::dialect::sign_root;
use flexstore_core::record::{Stamp, js};
use flexstore_core::register::{Heads, Row};
use flexstore_core::{CollectionId, Digest, KeyTag, Kind, Tag};
use proptest::prelude::*;

use crate::support::{key, report};

fn owner() -> KeyTag {
    key(1).tag()
}

/// A version by a member of the team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) payload: String,
    pub(crate) ant: Option<Digest>,
    pub(crate) iat: u64,
    pub(crate) act: u8,
}

impl State {
    /// As the original computes it.
    fn tag(&self) -> Digest {
        let rest = self.ant.map_or(self.iat.to_string(), |ant| ant.to_string());
        Digest::of(format!("{}{rest}", self.payload).as_bytes())
    }

    /// What is in the payload; behind the mark is what sealing makes different every time.
    pub(crate) fn opened(&self) -> &str {
        self.payload.split('#').next().unwrap()
    }

    fn row(&self) -> Row {
        let text = format!("{self:?}");
        let digest = Digest::of(text.as_bytes());
        Row {
            tag: Tag::new("subject").unwrap(),
            owner: owner(),
            author: key(self.act).tag(),
            stamp: Stamp {
                iat: self.iat,
                digest,
            },
            tombstone: false,
            archived: false,
            state: Some(self.tag()),
            ant: self.ant,
            standing: Standing::Counts,
            hash: digest,
        }
    }
}

pub(crate) type States = BTreeMap<Digest, State>;

fn heads(states: &States) -> Vec<Digest> {
    let rows: Vec<Row> = states.values().map(State::row).collect();
    Heads::of(&rows, &owner()).list
}

pub(crate) fn chain(states: &States, from: Digest) -> Vec<Digest> {
    let next = |tag: &Digest| states.get(tag).and_then(|state| state.ant);
    std::iter::successors(Some(from), next)
        .filter(|tag| states.contains_key(tag))
        .collect()
}

/// An owner in the original, as the formats document has it in 5.2 and 5.3.
pub(crate) struct Original {
    act: u8,
    pub(crate) states: States,
    pub(crate) root: Vec<Digest>,
    /// The root that the relay told last.
    told: Vec<Digest>,
    /// Makes sealed payloads differ; `None` where nothing is sealed.
    seals: Option<u64>,
}

impl Original {
    pub(crate) fn new(act: u8, sealed: bool) -> Self {
        let seals = sealed.then_some(u64::from(act) << 32);
        Self {
            act,
            states: States::new(),
            root: Vec::new(),
            told: Vec::new(),
            seals,
        }
    }

    fn seal(&mut self, opened: &str) -> String {
        match &mut self.seals {
            None => opened.to_owned(),
            Some(count) => {
                *count += 1;
                format!("{opened}#{count}")
            }
        }
    }

    fn add(&mut self, opened: &str, ant: Option<Digest>, iat: u64) -> Digest {
        let payload = self.seal(opened);
        let state = State {
            payload,
            ant,
            iat,
            act: self.act,
        };
        let tag = state.tag();
        self.states.entry(tag).or_insert(state);
        tag
    }

    pub(crate) fn write(&mut self, opened: &str, iat: u64) {
        assert!(
            self.root.len() <= 1,
            "a root that is not merged takes no write"
        );
        let ant = self.root.first().copied();
        self.root = vec![self.add(opened, ant, iat)];
    }

    /// 5.3, without its bounds on time.
    fn common(&self, list: &[Digest]) -> Vec<Digest> {
        let mut list: Vec<Digest> = list.to_vec();
        // A member found inside another's chain is dropped.
        let all = list.clone();
        let inside = |tag: &Digest| {
            all.iter()
                .any(|other| other != tag && chain(&self.states, *other).contains(tag))
        };
        list.retain(|tag| !inside(tag));
        list.dedup();
        if list.len() <= 1 {
            return list;
        }
        let chains: Vec<Vec<Digest>> = list.iter().map(|tag| chain(&self.states, *tag)).collect();
        let shared = |tag: &&Digest| chains.iter().all(|chain| chain.contains(tag));
        let Some(candidate) = chains[0].iter().find(shared).copied() else {
            return Vec::new();
        };
        let mut answer = vec![candidate];
        for chain in &chains {
            // In the order in which they were written, which decides where times and actors are
            // equal.
            let above = chain.iter().take_while(|tag| **tag != candidate);
            for tag in above.collect::<Vec<_>>().into_iter().rev() {
                if !answer.contains(tag) {
                    answer.push(*tag);
                }
            }
        }
        answer
    }

    /// 5.2.
    pub(crate) fn merge(&mut self, incoming: &[Digest]) {
        let mut combined = incoming.to_vec();
        combined.extend(&self.root);
        let common = self.common(&combined);
        if self.root.is_empty() && incoming.len() == 1 {
            self.root = incoming.to_vec();
        } else if common.len() == 1 && combined.len() == 2 {
            self.root = common;
        } else {
            let (mut head, mut rest) = match common.split_first() {
                Some((first, rest)) => (Some(*first), rest.to_vec()),
                None => (None, combined),
            };
            // By time, then by the actor; the subject is the same, so one order serves all.
            rest.sort_by_key(|tag| (self.states[tag].iat, self.states[tag].act));
            for tag in rest {
                let state = self.states[&tag].clone();
                head = Some(if state.ant == head {
                    tag
                } else {
                    self.add(state.opened(), head, state.iat)
                });
            }
            self.root = head.into_iter().collect();
        }
    }
}

/// A native owner: reads the version that the register shows, and writes on top of it.
fn native_write(relay: &mut States, opened: &str, iat: u64, sealed: bool) {
    let ant = latest(relay);
    let payload = if sealed {
        format!("{opened}#native{iat}")
    } else {
        opened.to_owned()
    };
    let state = State {
        payload,
        ant,
        iat,
        act: 9,
    };
    relay.insert(state.tag(), state);
}

/// The greatest head, by time, then digest.
fn latest(states: &States) -> Option<Digest> {
    let listed = heads(states);
    listed.into_iter().max_by_key(|tag| states[tag].row().stamp)
}

/// Everybody tells the relay what it has, and the relay tells everybody at once what is new, until
/// nothing changes. Returns the number of exchanges.
fn settle(relay: &mut States, owners: &mut [Original; 2]) -> usize {
    for step in 0..100 {
        for owner in owners.iter() {
            relay.extend(owner.states.clone());
        }
        let root = heads(relay);
        let mut moved = false;
        for owner in owners.iter_mut() {
            owner.states.extend(relay.clone());
            if owner.root != root && owner.told != root {
                owner.told.clone_from(&root);
                owner.merge(&root);
                moved = true;
            }
        }
        if !moved {
            return step;
        }
        assert!(relay.len() < 2000, "they merge for ever");
    }
    panic!("they merge for ever: {} states", relay.len());
}

/// Two owners in the original and a native one write at the same time, round by round.
fn rounds(count: u64, sealed: bool) -> (Vec<usize>, usize) {
    let mut relay = States::new();
    let mut owners = [Original::new(2, sealed), Original::new(3, sealed)];
    let (mut sizes, mut steps) = (Vec::new(), 0);
    owners[0].write("first", 1);
    settle(&mut relay, &mut owners);
    for round in 1..=count {
        let at = round * 10;
        owners[0].write(&format!("a{round}"), at);
        owners[1].write(&format!("b{round}"), at + 1);
        native_write(&mut relay, &format!("n{round}"), at + 2, sealed);
        steps = steps.max(settle(&mut relay, &mut owners));
        sizes.push(relay.len());
        // All show the same latest, and it is that of the greatest time.
        let root = heads(&relay);
        assert_eq!(root.len(), 1, "round {round}");
        let opened = format!("n{round}");
        assert_eq!(relay[&root[0]].opened(), opened);
        assert_eq!(relay[&latest(&relay).unwrap()].opened(), opened);
        for owner in &owners {
            assert_eq!(owner.root.len(), 1);
            assert_eq!(owner.states[&owner.root[0]].opened(), opened);
            // No write of any round is lost.
            let chain = chain(&owner.states, owner.root[0]);
            let seen: BTreeSet<&str> = chain.iter().map(|tag| owner.states[tag].opened()).collect();
            assert_eq!(seen.len() as u64, 1 + 3 * round);
        }
    }
    (sizes, steps)
}

#[test]
fn states_stay_linear_in_the_writes_and_all_show_the_same() {
    for sealed in [false, true] {
        let (sizes, steps) = rounds(20, sealed);
        let writes = 1 + 20 * 3;
        let per_round: Vec<usize> = sizes.windows(2).map(|two| two[1] - two[0]).collect();
        let most = per_round.iter().max().unwrap();
        let kind = if sealed { "sealed" } else { "plain" };
        let figure = format!(
            "{} states for {writes} writes, at most {most} more a round",
            sizes[19]
        );
        let held = sizes[19] <= 8 * writes && *most <= 30;
        report(
            &format!("derived-roots-{kind}"),
            &figure,
            "at most 8 states a write, 30 more a round",
            held,
        );
        println!("{kind}: at most {steps} exchanges until all is still");
    }
}

fn id() -> CollectionId {
    CollectionId::new(Kind::Versioned, "notes").unwrap()
}

/// Histories that grow from one another at random, with times that occur twice.
fn histories() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0u64..6, 0u8..3), 1..24).prop_map(
        |steps| {
            let mut states: Vec<State> = Vec::new();
            for (n, (at, iat, act)) in steps.into_iter().enumerate() {
                let ant = (!states.is_empty() && n % 5 > 0).then(|| at.get(&states).tag());
                states.push(State {
                    payload: n.to_string(),
                    ant,
                    iat,
                    act: act + 2,
                });
            }
            states.iter().map(State::row).collect()
        },
    )
}

/// The rule, word for word.
fn by_the_words(rows: &[Row]) -> Vec<Digest> {
    let by: BTreeMap<Digest, &Row> = rows.iter().map(|row| (row.state.unwrap(), row)).collect();
    let chain = |from: Digest| -> Vec<Digest> {
        let next = |tag: &Digest| by.get(tag).and_then(|row| row.ant);
        std::iter::successors(Some(from), next)
            .filter(|tag| by.contains_key(tag))
            .collect()
    };
    let heads: Vec<Digest> = by
        .keys()
        .filter(|tag| !rows.iter().any(|row| row.ant == Some(**tag)))
        .copied()
        .collect();
    let rank = |tag: &Digest| (chain(*tag).len(), *tag);
    let covered = |head: &Digest| {
        let deeper = heads.iter().filter(|other| rank(other) > rank(head));
        let times = deeper
            .flat_map(|other| chain(*other))
            .map(|tag| by[&tag].stamp.iat);
        times.collect::<BTreeSet<_>>().contains(&by[head].stamp.iat)
    };
    heads
        .iter()
        .filter(|head| !covered(head))
        .copied()
        .collect()
}

proptest! {
    #[test]
    fn heads_are_those_of_the_rule_whatever_the_order(
        (rows, shuffled) in histories().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let found = Heads::of(&rows, &owner());
        prop_assert_eq!(&found.list, &by_the_words(&rows));
        prop_assert_eq!(&Heads::of(&shuffled, &owner()), &found);
        let listed = rows.iter().filter(|row| found.list.contains(&row.state.unwrap()));
        prop_assert_eq!(found.iat, listed.map(|row| row.stamp.iat).max().unwrap());
        // The bytes are the same for the same signer, whoever asks.
        let subject = Tag::new("subject").unwrap();
        let sign = || sign_root(&found, &id(), &subject, &owner(), &key(7)).unwrap();
        let (root, again) = (sign(), sign_root(&Heads::of(&shuffled, &owner()), &id(), &subject, &owner(), &key(7)).unwrap());
        prop_assert_eq!(root.text(), again.text());
        prop_assert_eq!(root.heads(), &found.list);
        prop_assert_eq!(root.claimed(), Some(js::Claimed::Group(owner())));
        prop_assert_eq!(root.header().iat, found.iat);
    }
}

#[test]
fn what_does_not_count_or_deletes_or_is_anothers_is_no_head() {
    let base = State {
        payload: "base".into(),
        ant: None,
        iat: 5,
        act: 1,
    };
    let next = State {
        payload: "next".into(),
        ant: Some(base.tag()),
        iat: 6,
        act: 1,
    };
    let only = |row: Row| Heads::of(&[base.row(), row], &owner()).list;
    let row = next.row();
    assert_eq!(only(row.clone()), [next.tag()]);
    for standing in [Standing::Void, Standing::Unjudged] {
        assert_eq!(
            only(Row {
                standing,
                ..row.clone()
            }),
            [base.tag()]
        );
    }
    let others = Row {
        owner: key(2).tag(),
        ..row.clone()
    };
    assert_eq!(only(others), [base.tag()]);
    let tombstone = true;
    assert_eq!(
        only(Row {
            tombstone,
            ..row.clone()
        }),
        [base.tag()]
    );
    assert!(Heads::of(&[], &owner()).list.is_empty());
    // By the owner alone, and not for a team: another word in the header, and for oneself none.
    let heads = Heads::of(&[base.row()], &owner());
    let subject = Tag::new("subject").unwrap();
    let claimed = |by: u8| {
        sign_root(&heads, &id(), &subject, &owner(), &key(by))
            .unwrap()
            .claimed()
    };
    assert_eq!(claimed(7), Some(js::Claimed::Individual(owner())));
    assert_eq!(claimed(1), None);
    assert!(sign_root(&Heads::default(), &id(), &subject, &owner(), &key(7)).is_err());
}

#[test]
fn ten_thousand_heads_on_a_long_chain_take_no_square_of_time() {
    let mut rows = Vec::new();
    let mut ant = None;
    for iat in 0..10_000 {
        let state = State {
            payload: "x".into(),
            ant,
            iat,
            act: 2,
        };
        ant = Some(state.tag());
        rows.push(state.row());
        let twig = State {
            payload: "y".into(),
            ant,
            iat: iat + 10_000,
            act: 2,
        };
        rows.push(twig.row());
    }
    let start = std::time::Instant::now();
    let found = Heads::of(&rows, &owner());
    assert_eq!(found.list.len(), 10_000);
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
}
