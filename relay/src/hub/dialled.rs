//! What this relay opens on a link that it dialled: the collections that are open here, and now and
//! then, for a moment, all that it stores.

use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::time::Duration;

use flexstore_core::CollectionId;
use flexstore_core::wire::MAX_CHANNELS;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Hub;
use super::link::{Seat, Seats};

/// How often it is looked at which channels are missing: for collections that the other relay had
/// a session for already, and may no longer have.
const REVIEW: Duration = Duration::from_secs(30);
/// Every so many reviews, and at the first, the collections that nobody has open are compared too.
const ROUND: u64 = 20;

/// The collections to open on one link.
pub(super) struct Dialled {
    hub: Hub,
    openings: Option<broadcast::Receiver<CollectionId>>,
    review: Interval,
    reviews: u64,
    /// A review is under way.
    due: bool,
    waiting: BTreeSet<CollectionId>,
    channels: HashMap<CollectionId, u32>,
    next: u32,
}

impl Dialled {
    pub(super) fn new(hub: &Hub) -> Self {
        let mut review = interval(REVIEW);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let openings = hub.openings.upgrade();
        Self {
            hub: hub.clone(),
            openings: openings.map(|openings| openings.subscribe()),
            review,
            reviews: 0,
            due: false,
            waiting: BTreeSet::new(),
            channels: HashMap::new(),
            next: 0,
        }
    }

    /// Waits for the next collection to open. Nothing is lost where it is not awaited to the end.
    pub(super) async fn next(&mut self, seats: &Seats) -> CollectionId {
        loop {
            self.channels
                .retain(|_, channel| seats.get(channel).is_some_and(Seat::is_held));
            self.waiting.retain(|id| !self.channels.contains_key(id));
            if self.channels.len() < MAX_CHANNELS as usize
                && let Some(id) = self.waiting.pop_first()
            {
                return id;
            }
            if self.due {
                let stored = self.reviews.is_multiple_of(ROUND);
                self.waiting.extend(self.hub.collections(stored).await);
                self.reviews += 1;
                self.due = false;
                continue;
            }
            tokio::select! {
                opened = opened(&mut self.openings) => match opened {
                    Ok(id) => {
                        self.waiting.insert(id);
                    }
                    Err(RecvError::Lagged(_)) => self.due = true,
                    Err(RecvError::Closed) => self.openings = None,
                },
                _ = self.review.tick() => self.due = true,
            }
        }
    }

    /// A number for the channel of a collection.
    pub(super) fn channel(&mut self, id: &CollectionId) -> u32 {
        self.next += 1;
        self.channels.insert(id.clone(), self.next);
        self.next
    }
}

async fn opened(
    openings: &mut Option<broadcast::Receiver<CollectionId>>,
) -> Result<CollectionId, RecvError> {
    match openings {
        Some(openings) => openings.recv().await,
        None => pending().await,
    }
}
