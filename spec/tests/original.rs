//! The JavaScript original's package of keys, running in node, and this library read, verify and
//! open what the other made. Skipped where node or the package is not there: `cargo spec prepare`
//! installs it.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flexstore::js::{
    Draft, Found, MigrateError, Shelf, Signed, Team, TeamRecord, claim_invitation, destroy_team,
    judge, migrate, open_item, seal_item, unlock,
};
use flexstore::seal::js as jwe;
use flexstore::{KeyTag, Tag};
use flexstore_core::encode_base64url;
use flexstore_core::record::Content;
use serde_json::{Value, json};
use support::original::{Node, read, text};

fn sorted<const N: usize>(mut tags: [KeyTag; N]) -> Vec<KeyTag> {
    tags.sort_unstable();
    tags.to_vec()
}

/// Said only where the package was really there.
fn shown(what: &str) {
    println!(r#"{{"accept":"interchange/{what}","figure":1,"unit":"test","held":true}}"#);
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

/// The options with which flexstore signs an item.
fn item(time: u64, tags: &Value) -> Value {
    json!({"tags": tags, "team": "", "time": time, "encryption": null})
}

fn notes() -> Shelf {
    Shelf::parse("MutableCollection/notes").unwrap()
}

fn note(content: Content, time: u64) -> Draft {
    Draft::new(notes(), Tag::new("t").unwrap(), content, time)
}

fn plain(payload: &[u8], cty: Option<&str>) -> Content {
    Content::Plain {
        payload: payload.to_vec().into(),
        cty: cty.map(Into::into),
    }
}

#[test]
fn items_are_the_same_bytes_made_there_and_here() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let device = node.create(json!([]));
    let keys = node.migrated(&device);
    let team = node.create(json!([device.to_string()]));
    let team_keys = node.team(&team).open(&device, keys.opening()).unwrap();
    let time = 1_700_000_000_123;
    let solo = item(time, &json!([device.to_string()]));
    let mut html = solo.clone();
    html["contentType"] = "text/html".into();
    let wild = "wörld ✓ \u{2028} \"\\\u{1}";
    let cases = [
        (
            json!(wild),
            solo.clone(),
            plain(wild.as_bytes(), Some("text/plain")),
        ),
        (
            json!({"a": [1, "é"]}),
            solo.clone(),
            plain(r#"{"a":[1,"é"]}"#.as_bytes(), Some("json")),
        ),
        (
            json!({"bytes": "AAH_"}),
            solo.clone(),
            plain(&[0, 1, 255], None),
        ),
        (
            json!("<b>x</b>"),
            html,
            plain(b"<b>x</b>", Some("text/html")),
        ),
    ];
    for (payload, options, content) in cases {
        let theirs = node.sign(payload, options);
        let read = read(&theirs, "MutableCollection/notes", Some("t"));
        assert_eq!(
            (read.header().owner, read.header().author),
            (device, device)
        );
        let ours = note(content.clone(), time).sign(keys.signing()).unwrap();
        assert_eq!(text(&ours), theirs);
        assert!(node.verifies(&ours));
    }
    // As a team, and tombstones.
    let acting = json!({"team": team.to_string(), "member": device.to_string(), "time": time,
        "encryption": null});
    let theirs = node.sign(json!("ours"), acting.clone());
    let draft = note(plain(b"ours", Some("text/plain")), time);
    let ours = draft.sign_for(team_keys.signing(), keys.signing()).unwrap();
    assert_eq!(text(&ours), theirs);
    let mut removing = acting;
    removing["encryption"] = "".into();
    removing["subject"] = "t".into();
    let theirs = node.sign(json!(""), removing);
    let draft = note(Content::Tombstone, time);
    let ours = draft.sign_for(team_keys.signing(), keys.signing()).unwrap();
    assert_eq!(text(&ours), theirs);
    assert!(node.verifies(&ours) && node.verifies_deeply(&ours));
    // What the original lets a stranger say, and we do not take.
    let stranger = node.create(json!([]));
    let forged = json!({"tags": [stranger.to_string()], "iss": team.to_string(), "time": time});
    let forged = node.sign(json!("forged"), forged);
    let request = json!({"do": "verify", "signature": forged, "options": {"member": null}});
    assert!(!node.ask(request).is_null(), "the flaw is there");
    let under = Tag::new("t").unwrap();
    assert!(Signed::parse(forged, &notes(), Some(&under)).is_err());
    shown("items");
}

#[test]
fn teams_and_their_changes_cross_both_ways() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let (a, b) = (node.create(json!([])), node.create(json!([])));
    let (a_keys, b_keys) = (Arc::new(node.migrated(&a)), node.migrated(&b));
    // Made there, changed there, opened here.
    let crew = node.create(json!([a.to_string()]));
    let first = node.team(&crew);
    node.ask(json!({"do": "change", "tag": crew.to_string(), "add": [b.to_string()]}));
    let second = node.team(&crew);
    // There the order is that in which look-ups end.
    let mut both = second.members().to_vec();
    both.sort_unstable();
    assert_eq!((first.members(), both), (&[a][..], sorted([a, b])));
    let crew_keys = second.open(&b, b_keys.opening()).unwrap();
    assert_eq!(crew_keys.tag(), crew);
    assert!(first.open(&b, b_keys.opening()).is_err());
    // Nested: from the device through the crew.
    let fleet = node.create(json!([crew.to_string()]));
    let fleet_team = node.team(&fleet);
    let unlocked = unlock(&fleet, &mut |tag| match *tag {
        tag if tag == fleet => Some(Found::Team(fleet_team.clone())),
        tag if tag == crew => Some(Found::Team(second.clone())),
        tag if tag == a => Some(Found::Keys(Arc::clone(&a_keys))),
        _ => None,
    });
    assert_eq!(unlocked.unwrap().tag(), fleet);
    // Changed here: a is removed, and the original goes by it.
    let signed = |member: &KeyTag| json!({"team": crew.to_string(), "member": member.to_string()});
    let by_a = read(
        &node.sign(json!("by a"), signed(&a)),
        "MutableCollection/notes",
        Some("t"),
    );
    assert!(node.verifies_deeply(&by_a));
    let only_b = [node.member(&b)];
    let third = second
        .change(&crew_keys, &only_b, a_keys.signing(), now() + 1)
        .unwrap();
    assert!(node.verifies(third.record()));
    node.put("Team", third.record());
    assert_eq!(node.team(&crew).members(), [b]);
    assert!(
        !node.verifies_deeply(&by_a),
        "the original takes back what a wrote"
    );
    let by_b = read(
        &node.sign(json!("by b"), signed(&b)),
        "MutableCollection/notes",
        Some("t"),
    );
    assert!(node.verifies_deeply(&by_b));
    // Here a's earlier item still counts, and a later one does not.
    let history: Vec<TeamRecord> = [&first, &second, &third].map(Team::judged).into();
    let judged = judge(&history, None).unwrap();
    assert_eq!(judged.members(), [b]);
    assert!(judged.counts(&a, by_a.header().iat) && judged.counts(&b, by_b.header().iat));
    assert!(!judged.counts(&a, third.record().header().iat));
    // Made here for a device there, which then acts for it, seals and opens.
    let made = Team::create(&[node.member(&a), node.member(&b)], b_keys.signing(), now()).unwrap();
    let ours = made.keys.tag();
    node.put("EncryptionKey", &made.encryption_key);
    node.put("Team", made.team.record());
    let acting = json!({"team": ours.to_string(), "member": a.to_string()});
    let by_a = read(
        &node.sign(json!("hello"), acting),
        "MutableCollection/notes",
        Some("t"),
    );
    assert_eq!((by_a.header().owner, by_a.header().author), (ours, a));
    assert!(node.verifies_deeply(&by_a));
    // Destroyed here.
    let after = made.team.record().header().iat + 1;
    let gone = destroy_team(&made.team, &made.keys, b_keys.signing(), after).unwrap();
    for record in &gone {
        assert!(node.verifies(record));
    }
    node.put("Team", &gone[1]);
    node.put("EncryptionKey", &gone[0]);
    let acting = json!({"team": ours.to_string(), "member": a.to_string()});
    let late = json!({"do": "sign", "payload": "late", "options": acting});
    assert!(
        node.try_ask(&late).is_err(),
        "nobody acts for what was destroyed"
    );
    // And destroyed there.
    node.ask(json!({"do": "destroy", "tag": fleet.to_string()}));
    assert_eq!(node.team(&fleet).members(), []);
    shown("teams");
}

#[test]
fn sealed_payloads_cross_both_ways() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let (a, b) = (node.create(json!([])), node.create(json!([])));
    let a_keys = node.migrated(&a);
    let b_keys = node.migrated(&b);
    let team = node.create(json!([a.to_string()]));
    let team_keys = node.team(&team).open(&a, a_keys.opening()).unwrap();
    let as_item = |jwe: &str, to: &KeyTag| {
        json!({"payload": jwe, "options": {"tags": [a.to_string()], "team": "", "time": 5,
            "contentType": "text/encrypted", "encryption": to.to_string()}})
    };
    for (to, keys) in [(a, &a_keys), (team, &team_keys)] {
        // There and opened here, as an item.
        let jwe = node.text(json!({"do": "seal", "payload": "for you", "tags": [to.to_string()]}));
        let mut request = as_item(&jwe, &to);
        request["do"] = "sign".into();
        let record = read(&node.text(request), "MutableCollection/notes", Some("t"));
        let opened = open_item(&record, &|tag| (*tag == to.tag()).then(|| keys.opening())).unwrap();
        assert_eq!(
            (&opened.content[..], opened.cty.as_deref()),
            (&b"for you"[..], Some("text/plain"))
        );
        // Here and opened there.
        let key = node.member(&to).key;
        let content =
            seal_item("für dich".as_bytes(), Some("text/plain"), &to.tag(), &key).unwrap();
        let ours = note(content, 7).sign(a_keys.signing()).unwrap();
        assert!(node.verifies(&ours));
        let jwe = str::from_utf8(ours.payload()).unwrap();
        assert_eq!(node.opens(jwe, &to).as_deref(), Some("für dich"));
        assert_eq!(node.opens(jwe, &b), None);
    }
    // Several recipients, in the general form.
    let several = node.text(
        json!({"do": "seal", "payload": {"bytes": "AAH_"}, "tags": [a.to_string(), b.to_string()]}),
    );
    let to = [&a_keys, &b_keys].map(|keys| jwe::Audience {
        kid: keys.tag().to_string(),
        key: keys.encryption_key().unwrap(),
    });
    let ours = jwe::seal(b"both", Some("text/plain"), &to).unwrap();
    for keys in [&a_keys, &b_keys] {
        let own = keys.tag().to_string();
        let opened =
            jwe::open(&several, &|kid| (kid == Some(&own)).then(|| keys.opening())).unwrap();
        assert_eq!(
            (encode_base64url(&opened.content), opened.cty),
            ("AAH_".into(), None)
        );
        assert_eq!(node.opens(&ours, &keys.tag()).as_deref(), Some("both"));
    }
    shown("seals");
}

#[test]
fn legacy_wraps_are_read_by_the_migrate_call() {
    let Some(mut node) = Node::start() else {
        return;
    };
    node.ask(json!({"do": "answer", "prompt": "first pet?", "answer": "Réx the 3rd"}));
    let device = node.create(json!([]));
    let recovery = node.create(json!([{"prompt": "first pet?"}]));
    let user = node.create(json!([device.to_string(), recovery.to_string()]));
    let record = text(&node.shared("KeyRecovery", &recovery));
    assert_eq!(
        migrate(record.clone(), "Rex").unwrap_err(),
        MigrateError::Secret
    );
    let recovered = migrate(record, "Réx the 3rd").unwrap();
    assert_eq!(
        (recovered.keys.tag(), &recovered.prompt[..]),
        (recovery, "first pet?")
    );
    // The keys are the real ones: both open the user, and publish what was published.
    let team = node.team(&user);
    for keys in [recovered.keys, node.migrated(&device)] {
        assert_eq!(team.open(&keys.tag(), keys.opening()).unwrap().tag(), user);
        let published = node.shared("EncryptionKey", &keys.tag());
        let again = keys.encryption_record(published.header().iat).unwrap();
        assert_eq!(text(&again), text(&published));
    }
    shown("wraps");
}

#[test]
fn an_invitation_made_there_is_claimed_here() {
    let Some(mut node) = Node::start() else {
        return;
    };
    node.ask(json!({"do": "answer", "prompt": "-", "answer": "-"}));
    let invite = node.create(json!([{"prompt": "-"}]));
    let user = node.create(json!([invite.to_string()]));
    let team = node.team(&user);
    let invitation = migrate(text(&node.shared("KeyRecovery", &invite)), "-")
        .unwrap()
        .keys;
    // The claimer shares with a device that stays with the original.
    let there = node.create(json!([]));
    let claimer = node.migrated(&there);
    let newcomers = [node.member(&there)];
    let iat = team.record().header().iat + 1;
    let claimed = claim_invitation(&team, &invitation, &newcomers, claimer.signing(), iat).unwrap();
    // Each record stands up to the original's deepest check when it arrives, also the first.
    for next in [&claimed.joined, &claimed.left] {
        assert!(node.verifies(next.record()));
        assert!(node.verifies_deeply(next.record()), "by the list before");
        node.put("Team", next.record());
        assert!(node.verifies_deeply(next.record()), "by its own list");
    }
    for (record, collection) in claimed
        .destroyed
        .iter()
        .zip(["EncryptionKey", "KeyRecovery"])
    {
        assert!(node.verifies(record));
        node.put(collection, record);
    }
    let acting = json!({"team": user.to_string(), "member": there.to_string()});
    let by_user = read(
        &node.sign(json!("mine"), acting),
        "MutableCollection/notes",
        Some("t"),
    );
    assert!(node.verifies_deeply(&by_user));
    let history: Vec<TeamRecord> = [&team, &claimed.joined, &claimed.left]
        .map(Team::judged)
        .into();
    let judged = judge(&history, None).unwrap();
    assert_eq!(judged.members(), [there]);
    assert!(judged.counts(&there, by_user.header().iat));
    assert!(!judged.counts(&invite, by_user.header().iat));
    shown("invitation");
}
