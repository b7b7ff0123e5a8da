//! Two stores that dialled each other keep one session.

use super::replica::Replica;
use super::session::SessionId;
use crate::wire::CloseReason;

impl Replica {
    /// Whether a store that opens a session has one already, which this side opened: then that
    /// one stays, and what is under way on it. A store that dialled itself is refused, too.
    pub(super) fn has_twin(&self, remote: &[u8; 16]) -> bool {
        let own = *remote == self.settings.replica;
        (self.sessions.values()).any(|session| {
            session.opener
                && (session.remote.as_ref() == Some(remote) || own && session.remote.is_none())
        })
    }

    /// Where both opened at once, and each welcomed the other: of the two sessions the one stays
    /// that the store with the smaller name opened. Both sides come to the same verdict.
    pub(super) fn part_twins(&mut self, welcomed: SessionId) {
        let Some(session) = self.sessions.get(&welcomed) else {
            return;
        };
        let (Some(remote), true) = (session.remote, session.opener) else {
            return;
        };
        let accepted = self.sessions.values();
        let twin = accepted
            .filter(|other| !other.opener)
            .find(|other| other.remote == Some(remote));
        let Some(twin) = twin.map(|twin| twin.id) else {
            return;
        };
        let stays = self.settings.replica < remote;
        self.close(if stays { twin } else { welcomed }, CloseReason::Known);
    }
}
