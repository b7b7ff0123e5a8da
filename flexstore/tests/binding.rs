//! A malicious relay or member that moves somebody's sealed items to other tags or collections,
//! or signs their sealed payload anew, convinces nobody.

#![allow(clippy::unwrap_used)] // a test

use std::sync::Arc;

use flexstore::seal::{self, Binding, BindingMember, EncryptionSecret, Kid};
use flexstore::{
    CollectionId, ContentError, Item, KeySet, KeyTag, Kind, MemoryStorage, Mutable, Peer, Storage,
    Tag,
};
use flexstore_core::record::{Content, Draft};
use flexstore_core::sync::{Input, Replica, SessionId, Settings};
use flexstore_core::wire::{Checked, Filter, Message, Summary};
use flexstore_core::{SigningKey, Verified};

const ITEMS: usize = 100;

struct Bob {
    keys: String,
    tag: KeyTag,
}

/// Alice seals for Bob; what goes over the wire is the records.
async fn sealed_by_alice(bob: &Bob) -> Vec<Verified> {
    let alice = Peer::open(Arc::new(MemoryStorage::new())).unwrap();
    alice.credentials().create_device().await.unwrap();
    alice
        .credentials()
        .add(KeySet::from_jwks(&bob.keys).unwrap())
        .await
        .unwrap();
    let letters = alice.collection::<Mutable>("letters").open().unwrap();
    let mut records = Vec::new();
    for n in 0..ITEMS {
        let tag = letters
            .store(format!("letter {n}"))
            .tag(format!("{n}"))
            .seal_to([bob.tag])
            .await;
        let item = letters.retrieve(tag.unwrap()).await.unwrap().unwrap();
        assert_eq!(item.text().unwrap(), format!("letter {n}"));
        records.push(item.record().clone());
    }
    records
}

fn bob() -> Bob {
    let keys = KeySet::generate().unwrap();
    Bob {
        keys: keys.to_jwks().to_string(),
        tag: keys.tag(),
    }
}

/// What mallory makes of a sealed payload: her own record, with a valid signature of hers.
fn signed_anew(payload: &Verified, id: &CollectionId, tag: &Tag, bob: &Bob) -> Verified {
    let mallory = SigningKey::from_seed(&[66; 32]);
    let content = Content::Sealed {
        jwe: payload.payload().clone(),
        audience: vec![bob.tag.tag()],
    };
    let iat = payload.header().iat + 1;
    let draft = Draft {
        collection: id.clone(),
        tag: tag.clone(),
        content,
        ant: None,
        iat,
    };
    draft.sign(&mallory).unwrap()
}

/// Bob's device, to which a relay has sent these records.
async fn received(bob: &Bob, id: &CollectionId, records: &[Verified]) -> Peer {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let mut replica = Replica::open(Arc::clone(&storage), id.clone(), Settings::default()).unwrap();
    let session = SessionId(1);
    let now = records
        .iter()
        .map(|record| record.header().iat)
        .max()
        .unwrap();
    let open = Message::Open {
        oldest: 1,
        newest: 1,
        collection: id.clone(),
        replica: [0; 16],
        filter: Filter::default(),
        summary: Summary::default(),
    };
    replica.handle(
        now,
        Input::Connected {
            session,
            opens: false,
        },
    );
    for message in [Checked::Plain(open), Checked::Records(records.to_vec())] {
        replica.handle(now, Input::Received { session, message });
    }
    while replica.poll().is_some() {}
    drop(replica);
    let peer = Peer::open(storage).unwrap();
    peer.credentials()
        .add(KeySet::from_jwks(&bob.keys).unwrap())
        .await
        .unwrap();
    peer
}

fn refuses(item: &Item) -> bool {
    matches!(
        item.bytes(),
        Err(ContentError::DoesNotOpen(seal::OpenError::Binding(
            BindingMember::Owner | BindingMember::Author
        )))
    )
}

#[tokio::test]
async fn what_is_signed_anew_does_not_open_and_hides_nothing() {
    let bob = bob();
    let originals = sealed_by_alice(&bob).await;
    let id = originals[0].header().collection.clone();
    let alice = originals[0].header().author;
    // Every letter under its own tag and under the next one's.
    let mut records = originals.clone();
    for (n, record) in originals.iter().enumerate() {
        let next = &originals[(n + 1) % ITEMS].header().tag;
        records.push(signed_anew(record, &id, next, &bob));
    }
    let peer = received(&bob, &id, &records).await;
    let letters = peer.collection::<Mutable>("letters").open().unwrap();
    let mallory = records[ITEMS].header().author;
    for (n, record) in originals.iter().enumerate() {
        let tag = &record.header().tag;
        let honest = letters.retrieve(tag).owner(alice).await.unwrap().unwrap();
        assert_eq!(honest.text().unwrap(), format!("letter {n}"));
        let forged = letters.retrieve(tag).owner(mallory).await.unwrap().unwrap();
        assert!(refuses(&forged), "{:?}", forged.bytes());
        // Nobody is named: nobody is guessed.
        assert!(letters.retrieve(tag).await.is_err());
    }
    println!(
        "{{\"accept\":\"binding/resigned\",\"figure\":\"0 of {ITEMS} opened\",\"goal\":\"0\",\"held\":true}}"
    );
}

/// The same for every pair of letters and every place, on the seal itself.
#[tokio::test]
async fn no_sealed_payload_opens_in_another_place() {
    let bob = bob();
    let originals = sealed_by_alice(&bob).await;
    let secret = bob_secret(&bob);
    let find = |kid: &Kid| (kid.tag == bob.tag).then_some(&secret);
    let mut tried = 0;
    for record in &originals {
        let header = record.header();
        let jwe = str::from_utf8(record.payload()).unwrap();
        let own = Binding {
            owner: header.owner,
            author: header.author,
            col: header.collection.as_str().into(),
            tag: Some(header.tag.as_str().into()),
            prop: None,
        };
        assert!(seal::open(jwe, &own, &find).is_ok());
        let mut elsewhere: Vec<Binding> = originals
            .iter()
            .filter(|other| other.header().tag != header.tag)
            .map(|other| Binding {
                tag: Some(other.header().tag.to_string()),
                ..own.clone()
            })
            .collect();
        for col in [
            "MutableCollection/other",
            "VersionedCollection/letters",
            "MutableCollection/",
        ] {
            elsewhere.push(Binding {
                col: col.into(),
                ..own.clone()
            });
        }
        elsewhere.push(Binding {
            tag: None,
            ..own.clone()
        });
        elsewhere.push(Binding {
            prop: Some("phone".into()),
            ..own.clone()
        });
        elsewhere.push(Binding {
            owner: bob.tag,
            ..own.clone()
        });
        elsewhere.push(Binding {
            author: bob.tag,
            ..own.clone()
        });
        for binding in elsewhere {
            tried += 1;
            let error = seal::open(jwe, &binding, &find).unwrap_err();
            assert!(matches!(error, seal::OpenError::Binding(_)), "{error}");
        }
    }
    println!(
        "{{\"accept\":\"binding/moved\",\"figure\":\"0 of {tried} opened\",\"goal\":\"0\",\"held\":true}}"
    );
}

fn bob_secret(bob: &Bob) -> EncryptionSecret {
    let set: serde_json::Value = serde_json::from_str(&bob.keys).unwrap();
    EncryptionSecret::from_jwk(&set["keys"][0]["key"].to_string()).unwrap()
}

/// Whatever a relay does with a record that Alice signed, it cannot make it say another place.
#[test]
fn a_record_names_its_place_under_its_signature() {
    let alice = SigningKey::from_seed(&[1; 32]);
    for kind in [Kind::Immutable, Kind::Mutable, Kind::Versioned] {
        let id = CollectionId::new(kind, "here").unwrap();
        let elsewhere = CollectionId::new(kind, "elsewhere").unwrap();
        let record = Draft::text(id.clone(), Tag::new("a").unwrap(), "x", 5)
            .sign(&alice)
            .unwrap();
        for (place, admitted) in [(id, 1), (elsewhere, 0)] {
            let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
            let mut replica = Replica::open(storage, place.clone(), Settings::default()).unwrap();
            let session = SessionId(1);
            let open = Message::Open {
                oldest: 1,
                newest: 1,
                collection: place,
                replica: [0; 16],
                filter: Filter::default(),
                summary: Summary::default(),
            };
            replica.handle(
                10,
                Input::Connected {
                    session,
                    opens: false,
                },
            );
            for message in [Checked::Plain(open), Checked::Records(vec![record.clone()])] {
                replica.handle(10, Input::Received { session, message });
            }
            while replica.poll().is_some() {}
            let mut rows = 0;
            replica
                .register()
                .each(&mut |_| {
                    rows += 1;
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(rows, admitted);
        }
    }
}
