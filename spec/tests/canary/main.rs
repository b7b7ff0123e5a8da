//! The whole life of two people, with stores, vaults and a relay on disk; then everything that lies
//! on a disk or was said by anybody is searched for every secret there was.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod device;
mod finder;
mod told;

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use device::{Device, Keys};
use finder::Finder;
use flexstore::seal::{self, Audience, Binding, EncryptionKey, EncryptionSecret, Kid};
use flexstore::{ChosenSecret, Content, KeySet, RecoverySecret, RecoveryWords, TeamName, Vault};
use flexstore_core::{SigningKey, encode_base64url};
use futures_util::{FutureExt as _, StreamExt as _};
use rustix::process::Signal;
use serde_json::json;
use support::relay::Relay;
use told::Told;

/// A text that stands nowhere by chance.
fn canary(what: &str) -> String {
    let set = KeySet::generate().unwrap();
    format!("{what} {}", &set.tag().to_string()[..22])
}

struct Search {
    finder: Finder,
    keys: Keys,
}

impl Search {
    /// A text that nobody may see.
    fn text(&mut self, what: &str) -> String {
        let text = canary(what);
        self.finder.add(what, text.as_bytes());
        text
    }

    /// Twelve words: all of them, and any three in a row.
    fn words(&mut self, what: &str) -> (RecoveryWords, RecoverySecret) {
        let words = RecoveryWords::generate().unwrap();
        self.note_words(what, &words);
        let secret = RecoverySecret::from(&words);
        (words, secret)
    }

    fn note_words(&mut self, what: &str, words: &RecoveryWords) {
        let text = words.words();
        self.finder.add(what, text.as_bytes());
        let list: Vec<&str> = text.split(' ').collect();
        for three in list.windows(3) {
            self.finder
                .add(format!("three {what}"), three.join(" ").as_bytes());
        }
    }

    fn nothing_in(&mut self, what: &str, bytes: &[u8]) {
        println!("{what}: {} bytes", bytes.len());
        assert_eq!(self.finder.find(bytes), BTreeSet::new(), "{what}");
    }

    fn nothing_below(&mut self, what: &str, folder: &Path) {
        let (files, bytes) = (self.finder.files, self.finder.bytes);
        assert_eq!(
            self.finder.find_in_folder(folder),
            BTreeSet::new(),
            "{what}"
        );
        let (files, bytes) = (self.finder.files - files, self.finder.bytes - bytes);
        println!("{what}: {files} files, {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_stands_anywhere() {
    let start = Instant::now();
    let (events, told) = (Told::default(), Told::default());
    events.take_events();
    told.take_panics();
    let mut search = Search {
        finder: Finder::new(),
        keys: Keys::default(),
    };
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut relay = Relay::start_with_log(data.path(), &logs.path().join("log"));
    let service = relay.service();

    // Ann, with a key of the app's own beside that of her device.
    let passphrase = search.text("ann's passphrase");
    let phone = Device::new(&service, &passphrase).await;
    let anns = phone.peer.credentials();
    let own = KeySet::generate().unwrap();
    search
        .keys
        .add_jwks(&mut search.finder, "added", &own.to_jwks());
    anns.add(own).await.unwrap();
    let (words, secret) = search.words("ann's words");
    let ann = anns.create_author(&secret).await.unwrap();
    let text = search.text("ann's note");
    phone.write("note", &text, ann.tag, ann.tag).await;
    let property = search.text("a sealed property");
    let notes = phone.in_step().await;
    let store = notes.store(json!({"plain": 1, "secret": property}));
    store
        .tag("mixed")
        .seal_property("secret", [ann.tag])
        .await
        .unwrap();
    // What is not secret is there to be found, or the search would be worth nothing.
    let plain = canary("a plain text");
    notes.store(plain.as_str()).tag("plain").await.unwrap();
    drop(notes);

    // Ben, by invitation.
    let invitation = anns.create_invitation().await.unwrap();
    search.note_words("an invitation's words", &invitation.words);
    let invited = RecoverySecret::from(&invitation.words);
    phone
        .confess(&mut search.keys, &mut search.finder, &[&secret, &invited])
        .await;
    let letter = search.text("a letter");
    phone
        .write("letter", &letter, ann.tag, invitation.name.tag)
        .await;
    let bens_passphrase = search.text("ben's passphrase");
    let tablet = Device::new(&service, &bens_passphrase).await;
    let bens = tablet.peer.credentials();
    let chosen = ChosenSecret::new(&search.text("ben's chosen secret"), &[]).unwrap();
    let bens_secret = RecoverySecret::from(&chosen);
    let ben = bens.claim_invitation(&invitation.name, &invitation.words, &bens_secret);
    let ben = ben.await.unwrap();
    tablet.reads("letter", ann.tag, &letter).await;

    // A team, in which both write.
    phone.in_step().await;
    let events_of_ben = bens.events();
    let team = anns.create_team([ben.tag]).await.unwrap();
    let plan = search.text("a plan");
    phone.write("plan", &plan, team.tag, team.tag).await;
    tablet.reads("plan", team.tag, &plan).await;
    let plan = search.text("another plan");
    tablet.write("plan", &plan, team.tag, team.tag).await;
    phone.reads("plan", team.tag, &plan).await;

    // Ann's phone is lost; she comes back in on a laptop, with new words.
    let old_passphrase = search.text("the laptop's first passphrase");
    let laptop = Device::new(&service, &old_passphrase).await;
    let back = laptop.peer.credentials();
    let (_, wrong) = search.words("words of nobody");
    told.refused(back.authorize_author(ann, &wrong).await);
    back.authorize_author(ann, &secret)
        .lost(phone.author())
        .await
        .unwrap();
    let (_, newer) = search.words("ann's newer words");
    back.change_recovery(ann.tag, &newer, None).await.unwrap();
    laptop.reads("note", ann.tag, &text).await;
    // Ben leaves the team.
    back.change_membership(team.tag)
        .remove(ben.tag)
        .await
        .unwrap();
    let secret_plan = search.text("a plan without ben");
    laptop.write("plan", &secret_plan, team.tag, team.tag).await;

    // Her passphrase changes, and the laptop starts again.
    let new_passphrase = search.text("the laptop's second passphrase");
    let mut vault = back.take_vault().unwrap();
    told.refused(vault.change_passphrase(&new_passphrase, &old_passphrase));
    vault
        .change_passphrase(&old_passphrase, &new_passphrase)
        .unwrap();
    back.use_vault(vault).await.unwrap();
    let laptop = laptop.again(&new_passphrase).await;
    laptop.reads("plan", team.tag, &secret_plan).await;
    told.refused(Vault::open(laptop.vault(), &new_passphrase));

    for device in [&phone, &tablet, &laptop] {
        let secrets = [&secret, &invited, &bens_secret, &newer];
        device
            .confess(&mut search.keys, &mut search.finder, &secrets)
            .await;
    }
    tell(&told, &laptop, &tablet, (ann, team), &words).await;
    told.debug(&events_of_ben.take(3).collect::<Vec<_>>().now_or_never());
    panics(&told, &laptop).await;

    // All of it lies open: stores and vaults in use, and when all have stopped.
    for (name, device) in [("phone", &phone), ("tablet", &tablet), ("laptop", &laptop)] {
        search.nothing_below(&format!("{name}, in use"), device.folder.path());
    }
    search.nothing_below("relay, in use", data.path());
    let vault = phone.peer.credentials().take_vault().unwrap();
    let (phone, tablet, laptop) = (phone.stop().await, tablet.stop().await, laptop.stop().await);
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait().code(), Some(0));
    for (name, folder) in [("phone", &phone), ("tablet", &tablet), ("laptop", &laptop)] {
        search.nothing_below(&format!("{name}, closed"), folder.path());
    }
    search.nothing_below("relay, closed", data.path());

    // The phone is found, and wiped: not even what was wrapped is there.
    let wrapped = std::fs::read(phone.path().join("vault")).unwrap();
    let wrapped = wrapped.split(|byte| *byte == b'\n').nth(1).unwrap();
    let mut gone = Finder::new();
    gone.add("the wrapped master key", &wrapped[wrapped.len() - 64..]);
    assert_eq!(gone.find_in_folder(phone.path()).len(), 1);
    vault.wipe().unwrap();
    assert_eq!(gone.find_in_folder(phone.path()).len(), 0);
    search.nothing_below("phone, wiped", phone.path());

    search.nothing_in("events of the clients", &events.bytes());
    search.nothing_below("log of the relay", logs.path());
    search.nothing_in("Debug, Display and panics", &told.bytes());

    // And it was searched where things are: the plain text is in store and relay, and the logs are
    // of the most verbose kind.
    let mut control = Finder::new();
    control.add("plain", plain.as_bytes());
    for folder in [phone.path(), laptop.path(), data.path()] {
        assert_eq!(
            control.find_in_folder(folder).len(),
            1,
            "{}",
            folder.display()
        );
    }
    let log = std::fs::read(logs.path().join("log")).unwrap();
    for log in [events.bytes(), log] {
        let log = String::from_utf8_lossy(&log).into_owned();
        assert!(log.contains("TRACE") && log.contains("DEBUG"));
    }
    let finder = &search.finder;
    println!(
        "{} secrets in {} spellings, {} files, {} bytes, {:?}",
        finder.secrets(),
        finder.spellings,
        finder.files,
        finder.bytes,
        start.elapsed()
    );
}

/// Everything public that touches a secret says what it has to say.
async fn tell(
    told: &Told,
    laptop: &Device,
    tablet: &Device,
    (ann, team): (TeamName, TeamName),
    words: &RecoveryWords,
) {
    let credentials = laptop.peer.credentials();
    let vault = credentials.take_vault().unwrap();
    let name = format!("key/{}", laptop.author());
    let jwks = String::from_utf8(vault.get(&name).unwrap().to_vec()).unwrap();
    let set = KeySet::from_jwks(&jwks).unwrap();
    told.debug(&vault);
    told.debug(&set);
    told.debug(&set.encryption_key());
    credentials.use_vault(vault).await.unwrap();
    let keys: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    let jwk = keys["keys"][0]["key"].to_string();
    let opening = EncryptionSecret::from_jwk(&jwk).unwrap();
    told.debug(&opening);
    let seed = keys["keys"][1]["key"]["d"].as_str().unwrap();
    let seed = flexstore_core::decode_base64url(seed.as_bytes()).unwrap();
    told.debug(&SigningKey::from_seed(seed[..].try_into().unwrap()));

    // Damaged keys and texts, with the secret parts whole.
    for (from, to) in [
        ("OKP", "RSA"),
        ("\"x\"", "\"y\""),
        ("\"d\":\"", "\"d\":\"A"),
        ("}", ""),
    ] {
        told.refused(KeySet::from_jwks(&jwks.replace(from, to)));
        told.refused(EncryptionSecret::from_jwk(&jwk.replace(from, to)));
        told.refused(EncryptionKey::from_jwk(&jwk.replace(from, to)));
    }
    told.refused(flexstore::js::KeySet::from_jwks(&jwks));
    told.refused(flexstore::js::migrate(jwks.clone(), &words.words()));
    told.refused(flexstore::js::migrate_device_file(&jwks, &words.words()));
    told.refused(EncryptionKey::from_jwk(&jwks));
    let phrase = words.words();
    told.debug(words);
    told.debug(&RecoverySecret::from(words));
    told.refused(RecoveryWords::parse(&format!("{} x", *phrase)));
    told.refused(RecoveryWords::parse(&format!("{}x", *phrase)));
    let list: Vec<&str> = phrase.split(' ').collect();
    let turned: Vec<&str> = list.iter().rev().copied().collect();
    for wrong in [turned.join(" "), list[1..].join(" ")] {
        // One order in sixteen is right by chance.
        if let Err(error) = RecoveryWords::parse(&wrong) {
            told.error(&error);
        }
    }
    told.refused(ChosenSecret::new(list[0], &[]));
    told.refused(ChosenSecret::new(
        &list[..3].join(" "),
        &[&list[..3].join(" ")],
    ));
    told.refused(ChosenSecret::new(&phrase.repeat(20), &[]));
    told.refused(RecoverySecret::joined(&phrase.repeat(20), &[7; 64]));
    told.refused(Vault::create(
        laptop.folder.path().join("other"),
        &phrase.repeat(20),
    ));
    let secret = RecoverySecret::from(words);
    let wrapped = secret.wrap(jwks.as_bytes(), "kid").unwrap();
    told.refused(secret.open(&wrapped, "another"));
    told.refused(secret.open(&format!("{wrapped}A"), "kid"));
    told.refused(secret.open(&jwks, "kid"));
    told.refused(secret.wrap(jwks.as_bytes(), &jwks));

    // Items, open and closed, and what is said of them.
    let notes = laptop.in_step().await;
    for tag in ["note", "mixed", "plan", "letter"] {
        let owner = if tag == "plan" { team.tag } else { ann.tag };
        let item = notes.retrieve(tag).owner(owner).await.unwrap().unwrap();
        told.debug(&item);
        told.debug(&item.record());
        told.debug(&item.record().header());
        told.debug(&credentials.why_counts(&item).unwrap());
        told.debug(&credentials.who_can_read(&item));
        if let Err(error) = item.json() {
            told.error(&error);
        }
        if let Ok(text) = item.text() {
            told.debug(&Content::from(text));
            told.debug(&Content::from(text.as_bytes()));
            told.debug(&Content::from(json!({ "x": text })));
            told.refused(notes.store(text).tag(text.repeat(50)).await);
            let nobody = KeySet::generate().unwrap().tag();
            told.refused(notes.store(text).author(nobody).await);
            told.refused(notes.store(text).seal_property("x", [ann.tag]).await);
        }
    }
    let closed = tablet.in_step().await;
    let item = closed.retrieve("plan").owner(team.tag).await.unwrap();
    if let Some(item) = item {
        told.debug(&item);
        told.refused(item.text().map(str::to_owned));
    }
    told.debug(&credentials.defaults());
    told.debug(&credentials.team(team.tag).unwrap());
    told.debug(&notes.find(&serde_json::Map::new()));
    told.debug(&ann);
    let mut bens = tablet.peer.credentials().change_membership(team.tag);
    bens = bens.add(ann.tag);
    told.refused(bens.await);
    let nobodys = RecoverySecret::from(&RecoveryWords::generate().unwrap());
    let refused = credentials.remove_device(ann.tag, laptop.author(), None, Some(&nobodys));
    told.refused(refused.await);

    // Sealing by hand.
    let me = set.tag();
    let binding = Binding {
        owner: me,
        author: me,
        col: "MutableCollection/notes".into(),
        tag: None,
        prop: None,
    };
    let to = [Audience {
        kid: Kid::new(me),
        key: opening.public(),
    }];
    let sealed = seal::seal(jwks.as_bytes(), Some(&phrase[..0]), &binding, &to).unwrap();
    let opened = seal::open(&sealed, &binding, &|_| Some(&opening));
    told.debug(&opened);
    told.debug(&to);
    let other = EncryptionSecret::generate().unwrap();
    told.refused(seal::open(&sealed, &binding, &|_| Some(&other)));
    told.refused(seal::open(&jwks, &binding, &|_| Some(&opening)));
}

/// Tasks that hold keys panic in the ways that programs do.
#[allow(clippy::unnecessary_literal_unwrap)] // to panic is the purpose
async fn panics(told: &Told, laptop: &Device) {
    let credentials = laptop.peer.credentials();
    let vault = credentials.take_vault().unwrap();
    let name = format!("key/{}", laptop.author());
    let jwks = String::from_utf8(vault.get(&name).unwrap().to_vec()).unwrap();
    credentials.use_vault(vault).await.unwrap();
    let set = || KeySet::from_jwks(&jwks).unwrap();
    let (one, two, three) = (set(), set(), set());
    let peer = laptop.peer.clone();
    let words = RecoveryWords::generate().unwrap();
    let item = laptop.in_step().await.retrieve("note").await.unwrap();
    let tasks = [
        tokio::spawn(async move { panic!("{one:?}") }),
        tokio::spawn(async move { Err::<(), _>(two).unwrap() }),
        tokio::spawn(async move {
            let added = peer.credentials().add(three).await;
            let name = peer.credentials().defaults();
            added.map_err(|error| (error, name.clone())).unwrap();
            panic!("{name:?}")
        }),
        tokio::spawn(async move { Err::<(), _>(words).unwrap() }),
        tokio::spawn(async move { Err::<(), _>(item).unwrap() }),
        tokio::task::spawn_blocking({
            let (set, jwks) = (set(), jwks.clone());
            move || {
                let jwe = encode_base64url(jwks.as_bytes());
                KeySet::from_jwks(&jwe).unwrap();
                drop(set);
            }
        }),
        tokio::task::spawn_blocking({
            let (set, jwks) = (set(), jwks.clone());
            // From within the library.
            move || {
                let key = set.encryption_key();
                let (owner, author) = (set.tag(), set.tag());
                let col = "MutableCollection/notes".into();
                let binding = Binding {
                    owner,
                    author,
                    col,
                    tag: None,
                    prop: None,
                };
                let to = [Audience {
                    kid: Kid::new(owner),
                    key,
                }];
                let jwe = seal::seal(jwks.as_bytes(), None, &binding, &to).unwrap();
                let _ = seal::open(&jwe, &binding, &|kid| panic!("{kid:?} {set:?}"));
            }
        }),
    ];
    let before = told.bytes().len();
    for task in tasks {
        told.refused(task.await);
    }
    assert!(told.bytes().len() > before);
}
