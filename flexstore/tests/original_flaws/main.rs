//! What the JavaScript original gets wrong, flaw by flaw, and what happens here instead. Each test
//! also shows that the honest way works, so that refusing everything would fail it too.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

#[path = "../js_support/mod.rs"]
mod js_support;
mod records;
mod sync;

use std::sync::Arc;

use ed25519_dalek::Signer as _;
use flexstore::js::{self, Shelf};
use flexstore::{MemoryStorage, Peer};
use flexstore_core::record::{Content, Draft};
use flexstore_core::register::Selection;
use flexstore_core::sync::{Keys, Writing};
use flexstore_core::{CollectionId, Kind, SigningKey, Tag, Verified, encode_base64url};
use flexstore_testkit::network::Network;

pub(crate) const ALICE: u8 = 1;
pub(crate) const MALLORY: u8 = 66;

pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

pub(crate) fn id(kind: Kind) -> CollectionId {
    CollectionId::new(kind, "things").unwrap()
}

pub(crate) fn shelf() -> Shelf {
    Shelf::items(id(Kind::Mutable))
}

pub(crate) fn signature(n: u8, input: &str) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    encode_base64url(&key.sign(input.as_bytes()).to_bytes())
}

/// A compact JWS with any header, well signed by `n`.
pub(crate) fn compact(n: u8, header: &str, payload: &[u8]) -> String {
    let header = encode_base64url(header.as_bytes());
    let input = format!("{header}.{}", encode_base64url(payload));
    format!("{input}.{}", signature(n, &input))
}

/// A general JWS over `x` with these signers and headers.
pub(crate) fn general(parts: &[(u8, &str)]) -> String {
    let payload = encode_base64url(b"x");
    let parts: Vec<_> = parts
        .iter()
        .map(|(n, header)| {
            let protected = encode_base64url(header.as_bytes());
            let signature = signature(*n, &format!("{protected}.{payload}"));
            format!(r#"{{"signature":"{signature}","protected":"{protected}"}}"#)
        })
        .collect();
    format!(
        r#"{{"signatures":[{}],"payload":"{payload}"}}"#,
        parts.join(",")
    )
}

pub(crate) fn read_js(text: &str) -> Result<js::Verified, String> {
    js::Signed::parse(text.to_owned(), &shelf(), Some(&tag("t")))
        .map_err(|error| format!("{error:?}"))?
        .verify()
        .map_err(|error| format!("{error:?}"))
}

/// A native record.
pub(crate) fn signed(
    id: &CollectionId,
    under: &str,
    content: Content,
    iat: u64,
    n: u8,
) -> Verified {
    let draft = Draft {
        collection: id.clone(),
        tag: tag(under),
        content,
        ant: None,
        iat,
    };
    draft.sign(&key(n)).unwrap()
}

pub(crate) fn plain(text: &str) -> Content {
    Content::Plain {
        payload: text.to_owned().into(),
        cty: Some("text/plain".into()),
    }
}

pub(crate) fn write(network: &mut Network, node: usize, under: &str, content: Content, n: u8) {
    let writing = Writing::new(tag(under), content);
    network.write(node, writing, Keys::Solo(&key(n))).unwrap();
}

pub(crate) fn shown(network: &Network, node: usize, under: &str) -> Option<String> {
    let register = network.nodes[node].replica.register();
    let record = register.read(&tag(under), None, Selection::Latest);
    let payload = record.unwrap()?.payload().to_vec();
    Some(String::from_utf8(payload).unwrap())
}

pub(crate) async fn peer() -> Peer {
    let peer = Peer::open(Arc::new(MemoryStorage::new())).unwrap();
    peer.credentials().create_device().await.unwrap();
    peer
}
