//! Somebody who was not asked: first with the library as it is, then with tools of their own.

mod hand;

use flexstore::{ContentError, Mutable, StoreError};
use serde_json::{Value, json};

use crate::Result;
use crate::report::Report;
use crate::stage::{CITIES, Person, Place, Stage, Way, connect, for_each, read_all, until};
use crate::terminal::grouped;
use hand::{Answer, Hand};

/// Of so many of Alice's cities a forgery is made, at most.
const FORGED: usize = 100;

pub(crate) async fn play(stage: &Stage, place: &Place, report: &mut Report) -> Result<()> {
    report.begin(
        "A stranger reads and writes nothing",
        "Mallory, with keys of her own, learns the name of the collection and of everything in \
         it, and connects to the same relay. It serves her: it does not know who may read.",
    );
    let mallory = Person::arrive(&place.of("mallory"), &stage.service).await?;
    let loot = mallory.peer.collection::<Mutable>(CITIES).open()?;
    let (got, bytes, took) =
        connect("the relay to Mallory", &loot, &stage.service, Way::Down).await?;
    report.figure("the relay to Mallory", got, took, Some(bytes));
    let read = for_each("Mallory tries to open", &stage.tags, |tag| {
        let (loot, tag) = (loot.clone(), tag.clone());
        async move {
            let item = loot.retrieve(tag).await?.ok_or("it did not come")?;
            Ok(item.is_open() || item.bytes() != Err(ContentError::Closed))
        }
    })
    .await?;
    let opened = read.iter().filter(|opened| **opened).count();
    report.check(
        opened == 0 && read.len() as u64 == got,
        &format!(
            "of the {} records that she got she can open {opened}",
            grouped(got)
        ),
    );

    let alone = loot
        .store("mine")
        .tag(&stage.tags[0])
        .author(stage.alice.tag)
        .await;
    report.check(
        matches!(alone, Err(StoreError::NoKeys)),
        "she cannot sign as Alice: she does not have that key",
    );
    forge(stage, &mallory, report).await?;
    tamper(stage, report).await?;
    mallory.peer.close().await;
    Ok(())
}

/// Mallory writes and deletes under Alice's tags, as herself.
async fn forge(stage: &Stage, mallory: &Person, report: &mut Report) -> Result<()> {
    let loot = mallory.peer.collection::<Mutable>(CITIES).open()?;
    let forged = &stage.tags[..stage.tags.len().min(FORGED)];
    for tag in forged {
        let lie = json!({"name": "Atlantis"});
        loot.store(lie).tag(tag).seal_to([stage.alice.tag]).await?;
    }
    // Of the first half she also deletes again what is there.
    for tag in &forged[..forged.len() / 2] {
        loot.remove(tag).await?;
    }
    let (alice, bob) = (&stage.cities_of_alice, &stage.cities_of_bob);
    until("the forgeries and deletions to reach Alice", async || {
        let mut standing = 0;
        for tag in forged {
            standing += usize::from(alice.signers(tag)?.contains(&mallory.tag));
        }
        Ok(standing == forged.len() - forged.len() / 2)
    })
    .await?;
    // Once Bob has compared with the relay again, he was offered all of them.
    bob.disconnect(&stage.service).await;
    connect("the relay to Bob", bob, &stage.service, Way::Down).await?;

    let hers = read_all("Alice looks", alice, &stage.tags).await?;
    let his = read_all("Bob looks", bob, &stage.tags).await?;
    let intact = |read: &[Option<Value>]| {
        let pairs = read.iter().zip(&stage.cities);
        pairs
            .filter(|(read, city)| read.as_ref() == Some(*city))
            .count()
    };
    let all = stage.cities.len();
    report.check(
        intact(&hers) == all && intact(&his) == all,
        &format!(
            "{} forgeries and {} deletions later, Alice and Bob still read all {} of her cities",
            forged.len(),
            forged.len() / 2,
            grouped(all as u64)
        ),
    );
    let mut entered = 0;
    for tag in forged {
        let signers = bob.signers(tag)?;
        entered += signers
            .iter()
            .filter(|signer| **signer != stage.alice.tag)
            .count();
    }
    report.check(
        entered == 0,
        "Bob, who set a policy to admit only what is Alice's, did not even store them",
    );
    Ok(())
}

/// Somebody with the wire format and no scruples.
async fn tamper(stage: &Stage, report: &mut Report) -> Result<()> {
    let (alice, tag) = (&stage.cities_of_alice, &stage.tags[0]);
    let item = alice.retrieve(tag).await?.ok_or("a city is gone")?;
    let genuine = item.record();
    let hand = Hand::new(&stage.service);
    let id = alice.id();
    for (record, place, what) in [
        (
            hand::changed(genuine),
            id.clone(),
            "with one letter changed",
        ),
        (
            hand.signature_swapped(genuine)?,
            id.clone(),
            "under another signature",
        ),
        (
            genuine.text().to_vec(),
            hand::elsewhere()?,
            "moved to another collection",
        ),
    ] {
        let answer = hand.send(place, record).await?;
        let expected = answer == Answer::ClosedAsBad;
        report.check(
            expected,
            &format!("a record of Alice's {what}: the relay hangs up on it"),
        );
        if !expected {
            report.say(&format!("it said: {answer:?}"));
        }
    }
    let stolen = hand.signed_anew(genuine)?;
    let accepted = hand.send(id.clone(), stolen).await? == Answer::Taken;
    until("the stolen record to reach Alice", async || {
        Ok(alice.signers(tag)?.contains(&hand.tag()))
    })
    .await?;
    let stolen = alice
        .retrieve(tag)
        .owner(hand.tag())
        .await?
        .ok_or("it is not there")?;
    let opens = !matches!(stolen.bytes(), Err(ContentError::DoesNotOpen(_)));
    let shown = alice
        .retrieve(tag)
        .await?
        .is_some_and(|item| item.digest() == genuine.digest());
    report.check(
        accepted && !opens && shown,
        "Alice's sealed text, signed anew by a stranger: it is kept as the stranger's own, does \
         not replace hers, and does not open, because the seal too says whose it is",
    );
    Ok(())
}
