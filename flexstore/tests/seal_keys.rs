//! X25519 keys: as JWK, and the points that are refused.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use flexstore::seal::{EncryptionKey, EncryptionSecret, KeyError, Malformed, OpenError};
use flexstore_core::KeyTag;
use seal_support::*;
use serde_json::json;

#[test]
fn keys_as_jwk() {
    let own = secret(5);
    let public = own.public();
    assert_eq!(EncryptionKey::from_jwk(&public.to_jwk()), Ok(public));
    let again = EncryptionSecret::from_jwk(&own.to_jwk()).unwrap();
    assert_eq!(again.public(), public);
    let x = public.to_string();
    let cases = [
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "kid": "k", "use": "enc"}),
            None,
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "use": "sig"}),
            Some(KeyError::Kind),
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
            Some(KeyError::Kind),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "alg": "ECDH-ES"}),
            Some(KeyError::Kind),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": x, "d": x}),
            Some(KeyError::Jwk),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": &x[1..]}),
            Some(KeyError::Length),
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": KeyTag::from_bytes([0; 32]).to_string()}),
            Some(KeyError::Point),
        ),
    ];
    for (jwk, error) in cases {
        assert_eq!(
            EncryptionKey::from_jwk(&jwk.to_string()).err(),
            error,
            "{jwk}"
        );
    }
    let strange =
        json!({"kty": "OKP", "crv": "X25519", "x": secret(6).public().to_string(), "d": x});
    assert_eq!(
        EncryptionSecret::from_jwk(&strange.to_string()).unwrap_err(),
        KeyError::Mismatch
    );
    assert_eq!(
        EncryptionKey::from_jwk(r#"{"kty":"OKP","kty":"OKP"}"#),
        Err(KeyError::Jwk)
    );
}

#[test]
fn small_order_and_unreduced_points_are_refused() {
    let mut p_plus_nine = [0xff; 32];
    p_plus_nine[0] = 0xf6;
    p_plus_nine[31] = 0x7f;
    let mut nine_with_top_bit = [0; 32];
    nine_with_top_bit[0] = 9;
    nine_with_top_bit[31] = 0x80;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let mut one = [0; 32];
    one[0] = 1;
    for point in [[0; 32], one, minus_one, p_plus_nine, nine_with_top_bit] {
        assert_eq!(EncryptionKey::from_bytes(point), Err(KeyError::Point));
    }
    // As ephemeral key: unreduced by form, small order when the keys are agreed.
    let epk = |bytes: [u8; 32]| {
        let x = KeyTag::from_bytes(bytes).to_string();
        let epk = json!({"kty": "OKP", "crv": "X25519", "x": x}).to_string();
        crafted_text(&proper_header_text().replace("EPK", &epk))
    };
    for point in [p_plus_nine, nine_with_top_bit] {
        assert_eq!(
            open_as(1, &epk(point)).unwrap_err(),
            Malformed::EphemeralKey.into()
        );
    }
    for point in [[0; 32], one, minus_one] {
        assert_eq!(open_as(1, &epk(point)).unwrap_err(), OpenError::Failed);
    }
}
