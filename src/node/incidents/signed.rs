//! Request signatures: one in 256 at the door, all before they are held against anybody.

use crate::consent::FormerKey;
use crate::identity::request;
use crate::identity::request::Signed;
use crate::model::id::PartyId;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;

impl Inner {
    /// Whether this signature is among the one in 256 that are verified at the door.
    ///
    /// Drawn by a key of the node from signature and time: the asker cannot tell beforehand.
    #[must_use]
    pub fn draws(&self, signed: &Signed) -> bool {
        let now = self.now().0.to_be_bytes();
        self.vault.derived("request-draw", &now).mac(&[signed.bytes()]).first() == Some(&0)
    }

    /// Verifies a request signature under the party's registered key, at this instant.
    ///
    /// # Errors
    /// The store. The inner result is the asker's fault.
    pub fn verify_request(
        &self,
        party: &PartyId,
        signed: &Signed,
    ) -> Result<Result<(), request::Error>, Error> {
        let register = self.register();
        let Some(party) = register.party(party) else { return Ok(Err(request::Error::Key)) };
        Ok(signed.verify(&self.party_key(party)?, self.now()))
    }

    /// The public key a party signed with while the log had so many entries, and where the statement
    /// stands that brought it; `None` if nobody of that name was registered then.
    pub(in crate::node) fn key_as_of(&self, party: &PartyId, entries: TreeSize) -> Option<FormerKey> {
        self.register().party(party)?.key_as_of(entries)
    }
}
