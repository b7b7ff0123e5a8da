use flexstore_core::SigningKey;
use flexstore_core::record::ParseError;
use flexstore_core::record::js::Verified;

use super::keys::KeySet;
use super::team::{Member, Team, TeamError, destroy};
use crate::seal::KeyError;

/// Why an invitation was not claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// It was claimed before, or is none: an invitation's team lists the invitation alone.
    #[error("not an unclaimed invitation")]
    NotAnInvitation,
    /// The claimer is not among those to be listed, or the invitation is.
    #[error("the newcomers must hold the claimer, and not the invitation")]
    Newcomers,
    /// The invitation's own encryption key.
    #[error("the invitation's key: {0}")]
    Key(#[from] KeyError),
    /// The team.
    #[error(transparent)]
    Team(#[from] TeamError),
    /// A tombstone could not be made.
    #[error("no record could be made: {0}")]
    Record(#[from] ParseError),
}

/// What claiming an invitation makes; to be stored in this order.
#[derive(Debug)]
pub struct Claimed {
    /// The keys of the user that was invited.
    pub keys: KeySet,
    /// First the newcomers join: signed by the invitation, which is on this list and on the one
    /// before.
    pub joined: Team,
    /// Then the invitation leaves: signed by the claimer.
    pub left: Team,
    /// Then the invitation's own records go, from `EncryptionKey` and `KeyRecovery`.
    pub destroyed: [Verified; 2],
}

/// Claims an invitation: a user whose team lists only a recovery whose secret the claimer was
/// told. The original drops the invitation from the very record that the invitation signs, which a
/// careful verifier refuses; here it joins others first and leaves afterwards.
///
/// `invitation` is what [`migrate`](super::migrate) gave, `claimer` one of the `newcomers`, `iat`
/// the time of the first record in ms since 1970; the others follow 1 ms later.
///
/// # Errors
/// [`ClaimError`].
pub fn claim_invitation(
    team: &Team,
    invitation: &KeySet,
    newcomers: &[Member],
    claimer: &SigningKey,
    iat: u64,
) -> Result<Claimed, ClaimError> {
    let own = invitation.tag();
    if team.members() != [own] {
        return Err(ClaimError::NotAnInvitation);
    }
    let named = |tag| newcomers.iter().any(|member| member.tag == tag);
    if !named(claimer.tag()) || named(own) {
        return Err(ClaimError::Newcomers);
    }
    let keys = team.open(&own, invitation.opening())?;
    let mut all = newcomers.to_vec();
    all.push(Member {
        tag: own,
        key: invitation.encryption_key()?,
    });
    let joined = team.change(&keys, &all, invitation.signing(), iat)?;
    let left = joined.change(&keys, newcomers, claimer, iat + 1)?;
    let destroyed = destroy(invitation, iat + 1)?;
    Ok(Claimed {
        keys,
        joined,
        left,
        destroyed,
    })
}
