//! A ciphertext that A256GCM opens under two keys ("invisible salamander"; Dodis, Grubbs,
//! Ristenpart, Woodage 2018): the commitment refuses the second.
#![allow(clippy::unwrap_used)]

mod seal_support;

use flexstore::seal::OpenError;
use flexstore_core::{Digest, decode_base64url, encode_base64url};
use josekit::jwe::JweContentEncryption as _;
use josekit::jwe::enc::A256GCM;
use seal_support::*;
use serde_json::{Value, json};

/// The product in the field of GHASH (NIST SP 800-38D §6.3).
fn times(x: u128, y: u128) -> u128 {
    let (mut z, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            z ^= v;
        }
        v = (v >> 1) ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    z
}

/// x^(2^128 - 2).
fn inverse(x: u128) -> u128 {
    let (mut power, mut result) = (x, 1 << 127);
    for _ in 1..128 {
        power = times(power, power);
        result = times(result, power);
    }
    result
}

fn gcm(key: &[u8; 32], iv: &[u8], text: &[u8], aad: &[u8]) -> (Vec<u8>, u128) {
    let (out, tag) = A256GCM.encrypt(key, Some(iv), text, aad).unwrap();
    (out, u128::from_be_bytes(tag.unwrap().try_into().unwrap()))
}

/// The tag of this ciphertext under a key.
fn tag_of(key: &[u8; 32], iv: &[u8], ciphertext: &[u8], aad: &[u8]) -> u128 {
    let (plaintext, _) = gcm(key, iv, ciphertext, aad); // counter mode is its own inverse
    let (again, tag) = gcm(key, iv, &plaintext, aad);
    assert_eq!(again, ciphertext);
    tag
}

/// The hash key: a tag over one zero block of additional data is L * H + E, over nothing E.
fn hash_key(key: &[u8; 32], iv: &[u8]) -> u128 {
    let (_, mask) = gcm(key, iv, b"", b"");
    let (_, tag) = gcm(key, iv, b"", &[0; 16]);
    times(tag ^ mask, inverse(128 << 64))
}

#[test]
fn a_ciphertext_for_two_keys_opens_under_one() {
    let (first, second) = ([1; 32], [3; 32]);
    let iv = [5; 12];
    let wrapped = [(1, first), (2, second)].map(|(n, cek)| {
        let (epk, key) = Chosen::new(&secret(n).public(), cek).wrap();
        (n, epk, key)
    });
    let mut bytes = b"flexstore/recipients".to_vec();
    for (n, epk, key) in &wrapped {
        bytes.push(43);
        bytes.extend_from_slice(kid(*n).to_string().as_bytes());
        bytes.extend(decode_base64url(epk["x"].as_str().unwrap().as_bytes()).unwrap());
        bytes.extend_from_slice(key);
    }
    let mut header = shared_members(&first);
    header.insert("to".into(), Digest::of(&bytes).to_string().into());
    let protected = encode_base64url(Value::Object(header).to_string().as_bytes());
    let aad = protected.as_bytes();

    // The second block holds proper padding under either key in turn; the first makes the tags
    // equal: C1 * H^3 stands in both.
    for (committed, padded_for) in [(true, first), (false, second)] {
        let (stream, _) = gcm(&padded_for, &iv, &[0; 32], aad);
        let mut ciphertext = [0; 32];
        for (at, byte) in padded(&[7; 20])[16..].iter().enumerate() {
            ciphertext[16 + at] = stream[16 + at] ^ byte;
        }
        let cube = |key| {
            let hash = hash_key(key, &iv);
            times(hash, times(hash, hash))
        };
        let difference =
            tag_of(&first, &iv, &ciphertext, aad) ^ tag_of(&second, &iv, &ciphertext, aad);
        let block = times(difference, inverse(cube(&first) ^ cube(&second)));
        ciphertext[..16].copy_from_slice(&block.to_be_bytes());
        let tag = tag_of(&first, &iv, &ciphertext, aad);
        assert_eq!(tag, tag_of(&second, &iv, &ciphertext, aad));
        for key in [first, second] {
            let opened =
                A256GCM.decrypt(&key, Some(&iv), &ciphertext, aad, Some(&tag.to_be_bytes()));
            assert!(opened.is_ok(), "A256GCM opens it under both");
        }
        let recipients: Vec<_> = wrapped
            .iter()
            .map(|(n, epk, key)| {
                json!({
                    "header": {"alg": "ECDH-ES+A256KW", "epk": epk, "kid": kid(*n).to_string()},
                    "encrypted_key": encode_base64url(key),
                })
            })
            .collect();
        let jwe = json!({
            "protected": protected, "recipients": recipients, "iv": encode_base64url(&iv),
            "ciphertext": encode_base64url(&ciphertext), "tag": encode_base64url(&tag.to_be_bytes()),
        })
        .to_string();
        assert_eq!(open_as(1, &jwe).is_ok(), committed);
        assert_eq!(open_as(2, &jwe).unwrap_err(), OpenError::Failed);
    }
}
