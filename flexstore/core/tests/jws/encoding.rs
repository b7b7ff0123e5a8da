//! Attacks through base64url: every other spelling of a part, signed where the part is signed.

use flexstore_core::{decode_base64url, encode_base64url};

use crate::attack::{Outcomes, bases};
use crate::support::signature;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Spellings that lax decoders read as the same bytes, or as none.
fn spellings(part: &str) -> Vec<String> {
    let mut all: Vec<String> = ["=", "==", "===", "A", "\n", " ", "%3D", "~"]
        .iter()
        .flat_map(|tail| [format!("{part}{tail}"), format!("{tail}{part}")])
        .collect();
    if part.is_empty() {
        return all;
    }
    for at in [1, part.len() / 2, part.len() - 1] {
        for inside in ["\n", " ", "\r\n", "=", "\0"] {
            all.push(format!("{}{inside}{}", &part[..at], &part[at..]));
        }
    }
    all.push(part[..part.len() - 1].to_owned());
    all.push(String::new());
    for (from, to) in [('-', '+'), ('_', '/')] {
        if part.contains(from) {
            all.push(part.replacen(from, &to.to_string(), 1));
        }
    }
    // The unused bits of the last character.
    let last = part.as_bytes()[part.len() - 1];
    let value = ALPHABET.iter().position(|c| *c == last).unwrap();
    let unused = match part.len() % 4 {
        2 => 16,
        3 => 4,
        _ => 1,
    };
    for bits in 1..unused {
        let loose = char::from(ALPHABET[value + bits]);
        all.push(format!("{}{loose}", &part[..part.len() - 1]));
    }
    all
}

#[test]
fn base64url_has_one_spelling() {
    let mut out = Outcomes::default();
    for base in bases() {
        let protected: Vec<_> = base
            .headers
            .iter()
            .map(|h| encode_base64url(h.as_bytes()))
            .collect();
        let payload = encode_base64url(&base.payload);
        // Put together from spelt parts; signed over them as they are spelt.
        let build = |protected: &[String],
                     payload: &str,
                     respell: &dyn Fn(usize, String) -> String| {
            let signed: Vec<_> = protected
                .iter()
                .zip(base.seeds)
                .enumerate()
                .map(|(i, (part, seed))| {
                    let sig = signature(*seed, format!("{part}.{payload}").as_bytes());
                    respell(i, encode_base64url(&sig))
                })
                .collect();
            if signed.len() == 1 {
                return format!("{}.{payload}.{}", protected[0], signed[0]);
            }
            format!(
                r#"{{"signatures":[{{"signature":"{}","protected":"{}"}},{{"signature":"{}","protected":"{}"}}],"payload":"{payload}"}}"#,
                signed[0], protected[0], signed[1], protected[1],
            )
        };
        let same = |_: usize, sig: String| sig;
        assert_eq!(build(&protected, &payload, &same), base.text);
        // What spells other bytes canonically is another record, if its author signs it.
        let other = |text: &String| decode_base64url(text.as_bytes()).is_none();
        for spelling in spellings(&payload).into_iter().filter(other) {
            out.attack("payload", base.name, build(&protected, &spelling, &same));
        }
        for slot in 0..base.seeds.len() {
            for spelling in spellings(&protected[slot]) {
                let mut spelt = protected.clone();
                spelt[slot] = spelling;
                out.attack("protected", base.name, build(&spelt, &payload, &same));
            }
            let count = spellings(&encode_base64url(&[0xff; 64]))
                .len()
                .min(spellings(&encode_base64url(&[0; 64])).len());
            for i in 0..count {
                let text = build(&protected, &payload, &|at, sig| {
                    if at == slot {
                        spellings(&sig).swap_remove(i)
                    } else {
                        sig
                    }
                });
                out.attack("signature", base.name, text);
            }
        }
    }
    out.finish("record/base64url-attacks", "jws-base64url-attacks.json");
}

/// `s + L` is the same scalar: a second text of the same record, which anybody could make.
#[test]
fn s_is_canonical() {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut out = Outcomes::default();
    for base in bases() {
        for seed in base.seeds {
            let header = &base.headers[base.seeds.iter().position(|s| s == seed).unwrap()];
            let input = format!(
                "{}.{}",
                encode_base64url(header.as_bytes()),
                encode_base64url(&base.payload)
            );
            let good = signature(*seed, input.as_bytes());
            let mut loose = good;
            let mut carry = 0u16;
            for (byte, l) in loose[32..].iter_mut().zip(L) {
                let sum = u16::from(*byte) + u16::from(l) + carry;
                *byte = sum.to_le_bytes()[0];
                carry = sum >> 8;
            }
            let text = base
                .text
                .replace(&encode_base64url(&good), &encode_base64url(&loose));
            assert_ne!(text, base.text);
            out.attack("s + L", base.name, text);
        }
    }
    out.finish("record/scalar", "jws-scalar.json");
}
