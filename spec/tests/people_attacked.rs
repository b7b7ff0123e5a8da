//! Conflicts and attacks on people and teams, as their apps live through them.

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::collections::BTreeSet;

use flexstore::{
    CredentialsError, KeySet, Mutable, Readers, RetrieveError, Standing, StoreError, TeamEvent,
};
use futures_util::StreamExt as _;
use support::people::{Device, SOON, person, relay, words};
use tokio::time::timeout;

/// Waits for one event.
async fn hears(
    events: &mut flexstore::TeamEvents,
    wanted: impl Fn(&TeamEvent) -> bool,
) -> TeamEvent {
    let wait = async {
        loop {
            if let Some(Ok(event)) = events.next().await
                && wanted(&event)
            {
                break event;
            }
        }
    };
    timeout(SOON, wait).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_removals_at_once_both_hold_and_neither_can_read_afterwards() {
    let relay = relay().await;
    let (anns, ann, _) = person(&relay).await;
    let (bens, ben, _) = person(&relay).await;
    let (cyds, cyd, _) = person(&relay).await;
    let (dons, don, _) = person(&relay).await;
    anns.keys_in_step().await;
    let members = [ben.tag, cyd.tag, don.tag];
    let team = anns.peer.credentials().create_team(members).await.unwrap();
    for device in [&anns, &bens, &cyds, &dons] {
        let members = [ann.tag, ben.tag, cyd.tag, don.tag];
        device.lists(team.tag, &members).await;
    }
    // Ann removes Cyd while Ben removes Don.
    anns.cut().await;
    bens.cut().await;
    let mut events = bens.peer.credentials().events();
    anns.peer
        .credentials()
        .change_membership(team.tag)
        .remove(cyd.tag)
        .await
        .unwrap();
    bens.peer
        .credentials()
        .change_membership(team.tag)
        .remove(don.tag)
        .await
        .unwrap();
    anns.mend();
    anns.keys_in_step().await;
    bens.mend();
    // Ann's is the more senior; Ben's app makes his again.
    let again = hears(&mut events, |event| {
        matches!(event, TeamEvent::MadeAgain { .. })
    })
    .await;
    let TeamEvent::MadeAgain { record, .. } = again else {
        unreachable!()
    };
    bens.keys_in_step().await;
    anns.keys_in_step().await;
    for device in [&anns, &bens] {
        device.lists(team.tag, &[ann.tag, ben.tag]).await;
        let now = device.peer.credentials().team(team.tag).unwrap().unwrap();
        assert_eq!(now.records().last(), Some(&record));
    }
    anns.notes()
        .store("ours")
        .tag("plan")
        .owner(team.tag)
        .seal_to([team.tag])
        .await
        .unwrap();
    anns.in_step().await;
    bens.reads("plan", team.tag, Some("ours")).await;
    cyds.reads("plan", team.tag, Some("closed")).await;
    dons.reads("plan", team.tag, Some("closed")).await;
    let item = anns
        .notes()
        .retrieve("plan")
        .owner(team.tag)
        .await
        .unwrap()
        .unwrap();
    let Readers::Keys(readers) = anns.peer.credentials().who_can_read(&item).unwrap() else {
        panic!("sealed");
    };
    let keys = |device: &Device, tag| {
        let team = device.peer.credentials().team(tag).unwrap().unwrap();
        team.leaves().clone()
    };
    let both: BTreeSet<_> = keys(&anns, ann.tag)
        .union(&keys(&bens, ben.tag))
        .copied()
        .collect();
    assert_eq!(readers.into_keys().collect::<BTreeSet<_>>(), both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_removing_each_other_at_once_leave_the_senior() {
    let relay = relay().await;
    let (anns, ann, _) = person(&relay).await;
    let (bens, ben, _) = person(&relay).await;
    anns.keys_in_step().await;
    let team = anns
        .peer
        .credentials()
        .create_team([ben.tag])
        .await
        .unwrap();
    anns.keys_in_step().await;
    bens.keys_in_step().await;
    anns.cut().await;
    bens.cut().await;
    let mut events = bens.peer.credentials().events();
    bens.peer
        .credentials()
        .change_membership(team.tag)
        .remove(ann.tag)
        .await
        .unwrap();
    anns.peer
        .credentials()
        .change_membership(team.tag)
        .remove(ben.tag)
        .await
        .unwrap();
    anns.mend();
    anns.keys_in_step().await;
    bens.mend();
    hears(&mut events, |event| {
        matches!(event, TeamEvent::DidNotStick { .. })
    })
    .await;
    for device in [&anns, &bens] {
        device.lists(team.tag, &[ann.tag]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ex_member_that_kept_all_keys_reads_none_of_a_thousand_later_items() {
    let relay = relay().await;
    let (anns, _, _) = person(&relay).await;
    let (bens, ben, _) = person(&relay).await;
    anns.keys_in_step().await;
    let team = anns
        .peer
        .credentials()
        .create_team([ben.tag])
        .await
        .unwrap();
    let notes = anns.notes();
    notes
        .store("before")
        .tag("old")
        .owner(team.tag)
        .seal_to([team.tag])
        .await
        .unwrap();
    anns.in_step().await;
    bens.reads("old", team.tag, Some("before")).await;
    anns.peer
        .credentials()
        .change_membership(team.tag)
        .remove(ben.tag)
        .await
        .unwrap();
    let later = 1000;
    for n in 0..later {
        let store = notes.store(format!("after {n}")).tag(format!("new {n}"));
        store.owner(team.tag).seal_to([team.tag]).await.unwrap();
    }
    anns.in_step().await;
    // Ben's device has everything of before, and sees all that the relay has.
    let theirs = bens.in_step().await;
    let mut seen = 0;
    for n in 0..later {
        let item = theirs
            .retrieve(format!("new {n}"))
            .owner(team.tag)
            .await
            .unwrap()
            .unwrap();
        assert!(!item.is_open());
        seen += 1;
    }
    assert_eq!(seen, later);
    assert_eq!(bens.read("old", team.tag).await.as_deref(), Some("before"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_phone_of_a_person_in_a_team_of_teams_reads_and_writes_nothing_newer() {
    let relay = relay().await;
    let (phone, ann, secret) = person(&relay).await;
    let (bens, ben, _) = person(&relay).await;
    let (cyds, cyd, _) = person(&relay).await;
    for device in [&phone, &bens] {
        device.keys_in_step().await;
    }
    let inner = phone
        .peer
        .credentials()
        .create_team([ben.tag])
        .await
        .unwrap();
    phone.keys_in_step().await;
    cyds.keys_in_step().await;
    let outer = cyds
        .peer
        .credentials()
        .create_team([inner.tag])
        .await
        .unwrap();
    cyds.keys_in_step().await;
    phone.keys_in_step().await;
    let notes = phone.in_step().await;
    notes
        .store("by phone")
        .tag("old")
        .owner(outer.tag)
        .seal_to([outer.tag])
        .await
        .unwrap();
    phone.in_step().await;
    cyds.reads("old", outer.tag, Some("by phone")).await;

    let laptop = Device::new(&relay).await;
    let thief = phone.author();
    let credentials = laptop.peer.credentials();
    credentials
        .authorize_author(ann, &secret)
        .lost(thief)
        .await
        .unwrap();
    laptop.keys_in_step().await;
    // Both teams around have a new key, made by the laptop in the same call.
    for team in [inner.tag, outer.tag] {
        let team = laptop.peer.credentials().team(team).unwrap().unwrap();
        assert_eq!(team.records().len(), 2);
        assert!(!team.leaves().contains(&thief));
    }
    cyds.keys_in_step().await;
    let notes = cyds.in_step().await;
    notes
        .store("by cyd")
        .tag("new")
        .owner(outer.tag)
        .seal_to([outer.tag])
        .await
        .unwrap();
    cyds.in_step().await;
    laptop.reads("new", outer.tag, Some("by cyd")).await;
    phone.reads("new", outer.tag, Some("closed")).await;
    let written = phone.notes().store("no").tag("new").owner(outer.tag).await;
    assert!(matches!(written, Err(StoreError::NotMember)), "{written:?}");
    let changed = phone
        .peer
        .credentials()
        .change_membership(outer.tag)
        .remove(cyd.tag)
        .await;
    assert!(changed.is_err(), "{changed:?}");
    phone.keys_in_step().await;
    cyds.keys_in_step().await;
    let team = cyds.peer.credentials().team(outer.tag).unwrap().unwrap();
    assert!(team.members().contains(&cyd.tag));
    // What the phone wrote before still counts.
    cyds.reads("old", outer.tag, Some("by phone")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contested_invitation_goes_to_the_claimer_for_all_who_deal_with_the_claimer() {
    let relay = relay().await;
    let (anns, _, _) = person(&relay).await;
    let invitation = anns.peer.credentials().create_invitation().await.unwrap();
    anns.keys_in_step().await;
    // Ben claims it while Eve, who has seen the words, does the same.
    let (bens, eves) = (Device::new(&relay).await, Device::new(&relay).await);
    for device in [&bens, &eves] {
        device.keys_in_step().await;
        device.cut().await;
    }
    let (_, secret) = words();
    let credentials = bens.peer.credentials();
    let ben = credentials.claim_invitation(&invitation.name, &invitation.words, &secret);
    let ben = ben.await.unwrap();
    let credentials = eves.peer.credentials();
    let eve = credentials.claim_invitation(&invitation.name, &invitation.words, &secret);
    let eve = eve.await.unwrap();
    assert_eq!(ben.tag, eve.tag);
    for device in [&bens, &eves] {
        device.mend();
        device.in_step().await;
    }
    bens.notes().store("it is me").tag("note").await.unwrap();
    bens.in_step().await;
    // Ann is told by Ben, by another way, who he is now.
    anns.peer.credentials().pin(&ben).await.unwrap();
    anns.reads("note", ben.tag, Some("it is me")).await;
    let team = anns.peer.credentials().team(ben.tag).unwrap().unwrap();
    assert!(team.leaves().contains(&bens.author()) && !team.leaves().contains(&eves.author()));
    // Each claimer's own devices go on with their own claim.
    let team = eves.peer.credentials().team(eve.tag).unwrap().unwrap();
    assert!(team.leaves().contains(&eves.author()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_signed_by_a_team_key_alone_is_nobodys() {
    // A founder who kept the team's private key signs with it as with a key of its own.
    let relay = relay().await;
    let device = Device::new(&relay).await;
    let person = KeySet::generate().unwrap();
    let credentials = device.peer.credentials();
    let tag = credentials.add(person).await.unwrap();
    device
        .notes()
        .store("solo")
        .tag("note")
        .author(tag)
        .owner(tag)
        .await
        .unwrap();
    assert_eq!(device.read("note", tag).await.as_deref(), Some("solo"));
    let item = device
        .notes()
        .retrieve("note")
        .owner(tag)
        .await
        .unwrap()
        .unwrap();
    let reason = credentials.why_counts(&item).unwrap();
    assert_eq!((reason.standing, reason.chain.len()), (Standing::Counts, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outside_the_scope_are_not_used() {
    let relay = relay().await;
    let (device, ann, _) = person(&relay).await;
    let notes = device.notes();
    notes
        .store("mine")
        .tag("note")
        .seal_to([ann.tag])
        .await
        .unwrap();
    assert_eq!(device.read("note", ann.tag).await.as_deref(), Some("mine"));
    let credentials = device.peer.credentials();
    credentials.restrict(Some(BTreeSet::from([device.author()])));
    assert_eq!(
        device.read("note", ann.tag).await.as_deref(),
        Some("closed")
    );
    let written = notes.store("no").tag("note").await;
    assert!(matches!(written, Err(StoreError::NoKeys)), "{written:?}");
    credentials.restrict(None);
    assert_eq!(device.read("note", ann.tag).await.as_deref(), Some("mine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_hold_where_a_call_does_not_say() {
    let relay = relay().await;
    let (device, ann, _) = person(&relay).await;
    let credentials = device.peer.credentials();
    credentials.set_audience([ann.tag]).unwrap();
    let notes = device.notes();
    notes.store("sealed").tag("one").await.unwrap();
    notes.store("open").tag("two").plain().await.unwrap();
    let one = notes.retrieve("one").await.unwrap().unwrap();
    let two = notes.retrieve("two").await.unwrap().unwrap();
    assert_eq!(one.audience(), [ann.tag.tag()]);
    assert!(two.audience().is_empty());
    assert_eq!((one.owner(), one.author()), (ann.tag, device.author()));
    credentials.set_owner(None).unwrap();
    notes.store("solo").tag("three").plain().await.unwrap();
    let three = notes.retrieve("three").await.unwrap().unwrap();
    assert_eq!(three.owner(), device.author());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_team_writes_and_is_sealed_to_no_more() {
    let relay = relay().await;
    let (device, _, _) = person(&relay).await;
    let credentials = device.peer.credentials();
    let team = credentials.create_team([]).await.unwrap();
    device
        .notes()
        .store("kept")
        .tag("note")
        .owner(team.tag)
        .await
        .unwrap();
    credentials.destroy(team.tag).await.unwrap();
    let written = device.notes().store("no").tag("note").owner(team.tag).await;
    assert!(matches!(written, Err(StoreError::NotMember)), "{written:?}");
    let sealed = device
        .notes()
        .store("no")
        .tag("other")
        .seal_to([team.tag])
        .await;
    assert!(matches!(sealed, Err(StoreError::Audience(_))), "{sealed:?}");
    let changed = credentials.change_membership(team.tag).rotate().await;
    assert!(
        matches!(changed, Err(CredentialsError::Destroyed)),
        "{changed:?}"
    );
    assert_eq!(device.read("note", team.tag).await.as_deref(), Some("kept"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_item_without_team_records_is_unjudged_until_they_come() {
    let relay = relay().await;
    let (device, ann, _) = person(&relay).await;
    device.notes().store("milk").tag("shopping").await.unwrap();
    device.in_step().await;
    // A reader that keeps no teams in step.
    let storage = std::sync::Arc::new(flexstore::MemoryStorage::new());
    let transports = flexstore_transports::Transports::new();
    let reader = flexstore::Peer::connected(storage, transports).unwrap();
    let notes = reader
        .collection::<Mutable>("notes")
        .service(&relay.service)
        .open()
        .unwrap();
    timeout(SOON, notes.synchronized()).await.unwrap();
    let read = notes.retrieve("shopping").await;
    assert!(matches!(read, Err(RetrieveError::Unjudged(owner)) if owner == ann.tag));
    reader.credentials().synchronize(&relay.service).unwrap();
    timeout(SOON, reader.credentials().synchronized())
        .await
        .unwrap()
        .unwrap();
    let item = notes.retrieve("shopping").await.unwrap().unwrap();
    assert_eq!(item.text().unwrap(), "milk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stolen_device_had_written_can_be_signed_again() {
    let relay = relay().await;
    let (phone, ann, secret) = person(&relay).await;
    let notes = phone.notes();
    notes
        .store("a poem")
        .tag("poem")
        .seal_to([ann.tag])
        .await
        .unwrap();
    phone.in_step().await;
    let laptop = Device::new(&relay).await;
    let thief = phone.author();
    let back = laptop.peer.credentials();
    back.authorize_author(ann, &secret)
        .stolen(thief, 0)
        .await
        .unwrap();
    laptop.reads("poem", ann.tag, None).await;
    let struck = laptop.notes().struck_off(thief).unwrap();
    assert_eq!(struck.len(), 1);
    let reason = laptop.peer.credentials().why_counts(&struck[0]).unwrap();
    assert_eq!(reason.standing, Standing::Void);
    assert!(reason.chain[0].removed.is_some());
    let again = struck[0].text().unwrap().to_owned();
    let notes = laptop.notes();
    notes
        .store(again)
        .tag(struck[0].tag())
        .seal_to([ann.tag])
        .await
        .unwrap();
    assert_eq!(
        laptop.read("poem", ann.tag).await.as_deref(),
        Some("a poem")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stolen_phone_had_rightly_removed_stays_removed() {
    let relay = relay().await;
    let (phone, ann, secret) = person(&relay).await;
    let laptop = Device::new(&relay).await;
    let old = laptop.peer.credentials();
    let old = old.authorize_author(ann, &secret).await.unwrap();
    phone.keys_in_step().await;
    phone.lists_with(ann.tag, old).await;
    let phones = phone.peer.credentials();
    phones
        .remove_device(ann.tag, old, None, None)
        .await
        .unwrap();
    phone.keys_in_step().await;
    let tablet = Device::new(&relay).await;
    let thief = phone.author();
    let back = tablet.peer.credentials();
    let new = back
        .authorize_author(ann, &secret)
        .stolen(thief, 0)
        .await
        .unwrap();
    let team = back.team(ann.tag).unwrap().unwrap();
    assert!(!team.members().contains(&old) && !team.members().contains(&thief));
    assert_eq!(team.members().last(), Some(&new));
    // Nor does it come back with the next change.
    let device = back.create_device().await.unwrap();
    back.change_membership(ann.tag).add(device).await.unwrap();
    let team = back.team(ann.tag).unwrap().unwrap();
    assert_eq!(
        team.members().len(),
        3,
        "the words, the tablet and the new device"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_stolen_phone_had_rightly_removed_from_a_team_stays_removed() {
    let relay = relay().await;
    let (phone, ann, secret) = person(&relay).await;
    let (_bens, ben, _) = person(&relay).await;
    phone.keys_in_step().await;
    let phones = phone.peer.credentials();
    let team = phones.create_team([ben.tag]).await.unwrap().tag;
    phones
        .change_membership(team)
        .remove(ben.tag)
        .await
        .unwrap();
    phone.keys_in_step().await;
    let tablet = Device::new(&relay).await;
    let thief = phone.author();
    let back = tablet.peer.credentials();
    back.authorize_author(ann, &secret)
        .stolen(thief, 0)
        .await
        .unwrap();
    let now = back.team(team).unwrap().unwrap();
    assert_eq!(now.members(), [ann.tag]);
    assert!(!now.leaves().contains(&thief));
    assert_eq!(now.records().len(), 3, "a new key, by the tablet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_were_changed_with_the_old_ones_open_nothing_any_more() {
    let relay = relay().await;
    let (phone, ann, old) = person(&relay).await;
    let (_, new) = words();
    let credentials = phone.peer.credentials();
    credentials
        .change_recovery(ann.tag, &new, Some(&old))
        .await
        .unwrap();
    phone.in_step().await;
    let name = credentials.team(ann.tag).unwrap().unwrap().name().unwrap();
    assert_ne!(name, ann, "the name to give to others pins the change");
    let tablet = Device::new(&relay).await;
    let refused = tablet.peer.credentials().authorize_author(name, &old).await;
    assert!(
        matches!(refused, Err(CredentialsError::NotRecovered(_))),
        "{refused:?}"
    );
    let device = tablet
        .peer
        .credentials()
        .authorize_author(name, &new)
        .await
        .unwrap();
    tablet.lists_with(ann.tag, device).await;
    phone.keys_in_step().await;
    phone.lists_with(ann.tag, device).await;
}
