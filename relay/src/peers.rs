//! Relays among themselves: this relay is an ordinary client of each that it is told of.
//!
//! Every collection that is open here is opened there, so what one of them is given reaches all
//! that are joined, in a chain, a star or a ring. Name each other on both sides: two relays that
//! dialled each other keep one session a collection. Now and then all that is stored here is
//! compared, also what nobody has open.

use std::time::Duration;

use flexstore_core::link::{Backoff, DialError, Dialer, shown};
use flexstore_transports::Transports;
use getrandom::SysRng;
use getrandom::rand_core::TryRng as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::hub::Hub;

/// Dials one relay again and again until `stopping` is true.
pub(crate) async fn follow(
    service: String,
    dialer: Transports,
    hub: Hub,
    mut stopping: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::default();
    let mut told = None;
    loop {
        let dialled = tokio::select! {
            dialled = dialer.dial(&service) => dialled,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match dialled {
            Ok(link) => {
                tracing::info!(peer = shown(&service), "joined");
                told = None;
                let began = Instant::now();
                hub.clone().serve(link, stopping.clone()).await;
                backoff.held(began.elapsed());
            }
            // Once for each kind of trouble, however long it lasts.
            Err(error) if told.as_ref() != Some(&error) => {
                tracing::warn!(peer = shown(&service), %error, "cannot be joined");
                told = Some(error);
            }
            Err(_) => {}
        }
        if told == Some(DialError::UnknownService) {
            return;
        }
        tokio::select! {
            () = sleep(pause(&mut backoff)) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

fn pause(backoff: &mut Backoff) -> Duration {
    // Without chance the waits are only longer.
    let random = SysRng.try_next_u32().map_or(u8::MAX, |word| word as u8);
    backoff.wait(random)
}
