//! What the parties of the demo ask of people: purposes, classes, categories.
//!
//! Every purpose and category is a term of DPV 2.3, every item a K-MyData scope,
//! as `schemas/vocabulary.toml` lists them: the register refuses the notices
//! otherwise. Lacks the texts shown (`words`).

use crate::model::vocabulary::Action;
use crate::model::vocabulary::DataClass;

/// One purpose and class of one controller's notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Offered {
    /// The bank keeps the account.
    Account,
    /// The bank looks at solvency, pseudonymised.
    Solvency,
    /// The bank advertises.
    Marketing,
    /// Anonymous statistics of the bank.
    BankStatistics,
    /// The hospital treats.
    Care,
    /// The hospital researches, pseudonymised.
    Research,
    /// Anonymous statistics of the hospital.
    CareStatistics,
    /// The hospital's survey, retired in spring.
    Survey,
    /// A data broker's advertising.
    Broker,
    /// The telecom's line.
    Line,
    /// The telecom's study of how people move, pseudonymised.
    Mobility,
    /// The ad network shows what is meant for her.
    Targeted,
    /// The ad network recommends products.
    Recommended,
    /// The anonymiser makes releases for business research.
    Release,
}

/// A category with its K-MyData items.
pub(super) type Category = (&'static str, &'static [&'static str]);

/// What is asked.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) controller: &'static str,
    /// Name of the notice it stands in.
    pub(super) notice: &'static str,
    pub(super) purpose: &'static str,
    pub(super) class: DataClass,
    pub(super) required: &'static [Category],
    /// At most eight: a grant names its choice by bits.
    pub(super) optional: &'static [Category],
    pub(super) actions: &'static [Action],
    pub(super) recipients: &'static [&'static str],
    pub(super) keep_days: u64,
}

impl Offered {
    /// All, in order.
    pub(super) const ALL: [Self; 14] = [
        Self::Account,
        Self::Solvency,
        Self::Marketing,
        Self::BankStatistics,
        Self::Care,
        Self::Research,
        Self::CareStatistics,
        Self::Survey,
        Self::Broker,
        Self::Line,
        Self::Mobility,
        Self::Targeted,
        Self::Recommended,
        Self::Release,
    ];

    /// What it says.
    pub(super) const fn offer(self) -> &'static Offer {
        match self {
            Self::Account => &ACCOUNT,
            Self::Solvency => &SOLVENCY,
            Self::Marketing => &MARKETING,
            Self::BankStatistics => &BANK_STATISTICS,
            Self::Care => &CARE,
            Self::Research => &RESEARCH,
            Self::CareStatistics => &CARE_STATISTICS,
            Self::Survey => &SURVEY,
            Self::Broker => &BROKER,
            Self::Line => &LINE,
            Self::Mobility => &MOBILITY,
            Self::Targeted => &TARGETED,
            Self::Recommended => &RECOMMENDED,
            Self::Release => &RELEASE,
        }
    }
}

impl Offer {
    /// The categories of a grant: all required ones and the optional ones whose bit is set.
    pub(super) fn categories(&self, optional: u8) -> Vec<String> {
        let chosen = self.optional.iter().enumerate().filter(|(bit, _)| optional >> bit & 1 == 1);
        self.required.iter().chain(chosen.map(|(_, c)| c)).map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// The first controller.
pub(super) const BANK: &str = "bank";
/// The second.
pub(super) const HOSPITAL: &str = "hospital";
/// The one that is suspended.
pub(super) const DATA_BROKER: &str = "broker";
/// The third controller.
pub(super) const TELECOM: &str = "telecom";
/// Makes anonymous releases, licensed by the regulator.
pub(super) const ANONYMISER: &str = "anonymiser";
/// The one people object to as a whole.
pub(super) const AD_NETWORK: &str = "adnet";
/// The identity provider.
pub(super) const IDP: &str = "idp";
/// The regulator of genesis: the Personal Information Protection Commission.
pub(super) const REGULATOR: &str = "pipc";
/// Everybody with a party's key, the operator apart.
pub(super) const PARTIES: [&str; 8] =
    [AD_NETWORK, ANONYMISER, BANK, DATA_BROKER, HOSPITAL, IDP, REGULATOR, TELECOM];

static ACCOUNT: Offer = Offer {
    controller: BANK,
    notice: "accounts",
    purpose: "dpv:AccountManagement",
    class: DataClass::RealName,
    required: &[("pd:BankAccount", &["bank.list", "bank.deposit"])],
    optional: &[("pd:Income", &[]), ("pd:CurrentEmployment", &[]), ("pd:Nationality", &[])],
    actions: &[Action::Collect, Action::Use, Action::Share],
    recipients: &[HOSPITAL],
    keep_days: 365,
};

static SOLVENCY: Offer = Offer {
    controller: BANK,
    notice: "accounts",
    purpose: "dpv:CustomerSolvencyMonitoring",
    class: DataClass::Pseudonymous,
    required: &[("pd:Credit", &["bank.loan", "card.loan"])],
    optional: &[("pd:Income", &[]), ("pd:Job", &[]), ("pd:EducationQualification", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[BANK],
    keep_days: 365,
};

static MARKETING: Offer = Offer {
    controller: BANK,
    notice: "marketing",
    purpose: "dpv:DirectMarketing",
    class: DataClass::RealName,
    required: &[("pd:Contact", &[])],
    optional: &[("pd:AgeRange", &[]), ("pd:MaritalStatus", &[]), ("pd:Job", &["card.point"])],
    actions: &[Action::Use],
    recipients: &[],
    keep_days: 180,
};

static BANK_STATISTICS: Offer = Offer {
    controller: BANK,
    notice: "statistics",
    purpose: "dpv:ProvideOfficialStatistics",
    class: DataClass::Anonymous,
    required: &[("pd:IncomeBracket", &[])],
    optional: &[("pd:AgeRange", &[])],
    actions: &[Action::Anonymise],
    recipients: &[],
    keep_days: 1096,
};

static CARE: Offer = Offer {
    controller: HOSPITAL,
    notice: "care",
    purpose: "dpv:ServiceProvision",
    class: DataClass::RealName,
    required: &[("pd:HealthRecord", &[])],
    optional: &[],
    actions: &[Action::Collect, Action::Use],
    recipients: &[],
    keep_days: 365,
};

static RESEARCH: Offer = Offer {
    controller: HOSPITAL,
    notice: "research",
    purpose: "dpv:ScientificResearch",
    class: DataClass::Pseudonymous,
    required: &[("pd:AgeRange", &[])],
    optional: &[
        ("pd:HealthRecord", &[]),
        ("pd:Gender", &[]),
        ("pd:Race", &[]),
        ("pd:Nationality", &[]),
        ("pd:EducationQualification", &[]),
    ],
    actions: &[Action::Collect, Action::Use],
    recipients: &[HOSPITAL],
    keep_days: 1096,
};

static CARE_STATISTICS: Offer = Offer {
    controller: HOSPITAL,
    notice: "statistics",
    purpose: "dpv:ProvideOfficialStatistics",
    class: DataClass::Anonymous,
    required: &[("pd:AgeRange", &[])],
    optional: &[("pd:Gender", &[])],
    actions: &[Action::Anonymise],
    recipients: &[],
    keep_days: 1096,
};

static SURVEY: Offer = Offer {
    controller: HOSPITAL,
    notice: "survey",
    purpose: "dpv:ImprovePublicServices",
    class: DataClass::RealName,
    required: &[("pd:Contact", &[])],
    optional: &[("pd:AgeRange", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[],
    keep_days: 90,
};

static BROKER: Offer = Offer {
    controller: DATA_BROKER,
    notice: "advertising",
    purpose: "dpv:PersonalisedAdvertising",
    class: DataClass::RealName,
    required: &[("pd:Interest", &[])],
    optional: &[("pd:Purchase", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[],
    keep_days: 365,
};

static LINE: Offer = Offer {
    controller: TELECOM,
    notice: "line",
    purpose: "dpv:RequestedServiceProvision",
    class: DataClass::RealName,
    required: &[("pd:TelephoneNumber", &["telecom.list", "telecom.mgmt"])],
    optional: &[("pd:CallLog", &[]), ("pd:Location", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[],
    keep_days: 365,
};

static MOBILITY: Offer = Offer {
    controller: TELECOM,
    notice: "mobility",
    purpose: "dpv:ImproveTransportMobility",
    class: DataClass::Pseudonymous,
    required: &[("pd:Location", &[])],
    optional: &[("pd:AgeRange", &[]), ("pd:Gender", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[TELECOM],
    keep_days: 180,
};

static TARGETED: Offer = Offer {
    controller: AD_NETWORK,
    notice: "advertising",
    purpose: "dpv:TargetedAdvertising",
    class: DataClass::RealName,
    required: &[("pd:Interest", &[])],
    optional: &[("pd:BrowsingBehaviour", &[]), ("pd:Location", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[],
    keep_days: 180,
};

static RECOMMENDED: Offer = Offer {
    controller: AD_NETWORK,
    notice: "advertising",
    purpose: "dpv:ProvideProductRecommendations",
    class: DataClass::RealName,
    required: &[("pd:Purchase", &[])],
    optional: &[("pd:AgeRange", &[])],
    actions: &[Action::Collect, Action::Use],
    recipients: &[],
    keep_days: 180,
};

static RELEASE: Offer = Offer {
    controller: ANONYMISER,
    notice: "releases",
    purpose: "dpv:CommercialResearch",
    class: DataClass::Anonymous,
    required: &[("pd:AgeRange", &[])],
    optional: &[("pd:IncomeBracket", &[])],
    actions: &[Action::Anonymise],
    recipients: &[],
    keep_days: 1096,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::terms::Vocabulary;

    #[test]
    fn every_term_is_published() {
        let known = Vocabulary::embedded().unwrap();
        for offer in Offered::ALL.map(Offered::offer) {
            assert!(known.purpose(offer.purpose).is_some(), "{}", offer.purpose);
            assert!(offer.optional.len() <= 8);
            for (category, items) in offer.required.iter().chain(offer.optional) {
                assert!(known.category(category).is_some(), "{category}");
                assert!(items.iter().all(|item| known.item(item).is_some()), "{items:?}");
            }
        }
    }

    #[test]
    fn a_grant_takes_the_required_and_the_chosen() {
        assert_eq!(ACCOUNT.categories(0b010), ["pd:BankAccount", "pd:CurrentEmployment"]);
        assert_eq!(CARE.categories(0xff), ["pd:HealthRecord"]);
    }
}
