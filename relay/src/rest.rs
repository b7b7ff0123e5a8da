//! Single items over HTTP: `/flexstore/{Kind}/{collection}/{tag}`.
//!
//! | request | answers |
//! |---|---|
//! | `GET`, `HEAD` | 200 the record's text; 300 whose and by whom, where there are several; 304; 404; 410 with the tombstone |
//! | `GET …?versions` | 200 the versions of a subject, oldest first |
//! | `PUT` a record | 201 when it is durable; 200 where it was there already, or another displaces it, which is named |
//! | `DELETE` a tombstone | 204 when it is durable; 409 where a later record stands |
//!
//! The query chooses: `owner`, `author`, `digest` (of the record, or the state tag of a version),
//! and `at` (ms since 1970) for the version in force then. The relay signs nothing, so who deletes
//! sends a signed tombstone. What is verified is verified before the collection sees it.

mod choice;
mod read;
mod write;

use flexstore_core::{CollectionId, Tag};
use hyper::Method;

use crate::http::{Answer, Asked, Problem, Services};

/// What a path names.
pub(crate) struct Place {
    collection: CollectionId,
    tag: Tag,
}

impl Place {
    /// Of a path's last three segments, decoded; `None` if they name none that could be.
    pub(crate) fn parse(kind: &str, collection: &str, tag: &str) -> Option<Self> {
        let collection = CollectionId::parse(&format!("{kind}/{collection}")).ok()?;
        let tag = Tag::new(tag).ok()?;
        Some(Self { collection, tag })
    }
}

/// Answers a request about an item.
pub(crate) async fn answer(
    services: &Services,
    place: Place,
    asked: Asked,
) -> Result<Answer, Problem> {
    match *asked.method() {
        Method::GET | Method::HEAD => read::answer(services, place, &asked).await,
        Method::PUT => write::put(services, place, asked).await,
        Method::DELETE => write::delete(services, place, asked).await,
        _ => Err(Problem::method("GET, HEAD, PUT, DELETE")),
    }
}
