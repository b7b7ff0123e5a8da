//! What fjall is told, and why.

use std::path::Path;

use fjall::config::{BlockSizePolicy, PartitioningPolicy, PinningPolicy};
use fjall::{Database, DatabaseBuilder, KeyspaceCreateOptions, KvSeparationOptions};
use flexstore_core::storage::Table;

use crate::open::Options;

/// The least that fjall works with; less and every read of a block goes to the system.
const LEAST_CACHE: u64 = 64 << 10;

/// fjall's own least. A journal can go only when every table in it has been written out, so one
/// that is seldom written keeps all journals up to this size; and what is kept is replayed after
/// a kill.
const JOURNALS: u64 = 64 << 20;

pub(super) fn database(dir: &Path, options: &Options) -> DatabaseBuilder<Database> {
    Database::builder(dir)
        .cache_size(options.cache_bytes.max(LEAST_CACHE))
        .max_journaling_size(JOURNALS)
}

pub(super) const fn name(table: Table) -> &'static str {
    match table {
        Table::Meta => "meta",
        Table::Register => "register",
        Table::Body => "body",
        Table::Resting => "resting",
    }
}

/// Values from this size on are kept apart from their keys, in files that compaction leaves alone.
const APART: u32 = 512;

/// The size at which a memtable is written out. Up to four of a table are in memory while the disk
/// is slower than the writers.
pub(super) const fn memtable(table: Table) -> u64 {
    match table {
        Table::Meta | Table::Resting => 2 << 20,
        Table::Register => 4 << 20,
        Table::Body => 8 << 20,
    }
}

/// What memory holds must not grow with the number of items, so index and filter blocks are cut up
/// and live in the cache like data instead of being pinned beside it.
///
/// Bodies are apart from their keys: 300,000 records of 1.6 KiB were written in 4 s instead of
/// 16 s, and a body read in 9 µs instead of 18 µs with the least cache. fjall does not fsync the
/// directory of those files; ext4, XFS and btrfs make a name durable with its file.
///
/// Rows of the register are read in long scans, so their blocks are larger: 100,000 rows in 22 ms
/// of processor time.
pub(super) fn keyspace(table: Table) -> KeyspaceCreateOptions {
    let block = if table == Table::Register {
        16 << 10
    } else {
        4 << 10
    };
    let apart =
        (table == Table::Body).then(|| KvSeparationOptions::default().separation_threshold(APART));
    KeyspaceCreateOptions::default()
        // Never reached: we ask for it ourselves.
        .max_memtable_size(2 * memtable(table))
        .with_kv_separation(apart)
        .data_block_size_policy(BlockSizePolicy::all(block))
        .index_block_partitioning_policy(PartitioningPolicy::all(true))
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(false))
        .filter_block_pinning_policy(PinningPolicy::all(false))
}
