//! A use line on its way to the disk: borrowed from the question, written field by field.
//!
//! Every evaluation makes one, so it owns nothing it need not and goes through no
//! general serializer. What it writes is what [`UseLine`] reads: a test holds both
//! against each other. Lacks time, name and place: whoever writes it knows them.
//!
//! [`UseLine`]: crate::model::use_line::UseLine

use crate::ledger::cbor::Writer;
use crate::ledger::hash::Hash;
use crate::model::decision::Reason;
use crate::model::id::DecisionId;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::use_line::UseAct;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;

/// What a line says, before it stands somewhere. The fields are those of the written line.
#[derive(Clone, Debug)]
pub(in crate::node) struct Line<'a> {
    pub(in crate::node) at: Timestamp,
    pub(in crate::node) act: UseAct,
    pub(in crate::node) case: Option<Nonce>,
    pub(in crate::node) pack: &'a str,
    pub(in crate::node) ppid: Option<Ppid>,
    pub(in crate::node) rule: &'a str,
    pub(in crate::node) told: Reason,
    pub(in crate::node) as_of: u64,
    pub(in crate::node) asker: &'a PartyId,
    pub(in crate::node) basis: Option<StatementId>,
    pub(in crate::node) class: Option<DataClass>,
    pub(in crate::node) count: Option<u64>,
    pub(in crate::node) action: Option<AskedAction>,
    pub(in crate::node) signed: Option<&'a [u8]>,
    pub(in crate::node) use_id: Option<&'a str>,
    pub(in crate::node) purpose: Option<&'a str>,
    pub(in crate::node) release: Option<&'a str>,
    pub(in crate::node) version: u32,
    pub(in crate::node) recipient: Option<&'a PartyId>,
    pub(in crate::node) categories: &'a [String],
    pub(in crate::node) controller: &'a PartyId,
    pub(in crate::node) jurisdiction: Option<&'a str>,
    /// The exact rule and reason, where something else may have been told.
    pub(in crate::node) exact: Option<(&'a str, Reason)>,
}

/// Fields that every line has.
const ALWAYS: usize = 12;

impl Line<'_> {
    /// The exact reason's bytes, if it is kept apart.
    pub(in crate::node::uselog) fn exact(&self) -> Option<Vec<u8>> {
        let (rule, reason) = self.exact.as_ref()?;
        let out = Writer::with_capacity(64).map(2).text("rule").text(rule);
        Some(out.text("reason").text(reason.as_str()).finish())
    }

    /// The line's bytes, behind those of `out`: a map whose keys stand in the order of their encoding.
    pub(in crate::node::uselog) fn encode(
        &self,
        out: Vec<u8>,
        t: Timestamp,
        id: &DecisionId,
        exact: Option<&Hash>,
    ) -> Vec<u8> {
        let pairs = ALWAYS + self.optional() + usize::from(exact.is_some());
        let out = Writer::behind(out).map(pairs);
        let out = out.text("t").uint(t.0).text("v").uint(1).text("at").uint(self.at.0);
        let out = out.text("id").bytes(&id.0).text("act").text(self.act.as_str());
        let out = given(out, "case", self.case, |out, case| out.bytes(&case.0));
        let out = out.text("pack").text(self.pack);
        let out = given(out, "ppid", self.ppid, |out, ppid| out.bytes(&ppid.0));
        let out = out.text("rule").text(self.rule).text("told").text(self.told.as_str());
        let out = out.text("as-of").uint(self.as_of).text("asker").text(self.asker.as_str());
        let out = given(out, "basis", self.basis, |out, id| out.bytes(&id.0));
        let out = given(out, "class", self.class, |out, class| out.text(class.as_str()));
        let out = given(out, "count", self.count, Writer::uint);
        let out = given(out, "exact", exact, |out, hash| out.bytes(hash));
        let out = given(out, "action", self.action, |out, action| out.text(action.as_str()));
        let out = given(out, "signed", self.signed, Writer::bytes);
        let out = given(out, "use-id", self.use_id, Writer::text);
        let out = given(out, "purpose", self.purpose, Writer::text);
        let out = given(out, "release", self.release, Writer::text);
        let out = out.text("version").uint(u64::from(self.version));
        let out = given(out, "recipient", self.recipient, |out, party| out.text(party.as_str()));
        let categories = Some(self.categories).filter(|all| !all.is_empty());
        let out = given(out, "categories", categories, |out, all| {
            all.iter().fold(out.array(all.len()), |out, one| out.text(one))
        });
        let out = out.text("controller").text(self.controller.as_str());
        given(out, "jurisdiction", self.jurisdiction, Writer::text).finish()
    }

    /// How many of the fields are there that need not be.
    fn optional(&self) -> usize {
        let there = [
            self.case.is_some(),
            self.ppid.is_some(),
            self.basis.is_some(),
            self.class.is_some(),
            self.count.is_some(),
            self.action.is_some(),
            self.signed.is_some(),
            self.use_id.is_some(),
            self.purpose.is_some(),
            self.release.is_some(),
            self.recipient.is_some(),
            !self.categories.is_empty(),
            self.jurisdiction.is_some(),
        ];
        there.into_iter().filter(|there| *there).count()
    }
}

/// A pair, if there is a value.
fn given<T>(out: Writer, key: &str, value: Option<T>, write: impl FnOnce(Writer, T) -> Writer) -> Writer {
    match value {
        Some(value) => write(out.text(key), value),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::cbor;
    use crate::model::id::Hash as Shown;
    use crate::model::use_line::Exact;
    use crate::model::use_line::UseLine;
    use crate::model::vocabulary::Action;

    fn party() -> impl Strategy<Value = PartyId> {
        "[a-z]{1,8}".prop_map(|name| PartyId::parse(&name).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_model_reads(
            (asker, controller, recipient) in (party(), party(), proptest::option::of(party())),
            texts in proptest::array::uniform4(proptest::option::of(".{0,300}")),
            categories in proptest::collection::vec(".{0,30}", 0..30),
            (ppid, basis, exact) in any::<(Option<[u8; 16]>, Option<[u8; 32]>, Option<[u8; 32]>)>(),
            (count, signed) in any::<(Option<u64>, Option<Vec<u8>>)>(),
            (as_of, version, id) in any::<(u64, u32, [u8; 16])>(),
            [t, at] in proptest::array::uniform2(0..=Timestamp::LAST.0),
            (told, act, named, case) in
                (0..Reason::ALL.len(), 0..3usize, any::<bool>(), any::<Option<[u8; 16]>>()),
        ) {
            let [use_id, purpose, release, jurisdiction] = &texts;
            let line = Line {
                at: Timestamp(at),
                act: [UseAct::Check, UseAct::Handover, UseAct::Opening][act],
                case: case.map(Nonce),
                pack: "p",
                ppid: ppid.map(Ppid),
                rule: "r",
                told: Reason::ALL[told],
                as_of,
                asker: &asker,
                basis: basis.map(StatementId),
                class: named.then_some(DataClass::Pseudonymous),
                count,
                action: named.then_some(AskedAction::Grantable(Action::Combine)),
                signed: signed.as_deref(),
                use_id: use_id.as_deref(),
                purpose: purpose.as_deref(),
                release: release.as_deref(),
                version,
                recipient: recipient.as_ref(),
                categories: &categories,
                controller: &controller,
                jurisdiction: jurisdiction.as_deref(),
                exact: exact.map(|_| ("kept", Reason::ALL[told])),
            };
            let read: UseLine =
                cbor::decode_exact(&line.encode(Vec::new(), Timestamp(t), &DecisionId(id), exact.as_ref())).unwrap();
            prop_assert_eq!((read.t, read.at, read.id.0, read.act), (Timestamp(t), line.at, id, line.act));
            prop_assert_eq!(read.case, line.case);
            prop_assert_eq!((&*read.pack, &*read.rule, read.told), ("p", "r", line.told));
            prop_assert_eq!((read.as_of, &read.asker, read.count), (as_of, &asker, count));
            prop_assert_eq!((read.ppid, read.basis, read.exact), (line.ppid, line.basis, exact.map(Shown)));
            prop_assert_eq!((read.class, read.action), (line.class, line.action));
            prop_assert_eq!(read.signed.as_ref().map(|bytes| bytes.as_slice()), signed.as_deref());
            prop_assert_eq!([read.use_id, read.purpose, read.release, read.jurisdiction], texts.clone());
            prop_assert_eq!((read.version, read.recipient), (version, recipient.clone()));
            prop_assert_eq!((&read.categories, &read.controller), (&categories, &controller));
            let kept = line.exact().map(|bytes| cbor::decode_exact::<Exact>(&bytes).unwrap());
            let kept = kept.map(|kept| (kept.rule, kept.reason));
            prop_assert_eq!(kept, exact.map(|_| ("kept".to_owned(), line.told)));
        }
    }
}
