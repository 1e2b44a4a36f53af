//! Why a slot is not said again: stable codes. Lacks the words for them, which are the teller's.

/// Why a slot is left out. Stable codes: [`LeftOut::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOut {
    /// She, or somebody for her, decided it in the other log.
    DecidedHere,
    /// Closed in the first log, and granted in the other: whichever she meant last, it is hers to say there.
    GrantedHere,
    /// An objection to more than one purpose would take back what she granted there since.
    NewerHere,
    /// Nothing stands: an objection that was lifted.
    NothingStands,
    /// The grant is past its dates.
    Expired,
    /// The controller's word alone: it has to say it there itself.
    AttestedOnly,
    /// An objection of hers covers it in the first log.
    ObjectedThere,
    /// An objection of hers covers it in the other log.
    ObjectedHere,
    /// She was a minor when it was granted, or is one: a guardian grants it there.
    Minor,
    /// Her keys rest on a rebind that may still be disputed: permits are marked, and none is moved.
    Rebound,
    /// Uses of it are counted in the first log, and would be counted from nothing again.
    CountedThere,
    /// The archive does not hold the evidence of it.
    NotProven,
    /// The other log has no such party.
    PartyUnknown,
    /// The party's standing notices there do not ask for this purpose and class.
    NotAskedHere,
    /// They ask in other words than she was shown.
    OtherWords,
    /// The grant says more, or less, than they ask.
    OtherTerms,
}

impl LeftOut {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::DecidedHere,
        Self::GrantedHere,
        Self::NewerHere,
        Self::NothingStands,
        Self::Expired,
        Self::AttestedOnly,
        Self::ObjectedThere,
        Self::ObjectedHere,
        Self::Minor,
        Self::Rebound,
        Self::CountedThere,
        Self::NotProven,
        Self::PartyUnknown,
        Self::NotAskedHere,
        Self::OtherWords,
        Self::OtherTerms,
    ];

    /// The stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DecidedHere => "decided-here",
            Self::GrantedHere => "granted-here",
            Self::NewerHere => "newer-here",
            Self::NothingStands => "nothing-stands",
            Self::Expired => "expired",
            Self::AttestedOnly => "attested-only",
            Self::ObjectedThere => "objected-there",
            Self::ObjectedHere => "objected-here",
            Self::Minor => "minor",
            Self::Rebound => "keys-rebound",
            Self::CountedThere => "counted-there",
            Self::NotProven => "not-proven",
            Self::PartyUnknown => "party-unknown",
            Self::NotAskedHere => "not-asked-here",
            Self::OtherWords => "other-words",
            Self::OtherTerms => "other-terms",
        }
    }

    /// Whether nothing is missing in the other log because of it: it holds as much as the first one, or
    /// what she decided.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(
            self,
            Self::DecidedHere
                | Self::NothingStands
                | Self::Expired
                | Self::ObjectedThere
                | Self::ObjectedHere
        )
    }
}
