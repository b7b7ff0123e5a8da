//! Alice has records that only she and Bob can read; Bob gets them through the relay.

use std::time::Instant;

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

    let item = bob.retrieve(&tags[0]).await?.ok_or("a city is gone")?;
    report.check(
        item.author() == stage.alice.tag && item.audience().len() == 2,
        "each says, under a signature, who wrote it: Alice",
    );
    // What the relay holds and hands out is this text.
    let text = String::from_utf8_lossy(item.record().text());
    let payload = String::from_utf8_lossy(item.record().payload());
    let name = stage.cities[0]["name"].as_str().unwrap_or_default();
    report.check(
        item.is_open() && !text.contains(name) && !payload.contains(name),
        &format!("the record of \"{name}\" as the relay has it holds no such words"),
    );
    stage.tags = tags;
    Ok(())
}
