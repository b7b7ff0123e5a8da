//! One verdict on every Ed25519 signature, alone or in company: CCTV, speccheck, Wycheproof.
//!
//! The rule is ZIP 215 (cofactored equation, `s` below the group order, any encoding of `R`) and
//! no key of small order. What it makes of each case is derived here and frozen in
//! `choices/verdict.json`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use flexstore_core::record::{Claim, Draft, Signed, verify, verify_all};
use flexstore_core::{CollectionId, KeyTag, Kind, Tag};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use support::{frozen, key, lines, list, read_json, report, signature, tell, text, unhex, vectors};

const BATCHES: usize = 1000;

/// Why the rule comes to its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Accepts,
    /// Accepted by ZIP 215 and listed as invalid by Wycheproof; see [`CONTRADICTED`].
    LooseR,
    SmallOrderKey,
    /// `s` is not below the group order, or the equation does not hold.
    DoesNotHold,
    /// Not 64 bytes; there is nothing to verify.
    Length,
}

struct Case {
    suite: &'static str,
    number: u64,
    class: Class,
    key: KeyTag,
    signature: Vec<u8>,
    message: Vec<u8>,
}

impl Case {
    fn claim(&self) -> Option<Claim<'_>> {
        Some(Claim {
            key: &self.key,
            signature: self.signature.as_slice().try_into().ok()?,
            message: &self.message,
        })
    }

    fn verdict(&self) -> bool {
        self.claim().is_some_and(|claim| verify(&claim))
    }
}

fn key_tag(bytes: &[u8]) -> KeyTag {
    KeyTag::from_bytes(bytes.try_into().unwrap())
}

/// ZIP 215 accepts every case of CCTV but those made with a re-encoded `k`, which is not the hash
/// of the bytes as sent; we also refuse those whose key is of small order.
fn cctv(folder: &Path) -> Vec<Case> {
    let all = read_json(&folder.join("cctv-ed25519/ed25519vectors.json"));
    let class = |flags: &serde_json::Value| {
        // "flags" is null where a case has none.
        let has = |flag: &str| {
            flags
                .as_array()
                .is_some_and(|all| all.iter().any(|f| f == flag))
        };
        if has("low_order_A") {
            Class::SmallOrderKey
        } else if has("reencoded_k") {
            Class::DoesNotHold
        } else {
            Class::Accepts
        }
    };
    let case = |case: &serde_json::Value| Case {
        suite: "cctv",
        number: case["number"].as_u64().unwrap(),
        class: class(&case["flags"]),
        key: key_tag(&unhex(&case["key"])),
        signature: unhex(&case["sig"]),
        message: text(&case["msg"]).into(),
    };
    list(&all).iter().map(case).collect()
}

/// The row "Zebra" of speccheck's results, less the small-order keys of cases 0, 1, 10 and 11.
fn speccheck(folder: &Path) -> Vec<Case> {
    use Class::{Accepts as A, DoesNotHold as X, SmallOrderKey as S};
    let classes = [S, S, A, A, A, A, X, X, X, A, S, S];
    let all = read_json(&folder.join("ed25519-speccheck/cases.json"));
    assert_eq!(list(&all).len(), classes.len());
    (0..)
        .zip(list(&all))
        .zip(classes)
        .map(|((number, case), class)| Case {
            suite: "speccheck",
            number,
            class,
            key: key_tag(&unhex(&case["pub_key"])),
            signature: unhex(&case["signature"]),
            message: unhex(&case["message"]),
        })
        .collect()
}

/// The one case on which Wycheproof and the rule contradict each other: `R` is the identity in an
/// encoding that RFC 8032 §5.1.3 does not decode (y = 1 with the sign of x set) and ZIP 215 does.
/// Only the holder of the key can make such a signature, and nobody can turn one into another,
/// since `k` hashes the bytes of `R`. Whether to refuse such an `R` is the design's to say.
const CONTRADICTED: u64 = 151;

/// Wycheproof says it itself, but for [`CONTRADICTED`].
fn wycheproof(folder: &Path) -> Vec<Case> {
    let all = read_json(&folder.join("wycheproof/ed25519_test.json"));
    let mut cases = Vec::new();
    for group in list(&all["testGroups"]) {
        let key = key_tag(&unhex(&group["publicKey"]["pk"]));
        for test in list(&group["tests"]) {
            let signature = unhex(&test["sig"]);
            let class = match text(&test["result"]) {
                "valid" => Class::Accepts,
                _ if test["tcId"] == CONTRADICTED => Class::LooseR,
                _ if signature.len() != 64 => Class::Length,
                _ => Class::DoesNotHold,
            };
            cases.push(Case {
                suite: "wycheproof",
                number: test["tcId"].as_u64().unwrap(),
                class,
                key,
                signature,
                message: unhex(&test["msg"]),
            });
        }
    }
    cases
}

/// Random batches of cases and of our own valid signatures: the verdict on a batch is the AND of
/// the verdicts on its items. Of three batches one has only what is accepted alone, so that the
/// equation of the whole batch decides and not one bad item.
fn differences(cases: &[Case], seed: u64) -> usize {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let own: Vec<Case> = (0..32)
        .map(|i| {
            let seed = i % 5 + 1;
            let message = vec![i; usize::from(i)];
            Case {
                suite: "own",
                number: i.into(),
                class: Class::Accepts,
                key: key(seed).tag(),
                signature: signature(seed, &message).into(),
                message,
            }
        })
        .collect();
    assert!(own.iter().all(Case::verdict));
    let judged: Vec<_> = cases
        .iter()
        .filter_map(|case| Some((case.claim()?, case.verdict())))
        .collect();
    let good: Vec<_> = judged.iter().copied().filter(|(_, holds)| *holds).collect();
    let mut below = |n: usize| usize::try_from(random.next_u64() % n as u64).unwrap();
    let mut differences = 0;
    let mut batch_random = ChaCha20Rng::seed_from_u64(seed + 1);
    for round in 0..BATCHES {
        let pool = if round % 3 == 0 { &good } else { &judged };
        // Where most cases are refused, few in a batch leave room for the verdict "all hold".
        let share = [2, 4, 64][below(3)];
        let mut claims = Vec::new();
        let mut all_hold = true;
        for _ in 0..2 + below(63) {
            if below(share) == 0 {
                let (claim, holds) = pool[below(pool.len())];
                claims.push(claim);
                all_hold &= holds;
            } else {
                claims.extend(own[below(own.len())].claim());
            }
        }
        differences += usize::from(verify_all(&claims, &mut batch_random) != all_hold);
    }
    differences
}

fn judge(accept: &str, cases: &[Case], expected: usize) {
    assert_eq!(cases.len(), expected);
    let wrong: Vec<_> = cases
        .iter()
        .filter(|case| case.verdict() != matches!(case.class, Class::Accepts | Class::LooseR))
        .map(|case| (case.suite, case.number, case.class))
        .collect();
    let split = differences(cases, 215);
    let held = wrong.is_empty() && split == 0;
    report(
        accept,
        &format!(
            "{expected} cases, {} against the rule {wrong:?}, {BATCHES} random batches, \
             {split} differences",
            wrong.len()
        ),
        "0 against the rule, 0 differences",
        held,
    );
}

#[test]
fn cctv_has_one_verdict() {
    if let Some(folder) = vectors() {
        judge("vectors/cctv", &cctv(&folder), 914);
    }
}

#[test]
fn speccheck_has_one_verdict() {
    if let Some(folder) = vectors() {
        judge("vectors/speccheck", &speccheck(&folder), 12);
    }
}

#[test]
fn wycheproof_has_one_verdict() {
    if let Some(folder) = vectors() {
        judge("vectors/wycheproof-ed25519", &wycheproof(&folder), 151);
    }
}

/// How far the rule is from Wycheproof's own list. It is one case; the figure says so and does
/// not count it as held.
#[test]
fn wycheproof_is_contradicted_once() {
    let Some(folder) = vectors() else { return };
    let cases = wycheproof(&folder);
    let differ: Vec<_> = cases
        .iter()
        .filter(|case| case.verdict() != (case.class == Class::Accepts))
        .map(|case| case.number)
        .collect();
    let figure = format!("{} of 151 as listed, not {differ:?}", 151 - differ.len());
    tell(
        "vectors/wycheproof-ed25519-listed",
        &figure,
        "151 of 151",
        differ.is_empty(),
    );
    assert_eq!(differ, [CONTRADICTED]);
}

#[test]
fn all_together_have_one_verdict() {
    let Some(folder) = vectors() else { return };
    let mut cases = cctv(&folder);
    cases.extend(speccheck(&folder));
    cases.extend(wycheproof(&folder));
    judge("vectors/ed25519-mixed", &cases, 1077);
}

#[test]
fn the_table_is_frozen() {
    let Some(folder) = vectors() else { return };
    let about = serde_json::json!({
        "rule": "ZIP 215: [8][s]B = [8]R + [8][k]A, s < L, R and A in any encoding; and A not of small order. The same singly and in batch. Freeze anew: BLESS=1 cargo test -p flexstore-core --test verdict",
        "Accepts": "the rule holds. CCTV: every case without the flags low_order_A and reencoded_k, so also those flagged low_order_R, low_order_component_A/R, low_order_residue and non_canonical_R. Speccheck: the row Zebra. Wycheproof: valid",
        "LooseR": "Wycheproof 151, listed as invalid: R is the identity, y = 1 with the sign of x set. RFC 8032 5.1.3 decodes no such R, ZIP 215 does. The one contradiction between the rule and a list",
        "SmallOrderKey": "A is one of the 14 encodings of the 8 points of small order: under such a key a signature fits many messages (CCTV flag low_order_A, which includes every non_canonical_A; speccheck 0, 1, 10, 11)",
        "DoesNotHold": "s is not below L (speccheck 6-7, Wycheproof SignatureMalleability), or the equation does not hold (CCTV reencoded_k, where k hashes another encoding than the one sent; speccheck 8, likewise; Wycheproof InvalidSignature and the like)",
        "Length": "not 64 bytes: no signature (Wycheproof TruncatedSignature, SignatureWithGarbage)",
    });
    let mut table = BTreeMap::<String, Vec<u64>>::new();
    for case in [cctv(&folder), speccheck(&folder), wycheproof(&folder)]
        .into_iter()
        .flatten()
    {
        let word = if case.verdict() { "accepts" } else { "refuses" };
        let class = format!("{}: {word}, {:?}", case.suite, case.class);
        table.entry(class).or_default().push(case.number);
    }
    let about = about.as_object().unwrap().clone();
    let table = table.into_iter().map(|(k, v)| (k, v.into()));
    frozen("verdict.json", &lines(about.into_iter().chain(table)));
}

/// The same through whole records: each item of a batch gets the verdict that it gets alone.
#[test]
fn records_have_one_verdict_each() {
    let id = CollectionId::new(Kind::Mutable, "notes").unwrap();
    let records: Vec<String> = (0..40u8)
        .map(|i| {
            let draft = Draft::text(id.clone(), Tag::new("a").unwrap(), &i.to_string(), 7);
            let record = if i % 3 == 0 {
                draft.sign_for(&key(90), &key(91 + i % 2))
            } else {
                draft.sign(&key(80 + i % 4))
            };
            let mut bytes = record.unwrap().text().to_vec();
            if i % 7 == 5 {
                // Spoils the (first) signature, canonically: the character before the last.
                let end = match bytes[0] {
                    b'{' => bytes.windows(2).position(|w| w == b"\",").unwrap(),
                    _ => bytes.len(),
                };
                let spoilt = &mut bytes[end - 2];
                *spoilt = if *spoilt == b'A' { b'B' } else { b'A' };
            }
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    let mut random = ChaCha20Rng::seed_from_u64(4);
    let (mut items, mut differences, mut refused) = (0, 0, 0);
    for _ in 0..50 {
        let n = 2 + random.next_u64() % 63;
        let chosen: Vec<Signed> = (0..n)
            .map(|_| {
                // One batch in many is all good only if the bad ones are rare.
                let mut i = random.next_u64() % 40;
                if i % 7 == 5 && random.next_u64() % 8 != 0 {
                    i -= 1;
                }
                Signed::parse(records[usize::try_from(i).unwrap()].clone()).unwrap()
            })
            .collect();
        let alone: Vec<bool> = chosen.iter().map(|r| r.clone().verify().is_ok()).collect();
        let together = Signed::verify_batch(chosen, &mut random);
        items += alone.len();
        refused += alone.iter().filter(|holds| !**holds).count();
        differences += alone
            .iter()
            .zip(&together)
            .filter(|(alone, together)| **alone != together.is_ok())
            .count();
    }
    assert!(refused > 10, "{refused}");
    report(
        "record/batch",
        &format!("50 batches, {items} records, {refused} refused, {differences} differences"),
        "0 differences",
        differences == 0,
    );
}
