//! Which files of an archive are looked into, and what the completeness list says of all of them.
//!
//! What is not looked into is compared with its hash alone and never in memory as a whole: so a table of fifty
//! thousand rows costs what one of ten costs. Lacks what the files say (`archive`). Trusted: nothing
//! that is read.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::audit::archive::Error;
use crate::audit::archive::wrong;
use crate::audit::lists;
use crate::audit::lists::Names;
use crate::ledger::hash::Hash;
use crate::portability;
use crate::portability::parcel::Named;

/// What the list calls an item of a source.
const DEPOSIT: &str = "deposit";

/// What is done with a file.
pub(in crate::audit) enum Look {
    /// It is looked into: its content is wanted.
    Into,
    /// It has to have the hash of what is made of a list before it, or of those of a folder.
    Rendering(&'static str),
    /// It is around what is inside, or is the page: nothing but the manifest speaks of it.
    Around,
    /// It is of a later version.
    Unknown,
}

impl Look {
    /// Of the file at a path.
    pub(in crate::audit) fn at(path: &str) -> Self {
        match path {
            portability::CONSENTS_CSV | portability::CONSENTS_LD => Self::Rendering(portability::CONSENTS),
            portability::COMPLAINTS_CSV => Self::Rendering(portability::COMPLAINTS),
            portability::CHECKPOINT
            | portability::CONSENTS
            | portability::COMPLETENESS
            | portability::INCIDENTS
            | portability::COMPLAINTS
            | portability::TRANSFERS
            | portability::DUTIES
            | portability::RIGHTS
            | portability::VALUE
            | portability::EXCEPTIONS
            | portability::PARTIES => Self::Into,
            _ if portability::is_around(path) => Self::Around,
            _ if portability::is_uses_csv(path) => Self::Rendering(portability::USES),
            _ if path.starts_with(portability::COMPLAINT_FILES) || lists::is_known(path) => Self::Into,
            _ => Self::Unknown,
        }
    }
}

/// The completeness list, as far as it is looked into.
#[derive(Deserialize)]
pub(in crate::audit) struct Complete {
    pub(in crate::audit) exported: Vec<Exported>,
    lists: Told,
    pub(in crate::audit) withheld: Vec<Withheld>,
}

/// The lists it names, as one hash: each is forgotten when the next one is read.
struct Told(Hash);

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Told;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut lists: A) -> Result<Told, A::Error> {
                let mut names = Names::default();
                while let Some(list) = lists.next_element::<Named>()? {
                    names.push(&list).map_err(A::Error::custom)?;
                }
                Ok(Told(names.hash()))
            }
        }

        deserializer.deserialize_seq(Each)
    }
}

/// An item that no list names.
#[derive(Deserialize)]
pub(in crate::audit) struct Exported {
    kind: String,
    id: String,
    pub(in crate::audit) path: String,
}

/// What is not inside.
#[derive(Deserialize)]
pub(in crate::audit) struct Withheld {
    kind: String,
    pub(in crate::audit) reason: String,
    pub(in crate::audit) what: String,
    items: Option<u64>,
}

impl Complete {
    /// Reads the list: no tree of values is made of it, nor a row for each list it names.
    pub(in crate::audit) fn read(content: &[u8]) -> Result<Self, Error> {
        let differs = || wrong(portability::COMPLETENESS, "it is no list of what is inside and what is not");
        let other = |error: serde_json::Error| if error.is_data() { differs() } else { error.into() };
        serde_json::from_slice(content).map_err(other)
    }

    /// Whether it lists exactly these of a kind.
    pub(in crate::audit) fn lists(&self, kind: &str, inside: &BTreeSet<String>) -> bool {
        let of_kind = self.exported.iter().filter(|item| item.kind == kind);
        let listed: BTreeSet<_> = of_kind.map(|item| item.id.as_str()).collect();
        listed.into_iter().eq(inside.iter().map(String::as_str))
    }

    /// The lists it names, to be compared with those that are inside.
    pub(in crate::audit) const fn names(&self) -> &Hash {
        &self.lists.0
    }

    /// How many uses it says are told by a list and not proven.
    pub(in crate::audit) fn unproven(&self) -> u64 {
        self.counted(|kind| kind != DEPOSIT)
    }

    /// How many items it says are told by a list and no longer inside.
    pub(in crate::audit) fn over(&self) -> u64 {
        self.counted(|kind| kind == DEPOSIT)
    }

    fn counted(&self, of: fn(&str) -> bool) -> u64 {
        let counts = self.withheld.iter().filter(|one| of(&one.kind)).filter_map(|one| one.items);
        counts.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_long_is_never_looked_into() {
        for path in ["view/000001.js", "index.html", "manifest-sha256.txt", "tagmanifest-sha256.txt"] {
            assert!(matches!(Look::at(path), Look::Around), "{path}");
        }
        for path in ["data/uses.csv", "data/uses-000020.csv", "data/consents.csv", "data/consents.jsonld"] {
            assert!(matches!(Look::at(path), Look::Rendering(_)), "{path}");
        }
        for path in ["data/uses.ndjson", "data/later.bin", "data/by-source/bank/original.json"] {
            assert!(matches!(Look::at(path), Look::Unknown), "{path}");
        }
        for path in ["data/uses/000001.ndjson", "data/by-source/bank/000001.zip", "data/complaints/1.cbor"] {
            assert!(matches!(Look::at(path), Look::Into), "{path}");
        }
    }

    #[test]
    fn lists_are_compared_by_all_that_is_said_of_them_and_in_their_order() {
        let list = |number: u32, items: u32| {
            format!(r#"{{"kind":"use","path":"data/uses/{number:06}.ndjson","items":{items},"sha256":"00"}}"#)
        };
        let of = |lists: &[String]| {
            let text = format!(r#"{{"exported":[],"lists":[{}],"withheld":[]}}"#, lists.join(","));
            Complete::read(text.as_bytes()).map(|file| *file.names()).ok()
        };
        let good = of(&[list(1, 7), list(2, 7)]);
        assert!(good.is_some() && good == of(&[list(1, 7), list(2, 7)]));
        for other in [vec![], vec![list(1, 7)], vec![list(2, 7), list(1, 7)], vec![list(1, 7), list(2, 8)]] {
            assert!(of(&other).is_some() && of(&other) != good, "{other:?}");
        }
        assert!(of(&[list(1, 7).replace("use", "nothing")]).is_none());
        assert!(of(&[list(1, 7).replace("items", "item")]).is_none());
    }
}
