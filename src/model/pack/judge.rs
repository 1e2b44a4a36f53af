//! What a pack says to a grant, a notice, a registration: taken, or which line refuses it.

use crate::model::id::{PartyId, Timestamp};
use crate::model::pack::{Asking, Border, NoticeDemand, Pack};
use crate::model::statement::{
    Abroad, ConsentAttest, ConsentGrant, NoticePublish, NoticePurpose, Office, PartyRegister,
};
use crate::model::vocabulary::{Action, DataClass};

/// What a grant or an attestation wants, as far as a pack looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Class of data.
    pub class: DataClass,
    /// To whom.
    pub recipients: &'a [PartyId],
    /// Categories of data.
    pub categories: &'a [String],
    /// What may be done.
    pub actions: &'a [Action],
    /// Where.
    pub jurisdictions: &'a [String],
    /// When it was given.
    pub from: Timestamp,
    /// When all of it ends.
    pub keep_until: Timestamp,
}

impl<'a> From<&'a ConsentGrant> for Asked<'a> {
    fn from(s: &'a ConsentGrant) -> Self {
        Self {
            class: s.class,
            recipients: &s.recipients,
            categories: &s.categories,
            actions: &s.actions,
            jurisdictions: &s.jurisdictions,
            from: s.iat,
            keep_until: s.keep_until,
        }
    }
}

impl<'a> From<&'a ConsentAttest> for Asked<'a> {
    fn from(s: &'a ConsentAttest) -> Self {
        Self {
            class: s.class,
            recipients: &s.recipients,
            categories: &s.categories,
            actions: &s.actions,
            jurisdictions: &s.jurisdictions,
            from: s.given_at,
            keep_until: s.keep_until,
        }
    }
}

impl Pack {
    /// The line that refuses a grant or an attestation; `None` takes it. The first that applies.
    #[must_use]
    pub fn refuses_grant(&self, asked: Asked<'_>) -> Option<&str> {
        let demands = self.demands_on(asked.class);
        let too_long = |max: u64| asked.keep_until > asked.from.plus_ms(max);
        let broken = !demands.grantable
            || (demands.named_recipients && asked.recipients.is_empty())
            || demands.max_term.is_some_and(|max| too_long(max.ms()))
            || (asked.actions.len() > 1 && asked.actions.iter().any(|a| demands.is_alone(*a)));
        if broken {
            return Some(&demands.id);
        }
        self.refuses_categories(asked.class, asked.categories.iter().map(String::as_str))
            .or_else(|| self.refuses_countries(asked.actions, asked.jurisdictions))
    }

    /// The line that refuses a notice; `None` takes it.
    ///
    /// Source: PIPA art. 15(2), 17(2), 22, 23, 28-8(2).
    #[must_use]
    pub fn refuses_notice(&self, notice: &NoticePublish) -> Option<&str> {
        for rule in &self.notices {
            let holds = match rule.demands {
                NoticeDemand::Office => reachable(&notice.office),
                NoticeDemand::Reasons => {
                    notice.purposes.iter().flat_map(|p| &p.categories).all(|c| !blank(&c.reason))
                }
                NoticeDemand::Abroad => match &notice.abroad {
                    Some(abroad) => complete(abroad),
                    None => !notice.purposes.iter().any(|p| p.actions.contains(&Action::TransferAbroad)),
                },
            };
            if !holds {
                return Some(&rule.id);
            }
        }
        notice.purposes.iter().find_map(|p| self.refuses_purpose(p))
    }

    /// The line that refuses a registration; `None` takes it.
    #[must_use]
    pub fn refuses_party(&self, party: &PartyRegister) -> Option<&str> {
        let office = self.notices.iter().find(|r| r.demands == NoticeDemand::Office)?;
        (!reachable(&party.office)).then_some(&*office.id)
    }

    fn refuses_purpose(&self, p: &NoticePurpose) -> Option<&str> {
        let demands = self.demands_on(p.class);
        let too_long = demands.max_term.is_some_and(|max| p.keep_ms > max.ms());
        // What cannot be granted is not asked of a person, so nothing is demanded of the asking.
        if demands.grantable && (too_long || (demands.named_recipients && p.recipients.is_empty())) {
            return Some(&demands.id);
        }
        self.refuses_categories(p.class, p.categories.iter().map(|c| c.category.as_str())).or_else(|| {
            // Required beside something of another line: she could not leave it out.
            let required = p.categories.iter().filter(|c| c.required).map(|c| self.category(&c.category));
            required.flatten().filter(|r| r.asking == Asking::Separately).find_map(|rule| {
                let alone =
                    p.categories.iter().all(|c| self.category(&c.category).is_some_and(|r| r.id == rule.id));
                (!alone).then_some(&*rule.id)
            })
        })
    }

    fn refuses_categories<'c>(
        &self,
        class: DataClass,
        mut categories: impl Iterator<Item = &'c str>,
    ) -> Option<&str> {
        categories.find_map(|c| {
            let rule = self.category(c)?;
            (!rule.classes.contains(&class)).then_some(&*rule.id)
        })
    }

    fn refuses_countries(&self, actions: &[Action], countries: &[String]) -> Option<&str> {
        if let Some(closed) = countries.iter().map(|c| self.border(c)).find(|b| b.needs == Border::Refused) {
            return Some(&closed.id);
        }
        let abroad = countries.iter().any(|c| self.border(c).needs != Border::Home);
        (actions.contains(&Action::TransferAbroad) && !abroad).then_some(&*self.elsewhere.id)
    }
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn reachable(office: &Office) -> bool {
    !blank(&office.name) && !blank(&office.contact)
}

/// Whether everything is said that must be said before data leaves the country.
fn complete(a: &Abroad) -> bool {
    let words = [
        &a.recipient,
        &a.contact,
        &a.country,
        &a.when,
        &a.how,
        &a.purpose,
        &a.term,
        &a.refuse,
        &a.consequence,
    ];
    words.iter().all(|w| !blank(w)) && !a.items.is_empty() && a.items.iter().all(|i| !blank(i))
}
