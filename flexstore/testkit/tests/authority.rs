//! Random histories of five devices, teams within teams, ex-members who kept all keys and a
//! hostile relay: every replica shows what the words of `spec/wire.md` 3 and 3.1 say of what it
//! received, as the [`model`](flexstore_testkit::model) has them.
//!
//! `HISTORIES` says how many (300), `SEED` from which seed on (1). A failing seed is printed and
//! replays alone with `HISTORIES=1 SEED=n`.

#![allow(clippy::unwrap_used, clippy::panic)] // a test

#[path = "authority/arrival.rs"]
mod arrival;
#[path = "authority/checks.rs"]
mod checks;
#[path = "authority/slices.rs"]
mod slices;
#[path = "authority/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::{Tally, World};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// From the first record to rest, twice: as the clocks are, and an hour later with all together.
fn history(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut world = World::new(seed);
    world.found(tally);
    let acts = 25 + world.network.below(30);
    for at in 0..acts {
        world.act(tally);
        for _ in 0..world.network.below(16) {
            world.network.step();
        }
        if at % 8 == 0 {
            world.nothing_displaced_comes_back()?;
        }
        if at == acts / 2 {
            world.rest()?;
            world.check_each(tally)?;
        }
    }
    world.connect_all();
    world.rest()?;
    world.check_each(tally)?;
    world.network.now += 3_600_000;
    world.start_again();
    world.connect_all();
    world.rest()?;
    world.check_each(tally)?;
    world.check_together(tally)?;
    // Once more from what the stores hold: nothing is left to do.
    world.start_again();
    world.connect_all();
    world.rest()?;
    world.check_together(tally)
}

#[test]
fn random_histories_show_what_the_words_say() {
    let (histories, seed) = (number("HISTORIES", 300), number("SEED", 1));
    let started = std::time::Instant::now();
    let next = AtomicU64::new(seed);
    let run = || {
        let mut tally = Tally::default();
        loop {
            let seed_now = next.fetch_add(1, Ordering::Relaxed);
            if seed_now >= seed + histories {
                return Ok(tally);
            }
            if let Err(what) = history(seed_now, &mut tally) {
                next.store(seed + histories, Ordering::Relaxed);
                return Err(format!("{what}; replay with HISTORIES=1 SEED={seed_now}"));
            }
        }
    };
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            match thread.join().unwrap() {
                Ok(one) => tally.add(&one),
                Err(what) => panic!("{what}"),
            }
        }
    });
    // Histories in which nothing happens would prove nothing.
    if histories >= 100 {
        for (what, count) in tally.all() {
            assert!(count > histories / 20, "{what} {count}: {tally:?}");
        }
    }
    let figures: Vec<String> = (tally.all().iter())
        .map(|(what, count)| format!("\"{what}\":{count}"))
        .collect();
    println!(
        "{{\"accept\":\"authority/histories\",\"figure\":{histories},\"unit\":\"histories\",\
         \"seed\":{seed},\"seconds\":{},{},\"differences\":0,\"held\":true}}",
        started.elapsed().as_secs(),
        figures.join(",")
    );
}
