//! Key sets, teams, invitations and wraps of the js profile: what is made, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod js_support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use flexstore::js::{
    ClaimError, Created, Found, ItemError, KEY_RECOVERY, KeySet, KeySetError, MAX_NESTING, Member,
    MigrateError, Team, TeamError, UnlockError, claim_invitation, destroy, destroy_team,
    encryption_key, judge, migrate, migrate_device_file, open_item, seal_item, unlock,
};
use flexstore::js::{Draft, Shelf, Signed, Verified};
use flexstore::seal::OpenError;
use flexstore::seal::js::Audience;
use flexstore::{KeyTag, Tag};
use flexstore_core::record::Content;
use js_support::*;
use serde_json::Value;

/// A team of keys 0 and 1, made by 0 at time 10. Its keys are the one real RSA pair of 4,096 bits.
static CREW: LazyLock<Created> =
    LazyLock::new(|| Team::create(&members(&[0, 1]), test_keys(0).signing(), 10).unwrap());

fn member(n: usize) -> Member {
    let keys = test_keys(n);
    Member {
        tag: keys.tag(),
        key: keys.encryption_key().unwrap(),
    }
}

fn members(numbers: &[usize]) -> Vec<Member> {
    numbers.iter().map(|n| member(*n)).collect()
}

fn tag(n: usize) -> KeyTag {
    test_keys(n).tag()
}

#[test]
fn a_key_set_keeps_its_bytes_and_hides_its_secrets() {
    let keys = test_keys(0);
    let text = keys.to_jwks();
    assert_eq!(KeySet::from_jwks(&text).unwrap().to_jwks(), text);
    assert_eq!(format!("{keys:?}"), format!("js::KeySet({})", keys.tag()));
    let made = &CREW.keys;
    assert_eq!(
        KeySet::from_jwks(&made.to_jwks()).unwrap().to_jwks(),
        made.to_jwks()
    );
    let jwk: Value = serde_json::from_str(&made.encryption_jwk()).unwrap();
    let n = jwk["n"].as_str().unwrap();
    assert_eq!(n.len(), 683, "4,096 bits");
    let record = keys.encryption_record(5).unwrap();
    assert_eq!(record.payload()[..], *keys.encryption_jwk().as_bytes());
    assert!(encryption_key(&record).is_ok());
}

#[test]
fn what_is_no_key_set_is_refused() {
    let good: Value = serde_json::from_str(&test_keys(0).to_jwks()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut set = good.clone();
        change(&mut set);
        KeySet::from_jwks(&set.to_string()).unwrap_err()
    };
    let other = tag(1).to_string();
    let malformed = KeySetError::Malformed;
    assert_eq!(KeySet::from_jwks("").unwrap_err(), malformed);
    assert_eq!(
        KeySet::from_jwks(&format!("{good}{good}")).unwrap_err(),
        malformed
    );
    assert_eq!(with(&|set| set["more"] = 1.into()), malformed);
    assert_eq!(
        with(&|set| set["keys"].as_array_mut().unwrap().reverse()),
        malformed
    );
    assert_eq!(
        with(&|set| set["keys"][1] = set["keys"][0].clone()),
        malformed
    );
    assert_eq!(
        with(&|set| set["keys"][1]["crv"] = "X25519".into()),
        malformed
    );
    assert_eq!(with(&|set| set["keys"][1]["use"] = "sig".into()), malformed);
    assert_eq!(
        with(&|set| set["keys"][0]["alg"] = "RSA-OAEP".into()),
        malformed
    );
    assert_eq!(
        with(&|set| set["keys"][1]["x"] = other.clone().into()),
        KeySetError::Signing
    );
    assert_eq!(
        with(&|set| set["keys"][1]["d"] = "AAAA".into()),
        KeySetError::Signing
    );
    for name in ["n", "d", "qi"] {
        let error = with(&|set| set["keys"][0][name] = "A".into());
        assert!(matches!(error, KeySetError::Decrypting(_)), "{name}");
    }
}

#[test]
fn a_team_is_made_changed_and_destroyed() {
    let Created {
        keys,
        encryption_key: published,
        team,
    } = &*CREW;
    assert_eq!(
        (team.tag(), team.members()),
        (keys.tag(), &[tag(0), tag(1)][..])
    );
    assert_eq!(published.header().owner, keys.tag());
    for n in [0, 1] {
        let opened = team.open(&tag(n), test_keys(n).opening()).unwrap();
        assert_eq!(opened.to_jwks(), keys.to_jwks());
    }
    let stranger = team.open(&tag(2), test_keys(2).opening()).unwrap_err();
    assert_eq!(stranger, TeamError::Open(OpenError::NotForUs));
    let author = test_keys(1);
    let next = team
        .change(keys, &members(&[1, 2]), author.signing(), 20)
        .unwrap();
    assert_eq!(next.members(), [tag(1), tag(2)]);
    assert!(next.open(&tag(0), test_keys(0).opening()).is_err());
    assert_eq!(
        next.open(&tag(2), test_keys(2).opening()).unwrap().tag(),
        keys.tag()
    );
    // One member is still the general form.
    let one = next
        .change(keys, &members(&[2]), author.signing(), 30)
        .unwrap();
    assert!(one.record().payload().starts_with(br#"{"ciphertext":"#));
    // Destroyed.
    let gone = destroy_team(&one, keys, test_keys(2).signing(), 40).unwrap();
    let last = Team::read(gone[1].clone()).unwrap();
    assert_eq!(last.members(), []);
    let history = [team, &next, &one, &last].map(Team::judged);
    let judged = judge(&history, Some(&team.record().digest())).unwrap();
    assert_eq!((judged.members(), judged.path().len()), (&[][..], 4));
}

#[test]
fn what_is_no_change_is_refused() {
    let Created { keys, team, .. } = &*CREW;
    let (own, stranger) = (test_keys(0), test_keys(3));
    let change = |members: &[usize], author: &KeySet, iat| {
        team.change(keys, &self::members(members), author.signing(), iat)
            .unwrap_err()
    };
    assert_eq!(change(&[], &own, 20), TeamError::List);
    assert_eq!(change(&[0, 0], &own, 20), TeamError::List);
    assert_eq!(change(&[0], &stranger, 20), TeamError::NotAMember);
    assert_eq!(change(&[0], &own, 10), TeamError::Time);
    let other = team.change(&stranger, &members(&[0]), own.signing(), 20);
    assert_eq!(other.unwrap_err(), TeamError::OtherKeys);
    let create = Team::create(&members(&[1]), own.signing(), 5);
    assert_eq!(create.unwrap_err(), TeamError::NotAMember);
    let destroyed = destroy_team(team, keys, stranger.signing(), 20);
    assert_eq!(destroyed.unwrap_err(), TeamError::NotAMember);
    assert_eq!(
        Team::read(CREW.encryption_key.clone()).unwrap_err(),
        TeamError::NotATeam
    );
}

/// A record that wraps the keys of another, or is no wrap at all, gives nothing.
#[test]
fn a_record_that_wraps_other_keys_is_refused() {
    let other = test_keys(3);
    let shelf = Shelf::credential("Team").unwrap();
    let make = |payload: String| {
        let payload = payload.into();
        let content = Content::Plain {
            payload,
            cty: Some("json".into()),
        };
        let draft = Draft::new(shelf.clone(), other.tag().tag(), content, 5);
        Team::read(
            draft
                .sign_for(other.signing(), test_keys(0).signing())
                .unwrap(),
        )
    };
    let jwe = String::from_utf8(CREW.team.record().payload().to_vec()).unwrap();
    let team = make(jwe).unwrap();
    let opened = team.open(&tag(0), test_keys(0).opening());
    assert_eq!(opened.unwrap_err(), TeamError::OtherKeys);
    for no_list in ["", "{}", "[]", "a.b.c.d.e"] {
        if !no_list.is_empty() {
            assert_eq!(
                make(no_list.into()).unwrap_err(),
                TeamError::Members,
                "{no_list}"
            );
        }
    }
}

#[test]
fn nested_teams_unlock_and_circles_end() {
    let crew = &CREW;
    // Whatever teams these are: a table of lists, the keys of the deepest at hand.
    let lists: BTreeMap<KeyTag, Team> = BTreeMap::from([(crew.keys.tag(), crew.team.clone())]);
    let held = Arc::new(test_keys(1));
    let mut asked = 0;
    let keys = unlock(&crew.keys.tag(), &mut |tag| {
        asked += 1;
        match lists.get(tag) {
            Some(team) => Some(Found::Team(team.clone())),
            None if *tag == held.tag() => Some(Found::Keys(Arc::clone(&held))),
            None => None,
        }
    });
    assert_eq!(keys.unwrap().to_jwks(), crew.keys.to_jwks());
    assert_eq!(asked, 3);
    let nothing = unlock(&crew.keys.tag(), &mut |tag| {
        lists.get(tag).cloned().map(Found::Team)
    });
    assert_eq!(nothing.unwrap_err(), UnlockError::NoKey);
    // Every tag answers with the same list: a circle, and nobody's keys.
    let mut asked = 0;
    let circle = unlock(&crew.keys.tag(), &mut |_| {
        asked += 1;
        Some(Found::Team(crew.team.clone()))
    });
    assert_eq!(circle.unwrap_err(), UnlockError::NoKey);
    assert!(asked <= MAX_NESTING);
    // A team that does not open keeps nobody from another with the same member.
    let broken = test_keys(3);
    let list = CREW.team.record().payload().clone();
    let content = Content::Plain {
        payload: list,
        cty: Some("json".into()),
    };
    let shelf = Shelf::credential("Team").unwrap();
    let draft = Draft::new(shelf, broken.tag().tag(), content, 5);
    let broken_team = draft.sign_for(broken.signing(), test_keys(0).signing());
    let broken_team = Team::read(broken_team.unwrap()).unwrap();
    let listing = [
        Member {
            tag: broken.tag(),
            key: broken.encryption_key().unwrap(),
        },
        Member {
            tag: crew.keys.tag(),
            key: crew.keys.encryption_key().unwrap(),
        },
    ];
    let fleet = Team::create(&listing, broken.signing(), 10).unwrap();
    let fleet_tag = fleet.keys.tag();
    let opened = unlock(&fleet_tag, &mut |tag| match *tag {
        tag if tag == fleet_tag => Some(Found::Team(fleet.team.clone())),
        tag if tag == broken.tag() => Some(Found::Team(broken_team.clone())),
        tag if tag == crew.keys.tag() => Some(Found::Team(crew.team.clone())),
        tag if tag == held.tag() => Some(Found::Keys(Arc::clone(&held))),
        _ => None,
    });
    assert_eq!(opened.unwrap().tag(), fleet_tag);
    // The key at hand is another's.
    let wrong = Arc::new(test_keys(2));
    let wrong = unlock(&crew.keys.tag(), &mut |tag| match lists.get(tag) {
        Some(team) => Some(Found::Team(team.clone())),
        None => Some(Found::Keys(Arc::clone(&wrong))),
    });
    assert_eq!(
        wrong.unwrap_err(),
        UnlockError::Team(TeamError::Open(OpenError::Failed))
    );
}

#[test]
fn an_invitation_is_claimed_once() {
    let keys = &CREW.keys;
    let invitation = test_keys(2);
    let invited = CREW
        .team
        .change(keys, &members(&[2]), test_keys(0).signing(), 20)
        .unwrap();
    let (newcomers, claimer) = (members(&[3]), test_keys(3));
    let claim = |team: &Team, newcomers: &[Member], claimer: &KeySet| {
        claim_invitation(team, &invitation, newcomers, claimer.signing(), 30)
    };
    let claimed = claim(&invited, &newcomers, &claimer).unwrap();
    assert_eq!(claimed.keys.to_jwks(), keys.to_jwks());
    assert_eq!(claimed.joined.members(), [tag(3), tag(2)]);
    assert_eq!(claimed.joined.record().header().author, tag(2));
    assert_eq!(claimed.left.members(), [tag(3)]);
    assert_eq!(claimed.left.record().header().author, tag(3));
    for record in &claimed.destroyed {
        assert!(record.is_tombstone() && record.header().owner == tag(2));
    }
    // Every record's author is on the list before it and on its own.
    let history = [&invited, &claimed.joined, &claimed.left].map(Team::judged);
    assert_eq!(judge(&history, None).unwrap().members(), [tag(3)]);
    let again = claim(&claimed.left, &newcomers, &claimer).unwrap_err();
    assert_eq!(again, ClaimError::NotAnInvitation);
    let absent = claim(&invited, &members(&[1]), &claimer).unwrap_err();
    assert_eq!(absent, ClaimError::Newcomers);
    let kept = claim(&invited, &members(&[3, 2]), &claimer).unwrap_err();
    assert_eq!(kept, ClaimError::Newcomers);
}

#[test]
fn a_legacy_wrap_opens_by_migrate_and_is_checked() {
    let keys = test_keys(0);
    let wrap = legacy_wrap(&keys, "Rex", "first pet?");
    let record = legacy_record(&keys, &wrap, 5);
    let migrated = migrate(record.clone(), "Rex").unwrap();
    assert_eq!(
        (migrated.keys.to_jwks(), &migrated.prompt[..]),
        (keys.to_jwks(), "first pet?")
    );
    let file = Value::from(record.clone()).to_string();
    assert!(migrate_device_file(&file, "Rex").is_ok());
    assert_eq!(
        migrate_device_file(&record, "Rex").unwrap_err(),
        MigrateError::File
    );
    assert_eq!(
        migrate(record.clone(), "rex").unwrap_err(),
        MigrateError::Secret
    );
    let mut damaged = record.clone().into_bytes();
    damaged[400] ^= 1;
    assert!(migrate(damaged, "Rex").is_err());
    // Another's keys under one's own signature.
    let foreign = legacy_record(&test_keys(1), &wrap, 5);
    assert_eq!(
        migrate(foreign, "Rex").unwrap_err(),
        MigrateError::OtherKeys
    );
    for (from, to) in [
        ("dir", "A256KW"),
        ("A256GCM", "A128GCM"),
        ("json", "text"),
        ("cty", "crit"),
    ] {
        let (protected, rest) = wrap.split_once('.').unwrap();
        let header = text_of_header(protected).to_string().replace(from, to);
        let other = flexstore_core::encode_base64url(header.as_bytes());
        let record = legacy_record(&keys, &format!("{other}.{rest}"), 5);
        assert_eq!(
            migrate(record, "Rex").unwrap_err(),
            MigrateError::Form,
            "{to}"
        );
    }
    let no_wrap = legacy_record(&keys, "no wrap", 5);
    assert_eq!(migrate(no_wrap, "Rex").unwrap_err(), MigrateError::Form);
    let [_, gone] = destroy(&keys, 9).unwrap();
    let gone = migrate(gone.text().clone(), "Rex").unwrap_err();
    assert_eq!(gone, MigrateError::Form);
    assert_eq!(
        Shelf::credential(KEY_RECOVERY).unwrap().to_string(),
        "MutableCollection/KeyRecovery"
    );
}

fn item(content: Content) -> Verified {
    let shelf = Shelf::parse("MutableCollection/notes").unwrap();
    Draft::new(shelf, Tag::new("t").unwrap(), content, 5)
        .sign(test_keys(0).signing())
        .unwrap()
}

#[test]
fn a_sealed_item_says_whom_it_is_for() {
    let own = test_keys(1);
    let key = own.encryption_key().unwrap();
    let content = seal_item(b"secret", Some("text/plain"), &own.tag().tag(), &key).unwrap();
    let find = |tag: &Tag| (*tag == own.tag().tag()).then(|| own.opening());
    let record = item(content.clone());
    let opened = open_item(&record, &find).unwrap();
    assert_eq!(
        (&opened.content[..], opened.cty.as_deref()),
        (&b"secret"[..], Some("text/plain"))
    );
    let none = open_item(&record, &|_| None).unwrap_err();
    assert_eq!(none, ItemError::Open(OpenError::NotForUs));
    // Signed for one, sealed for another.
    let Content::Sealed { jwe, .. } = content else {
        panic!("sealed")
    };
    let audience = vec![tag(2).tag()];
    let other = item(Content::Sealed { jwe, audience });
    let error = open_item(&other, &|_| Some(own.opening())).unwrap_err();
    assert_eq!(error, ItemError::Audience);
    // Sealed for several, of whom one was signed.
    let to = [1, 2].map(|n| Audience {
        kid: tag(n).to_string(),
        key: member(n).key,
    });
    let jwe = flexstore::seal::js::seal(b"secret", None, &to)
        .unwrap()
        .into();
    let audience = vec![own.tag().tag()];
    let several = item(Content::Sealed { jwe, audience });
    assert_eq!(open_item(&several, &find).unwrap_err(), ItemError::Audience);
    let payload = "x".into();
    let plain = item(Content::Plain { payload, cty: None });
    assert_eq!(open_item(&plain, &find).unwrap_err(), ItemError::Plain);
    // Moved to the teams, where the owner's tag is the name, it is none.
    let teams = Shelf::credential("Team").unwrap();
    let moved = Signed::parse(record.text().clone(), &teams, None);
    let moved = Team::read(moved.unwrap().verify().unwrap());
    assert_eq!(moved.unwrap_err(), TeamError::Members);
}
