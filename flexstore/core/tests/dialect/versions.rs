//! Versioned items over a front: states and roots on two channels.

use std::collections::BTreeMap;

use bytes::Bytes;
use flexstore_core::Digest;
use flexstore_core::SigningKey;
use flexstore_core::dialect::{MODULUS_BYTES, Message, ROOT_DELAY_MS, relay_key};
use flexstore_core::record::{Content, js};

use crate::front::{gone, hub, moved, resync_moves_nothing, shelf, tag};
use crate::hub::{Hub, START};
use crate::support::{key, list, read_json, text, vectors};

const ROOTS: &str = "VersionedCollection/docs";
const STATES: &str = "StateCollection/docs";

/// A version and its root, as an original signs them.
fn version(
    under: &str,
    words: &str,
    ant: Option<Digest>,
    iat: u64,
    by: &SigningKey,
) -> [js::Verified; 2] {
    let mut draft = js::Draft::text(shelf(STATES), tag(under), words, START + iat);
    draft.ant = ant;
    let state = draft.sign(by).unwrap();
    let heads = [state.state().unwrap()];
    let root = js::Draft::root(shelf(ROOTS), tag(under), &heads, START + iat);
    [state, root.sign(by).unwrap()]
}

/// Two clients with both channels each: roots first.
fn two_with_versions() -> (Hub, [usize; 2], [usize; 2]) {
    let mut hub = hub(ROOTS);
    let a = [hub.client(ROOTS), hub.client(STATES)];
    let b = [hub.client(ROOTS), hub.client(STATES)];
    (hub, a, b)
}

#[test]
fn an_owners_root_is_kept_and_passed_on_as_it_is_in_either_order() {
    for state_first in [true, false] {
        let (mut hub, a, b) = two_with_versions();
        let [state, root] = version("doc", "one", None, 0, &key(1));
        if state_first {
            hub.puts(a[1], &state);
            assert_eq!(
                hub.text(b[0], &tag("doc")),
                None,
                "the owner's root is waited for"
            );
            hub.puts(a[0], &root);
        } else {
            hub.puts(a[0], &root);
            hub.puts(a[1], &state);
        }
        hub.wait(ROOT_DELAY_MS);
        assert_eq!(hub.text(b[1], &state.stands()), Some(state.text()));
        assert_eq!(
            hub.text(b[0], &tag("doc")),
            Some(root.text()),
            "{state_first}"
        );
        assert_eq!(moved(&hub.clients[a[0]].heard), BTreeMap::new(), "no echo");
        resync_moves_nothing(&mut hub);
        hub.restart();
        resync_moves_nothing(&mut hub);
    }
}

#[test]
fn a_fork_is_shown_as_a_list_that_the_relay_signs() {
    let (mut hub, a, b) = two_with_versions();
    let [one, root] = version("doc", "one", None, 0, &key(1));
    hub.puts(a[1], &one);
    hub.puts(a[0], &root);
    let [left, left_root] = version("doc", "left", one.state(), 10, &key(1));
    let [right, right_root] = version("doc", "right", one.state(), 20, &key(1));
    for client in [a, b] {
        hub.disconnect(client[0]);
        hub.disconnect(client[1]);
    }
    for (client, state, root) in [(a, &left, &left_root), (b, &right, &right_root)] {
        hub.puts(client[1], state);
        hub.puts(client[0], root);
    }
    for at in [a, b].concat() {
        hub.connect(at);
    }
    hub.wait(ROOT_DELAY_MS);
    let mut heads = [left.state().unwrap(), right.state().unwrap()];
    heads.sort_unstable();
    let shown = hub.text(a[0], &tag("doc")).unwrap().clone();
    assert_eq!(hub.text(b[0], &tag("doc")), Some(&shown));
    let derived = js::Signed::parse(shown.clone(), &shelf(ROOTS), Some(&tag("doc")))
        .unwrap()
        .verify()
        .unwrap();
    assert_eq!(derived.heads(), heads);
    assert_eq!(
        derived.claimed(),
        Some(js::Claimed::Individual(key(1).tag()))
    );
    assert_eq!(
        (derived.header().owner, derived.header().iat),
        (key(99).tag(), START + 20)
    );
    for root in [&left_root, &right_root, &derived] {
        assert!(
            hub.clients[a[1]]
                .store
                .texts
                .contains_key(&root.heads()[0].tag())
        );
    }
    resync_moves_nothing(&mut hub);
    // The same bytes after a restart, and by a relay that learned of the versions natively.
    hub.restart();
    resync_moves_nothing(&mut hub);
    // The owner merges: its own root is shown again.
    let [merged, merged_root] = version("doc", "right", left.state(), 20, &key(1));
    hub.puts(a[1], &merged);
    hub.puts(a[0], &merged_root);
    hub.wait(ROOT_DELAY_MS);
    assert_eq!(hub.text(b[0], &tag("doc")), Some(merged_root.text()));
    resync_moves_nothing(&mut hub);
}

#[test]
fn a_native_version_gives_originals_a_root_at_once() {
    let (mut hub, a, b) = two_with_versions();
    hub.native();
    let [state, root] = version("doc", "one", None, 0, &key(1));
    hub.puts(a[1], &state);
    hub.puts(a[0], &root);
    let [next, _] = version("doc", "two", state.state(), 10, &key(1));
    hub.peer_writes(next.clone());
    for client in [a, b] {
        assert_eq!(hub.text(client[1], &next.stands()), Some(next.text()));
        let root = hub.text(client[0], &tag("doc")).unwrap().clone();
        let root = js::Signed::parse(root, &shelf(ROOTS), Some(&tag("doc")))
            .unwrap()
            .verify()
            .unwrap();
        assert_eq!(root.heads(), [next.state().unwrap()]);
    }
    resync_moves_nothing(&mut hub);
}

#[test]
fn a_subject_that_is_deleted_is_deleted_everywhere() {
    for native in [false, true] {
        let (mut hub, a, b) = two_with_versions();
        hub.native();
        let [state, root] = version("doc", "one", None, 0, &key(1));
        hub.puts(a[1], &state);
        hub.puts(a[0], &root);
        for at in b {
            hub.disconnect(at);
        }
        let mut of_state = js::Draft::new(shelf(STATES), tag("doc"), Content::Tombstone, START + 5);
        of_state.ant = state.state();
        let of_state = of_state.sign(&key(1)).unwrap();
        let of_root = gone(ROOTS, &tag("doc"), 6, &key(1));
        if native {
            hub.peer_writes(of_root);
        } else {
            hub.deletes(a[1], &of_state);
            hub.deletes(a[0], &of_root);
        }
        hub.wait(ROOT_DELAY_MS);
        for at in b {
            hub.connect(at);
        }
        for client in [a, b] {
            assert_eq!(
                hub.text(client[0], &tag("doc")),
                None,
                "the root, native: {native}"
            );
            // What a native peer removes leaves the states where they are.
            let stays = hub.text(client[1], &state.stands()).is_some();
            assert_eq!(stays, native);
        }
        resync_moves_nothing(&mut hub);
    }
}

#[test]
fn a_root_that_others_sign_or_that_lists_what_is_not_there_is_not_shown() {
    let (mut hub, a, b) = two_with_versions();
    let [state, root] = version("doc", "one", None, 0, &key(1));
    hub.puts(a[1], &state);
    hub.puts(a[0], &root);
    let heads = [Digest::of(b"nothing")];
    let of = |by: u8, claimed| {
        let mut draft = js::Draft::root(shelf(ROOTS), tag("doc"), &heads, START + 50);
        draft.claimed = claimed;
        draft.sign(&key(by)).unwrap()
    };
    let stranger = of(2, None);
    let claims = of(2, Some(js::Claimed::Individual(key(1).tag())));
    let own = of(1, None);
    for bad in [stranger, claims, own] {
        hub.say(
            a[0],
            Message::Put {
                tag: tag("doc"),
                record: Some(bad.text().clone()),
            },
        );
        hub.wait(ROOT_DELAY_MS);
        let late = hub.client(ROOTS);
        let shown = hub.text(late, &tag("doc")).unwrap().clone();
        let shown = js::Signed::parse(shown, &shelf(ROOTS), Some(&tag("doc")))
            .unwrap()
            .verify()
            .unwrap();
        assert_eq!(shown.heads(), [state.state().unwrap()]);
    }
    assert_eq!(hub.text(b[1], &state.stands()), Some(state.text()));
    assert_eq!(hub.ended, []);
}

#[test]
fn originals_learn_of_the_relays_key_by_a_record_without_a_private_half() {
    let record = relay_key(&key(99), &[0; MODULUS_BYTES], START).unwrap();
    assert_eq!(record.stands(), key(99).tag().tag());
    let payload: serde_json::Value = serde_json::from_slice(record.payload()).unwrap();
    let modulus =
        flexstore_core::decode_base64url(payload["n"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!((modulus.len(), modulus[0], modulus[511]), (512, 0x80, 1));
    let members: Vec<&String> = payload.as_object().unwrap().keys().collect();
    assert_eq!(members, ["kty", "n", "e", "alg"]);
    let mut hub = hub("MutableCollection/EncryptionKey");
    let client = hub.client("MutableCollection/EncryptionKey");
    hub.native();
    hub.peer_writes(record.clone());
    assert_eq!(hub.text(client, &record.stands()), Some(record.text()));
}

#[test]
fn what_the_original_recorded_passes_through_a_front_byte_for_byte() {
    let Some(folder) = vectors() else { return };
    let file = read_json(&folder.join("js-flexstore/flexstore.json"));
    for kinds in [
        &["ImmutableCollection"][..],
        &["MutableCollection"],
        &["VersionedCollection", "StateCollection"],
    ] {
        let labels: Vec<String> = kinds.iter().map(|kind| format!("{kind}/vectors")).collect();
        let mut hub = hub(&labels[0]);
        // When they were made.
        hub.now = 1_795_150_000_000;
        let senders: Vec<usize> = labels.iter().map(|label| hub.client(label)).collect();
        let mut expected = vec![BTreeMap::new(); kinds.len()];
        for item in list(&file["items"]) {
            let Some(at) = kinds.iter().position(|kind| item["collection"] == **kind) else {
                continue;
            };
            let (under, record) = (
                tag(text(&item["tag"])),
                Bytes::from(text(&item["record"]).to_owned()),
            );
            // A team's item counts once there is a Team record; here there is none.
            if !record.starts_with(b"{") {
                expected[at].insert(under.clone(), record.clone());
            }
            let record = Some(record);
            hub.say(senders[at], Message::Put { tag: under, record });
        }
        hub.wait(ROOT_DELAY_MS);
        assert_eq!(hub.ended, []);
        for (label, expected) in labels.iter().zip(expected) {
            assert!(!expected.is_empty());
            let late = hub.client(label);
            assert_eq!(hub.clients[late].store.texts, expected, "{label}");
        }
    }
}
