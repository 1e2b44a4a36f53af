//! What a provider keeps of the people it identified: a keyed hash, and whom it stands for.
//!
//! With it a person who has lost every key is found again: nobody can name her ppid then
//! but the provider she was identified by. One identity is one person, both ways, so a
//! rebind never follows from an identity the book has not seen with her. Lacks: where it
//! is kept (it is the provider's own, small, and ciphertext at rest is its care).

use std::collections::BTreeMap;

use crate::identity::provider::Addressed;
use crate::identity::provider::Fault;
use crate::identity::provider::Identified;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::Timestamp;
use crate::model::statement::KeyRebind;

/// Identities by their keyed hash, each with the person's ppid in the log's own domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book(BTreeMap<Hash, Ppid>);

impl Book {
    /// Notes whose identity it is; again is fine.
    ///
    /// # Errors
    /// [`Fault::Other`]: the identity is another person's, or the person has another identity here.
    pub fn note(&mut self, identified: &Identified, ppid: Ppid) -> Result<(), Fault> {
        match self.0.get(&identified.identity) {
            Some(known) if *known == ppid => Ok(()),
            Some(_) => Err(Fault::Other),
            None if self.0.values().any(|known| *known == ppid) => Err(Fault::Other),
            None => {
                self.0.insert(identified.identity, ppid);
                Ok(())
            }
        }
    }

    /// Whose identity it is.
    #[must_use]
    pub fn find(&self, identified: &Identified) -> Option<Ppid> {
        self.0.get(&identified.identity).copied()
    }

    /// The `key.rebind` of the person with this identity.
    ///
    /// # Errors
    /// [`Fault::Other`]: the book knows nobody by it.
    pub fn rebind(
        &self,
        identified: &Identified,
        new: KeyHash,
        provider: &PartyId,
        (iat, nonce): (Timestamp, Nonce),
    ) -> Result<KeyRebind, Fault> {
        let ppid = self.find(identified).ok_or(Fault::Other)?;
        Ok(identified.rebind(&Addressed { provider: provider.clone(), ppid, iat, nonce }, new))
    }
}
