//! Public scenes: false registrations, a notice that ends, a broker that is suspended.

use crate::cli::demo::Error;
use crate::cli::demo::draw::Ask;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::DATA_BROKER;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::REGULATOR;
use crate::cli::demo::story::Player;
use crate::cli::demo::story::Role;
use crate::cli::demo::story::grant;
use crate::cli::demo::words;
use crate::cli::demo::world;
use crate::cli::demo::world::World;
use crate::model::decision::Reason;
use crate::model::id::Hash;
use crate::model::statement::Audience;
use crate::model::statement::Kind;
use crate::model::statement::Licence;
use crate::model::statement::NoticeRetire;
use crate::model::statement::NoticeText;
use crate::model::statement::PartySuspend;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::model::vocabulary::Role as PartyRole;

/// What parties try and do not get.
pub(super) fn registrations(world: &mut World) -> Result<(), Error> {
    // An operator alone makes no identity provider, no anonymiser and no regulator.
    for (party, role) in [
        ("idp-2", PartyRole::IdentityProvider),
        ("anonymiser-2", PartyRole::Anonymiser),
        ("pipc-2", PartyRole::Regulator),
    ] {
        let licence = Licence { number: "0".into(), regulator: world::id(REGULATOR)? };
        let says = world.registration(party, vec![role], Some(licence))?;
        let item = world.endorsed(&says, party, &["operator"])?;
        world.refuse("made by the operator", Kind::PartyRegister, item, "endorsement")?;
    }
    // A name stands for ever.
    let says = world.registration(BANK, vec![PartyRole::Controller], None)?;
    let item = world.endorsed(&says, "bank-2", &["operator"])?;
    world.refuse("a name twice", Kind::PartyRegister, item, "name-taken")?;
    // A notice whose text nobody stored; one that is published already; a purpose DPV does not have.
    let text = |hash| NoticeText {
        locale: "ko".into(),
        audience: Audience::Adult,
        media_type: "text/plain".into(),
        length: 1,
        hash,
    };
    let says = world.notice(BANK, "marketing", 2, vec![text(Hash([7; 32]))])?;
    let item = world.signed(&says, BANK)?;
    world.refuse("text not stored", Kind::NoticePublish, item, "attachment-missing")?;
    let stored = words::notice(BANK, "marketing").first().map(|(_, text)| text.len());
    let shown = text(world.shown(Offered::Marketing)?.hash);
    let shown = NoticeText { length: stored.unwrap_or(1) as u64, ..shown };
    let says = world.notice(BANK, "marketing", 1, vec![shown.clone()])?;
    let item = world.signed(&says, BANK)?;
    world.refuse("a version twice", Kind::NoticePublish, item, "name-taken")?;
    let mut says = world.notice(BANK, "marketing", 2, vec![shown])?;
    if let Statement::NoticePublish(notice) = &mut says {
        notice.purposes.iter_mut().for_each(|p| p.purpose = "dpv:CreditChecking".into());
    }
    let item = world.signed(&says, BANK)?;
    world.refuse("no such purpose", Kind::NoticePublish, item, "vocabulary")
}

/// The hospital retires its survey: nothing new is granted under it, and questions end.
pub(super) fn survey_ends(world: &mut World) -> Result<(), Error> {
    let says: Statement = NoticeRetire {
        v: V1,
        kind: Kind::NoticeRetire,
        iat: world.clock.now(),
        nonce: world.nonce(),
        notice: world.shown(Offered::Survey)?.id,
    }
    .into();
    let item = world.signed(&says, HOSPITAL)?;
    world.accept("notice.retire", Kind::NoticeRetire, item)?;
    let mut player = Player::returns(world, Role::Careful, "survey")?;
    player.refuse(&player.says(grant(Offered::Survey, 30), None)?, "notice-retired")?;
    player.asked(Offered::Survey, Ask::Use, Reason::NoticeRetired)
}

/// A broker asks who people are; the regulator suspends it.
pub(super) fn broker(world: &mut World) -> Result<(), Error> {
    let mut player = Player::returns(world, Role::Careful, "broker")?;
    player.does(grant(Offered::Broker, 90))?;
    player.asked(Offered::Broker, Ask::Use, Reason::ConsentGiven)?;
    player.asked(Offered::Broker, Ask::Reidentify, Reason::ReidentificationBlocked)?;
    let says: Statement = PartySuspend {
        v: V1,
        kind: Kind::PartySuspend,
        iat: player.world.clock.now(),
        nonce: player.world.nonce(),
        party: world::id(DATA_BROKER)?,
        until: None,
        case: "2025-17".into(),
    }
    .into();
    // A competitor may not; the regulator may.
    let item = player.world.signed(&says, BANK)?;
    player.world.refuse("a bank suspends", Kind::PartySuspend, item, "role")?;
    let item = player.world.signed(&says, REGULATOR)?;
    player.world.accept("party.suspend", Kind::PartySuspend, item)?;
    player.asked(Offered::Broker, Ask::Use, Reason::PartySuspended)?;
    player.refuse(&player.says(grant(Offered::Broker, 90), None)?, "party-suspended")?;
    let text = player.world.shown(Offered::Broker)?.hash;
    let texts = vec![NoticeText {
        locale: "ko".into(),
        audience: Audience::Adult,
        media_type: "text/plain".into(),
        length: 1,
        hash: text,
    }];
    let says = player.world.notice(DATA_BROKER, "advertising", 2, texts)?;
    let item = player.world.signed(&says, DATA_BROKER)?;
    player.world.refuse("suspended", Kind::NoticePublish, item, "party-suspended")
}
