//! Any draft, any edit of a header, any JSON.

use flexstore_core::record::{Content, Draft, Encryption, ParseError};
use flexstore_core::{CollectionId, Digest, Kind, Tag, Verified, decode_base64url};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::key;

/// A draft, and by whom it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) draft: Draft,
    pub(crate) owner: u8,
    pub(crate) author: Option<u8>,
}

impl Sample {
    pub(crate) fn sign(&self) -> Result<Verified, ParseError> {
        let draft = self.draft.clone();
        match self.author {
            None => draft.sign(&key(self.owner)),
            Some(author) => draft.sign_for(&key(self.owner), &key(author)),
        }
    }

    /// The draft of which a record was signed.
    pub(crate) fn of(record: &Verified, owner: u8, author: Option<u8>) -> Self {
        let header = record.header();
        let payload = record.payload().clone();
        let content = match &header.encryption {
            Encryption::Plain => Content::Plain {
                payload,
                cty: header.cty.clone(),
            },
            Encryption::Tombstone => Content::Tombstone,
            Encryption::Sealed(tags) => Content::Sealed {
                jwe: payload,
                audience: tags.clone(),
            },
        };
        let draft = Draft {
            collection: header.collection.clone(),
            tag: header.tag.clone(),
            content,
            ant: header.ant,
            iat: header.iat,
        };
        Self {
            draft,
            owner,
            author,
        }
    }
}

/// The protected headers of a record, as text.
pub(crate) fn headers(text: &[u8]) -> Vec<String> {
    let decode =
        |part: &str| String::from_utf8(decode_base64url(part.as_bytes()).unwrap()).unwrap();
    let text = std::str::from_utf8(text).unwrap();
    if !text.starts_with('{') {
        return vec![decode(text.split('.').next().unwrap())];
    }
    let whole: Value = serde_json::from_str(text).unwrap();
    let parts = whole["signatures"].as_array().unwrap();
    parts
        .iter()
        .map(|part| decode(part["protected"].as_str().unwrap()))
        .collect()
}

/// Odd and plain characters, none of them a control.
fn word(max: usize) -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '"',
        '\\',
        '/',
        '\u{2028}',
        '\u{2029}',
        '\u{feff}',
        '\u{200d}',
        '\u{202e}',
        '\u{301}',
        '\u{e9}',
        '\u{fffd}',
        '\u{ffff}',
        '\u{10ffff}',
        '\u{1f600}',
        '.',
        ' ',
        '\'',
        '<',
        '\u{ad}',
        '\u{d7ff}',
        '\u{e000}',
    ]);
    let any = any::<char>().prop_filter("control", |c| !c.is_control());
    let char = prop_oneof![3 => odd, 2 => any, 3 => prop::char::range('a', 'z')];
    prop::collection::vec(char, 1..max).prop_map(|chars| chars.into_iter().collect())
}

fn tag() -> impl Strategy<Value = Tag> {
    prop_oneof![
        word(60).prop_map(|text| Tag::new(text).unwrap()),
        any::<[u8; 32]>().prop_map(|bytes| Digest::from_bytes(bytes).tag()),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    let payload = || prop::collection::vec(any::<u8>(), 1..200).prop_map(bytes::Bytes::from);
    let cty = prop_oneof![
        Just(None),
        Just(Some("json".into())),
        word(30).prop_map(|text| Some(text.into())),
    ];
    prop_oneof![
        3 => (payload(), cty).prop_map(|(payload, cty)| Content::Plain { payload, cty }),
        2 => (payload(), prop::collection::btree_set(tag(), 1..6)).prop_map(|(jwe, tags)| Content::Sealed {
            jwe,
            audience: tags.into_iter().collect(),
        }),
        1 => Just(Content::Tombstone),
    ]
}

pub(crate) fn sample() -> impl Strategy<Value = Sample> {
    let kind = prop::sample::select(vec![Kind::Immutable, Kind::Mutable, Kind::Versioned]);
    let time = prop_oneof![Just(0), Just((1 << 53) - 1), 0..(1u64 << 53)];
    let place = (kind, word(30), tag(), any::<[u8; 32]>());
    let signers = (1..20u8, prop::option::of(20..40u8));
    (place, content(), any::<Option<[u8; 32]>>(), time, signers).prop_map(
        |((kind, name, tag, hash), content, ant, iat, (owner, author))| {
            let tombstone = content.is_tombstone();
            let tag = match kind {
                Kind::Immutable => Digest::from_bytes(hash).tag(),
                _ => tag,
            };
            let ant = ant.filter(|_| kind == Kind::Versioned && !tombstone);
            let draft = Draft {
                collection: CollectionId::new(kind, &name).unwrap(),
                tag,
                content,
                ant: ant.map(Digest::from_bytes),
                iat,
            };
            Sample {
                draft,
                owner,
                author,
            }
        },
    )
}

/// One of each form, small.
pub(crate) fn few() -> [Sample; 3] {
    let draft = |kind, content| Draft {
        collection: CollectionId::new(kind, "n").unwrap(),
        tag: Tag::new("\u{e9}\"").unwrap(),
        content,
        ant: None,
        iat: 7,
    };
    let plain = Content::Plain {
        payload: "x".into(),
        cty: None,
    };
    let one = |draft, author| Sample {
        draft,
        owner: 1,
        author,
    };
    [
        one(draft(Kind::Mutable, plain.clone()), None),
        one(draft(Kind::Versioned, plain), Some(2)),
        one(draft(Kind::Mutable, Content::Tombstone), None),
    ]
}

/// What a draft holds, asked.
pub(crate) trait IsTombstone {
    fn is_tombstone(&self) -> bool;
}

impl IsTombstone for Content {
    fn is_tombstone(&self) -> bool {
        matches!(self, Self::Tombstone)
    }
}

/// A change to a header's text.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    None,
    Replace(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, String),
}

impl Edit {
    /// Edits so that the text stays UTF-8.
    pub(crate) fn apply(&self, header: &str) -> String {
        let mut chars: Vec<char> = header.chars().collect();
        match self {
            Self::None => {}
            Self::Replace(at, to) => {
                let at = at.index(chars.len());
                chars[at] = char::from(*to);
            }
            Self::Remove(at) => {
                chars.remove(at.index(chars.len()));
            }
            Self::Insert(at, what) => {
                let at = at.index(chars.len());
                chars.splice(at..at, what.chars());
            }
        }
        chars.into_iter().collect()
    }
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    let piece = prop::sample::select(vec![
        " ",
        "\\",
        "\"",
        ",",
        ":",
        "null",
        "0",
        "\\u0061",
        ",\"cty\":\"a\"",
        ",\"iat\":1",
        "[",
        "]",
        "{}",
        "a",
        "\n",
    ]);
    prop_oneof![
        1 => Just(Edit::None),
        4 => (index(), 0x20..0x7fu8).prop_map(|(at, to)| Edit::Replace(at, to)),
        3 => index().prop_map(Edit::Remove),
        4 => (index(), piece).prop_map(|(at, what)| Edit::Insert(at, what.into())),
    ]
}

pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 32, 6, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec![
                "alg",
                "kid",
                "typ",
                "signatures",
                "payload",
                "col",
                "tag"
            ])
            .prop_map(String::from),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
