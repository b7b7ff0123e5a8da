//! JavaScript clients: the requests by which they connect over WebRTC.
//!
//! | request | answers |
//! |---|---|
//! | `POST /flexstore/sync/{type}/{label}/{uuid}` with an offer | the answer; the channels of the connection carry collections |
//! | `POST /flexstore/requestDataChannel/test/echo/{tag}` with an offer | the answer; what comes on a channel goes back |
//!
//! In the original the uuid stands for a client, and who knows it can end that client's connection.
//! Here it means nothing.

use std::net::IpAddr;
use std::sync::Arc;

use flexstore_core::link::Link;
use flexstore_core::record::js::Shelf;
use flexstore_transports::webrtc::javascript::{self, MAX_SIGNALS_BYTES, With};
use flexstore_transports::webrtc::{ConnectError, Settings};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::{Answer, Asked, Problem, Services, whole};

/// The most connections of JavaScript clients, those in the making with them; who comes beyond is
/// answered 503.
pub const MAX_JAVASCRIPT_CONNECTIONS: usize = 2048;

/// What the handlers need.
pub(crate) struct Dialect {
    settings: Settings,
    seats: Arc<Semaphore>,
}

impl Dialect {
    /// Reached at these addresses: all there are if none is given.
    pub(crate) fn new(addresses: &[IpAddr]) -> Self {
        let mut settings = Settings::default();
        settings.addresses = addresses.to_vec();
        Self {
            settings,
            seats: Arc::new(Semaphore::new(MAX_JAVASCRIPT_CONNECTIONS)),
        }
    }

    async fn connect(
        &self,
        services: &Services,
        asked: Asked,
    ) -> Result<(Answer, Link, OwnedSemaphorePermit), Problem> {
        if *asked.method() != Method::POST {
            return Err(Problem::method("POST"));
        }
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| Problem::overloaded())?;
        let offer = asked.body(&services.room, MAX_SIGNALS_BYTES).await?.bytes;
        let offer = str::from_utf8(&offer).map_err(|_| Problem::bad_request("not UTF-8"))?;
        let answered = javascript::answer(offer, With::Relay, &[], &self.settings).await;
        let (answer, link) = answered.map_err(|error| match error {
            ConnectError::Signal(error) => Problem::bad_request(error.to_string()),
            _ => Problem::overloaded(),
        })?;
        Ok((
            whole(StatusCode::OK, "application/json", answer),
            link,
            seat,
        ))
    }
}

/// Connects a client, whose first collection is named.
pub(crate) async fn sync(
    services: &Arc<Services>,
    kind: &str,
    name: &str,
    asked: Asked,
) -> Result<Answer, Problem> {
    let label = format!("{kind}/{name}");
    Shelf::parse(&label).map_err(|_| Problem::not_found())?;
    let (answer, link, seat) = services.dialect.connect(services, asked).await?;
    let services = Arc::clone(services);
    tokio::spawn(async move {
        (services.native)(link).await;
        drop(seat);
    });
    Ok(answer)
}

/// Connects a client to itself, to see whether that works.
pub(crate) async fn echo(services: &Arc<Services>, asked: Asked) -> Result<Answer, Problem> {
    let (answer, link, seat) = services.dialect.connect(services, asked).await?;
    let mut stopping = services.stopping.clone();
    tokio::spawn(async move {
        let Link {
            incoming,
            mut outgoing,
            ..
        } = link;
        let mut frames = incoming.take_while(|frame| {
            // A channel that is closed says nothing.
            let goes_on = frame.as_ref().is_ok_and(|frame| frame.last() != Some(&0));
            std::future::ready(goes_on)
        });
        let echoing = outgoing.send_all(&mut frames);
        tokio::select! {
            _ = echoing => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        drop(seat);
    });
    Ok(answer)
}
