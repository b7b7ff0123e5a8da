//! Single items over HTTP on the real relay, by requests written by hand.

#![allow(clippy::unwrap_used)] // a test

mod support;

use flexstore_core::record::{Content, Draft, MAX_ITEM_BYTES};
use flexstore_core::{CollectionId, Digest, Kind, SigningKey, Tag, Verified};
use support::client::{key, now};
use support::http::{Answer, ask};
use support::relay::Relay;

fn draft(kind: Kind, tag: &str, text: &str, iat: u64) -> Draft {
    let id = CollectionId::new(kind, "rest of all").unwrap();
    let mut draft = Draft::text(id, Tag::new(tag).unwrap(), text, iat);
    if text.is_empty() {
        draft.content = Content::Tombstone;
    }
    draft
}

fn path(record: &Verified) -> String {
    let header = record.header();
    let kind = header.collection.kind().as_str();
    format!("/flexstore/{kind}/rest%20of%20all/{}", header.tag)
}

fn put(relay: &Relay, record: &Verified) -> Answer {
    ask(relay, "PUT", &path(record), &[], record.text())
}

fn get(relay: &Relay, path: &str) -> Answer {
    ask(relay, "GET", path, &[], b"")
}

fn etag(record: &Verified) -> String {
    format!("\"{}\"", record.digest())
}

#[test]
fn an_item_lives_and_dies() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let (alice, start) = (key(1), now() - 1000);
    let first = draft(Kind::Mutable, "note", "one", start)
        .sign(&alice)
        .unwrap();
    let second = draft(Kind::Mutable, "note", "two", start + 1)
        .sign(&alice)
        .unwrap();
    let end = draft(Kind::Mutable, "note", "", start + 2)
        .sign(&alice)
        .unwrap();
    let path = path(&first);

    assert_eq!(get(&relay, &path).problem(404), "not-found");
    let answer = put(&relay, &first);
    assert_eq!(
        (answer.status, answer.header("etag")),
        (201, Some(etag(&first)))
    );
    assert_eq!(answer.json()["result"], "new");
    let answer = put(&relay, &first);
    assert_eq!(
        (answer.status, answer.json()["result"].as_str()),
        (200, Some("known"))
    );

    let answer = get(&relay, &path);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, *first.text());
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/jose")
    );
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(answer.header("etag"), Some(etag(&first)));
    let answer = ask(&relay, "HEAD", &path, &[], b"");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(
        answer.header("content-length"),
        Some(first.text().len().to_string())
    );
    for tags in [
        etag(&first),
        format!("\"x\", W/{}", etag(&first)),
        "*".into(),
    ] {
        let answer = ask(&relay, "GET", &path, &[("if-none-match", &tags)], b"");
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{tags}");
        assert_eq!(answer.header("etag"), Some(etag(&first)));
    }
    let answer = ask(&relay, "GET", &path, &[("if-none-match", "\"x\"")], b"");
    assert_eq!(answer.status, 200);

    let demand = |name: &str, value: &str, record: &Verified| {
        ask(&relay, "PUT", &path, &[(name, value)], record.text())
    };
    assert_eq!(demand("if-match", "\"x\"", &second).problem(412), "changed");
    assert_eq!(
        demand("if-none-match", "*", &second).problem(412),
        "changed"
    );
    assert_eq!(demand("if-match", &etag(&first), &second).status, 201);
    let answer = put(&relay, &first);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"], "displaced");
    assert_eq!(
        answer.json()["successor"]["digest"],
        second.digest().to_string()
    );

    let delete = |record: &Verified| ask(&relay, "DELETE", &path, &[], record.text());
    assert_eq!(delete(&second).problem(422), "bad-record");
    assert_eq!(delete(&end).status, 204);
    assert_eq!(delete(&end).status, 204);
    let answer = get(&relay, &path);
    assert_eq!((answer.status, &answer.body[..]), (410, &end.text()[..]));
    let later = draft(Kind::Mutable, "note", "three", start + 3)
        .sign(&alice)
        .unwrap();
    let late = draft(Kind::Mutable, "note", "", start + 1)
        .sign(&alice)
        .unwrap();
    assert_eq!(put(&relay, &later).status, 201);
    assert_eq!(delete(&late).problem(409), "displaced");
    assert_eq!(get(&relay, &path).body, *later.text());

    // What was answered 201 is on the disk.
    relay.kill();
    let relay = Relay::start(data.path(), &[]);
    assert_eq!(get(&relay, &path).body, *later.text());
}

#[test]
fn where_there_are_several_the_client_judges() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let start = now() - 1000;
    let (alice, bob, carol, team) = (key(1), key(2), key(3), key(4));
    let of = |number: u64, by: &SigningKey| {
        let draft = draft(
            Kind::Mutable,
            "shared",
            &format!("{number}"),
            start + number,
        );
        draft.sign(by).unwrap()
    };
    let (a, b) = (of(1, &alice), of(2, &bob));
    let for_team = |number: u64, by: &SigningKey| {
        let draft = draft(
            Kind::Mutable,
            "shared",
            &format!("{number}"),
            start + number,
        );
        draft.sign_for(&team, by).unwrap()
    };
    let (c, d) = (for_team(3, &carol), for_team(4, &alice));
    let path = path(&a);
    put(&relay, &a);
    assert_eq!(get(&relay, &path).status, 200);
    put(&relay, &b);
    let answer = get(&relay, &path);
    assert_eq!(answer.status, 300);
    let listed = |answer: &Answer| -> Vec<String> {
        let json = answer.json();
        let all = json["candidates"].as_array().unwrap();
        let mut all: Vec<String> = all
            .iter()
            .map(|one| one["digest"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    };
    let digests = |records: &[&Verified]| {
        let mut all: Vec<String> = records.iter().map(|one| one.digest().to_string()).collect();
        all.sort();
        all
    };
    assert_eq!(listed(&answer), digests(&[&a, &b]));
    let owner = format!("{path}?owner={}", bob.tag());
    assert_eq!(get(&relay, &owner).body, *b.text());

    // One owner, two authors.
    assert_eq!((put(&relay, &c).status, put(&relay, &d).status), (201, 201));
    let owner = format!("{path}?owner={}", team.tag());
    let answer = get(&relay, &owner);
    assert_eq!((answer.status, listed(&answer)), (300, digests(&[&c, &d])));
    let author = format!("{owner}&author={}", carol.tag());
    let answer = get(&relay, &author);
    assert_eq!((answer.status, &answer.body[..]), (200, &c.text()[..]));
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/jose+json")
    );
    let digest = format!("{path}?digest={}", d.digest());
    assert_eq!(get(&relay, &digest).body, *d.text());
    let answer = get(&relay, &path);
    assert_eq!(listed(&answer), digests(&[&a, &b, &c, &d]));
    for bad in ["owner=x", "digest=1", "at=now", "other=1", "owner=%"] {
        assert_eq!(
            get(&relay, &format!("{path}?{bad}")).problem(400),
            "bad-request"
        );
    }

    // A tag that is a key is its owner's.
    let own = key(5);
    let tag = own.tag().to_string();
    let draft = |by: &SigningKey| draft(Kind::Mutable, &tag, "mine", start).sign(by).unwrap();
    put(&relay, &draft(&alice));
    put(&relay, &draft(&own));
    assert_eq!(
        get(&relay, &self::path(&draft(&own))).body,
        *draft(&own).text()
    );
}

#[test]
fn content_under_its_hash_may_be_cached_for_good() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let start = now() - 1000;
    let item = draft(Kind::Immutable, "any", "forever", start)
        .sign(&key(1))
        .unwrap();
    assert_eq!(item.header().tag, Digest::of(b"forever").tag());
    let path = path(&item);
    assert_eq!(put(&relay, &item).status, 201);
    let again = draft(Kind::Immutable, "any", "forever", start + 1)
        .sign(&key(2))
        .unwrap();
    assert_eq!(put(&relay, &again).status, 201);
    let answer = get(&relay, &path);
    assert_eq!((answer.status, &answer.body[..]), (200, &item.text()[..]));
    let forever = "public, max-age=31536000, immutable";
    assert_eq!(answer.header("cache-control").as_deref(), Some(forever));
    let tag = item.header().tag.as_str();
    for signer in [key(1), key(2)] {
        let end = draft(Kind::Immutable, tag, "", start)
            .sign(&signer)
            .unwrap();
        let answer = ask(&relay, "DELETE", &path, &[], end.text());
        assert_eq!(answer.status, 204);
    }
    let answer = get(&relay, &format!("{path}?owner={}", key(1).tag()));
    assert_eq!(answer.status, 410);
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-cache"));
}

#[test]
fn versions_by_time_and_all_of_them() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let start = now() - 10_000;
    let mut versions: Vec<Verified> = Vec::new();
    for number in 0..3 {
        let mut draft = draft(
            Kind::Versioned,
            "story",
            &format!("chapter {number}"),
            start + 1000 * number,
        );
        draft.ant = versions.last().map(Verified::state);
        versions.push(draft.sign(&key(1)).unwrap());
        assert_eq!(put(&relay, &versions[number as usize]).status, 201);
    }
    let path = path(&versions[0]);
    assert_eq!(get(&relay, &path).body, *versions[2].text());
    let at = |ms: u64| get(&relay, &format!("{path}?at={ms}"));
    assert_eq!(at(start + 1999).body, *versions[1].text());
    assert_eq!(at(start - 1).status, 404);
    let state = get(&relay, &format!("{path}?digest={}", versions[1].state()));
    assert_eq!(state.body, *versions[1].text());
    let answer = get(&relay, &format!("{path}?versions"));
    let json = answer.json();
    let listed = json["versions"].as_array().unwrap();
    let states: Vec<_> = listed.iter().map(|one| one["state"].clone()).collect();
    let expected: Vec<_> = versions.iter().map(|one| one.state().to_string()).collect();
    assert_eq!(states, expected);
    let end = draft(Kind::Versioned, "story", "", start + 5000)
        .sign(&key(1))
        .unwrap();
    assert_eq!(ask(&relay, "DELETE", &path, &[], end.text()).status, 204);
    assert_eq!(get(&relay, &path).status, 410);
    assert_eq!(get(&relay, &format!("{path}?versions")).status, 404);
}

#[test]
fn what_is_not_taken_is_told_why() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let item = draft(Kind::Mutable, "tag", "text", now())
        .sign(&key(1))
        .unwrap();
    let path = path(&item);
    let bring = |path: &str, body: &[u8]| ask(&relay, "PUT", path, &[], body);
    let mut forged = item.text().to_vec();
    let last = forged.len() - 3;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    assert_eq!(bring(&path, &forged).problem(422), "bad-record");
    assert_eq!(bring(&path, b"").problem(422), "bad-record");
    let elsewhere = path.replace("/tag", "/tug");
    assert_eq!(bring(&elsewhere, item.text()).problem(422), "bad-record");
    let elsewhere = path.replace("Mutable", "Versioned");
    assert_eq!(bring(&elsewhere, item.text()).problem(422), "bad-record");
    let ahead = draft(Kind::Mutable, "tag", "text", now() + 600_000);
    let answer = put(&relay, &ahead.sign(&key(1)).unwrap());
    assert_eq!(answer.problem(409), "too-new");
    assert!(answer.header("retry-after").is_some());
    for (more, name, status) in [(0, "bad-record", 422), (1, "too-long", 413)] {
        let body = vec![b'x'; MAX_ITEM_BYTES + more];
        assert_eq!(bring(&path, &body).problem(status), name);
    }
    // Others' keys in the collections of keys.
    let id = CollectionId::parse("MutableCollection/EncryptionKey").unwrap();
    let squat = Draft::text(id, key(2).tag().tag(), "mine", now())
        .sign(&key(1))
        .unwrap();
    let place = format!(
        "/flexstore/MutableCollection/EncryptionKey/{}",
        key(2).tag()
    );
    assert_eq!(bring(&place, squat.text()).problem(403), "policy");
    for method in ["POST", "PATCH", "OPTIONS"] {
        let answer = ask(&relay, method, &path, &[], b"");
        assert_eq!(answer.problem(405), "method-not-allowed", "{method}");
        assert_eq!(
            answer.header("allow").as_deref(),
            Some("GET, HEAD, PUT, DELETE")
        );
    }
    assert_eq!(get(&relay, &path).status, 404);
}
