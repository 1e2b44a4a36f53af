//! Request signatures: one in 256 at the door, all before they are held against anybody.

use crate::identity::request;
use crate::identity::request::Signed;
use crate::ledger::key::PublicKey;
use crate::model::id::PartyId;
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
        let Some(key) = self.key_of_party(party)? else { return Ok(Err(request::Error::Key)) };
        Ok(signed.verify(&key, self.now()))
    }

    /// A registered party's public key; `None` if nobody of that name is registered.
    pub(in crate::node) fn key_of_party(&self, party: &PartyId) -> Result<Option<PublicKey>, Error> {
        self.register().party(party).map(|registered| self.party_key(registered)).transpose()
    }
}
