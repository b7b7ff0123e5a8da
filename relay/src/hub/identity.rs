//! What a store is known by: random, made when it is first used, and kept in it.

use flexstore_core::SigningKey;
use flexstore_core::storage::{Batch, Storage, StorageError, Table};
use getrandom::SysRng;
use getrandom::rand_core::TryRng as _;

/// The replica id, by which others know the store again.
pub(super) fn replica(storage: &dyn Storage) -> Result<[u8; 16], StorageError> {
    kept(storage, b"replica")
}

/// The key with which lists of versions are signed for JavaScript clients.
pub(super) fn signer(storage: &dyn Storage) -> Result<SigningKey, StorageError> {
    Ok(SigningKey::from_seed(&kept(storage, b"signer")?))
}

/// Random bytes, such as nobody else has.
pub(super) fn random<const LEN: usize>() -> Result<[u8; LEN], StorageError> {
    let mut bytes = [0; LEN];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| StorageError::Engine(error.to_string().into()))?;
    Ok(bytes)
}

fn kept<const LEN: usize>(
    storage: &dyn Storage,
    name: &'static [u8],
) -> Result<[u8; LEN], StorageError> {
    if let Some(bytes) = storage.get(Table::Meta, name)? {
        return bytes[..].try_into().map_err(|_| StorageError::Damaged);
    }
    let bytes = random()?;
    let mut batch = Batch::new();
    batch.put(Table::Meta, name, bytes.to_vec());
    storage.submit(batch)?;
    Ok(bytes)
}
