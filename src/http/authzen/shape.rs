//! The JSON of AuthZEN 1.0, borrowed from the request, and its mapping to a question.
//!
//! | member | content |
//! |---|---|
//! | `subject` | `{type: "party", id}` |
//! | `resource` | `{type: "person", id: ppid, properties: {categories, class}}` or `{type: "release", id}` |
//! | `action` | `{name, properties: {purpose, recipient?, jurisdiction?}}` |
//! | `context` | `{use_id?, min_index?}` |
//!
//! Three properties belong to the certification fixture alone (`role`, `status`, `soft`);
//! the ledger takes anything there and reads nothing of it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;
use serde_json::value::RawValue;

use crate::model::decision::Question;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node;
use crate::node::Asked;
use crate::node::Resource as About;
use crate::node::Told;

/// A JSON object. A derived struct alone would take an array of its members for one.
#[derive(Clone, Debug)]
pub(super) struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Object)
            }
        }
        d.deserialize_map(Members(PhantomData))
    }
}

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Parses a body; the message names the place, never the content.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice::<Object<T>>(body).map(|object| object.0).map_err(|e| {
        let what = match e.classify() {
            serde_json::error::Category::Data => "a member is missing or of another type",
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => "the body is not JSON",
        };
        format!("{what} (line {}, column {})", e.line(), e.column())
    })
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SubjectProperties<'a> {
    #[serde(borrow)]
    pub(super) role: Option<&'a RawValue>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Subject<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) properties: Option<Object<SubjectProperties<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ResourceProperties<'a> {
    #[serde(borrow)]
    categories: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    class: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
}

impl ResourceProperties<'_> {
    /// The class of a person's data; a ppid alone does not say it.
    pub(super) fn class(&self) -> Result<Option<DataClass>, String> {
        let wrong = "`resource.properties.class` must be `real-name`, `pseudonymous` or `anonymous`";
        let parse = |text: &Cow<'_, str>| DataClass::parse(text).ok_or_else(|| wrong.to_owned());
        self.class.as_ref().map(parse).transpose()
    }

    pub(super) fn categories(&self) -> Vec<String> {
        self.categories.iter().flatten().map(|c| c.clone().into_owned()).collect()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Resource<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) properties: Option<Object<ResourceProperties<'a>>>,
}

/// What an action is done for, to whom, where.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ActionProperties<'a> {
    #[serde(borrow)]
    pub(super) purpose: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) recipient: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) jurisdiction: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) soft: Option<&'a RawValue>,
}

/// A question but for the person and the use.
pub(super) struct Topic<'a, 'b> {
    pub(super) controller: PartyId,
    pub(super) action: AskedAction,
    pub(super) aim: Option<&'b ActionProperties<'a>>,
    /// Where the purpose would stand: named if it is missing.
    pub(super) place: &'static str,
    pub(super) class: DataClass,
    pub(super) categories: Vec<String>,
}

impl Topic<'_, '_> {
    pub(super) fn question(self) -> Result<Question, String> {
        let purpose = self.aim.and_then(|p| p.purpose.as_ref());
        let recipient = self.aim.and_then(|p| p.recipient.as_deref());
        let question = Question {
            controller: self.controller,
            action: self.action,
            purpose: purpose
                .ok_or_else(|| format!("`{}.purpose` is missing", self.place))?
                .clone()
                .into_owned(),
            class: self.class,
            categories: self.categories,
            recipient: recipient.map(|r| party(r, &format!("{}.recipient", self.place))).transpose()?,
            jurisdiction: self.aim.and_then(|p| p.jurisdiction.clone()).map(Cow::into_owned),
            use_id: None,
        };
        if node::is_bounded(&question) { Ok(question) } else { Err(TOO_LONG.into()) }
    }
}

/// What is asked is kept in a use line, or in a page's token.
const TOO_LONG: &str = "a text of the question has more than 256 bytes, or there are more than 64 categories";

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Action<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) properties: Option<Object<ActionProperties<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Context<'a> {
    #[serde(borrow)]
    use_id: Option<Cow<'a, str>>,
    pub(super) min_index: Option<u64>,
}

/// One question.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Evaluation<'a> {
    #[serde(borrow)]
    pub(super) subject: Object<Subject<'a>>,
    #[serde(borrow)]
    pub(super) action: Object<Action<'a>>,
    #[serde(borrow)]
    pub(super) resource: Object<Resource<'a>>,
    #[serde(borrow, default)]
    context: Option<Object<Context<'a>>>,
}

/// One item of a batch: what it leaves out comes from the defaults, whole.
#[derive(Clone, Debug, Deserialize)]
struct Partial<'a> {
    #[serde(borrow)]
    subject: Option<Object<Subject<'a>>>,
    #[serde(borrow)]
    action: Option<Object<Action<'a>>>,
    #[serde(borrow)]
    resource: Option<Object<Resource<'a>>>,
    #[serde(borrow)]
    context: Option<Object<Context<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct BatchOptions<'a> {
    #[serde(borrow)]
    evaluations_semantic: Option<Cow<'a, str>>,
}

/// A batch and its defaults. Items are parsed one by one, so that one bad item spoils only itself.
#[derive(Debug, Deserialize)]
pub(super) struct Evaluations<'a> {
    #[serde(borrow)]
    subject: Option<Object<Subject<'a>>>,
    #[serde(borrow)]
    action: Option<Object<Action<'a>>>,
    #[serde(borrow)]
    resource: Option<Object<Resource<'a>>>,
    #[serde(borrow)]
    context: Option<Object<Context<'a>>>,
    #[serde(borrow)]
    pub(super) evaluations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    options: Option<Object<BatchOptions<'a>>>,
}

/// When a batch stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

impl<'a> Evaluations<'a> {
    pub(super) fn semantic(&self) -> Result<Semantic, String> {
        match self.options.as_ref().and_then(|o| o.evaluations_semantic.as_deref()) {
            Some("execute_all") | None => Ok(Semantic::ExecuteAll),
            Some("deny_on_first_deny") => Ok(Semantic::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Ok(Semantic::PermitOnFirstPermit),
            Some(_) => Err("`options.evaluations_semantic` is not one of the three of AuthZEN 1.0".into()),
        }
    }

    pub(super) fn default_evaluation(&self) -> Result<Evaluation<'a>, String> {
        self.fill(Partial { subject: None, action: None, resource: None, context: None })
    }

    pub(super) fn item(&self, raw: &'a RawValue) -> Result<Evaluation<'a>, String> {
        self.fill(parse(raw.get().as_bytes())?)
    }

    fn fill(&self, item: Partial<'a>) -> Result<Evaluation<'a>, String> {
        let missing = |what: &str| format!("`{what}` is missing");
        Ok(Evaluation {
            subject: item.subject.or_else(|| self.subject.clone()).ok_or_else(|| missing("subject"))?,
            action: item.action.or_else(|| self.action.clone()).ok_or_else(|| missing("action"))?,
            resource: item.resource.or_else(|| self.resource.clone()).ok_or_else(|| missing("resource"))?,
            context: item.context.or_else(|| self.context.clone()),
        })
    }
}

fn party(text: &str, what: &str) -> Result<PartyId, String> {
    PartyId::parse(text).ok_or_else(|| format!("`{what}` is not the name of a party"))
}

impl Evaluation<'_> {
    /// The question asked, or what is wrong with it.
    pub(super) fn to_asked(&self) -> Result<Asked, String> {
        if self.subject.kind != "party" {
            return Err("`subject.type` must be `party`: the one who would process".into());
        }
        let controller = party(&self.subject.id, "subject.id")?;
        let about = match self.resource.kind.as_ref() {
            "person" => About::Person(
                Ppid::from_text(&self.resource.id)
                    .ok_or("`resource.id` must be `ppid_` and 32 lower-case hex digits")?,
            ),
            "release" => About::Release(self.resource.id.clone().into_owned()),
            _ => return Err("`resource.type` must be `person` or `release`".into()),
        };
        let properties = self.resource.properties.as_deref();
        let class = match (&about, properties.map(ResourceProperties::class).transpose()?.flatten()) {
            (_, Some(class)) => class,
            (About::Release(_), None) => DataClass::Anonymous,
            (About::Person(_), None) => return Err("`resource.properties.class` is missing".into()),
        };
        let context = self.context.as_ref();
        let topic = Topic {
            controller,
            action: AskedAction::parse(&self.action.name)
                .ok_or("`action.name` is not in the closed list of actions")?,
            aim: self.action.properties.as_deref(),
            place: "action.properties",
            class,
            categories: properties.map(ResourceProperties::categories).unwrap_or_default(),
        };
        let use_id = context.and_then(|c| c.use_id.clone()).map(Cow::into_owned);
        let asked = Asked {
            resource: about,
            question: Question { use_id, ..topic.question()? },
            min_index: context.and_then(|c| c.min_index),
        };
        // The name of a release or of a use may be too long, too.
        if asked.is_bounded() { Ok(asked) } else { Err(TOO_LONG.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Policy {
    #[serde(serialize_with = "text")]
    pack: Arc<str>,
    version: u32,
    #[serde(serialize_with = "text")]
    rule: Arc<str>,
}

fn text<S: Serializer>(shared: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(shared)
}

#[derive(Debug, Serialize)]
struct DecidedContext {
    reason: &'static str,
    policy: Policy,
    /// Names the use line: `/v1/decisions/{id}/evidence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_id: Option<String>,
    as_of: u64,
    valid_for_s: u32,
    /// The permit ends here, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    /// The statement the permit rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<String>,
    /// It was opened by keys that were bound anew: so marked until then, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebound_until: Option<u64>,
}

/// The context of the fixture's decisions: it has no ledger to be as of.
#[derive(Debug, Serialize)]
struct FixtureContext {
    policy: Policy,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum AnyContext {
    Ledger(DecidedContext),
    Fixture(FixtureContext),
}

/// One decision as told.
#[derive(Debug, Serialize)]
pub(super) struct Decided {
    decision: bool,
    context: AnyContext,
}

impl Decided {
    pub(super) fn new(told: Told) -> Self {
        let decision = told.answer.decision;
        let reason = decision.told();
        let permits = reason.permits();
        Self {
            decision: permits,
            context: AnyContext::Ledger(DecidedContext {
                reason: reason.as_str(),
                policy: Policy { pack: decision.pack, version: decision.version, rule: told.rule },
                evaluation_id: told.id.map(|id| id.to_string()),
                as_of: told.answer.as_of,
                valid_for_s: told.valid_for_s,
                until: decision.until.filter(|_| permits).map(|t| t.0),
                basis: decision.basis.filter(|_| permits).map(|id| id.to_string()),
                rebound_until: decision.rebound_until.filter(|_| permits).map(|t| t.0),
            }),
        }
    }

    pub(super) fn of_fixture(decision: bool, pack: Arc<str>, version: u32, rule: Arc<str>) -> Self {
        let policy = Policy { pack, version, rule };
        Self { decision, context: AnyContext::Fixture(FixtureContext { policy }) }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ItemError {
    status: u16,
    message: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ErrorContext {
    error: ItemError,
}

/// One result of a batch.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Item {
    Decided(Box<Decided>),
    Error { decision: bool, context: ErrorContext },
}

impl Item {
    pub(super) fn error(status: u16, message: String) -> Self {
        Self::Error { decision: false, context: ErrorContext { error: ItemError { status, message } } }
    }

    pub(super) fn permits(&self) -> bool {
        match self {
            Self::Decided(decided) => decided.decision,
            Self::Error { .. } => false,
        }
    }
}

/// Results in order; shorter than the request where the semantic stopped.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) evaluations: Vec<Item>,
}
