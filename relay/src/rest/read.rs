//! What is there.

use bytes::Bytes;
use flexstore_core::Kind;
use flexstore_core::record::Stamp;
use flexstore_core::register::{Register, Row};
use flexstore_core::storage::StorageError;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::Place;
use super::choice::{Choice, Query, choose, versions};
use crate::http::{self, Answer, Asked, Problem, Services};

/// Content under its hash never changes.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Anything else is to be asked for again, which `ETag` makes cheap.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// What is to be told.
enum Found {
    Nothing,
    Record(Row, Bytes),
    /// The text was dropped; only its row is left.
    Archived(Row),
    Several(Vec<Row>),
    Versions(Vec<Row>),
}

pub(super) async fn answer(
    services: &Services,
    place: Place,
    asked: &Asked,
) -> Result<Answer, Problem> {
    let query = Query::read(&asked.query()?)?;
    let kind = place.collection.kind();
    let register = services.hub.register(place.collection.clone());
    let found = find(register, place, query).await?;
    Ok(match found {
        Found::Nothing => return Err(Problem::not_found()),
        Found::Archived(row) => {
            let problem = Problem::not_found().detail("the text was archived; a peer may have it");
            return Err(problem.with("digest", row.stamp.digest.to_string()));
        }
        Found::Several(rows) => listed(StatusCode::MULTIPLE_CHOICES, "candidates", &rows),
        Found::Versions(rows) => listed(StatusCode::OK, "versions", &rows),
        Found::Record(row, text) => record(kind, &row, text, asked.headers()),
    })
}

/// The record that stands where this one is to go.
pub(super) async fn standing(
    services: &Services,
    place: Place,
    query: Query,
) -> Result<Option<Stamp>, Problem> {
    let register = services.hub.register(place.collection.clone());
    Ok(match find(register, place, query).await? {
        Found::Record(row, _) | Found::Archived(row) => Some(row.stamp),
        _ => None,
    })
}

async fn find(register: Register, place: Place, query: Query) -> Result<Found, Problem> {
    let look = move || look(&register, &place, &query);
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(%error, "an item cannot be read");
            Err(unreadable())
        }
        Err(_) => Err(unreadable()),
    }
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "storage",
        "the store cannot be read",
    )
}

fn look(register: &Register, place: &Place, query: &Query) -> Result<Found, StorageError> {
    let rows = register.rows(&place.tag)?;
    if query.versions {
        return Ok(match versions(&place.tag, &rows, query) {
            Ok(rows) if rows.is_empty() => Found::Nothing,
            Ok(rows) => Found::Versions(rows),
            Err(rows) => Found::Several(rows),
        });
    }
    let kind = place.collection.kind();
    let row = match choose(kind, &place.tag, &rows, query) {
        Choice::Nothing => return Ok(Found::Nothing),
        Choice::Several(rows) => return Ok(Found::Several(rows)),
        Choice::One(row) | Choice::Deleted(row) => row,
    };
    // Also of what a writer displaces meanwhile the text is still there.
    Ok(match register.record(&row.stamp.digest)? {
        Some(record) => Found::Record(row, record.text().clone()),
        None => Found::Archived(row),
    })
}

/// The type of a record's text: two signatures are the general form of RFC 7515.
fn type_of(text: &[u8]) -> &'static str {
    if text.starts_with(b"{") {
        "application/jose+json"
    } else {
        "application/jose"
    }
}

fn record(kind: Kind, row: &Row, text: Bytes, asked: &HeaderMap) -> Answer {
    let tag = etag(&row.stamp);
    let mut answer = if row.tombstone {
        http::whole(StatusCode::GONE, type_of(&text), text)
    } else if matches(asked, &header::IF_NONE_MATCH, &tag) {
        http::empty(StatusCode::NOT_MODIFIED)
    } else {
        http::whole(StatusCode::OK, type_of(&text), text)
    };
    let for_good = kind == Kind::Immutable && !row.tombstone;
    let cache = if for_good { FOR_GOOD } else { ASK_AGAIN };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, cache);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

/// The tag of a record for caches: its digest.
pub(super) fn etag(stamp: &Stamp) -> String {
    format!("\"{}\"", stamp.digest)
}

/// Whether a list of entity tags (RFC 9110, section 8.8.3) holds one. A cache may weaken it.
pub(super) fn matches(headers: &HeaderMap, name: &header::HeaderName, tag: &str) -> bool {
    let values = headers.get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).any(|list| {
        list.split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    })
}

fn listed(status: StatusCode, name: &str, rows: &[Row]) -> Answer {
    let rows: Vec<Value> = rows.iter().map(described).collect();
    let mut answer = http::json(status, &json!({ name: rows }));
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, ASK_AGAIN);
    answer
}

fn described(row: &Row) -> Value {
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    add("owner", row.owner.to_string().into());
    add("author", row.author.to_string().into());
    add("iat", row.stamp.iat.into());
    add("digest", row.stamp.digest.to_string().into());
    add("tombstone", row.tombstone.into());
    add("archived", row.archived.into());
    if let Some(state) = row.state {
        add("state", state.to_string().into());
    }
    if let Some(ant) = row.ant {
        add("ant", ant.to_string().into());
    }
    Value::Object(members)
}
