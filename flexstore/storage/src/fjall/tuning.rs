//! What fjall is told, and why.

use std::path::Path;

use fjall::config::{BlockSizePolicy, PartitioningPolicy, PinningPolicy};
use fjall::{Database, DatabaseBuilder, KeyspaceCreateOptions};
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

/// Memtables are small so that memory stays the same however many items there are. Index and
/// filter blocks are cut up and live in the cache like data, not beside it.
pub(super) fn keyspace(table: Table) -> KeyspaceCreateOptions {
    let (memtable, block) = match table {
        Table::Meta | Table::Resting => (4 << 20, 4 << 10),
        Table::Register => (8 << 20, 16 << 10),
        Table::Body => (16 << 20, 8 << 10),
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .data_block_size_policy(BlockSizePolicy::all(block))
        .index_block_partitioning_policy(PartitioningPolicy::all(true))
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(false))
        .filter_block_pinning_policy(PinningPolicy::all(false))
}
