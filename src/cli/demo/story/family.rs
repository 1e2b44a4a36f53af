//! A child, her guardian, a child without one, an elder and her helper.

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::draw::Act;
use crate::cli::demo::draw::Ask;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::IDP;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::story::Player;
use crate::cli::demo::story::Role;
use crate::cli::demo::story::grant;
use crate::cli::demo::world;
use crate::cli::demo::world::DAY_MS;
use crate::cli::demo::world::World;
use crate::model::decision::Reason;
use crate::model::id::KeyHash;
use crate::model::id::Ppid;
use crate::model::statement::DelegationEnd;
use crate::model::statement::DelegationGrant;
use crate::model::statement::Kind;
use crate::model::statement::ProofMethod;
use crate::model::statement::Statement;
use crate::model::statement::SubjectAttest;
use crate::model::statement::V1;

/// A child alone opens nothing; with a guardian she does; closing she may by herself.
pub(super) fn child(world: &mut World, cast: &mut Vec<Life>) -> Result<(), Error> {
    let guardian = Player::enters(world, Role::Guardian, "guardian")?;
    let (guardian_life, guardian_key) = (guardian.life.clone(), guardian.life.key);
    cast.push(guardian_life);
    let mut child = Player::enters(world, Role::Child, "child")?;
    let own = child.life.ppid(None)?;
    // Before anybody attests who the guardian is, nobody delegates to her.
    let delegate = guardian_key.ok_or(Error::Unexpected { step: "guardian", found: "no key".into() })?;
    let early = delegation(child.world, own, delegate, &["consent.grant"], "guardian");
    let mut signer = child.world.seed.signer("cast", Role::Guardian as u64);
    std::mem::swap(&mut signer, &mut child.signer);
    child.refuse(&early, "not-guardian")?;
    std::mem::swap(&mut signer, &mut child.signer);
    attest(child.world, own, 3 * 365, Some(delegate))?;
    let alone = child.does(grant(Offered::Account, 365))?;
    child.asked(Offered::Account, Ask::Use, Reason::MinorWithoutGuardian)?;
    let life = child.life.clone();

    let mut guardian = Player::returns(world, Role::Guardian, "guardian")?;
    let scope = ["consent.grant", "consent.refuse", "consent.withdraw"];
    let by = guardian.accept(&delegation(guardian.world, own, delegate, &scope, "guardian"))?.id;
    // She signs with her key about the child: the names are the child's.
    let mut ward = life;
    ward.last.insert(Offered::Account, alone.id);
    guardian.life = ward;
    let given = guardian.accept(&guardian.says(grant(Offered::Account, 365), Some(by))?)?;
    guardian.life.last.insert(Offered::Account, given.id);
    guardian.asked(Offered::Account, Ask::Use, Reason::ConsentGiven)?;
    // Pausing and the hospital are not in her scope.
    guardian.refuse(&guardian.says(Act::Pause(Offered::Account), Some(by))?, "delegation-scope")?;
    guardian.refuse(&guardian.says(grant(Offered::Care, 300), Some(by))?, "delegation-scope")?;
    cast.push(guardian.life);

    let mut child = Player::returns(world, Role::Child, "child")?;
    child.does(Act::Withdraw(Offered::Account))?;
    child.asked(Offered::Account, Ask::Use, Reason::ConsentWithdrawn)
}

/// Nobody stands behind him: what he grants permits nothing.
pub(super) fn alone(world: &mut World, cast: &mut Vec<Life>) -> Result<(), Error> {
    let mut player = Player::enters(world, Role::Alone, "alone")?;
    let own = player.life.ppid(None)?;
    attest(player.world, own, 2 * 365, None)?;
    player.does(grant(Offered::Care, 300))?;
    player.asked(Offered::Care, Ask::Use, Reason::MinorWithoutGuardian)?;
    cast.push(player.life);
    Ok(())
}

/// An elder lets a helper withdraw for her, until she ends it.
pub(super) fn helper(world: &mut World, cast: &mut Vec<Life>) -> Result<(), Error> {
    let helper = Player::enters(world, Role::Helper, "helper")?;
    let delegate = helper.life.key.ok_or(Error::Unexpected { step: "helper", found: "no key".into() })?;
    cast.push(helper.life.clone());
    let mut elder = Player::enters(world, Role::Elder, "elder")?;
    let own = elder.life.ppid(None)?;
    elder.does(grant(Offered::Care, 300))?;
    elder.does(grant(Offered::Account, 300))?;
    let scope = ["consent.withdraw", "consent.pause"];
    let mut says = delegation(elder.world, own, delegate, &scope, "helper");
    if let Statement::DelegationGrant(grant) = &mut says {
        grant.controllers = vec![world::id(HOSPITAL)?, world::id(BANK)?];
    }
    let by = elder.accept(&says)?.id;
    let life = elder.life.clone();
    cast.push(elder.life.clone());

    let mut helper = Player::returns(world, Role::Helper, "helper")?;
    helper.life = life;
    helper.accept(&helper.says(Act::Withdraw(Offered::Care), Some(by))?)?;
    helper.asked(Offered::Care, Ask::Use, Reason::ConsentWithdrawn)?;
    helper.refuse(&helper.says(grant(Offered::Care, 300), Some(by))?, "delegation-scope")?;

    let mut elder = Player::returns(world, Role::Elder, "elder")?;
    let end = DelegationEnd {
        v: V1,
        kind: Kind::DelegationEnd,
        iat: elder.world.clock.now(),
        nonce: elder.world.nonce(),
        ppid: own,
        delegate,
    };
    elder.accept(&end.into())?;
    let life = elder.life;
    let mut helper = Player::returns(world, Role::Helper, "helper")?;
    helper.life = life;
    helper.refuse(&helper.says(Act::Withdraw(Offered::Account), Some(by))?, "delegation-ended")?;
    helper.asked(Offered::Account, Ask::Use, Reason::ConsentGiven)
}

fn delegation(
    world: &World,
    ward: Ppid,
    delegate: KeyHash,
    types: &[&str],
    reason: &'static str,
) -> Statement {
    let iat = world.clock.now();
    DelegationGrant {
        v: V1,
        kind: Kind::DelegationGrant,
        iat,
        nonce: world.nonce(),
        ppid: ward,
        over: None,
        delegate,
        types: types.iter().map(|t| (*t).to_owned()).collect(),
        controllers: world::id(BANK).into_iter().collect(),
        until: iat.plus_ms(300 * DAY_MS),
        depth: 0,
        reason: reason.to_owned(),
    }
    .into()
}

/// The identity provider's word on age and guardian.
fn attest(world: &mut World, ward: Ppid, days: u64, guardian: Option<KeyHash>) -> Result<(), Error> {
    let iat = world.clock.now();
    let says: Statement = SubjectAttest {
        v: V1,
        kind: Kind::SubjectAttest,
        iat,
        nonce: world.nonce(),
        ppid: ward,
        provider: world::id(IDP)?,
        minor_until: Some(iat.plus_ms(days * DAY_MS)),
        guardian,
        method: ProofMethod::Register,
    }
    .into();
    let item = world.signed(&says, IDP)?;
    world.accept("subject.attest", Kind::SubjectAttest, item)?;
    Ok(())
}
