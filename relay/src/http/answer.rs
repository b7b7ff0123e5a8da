//! Answers: bodies of every kind under one type, and problems (RFC 9457).

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(crate) type Answer = Response<Body>;

/// A whole body, with its type.
pub(crate) fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default().boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// What goes on in the answer's body, said in JSON.
pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    whole(status, "application/json", body.to_string())
}

/// Why a request is not done, in the words of RFC 9457. Boxed: most requests are done.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Words>);

#[derive(Debug, Clone)]
struct Words {
    status: StatusCode,
    /// The last part of its type, `urn:flexstore:problem:NAME`.
    name: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, name: &'static str, title: &'static str) -> Self {
        Self(Box::new(Words {
            status,
            name,
            title,
            detail: None,
            headers: Vec::new(),
            more: Map::new(),
        }))
    }

    /// What is special about this one.
    pub(crate) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// A header of the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// A further member of the body.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "nothing is here")
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "not a request as it should be",
        );
        problem.detail(detail)
    }

    /// For a path that is known, and a method that is not known there.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "this is not done here",
        );
        problem.header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    pub(crate) fn too_long(limit: usize) -> Self {
        let problem = Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-long",
            "the body is too long",
        );
        problem.detail(format!("at most {limit} bytes"))
    }

    pub(crate) fn overloaded() -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "the relay has too much to do",
        );
        problem.header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }
}

impl From<Problem> for Answer {
    fn from(Problem(words): Problem) -> Self {
        let mut body = json!({
            "type": format!("urn:flexstore:problem:{}", words.name),
            "title": words.title,
            "status": words.status.as_u16(),
        });
        if let Some(members) = body.as_object_mut() {
            members.extend(
                words
                    .detail
                    .map(|detail| ("detail".to_owned(), detail.into())),
            );
            members.extend(words.more);
        }
        let mut answer = whole(words.status, "application/problem+json", body.to_string());
        answer.headers_mut().extend(words.headers);
        answer
    }
}
