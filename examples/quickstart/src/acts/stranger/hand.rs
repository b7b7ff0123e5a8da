//! A malicious hand: it speaks the protocol itself, so that no library stands between it and the
//! relay. No app needs any of this.

use std::time::{Duration, SystemTime};

use flexstore::{CollectionId, Dialer as _, Filter, KeyTag, Kind};
use flexstore_core::record::{Content, Draft, Encryption};
use flexstore_core::wire::{CloseReason, Message, PROTOCOL_VERSION, Summary};
use flexstore_core::{SigningKey, Verified};
use flexstore_transports::Transports;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;

use crate::Result;

const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a record that was sent to the relay.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is durable there.
    Taken,
    /// It was no true record, and the link was closed for it.
    ClosedAsBad,
    /// Anything else: the relay's last words.
    Other(String),
}

pub(super) struct Hand {
    key: SigningKey,
    service: String,
}

impl Hand {
    pub(super) fn new(service: &str) -> Self {
        Self {
            // Any key will do: nobody trusts it.
            key: SigningKey::from_seed(&[9; 32]),
            service: service.into(),
        }
    }

    pub(super) const fn tag(&self) -> KeyTag {
        self.key.tag()
    }

    /// Puts a record into a collection of the relay, whatever it is.
    pub(super) async fn send(&self, collection: CollectionId, record: Vec<u8>) -> Result<Answer> {
        let mut link = Transports::new().dial(&self.service).await?;
        let open = Message::Open {
            oldest: PROTOCOL_VERSION,
            newest: PROTOCOL_VERSION,
            collection,
            replica: [7; 16],
            filter: Filter::default(),
            summary: Summary::default(),
        };
        link.outgoing.send(open.encode(0)).await?;
        let conversation = async {
            while let Some(frame) = link.incoming.next().await {
                match Message::decode(&frame?)?.1 {
                    Message::Welcome { .. } => {
                        let records = Message::Records(vec![record.clone().into()]);
                        link.outgoing.send(records.encode(0)).await?;
                    }
                    Message::Acknowledge(1) => return Ok(Answer::Taken),
                    Message::Close(CloseReason::BadRecord) => return Ok(Answer::ClosedAsBad),
                    last @ (Message::Close(_) | Message::Refused { .. }) => {
                        return Ok(Answer::Other(format!("{last:?}")));
                    }
                    _ => {}
                }
            }
            Ok(Answer::Other("gone without a word".into()))
        };
        timeout(PATIENCE, conversation)
            .await
            .map_err(|_| "the relay does not answer a stranger")?
    }

    /// The record with the signature of something that this hand signed.
    pub(super) fn signature_swapped(&self, genuine: &Verified) -> Result<Vec<u8>> {
        let own = self.sign(
            genuine,
            Content::Plain {
                payload: "x".into(),
                cty: None,
            },
        )?;
        let [theirs, own] = [genuine, &own].map(|record| String::from_utf8_lossy(record.text()));
        let (kept, _) = theirs.rsplit_once('.').ok_or("not a compact JWS")?;
        let (_, signature) = own.rsplit_once('.').ok_or("not a compact JWS")?;
        Ok(format!("{kept}.{signature}").into_bytes())
    }

    /// The sealed text of the record as a record of this hand's own, true in every other respect.
    pub(super) fn signed_anew(&self, genuine: &Verified) -> Result<Vec<u8>> {
        let Encryption::Sealed(audience) = &genuine.header().encryption else {
            return Err("not a sealed record".into());
        };
        let (jwe, audience) = (genuine.payload().clone(), audience.clone());
        let stolen = self.sign(genuine, Content::Sealed { jwe, audience })?;
        Ok(stolen.text().to_vec())
    }

    fn sign(&self, genuine: &Verified, content: Content) -> Result<Verified> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let draft = Draft {
            collection: genuine.header().collection.clone(),
            tag: genuine.header().tag.clone(),
            content,
            ant: None,
            iat: u64::try_from(now.as_millis())?,
        };
        Ok(draft.sign(&self.key)?)
    }
}

/// The record with one letter changed, in the middle of its payload.
pub(super) fn changed(genuine: &Verified) -> Vec<u8> {
    let mut text = genuine.text().to_vec();
    let middle = text.len() / 2;
    // Still a letter of base64url: the form holds, the content does not.
    text[middle] = if text[middle] == b'A' { b'B' } else { b'A' };
    text
}

/// A collection in which nothing of Alice's belongs.
pub(super) fn elsewhere() -> Result<CollectionId> {
    Ok(CollectionId::new(Kind::Mutable, "elsewhere")?)
}
