//! What is brought.

use bytes::Bytes;
use flexstore_core::record::MAX_ITEM_BYTES;
use flexstore_core::storage::StorageError;
use flexstore_core::sync::Taken;
use flexstore_core::wire::{Checked, CloseReason, Message, RefusalReason, Violation};
use flexstore_core::{CollectionId, Verified};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::json;

use super::choice::Query;
use super::{Place, read};
use crate::http::{self, Answer, Asked, Problem, Services};
use crate::hub::PutError;

pub(super) async fn put(
    services: &Services,
    place: Place,
    asked: Asked,
) -> Result<Answer, Problem> {
    let (record, taken) = take(services, place, asked, |_| Ok(())).await?;
    let (status, word) = match taken {
        Taken::New => (StatusCode::CREATED, "new"),
        Taken::Known => (StatusCode::OK, "known"),
        Taken::Displaced(_) => (StatusCode::OK, "displaced"),
    };
    let mut body = json!({ "result": word, "digest": record.digest().to_string() });
    if let Taken::Displaced(by) = &taken {
        body["successor"] = json!({
            "digest": by.stamp.digest.to_string(),
            "iat": by.stamp.iat,
            "tombstone": by.tombstone,
        });
    }
    let mut answer = http::json(status, &body);
    let tag = HeaderValue::from_str(&read::etag(&record.stamp()));
    if let (Ok(tag), false) = (tag, matches!(taken, Taken::Displaced(_))) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    Ok(answer)
}

pub(super) async fn delete(
    services: &Services,
    place: Place,
    asked: Asked,
) -> Result<Answer, Problem> {
    let deletes = |record: &Verified| {
        if record.is_tombstone() {
            return Ok(());
        }
        Err(unacceptable("a tombstone deletes; this is an item"))
    };
    let (_, taken) = take(services, place, asked, deletes).await?;
    match taken {
        Taken::Displaced(by) if !by.tombstone => {
            let problem = Problem::new(
                StatusCode::CONFLICT,
                "displaced",
                "a later record stands there",
            );
            Err(problem
                .with("successor", by.stamp.digest.to_string())
                .with("iat", by.stamp.iat))
        }
        _ => Ok(http::empty(StatusCode::NO_CONTENT)),
    }
}

/// Reads and verifies the record, and brings it where it belongs.
async fn take(
    services: &Services,
    place: Place,
    asked: Asked,
    is_wanted: impl Fn(&Verified) -> Result<(), Problem>,
) -> Result<(Verified, Taken), Problem> {
    let headers = asked.headers().clone();
    let id = place.collection.clone();
    let held = asked.body(&services.room, MAX_ITEM_BYTES).await?;
    let record = verify(held.bytes.clone(), &id)?;
    let header = record.header();
    if !record.belongs_in(&id) || header.tag != place.tag {
        return Err(unacceptable("the record belongs elsewhere"));
    }
    is_wanted(&record)?;
    check_standing(services, place, &headers, &record).await?;
    // Once begun it is seen through, whether the client waits for it or not.
    let putting = tokio::spawn(services.hub.clone().put(id, record.clone()));
    let taken = putting
        .await
        .unwrap_or(Err(PutError::Closed(CloseReason::Internal)))
        .map_err(|error| refused(&error))?;
    Ok((record, taken))
}

/// As records from peers are.
fn verify(text: Bytes, id: &CollectionId) -> Result<Verified, Problem> {
    let checked = Message::Records(vec![text]).check(id, &mut UnwrapErr(SysRng));
    match checked {
        Ok(Checked::Records(mut records)) if records.len() == 1 => {
            records.pop().ok_or_else(|| unacceptable("no record"))
        }
        Ok(_) => Err(unacceptable("no record")),
        Err(Violation::Signature(error)) => Err(unacceptable(error.to_string())),
        Err(error) => Err(unacceptable(error.to_string())),
    }
}

/// What the client demands of the record that it replaces (RFC 9110, section 13.1).
async fn check_standing(
    services: &Services,
    place: Place,
    headers: &HeaderMap,
    record: &Verified,
) -> Result<(), Problem> {
    let demands = |name| headers.contains_key(name);
    if !demands(header::IF_MATCH) && !demands(header::IF_NONE_MATCH) {
        return Ok(());
    }
    let header = record.header();
    let query = Query::of(header.owner, header.author);
    let there = read::standing(services, place, query).await?;
    let tag = there.as_ref().map(read::etag);
    let is = |name| {
        tag.as_ref()
            .is_some_and(|tag| read::matches(headers, name, tag))
    };
    let holds =
        (!demands(header::IF_MATCH) || is(&header::IF_MATCH)) && !is(&header::IF_NONE_MATCH);
    if holds {
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "changed",
        "something else stands there",
    );
    Err(match there {
        Some(stamp) => problem.with("digest", stamp.digest.to_string()),
        None => problem,
    })
}

fn unacceptable(why: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "bad-record",
        "not a record that belongs here",
    );
    problem.detail(why)
}

fn refused(error: &PutError) -> Problem {
    let full = || Problem::new(StatusCode::INSUFFICIENT_STORAGE, "full", "there is no room");
    let read_only = || {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "read-only",
            "the store takes no writes",
        )
    };
    match error {
        PutError::Refused(reason, retry) => {
            let problem = match reason {
                RefusalReason::TooNew => Problem::new(
                    StatusCode::CONFLICT,
                    "too-new",
                    "the record is of a time to come",
                ),
                RefusalReason::Policy => Problem::new(
                    StatusCode::FORBIDDEN,
                    "policy",
                    "the collection does not admit this",
                ),
                RefusalReason::Full => full(),
                _ => read_only(),
            };
            let seconds = retry.map(|ms| HeaderValue::from(ms.div_ceil(1000)));
            match seconds {
                Some(seconds) => problem.header(header::RETRY_AFTER, seconds),
                None => problem,
            }
        }
        PutError::NotStored(StorageError::Full) => full(),
        PutError::NotStored(_) => read_only(),
        PutError::Closed(CloseReason::Limit) => Problem::overloaded(),
        PutError::Closed(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "internal",
            "the collection cannot be opened",
        ),
    }
}
