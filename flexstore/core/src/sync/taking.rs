//! Taking records in: from peers, from this device's own writes, from the JavaScript front.

use super::event::{Origin, Output, Ticket};
use super::replica::{Effect, MAX_AHEAD_MS, Replica};
use super::session::{Session, SessionId};
use super::writing::Refusal;
use crate::Verified;
use crate::admission::{Admission, Contender, admit};
use crate::authority::{TeamRecord, js};
use crate::record::js as javascript;
use crate::register::{Resting, Row};
use crate::storage::StorageError;
use crate::wire::{CloseReason, Message, RefusalReason};

/// When a peer without room is offered a record again, in milliseconds.
const RETRY_FULL_MS: u64 = 60 * 1000;

/// What became of a record that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is of the set.
    New,
    /// It was there already.
    Known,
    /// This record displaces it.
    Displaced(Row),
}

pub(super) type Admitted = Taken;

/// Why a record that was offered is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// It belongs in another collection.
    #[error("the record belongs in another collection")]
    Elsewhere,
    /// For another reason.
    #[error("the record is refused: {reason:?}")]
    Refused {
        /// Why.
        reason: RefusalReason,
        /// In how many milliseconds to try again; not at all if absent.
        retry_after: Option<u64>,
    },
}

impl From<Refusal> for OfferError {
    fn from((reason, retry_after): Refusal) -> Self {
        Self::Refused {
            reason,
            retry_after,
        }
    }
}

impl Replica {
    /// Takes a record that came another way than over a session here: made elsewhere, or from a
    /// JavaScript client. Native sessions hear of it as of any other, and `origin` is told with
    /// the update. Acknowledged by [`Output::Stored`] with the ticket.
    ///
    /// # Errors
    /// [`OfferError`]; then nothing was taken.
    pub fn offer(
        &mut self,
        now: u64,
        record: &Verified,
        origin: Origin,
    ) -> Result<(Ticket, Taken), OfferError> {
        if !record.belongs_in(self.register.id()) {
            return Err(OfferError::Elsewhere);
        }
        let taken = self.take(now, record, origin)?;
        Ok((self.acknowledge(), taken))
    }

    /// Of a versioned collection of the js profile: keeps the root that an owner signed, if it is
    /// the last one; a root that names another as its owner is none of the owner's. Replicas do
    /// not exchange roots. See [`Register::root`](crate::register::Register::root).
    ///
    /// # Errors
    /// [`OfferError`]; then nothing was kept.
    pub fn keep_root(
        &mut self,
        now: u64,
        root: &javascript::Verified,
    ) -> Result<Option<Ticket>, OfferError> {
        let header = root.header();
        if header.collection != *self.register.id() || root.heads().is_empty() {
            return Err(OfferError::Elsewhere);
        }
        self.in_time(now, header.iat)?;
        if root.claimed().is_some() {
            return Ok(None);
        }
        let stored = |error: &StorageError| OfferError::from(refusal(error));
        self.before(&header.tag).map_err(|e| stored(&e))?;
        let there = self.register.root(&header.tag, &header.owner);
        let there = there.map_err(|e| stored(&e))?;
        if there.is_some_and(|there| there.stamp() >= root.stamp()) {
            return Ok(None);
        }
        self.register.put_root(&mut self.work.batch, root);
        self.work.touched.insert(header.tag.clone());
        Ok(Some(self.acknowledge()))
    }

    fn acknowledge(&mut self) -> Ticket {
        let ticket = Ticket(self.number());
        self.work.effects.push(Effect::Written(ticket));
        ticket
    }

    fn in_time(&self, now: u64, iat: u64) -> Result<(), Refusal> {
        if iat > now + MAX_AHEAD_MS {
            return Err((RefusalReason::TooNew, Some(iat - MAX_AHEAD_MS - now)));
        }
        Ok(())
    }

    pub(super) fn receive(&mut self, now: u64, from: SessionId, records: Vec<Verified>) {
        if !self.sessions.get(&from).is_some_and(Session::is_open) {
            return self.close(from, CloseReason::Protocol);
        }
        for record in records {
            let digest = record.digest();
            if !record.belongs_in(self.register.id()) {
                return self.close(from, CloseReason::BadRecord);
            }
            let Some(session) = self.sessions.get_mut(&from) else {
                return;
            };
            let synced = session.arrived(&digest, record.sent().len());
            let origin = if synced {
                Origin::Synced(from)
            } else {
                Origin::Pushed(from)
            };
            if let Err((reason, retry_after)) = self.take(now, &record, origin) {
                let message = Message::Refused {
                    digest,
                    reason,
                    retry_after,
                };
                self.outputs.push_back(Output::Send {
                    session: from,
                    message,
                });
            }
            self.work.effects.push(Effect::Handled(from, digest));
        }
    }

    fn take(&mut self, now: u64, record: &Verified, origin: Origin) -> Result<Admitted, Refusal> {
        let header = record.header();
        self.in_time(now, header.iat)?;
        if !self.admits(record) {
            return Err((RefusalReason::Policy, None));
        }
        let tag = header.tag.clone();
        let result = self
            .before(&tag)
            .and_then(|()| self.admit(now, record, origin));
        result.map_err(|error| refusal(&error))
    }

    pub(super) fn admit(
        &mut self,
        now: u64,
        record: &Verified,
        origin: Origin,
    ) -> Result<Admitted, StorageError> {
        if self.register.id().is_javascript_team() {
            return self.admit_team(record, origin);
        }
        let header = record.header();
        let standing = self.standing(&header.owner, &header.author, header.iat)?;
        let row = Row::of(record, standing);
        let group = self.register.rivals(&row)?;
        let kind = self.kind();
        let batch = &mut self.work.batch;
        if let Some(there) = group.iter().find(|there| there.stamp == row.stamp) {
            if there.archived {
                self.register.put(batch, &row, record);
                self.work.touched.insert(row.tag);
            }
            return Ok(Admitted::Known);
        }
        let there: Vec<Contender> = group.iter().map(Row::contender).collect();
        match admit(kind, &there, &row.contender()) {
            Admission::Displaced { by } => {
                let successor = group[by].stamp.digest;
                // A write that fails leaves nothing that a Team record could bring back.
                let fails = origin == Origin::Written && group[by].tombstone;
                if !fails && self.register.resting(&row.stamp.digest)?.is_none() {
                    let resting = Resting {
                        since: now,
                        successor,
                    };
                    self.register.keep(batch, record);
                    self.register.rest(batch, &row, resting);
                    self.register.note_state(batch, &row);
                    self.work.touched.insert(row.tag);
                }
                Ok(Admitted::Displaced(group[by].clone()))
            }
            Admission::Admitted { displaced } => {
                let resting = Resting {
                    since: now,
                    successor: row.stamp.digest,
                };
                for &at in &displaced {
                    self.register.displace(batch, &group[at], resting);
                }
                // It may have rested, and been offered again before its turn to be judged.
                if self.register.may_return(&row)
                    && self.register.resting(&row.stamp.digest)?.is_some()
                {
                    self.register.restore(batch, &row);
                }
                self.register.put(batch, &row, record);
                self.work.touched.insert(row.tag.clone());
                if self.register.id().is_team() {
                    self.note_team_change(&row.owner);
                }
                if !displaced.is_empty() {
                    let displaced = displaced.into_iter().map(|at| group[at].stamp).collect();
                    self.work.effects.push(Effect::Left(displaced));
                }
                self.work.effects.push(Effect::Joined(row, origin));
                Ok(Admitted::New)
            }
        }
    }

    /// In the credential collections a tag is a key, and only its holder owns what is under it.
    /// Team records are never deleted: a team without members is one more record.
    pub(super) fn admits(&self, record: &Verified) -> bool {
        let (id, header) = (self.register.id(), record.header());
        (!id.is_credential() || header.tag.belongs_to(&header.owner))
            && (!id.is_team() || TeamRecord::of(record).is_ok())
            && (!id.is_javascript_team() || is_javascript_team(record))
            && self
                .settings
                .policy
                .admits(&header.owner, &header.author, &header.encryption)
    }
}

fn is_javascript_team(record: &Verified) -> bool {
    javascript::Verified::of(record).is_some_and(|record| js::TeamRecord::of(&record).is_ok())
}

pub(super) fn refusal(error: &StorageError) -> Refusal {
    match error {
        StorageError::Full => (RefusalReason::Full, Some(RETRY_FULL_MS)),
        _ => (RefusalReason::ReadOnly, None),
    }
}
