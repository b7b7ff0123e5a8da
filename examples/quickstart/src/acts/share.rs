//! Alice has records that only she and Bob can read; Bob gets them through the relay.

use std::time::Instant;

use serde_json::Value;

use crate::Result;
use crate::report::Report;
use crate::stage::{Stage, Way, connect, read_all, store_all};
use crate::terminal::grouped;

pub(crate) async fn play(stage: &mut Stage, report: &mut Report) -> Result<()> {
    report.begin(
        "Shared, sealed, through a relay",
        "Alice stores every city, sealed for Bob and herself. She is offline: each is acknowledged \
         when her own disk has it. Then she connects to the relay, and then Bob does.",
    );
    let (alice, bob) = (&stage.cities_of_alice, &stage.cities_of_bob);
    let count = stage.cities.len() as u64;

    let began = Instant::now();
    let label = "Alice seals, signs and stores";
    let tags = store_all(label, alice, &stage.cities, stage.both()).await?;
    report.figure(label, count, began.elapsed(), None);

    let (up, bytes, took) = connect("Alice to the relay", alice, &stage.service, Way::Up).await?;
    report.figure("Alice to the relay, durable there", up, took, Some(bytes));
    let (down, bytes, took) = connect("the relay to Bob", bob, &stage.service, Way::Down).await?;
    report.figure("the relay to Bob, durable there", down, took, Some(bytes));

    let began = Instant::now();
    let label = "Bob opens and compares";
    let read = read_all(label, bob, &tags).await?;
    let equal = read
        .iter()
        .zip(&stage.cities)
        .filter(|(read, city)| read.as_ref() == Some(*city))
        .count() as u64;
    report.figure(label, count, began.elapsed(), None);
    let listed = bob.list()?.len() as u64;
    report.check(
        equal == count && listed == count,
        &format!(
            "Bob read {} of {} cities, each as Alice wrote it",
            grouped(equal),
            grouped(count)
        ),
    );

    let (mut signed, mut hidden) = (0, 0);
    for tag in &tags {
        let item = bob.retrieve(tag).sealed().await?.ok_or("a city is gone")?;
        signed += u64::from(item.author() == stage.alice.tag && item.audience().len() == 2);
        hidden += u64::from(is_hidden(item.record().payload())?);
    }
    report.check(
        signed == count,
        &format!(
            "{} are signed by Alice and sealed for two readers",
            grouped(signed)
        ),
    );
    report.check(
        hidden == count,
        &format!(
            "{} are ciphertext in the form in which the relay has them",
            grouped(hidden)
        ),
    );
    stage.tags = tags;
    Ok(())
}

/// Whether a payload, as it is stored and sent, is encrypted (JWE, RFC 7516) and shows nothing of a
/// city, each of which has a member `name`.
fn is_hidden(payload: &[u8]) -> Result<bool> {
    let envelope: Value = serde_json::from_slice(payload)?;
    let text = envelope["ciphertext"].as_str().ok_or("not a JWE")?;
    let ciphertext = flexstore_core::decode_base64url(text.as_bytes()).ok_or("not a JWE")?;
    let word = b"\"name\"";
    Ok(!ciphertext.windows(word.len()).any(|window| window == word))
}
