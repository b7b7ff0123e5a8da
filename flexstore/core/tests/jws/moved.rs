//! Attacks by moving: a part of one record into another, a record to another place.

use flexstore_core::encode_base64url;

use crate::attack::{Outcomes, bases, replaced};
use crate::support::general;

/// What was signed for one record does not hold for another.
#[test]
fn nothing_moves() {
    let mut out = Outcomes::default();
    let bases = bases();
    for base in &bases {
        // Well signed, but over a payload that is not the one the header speaks of.
        for payload in [&b""[..], b"x", b"gr\xc3\xbcezi!", b"h.k.i.c.t"] {
            let versioned = base.headers[0].contains("VersionedCollection");
            let fits = payload.is_empty() == base.payload.is_empty();
            if payload != base.payload
                && !(fits && versioned)
                && !(payload.is_empty() && base.payload.is_empty())
            {
                out.attack(
                    "another payload, signed",
                    base.name,
                    base.with(&base.headers, payload),
                );
            }
        }
        for other in bases
            .iter()
            .filter(|other| other.seeds == base.seeds && other.name != base.name)
        {
            let mixed = if base.seeds.len() == 1 {
                let (a, b): (Vec<_>, Vec<_>) = (
                    base.text.split('.').collect(),
                    other.text.split('.').collect(),
                );
                vec![
                    (
                        "another record's payload",
                        format!("{}.{}.{}", a[0], b[1], a[2]),
                    ),
                    (
                        "another record's header",
                        format!("{}.{}.{}", b[0], a[1], a[2]),
                    ),
                    (
                        "another record's signature",
                        format!("{}.{}.{}", a[0], a[1], b[2]),
                    ),
                ]
            } else {
                let (a, b) = (base.parts(), other.parts());
                vec![
                    ("another record's payload", general(&a, &other.payload)),
                    (
                        "another record's signature",
                        general(&[a[0].clone(), b[1].clone()], &base.payload),
                    ),
                    (
                        "another record's signature",
                        general(&[b[0].clone(), a[1].clone()], &base.payload),
                    ),
                ]
            };
            for (class, text) in mixed {
                if bases.iter().all(|base| base.text != text) {
                    out.attack(class, base.name, text);
                }
            }
        }
        // Moved to another place by the one who carries it, who cannot sign.
        for (name, value) in [
            ("col", r#""MutableCollection/other""#),
            ("tag", r#""other""#),
            ("iat", "1"),
            ("sub", r#""other""#),
        ] {
            if !base.headers[0].contains(&format!("\"{name}\":")) {
                continue;
            }
            let mut text = base.text.clone();
            for header in &base.headers {
                let moved = replaced(header, name, value);
                text = text.replace(
                    &encode_base64url(header.as_bytes()),
                    &encode_base64url(moved.as_bytes()),
                );
            }
            assert_ne!(text, base.text);
            out.attack("moved", name, text);
        }
    }
    out.finish("record/moved", "jws-moved.json");
}
