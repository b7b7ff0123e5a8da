//! Two stores that dialled each other keep one session.

use super::replica::Replica;
use super::session::SessionId;
use crate::wire::CloseReason;

impl Replica {
    /// Of two sessions with one store, of which each side opened one, the one that the store with
    /// the smaller name opened stays: both sides come to the same verdict, whoever sees it first.
    /// A store that dialled itself keeps none.
    pub(super) fn part_twins(&mut self, latest: SessionId) {
        let Some(session) = self.sessions.get(&latest) else {
            return;
        };
        let (Some(remote), opener) = (session.remote, session.opener) else {
            return;
        };
        let twin = self
            .sessions
            .values()
            .find(|other| other.remote == Some(remote) && other.opener != opener);
        let Some(twin) = twin.map(|twin| twin.id) else {
            return;
        };
        let own = self.settings.replica;
        let stays = (own < remote) == opener && own != remote;
        self.close(if stays { twin } else { latest }, CloseReason::Known);
    }
}
