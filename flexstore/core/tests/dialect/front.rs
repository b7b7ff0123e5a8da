use std::collections::BTreeMap;

use flexstore_core::dialect::{Ended, Message, MessageError};
use flexstore_core::record::{Content, js};
use flexstore_core::register::Selection;
use flexstore_core::{CollectionId, SigningKey, Tag};

use crate::hub::{Hub, START};
use crate::support::key;

pub(crate) fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

pub(crate) fn shelf(label: &str) -> js::Shelf {
    js::Shelf::parse(label).unwrap()
}

pub(crate) fn hub(label: &str) -> Hub {
    Hub::new(shelf(label).collection())
}

fn text(label: &str, under: &str, words: &str, iat: u64, by: &SigningKey) -> js::Verified {
    js::Draft::text(shelf(label), tag(under), words, START + iat)
        .sign(by)
        .unwrap()
}

pub(crate) fn gone(label: &str, under: &Tag, iat: u64, by: &SigningKey) -> js::Verified {
    let draft = js::Draft::new(shelf(label), under.clone(), Content::Tombstone, START + iat);
    draft.sign(by).unwrap()
}

const NOTES: &str = "MutableCollection/notes";
const FILES: &str = "ImmutableCollection/files";
const ROOTS: &str = "VersionedCollection/docs";
const STATES: &str = "StateCollection/docs";

/// What was said besides the stream of hashes.
pub(crate) fn moved(messages: &[Message]) -> BTreeMap<&'static str, usize> {
    let mut count = BTreeMap::new();
    for message in messages {
        *count.entry(message.method()).or_default() += 1;
    }
    for quiet in ["versions", "hash", "endTags", "synchronizationComplete"] {
        count.remove(quiet);
    }
    count
}

/// All clients come again, and nothing but hashes passes.
pub(crate) fn resync_moves_nothing(hub: &mut Hub) {
    for at in 0..hub.clients.len() {
        hub.disconnect(at);
        hub.connect(at);
        let client = &hub.clients[at];
        assert!(hub.front.is_synchronized(client.id));
        assert_eq!(
            moved(&client.heard),
            BTreeMap::new(),
            "to {at}: {:?}",
            client.heard
        );
        assert_eq!(
            moved(&client.said),
            BTreeMap::new(),
            "from {at}: {:?}",
            client.said
        );
    }
}

#[test]
fn items_pass_between_originals_and_native_peers_both_ways_and_at_once() {
    for label in [NOTES, FILES] {
        let mut hub = hub(label);
        hub.native();
        let (a, b) = (hub.client(label), hub.client(label));
        let first = text(label, "x", "one", 0, &key(1));
        let at = first.stands();
        hub.puts(a, &first);
        assert_eq!(hub.text(b, &at), Some(first.text()));
        assert_eq!(moved(&hub.clients[a].heard), BTreeMap::new(), "no echo");
        let peer = hub.peer.as_ref().unwrap().register();
        let read = peer.read(&at, None, Selection::Latest).unwrap().unwrap();
        assert_eq!(read.text(), first.text());

        let second = text(label, "y", "two", 1, &key(2));
        hub.peer_writes(second.clone());
        for client in [a, b] {
            assert_eq!(hub.text(client, &second.stands()), Some(second.text()));
        }
        // A late one gets both in its first synchronization.
        let late = hub.client(label);
        assert_eq!(hub.clients[late].store.texts.len(), 2);
        resync_moves_nothing(&mut hub);
        hub.restart();
        resync_moves_nothing(&mut hub);

        // Deletions: an original's, and a native peer's.
        hub.native();
        hub.deletes(a, &gone(label, &at, 5, &key(1)));
        assert_eq!(hub.text(b, &at), None);
        let peer = hub.peer.as_ref().unwrap().register();
        assert!(peer.read(&at, None, Selection::Latest).unwrap().is_none());
        hub.peer_writes(gone(label, &second.stands(), 6, &key(2)));
        assert_eq!(hub.text(a, &second.stands()), None);
        assert!(
            hub.clients
                .iter()
                .all(|client| client.store.texts.is_empty())
        );
        resync_moves_nothing(&mut hub);
        assert_eq!(hub.ended, []);
    }
}

#[test]
fn native_records_are_shown_to_originals_and_come_back_unchanged() {
    let mut hub = hub(NOTES);
    let a = hub.client(NOTES);
    let native = shelf(NOTES).collection().native();
    let draft = flexstore_core::record::Draft::text(native, tag("n"), "native", START);
    let record = draft.sign(&key(1)).unwrap();
    hub.native();
    hub.peer_writes(record.clone());
    assert_eq!(hub.text(a, &tag("n")), Some(record.text()));
    // Another relay has it from the client.
    let client = hub.clients.pop().unwrap();
    let mut other = Hub::new(shelf(NOTES).collection());
    other.clients.push(client);
    other.connect(0);
    let register = other.replica.register();
    let there = register
        .read(&tag("n"), None, Selection::Latest)
        .unwrap()
        .unwrap();
    assert_eq!(there.digest(), record.digest());
    // A state under another's name, and a native version of another subject, are none.
    for (label, under) in [(NOTES, "other"), (STATES, "n"), (ROOTS, "n")] {
        let mut hub = self::hub(label);
        let a = hub.client(label);
        let record = Some(record.text().clone());
        hub.say(
            a,
            Message::Put {
                tag: tag(under),
                record,
            },
        );
        assert!(hub.replica.register().rows(&tag(under)).unwrap().is_empty());
    }
}

#[test]
fn a_deletion_reaches_who_was_away_and_what_it_hands_back_stays_deleted() {
    for label in [NOTES, FILES] {
        let mut hub = hub(label);
        let (a, b, c) = (hub.client(label), hub.client(label), hub.client(label));
        let item = text(label, "x", "one", 0, &key(1));
        let at = item.stands();
        hub.puts(a, &item);
        hub.disconnect(b);
        hub.disconnect(c);
        hub.deletes(a, &gone(label, &at, 5, &key(1)));
        assert_eq!(hub.text(b, &at), Some(item.text()), "it does not know yet");
        hub.connect(b);
        assert_eq!(hub.text(b, &at), None);
        assert_eq!(
            moved(&hub.clients[b].heard),
            BTreeMap::from([("delete", 1)])
        );
        // Live, out of its own memory, and after a restart.
        hub.restart();
        for client in [a, b, c] {
            hub.connect(client);
            hub.puts(client, &item);
            assert_eq!(hub.text(client, &at), None);
            assert!(
                hub.replica
                    .register()
                    .read(&at, None, Selection::Latest)
                    .unwrap()
                    .is_none()
            );
        }
        resync_moves_nothing(&mut hub);
    }
}

#[test]
fn what_was_written_anew_after_a_deletion_is_not_deleted_again() {
    let mut hub = hub(NOTES);
    let (a, b) = (hub.client(NOTES), hub.client(NOTES));
    hub.puts(a, &text(NOTES, "x", "one", 0, &key(1)));
    hub.disconnect(b);
    hub.deletes(a, &gone(NOTES, &tag("x"), 5, &key(1)));
    let anew = text(NOTES, "x", "two", 9, &key(1));
    hub.clients[b]
        .store
        .texts
        .insert(tag("x"), anew.text().clone());
    hub.connect(b);
    for client in [a, b] {
        assert_eq!(hub.text(client, &tag("x")), Some(anew.text()));
    }
}

#[test]
fn a_record_that_is_not_taken_leaves_the_channel_and_everybody_else_alone() {
    let mut hub = hub(NOTES);
    let (a, b) = (hub.client(NOTES), hub.client(NOTES));
    let good = text(NOTES, "x", "one", 0, &key(1));
    let too_new = text(NOTES, "x", "one", 10 * 60 * 1000, &key(1));
    let mut forged = good.text().to_vec();
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    for bad in [
        &forged[..],
        b"",
        b"x",
        b"..",
        b"{}",
        b"a.b.c",
        too_new.text(),
        &[b'{'; 100_000],
    ] {
        let record = bytes::Bytes::copy_from_slice(bad);
        hub.say(
            a,
            Message::Put {
                tag: tag("x"),
                record: Some(record.clone()),
            },
        );
        hub.say(
            a,
            Message::Delete {
                tag: tag("x"),
                record,
            },
        );
        hub.run();
    }
    assert_eq!(hub.text(b, &tag("x")), None);
    assert_eq!(hub.ended, []);
    // Under a path, and under another's key.
    hub.puts(a, &text(NOTES, "../../../../tmp/x", "one", 0, &key(1)));
    assert!(hub.text(b, &tag("../../../../tmp/x")).is_some());
    hub.puts(a, &good);
    assert_eq!(hub.text(b, &tag("x")), Some(good.text()));
    // Nonsense ends one channel, and no other.
    hub.front
        .receive(hub.now, hub.clients[a].id, "nonsense", &mut hub.replica);
    hub.run();
    assert_eq!(
        hub.ended,
        [(hub.clients[a].id, Ended::Message(MessageError::NotJson))]
    );
    hub.puts(b, &text(NOTES, "y", "still here", 0, &key(1)));
    assert!(
        hub.replica
            .register()
            .read(&tag("y"), None, Selection::Latest)
            .unwrap()
            .is_some()
    );
}

#[test]
fn of_several_owners_the_tags_own_is_shown_else_the_first() {
    let mut hub = hub(NOTES);
    let own = key(1).tag().to_string();
    let (a, b) = (hub.client(NOTES), hub.client(NOTES));
    for name in ["x", &own] {
        hub.puts(a, &text(NOTES, name, "squatter", 0, &key(2)));
        hub.puts(b, &text(NOTES, name, "other", 1, &key(1)));
    }
    let late = hub.client(NOTES);
    let shown = |hub: &Hub, name: &str| hub.text(late, &tag(name)).cloned();
    assert_eq!(
        shown(&hub, "x"),
        Some(text(NOTES, "x", "squatter", 0, &key(2)).text().clone())
    );
    assert_eq!(
        shown(&hub, &own),
        Some(text(NOTES, &own, "other", 1, &key(1)).text().clone())
    );
    // Whoever has any of them is not asked.
    let b = &hub.clients[b];
    assert!(
        b.said.iter().all(|said| said.method() != "get"),
        "{:?}",
        b.said
    );
}

#[test]
fn nobody_hears_of_what_is_not_durable() {
    use flexstore_core::dialect::{Front, Role, VERSIONS_DELAY_MS};
    use flexstore_core::storage::{MemoryStorage, Progress, Sequence};
    use flexstore_core::sync::{Input, Replica, SessionId, Settings};
    let id: CollectionId = shelf(NOTES).collection().clone();
    let storage = std::sync::Arc::new(MemoryStorage::new());
    let mut replica = Replica::open(storage, id, Settings::default()).unwrap();
    let mut front = Front::new(None);
    let (writer, reader) = (SessionId(1), SessionId(2));
    for channel in [writer, reader] {
        front.open(
            START - VERSIONS_DELAY_MS,
            channel,
            shelf(NOTES),
            Role::Passive,
        );
    }
    let mut turn =
        |input: Option<(SessionId, Message)>, durable: bool| -> Vec<(SessionId, Message)> {
            if let Some((from, message)) = input {
                front.receive(START, from, &message.write(), &mut replica);
            }
            if durable {
                replica.handle(START, Input::Stored(Progress::Durable(Sequence(u64::MAX))));
            }
            while let Some(output) = replica.poll() {
                front.observe(START, &output);
            }
            let mut sent = Vec::new();
            for channel in [writer, reader] {
                while let Some(frame) = front.poll(START, channel, &mut replica) {
                    sent.push((channel, Message::parse(&frame).unwrap()));
                }
            }
            sent
        };
    let versions = Message::Versions { min: 17, max: 17 };
    turn(Some((writer, versions)), false);
    let item = text(NOTES, "x", "one", 0, &key(1));
    let put = Message::Put {
        tag: tag("x"),
        record: Some(item.text().clone()),
    };
    turn(Some((writer, put.clone())), false);
    let sent = turn(Some((writer, Message::EndTags)), false);
    let complete = Message::SynchronizationComplete(0);
    assert!(
        !sent.contains(&(reader, put.clone())) && !sent.contains(&(writer, complete.clone())),
        "{sent:?}"
    );
    let sent = turn(None, true);
    assert!(
        sent.contains(&(reader, put)) && sent.contains(&(writer, complete)),
        "{sent:?}"
    );
}
