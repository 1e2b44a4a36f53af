//! One statement of every type with every optional field present, and one with none.

use naru::model::id::{Hash, KeyHash, Nonce, PartyId, Ppid, StatementId, SubjectId, Timestamp};
use naru::model::statement::*;
use naru::model::vocabulary::{Action, DataClass, Role};
use serde_bytes::ByteBuf;

const AT: Timestamp = Timestamp(1_790_000_000_000);
const LATER: Timestamp = Timestamp(1_800_000_000_000);
const PPID: Ppid = Ppid([0x11; 16]);
const ID: StatementId = StatementId([0x22; 32]);
const HASH: Hash = Hash([0x33; 32]);
const KEY: KeyHash = KeyHash([0x44; 32]);
const INCIDENT: Nonce = Nonce([0x55; 16]);

/// Whether optional fields are present.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Optional {
    Present,
    Absent,
}

impl Optional {
    fn some<T>(self, value: T) -> Option<T> {
        (self == Self::Present).then_some(value)
    }
    fn many<T>(self, value: T) -> Vec<T> {
        self.some(value).into_iter().collect()
    }
}

pub(crate) fn party(name: &str) -> PartyId {
    PartyId::parse(name).unwrap()
}

fn text(s: &str) -> String {
    s.to_owned()
}

fn spki() -> ByteBuf {
    ByteBuf::from(vec![0x66; 44])
}

fn office() -> Office {
    Office { name: text("Privacy office"), contact: text("privacy@bank.example") }
}

fn shown() -> Shown {
    Shown { id: ID, hash: HASH, locale: text("ko") }
}

fn abroad() -> Abroad {
    Abroad {
        recipient: text("Cloud K.K."),
        contact: text("privacy@cloud.example"),
        country: text("JP"),
        items: vec![text("income")],
        when: text("daily"),
        how: text("TLS"),
        purpose: text("storage"),
        term: text("one year"),
        refuse: text("in the app"),
        consequence: text("no statements by post"),
    }
}

/// The statement of type `$name` with the fields every statement has.
macro_rules! s {
    ($name:ident { $($field:ident : $value:expr),* $(,)? }) => {
        Statement::from($name { v: V1, kind: Kind::$name, iat: AT, nonce: Nonce([0x77; 16]), $($field: $value),* })
    };
}

/// A match without wildcard: a new type breaks it until it has an example.
pub(crate) fn example(kind: Kind, o: Optional) -> Statement {
    match kind {
        Kind::NoticePublish
        | Kind::NoticeRetire
        | Kind::PartyRegister
        | Kind::PartyRotate
        | Kind::PartyEngage
        | Kind::PartyDisengage
        | Kind::PartySucceed
        | Kind::PartyClose
        | Kind::PartySuspend
        | Kind::PackAdopt
        | Kind::ReleaseRegister
        | Kind::ReleaseWithdraw
        | Kind::ReleaseRecall
        | Kind::CanaryCommit => of_party(kind, o),
        Kind::ConsentGrant
        | Kind::ConsentRefuse
        | Kind::ConsentWithdraw
        | Kind::ConsentObject
        | Kind::ConsentLift
        | Kind::ConsentPause
        | Kind::ConsentResume
        | Kind::ConsentDispute
        | Kind::ConsentAttest
        | Kind::ConsentSignal
        | Kind::ConsentRequest => of_consent(kind, o),
        Kind::KeyCreate
        | Kind::KeyAdd
        | Kind::KeyRevoke
        | Kind::KeyRotate
        | Kind::KeyRecover
        | Kind::KeyRebind
        | Kind::SubjectAttest
        | Kind::DelegationGrant
        | Kind::DelegationEnd => of_key(kind, o),
        Kind::TransferDemand
        | Kind::TransferStop
        | Kind::TransferDeliver
        | Kind::TransferConfirm
        | Kind::TransferFail
        | Kind::RightRequest
        | Kind::RightAnswer
        | Kind::ErasureDemand
        | Kind::DutyAcknowledge
        | Kind::DutyDeleted
        | Kind::DutyJustify
        | Kind::ConsiderationSettle => of_transfer(kind, o),
        Kind::IncidentComplain
        | Kind::IncidentFlag
        | Kind::IncidentAnswer
        | Kind::IncidentOrder
        | Kind::IncidentConfirm
        | Kind::IncidentDismiss
        | Kind::IncidentAssess
        | Kind::IncidentContain
        | Kind::IncidentReport
        | Kind::IncidentNotify
        | Kind::IncidentAppeal
        | Kind::IncidentClose
        | Kind::IncidentPublish
        | Kind::WarrantGrant
        | Kind::HoldPlace
        | Kind::HoldLift => of_incident(kind, o),
        Kind::UseBatch | Kind::LogCreate | Kind::LogRotate | Kind::ErasureCertify => of_log(kind, o),
    }
}

fn notice_purpose(o: Optional) -> NoticePurpose {
    NoticePurpose {
        purpose: text("dpv:ServiceProvision"),
        class: DataClass::Pseudonymous,
        categories: vec![NoticeCategory {
            category: text("pd:Income"),
            items: o.many(text("bank.deposit")),
            required: o == Optional::Present,
            reason: text("to pay"),
        }],
        actions: o.some(Action::ALL.to_vec()).unwrap_or_default(),
        recipients: o.many(party("univ")),
        keep_ms: 86_400_000,
    }
}

fn transfer_end() -> TransferEnd {
    TransferEnd { url: text("https://bank.example.kr:8443/naru"), key: Some(ByteBuf::from(vec![7; 91])) }
}

fn replayed(o: Optional) -> Replayed {
    Replayed {
        of: ReplayOf::Uses,
        from: AT,
        until: LATER,
        size: 9,
        instead_of: o.many(text("kr-pipa-2026")),
        asked: 7,
        changed: 2,
        report: HASH,
    }
}

fn of_party(kind: Kind, o: Optional) -> Statement {
    match kind {
        Kind::NoticePublish => s!(NoticePublish {
            controller: party("bank"),
            name: text("deposit"),
            version: 1,
            purposes: vec![notice_purpose(o)],
            texts: vec![NoticeText {
                locale: text("ko"),
                audience: if o == Optional::Present { Audience::Child } else { Audience::Adult },
                media_type: text("text/markdown"),
                length: 1200,
                hash: HASH,
            }],
            office: office(),
            abroad: o.some(abroad()),
            claims: o.many(Claim {
                rule: text("kr-pipa#research"),
                purpose: text("dpv:ScientificResearch"),
                reason: text("a study"),
            }),
        }),
        Kind::NoticeRetire => s!(NoticeRetire { notice: ID }),
        Kind::PartyRegister => s!(PartyRegister {
            party: party("bank"),
            name_ko: text("은행"),
            name_en: text("Bank"),
            roles: Role::ALL.to_vec(),
            jurisdiction: text("KR"),
            office: office(),
            licence: o.some(Licence { number: text("2026-1"), regulator: party("pipc") }),
            scope: o.many(text("finance")),
            transfer: o.some(transfer_end()),
        }),
        Kind::PartyRotate => s!(PartyRotate {
            party: party("bank"),
            new: KEY,
            epoch: o.some(1),
            transfer: o.some(transfer_end()),
        }),
        Kind::PartyEngage => s!(PartyEngage {
            controller: party("bank"),
            processor: party("cloud"),
            purposes: o.many(text("dpv:PaymentManagement")),
            until: o.some(LATER),
        }),
        Kind::PartyDisengage => s!(PartyDisengage { controller: party("bank"), processor: party("cloud") }),
        Kind::PartySucceed => {
            s!(PartySucceed { party: party("bank"), successor: party("bank.2"), from: LATER })
        }
        Kind::PartyClose => s!(PartyClose { party: party("bank") }),
        Kind::PartySuspend => {
            s!(PartySuspend { party: party("bank"), until: o.some(LATER), case: text("2026-7") })
        }
        Kind::PackAdopt => s!(PackAdopt {
            pack: text("kcern-2018"),
            version: 1,
            hash: HASH,
            from: LATER,
            replay: o.some(replayed(o)),
        }),
        Kind::ReleaseRegister => s!(ReleaseRegister {
            anonymiser: party("anon"),
            release: text("incomes-2026"),
            purposes: vec![text("dpv:ProvideOfficialStatistics")],
            recipients: o.many(party("univ")),
            criteria: HASH,
        }),
        Kind::ReleaseWithdraw => s!(ReleaseWithdraw { release: ID }),
        Kind::ReleaseRecall => s!(ReleaseRecall { release: ID }),
        Kind::CanaryCommit => s!(CanaryCommit { release: ID, commitment: HASH }),
        other => unreachable!("{}", other.as_str()),
    }
}

/// An act of a slot, with the fields that all of them have.
macro_rules! act {
    ($name:ident, $o:ident $(, $field:ident : $value:expr)*) => {
        s!($name {
            ppid: PPID, by: $o.some(ID), controller: party("bank"), purpose: text("dpv:Marketing"),
            class: DataClass::RealName $(, $field: $value)*
        })
    };
}

fn moved(o: Optional) -> Moved {
    Moved { id: ID, log: text("ledger.first.kr/log"), index: 7, evidence: o.some(ByteBuf::from([0xa0; 3])) }
}

fn of_consent(kind: Kind, o: Optional) -> Statement {
    let scope = |one: &str| if o == Optional::Present { Scope::One(text(one)) } else { Scope::Any };
    match kind {
        Kind::ConsentGrant => s!(ConsentGrant {
            ppid: PPID,
            by: o.some(ID),
            over: o.some(ID),
            controller: party("bank"),
            recipients: o.many(party("univ")),
            purpose: text("dpv:Marketing"),
            categories: vec![text("pd:Income"), text("pd:Age")],
            class: DataClass::RealName,
            actions: Action::ALL.to_vec(),
            jurisdictions: vec![text("KR")],
            fetch_until: AT,
            keep_until: LATER,
            limits: o.some(Limits {
                count: Some(12),
                frequency: Some(Frequency { max: 1, per_ms: 86_400_000 }),
                mode: Some(Mode::View),
            }),
            consideration: o.some(text("1,000 points")),
            notice: shown(),
            link: o.some(HASH),
            moved: o.some(moved(o)),
        }),
        Kind::ConsentRefuse => {
            act!(ConsentRefuse, o, notice: o.some(shown()), link: o.some(HASH), moved: o.some(moved(o)))
        }
        Kind::ConsentWithdraw => act!(ConsentWithdraw, o, moved: o.some(moved(o))),
        Kind::ConsentPause => act!(ConsentPause, o, moved: o.some(moved(o))),
        Kind::ConsentResume => act!(ConsentResume, o, over: o.some(ID)),
        Kind::ConsentDispute => act!(ConsentDispute, o, moved: o.some(moved(o))),
        Kind::ConsentObject => s!(ConsentObject {
            ppid: PPID,
            by: o.some(ID),
            controller: scope("bank"),
            purpose: scope("dpv:Marketing"),
            class: DataClass::Anonymous,
            moved: o.some(moved(o)),
        }),
        Kind::ConsentLift => s!(ConsentLift {
            ppid: PPID,
            by: o.some(ID),
            over: o.some(ID),
            controller: scope("bank"),
            purpose: scope("dpv:Marketing"),
            class: DataClass::Anonymous,
        }),
        Kind::ConsentAttest => s!(ConsentAttest {
            ppid: PPID,
            over: o.some(ID),
            controller: party("bank"),
            recipients: o.many(party("univ")),
            purpose: text("dpv:Marketing"),
            categories: vec![text("pd:Income")],
            class: DataClass::RealName,
            actions: vec![Action::Use],
            jurisdictions: vec![text("KR")],
            fetch_until: AT,
            keep_until: LATER,
            given_at: Timestamp(1_500_000_000_000),
            how: text("paper"),
        }),
        Kind::ConsentSignal => s!(ConsentSignal {
            ppid: PPID,
            act: if o == Optional::Present { SignalAct::Withdraw } else { SignalAct::Object },
            controller: scope("bank"),
            purpose: scope("dpv:Marketing"),
            class: DataClass::RealName,
            channel: if o == Optional::Present { Channel::CallCentre } else { Channel::Gpc },
        }),
        Kind::ConsentRequest => s!(ConsentRequest {
            controller: party("bank"),
            notice: ID,
            purposes: o.many(text("dpv:Marketing")),
            link: HASH,
            until: LATER,
        }),
        other => unreachable!("{}", other.as_str()),
    }
}

fn of_key(kind: Kind, o: Optional) -> Statement {
    match kind {
        Kind::KeyCreate => s!(KeyCreate {
            key_use: if o == Optional::Present { KeyUse::Passkey } else { KeyUse::Device },
            recovery: o.some(KEY),
        }),
        Kind::KeyAdd => s!(KeyAdd { ppid: PPID, over: o.some(ID), key: KEY, key_use: KeyUse::Recovery }),
        Kind::KeyRevoke => s!(KeyRevoke { ppid: PPID, key: KEY }),
        Kind::KeyRotate => s!(KeyRotate { ppid: PPID, over: o.some(ID), old: KEY, new: KEY }),
        Kind::KeyRecover => s!(KeyRecover { ppid: PPID, new: KEY }),
        Kind::KeyRebind => s!(KeyRebind { ppid: PPID, new: KEY, method: text("in person") }),
        Kind::SubjectAttest => s!(SubjectAttest {
            ppid: PPID,
            provider: party("idp"),
            minor_until: o.some(LATER),
            guardian: o.some(KEY),
            method: if o == Optional::Present { ProofMethod::PhoneIdentity } else { ProofMethod::Register },
        }),
        Kind::DelegationGrant => s!(DelegationGrant {
            ppid: PPID,
            over: o.some(ID),
            delegate: KEY,
            types: vec![text("consent.grant"), text("consent.withdraw")],
            controllers: o.many(party("bank")),
            until: LATER,
            depth: 0,
            reason: text("guardian"),
        }),
        Kind::DelegationEnd => s!(DelegationEnd { ppid: PPID, delegate: KEY }),
        other => unreachable!("{}", other.as_str()),
    }
}

fn of_demand(o: Optional) -> Statement {
    s!(TransferDemand {
        ppid: PPID,
        by: o.some(ID),
        over: o.some(ID),
        sender: party("bank"),
        recipient: party("wallet"),
        scheduled: o == Optional::Present,
        fund_cycle: o.some(text("1/w")),
        add_cycle: o.some(text("1/d")),
        end: AT,
        purpose: text("dpv:ServiceProvision"),
        keep_until: LATER,
        targets: vec![Target { scope: text("bank.deposit"), assets: o.many(text("1234567890")) }],
        mode: if o == Optional::Present { Mode::Store } else { Mode::View },
    })
}

fn of_transfer(kind: Kind, o: Optional) -> Statement {
    match kind {
        Kind::TransferDemand => of_demand(o),
        Kind::TransferStop => s!(TransferStop { ppid: PPID, by: o.some(ID), demand: ID }),
        Kind::TransferDeliver => {
            s!(TransferDeliver { ppid: PPID, party: party("bank"), demand: ID, run: 0, items: 3, hash: HASH })
        }
        Kind::TransferConfirm => {
            s!(TransferConfirm {
                ppid: PPID,
                party: party("wallet"),
                demand: ID,
                run: 0,
                received: 2,
                announced: 3
            })
        }
        Kind::TransferFail => {
            s!(TransferFail {
                ppid: PPID,
                party: party("bank"),
                demand: ID,
                run: 1,
                code: FailCode::SenderUnreachable
            })
        }
        Kind::RightRequest => s!(RightRequest {
            ppid: PPID,
            by: o.some(ID),
            controller: party("bank"),
            right: if o == Optional::Present { Right::ObjectAutomated } else { Right::Access },
            categories: o.many(text("pd:Income")),
        }),
        Kind::RightAnswer => s!(RightAnswer {
            ppid: PPID,
            party: party("bank"),
            request: ID,
            outcome: Outcome::Partly,
            reason: o.some(text("PIPA art. 35(4)")),
        }),
        Kind::ErasureDemand => s!(ErasureDemand { ppid: PPID }),
        Kind::DutyAcknowledge => s!(DutyAcknowledge { ppid: PPID, party: party("univ"), act: ID }),
        Kind::DutyDeleted => s!(DutyDeleted {
            ppid: PPID,
            party: party("univ"),
            act: ID,
            categories: o.many(text("pd:Income")),
            deleted_at: AT,
        }),
        Kind::DutyJustify => s!(DutyJustify {
            ppid: PPID,
            party: party("hospital"),
            rule: text("kr-pipa-2026#vital-interest"),
            purpose: text("dpv:ImproveHealthcare"),
            class: DataClass::RealName,
            from: AT,
            until: LATER,
            reason: text("brought in unconscious"),
        }),
        Kind::ConsiderationSettle => s!(ConsiderationSettle {
            ppid: PPID,
            party: party("bank"),
            grant: ID,
            from: AT,
            until: LATER,
            amount: 1000,
            currency: text("KRW"),
        }),
        other => unreachable!("{}", other.as_str()),
    }
}

macro_rules! steps {
    ($kind:ident, $($name:ident),*) => {
        match $kind {
            $(Kind::$name => s!($name { incident: INCIDENT, party: party("pipc"), document: HASH }),)*
            other => unreachable!("{}", other.as_str()),
        }
    };
}

fn of_incident(kind: Kind, o: Optional) -> Statement {
    match kind {
        Kind::IncidentComplain => s!(IncidentComplain {
            ppid: PPID,
            by: o.some(ID),
            party: party("bank"),
            text: text("they called me after I withdrew"),
        }),
        Kind::IncidentFlag => s!(IncidentFlag {
            incident: INCIDENT,
            party: party("univ"),
            detector: text("foreign-ppid"),
            strength: if o == Optional::Present { Strength::D } else { Strength::S },
            evidence: o.many(HASH),
        }),
        Kind::WarrantGrant => s!(WarrantGrant {
            case: text("2026-7"),
            regulator: party("pipc"),
            parties: vec![party("bank"), party("univ")],
            from: AT,
            until: LATER,
        }),
        Kind::HoldPlace => {
            s!(HoldPlace {
                case: text("2026-7"),
                regulator: party("pipc"),
                records: o.many(ID),
                until: LATER
            })
        }
        Kind::HoldLift => s!(HoldLift { case: text("2026-7"), regulator: party("pipc") }),
        step => steps!(
            step,
            IncidentAnswer,
            IncidentOrder,
            IncidentConfirm,
            IncidentDismiss,
            IncidentAssess,
            IncidentContain,
            IncidentReport,
            IncidentNotify,
            IncidentAppeal,
            IncidentClose,
            IncidentPublish
        ),
    }
}

fn of_log(kind: Kind, o: Optional) -> Statement {
    match kind {
        Kind::UseBatch => s!(UseBatch {
            number: 0,
            from: AT,
            until: LATER,
            root: HASH,
            gaps: o.many(Interval { from: AT, until: LATER }),
        }),
        Kind::LogCreate => s!(LogCreate {
            origin: text("ledger.example/1"),
            grain: 5000,
            log: spki(),
            operator: ByteBuf::from(vec![0x66; 91]),
            token: spki(),
            regulators: o.many(FirstRegulator {
                id: party("pipc"),
                spki: spki(),
                scope: vec![text("finance")],
            }),
            packs: o.many(FirstPack { name: text("kcern-2018"), version: 1, hash: HASH }),
        }),
        Kind::LogRotate => s!(LogRotate {
            server_key: if o == Optional::Present { ServerKey::Cosigner } else { ServerKey::Log },
            new: spki(),
            overlap_until: LATER,
        }),
        Kind::ErasureCertify => {
            s!(ErasureCertify {
                tags: vec![SubjectId([0x88; 16])],
                order: o.some(text("2026-1")),
                scheduled: o == Optional::Present,
                records: 1,
                tombstones: HASH,
            })
        }
        other => unreachable!("{}", other.as_str()),
    }
}
