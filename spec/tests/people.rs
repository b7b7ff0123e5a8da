//! People with several devices, teams of people, removals and recoveries: what apps see, over
//! real sockets and a relay.

#![allow(clippy::unwrap_used)] // a test

mod support;

use flexstore::{
    CredentialsError, Immutable, Mutable, Readers, Standing, StoreError, TeamEvent, Versioned,
};
use futures_util::StreamExt as _;
use support::people::{Device, SOON, person, relay, words};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_has_two_devices_and_loses_one() {
    let relay = relay().await;
    let (phone, ann, secret) = person(&relay).await;
    let notes = phone.in_step().await;
    notes
        .store("milk")
        .tag("shopping")
        .seal_to([ann.tag])
        .await
        .unwrap();
    phone.in_step().await;

    let laptop = Device::new(&relay).await;
    let (_, wrong) = words();
    let refused = laptop
        .peer
        .credentials()
        .authorize_author(ann, &wrong)
        .await;
    assert!(
        matches!(refused, Err(CredentialsError::NotRecovered(_))),
        "{refused:?}"
    );
    let credentials = laptop.peer.credentials();
    let device = credentials.authorize_author(ann, &secret).await.unwrap();
    assert_eq!(laptop.author(), device);
    laptop.reads("shopping", ann.tag, Some("milk")).await;
    laptop
        .notes()
        .store("bread")
        .tag("shopping")
        .seal_to([ann.tag])
        .await
        .unwrap();
    laptop.in_step().await;
    phone.reads("shopping", ann.tag, Some("bread")).await;

    // The phone is lost: from now on it reads nothing newer and writes nothing that counts.
    let lost = phone.author();
    laptop
        .peer
        .credentials()
        .remove_device(ann.tag, lost, None, Some(&secret))
        .await
        .unwrap();
    laptop
        .notes()
        .store("wine")
        .tag("shopping")
        .seal_to([ann.tag])
        .await
        .unwrap();
    laptop.in_step().await;
    phone.reads("shopping", ann.tag, Some("closed")).await;
    let written = phone.notes().store("beer").tag("shopping").await;
    assert!(matches!(written, Err(StoreError::NotMember)), "{written:?}");
    laptop.reads("shopping", ann.tag, Some("wine")).await;

    let item = laptop.notes().retrieve("shopping").await.unwrap().unwrap();
    let reason = laptop.peer.credentials().why_counts(&item).unwrap();
    assert_eq!(reason.standing, Standing::Counts);
    assert_eq!(reason.chain.len(), 1);
    assert_eq!(reason.chain[0].member, device);
    let Readers::Keys(readers) = laptop.peer.credentials().who_can_read(&item).unwrap() else {
        panic!("sealed");
    };
    assert!(readers.contains_key(&device) && !readers.contains_key(&lost));
    assert_eq!(readers.len(), 2, "laptop and recovery key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stolen_phone_deleted_comes_back() {
    let relay = relay().await;
    let (phone, ann, secret) = person(&relay).await;
    let laptop = Device::new(&relay).await;
    laptop
        .peer
        .credentials()
        .authorize_author(ann, &secret)
        .await
        .unwrap();
    let photos = |device: &Device| {
        let open = device.peer.collection::<Immutable>("photos");
        open.service(&device.service).open().unwrap()
    };
    let pages = |device: &Device| {
        let open = device.peer.collection::<Versioned>("pages");
        open.service(&device.service).open().unwrap()
    };
    let notes = laptop.in_step().await;
    notes.store("keep").tag("note").await.unwrap();
    let photo = photos(&laptop).store("a photo").await.unwrap();
    let page = pages(&laptop).store("one").await.unwrap();
    pages(&laptop).store("two").tag(&page).await.unwrap();
    for device in [&laptop, &phone] {
        device.in_step().await;
        photos(device).synchronized().await;
        pages(device).synchronized().await;
    }
    // The thief deletes everything, and takes every other device and the recovery key off the list.
    phone.reads("note", ann.tag, Some("keep")).await;
    phone.notes().remove("note").await.unwrap();
    photos(&phone).remove(&photo).await.unwrap();
    pages(&phone).remove(&page).await.unwrap();
    let team = phone.peer.credentials().team(ann.tag).unwrap().unwrap();
    let mut coup = phone.peer.credentials().change_membership(ann.tag);
    for member in team
        .members()
        .iter()
        .filter(|member| **member != phone.author())
    {
        coup = coup.remove(*member);
    }
    coup.await.unwrap();
    phone.in_step().await;
    photos(&phone).synchronized().await;
    pages(&phone).synchronized().await;
    laptop.reads("note", ann.tag, None).await;

    // On a third device, by the words: the phone is struck off from the first moment.
    let tablet = Device::new(&relay).await;
    let thief = phone.author();
    let credentials = tablet.peer.credentials();
    credentials
        .authorize_author(ann, &secret)
        .stolen(thief, 0)
        .await
        .unwrap();
    for device in [&tablet, &laptop] {
        device.reads("note", ann.tag, Some("keep")).await;
        photos(device).synchronized().await;
        pages(device).synchronized().await;
        let there = photos(device).retrieve(&photo).await.unwrap();
        assert_eq!(there.unwrap().text().unwrap(), "a photo");
        let there = pages(device).retrieve(&page).owner(ann.tag).await.unwrap();
        assert_eq!(there.unwrap().text().unwrap(), "two");
    }
    let written = phone.in_step().await.store("mine").tag("note").await;
    assert!(matches!(written, Err(StoreError::NotMember)), "{written:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_of_people_changes_and_keeps_its_name() {
    let relay = relay().await;
    let (anns, ann, _) = person(&relay).await;
    let (bens, ben, _) = person(&relay).await;
    let (cyds, cyd, _) = person(&relay).await;
    for device in [&anns, &bens, &cyds] {
        device.keys_in_step().await;
    }
    let mut events = bens.peer.credentials().events();
    let team = anns
        .peer
        .credentials()
        .create_team([ben.tag])
        .await
        .unwrap();
    anns.notes()
        .store("first")
        .tag("plan")
        .owner(team.tag)
        .seal_to([team.tag])
        .await
        .unwrap();
    anns.in_step().await;
    bens.reads("plan", team.tag, Some("first")).await;
    cyds.reads("plan", team.tag, Some("closed")).await;
    let told = timeout(SOON, async {
        loop {
            if let Some(Ok(TeamEvent::Changed {
                team: which, added, ..
            })) = events.next().await
                && which == team.tag
            {
                break added;
            }
        }
    });
    assert_eq!(told.await.unwrap().len(), 2);

    // Ben writes for the team, over what Ann wrote; Cyd joins and reads what was before.
    bens.notes()
        .store("second")
        .tag("plan")
        .owner(team.tag)
        .seal_to([team.tag])
        .await
        .unwrap();
    bens.in_step().await;
    anns.reads("plan", team.tag, Some("second")).await;
    bens.peer
        .credentials()
        .change_membership(team.tag)
        .add(cyd.tag)
        .await
        .unwrap();
    bens.keys_in_step().await;
    cyds.reads("plan", team.tag, Some("second")).await;

    // Ben is removed: reads and writes nothing newer, and the name stays.
    anns.in_step().await;
    anns.peer
        .credentials()
        .change_membership(team.tag)
        .remove(ben.tag)
        .await
        .unwrap();
    anns.notes()
        .store("third")
        .tag("plan")
        .owner(team.tag)
        .seal_to([team.tag])
        .await
        .unwrap();
    anns.in_step().await;
    cyds.reads("plan", team.tag, Some("third")).await;
    bens.reads("plan", team.tag, Some("closed")).await;
    let written = bens.notes().store("no").tag("plan").owner(team.tag).await;
    assert!(matches!(written, Err(StoreError::NotMember)), "{written:?}");
    let again = bens
        .peer
        .credentials()
        .change_membership(team.tag)
        .add(ben.tag)
        .await;
    assert!(
        matches!(
            again,
            Err(CredentialsError::DidNotStick(_) | CredentialsError::NotMember)
        ),
        "{again:?}"
    );
    bens.keys_in_step().await;
    anns.keys_in_step().await;
    let members = anns.peer.credentials().team(team.tag).unwrap().unwrap();
    assert_eq!(members.members(), [ann.tag, cyd.tag]);
}

/// Whoever was removed may have written a change of their own, which lost. It must not win when
/// the device that had removed them is lost, and so is senior to nobody any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_outlives_the_device_that_signed_it() {
    for alone in [false, true] {
        let relay = relay().await;
        let (phone, ann, secret) = person(&relay).await;
        let laptop = Device::new(&relay).await;
        let credentials = laptop.peer.credentials();
        credentials.authorize_author(ann, &secret).await.unwrap();
        let (bens, ben, _) = person(&relay).await;
        for device in [&phone, &laptop] {
            device.keys_in_step().await;
        }
        let team = phone.peer.credentials().create_team([ben.tag]).await;
        let team = team.unwrap().tag;
        phone.keys_in_step().await;
        for device in [&laptop, &bens] {
            device.lists(team, &[ann.tag, ben.tag]).await;
        }
        // Ben has not heard of it yet when he writes his.
        bens.cut().await;
        let credentials = laptop.peer.credentials();
        let removal = credentials.change_membership(team).remove(ben.tag).await;
        removal.unwrap();
        laptop.keys_in_step().await;
        let his = bens.peer.credentials();
        let his = his.change_membership(team).rotate();
        let his = if alone { his.remove(ann.tag) } else { his };
        his.await.unwrap();
        bens.mend();
        bens.keys_in_step().await;
        bens.lists(team, &[ann.tag]).await;
        let wait = async {
            let known = || phone.peer.credentials().team(team).unwrap().unwrap();
            while known().judgement().sidelined().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, wait).await.unwrap();

        phone
            .peer
            .credentials()
            .remove_device(ann.tag, laptop.author(), None, Some(&secret))
            .await
            .unwrap();
        phone.lists(team, &[ann.tag]).await;
        let notes = phone.in_step().await;
        let store = notes.store("newer").tag("plan").owner(team);
        store.seal_to([team]).await.unwrap();
        phone.in_step().await;
        bens.reads("plan", team, Some("closed")).await;
        bens.lists(team, &[ann.tag]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_claimed_once() {
    let relay = relay().await;
    let (anns, ann, _) = person(&relay).await;
    let invitation = anns.peer.credentials().create_invitation().await.unwrap();
    let person = invitation.name;
    anns.notes()
        .store("welcome")
        .tag("letter")
        .seal_to([person.tag])
        .await
        .unwrap();
    anns.in_step().await;

    let bens = Device::new(&relay).await;
    let (_, secret) = words();
    let credentials = bens.peer.credentials();
    let claimed = credentials
        .claim_invitation(&person, &invitation.words, &secret)
        .await
        .unwrap();
    assert_eq!(claimed.tag, person.tag);
    assert_ne!(claimed.record, person.record);
    bens.reads("letter", ann.tag, Some("welcome")).await;
    bens.notes().store("thanks").tag("answer").await.unwrap();
    bens.in_step().await;
    anns.reads("answer", person.tag, Some("thanks")).await;

    // He goes on as any other: a further device, by his own words.
    let second = Device::new(&relay).await;
    let credentials = second.peer.credentials();
    let laptop = credentials
        .authorize_author(claimed, &secret)
        .await
        .unwrap();
    bens.lists_with(person.tag, laptop).await;
    let team = credentials.team(person.tag).unwrap().unwrap();
    assert_eq!((team.members().len(), team.records().len()), (3, 3));

    // Whoever has seen the words comes too late.
    let eves = Device::new(&relay).await;
    let (_, secret) = words();
    let late = eves.peer.credentials();
    let late = late
        .claim_invitation(&person, &invitation.words, &secret)
        .await;
    assert!(
        matches!(
            late,
            Err(CredentialsError::NoInvitation | CredentialsError::NotRecovered(_))
        ),
        "{late:?}"
    );
    // Nor do words of her own help.
    let other = Device::new(&relay).await;
    other
        .peer
        .credentials()
        .authorize_author(claimed, &secret)
        .await
        .unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_recovery_leaves_no_wrapped_key_anywhere() {
    let relay = relay().await;
    let device = Device::new(&relay).await;
    let credentials = device.peer.credentials();
    let me = credentials.create_author_without_recovery().await.unwrap();
    device
        .notes()
        .store("mine")
        .tag("note")
        .seal_to([me.tag])
        .await
        .unwrap();
    device.reads("note", me.tag, Some("mine")).await;
    let recoveries = device
        .peer
        .collection::<Mutable>("KeyRecovery")
        .open()
        .unwrap();
    assert_eq!(recoveries.list().unwrap(), []);
}
