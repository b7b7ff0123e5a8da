//! The one verdict on an Ed25519 signature, the same singly and in batch.
//!
//! The equation is the cofactored one of ZIP 215 with canonical `s`; keys of small order are
//! refused beforehand. Stricter or looser verifiers differ from one another on crafted signatures
//! and from their own batch mode, which would split replicas.

use ed25519_zebra::{Signature, VerificationKey, VerificationKeyBytes, batch};
use rand_core::CryptoRng;

use crate::KeyTag;

/// One signature to judge.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Who is said to have signed.
    pub key: &'a KeyTag,
    /// `R` and `s` (RFC 8032 §5.1.6).
    pub signature: &'a [u8; 64],
    /// What was signed.
    pub message: &'a [u8],
}

/// Encodings of `y` for which the point, whatever its sign bit, has an order of 1, 2, 4 or 8:
/// 0, 1, the two of order 8, p - 1, and the non-canonical p and p + 1. Little-endian.
const SMALL_ORDER_Y: [[u8; 32]; 7] = [
    y(0x00, 0x00, 0x00),
    y(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    y(0xec, 0xff, 0x7f),
    y(0xed, 0xff, 0x7f),
    y(0xee, 0xff, 0x7f),
];

const fn y(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

fn is_small_order(key: &KeyTag) -> bool {
    let mut bytes = *key.as_bytes();
    bytes[31] &= 0x7f;
    SMALL_ORDER_Y.contains(&bytes)
}

/// Whether one signature holds.
#[must_use]
pub fn verify(claim: &Claim<'_>) -> bool {
    !is_small_order(claim.key)
        && VerificationKey::try_from(*claim.key.as_bytes()).is_ok_and(|key| {
            key.verify(&Signature::from(*claim.signature), claim.message)
                .is_ok()
        })
}

/// Whether all signatures hold; the same verdict as [`verify`] of each, several times faster
/// where few keys signed many. The random numbers must be unpredictable to the signers.
#[must_use]
pub fn verify_all(claims: &[Claim<'_>], random: &mut impl CryptoRng) -> bool {
    // Below four, setting up the batch costs more than it saves.
    if claims.len() < 4 {
        return claims.iter().all(verify);
    }
    if claims.iter().any(|claim| is_small_order(claim.key)) {
        return false;
    }
    let mut verifier = batch::Verifier::new();
    for claim in claims {
        verifier.queue((
            VerificationKeyBytes::from(*claim.key.as_bytes()),
            Signature::from(*claim.signature),
            claim.message,
        ));
    }
    verifier.verify(random).is_ok()
}
