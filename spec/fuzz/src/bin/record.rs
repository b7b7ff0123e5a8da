//! Records: what is accepted is kept as it came, and is signed anew to nothing else.

#![no_main]

use flexstore_core::record::{Signed, Verified};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(signed) = Signed::parse(data.to_vec()) else {
        return;
    };
    let digest = signed.digest();
    let Ok(read) = signed.verify() else { return };
    assert_eq!(&read.text()[..], data);
    assert_eq!(read.digest(), digest);
    assert_eq!(read.payload().is_empty(), read.is_tombstone());

    let same = |again: &Verified| {
        assert_eq!(again.header(), read.header());
        assert_eq!(again.payload(), read.payload());
        assert_eq!(again.stamp(), read.stamp());
        assert_eq!(again.state(), read.state());
    };
    match Signed::parse(read.text().clone()).map(Signed::verify) {
        Ok(Ok(again)) => same(&again),
        other => panic!("accepted once, and then {other:?}"),
    }
});
