//! Which packs are in force, for whom, and since when: the law by recorded facts.
//!
//! A pack comes by genesis, from index 0, or by `pack.adopt`, from an instant that
//! was still to come when it was recorded. Of one name the highest version in force
//! applies, so a later version that ends itself (`valid-until`) ends its pack. The
//! asker never chooses: see [`Register::packs_of`].
//!
//! Lacks: the packs' texts (attachments; the caller attaches what he read of them),
//! and a pack for one sector or one person alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::consent::register::{PackFile, PackRef, Register};
use crate::consent::{Effect, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{Hash, LeafIndex, PartyId, Timestamp};
use crate::model::pack::{Pack, Status};
use crate::model::statement::{PackAdopt, Replayed, Statement};
use crate::model::vocabulary::Role;

/// How long before its instant a pack must be recorded, ms: a day, in which anybody can read it and
/// decide again what was decided. Source: design §1, "published before the instant it takes force".
pub const ADOPTED_BEFORE_MS: u64 = 24 * 60 * 60 * 1000;

/// A pack that was named to the log, and from when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Adoption {
    /// Which.
    pub pack: PackRef,
    /// In force from here; the first instant of all for the packs of genesis.
    pub from: Timestamp,
    /// Where that stands.
    pub index: LeafIndex,
    /// What past decisions come to under it, as its signers said they saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replayed>,
}

/// An adoption with its file, if that is attached.
#[derive(Clone, Debug)]
pub(in crate::consent) struct Law {
    named: Adoption,
    pack: Option<Arc<Pack>>,
}

impl Law {
    fn is_named_like(&self, other: &Self) -> bool {
        self.named.pack.name == other.named.pack.name
    }
}

impl Register {
    /// All packs named to the log so far: those of genesis, then adopted ones in order, those still to
    /// come and those past among them.
    pub fn adoptions(&self) -> impl Iterator<Item = &Adoption> {
        self.laws.iter().map(|law| &law.named)
    }

    /// The packs that apply to a party at an instant; `None` if there is none, or if one is not attached:
    /// then nothing can be judged.
    ///
    /// Reading: the packs of the country where the party is established, and those of the log's own
    /// countries, where every person in it is recorded. A log's own countries are those of the packs of
    /// its genesis. A party nobody registered is established nowhere. Instants are judged by the grain,
    /// as the public sees them, so that everybody who replays judges alike.
    #[must_use]
    pub fn packs_of(&self, party: &PartyId, at: Timestamp) -> Option<Vec<&Pack>> {
        let country = self.party(party).and_then(|party| party.jurisdiction.as_deref());
        self.packs_in(country, at)
    }

    /// The packs that apply to somebody established in a country; see [`Self::packs_of`].
    #[must_use]
    pub fn packs_in(&self, country: Option<&str>, at: Timestamp) -> Option<Vec<&Pack>> {
        let at = self.seen(at);
        let mut packs = Vec::with_capacity(self.laws.len());
        for law in self.laws.iter().filter(|law| law.named.from <= at) {
            let newer = |other: &Law| {
                other.named.from <= at
                    && other.is_named_like(law)
                    && other.named.pack.version > law.named.pack.version
            };
            if self.laws.iter().any(newer) {
                continue;
            }
            let pack = law.pack.as_deref()?;
            if pack.holds_at(at) && self.reaches(pack, country) {
                packs.push(pack);
            }
        }
        (!packs.is_empty()).then_some(packs)
    }

    /// A pack by what a decision quotes of it, whether or not it is in force.
    #[must_use]
    pub fn pack(&self, name: &str, version: u32) -> Option<&Pack> {
        let is = |law: &&Law| law.named.pack.name == name && law.named.pack.version == version;
        self.laws.iter().find(is)?.pack.as_deref()
    }

    /// All packs named so far that are attached: past ones and those to come among them.
    pub fn all_packs(&self) -> impl Iterator<Item = &Pack> {
        self.laws.iter().filter_map(|law| law.pack.as_deref())
    }

    /// Packs whose exceptions a party may claim: those that apply to it, and adopted ones still to come.
    pub(in crate::consent) fn claimable_by(&self, country: Option<&str>, at: Timestamp) -> Vec<&Pack> {
        let mut packs = self.packs_in(country, at).unwrap_or_default();
        let coming = self.laws.iter().filter(|law| law.named.from > self.seen(at));
        packs.extend(coming.filter_map(|law| law.pack.as_deref()).filter(|p| self.reaches(p, country)));
        packs
    }

    /// Whether a pack would apply to a party, were it in force.
    pub(in crate::consent) fn reaches_party(&self, pack: &Pack, party: &PartyId) -> bool {
        self.reaches(pack, self.party(party).and_then(|party| party.jurisdiction.as_deref()))
    }

    /// The first instant after `at` at which another set of packs may apply to anybody.
    #[must_use]
    pub fn next_adoption(&self, at: Timestamp) -> Option<Timestamp> {
        self.laws.iter().map(|law| law.named.from).filter(|from| *from > at).min()
    }

    /// By the operator, endorsed by a regulator, a day or more before the instant it names.
    ///
    /// Reading: the instant stands on the log's grain, so that every public time falls on the same side
    /// of it for everybody; the law of the pack is in force at it; bills and fixtures are not adopted.
    pub(in crate::consent) fn adopt(&mut self, s: &PackAdopt, recorded: &Recorded) -> Result<(), Why> {
        let signer = recorded.signed().signer;
        if !self.is_operator(&signer) {
            return Err(if self.party_of_key(&signer).is_some() { Why::Role } else { Why::KeyNotInSet });
        }
        recorded
            .signed()
            .endorsers
            .first()
            .and_then(|key| self.party_of_key(key))
            .and_then(|id| self.party(id))
            .filter(|party| party.has_role(Role::Regulator) && party.is_live(recorded.at()))
            .ok_or(Why::Endorsement)?;
        let grain = self.grain().unwrap_or(1).max(1);
        if !s.from.0.is_multiple_of(grain) {
            return Err(Why::Dates);
        }
        if s.from < self.seen(recorded.at()).plus_ms(ADOPTED_BEFORE_MS) {
            return Err(Why::TooSoon);
        }
        if s.replay.as_ref().is_some_and(|replay| !self.can_be(replay, recorded)) {
            return Err(Why::Replay);
        }
        let named = PackRef { name: s.pack.clone(), version: s.version, hash: s.hash };
        let pack = self.file(&named).ok_or(Why::Pack)?;
        if !matches!(pack.header().status, Status::Policy | Status::Law) {
            return Err(Why::Pack);
        }
        if !pack.holds_at(s.from) {
            return Err(Why::Dates);
        }
        if self.adoptions().any(|a| a.pack.name == named.name && a.pack.version >= named.version) {
            return Err(Why::NameTaken);
        }
        let replay = s.replay.clone();
        let adoption = Adoption { pack: named, from: s.from, index: recorded.index(), replay };
        Arc::make_mut(&mut self.adopted).push(adoption);
        self.draw_laws();
        Ok(())
    }

    /// Whether a replay can have come to this before the statement that names it was recorded. Whether it is
    /// true, only whoever holds the past can tell.
    fn can_be(&self, replay: &Replayed, recorded: &Recorded) -> bool {
        let newest = self.seen(recorded.at()).plus_ms(self.grain().unwrap_or_default());
        replay.changed <= replay.asked
            && replay.size <= recorded.index()
            && replay.from <= replay.until
            && replay.until <= newest
    }

    /// Hashes of the packs a public statement names: attachments that it is judged by.
    #[must_use]
    pub fn packs_named_by(statement: &Statement) -> Vec<Hash> {
        if let Statement::LogCreate(s) = statement {
            return s.packs.iter().map(|pack| pack.hash).collect();
        }
        if let Statement::PackAdopt(s) = statement {
            return vec![s.hash];
        }
        Vec::new()
    }

    /// Applies one public statement that came with the files of the packs it names. They stay attached
    /// only if it took effect.
    pub fn apply_with(&mut self, recorded: &Recorded, files: &[PackFile]) -> Effect {
        if files.is_empty() {
            return self.apply(recorded);
        }
        let mut trial = self.clone();
        for file in files {
            if trial.files.iter().all(|own| own.hash != file.hash) {
                trial.files.push(file.clone());
            }
        }
        let effect = trial.apply(recorded);
        if matches!(effect, Effect::Applied(Touched::Register)) {
            *self = trial;
        }
        effect
    }

    /// Finds the files of the packs named so far; done whenever either changes.
    pub(in crate::consent) fn draw_laws(&mut self) {
        let first = self.genesis.as_ref().map_or(&[][..], |g| &g.packs).iter();
        let first =
            first.map(|pack| Adoption { pack: pack.clone(), from: Timestamp(0), index: 0, replay: None });
        let all = first.chain(self.adopted.iter().cloned());
        let laws: Vec<Law> = all.map(|named| Law { pack: self.file(&named.pack), named }).collect();
        self.home = Arc::new(
            laws.iter()
                .filter(|law| law.named.index == 0)
                .filter_map(|law| law.pack.as_ref())
                .map(|pack| pack.header().jurisdiction.clone())
                .collect::<BTreeSet<String>>(),
        );
        self.laws = Arc::new(laws);
    }

    /// The attached file of a pack, if it is what its name says.
    pub(in crate::consent) fn file(&self, named: &PackRef) -> Option<Arc<Pack>> {
        let is = |f: &&PackFile| {
            f.hash == named.hash && **f.pack.name() == *named.name && f.pack.version() == named.version
        };
        self.files.iter().find(is).map(|f| Arc::clone(&f.pack))
    }

    fn reaches(&self, pack: &Pack, country: Option<&str>) -> bool {
        let law_of = pack.header().jurisdiction.as_str();
        country == Some(law_of) || self.home.contains(law_of)
    }

    /// An instant as everybody sees it.
    fn seen(&self, at: Timestamp) -> Timestamp {
        self.grain().map_or(at, |grain| at.rounded_to(grain))
    }

    /// Hashes of all packs named so far: the files to attach.
    #[must_use]
    pub fn pack_hashes(&self) -> Vec<Hash> {
        self.genesis
            .iter()
            .flat_map(|g| g.packs.iter().map(|pack| pack.hash))
            .chain(self.adopted.iter().map(|adoption| adoption.pack.hash))
            .collect()
    }
}
