//! Limits, at the edge and one past it: for who signs with the library, and for who sends texts
//! made by hand.

use flexstore_core::record::{
    Content, Draft, MAX_AUDIENCES, MAX_CTY_BYTES, MAX_HEADER_BYTES, MAX_ITEM_BYTES, MAX_TIME,
    ParseError, Signed,
};
use flexstore_core::{CollectionId, Kind, MAX_NAME_BYTES, MAX_TAG_BYTES, Tag};

use crate::any::headers;
use crate::support::{compact, general, key, part};

fn draft(content: Content) -> Draft {
    Draft {
        collection: CollectionId::new(Kind::Mutable, "n").unwrap(),
        tag: Tag::new("t").unwrap(),
        content,
        ant: None,
        iat: 7,
    }
}

fn plain(payload: Vec<u8>, cty: Option<&str>) -> Draft {
    draft(Content::Plain {
        payload: payload.into(),
        cty: cty.map(Into::into),
    })
}

fn sealed(audience: Vec<Tag>) -> Draft {
    draft(Content::Sealed {
        jwe: "j".into(),
        audience,
    })
}

/// Signs in both forms; what is signed must be readable.
fn sign(draft: &Draft) -> [Result<usize, ParseError>; 2] {
    [
        draft.clone().sign(&key(1)),
        draft.clone().sign_for(&key(1), &key(2)),
    ]
    .map(|signed| {
        signed.map(|record| {
            let read = Signed::parse(record.text().clone())
                .unwrap()
                .verify()
                .unwrap();
            assert_eq!(read.header(), record.header());
            record.text().len()
        })
    })
}

/// What the reader says of a record of that draft, whose headers were then edited by hand and
/// signed, in both forms.
fn read(draft: &Draft, edit: impl Fn(&str) -> String) -> [Result<(), ParseError>; 2] {
    let one = draft.clone().sign(&key(1)).unwrap();
    let two = draft.clone().sign_for(&key(1), &key(2)).unwrap();
    let payload = &one.payload()[..];
    let header = edit(&headers(one.text())[0]);
    let both: Vec<_> = headers(two.text()).iter().map(|h| edit(h)).collect();
    let parts = [
        part(1, both[0].as_bytes(), payload),
        part(2, both[1].as_bytes(), payload),
    ];
    let texts = [
        compact(1, header.as_bytes(), payload),
        general(&parts, payload),
    ];
    texts.map(|text| Signed::parse(text).map(|record| assert!(record.verify().is_ok())))
}

fn tags(count: usize, bytes: usize) -> Vec<Tag> {
    (0..count)
        .map(|i| Tag::new(format!("{i:0bytes$}")).unwrap())
        .collect()
}

#[test]
fn item() {
    let size = |payload: usize| sign(&plain(vec![b'x'; payload], None));
    // One more byte of payload is one or two of text: the last that fits, and the next.
    for form in 0..2 {
        let (mut fits, mut past) = (700_000, 800_000);
        while past - fits > 1 {
            let middle = usize::midpoint(fits, past);
            if size(middle)[form].is_ok() {
                fits = middle;
            } else {
                past = middle;
            }
        }
        let length = size(fits)[form].unwrap();
        assert!(
            (MAX_ITEM_BYTES - 2..=MAX_ITEM_BYTES).contains(&length),
            "{length}"
        );
        assert_eq!(size(past)[form], Err(ParseError::TooLong));
        // To the byte, with a longer name of the collection for what the payload cannot fill.
        let exact = (0..4)
            .flat_map(|n| (0..4).map(move |m| (n, m)))
            .any(|(n, m)| {
                let mut draft = plain(vec![b'x'; fits - n], None);
                draft.collection = CollectionId::new(Kind::Mutable, &"n".repeat(1 + m)).unwrap();
                sign(&draft)[form] == Ok(MAX_ITEM_BYTES)
            });
        assert!(
            exact,
            "a record of exactly {MAX_ITEM_BYTES} bytes, form {form}"
        );
    }
    // The reader: a text of one byte too many is refused for that, whatever it is.
    for first in ["{", "e"] {
        let text = first.repeat(MAX_ITEM_BYTES + 1);
        assert!(matches!(Signed::parse(text), Err(ParseError::TooLong)));
        let text = first.repeat(MAX_ITEM_BYTES);
        assert!(matches!(Signed::parse(text), Err(ParseError::Form)));
    }
}

/// A header of exactly that many bytes, by the lengths of audience tags and of the name; in both
/// forms by turns, for their headers differ in length.
#[test]
fn header() {
    for form in 0..2 {
        let signed = |extra: usize| {
            let mut all = tags(240, 256);
            let spread: Vec<_> = (0..extra).map(|i| i % 14).collect();
            for (i, tag) in tags(14, 200).into_iter().enumerate() {
                let more = spread.iter().filter(|at| **at == i).count();
                all.push(Tag::new(format!("z{tag}{}", "x".repeat(more))).unwrap());
            }
            let draft = sealed(all);
            if form == 0 {
                draft.sign(&key(1))
            } else {
                draft.sign_for(&key(1), &key(2))
            }
        };
        let base = headers(signed(0).unwrap().text())[0].len();
        let room = MAX_HEADER_BYTES - base;
        let at = signed(room).unwrap();
        assert_eq!(headers(at.text())[0].len(), MAX_HEADER_BYTES);
        assert!(Signed::parse(at.text().clone()).unwrap().verify().is_ok());
        for past in 1..4 {
            assert_eq!(
                signed(room + past).unwrap_err(),
                ParseError::TooLong,
                "form {form}, {past} past"
            );
            // The same by hand: the last tag grows, which the order of the tags allows.
            let longer: Vec<String> = headers(at.text())
                .iter()
                .map(|h| h.replacen("\"]", &format!("{}\"]", "y".repeat(past)), 1))
                .collect();
            assert_eq!(longer[0].len(), MAX_HEADER_BYTES + past);
            let text = if form == 0 {
                compact(1, longer[0].as_bytes(), b"j")
            } else {
                general(
                    &[
                        part(1, longer[0].as_bytes(), b"j"),
                        part(2, longer[1].as_bytes(), b"j"),
                    ],
                    b"j",
                )
            };
            assert_eq!(
                Signed::parse(text).unwrap_err(),
                ParseError::TooLong,
                "form {form}, {past} past"
            );
        }
    }
}

#[test]
fn audiences() {
    let most = sealed(tags(MAX_AUDIENCES, 4));
    assert!(sign(&most).iter().all(Result::is_ok));
    let more = sealed(tags(MAX_AUDIENCES + 1, 4));
    assert_eq!(sign(&more), [Err(ParseError::Audience); 2]);
    assert_eq!(sign(&sealed(vec![])), [Err(ParseError::Audience); 2]);
    let [a, b] = ["a", "b"].map(|tag| Tag::new(tag).unwrap());
    assert_eq!(
        sign(&sealed(vec![b.clone(), a.clone()])),
        [Err(ParseError::Audience); 2]
    );
    assert_eq!(
        sign(&sealed(vec![a.clone(), a])),
        [Err(ParseError::Audience); 2]
    );
    assert_eq!(read(&most, str::to_owned), [Ok(()); 2]);
    let longer = read(&most, |h| h.replacen("\"]", "\",\"zzzz\"]", 1));
    assert_eq!(longer, [Err(ParseError::Audience); 2]);
}

#[test]
fn content_type() {
    let at = "y".repeat(MAX_CTY_BYTES);
    let wide = "\u{e9}".repeat(MAX_CTY_BYTES / 2);
    for cty in [&at, &wide] {
        let draft = plain(b"p".to_vec(), Some(cty));
        assert!(sign(&draft).iter().all(Result::is_ok));
        let longer = read(&draft, |h| h.replacen(cty.as_str(), &format!("{cty}y"), 1));
        assert_eq!(longer, [Err(ParseError::ContentType); 2]);
        let past = plain(b"p".to_vec(), Some(&format!("{cty}y")));
        assert_eq!(sign(&past), [Err(ParseError::ContentType); 2]);
    }
    for bad in ["", "a\nb", "\u{85}", "text/encrypted"] {
        assert_eq!(
            sign(&plain(b"p".to_vec(), Some(bad))),
            [Err(ParseError::ContentType); 2]
        );
    }
}

#[test]
fn time() {
    let mut draft = plain(b"p".to_vec(), None);
    draft.iat = MAX_TIME;
    assert!(sign(&draft).iter().all(Result::is_ok));
    let edge = MAX_TIME.to_string();
    for (past, error) in [
        (MAX_TIME + 1, ParseError::Time),
        (u64::MAX, ParseError::Time),
    ] {
        let later = read(&draft, |h| h.replacen(&edge, &past.to_string(), 1));
        assert_eq!(later, [Err(error); 2]);
        draft.iat = past;
        assert_eq!(sign(&draft), [Err(error); 2]);
        draft.iat = MAX_TIME;
    }
    draft.iat = 0;
    assert!(sign(&draft).iter().all(Result::is_ok));
}

#[test]
fn names() {
    let long = "\u{e9}".repeat(MAX_TAG_BYTES / 2);
    let name = "n".repeat(MAX_NAME_BYTES);
    let mut draft = plain(b"p".to_vec(), None);
    draft.tag = Tag::new(&long).unwrap();
    draft.collection = CollectionId::new(Kind::Mutable, &name).unwrap();
    assert!(sign(&draft).iter().all(Result::is_ok));
    assert!(Tag::new(format!("{long}x")).is_err());
    assert!(CollectionId::new(Kind::Mutable, &format!("{name}n")).is_err());
    let edited = |from: &str, to: &str| read(&draft, |h| h.replacen(from, to, 1));
    assert_eq!(
        edited(&long, &format!("{long}x")),
        [Err(ParseError::Tag); 2]
    );
    assert_eq!(
        edited(&name, &format!("{name}n")),
        [Err(ParseError::Collection); 2]
    );
    assert_eq!(edited(&name, "n\\u0001"), [Err(ParseError::Collection); 2]);
    assert_eq!(edited(&long, "\\u0001"), [Err(ParseError::Tag); 2]);
    assert_eq!(edited(&long, "\u{85}"), [Err(ParseError::Tag); 2]);
    assert_eq!(edited(&long, ""), [Err(ParseError::Tag); 2]);
    // An audience tag has the same limits.
    let draft = sealed(vec![Tag::new(&long).unwrap()]);
    assert!(sign(&draft).iter().all(Result::is_ok));
    let longer = read(&draft, |h| h.replacen(&long, &format!("{long}x"), 1));
    assert_eq!(longer, [Err(ParseError::Audience); 2]);
}
