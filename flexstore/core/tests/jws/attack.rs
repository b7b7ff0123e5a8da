//! Records taken apart and put together again with something wrong, well signed.

use std::collections::BTreeMap;

use flexstore_core::record::{Content, Draft, Signed};
use flexstore_core::{CollectionId, Digest, Kind, Tag, decode_base64url};
use serde_json::Value;

use crate::support::{compact, frozen, general, key, lines, part, report};

/// A record, taken apart.
pub(crate) struct Base {
    pub(crate) name: &'static str,
    /// Whose signatures; one in the compact form, two in the general one.
    pub(crate) seeds: &'static [u8],
    pub(crate) headers: Vec<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) text: String,
}

impl Base {
    fn new(name: &'static str, seeds: &'static [u8], draft: Draft) -> Self {
        let record = match *seeds {
            [one] => draft.sign(&key(one)),
            [owner, author] => draft.sign_for(&key(owner), &key(author)),
            _ => panic!("one or two"),
        }
        .unwrap();
        let text = String::from_utf8(record.text().to_vec()).unwrap();
        let decode =
            |part: &str| String::from_utf8(decode_base64url(part.as_bytes()).unwrap()).unwrap();
        let headers = if seeds.len() == 1 {
            vec![decode(text.split('.').next().unwrap())]
        } else {
            let whole: Value = serde_json::from_str(&text).unwrap();
            let parts = whole["signatures"].as_array().unwrap();
            let protected = |part: &Value| decode(part["protected"].as_str().unwrap());
            parts.iter().map(protected).collect()
        };
        let base = Self {
            name,
            seeds,
            headers,
            payload: record.payload().to_vec(),
            text,
        };
        assert_eq!(base.edited(str::to_owned), base.text, "{name}");
        assert!(holds(&base.text), "{name}");
        base
    }

    /// The same record with other headers, well signed.
    pub(crate) fn with(&self, headers: &[String], payload: &[u8]) -> String {
        if let [one] = self.seeds {
            return compact(*one, headers[0].as_bytes(), payload);
        }
        let parts: Vec<_> = self
            .seeds
            .iter()
            .zip(headers)
            .map(|(seed, header)| part(*seed, header.as_bytes(), payload))
            .collect();
        general(&parts, payload)
    }

    /// The same record with every header edited alike, well signed.
    pub(crate) fn edited(&self, edit: impl Fn(&str) -> String) -> String {
        let headers: Vec<_> = self.headers.iter().map(|header| edit(header)).collect();
        self.with(&headers, &self.payload)
    }

    pub(crate) fn parts(&self) -> Vec<String> {
        let parts = self.seeds.iter().zip(&self.headers);
        parts
            .map(|(seed, header)| part(*seed, header.as_bytes(), &self.payload))
            .collect()
    }
}

/// Whether the text is a record whose signatures hold.
pub(crate) fn holds(text: &str) -> bool {
    Signed::parse(text.to_owned()).is_ok_and(|record| record.verify().is_ok())
}

/// A record of each sort: every kind, both forms, plain, sealed to one and to two, a tombstone.
pub(crate) fn bases() -> Vec<Base> {
    let draft = |kind, content, ant: bool| Draft {
        collection: CollectionId::new(kind, "notes/\u{e9}").unwrap(),
        tag: match kind {
            Kind::Immutable => Digest::of(b"gone").tag(),
            _ => Tag::new("a \"quoted\" \u{1f600} tag").unwrap(),
        },
        content,
        ant: ant.then(|| Digest::of(b"before")),
        iat: 1_700_000_000_000,
    };
    let plain = |cty: Option<&str>| Content::Plain {
        payload: "gr\u{fc}ezi".into(),
        cty: cty.map(Into::into),
    };
    let sealed = |tags: &[&str]| Content::Sealed {
        jwe: "h.k.i.c.t".into(),
        audience: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
    };
    let both = [
        (
            "mutable",
            draft(Kind::Mutable, plain(Some("text/plain")), false),
        ),
        ("immutable", draft(Kind::Immutable, plain(None), false)),
        (
            "versioned",
            draft(Kind::Versioned, plain(Some("json")), true),
        ),
        (
            "sealed to two",
            draft(Kind::Mutable, sealed(&["a", "b"]), false),
        ),
        (
            "sealed to one",
            draft(Kind::Versioned, sealed(&["a"]), false),
        ),
        ("tombstone", draft(Kind::Mutable, Content::Tombstone, false)),
        ("buried", draft(Kind::Immutable, Content::Tombstone, false)),
    ];
    both.into_iter()
        .flat_map(|(name, draft)| {
            [
                Base::new(name, &[1], draft.clone()),
                Base::new(name, &[2, 3], draft),
            ]
        })
        .collect()
}

/// What became of the attacks, class by class.
#[derive(Default)]
pub(crate) struct Outcomes {
    table: BTreeMap<String, BTreeMap<String, usize>>,
    accepted: Vec<String>,
    count: usize,
}

impl Outcomes {
    /// Gives the text to the reader, which must refuse it.
    pub(crate) fn attack(&mut self, class: &str, name: &str, text: impl Into<Vec<u8>>) {
        let text = text.into();
        let outcome = match Signed::parse(text.clone()) {
            Err(error) => format!("{error:?}"),
            Ok(record) => match record.verify() {
                Err(error) => format!("{error:?}"),
                Ok(_) => {
                    let text = String::from_utf8_lossy(&text[..text.len().min(99)]).into_owned();
                    self.accepted.push(format!("{class}: {name}: {text}"));
                    "ACCEPTED".into()
                }
            },
        };
        let class = self.table.entry(class.into()).or_default();
        *class.entry(outcome).or_default() += 1;
        self.count += 1;
    }

    /// Every attack was refused, and for the reasons that are frozen.
    pub(crate) fn finish(self, accept: &str, file: &str) {
        let held = self.accepted.is_empty();
        let accepted = self.accepted.join("\n");
        let n = self.count;
        report(
            accept,
            &format!("{n} texts, {} accepted {accepted}", self.accepted.len()),
            "0 accepted",
            held,
        );
        let about = "how many of each class were refused for which reason; BLESS=1 freezes anew";
        let about = ("about".to_owned(), Value::from(about));
        let table = self.table.into_iter().map(|(class, outcomes)| {
            let outcomes = outcomes.into_iter().map(|(k, n)| (k, n.into()));
            (class, Value::Object(outcomes.collect()))
        });
        frozen(file, &lines(std::iter::once(about).chain(table)));
    }
}

/// The members of a flat JSON object as they are written.
pub(crate) fn members(object: &str) -> Vec<String> {
    let inner = &object[1..object.len() - 1];
    let (mut quoted, mut escaped, mut depth) = (false, false, 0);
    let mut members = vec![String::new()];
    for char in inner.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                members.push(String::new());
                continue;
            }
            _ => {}
        }
        members.last_mut().unwrap().push(char);
    }
    members
}

pub(crate) fn object(members: &[String]) -> String {
    format!("{{{}}}", members.join(","))
}

/// The positions between tokens of a JSON text, where white space would mean nothing.
pub(crate) fn gaps(json: &str) -> Vec<usize> {
    let (mut quoted, mut escaped) = (false, false);
    let mut gaps = vec![0];
    for (i, char) in json.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        // Not within a string, a number or a word.
        if !quoted && !char.is_ascii_alphanumeric() {
            gaps.push(i + char.len_utf8());
        }
    }
    gaps
}

pub(crate) fn insert(text: &str, at: usize, what: &str) -> String {
    format!("{}{what}{}", &text[..at], &text[at..])
}

/// The value of a member, replaced.
pub(crate) fn replaced(header: &str, name: &str, value: &str) -> String {
    let mut all = members(header);
    let prefix = format!("\"{name}\":");
    let found = all.iter_mut().find(|member| member.starts_with(&prefix));
    *found.unwrap_or_else(|| panic!("{name} in {header}")) = format!("{prefix}{value}");
    object(&all)
}
