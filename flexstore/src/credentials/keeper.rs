//! Watches the teams: tells the app what changes, pins what it sees first, and makes again a
//! change of ours that lost a fork.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flexstore_core::authority::{Authority, Judgement, TeamRecord, Unjudged};
use flexstore_core::{Digest, KeyTag};
use futures_core::Stream;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::team::TeamName;
use crate::collection::Missed;
use crate::peer::{Peer, WeakPeer};

/// Events that a slow listener may be behind.
pub(crate) const EVENTS: usize = 1024;

/// What the app may want to show of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TeamEvent {
    /// Its list is another now, or was seen for the first time.
    Changed {
        /// Which team.
        team: KeyTag,
        /// Members that are new.
        added: Vec<KeyTag>,
        /// Members that are gone.
        removed: Vec<KeyTag>,
        /// The record that is the last in force.
        record: Digest,
        /// The single key that signed it.
        by: KeyTag,
    },
    /// Two records follow one; this one lost, and what it changed does not hold.
    Forked {
        /// Which team.
        team: KeyTag,
        /// The record that lost.
        lost: Digest,
        /// The single key that signed it.
        by: KeyTag,
    },
    /// A change of ours had lost a fork, and was made again.
    MadeAgain {
        /// Which team.
        team: KeyTag,
        /// The record that had lost.
        lost: Digest,
        /// The record that makes its change again.
        record: Digest,
    },
    /// A change of ours lost a fork, and we cannot make it again: we are no member there.
    DidNotStick {
        /// Which team.
        team: KeyTag,
        /// The record that lost.
        lost: Digest,
    },
    /// There are several first records and none is pinned: nothing of the team counts until
    /// [`pin`](super::Credentials::pin) says which is right.
    Rivals {
        /// Which team.
        team: KeyTag,
    },
}

/// A stream of [`TeamEvent`]s.
pub struct TeamEvents {
    stream: BroadcastStream<TeamEvent>,
}

impl TeamEvents {
    pub(crate) fn new(receiver: broadcast::Receiver<TeamEvent>) -> Self {
        Self {
            stream: BroadcastStream::new(receiver),
        }
    }
}

impl Stream for TeamEvents {
    type Item = Result<TeamEvent, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.stream).poll_next(cx);
        next.map_err(|BroadcastStreamRecvError::Lagged(count)| Missed(count))
    }
}

/// What was last seen of a team.
#[derive(Default)]
struct Seen {
    members: BTreeSet<KeyTag>,
    head: Option<Digest>,
    sidelined: BTreeSet<Digest>,
    rivals: bool,
}

/// Runs until the peer is gone.
pub(crate) async fn run(peer: WeakPeer, mut changes: watch::Receiver<u64>) {
    // The store is held only while the peer is, so that it closes with it.
    let mut heeded = 0;
    let mut seen: BTreeMap<KeyTag, Seen> = BTreeMap::new();
    while changes.changed().await.is_ok() {
        let Some(peer) = peer.upgrade() else { return };
        let mut authority = Authority::resume(peer.storage(), heeded);
        // What cannot be read now is read with the next change.
        let Ok(changed) = authority.refresh() else {
            continue;
        };
        heeded = authority.seen();
        for team in changed {
            if let Ok(Some(judgement)) = authority.of(&team) {
                look(&peer, team, &judgement, seen.entry(team).or_default()).await;
            }
        }
    }
}

async fn look(peer: &Peer, team: KeyTag, judgement: &Arc<Judgement>, seen: &mut Seen) {
    let rivals = judgement.why_unjudged() == Some(Unjudged::Rivals);
    if rivals && !seen.rivals {
        peer.tell(TeamEvent::Rivals { team });
    }
    seen.rivals = rivals;
    let Some(head) = judgement.head() else { return };
    if seen.head != Some(head.digest) {
        let members: BTreeSet<KeyTag> = judgement.seniority().iter().copied().collect();
        let added = members.difference(&seen.members).copied().collect();
        let removed = seen.members.difference(&members).copied().collect();
        seen.members = members;
        seen.head = Some(head.digest);
        peer.tell(TeamEvent::Changed {
            team,
            added,
            removed,
            record: head.digest,
            by: head.author,
        });
    }
    let credentials = peer.credentials();
    if matches!(credentials.keyring().pin_of(&team), Ok(None)) {
        let record = judgement.path()[0].digest;
        let _ = credentials.pin_seen(&TeamName { tag: team, record }).await;
    }
    for lost in judgement.sidelined() {
        if !seen.sidelined.insert(lost.digest) {
            continue;
        }
        peer.tell(TeamEvent::Forked {
            team,
            lost: lost.digest,
            by: lost.author,
        });
        if credentials.keyring().get(&lost.author).is_some() {
            make_again(peer, team, judgement, lost).await;
        }
    }
}

/// Makes the change of a record that lost a fork on top of the winner, unless that has it.
async fn make_again(peer: &Peer, team: KeyTag, judgement: &Judgement, lost: &TeamRecord) {
    let all = || judgement.path().iter().chain(judgement.sidelined());
    let antecedent = lost
        .ant
        .and_then(|ant| all().find(|record| record.digest == ant));
    let Some(antecedent) = antecedent else { return };
    // What came on the winning path since: a change that was made there and undone stays undone.
    let after = |record: &&Arc<TeamRecord>| record.iat > antecedent.iat;
    let since = || judgement.path().iter().filter(after);
    let tags = |record: &TeamRecord| -> BTreeSet<KeyTag> {
        record.members.iter().map(|member| member.tag).collect()
    };
    let (before, wanted) = (tags(antecedent), tags(lost));
    let add = wanted
        .difference(&before)
        .filter(|tag| !since().any(|record| record.lists(tag)));
    let remove = before
        .difference(&wanted)
        .filter(|tag| since().all(|record| record.lists(tag)));
    let (add, remove): (Vec<&KeyTag>, Vec<&KeyTag>) = (add.collect(), remove.collect());
    if add.is_empty() && remove.is_empty() {
        return;
    }
    let credentials = peer.credentials();
    let mut event = TeamEvent::DidNotStick {
        team,
        lost: lost.digest,
    };
    // Who was removed in between, and listed again, is not to undo what came since.
    let stayed = judgement
        .leaves()
        .get(&lost.author)
        .is_some_and(|presence| {
            let mut spans = presence.spans().iter();
            spans.any(|(start, end)| *start <= lost.iat && *end == u64::MAX)
        });
    if stayed && judgement.current().contains(&lost.author) {
        let mut change = credentials.change_membership(team).author(lost.author);
        for tag in add {
            change = change.add(*tag);
        }
        for tag in remove {
            change = change.remove(*tag);
            if let Some(until) = lost.until.get(tag) {
                change = change.until(*tag, *until);
            }
        }
        if let Ok(record) = change.await {
            event = TeamEvent::MadeAgain {
                team,
                lost: lost.digest,
                record,
            };
        }
    }
    peer.tell(event);
}
