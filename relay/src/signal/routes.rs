//! The service over HTTP.
//!
//! | request | does |
//! |---|---|
//! | `POST slot` | gives a free name: 201, its path in `Location` |
//! | `POST slot/NAME`, `POST topic/NAME` | without a seat takes one: 201, and the seat in `flexstore-seat`; a body is its first message. With it, sends the body, the Nth if `?number=N` (from 0) says so: 204 |
//! | `GET slot/NAME?cursor=N`, `GET topic/NAME?cursor=N` | what came, packed, and the next cursor in `flexstore-cursor`; 204 if nothing did for a while; 410 once the other left |
//! | `DELETE slot/NAME`, `DELETE topic/NAME` | leaves |
//! | the same with an upgrade to WebSocket | a seat for as long as that is open |
//! | `POST signal/answer/NAME`, `GET signal/offer/NAME`, `POST signal/offer/NAME` | of JavaScript clients |

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::wire::signal::javascript::{MAX_SIGNALS_BYTES, Role, Signals};
use flexstore_core::wire::signal::{
    CURSOR_HEADER, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Name, SEAT_HEADER, pack,
};
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::frames::Seat;
use super::inbox::Fetched;
use super::javascript::Arriving;
use super::ledger::Address;
use super::owner::{Place, Signal};
use super::{Refusal, Token};
use crate::http::{Answer, Asked, Problem, Room, empty, is_upgrade, json, upgrade, whole};

/// How long a request waits for something to come.
pub const POLL_TIME: Duration = Duration::from_secs(25);

impl Place {
    const fn most(self) -> usize {
        match self {
            Self::Slot => MAX_MESSAGE_BYTES,
            Self::Topic => MAX_FRAME_BYTES,
        }
    }
}

/// What a request needs beside the service.
pub(crate) struct Around<'a> {
    /// Whose limits count.
    pub(crate) client: IpAddr,
    pub(crate) room: &'a Room,
    pub(crate) stall: Duration,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Signal {
    /// Answers a request for what follows `/flexstore` in its path.
    pub(crate) async fn handle(
        &self,
        path: &[&str],
        asked: Asked,
        around: Around<'_>,
    ) -> Result<Answer, Problem> {
        let address = self.address(around.client);
        let method = asked.method().clone();
        match (path, method) {
            (["slot"], Method::POST) => self.give_name(address).await,
            (["slot"], _) => Err(Problem::method("POST")),
            (["slot", slot], _) => self.seat(Place::Slot, name(slot)?, asked, around).await,
            (["topic", topic], _) => self.seat(Place::Topic, name(topic)?, asked, around).await,
            (["signal", "answer", sought], Method::POST) => {
                let offer = signals(asked, around.room, Role::Offer).await?;
                let _leave = self.poll(address).await?;
                arrived(self.offer(name(sought)?, address, offer).await?).await
            }
            (["signal", "answer", _], _) => Err(Problem::method("POST")),
            (["signal", "offer", sought], Method::GET) => {
                let _leave = self.poll(address).await?;
                arrived(self.seek(name(sought)?, address).await?).await
            }
            (["signal", "offer", sought], Method::POST) => {
                let answer = signals(asked, around.room, Role::Answer).await?;
                self.answer(name(sought)?, address, answer).await?;
                Ok(json(StatusCode::OK, &json!({})))
            }
            (["signal", "offer", _], _) => Err(Problem::method("GET, POST")),
            _ => Err(Problem::not_found()),
        }
    }

    async fn give_name(&self, address: Address) -> Result<Answer, Problem> {
        let name = self.free(address).await?;
        let mut answer = json(StatusCode::CREATED, &json!({ "slot": name.as_str() }));
        let location = format!("/flexstore/slot/{}", name.segment());
        let location = HeaderValue::try_from(location).map_err(|_| Refusal::Full)?;
        answer.headers_mut().insert(header::LOCATION, location);
        Ok(answer)
    }

    async fn seat(
        &self,
        place: Place,
        name: Name,
        asked: Asked,
        around: Around<'_>,
    ) -> Result<Answer, Problem> {
        let address = self.address(around.client);
        match asked.method().clone() {
            Method::GET if is_upgrade(asked.headers()) => {
                let seat = self.take_seat(place, name, address).await?;
                let (stall, stopping) = (around.stall, around.stopping);
                upgrade(asked, move |link| seat.serve(link, stall, stopping))
            }
            Method::GET => self.long_poll(place, address, &asked).await,
            Method::POST => match token(&asked)? {
                Some(token) => {
                    let number = number(&asked, "number", Refusal::Number)?;
                    let body = asked.body(around.room, place.most()).await?;
                    self.send(place, token, body.bytes, number).await?;
                    Ok(empty(StatusCode::NO_CONTENT))
                }
                None => self.enter(place, name, address, asked, around.room).await,
            },
            Method::DELETE => {
                self.leave(place, token(&asked)?.ok_or_else(no_seat)?);
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Problem::method("GET, POST, DELETE")),
        }
    }

    async fn take_seat(&self, place: Place, name: Name, address: Address) -> Result<Seat, Refusal> {
        let token = self.claim(place, name, address).await?;
        Ok(Seat {
            signal: self.clone(),
            place,
            token,
        })
    }

    async fn enter(
        &self,
        place: Place,
        name: Name,
        address: Address,
        asked: Asked,
        room: &Room,
    ) -> Result<Answer, Problem> {
        let first = asked.body(room, place.most()).await?.bytes;
        let token = self.claim(place, name, address).await?;
        if !first.is_empty()
            && let Err(refusal) = self.send(place, token, first, None).await
        {
            self.leave(place, token);
            return Err(refusal.into());
        }
        let mut answer = empty(StatusCode::CREATED);
        let seat = HeaderValue::try_from(token.text()).map_err(|_| Refusal::Full)?;
        answer.headers_mut().insert(SEAT_HEADER, seat);
        Ok(answer)
    }

    async fn long_poll(
        &self,
        place: Place,
        address: Address,
        asked: &Asked,
    ) -> Result<Answer, Problem> {
        let token = token(asked)?.ok_or_else(no_seat)?;
        let cursor = number(asked, "cursor", Refusal::Cursor)?.unwrap_or(0);
        let _leave = self.poll(address).await?;
        let until = Instant::now() + POLL_TIME;
        loop {
            match self.fetch(place, token, cursor).await? {
                Fetched::Messages(messages, next) => {
                    let body = pack(&messages);
                    let mut answer = whole(StatusCode::OK, "application/octet-stream", body);
                    let headers = answer.headers_mut();
                    headers.insert(CURSOR_HEADER, next.into());
                    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    return Ok(answer);
                }
                Fetched::Nothing(bell) => {
                    if timeout_at(until, bell.notified()).await.is_err() {
                        return Ok(empty(StatusCode::NO_CONTENT));
                    }
                }
            }
        }
    }
}

fn name(text: &str) -> Result<Name, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_request("no such name"))
}

/// The seat that a request shows.
fn token(asked: &Asked) -> Result<Option<Token>, Problem> {
    let Some(value) = asked.headers().get(SEAT_HEADER) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(Token::parse);
    // What was never given is gone as well.
    token.map(Some).ok_or_else(|| Refusal::Gone.into())
}

fn no_seat() -> Problem {
    Problem::bad_request("this needs the header flexstore-seat")
}

/// A parameter of the query.
fn number(asked: &Asked, name: &str, refusal: Refusal) -> Result<Option<u64>, Problem> {
    let query = asked.query()?;
    let found = query.into_iter().find(|(found, _)| found == name);
    let number = found.map(|(_, text)| text.parse().map_err(|_| refusal.into()));
    number.transpose()
}

async fn signals(asked: Asked, room: &Room, role: Role) -> Result<Bytes, Problem> {
    let body = asked.body(room, MAX_SIGNALS_BYTES).await?.bytes;
    match Signals::parse(&body) {
        Ok(signals) if signals.role == role => Ok(body),
        Ok(_) => Err(Problem::bad_request(format!("not an {}", role.word()))),
        Err(bad) => Err(Problem::bad_request(bad.to_string())),
    }
}

async fn arrived(arriving: Arriving) -> Result<Answer, Problem> {
    let signals = arriving.await.map_err(|_| {
        let title = "the other side did not come in time";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "nobody-came", title)
    })?;
    Ok(whole(StatusCode::OK, "application/json", signals))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = |status, name| Self::new(status, name, "the rendezvous does not take place");
        let problem = match refusal {
            Refusal::Taken => problem(StatusCode::CONFLICT, "taken"),
            Refusal::Nobody => problem(StatusCode::NOT_FOUND, "nobody"),
            Refusal::Gone => problem(StatusCode::GONE, "gone"),
            Refusal::TooOften => later(problem(StatusCode::TOO_MANY_REQUESTS, "too-often")),
            Refusal::TooMany => later(problem(StatusCode::TOO_MANY_REQUESTS, "too-many")),
            Refusal::Full => later(problem(StatusCode::SERVICE_UNAVAILABLE, "full")),
            Refusal::TooLong => Self::too_long(MAX_MESSAGE_BYTES),
            Refusal::Spent => problem(StatusCode::FORBIDDEN, "spent"),
            Refusal::Cursor => problem(StatusCode::BAD_REQUEST, "cursor"),
            Refusal::Number => problem(StatusCode::BAD_REQUEST, "number"),
            Refusal::Stopping => Self::overloaded(),
        };
        problem.detail(refusal.to_string())
    }
}

fn later(problem: Problem) -> Problem {
    problem.header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}
