//! The thread that makes batches durable, one fsync for all that came since the last.
//!
//! Submitting never waits for it: it reads the number of the last batch applied, fsyncs, and tells
//! that number. Whatever was submitted meanwhile belongs to the next round, which starts at once.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flexstore_core::storage::{Progress, Sequence};

use crate::backend::{Backend, Fault};
use crate::mark::QUIET;
use crate::open::OpenError;
use crate::store::{Health, Shared};

/// How often a full disk is looked at.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

/// How long readers are kept waiting at a time until those inside the old engine have left it, and
/// how long they are let in when one of them does not leave.
const DRAIN: Duration = Duration::from_millis(500);
const LET_IN: Duration = Duration::from_millis(100);

/// Runs until the store is dropped, then closes the engine.
pub(crate) fn run<B: Backend>(shared: &Shared<B>) {
    let mut settled = Sequence(0);
    // Something is durable that the mark may not tell of.
    let mut unmarked = false;
    loop {
        let (health, stop, quiet) = wait(shared, unmarked);
        let target = shared.submitted();
        match health {
            Health::Open if target > settled => match sync(shared) {
                Ok(()) => {
                    settled = target;
                    shared.tell(Progress::Durable(target));
                    unmarked = true;
                    settle(shared, false);
                }
                Err(fault) => {
                    shared.fail(&fault);
                }
            },
            Health::Open if quiet => {
                unmarked = false;
                settle(shared, true);
            }
            Health::Open => {}
            Health::Full | Health::ReadOnly => {
                if target > settled {
                    settled = target;
                    shared.tell(Progress::Failed(target));
                }
                if health == Health::Full && !stop && shared.has_room() {
                    reopen(shared);
                }
            }
        }
        if stop && (health != Health::Open || shared.submitted() == settled) {
            break;
        }
    }
    close(shared);
}

/// Sleeps until there is something to do. Last, whether it is for want of anything else.
fn wait<B: Backend>(shared: &Shared<B>, unmarked: bool) -> (Health, bool, bool) {
    let mut mail = shared.mail();
    while !mail.rung && !mail.stop {
        let patience = match mail.health {
            Health::Full => Some(LOOK_FOR_ROOM),
            Health::Open if unmarked => Some(QUIET),
            Health::Open | Health::ReadOnly => None,
        };
        mail = if let Some(patience) = patience {
            let (mail, waited) = shared
                .bell
                .wait_timeout(mail, patience)
                .unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() && !mail.rung {
                return (mail.health, mail.stop, true);
            }
            mail
        } else {
            shared
                .bell
                .wait(mail)
                .unwrap_or_else(PoisonError::into_inner)
        };
    }
    mail.rung = false;
    (mail.health, mail.stop, false)
}

/// An fsync that fails here is as final as any other.
fn settle<B: Backend>(shared: &Shared<B>, quiet: bool) {
    let Some(engine) = shared.engine() else {
        return;
    };
    if let Err(fault) = engine.settle(quiet) {
        shared.fail(&fault);
    }
}

fn sync<B: Backend>(shared: &Shared<B>) -> Result<(), Fault> {
    match shared.engine() {
        Some(engine) => engine.sync(),
        None => Err(Fault::Stopped),
    }
}

/// Ends the engine that ran into a full disk and opens it again. Nothing is submitted meanwhile,
/// and readers wait; but one inside a scan may wait for another thread that reads, so the lock is
/// let go of from time to time until the last reader has left.
fn reopen<B: Backend>(shared: &Shared<B>) {
    let order = shared.order();
    loop {
        let mut slot = shared.engine_slot();
        if let Some(mut engine) = slot.take() {
            let until = Instant::now() + DRAIN;
            let old = loop {
                match Arc::try_unwrap(engine) {
                    Ok(old) => break Some(old),
                    Err(in_use) => engine = in_use,
                }
                if Instant::now() > until {
                    *slot = Some(engine);
                    break None;
                }
                thread::sleep(Duration::from_millis(1));
            };
            let Some(old) = old else {
                drop(slot);
                if shared.mail().stop {
                    return;
                }
                thread::sleep(LET_IN);
                continue;
            };
            old.abandon();
        }
        let health = match shared.open_engine() {
            Ok(engine) => {
                *slot = Some(Arc::new(engine));
                tracing::info!("there is room again: the store takes writes");
                Health::Open
            }
            Err(OpenError::Full | OpenError::Locked) => Health::Full,
            Err(error) => {
                tracing::error!(%error, "the store does not open again");
                Health::ReadOnly
            }
        };
        drop(slot);
        shared.mail().health = health;
        drop(order);
        return;
    }
}

fn close<B: Backend>(shared: &Shared<B>) {
    let engine = shared.engine_slot().take();
    let health = shared.mail().health;
    if let Some(engine) = engine.and_then(Arc::into_inner) {
        if health == Health::Open {
            engine.close();
        } else {
            engine.abandon();
        }
    }
}
