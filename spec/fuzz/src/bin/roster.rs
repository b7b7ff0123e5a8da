//! Team records: what parses is written back byte for byte, and whatever a handful of records say
//! about each other, judging ends, and in the same verdict in whichever order they came.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flexstore_core::authority::{Member, Roster, TeamRecord, Teams, judge};
use flexstore_core::storage::StorageError;
use flexstore_core::{Digest, KeyTag};
use libfuzzer_sys::fuzz_target;

/// Tags below this are teams, those from it on single keys.
const TEAMS: u8 = 4;
const TAGS: u8 = 12;
/// Bytes that say one record.
const RECORD: usize = 8;
const MAX_RECORDS: usize = 24;

fuzz_target!(|data: &[u8]| {
    if let Ok(roster) = Roster::parse(data) {
        assert_eq!(roster.write().as_bytes(), data);
        assert_eq!(roster.check(), Ok(()));
    }
    let book = Book::read(data);
    let mut backwards = book.clone();
    backwards.records.values_mut().for_each(|records| records.reverse());
    for team in (0..TEAMS).map(tag) {
        let judge = |book: &Book| judge(&mut book.clone(), &team).unwrap();
        let judgement = judge(&book);
        assert_eq!(judgement.fingerprint(), judge(&backwards).fingerprint());
        assert_eq!(judgement.path().is_empty(), judgement.why_unjudged().is_some());
        let path = judgement.path();
        assert!(path.windows(2).all(|pair| pair[1].ant == Some(pair[0].digest)));
        for number in 0..TAGS {
            let _ = judgement.standing(&tag(number), u64::from(number));
            let place = judgement.last_place(&tag(number));
            assert!(place.is_none_or(|place| place < path.len()));
        }
        for record in book.records.values().flatten() {
            let _ = judgement.lost_since(&record.digest);
            let _ = judgement.belonging_since(&record.digest);
        }
    }
});

/// Team records and pins, as the bytes have them.
#[derive(Clone, Default)]
struct Book {
    records: BTreeMap<KeyTag, Vec<Arc<TeamRecord>>>,
    pins: BTreeMap<KeyTag, Digest>,
}

impl Teams for Book {
    fn records(&mut self, team: &KeyTag) -> Result<Vec<Arc<TeamRecord>>, StorageError> {
        Ok(self.records.get(team).cloned().unwrap_or_default())
    }

    fn pin(&mut self, team: &KeyTag) -> Result<Option<Digest>, StorageError> {
        Ok(self.pins.get(team).copied())
    }
}

impl Book {
    fn read(data: &[u8]) -> Self {
        let mut book = Self::default();
        let mut digests = Vec::new();
        for (number, bytes) in data.chunks_exact(RECORD).take(MAX_RECORDS).enumerate() {
            let [who, after, iat, first, more, within, struck, pin] = bytes else {
                return book;
            };
            let team = tag(who % TEAMS);
            let digest = Digest::of(&[number as u8]);
            let earlier = |byte: &u8| digests.get(usize::from(*byte)).copied();
            // In any order: what is listed first is the most senior.
            let listed = (0..8).filter(|bit| more >> bit & 1 == 1);
            let listed: BTreeMap<u8, u8> =
                listed.map(|bit| (bit ^ (first & 7), (first >> 3).wrapping_add(bit) % TAGS)).collect();
            let mut seen = BTreeSet::from([team]);
            let members: Vec<Member> = listed
                .into_values()
                .filter(|number| seen.insert(tag(*number)))
                .map(|number| Member {
                    tag: tag(number),
                    record: earlier(within).filter(|_| number < TEAMS),
                })
                .collect();
            let until = [struck % TAGS]
                .into_iter()
                .filter(|number| struck & 0x80 == 0 && !seen.contains(&tag(*number)))
                .map(|number| (tag(number), u64::from(struck >> 4)))
                .collect();
            if pin & 3 == 3 {
                book.pins.insert(team, digest);
            }
            book.records.entry(team).or_default().push(Arc::new(TeamRecord {
                digest,
                ant: earlier(after),
                iat: u64::from(*iat),
                author: tag(TEAMS + (who >> 2) % (TAGS - TEAMS)),
                key: (!members.is_empty()).then_some([7; 32]),
                members,
                until,
            }));
            digests.push(digest);
        }
        book
    }
}

fn tag(number: u8) -> KeyTag {
    KeyTag::from_bytes([number; 32])
}
