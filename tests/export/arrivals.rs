//! What another log has delivered is kept as long as its demand lets it be, and no longer.

use naru::audit::archive;
use naru::ledger::hash::sha256;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::Mode;
use naru::node::arrival::Arrival;
use naru::node::arrival::Delivery;
use naru::node::arrival::NoArrival;
use naru::node::arrival::Receiving;
use naru::node::arrival::RunOf;
use naru::node::deposit::Deposited;
use naru::portability::source::Over;
use naru::portability::source::OverBy;
use naru::store::Store;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::When;

use super::*;

const LOG_A: &str = "a.example.kr/log";
const THERE: Ppid = Ppid([6; 16]);
const DEMAND: StatementId = StatementId([5; 32]);
const ENDS: OverBy = OverBy::KeepUntil;

fn receive(world: &World) {
    let (signer, logs) = (Box::new(signer(77)), vec![LOG_A.into()]);
    world.node().receive_with(Receiving { party: party("wallet"), signer, opener: None, logs });
}

/// A person who expects a demand of that log.
fn receiving() -> World {
    let world = World::logging();
    receive(&world);
    world.enrol(1);
    let arrival = Arrival::new(LOG_A.into(), THERE, world.now().plus_ms(400 * DAY), DEMAND);
    world.node().expect_arrival(&key_hash(&person_key(1)), &arrival).unwrap();
    world
}

fn delivery(item: &str, run: u64, keep_until: Timestamp) -> Delivery {
    let content = format!("name,secret\nx,marker-{item}\n");
    Delivery {
        run: RunOf { log: LOG_A.into(), demand: DEMAND, run, ppid: THERE },
        item: item.into(),
        scope: "bank.list".into(),
        sender: party("holder"),
        purpose: PURPOSE.into(),
        mode: Mode::Store,
        keep_until,
        sha256: Hash(sha256(&[content.as_bytes()])),
        media: "text/csv".into(),
        bytes: content.into_bytes(),
    }
}

fn listed(world: &World) -> Vec<Deposited> {
    let all = world.node().deposits(&key_hash(&person_key(1)), None, 500).unwrap().unwrap().items;
    let mut all: Vec<_> = all.into_iter().map(|(_, head)| head).collect();
    all.sort_unstable_by(|a, b| a.item.cmp(&b.item));
    all
}

/// Names of the parts there are: of heads, originals and forms.
fn parts(world: &World) -> [usize; 3] {
    let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let key = key_hash(&person_key(1));
    let row = world.memory.locate(&naru::store::Name::Key(key.0)).unwrap().unwrap();
    let subject = vault.open_name(&key.0, &row.sealed).unwrap().subject;
    [b"h", b"o", b"f"].map(|part| world.memory.items(&subject, part, None, 999).unwrap().len())
}

/// More entries than there were when it came: a checkpoint covers it.
fn covered(world: &World, n: u64) {
    world.enrol(n);
    world.node().tick().unwrap();
}

#[test]
fn at_the_end_of_its_life_it_is_shown_nowhere_and_then_it_is_gone_and_she_is_told() {
    let mut world = receiving();
    let (soon, late) = (world.now().plus_ms(DAY), world.now().plus_ms(2 * DAY));
    for (item, keep_until) in [("a", soon), ("b", soon), ("c", late)] {
        assert!(world.node().take_delivery(&delivery(item, 0, keep_until)).unwrap());
    }
    world.node().confirm_delivery(&delivery("a", 0, soon).run, 4, &Hash([0; 32])).unwrap();
    covered(&world, 2);
    world.advance(DAY - 1);
    assert_eq!(world.node().end_lives().unwrap(), 0);
    assert!(holds(&archive(&world, 1, None), b"marker-a"));

    // From the instant on nobody is shown it, though it still lies there.
    world.advance(1);
    let over = Some(Over { at: soon, by: ENDS });
    let told = listed(&world);
    assert_eq!(told.iter().map(|head| head.over).collect::<Vec<_>>(), [over, over, None]);
    assert!(told[0].sha256.is_none() && told[0].form.is_none() && told[2].sha256.is_some());
    let before = archive(&world, 1, None);
    assert!(!holds(&before, b"marker-a") && holds(&before, b"marker-c"));
    assert_eq!(parts(&world)[..2], [3, 3]);
    assert_eq!(world.node().end_lives().unwrap(), 2);
    assert_eq!((world.node().end_lives().unwrap(), parts(&world)), (0, [3, 1, 1]));
    assert_eq!(archive(&world, 1, None), before, "what is not shown is not missed");
    assert_eq!(listed(&world), told);

    // She is told in the archive: in the list, and why in the completeness list.
    let found = files(&before);
    let all = rows(&found, "data/by-source/holder/");
    let row = all.iter().find(|row| row["item"] == "a").unwrap();
    assert_eq!((&row["over"]["at"], row["over"]["by"].as_str()), (&soon.0.into(), Some("keep-until")));
    assert!(row["original"].is_null() && row["form"].is_null() && row["sha256"].is_null());
    let complete = json(&found, portability::COMPLETENESS);
    let withheld = complete["withheld"].as_array().unwrap();
    let ended = withheld.iter().find(|one| one["kind"] == "deposit" && one["items"] == 2).unwrap();
    assert_eq!(
        (ended["reason"].as_str(), ended["law"]["pipa"].as_str()),
        (Some("retention-expired"), Some("Art. 21(1)"))
    );
    assert_eq!(verify(&before).unwrap().sources, 3);

    // It comes back neither by itself nor by a start nor by the log that delivered it.
    for keep_until in [soon, late] {
        assert!(world.node().take_delivery(&delivery("a", 0, keep_until)).is_err());
    }
    world.reopen();
    receive(&world);
    assert!(matches!(world.node().take_delivery(&delivery("a", 0, late)), Err(NoArrival::Differs)));
    assert_eq!((listed(&world), parts(&world)[1]), (told, 1));
    // How many have arrived is told still.
    let said = world.node().confirm_delivery(&delivery("a", 0, soon).run, 4, &Hash([0; 32])).unwrap();
    let said = naru::identity::open(&said).unwrap();
    assert!(matches!(said.value(), Statement::TransferConfirm(said) if said.received == 3));
    // `naru expire` looks, too.
    world.advance(DAY);
    assert_eq!(world.node().expire().unwrap().items, 1);
    assert_eq!((parts(&world), world.faults()), ([3, 0, 0], Vec::new()));
}

#[test]
fn an_archive_that_hides_what_is_over_or_counts_it_otherwise_is_found() {
    let world = receiving();
    let soon = world.now().plus_ms(DAY);
    world.node().take_delivery(&delivery("a", 0, soon)).unwrap();
    covered(&world, 2);
    world.advance(DAY);
    let found = walked(&archive(&world, 1, None));
    verify(&signed_again(&world, &found)).unwrap();
    for (path, from, to) in [
        (portability::COMPLETENESS, r#""items":1"#, r#""items":0"#),
        ("data/by-source/holder/000001.ndjson", r#""by":"keep-until""#, r#""by":"closed""#),
        ("data/by-source/holder/000001.ndjson", r#""original":null"#, r#""original":"a""#),
    ] {
        let mut files = found.clone();
        let (_, content) = files.iter_mut().find(|(name, _)| name == path).unwrap();
        let text = String::from_utf8(content.clone()).unwrap();
        *content = text.replace(from, to).into_bytes();
        assert_ne!(files, found, "{from}");
        assert!(matches!(verify(&signed_again(&world, &files)), Err(archive::Error::Wrong { .. })), "{to}");
    }
}

#[test]
fn a_crash_between_the_steps_leaves_it_whole_or_gone_and_the_next_look_goes_on() {
    for (call, when) in [
        (Call::Keep, When::Before),
        (Call::Keep, When::Middle),
        (Call::Keep, When::After),
        (Call::Barrier, When::Before),
    ] {
        let mut world = receiving();
        let soon = world.now().plus_ms(DAY);
        // More than are ended in one write.
        for n in 0..70 {
            assert!(world.node().take_delivery(&delivery(&format!("i{n:02}"), n % 3, soon)).unwrap());
        }
        world.advance(DAY);
        world.memory.faults().fail_next(call, when, Fault::Eio);
        assert!(world.node().end_lives().is_err(), "{call:?} {when:?}");
        world.reopen();
        receive(&world);
        let [heads, originals, forms] = parts(&world);
        assert!(heads == 70 && originals == forms, "{call:?} {when:?}: {originals} {forms}");
        assert!(listed(&world).iter().all(|head| head.over == Some(Over { at: soon, by: ENDS })));
        assert_eq!(world.node().end_lives().unwrap(), originals as u64);
        assert_eq!((parts(&world), world.node().end_lives().unwrap()), ([70, 0, 0], 0));
        assert_eq!(world.faults(), [], "{call:?} {when:?}");
    }
}

#[test]
fn what_is_over_leaves_room_for_what_comes() {
    let world = receiving();
    let keep = |days| world.now().plus_ms(days * DAY);
    let large = |n: u64, keep_until| {
        let mut one = delivery(&format!("i{n}"), n, keep_until);
        (one.media, one.bytes) = ("text/plain".into(), vec![b'x'; 1 << 20]);
        one.sha256 = Hash(sha256(&[&one.bytes]));
        one
    };
    let soon = keep(1);
    for n in 0..256 {
        world.node().take_delivery(&large(n, soon)).unwrap();
    }
    assert!(matches!(world.node().take_delivery(&large(256, keep(9))), Err(NoArrival::Full)));
    world.advance(DAY);
    assert_eq!(world.node().end_lives().unwrap(), 256);
    assert!(world.node().take_delivery(&large(256, keep(9))).unwrap());
}
