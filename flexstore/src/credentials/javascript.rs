//! Keys and teams of the JavaScript original.

use flexstore_core::{Digest, KeyTag};

use super::{Credentials, CredentialsError};
use crate::collection::{Collection, Mutable};
use crate::js::{ENCRYPTION_KEY, KEY_RECOVERY, KeySet, TEAM};
use crate::peer::OpenError;

impl Credentials<'_> {
    /// Holds a key set of the JavaScript original until the process ends, for collections of the
    /// js profile: items sealed to it open, and it signs where a call names it. It goes into no
    /// vault, and nothing is published. Of a team hold the team's keys and a member's.
    pub fn add_javascript(&self, keys: KeySet) {
        self.keyring().add_javascript(keys);
    }

    /// Keeps the keys, recoveries and teams of the js profile in step with a service.
    ///
    /// # Errors
    /// [`CredentialsError::Open`].
    pub fn synchronize_javascript(&self, service: &str) -> Result<(), CredentialsError> {
        for name in [ENCRYPTION_KEY, KEY_RECOVERY, TEAM] {
            self.javascript_collection(name)?.synchronize(service);
        }
        Ok(())
    }

    /// Notes that a Team record of the js profile is in force, by the hash of its text, whatever
    /// others come; where there are several first ones, or native ones too, nothing counts without.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn pin_javascript(
        &self,
        team: KeyTag,
        record: Digest,
    ) -> Result<(), CredentialsError> {
        Ok(self.javascript_collection(TEAM)?.pin(team, record).await?)
    }

    fn javascript_collection(&self, name: &str) -> Result<Collection<Mutable>, OpenError> {
        self.peer.collection::<Mutable>(name).javascript().open()
    }
}
