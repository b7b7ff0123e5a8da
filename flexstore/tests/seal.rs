//! Sealing and opening: round trips, bindings, tampering, limits.

use flexstore::seal::{Audience, Binding, EncryptionSecret, Kid, OpenError, SealError, open, seal};
use flexstore_core::KeyTag;

mod seal_support;
use seal_support::*;

#[test]
fn one_audience() {
    let secret = EncryptionSecret::generate().unwrap();
    let kid = kid(1);
    let jwe = seal(
        b"hello",
        Some("text/plain"),
        &binding(),
        &[Audience {
            kid,
            key: secret.public(),
        }],
    )
    .unwrap();
    println!("{}", header_text(&jwe));
    println!("{jwe}");
    let opened = open(&jwe, &binding(), &|k| (*k == kid).then_some(&secret)).unwrap();
    assert_eq!(*opened.content, b"hello");
    assert_eq!(opened.audience, [kid]);
}

#[test]
fn two_audiences() {
    let secrets = [
        EncryptionSecret::generate().unwrap(),
        EncryptionSecret::generate().unwrap(),
    ];
    let to = [
        Audience {
            kid: kid(2),
            key: secrets[1].public(),
        },
        Audience {
            kid: kid(1),
            key: secrets[0].public(),
        },
    ];
    let jwe = seal(b"", None, &binding(), &to).unwrap();
    println!("{jwe}");
    for i in 0..2u8 {
        let opened = open(&jwe, &binding(), &|k| {
            (*k == kid(i + 1)).then_some(&secrets[i as usize])
        })
        .unwrap();
        assert_eq!(*opened.content, b"");
    }
}
