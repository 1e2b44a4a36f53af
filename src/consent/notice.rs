//! Notices: what a controller asks, and whether a grant keeps to it.
//!
//! Lacks: the texts themselves (attachments, known by hash) and any judgement of
//! their wording.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::consent::register::Register;
use crate::model::decision::Why;
use crate::model::id::{LeafIndex, PartyId, StatementId, Timestamp};
use crate::model::pack::{Border, Pack};
use crate::model::statement::{Abroad, Claim, ConsentGrant, NoticePublish, NoticePurpose};
use crate::model::terms::Vocabulary;
use crate::model::vocabulary::{Action, DataClass};

/// One version of a notice. Source: design §2, §4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// The `notice.publish`.
    pub id: StatementId,
    /// Where it stands.
    pub index: LeafIndex,
    /// What it says.
    pub says: NoticePublish,
    /// Index of the first `notice.retire`.
    pub retired: Option<LeafIndex>,
}

impl Notice {
    /// What it asks for that purpose and class.
    #[must_use]
    pub fn asks(&self, purpose: &str, class: DataClass) -> Option<&NoticePurpose> {
        self.says.purposes.iter().find(|p| p.class == class && p.purpose == purpose)
    }

    /// Whether a grant says nothing the notice does not say.
    ///
    /// Reading: "nothing beyond the notice" holds for terms and countries, too. The data is kept at
    /// most `keep-ms` after the later of `iat` and `at`; a country is the controller's own, the one of
    /// `abroad`, or one that no pack in force needs a grant for. A grant without an action or category
    /// is not in any notice.
    pub(in crate::consent) fn admits(
        &self,
        grant: &ConsentGrant,
        home: Option<&str>,
        packs: &[&Pack],
        at: Timestamp,
    ) -> Result<(), Why> {
        let shown = |hash, locale: &str| {
            self.says.texts.iter().any(|text| text.hash == hash && text.locale == locale)
        };
        let asked = self.asks(&grant.purpose, grant.class).ok_or(Why::NoticeMismatch)?;
        if self.says.controller != grant.controller
            || !shown(grant.notice.hash, &grant.notice.locale)
            || grant.actions.is_empty()
            || grant.categories.is_empty()
            || !grant.actions.iter().all(|action| asked.actions.contains(action))
            || !grant.recipients.iter().all(|party| asked.recipients.contains(party))
            || !grant.categories.iter().all(|c| asked.categories.iter().any(|a| a.category == *c))
            || !grant.jurisdictions.iter().all(|country| {
                Some(country.as_str()) == home
                    || self.says.abroad.as_ref().is_some_and(|abroad| abroad.country == *country)
                    || packs
                        .iter()
                        .all(|p| matches!(p.border(country).needs, Border::Home | Border::Adequacy))
            })
        {
            return Err(Why::NoticeMismatch);
        }
        if !asked.categories.iter().all(|a| !a.required || grant.categories.contains(&a.category)) {
            return Err(Why::RequiredCategory);
        }
        if grant.keep_until > grant.iat.max(at).plus_ms(asked.keep_ms) {
            return Err(Why::Dates);
        }
        Ok(())
    }
}

impl Register {
    /// To whom the controller's standing notices say the data goes, for one purpose and class; by name.
    #[must_use]
    pub fn recipients(&self, controller: &PartyId, purpose: &str, class: DataClass) -> BTreeSet<PartyId> {
        let asked = self.asked(controller, purpose);
        let of_class = asked.into_iter().flat_map(|asked| asked.of_class(purpose, class));
        of_class
            .filter_map(|n| n.asks(purpose, class))
            .flat_map(|asks| asks.recipients.iter().cloned())
            .collect()
    }
}

/// Whether a notice says all it must, and claims only what `claimable` packs have. Source: design §4;
/// PIPA art. 15(2), 22, 28-8(2).
pub(in crate::consent) fn is_complete(
    says: &NoticePublish,
    vocabulary: &Vocabulary,
    packs: &[&Pack],
    claimable: &[&Pack],
) -> Result<(), Why> {
    let office = &says.office;
    let words = [says.name.as_str(), office.name.as_str(), office.contact.as_str()];
    if !words.into_iter().all(is_said)
        || says.purposes.is_empty()
        || says.texts.is_empty()
        || !says.texts.iter().all(|t| t.length > 0 && is_said(&t.locale) && is_said(&t.media_type))
    {
        return Err(Why::NoticeIncomplete);
    }
    for (nth, asked) in says.purposes.iter().enumerate() {
        if vocabulary.purpose(&asked.purpose).is_none()
            || !asked.categories.iter().all(|c| {
                vocabulary.category(&c.category).is_some()
                    && c.items.iter().all(|item| vocabulary.item(item).is_some())
            })
        {
            return Err(Why::Vocabulary);
        }
        let twice =
            says.purposes.iter().take(nth).any(|p| p.purpose == asked.purpose && p.class == asked.class);
        let abroad = asked.actions.contains(&Action::TransferAbroad);
        if twice
            || asked.actions.is_empty()
            || asked.categories.is_empty()
            || !asked.categories.iter().all(|c| is_said(&c.reason))
            || (abroad && !says.abroad.as_ref().is_some_and(is_told))
        {
            return Err(Why::NoticeIncomplete);
        }
    }
    let claims = says.claims.iter().all(|claim| is_claimable(claim, says, claimable));
    if claims && packs.iter().all(|pack| pack.refuses_notice(says).is_none()) {
        Ok(())
    } else {
        Err(Why::Pack)
    }
}

/// Whether a claim names an exception of a pack that covers a purpose of the notice, and a reason.
fn is_claimable(claim: &Claim, says: &NoticePublish, packs: &[&Pack]) -> bool {
    is_said(&claim.reason)
        && packs.iter().filter_map(|pack| pack.claimed(&claim.rule)).any(|exception| {
            exception.purposes.iter().any(|p| p.as_str() == claim.purpose)
                && says
                    .purposes
                    .iter()
                    .any(|p| p.purpose == claim.purpose && exception.classes.contains(&p.class))
        })
}

/// Whether a transfer abroad is told in full. Source: PIPA art. 28-8(2).
fn is_told(abroad: &Abroad) -> bool {
    let Abroad { recipient, contact, country, items, when, how, purpose, term, refuse, consequence } = abroad;
    [recipient, contact, when, how, purpose, term, refuse, consequence].into_iter().all(|w| is_said(w))
        && !items.is_empty()
        && items.iter().all(|item| is_said(item))
        && is_country(country)
}

/// Whether there is a word in it.
pub(in crate::consent) fn is_said(text: &str) -> bool {
    !text.trim().is_empty()
}

/// Whether it has the form of ISO 3166-1 alpha-2.
pub(in crate::consent) fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}
