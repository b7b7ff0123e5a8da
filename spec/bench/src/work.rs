//! What is stored, signed and sent: 1 KiB items, and collections full of them.

use std::sync::Arc;

use flexstore::{Collection, Mutable, Peer, Storage, Tag};
use flexstore_core::record::Draft;
use flexstore_core::{CollectionId, Kind, SigningKey, Verified};

use crate::Outcome;

/// The collection of every bench.
pub(crate) const NAME: &str = "bench";
/// 1 January 2025, in ms since 1970.
pub(crate) const THEN: u64 = 1_735_689_600_000;

/// A payload of 1 KiB.
pub(crate) fn text(n: usize) -> String {
    format!("{n:016}").repeat(64)
}

/// The name of an item.
pub(crate) fn tag(n: usize) -> String {
    format!("item {n:08}")
}

/// As an id.
pub(crate) fn id() -> Outcome<CollectionId> {
    Ok(CollectionId::new(Kind::Mutable, NAME)?)
}

/// Some authors.
pub(crate) fn authors(count: u8) -> Vec<SigningKey> {
    (0..count)
        .map(|n| SigningKey::from_seed(&[n + 1; 32]))
        .collect()
}

/// A plain, signed item.
pub(crate) fn record(n: usize, payload: &str, author: &SigningKey) -> Outcome<Verified> {
    let iat = THEN + n as u64;
    Ok(Draft::text(id()?, Tag::new(&tag(n))?, payload, iat).sign(author)?)
}

/// A peer without services, and its collection. The peer has keys.
pub(crate) async fn offline(storage: Arc<dyn Storage>) -> Outcome<(Peer, Collection<Mutable>)> {
    let peer = Peer::open(storage)?;
    peer.credentials().create_device().await?;
    let items = peer.collection::<Mutable>(NAME).open()?;
    Ok((peer, items))
}

/// Stores the items of a range, by many writers at once; each waits until its item is durable.
pub(crate) async fn fill(
    items: &Collection<Mutable>,
    range: std::ops::Range<usize>,
    writers: usize,
) -> Outcome {
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let items = items.clone();
        let mine = range.clone().skip(writer).step_by(writers);
        tasks.push(tokio::spawn(async move {
            for n in mine {
                items.store(text(n)).tag(tag(n)).await?;
            }
            Ok::<(), flexstore::StoreError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The numbers below `count` in an order that has none.
pub(crate) fn shuffled(count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.swap(at, (state % (at as u64 + 1)) as usize);
    }
    all
}

/// A runtime as an app has it, with a worker for each of two cores.
pub(crate) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}
