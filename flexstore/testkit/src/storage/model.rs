//! A store against a plain map, under seeded random operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use flexstore_core::storage::{Batch, Storage, Table};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::conformance::{scan, submit};

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Runs `steps` operations; with `reopen`, now and then drops the store and opens it again.
pub(super) fn run(
    open: &mut dyn FnMut() -> Arc<dyn Storage>,
    seed: u64,
    steps: usize,
    reopen: bool,
) {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let mut model = Model::new();
    let mut store = open();
    for step in 0..steps {
        match random.below(100) {
            0..60 => {
                let mut batch = Batch::new();
                for _ in 0..=random.below(6) {
                    let (table, key) = (random.table(), random.key());
                    if random.below(3) == 0 {
                        batch.delete(table, key.clone());
                        model.remove(&(table, key));
                    } else {
                        let value = random.value();
                        batch.put(table, key.clone(), value.clone());
                        model.insert((table, key), value);
                    }
                }
                submit(&*store, batch);
            }
            60..85 => {
                let (table, key) = (random.table(), random.key());
                let found = store.get(table, &key).map(|value| value.map(Vec::from));
                assert_eq!(
                    found,
                    Ok(model.get(&(table, key)).cloned()),
                    "seed {seed}, step {step}"
                );
            }
            85..98 => {
                let (table, from, to) = (random.table(), random.key(), random.key());
                let expected: Vec<_> = model
                    .iter()
                    .filter(|((t, key), _)| *t == table && from <= *key && *key < to)
                    .map(|((_, key), value)| (key.clone(), value.clone()))
                    .collect();
                let found = scan(&*store, table, &from, &to);
                assert!(found == expected, "seed {seed}, step {step}");
            }
            _ if reopen => {
                drop(store);
                store = open();
            }
            _ => {}
        }
    }
    for ((table, key), value) in &model {
        let found = store.get(*table, key).map(|value| value.map(Vec::from));
        assert!(found.as_ref() == Ok(&Some(value.clone())), "seed {seed}");
    }
}

struct Random(ChaCha8Rng);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        // The bias is of no matter here.
        self.0.next_u32() % end
    }

    fn table(&mut self) -> Table {
        Table::ALL[self.below(4) as usize]
    }

    /// Few enough that they meet again, of lengths that make prefixes of one another.
    fn key(&mut self) -> Vec<u8> {
        let length = self.below(4);
        (0..length)
            .map(|_| [0, 1, 0x61, 0xfe, 0xff][self.below(5) as usize])
            .collect()
    }

    fn value(&mut self) -> Vec<u8> {
        let longest = [1, 20, 2_000, 40_000][self.below(4) as usize];
        let mut value = vec![0; self.below(longest) as usize];
        self.0.fill_bytes(&mut value);
        value
    }
}
