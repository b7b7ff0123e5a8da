//! Collections of the js profile as an app uses them: with what the JavaScript original made.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod js_support;

use std::sync::Arc;

use flexstore::js::{Draft, Shelf, Signed, TEAM, Team, Verified};
use flexstore::{
    Collection, CollectionKind, ContentError, Immutable, Item, KeyTag, MemoryStorage, Mutable,
    Peer, RetrieveError, StoreError, Tag, Versioned,
};
use flexstore_core::record::Content;
use flexstore_core::sync::OfferError;
use js_support::*;
use serde_json::{Value, json};

fn peer() -> Peer {
    Peer::open(Arc::new(MemoryStorage::new())).unwrap()
}

fn open<K: CollectionKind>(peer: &Peer, name: &str) -> Collection<K> {
    peer.collection(name).javascript().open().unwrap()
}

async fn get<K: CollectionKind>(from: &Collection<K>, tag: impl flexstore::IntoTag) -> Item {
    from.retrieve(tag).await.unwrap().unwrap()
}

/// A record of the vectors, on the shelf that its collection names.
fn vector(item: &Value) -> Verified {
    let shelf = format!("{}/x", item["collection"].as_str().unwrap());
    let tag = Tag::new(item["tag"].as_str().unwrap()).unwrap();
    let text = item["record"].as_str().unwrap().to_owned();
    let signed = Signed::parse(text, &Shelf::parse(&shelf).unwrap(), Some(&tag));
    signed.unwrap().verify().unwrap()
}

async fn put(peer: &Peer, record: Verified) -> Result<Tag, StoreError> {
    match record.header().collection.kind() {
        flexstore::Kind::Immutable => open::<Immutable>(peer, "x").insert(record).await,
        flexstore::Kind::Mutable => open::<Mutable>(peer, "x").insert(record).await,
        flexstore::Kind::Versioned => open::<Versioned>(peer, "x").insert(record).await,
    }
}

/// The record by which a team of the vectors lists a user. The keys in it are nobody's.
fn team_record(keys: &Keys, team: &str, user: &str) -> Verified {
    let (team, user) = (&keys.by_name[team], &keys.by_name[user]);
    let kid = user.tag();
    let payload = format!(
        r#"{{"ciphertext":"AA","iv":"AA","recipients":[{{"encrypted_key":"AA","header":{{"kid":"{kid}","alg":"RSA-OAEP-256"}}}}],"tag":"AA","protected":"AA"}}"#
    );
    let content = Content::Plain {
        payload: payload.into(),
        cty: Some("json".into()),
    };
    let shelf = Shelf::credential(TEAM).unwrap();
    let draft = Draft::new(shelf, team.tag().tag(), content, 1);
    draft.sign_for(team.signing(), user.signing()).unwrap()
}

#[tokio::test]
async fn what_the_original_wrote_is_read_like_anything_else() {
    let Some(folder) = vectors() else { return };
    let keys = Keys::read(&folder);
    let file = file(&folder, "flexstore.json");
    let peer = peer();
    let (mut roots, mut sealed, mut unjudged) = (0, 0, Vec::new());
    for item in file["items"].as_array().unwrap() {
        let record = vector(item);
        let outcome = put(&peer, record.clone()).await;
        if !record.heads().is_empty() {
            assert!(matches!(
                outcome,
                Err(StoreError::Refused(OfferError::Elsewhere))
            ));
            roots += 1;
            continue;
        }
        let tag = outcome.unwrap();
        let header = record.header();
        if header.owner != header.author {
            unjudged.push(header.owner);
        }
        sealed += usize::from(!matches!(
            header.encryption,
            flexstore_core::record::Encryption::Plain
        ));
        assert_eq!(tag, header.tag);
    }
    assert!(roots == 3 && sealed > 5 && unjudged.len() > 5);
    let (immutable, mutable) = (open::<Immutable>(&peer, "x"), open::<Mutable>(&peer, "x"));
    let versioned = open::<Versioned>(&peer, "x");
    // Team items are not shown before the Team record is here.
    let hidden = mutable
        .retrieve("foBZ9JVYn82YEjLMEdALANo4AsAdaI-hzx9r7W5bszw")
        .await;
    assert_eq!(hidden.unwrap_err(), RetrieveError::Unjudged(unjudged[0]));
    let listed = mutable.list().unwrap().len();
    let teams = open::<Mutable>(&peer, TEAM);
    let record = team_record(&keys, "flexstore team", "flexstore user");
    assert_eq!(unjudged[0], record.header().owner);
    teams.insert(record).await.unwrap();
    mutable.judged().await;
    let item = get(&mutable, "foBZ9JVYn82YEjLMEdALANo4AsAdaI-hzx9r7W5bszw").await;
    assert_eq!(item.json().unwrap(), json!({"a": 2}));
    assert_eq!(item.owner(), unjudged[0]);
    assert!(mutable.list().unwrap().len() > listed);
    // Sealed items open once the keys are here, and not before.
    let under = "DeePveh7ijyyRFZu7EYWNPyvMsY8vSWc387OBENuHEw";
    immutable.judged().await;
    let closed = get(&immutable, under).await;
    assert_eq!(closed.text(), Err(ContentError::Closed));
    let user = file["privateKeySets"]["team"].to_string();
    let user = flexstore::js::KeySet::from_jwks(&user).unwrap();
    peer.credentials().add_javascript(user);
    assert!(get(&immutable, under).await.json().unwrap().is_object());
    // The states are the versions.
    versioned.judged().await;
    let subject = "K_0U9D0X_HzqJOCReoh5tLL4gLi67sG52Q-6rWVecb0";
    let owners = versioned.signers(&Tag::new(subject).unwrap()).unwrap();
    assert_eq!(owners.len(), 2);
    for owner in owners {
        let latest = versioned.retrieve(subject).owner(owner).await;
        let latest = latest.unwrap().unwrap();
        assert_eq!(latest.json().unwrap(), json!({"n": 3}));
        let first = versioned
            .retrieve(subject)
            .owner(owner)
            .at(latest.time() - 3);
        assert_ne!(
            first.await.unwrap().map(|i| i.json().unwrap()),
            Some(json!({"n": 3}))
        );
    }
}

#[tokio::test]
async fn what_an_app_writes_is_bound_and_what_it_seals_a_javascript_user_opens() {
    let peer = peer();
    let me = peer.credentials().create_device().await.unwrap();
    let (them, other) = (test_keys(0), test_keys(1));
    let published = open::<Mutable>(&peer, "EncryptionKey");
    let record = them.encryption_record(5).unwrap();
    published.insert(record).await.unwrap();
    let notes = open::<Mutable>(&peer, "notes");
    let plain = notes.store("plain").await.unwrap();
    let item = get(&notes, &plain).await;
    assert!(!item.record().is_javascript());
    let native = flexstore::CollectionId::new(flexstore::Kind::Mutable, "notes").unwrap();
    assert_eq!(item.record().header().collection, native);
    // The collection of this name that is not of the profile is another.
    let elsewhere = peer.collection::<Mutable>("notes").open().unwrap();
    assert_eq!(elsewhere.list().unwrap(), []);

    let tag = notes
        .store(json!({"a": 1}))
        .seal_to([them.tag()])
        .await
        .unwrap();
    let item = get(&notes, &tag).await;
    assert_eq!(item.text(), Err(ContentError::Closed));
    assert_eq!(item.audience(), [them.tag().tag()]);
    let jwe = std::str::from_utf8(item.record().payload()).unwrap();
    assert_eq!(header_of(jwe)["alg"], "RSA-OAEP-256");
    let find =
        |kid: Option<&str>| (kid == Some(&*them.tag().to_string())).then_some(them.opening());
    let opened = flexstore::seal::js::open(jwe, &find).unwrap();
    assert_eq!(&opened.content[..], br#"{"a":1}"#);

    // To a native key as ever; to both, to nobody.
    let tag = notes.store("mine").seal_to([me]).await.unwrap();
    assert_eq!(get(&notes, &tag).await.text().unwrap(), "mine");
    let both = notes.store("both").seal_to([me, them.tag()]).await;
    assert!(matches!(both, Err(StoreError::OneAudience)));
    let unknown = notes.store("x").seal_to([other.tag()]).await;
    assert!(matches!(unknown, Err(StoreError::UnknownAudience(_))));
    // In the native collection the original's key is no key.
    let native = elsewhere.store("x").seal_to([them.tag()]).await;
    assert!(matches!(native, Err(StoreError::UnknownAudience(_))));
    // Nothing native goes among the original's keys.
    let refused = published.store("x").tag(me).await;
    assert!(matches!(
        refused,
        Err(StoreError::Refused(_) | StoreError::Policy)
    ));

    // Their own: read once their keys are held, and removed by them alone.
    peer.credentials().add_javascript(test_keys(0));
    assert_eq!(get(&notes, &tag).await.text().unwrap(), "mine");
    let theirs = notes
        .store("theirs")
        .author(them.tag())
        .tag("t")
        .await
        .unwrap();
    assert_eq!(get(&notes, &theirs).await.owner(), them.tag());
    assert!(matches!(notes.remove("t").await, Err(StoreError::NotFound)));
    notes.remove("t").author(them.tag()).await.unwrap();
    assert!(notes.retrieve("t").await.unwrap().is_none());
    let nobody = elsewhere.store("x").author(them.tag()).await;
    assert!(matches!(nobody, Err(StoreError::NoKeys)));
}

#[tokio::test]
async fn a_seal_of_the_original_opens_in_no_native_collection() {
    let peer = peer();
    let them = test_keys(0);
    let me = peer.credentials().create_device().await.unwrap();
    peer.credentials().add_javascript(test_keys(0));
    let notes = open::<Mutable>(&peer, "notes");
    let tag = notes.store("secret").seal_to([them.tag()]).await.unwrap();
    let item = get(&notes, &tag).await;
    assert_eq!(item.text().unwrap(), "secret");
    // The same bytes, as a native record says, under the same name.
    let bytes = item.record().sent().clone();
    let record = flexstore_core::Signed::parse(bytes)
        .unwrap()
        .verify()
        .unwrap();
    assert_eq!(record.digest(), item.digest());
    assert_eq!((item.owner(), item.author()), (me, me));
    let native = peer.collection::<Mutable>("notes").open().unwrap();
    native.store("x").tag(&tag).await.unwrap();
    let storage: Arc<MemoryStorage> = Arc::new(MemoryStorage::new());
    let id = native.id().clone();
    let settings = flexstore_core::sync::Settings::default();
    let mut replica = flexstore_core::sync::Replica::open(storage.clone(), id, settings).unwrap();
    let now = record.header().iat;
    let origin = flexstore_core::sync::Origin::Written;
    replica.offer(now, &record, origin).unwrap();
    while replica.poll().is_some() {}
    drop(replica);
    let other = Peer::open(storage).unwrap();
    other.credentials().add_javascript(test_keys(0));
    let native = other.collection::<Mutable>("notes").open().unwrap();
    let item = get(&native, &tag).await;
    assert!(matches!(item.text(), Err(ContentError::DoesNotOpen(_))));
}

#[tokio::test]
async fn a_javascript_user_is_a_team_and_its_device() {
    let peer = peer();
    let (device, outsider) = (test_keys(0), test_keys(1));
    let member = |keys: &flexstore::js::KeySet| flexstore::js::Member {
        tag: keys.tag(),
        key: keys.encryption_key().unwrap(),
    };
    let created = Team::create(&[member(&device)], device.signing(), 5).unwrap();
    let user: KeyTag = created.team.tag();
    let keys = open::<Mutable>(&peer, "EncryptionKey");
    keys.insert(created.encryption_key).await.unwrap();
    let teams = open::<Mutable>(&peer, TEAM);
    let shelf_lies = teams.insert(device.encryption_record(5).unwrap()).await;
    assert!(matches!(
        shelf_lies,
        Err(StoreError::Refused(OfferError::Elsewhere))
    ));
    teams.insert(created.team.record().clone()).await.unwrap();
    for keys in [created.keys, device, outsider] {
        peer.credentials().add_javascript(keys);
    }
    let pages = open::<Versioned>(&peer, "pages");
    let (device, outsider) = (test_keys(0).tag(), test_keys(1).tag());
    let page = pages
        .store("one")
        .author(device)
        .owner(user)
        .seal_to([user]);
    let page = page.await.unwrap();
    let two = pages.store("two").tag(&page).author(device).owner(user);
    two.await.unwrap();
    let item = get(&pages, &page).await;
    assert_eq!((item.text().unwrap(), item.owner()), ("two", user));
    let versions = pages.versions(&page).unwrap();
    let first = pages.retrieve(&page).version(versions[0]).await;
    assert_eq!(first.unwrap().unwrap().text().unwrap(), "one");
    let strange = pages.store("x").tag(&page).author(outsider).owner(user);
    assert!(matches!(strange.await, Err(StoreError::NotMember)));
    pages
        .remove(&page)
        .author(device)
        .owner(user)
        .await
        .unwrap();
    assert!(pages.retrieve(&page).await.unwrap().is_none());
}
