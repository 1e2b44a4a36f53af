//! The second opinion on a node, asked after every operation.
//!
//! It keeps what a node ever said (acks, checkpoints, receipts) and what was ever
//! sent to it, and holds the node to all of it: Sunlight's `CheckLog`, with the
//! state beside it. What it expects of the state is a naive fold of its own over
//! the statements that stand in the log.

use std::collections::BTreeMap;

use naru::identity;
use naru::identity::Verified;
use naru::ledger::checkpoint;
use naru::ledger::cose;
use naru::ledger::entry;
use naru::ledger::entry::Entry;
use naru::ledger::hash;
use naru::ledger::key::Signer;
use naru::ledger::merkle;
use naru::ledger::promise;
use naru::ledger::receipt;
use naru::ledger::tile;
use naru::model::decision::Reason;
use naru::model::id::KeyHash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::Statement;
use naru::model::vocabulary::Action;
use naru::node::Accepted;
use naru::node::Node;
use naru::node::Outcome;
use naru::node::Readiness;

use crate::support::LOG;
use crate::support::ORIGIN;
use crate::support::World;
use crate::support::key_hash;
use crate::support::person_key;
use crate::support::signer;

/// A checkpoint as it was served.
struct Seen {
    size: u64,
    root: [u8; 32],
    note: String,
}

/// A receipt as it was served.
struct Held {
    index: u64,
    entry: Vec<u8>,
    receipt: Vec<u8>,
}

/// Everything ever said and sent.
#[derive(Default)]
pub struct Oracle {
    sent: BTreeMap<StatementId, Verified<Statement>>,
    acks: BTreeMap<StatementId, Accepted>,
    seen: Vec<Seen>,
    held: Vec<Held>,
    ppids: BTreeMap<u64, Ppid>,
    /// The fold as of the last check.
    folded: BTreeMap<KeyHash, Naive>,
}

/// What the naive fold makes of one person.
#[derive(Clone, Copy, Debug, Default)]
struct Naive {
    enrolled: bool,
    /// She has a statement in the bank's domain: her ppid there is named for good.
    named: bool,
    slot: Option<Reason>,
    basis: Option<StatementId>,
    last: Option<StatementId>,
    objected: bool,
}

impl Naive {
    /// The table of design §6, as far as these stories go: other kinds change nothing here.
    fn apply(&mut self, id: StatementId, statement: &Statement) {
        match statement {
            Statement::KeyCreate(_) => self.enrolled = true,
            Statement::ConsentGrant(s) => {
                self.named = true;
                if s.over == self.last && !self.objected {
                    (self.slot, self.basis, self.last) = (Some(Reason::ConsentGiven), Some(id), Some(id));
                }
            }
            Statement::ConsentWithdraw(_) => {
                self.named = true;
                (self.slot, self.basis, self.last) = (Some(Reason::ConsentWithdrawn), None, Some(id));
            }
            Statement::ConsentObject(_) => self.objected = true,
            other => panic!("the oracle knows no {:?}", other.kind()),
        }
    }

    fn reason(&self) -> Reason {
        if self.objected { Reason::Objected } else { self.slot.unwrap_or(Reason::ConsentNotGiven) }
    }
}

impl Oracle {
    /// Remembers an item before it is sent.
    pub fn send(&mut self, item: &[u8]) -> StatementId {
        let verified = identity::open(item).expect("stories send well-formed items");
        let id = verified.id();
        self.sent.insert(id, verified);
        id
    }

    /// Remembers what came of it. An ack is for ever the same.
    pub fn hear(&mut self, id: StatementId, outcome: &Outcome) {
        let Ok(accepted) = outcome else { return };
        assert_eq!(accepted.id, id, "an answer to another statement");
        let first = self.acks.entry(id).or_insert_with(|| accepted.clone());
        let told = |a: &Accepted| (a.index, a.at, a.entry.clone(), a.k1, a.k2, a.path.clone());
        assert_eq!(told(first), told(accepted), "one statement, two answers");
        assert_eq!(first.promise, accepted.promise, "one commit, two promises");
    }

    /// Remembers whose a ppid at the bank is.
    pub fn name(&mut self, n: u64, ppid: Ppid) {
        assert_eq!(*self.ppids.entry(n).or_insert(ppid), ppid, "a person's ppid changed");
    }

    /// Her ppid at the bank.
    pub fn ppid(&self, n: u64) -> Option<Ppid> {
        self.ppids.get(&n).copied()
    }

    /// Somebody with a ppid at the bank.
    pub fn anybody(&self) -> Option<(u64, Ppid)> {
        self.ppids.iter().next().map(|(n, ppid)| (*n, *ppid))
    }

    /// The last statement applied to her slot.
    pub fn last(&self, n: u64) -> Option<StatementId> {
        self.folded.get(&key_hash(&person_key(n))).and_then(|naive| naive.last)
    }

    /// The items that were acknowledged, in the order of the log.
    pub fn acked_items(&self) -> Vec<(StatementId, Vec<u8>)> {
        let mut acks: Vec<_> = self.acks.values().collect();
        acks.sort_by_key(|a| a.index);
        acks.iter().filter_map(|a| self.sent.get(&a.id).map(|sent| (a.id, sent.item().to_vec()))).collect()
    }

    /// Holds the node to everything. Faults still planned would strike our own reads: see [`World`].
    pub fn check(&mut self, world: &World) {
        let node = world.node();
        let size = node.sequenced();
        let entries = node.entries(0, size).unwrap();
        assert_eq!(entries.len() as u64, size, "the log has a gap");
        let leaves: Vec<_> = entries.iter().map(|e| hash::leaf(e)).collect();
        self.check_acks(node, &entries);
        self.check_tree(node, &entries, &leaves);
        self.check_receipts(node, &leaves);
        self.folded = self.naive(node);
        self.check_state(world);
        node.forget_caches();
        self.check_state(world);
    }

    /// acked ⊆ log, at the same index, with the same bytes; every promise verifies.
    fn check_acks(&self, node: &Node, entries: &[Vec<u8>]) {
        let log = signer(LOG);
        for (id, ack) in &self.acks {
            let at = usize::try_from(ack.index).unwrap();
            assert_eq!(entries.get(at), Some(&ack.entry), "entry {at} was acknowledged and is not there");
            let promise = promise::open(&ack.promise, log.public()).unwrap();
            promise.verify_entry(&ack.entry, ack.index, &ack.path).unwrap();
            assert_eq!((promise.origin.as_str(), promise.at), (ORIGIN, ack.at.0));
            let place = node.place(id).unwrap().expect("an acknowledged statement has no place");
            assert_eq!(place.index, ack.index);
            self.check_opening(*id, ack);
        }
    }

    fn check_opening(&self, id: StatementId, ack: &Accepted) {
        let Some(sent) = self.sent.get(&id) else { return };
        match Entry::parse(&ack.entry).unwrap() {
            Entry::Public { item, .. } => assert_eq!(item, sent.item()),
            Entry::Sealed { commitment, .. } => {
                let proof = cose::proof_of(sent.item()).unwrap();
                let h1 = entry::opening(&ack.k1.unwrap(), sent.statement());
                let h2 = entry::opening(&ack.k2.unwrap(), &proof);
                assert_eq!(commitment, entry::commitment(ack.at.0, &h1, &h2), "the openings open nothing");
            }
        }
    }

    /// Every checkpoint ever seen is a prefix of this log; tiles and bundles lead to the newest.
    fn check_tree(&mut self, node: &Node, entries: &[Vec<u8>], leaves: &[[u8; 32]]) {
        let log = signer(LOG);
        let published = node.published();
        let upto = |size: u64| leaves.get(..usize::try_from(size).unwrap()).expect("a head above the log");
        if self.seen.last().is_none_or(|last| last.note != published.note) {
            let told = checkpoint::open(published.note.as_bytes(), log.public(), ORIGIN).unwrap();
            assert_eq!((told.size, told.root), (published.size, published.root));
            self.seen.push(Seen { size: told.size, root: told.root, note: published.note.clone() });
        }
        for old in &self.seen {
            assert!(old.size <= published.size, "a served checkpoint of size {} went back", old.size);
            assert_eq!(merkle::root(upto(old.size)), old.root, "the log of size {} changed", old.size);
            if let Some(proof) = node.consistency_receipt(old.size).unwrap() {
                let extended =
                    receipt::verify_consistency(&proof, log.public(), ORIGIN, old.size, &old.root).unwrap();
                assert_eq!((extended.size, extended.root), (published.size, published.root));
            }
        }
        for path in tile::paths(published.size) {
            match path {
                tile::Path::Entries { index, width } => {
                    let bytes = node.bundle(index, partial(width)).unwrap().unwrap();
                    let from = usize::try_from(index).unwrap() * 256;
                    let expected = &entries[from..from + usize::from(width)];
                    assert_eq!(tile::unbundle(&bytes).unwrap(), expected);
                }
                tile::Path::Tile { level: 0, index, width } => {
                    let bytes = node.tile(0, index, partial(width)).unwrap().unwrap();
                    let from = usize::try_from(index).unwrap() * 256;
                    assert_eq!(bytes, leaves[from..from + usize::from(width)].concat());
                }
                tile::Path::Tile { level, index, width } => {
                    assert!(node.tile(level, index, partial(width)).unwrap().is_some());
                }
            }
        }
    }

    /// Old receipts still prove what they proved; each acknowledged entry below the checkpoint has a new one.
    fn check_receipts(&mut self, node: &Node, leaves: &[[u8; 32]]) {
        let log = signer(LOG);
        let size = node.published().size;
        for ack in self.acks.values().filter(|a| a.index < size && size > 1) {
            let receipt = node.receipt(ack.index).unwrap().expect("a covered entry without a receipt");
            self.held.push(Held { index: ack.index, entry: ack.entry.clone(), receipt });
        }
        // One receipt for each index and size is enough to keep.
        self.held.sort_by_key(|h| (h.index, h.receipt.clone()));
        self.held.dedup_by(|a, b| (a.index, &a.receipt) == (b.index, &b.receipt));
        for held in &self.held {
            let proven = receipt::verify_inclusion(&held.receipt, &held.entry, log.public(), ORIGIN).unwrap();
            let before = &leaves[..usize::try_from(proven.size).unwrap()];
            assert_eq!((proven.index, proven.root), (held.index, merkle::root(before)));
        }
    }

    /// What a check tells is what the log says: nothing acknowledged is missing in it.
    fn check_state(&self, world: &World) {
        let node = world.node();
        let doubtful = match node.readiness() {
            Readiness::NotReady(stop) => stop.doubts_state(),
            Readiness::Ready => false,
        };
        for (n, ppid) in &self.ppids {
            let naive = self.folded.get(&key_hash(&person_key(*n))).copied().unwrap_or_default();
            let asked = world.ask(*ppid, Action::Use);
            let told = node.check(&asked).unwrap().decision;
            if doubtful {
                assert_eq!(told.reason, Reason::LogUnavailable);
                continue;
            }
            assert!(naive.enrolled, "a ppid of nobody");
            if naive.named || told.reason != Reason::SubjectUnknown {
                assert_eq!(told.reason, naive.reason(), "{naive:?}");
            }
            if told.reason == Reason::ConsentGiven {
                assert_eq!(told.basis, naive.basis);
            }
            if let Some(quick) = node.check_in_memory(&asked) {
                assert_eq!(quick.decision.reason, told.reason);
            }
        }
    }

    /// The statements of these stories that stand in the log, folded in its order.
    fn naive(&self, node: &Node) -> BTreeMap<KeyHash, Naive> {
        let mut standing: Vec<(u64, StatementId)> = Vec::new();
        for id in self.sent.keys() {
            // What was never acknowledged may stand there all the same.
            if let Some(place) = node.place(id).unwrap().filter(|p| p.index < node.sequenced()) {
                standing.push((place.index, *id));
            }
        }
        standing.sort_unstable();
        let mut out: BTreeMap<KeyHash, Naive> = BTreeMap::new();
        for (_, id) in standing {
            let sent = &self.sent[&id];
            if !sent.value().kind().is_public() {
                out.entry(sent.signer()).or_default().apply(id, sent.value());
            }
        }
        out
    }
}

fn partial(width: u16) -> Option<u8> {
    (width < 256).then(|| u8::try_from(width).unwrap())
}
