//! Records of the JavaScript original: what is accepted is kept as it came, is read so again, and
//! is never a native record too.

#![no_main]

use flexstore_core::record::js::{Shelf, Signed, Verified};
use flexstore_core::{Digest, Tag, record};
use libfuzzer_sys::fuzz_target;

const SHELVES: [&str; 8] = [
    "ImmutableCollection/notes",
    "MutableCollection/notes",
    "VersionedCollection/notes",
    "StateCollection/notes",
    "MutableCollection/EncryptionKey",
    "MutableCollection/KeyRecovery",
    "MutableCollection/Team",
    "MutableCollection/Device",
];

fuzz_target!(|data: &[u8]| {
    // The first byte says where the record stands, and whether under a known tag.
    let Some((&place, text)) = data.split_first() else {
        return;
    };
    let shelf = Shelf::parse(SHELVES[usize::from(place % 8)]).unwrap();
    let tag = (place & 8 == 8).then(|| Tag::new("a").unwrap());
    let parse = |text: Vec<u8>| Signed::parse(text, &shelf, tag.as_ref());
    let Ok(signed) = parse(text.to_vec()) else {
        return;
    };
    assert_eq!(signed.digest(), Digest::of(text));
    assert!(record::Signed::parse(text.to_vec()).is_err(), "both native and of the original");
    let Ok(read) = signed.verify() else { return };
    assert_eq!(&read.text()[..], text);
    assert_eq!(read.payload().is_empty(), read.is_tombstone());

    let same = |again: &Verified| {
        assert_eq!(again.header(), read.header());
        assert_eq!(again.payload(), read.payload());
        assert_eq!(again.stamp(), read.stamp());
        assert_eq!(again.state(), read.state());
        assert_eq!(again.heads(), read.heads());
    };
    match parse(read.text().to_vec()).map(Signed::verify) {
        Ok(Ok(again)) => same(&again),
        other => panic!("accepted once, and then {other:?}"),
    }
});
