//! Argon2id (RFC 9106), version 1.3, by the crate `argon2`: from a secret to a key of A256GCM.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use crate::seal::direct::ContentKey;

/// Length of a salt, in bytes (RFC 9106 §3.1 recommends 16).
pub(crate) const SALT_BYTES: usize = 16;

/// What one derivation costs. A value of this type is within the floor and the ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Which part of a cost is below the floor or above the ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// `m`, the memory in KiB.
    #[error("Argon2id memory out of bounds")]
    Memory,
    /// `t`, the passes.
    #[error("Argon2id passes out of bounds")]
    Passes,
    /// `p`, the lanes.
    #[error("Argon2id lanes out of bounds")]
    Lanes,
}

impl Cost {
    /// The floor, and what is used unless the app asks for more: the second recommended option of
    /// RFC 9106 §4 (64 MiB, 3 passes, 4 lanes). Nothing cheaper was ever written, so nothing
    /// cheaper is read: no text can talk a reader into a weaker derivation.
    pub const MIN: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };

    /// What a vault takes: 64 MiB, 7 passes, 4 lanes, so that one guess at its passphrase costs a
    /// thief who has the file at least 200 ms of a core like those of 2025.
    pub const VAULT: Self = Self {
        memory_kib: 64 << 10,
        passes: 7,
        lanes: 4,
    };

    /// The ceiling: 256 MiB, 10 passes, 8 lanes. A stranger's text costs a reader at most some
    /// thirteen times the usual work, and memory that a phone can give.
    pub const MAX: Self = Self {
        memory_kib: 256 << 10,
        passes: 10,
        lanes: 8,
    };

    /// A cost of `memory_kib` KiB (`m`), `passes` (`t`) and `lanes` (`p`), each from [`Cost::MIN`]
    /// to [`Cost::MAX`] inclusive.
    ///
    /// # Errors
    /// [`CostError`] names the first that is out of bounds.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        const fn within(value: u32, min: u32, max: u32) -> bool {
            min <= value && value <= max
        }
        if !within(memory_kib, Self::MIN.memory_kib, Self::MAX.memory_kib) {
            Err(CostError::Memory)
        } else if !within(passes, Self::MIN.passes, Self::MAX.passes) {
            Err(CostError::Passes)
        } else if !within(lanes, Self::MIN.lanes, Self::MAX.lanes) {
            Err(CostError::Lanes)
        } else {
            Ok(Self {
                memory_kib,
                passes,
                lanes,
            })
        }
    }

    /// `m`: memory in KiB.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// `t`: passes over the memory.
    #[must_use]
    pub const fn passes(&self) -> u32 {
        self.passes
    }

    /// `p`: lanes.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }
}

/// [`Cost::MIN`].
impl Default for Cost {
    fn default() -> Self {
        Self::MIN
    }
}

/// The system has not the memory that the derivation takes.
#[derive(Debug)]
pub(crate) struct NoMemory;

/// Derives 32 bytes. The working memory is wiped: its last blocks give the key away.
pub(crate) fn derive(
    input: &[u8],
    salt: &[u8; SALT_BYTES],
    cost: Cost,
) -> Result<ContentKey, NoMemory> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len()));
    let params = params.map_err(|_| NoMemory)?;
    let blocks = params.block_count();
    // Asked for, since a plain `vec!` would end the process on a device that has it not.
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| NoMemory)?;
    memory.resize(blocks, Block::new());
    // A boxed slice is wiped by words; a vector also byte by byte, which takes longer than Argon2.
    let mut memory = Zeroizing::new(memory.into_boxed_slice());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(input, salt, &mut *key, &mut **memory)
        .map_err(|_| NoMemory)?;
    Ok(key)
}
