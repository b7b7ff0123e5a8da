//! The store's word on durability, for every collection.

use flexstore_core::storage::{Progress, Sequence, Storage};
use tokio::sync::watch;

/// Turns of the store from durable to failed, or back, that are remembered. Whoever was asleep
/// for more of them takes everything before as failed, which is the safe side.
const MAX_TURNS: usize = 64;

/// What became of all batches so far: runs of durable and of failed ones, in order. A single
/// last value would not do: a failure that is followed by a success must not be overlooked.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    runs: Vec<Progress>,
    /// The last sequence of the runs that are no longer remembered.
    forgotten: Sequence,
}

const fn through(progress: Progress) -> Sequence {
    match progress {
        Progress::Durable(sequence) | Progress::Failed(sequence) => sequence,
    }
}

impl Ledger {
    fn note(&mut self, progress: Progress) {
        match (self.runs.last_mut(), progress) {
            (Some(Progress::Durable(last)), Progress::Durable(sequence))
            | (Some(Progress::Failed(last)), Progress::Failed(sequence)) => *last = sequence,
            _ => self.runs.push(progress),
        }
        if self.runs.len() > MAX_TURNS {
            self.forgotten = through(self.runs.remove(0));
        }
    }

    /// What was settled after a sequence, in order.
    pub(super) fn since(&self, seen: Sequence) -> impl Iterator<Item = Progress> {
        let lost = (self.forgotten > seen).then_some(Progress::Failed(self.forgotten));
        let news = self.runs.iter().filter(move |run| through(**run) > seen);
        lost.into_iter().chain(news.copied())
    }

    /// The last sequence that is settled.
    pub(super) fn settled(&self) -> Sequence {
        self.runs.last().map_or(self.forgotten, |run| through(*run))
    }
}

/// Follows a store from now on.
pub(super) fn follow(storage: &dyn Storage) -> watch::Receiver<Ledger> {
    let (sender, receiver) = watch::channel(Ledger::default());
    storage.watch(Box::new(move |progress| {
        sender.send_modify(|ledger| ledger.note(progress));
    }));
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_between_two_successes_is_not_overlooked() {
        let mut ledger = Ledger::default();
        for progress in [
            Progress::Durable(Sequence(3)),
            Progress::Durable(Sequence(5)),
            Progress::Failed(Sequence(7)),
            Progress::Durable(Sequence(9)),
        ] {
            ledger.note(progress);
        }
        let all: Vec<_> = ledger.since(Sequence(4)).collect();
        assert_eq!(
            all,
            [
                Progress::Durable(Sequence(5)),
                Progress::Failed(Sequence(7)),
                Progress::Durable(Sequence(9)),
            ]
        );
        assert_eq!(ledger.since(Sequence(7)).count(), 1);
        assert_eq!(ledger.settled(), Sequence(9));
    }

    #[test]
    fn what_is_forgotten_counts_as_failed() {
        let mut ledger = Ledger::default();
        for turn in 1..=MAX_TURNS as u64 + 1 {
            let sequence = Sequence(turn);
            ledger.note(if turn % 2 == 0 {
                Progress::Failed(sequence)
            } else {
                Progress::Durable(sequence)
            });
        }
        let first = ledger.since(Sequence(0)).next();
        assert_eq!(first, Some(Progress::Failed(Sequence(1))));
        assert_eq!(
            ledger.since(Sequence(1)).next(),
            Some(Progress::Failed(Sequence(2)))
        );
        assert_eq!(ledger.since(Sequence(1)).count(), MAX_TURNS);
    }
}
