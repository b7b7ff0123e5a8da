//! Two originals that own a subject and a native owner write to it at the same time, round by
//! round, over a real relay's replica and front.

use std::collections::BTreeSet;

use flexstore_core::dialect::ROOT_DELAY_MS;
use flexstore_core::record::{Content, js};
use flexstore_core::register::{Heads, Selection};
use flexstore_core::sync::{Keys, Writing};
use flexstore_core::{Digest, Signed, SigningKey, Tag, Verified};

use crate::hub::Hub;
use crate::root::{Original, State, chain};
use crate::support::{key, report};

const ROOTS: &str = "VersionedCollection/docs";
const STATES: &str = "StateCollection/docs";

fn shelf(label: &str) -> js::Shelf {
    js::Shelf::parse(label).unwrap()
}

fn subject() -> Tag {
    Tag::new("doc").unwrap()
}

fn owner_key() -> SigningKey {
    key(1)
}

/// One owner in the original: its two channels, and its rules.
struct Owner {
    roots: usize,
    states: usize,
    rules: Original,
}

impl Owner {
    fn join(hub: &mut Hub, sealed: bool, act: u8) -> Self {
        let (roots, states) = (hub.client(ROOTS), hub.client(STATES));
        hub.clients[roots].store.incoming = Some(Vec::new());
        Self {
            roots,
            states,
            rules: Original::new(act, sealed),
        }
    }

    /// What came over the channel of the states.
    fn learn(&mut self, hub: &Hub) {
        for (tag, text) in &hub.clients[self.states].store.texts {
            let record: Verified = match js::Signed::parse(text.clone(), &shelf(STATES), Some(tag))
            {
                Ok(signed) => signed.verify().unwrap().into(),
                Err(_) => Signed::parse(text.clone()).unwrap().verify().unwrap(),
            };
            let header = record.header();
            let payload = String::from_utf8(record.payload().to_vec()).unwrap();
            let state = State {
                payload,
                ant: header.ant,
                iat: header.iat,
                act: 1,
            };
            self.rules
                .states
                .insert(Digest::parse(tag.as_str()).unwrap(), state);
        }
    }

    /// Signs what the rules made, and tells it, where it is connected.
    fn publish(&mut self, hub: &mut Hub) {
        let there = &hub.clients[self.states].store.texts;
        let new: Vec<(Digest, State)> = (self.rules.states.iter())
            .filter(|(tag, _)| !there.contains_key(&tag.tag()))
            .map(|(tag, state)| (*tag, state.clone()))
            .collect();
        for (tag, state) in new {
            let mut draft = js::Draft::text(shelf(STATES), subject(), &state.payload, state.iat);
            draft.ant = state.ant;
            let record = draft.sign(&owner_key()).unwrap();
            assert_eq!(record.state(), Some(tag));
            hub.puts(self.states, &record);
        }
        let heads = &self.rules.root;
        let iat = self.rules.states[&heads[0]].iat;
        let root = js::Draft::root(shelf(ROOTS), subject(), heads, iat);
        hub.puts(self.roots, &root.sign(&owner_key()).unwrap());
    }

    /// Merges the last root that came, if one did that is another.
    fn merge(&mut self, hub: &mut Hub) -> bool {
        self.learn(hub);
        let incoming = hub.clients[self.roots].store.incoming.as_mut().unwrap();
        let Some(text) = incoming.pop() else {
            return false;
        };
        incoming.clear();
        let root = js::Signed::parse(text, &shelf(ROOTS), Some(&subject()))
            .unwrap()
            .verify()
            .unwrap();
        if root.heads() == self.rules.root {
            return false;
        }
        assert!(
            root.heads()
                .iter()
                .all(|tag| self.rules.states.contains_key(tag))
        );
        self.rules.merge(root.heads());
        self.publish(hub);
        true
    }
}

fn rounds(sealed: bool) -> (usize, usize) {
    let mut hub = Hub::new(shelf(ROOTS).collection());
    hub.native();
    let mut owners = [
        Owner::join(&mut hub, sealed, 2),
        Owner::join(&mut hub, sealed, 3),
    ];
    let (mut sizes, mut most) = (vec![0], 0);
    for round in 0..=20 {
        // Apart: each writes what it thinks is next.
        for (n, owner) in owners.iter_mut().enumerate() {
            if round > 0 || n == 0 {
                hub.disconnect(owner.roots);
                hub.disconnect(owner.states);
                owner
                    .rules
                    .write(&format!("{n}.{round}"), hub.now + n as u64);
                owner.publish(&mut hub);
            }
        }
        let mark = if sealed { "#native" } else { "" };
        if round > 0 {
            let payload = format!("native.{round}{mark}{round}").into();
            let cty = Some("text/plain".into());
            let writing = Writing::new(subject(), Content::Plain { payload, cty });
            let (now, peer) = (hub.now + 2, hub.peer.as_mut().unwrap());
            peer.write(now, writing, Keys::Solo(&owner_key())).unwrap();
            hub.run();
        }
        // Together again, both at once, until nobody has anything to merge.
        for owner in &owners {
            hub.connect(owner.states);
            hub.connect(owner.roots);
        }
        let mut steps = 0;
        loop {
            hub.wait(ROOT_DELAY_MS);
            let merged = owners
                .iter_mut()
                .map(|owner| owner.merge(&mut hub))
                .filter(|moved| *moved);
            if merged.count() == 0 {
                break;
            }
            steps += 1;
            assert!(steps < 30, "they merge for ever");
        }
        let rows = hub.replica.register().rows(&subject()).unwrap();
        sizes.push(rows.len());
        most = most.max(sizes[sizes.len() - 1] - sizes[sizes.len() - 2]);
        if round == 0 {
            continue;
        }
        // The relay, the native peer and both originals show the same latest, and no write is lost.
        let opened = |text: &[u8]| {
            String::from_utf8(text.to_vec())
                .unwrap()
                .split('#')
                .next()
                .unwrap()
                .to_owned()
        };
        let expected = if sealed {
            format!("native.{round}")
        } else {
            format!("native.{round}{round}")
        };
        for replica in [&hub.replica, hub.peer.as_ref().unwrap()] {
            let latest = replica
                .register()
                .read(&subject(), None, Selection::Latest)
                .unwrap()
                .unwrap();
            assert_eq!(opened(latest.payload()), expected);
        }
        assert_eq!(Heads::of(&rows, &owner_key().tag()).list.len(), 1);
        for owner in &owners {
            let [head] = owner.rules.root[..] else {
                panic!("not merged")
            };
            assert_eq!(owner.rules.states[&head].opened(), expected);
            let chain = chain(&owner.rules.states, head);
            let seen: BTreeSet<&str> = chain
                .iter()
                .map(|tag| owner.rules.states[tag].opened())
                .collect();
            assert_eq!(seen.len(), 1 + 3 * round);
        }
    }
    (rows_of(&hub), most)
}

fn rows_of(hub: &Hub) -> usize {
    hub.replica.register().rows(&subject()).unwrap().len()
}

#[test]
fn twenty_rounds_over_a_real_front_stay_linear() {
    for sealed in [false, true] {
        let (states, most) = rounds(sealed);
        let writes = 1 + 20 * 3;
        let kind = if sealed { "sealed" } else { "plain" };
        let figure = format!("{states} states for {writes} writes, at most {most} more a round");
        let held = states <= 8 * writes && most <= 30;
        report(
            &format!("derived-roots-front-{kind}"),
            &figure,
            "at most 8 states a write, 30 more a round",
            held,
        );
    }
}
