//! The told part of the year: what a crowd drawn by dice would not do.
//!
//! A child and her guardian, a helper, a signal of a browser, a forged and a
//! replayed statement, a retired notice, a suspended broker. Every scene says what
//! must come of it and stops the demo if something else does.

use crate::cli::demo::Error;
use crate::cli::demo::act;
use crate::cli::demo::act::Life;
use crate::cli::demo::act::Setting;
use crate::cli::demo::draw::Act;
use crate::cli::demo::draw::Ask;
use crate::cli::demo::offer::AD_NETWORK;
use crate::cli::demo::offer::ANONYMISER;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::DATA_BROKER;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::TELECOM;
use crate::cli::demo::world::World;
use crate::cli::demo::world::key_hash;
use crate::identity::item;
use crate::ledger::key::Ed25519Signer;
use crate::model::decision::Reason;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node::Accepted;
use crate::node::Asked;

mod family;
mod public;

/// The persons of the story, apart from the crowd.
pub(super) const CAST: u64 = 6;

/// Who plays, once they have come.
#[derive(Default)]
pub(super) struct Story {
    pub(super) cast: Vec<Life>,
}

/// One of the cast on stage.
pub(super) struct Player<'a> {
    pub(super) world: &'a mut World,
    pub(super) signer: Ed25519Signer,
    pub(super) life: Life,
    step: &'static str,
}

/// Which of the cast.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// Eleven years old, with a guardian.
    Child,
    /// Her guardian.
    Guardian,
    /// Twelve, and nobody stands behind him.
    Alone,
    /// Closes and lifts; old statements come again.
    Careful,
    /// Lets a helper act for her.
    Elder,
    /// The helper.
    Helper,
}

impl Story {
    /// Plays the scenes of a day.
    pub(super) fn play(&mut self, day: u16, world: &mut World) -> Result<(), Error> {
        match day {
            5 => family::child(world, &mut self.cast),
            12 => family::alone(world, &mut self.cast),
            30 => family::helper(world, &mut self.cast),
            45 => replay(world, &mut self.cast),
            60 => signal(world),
            75 => refusals(world),
            90 => public::registrations(world),
            120 => network(world),
            150 => public::survey_ends(world),
            200 => public::broker(world),
            240 => questions(world),
            250 => counted(world),
            _ => Ok(()),
        }
    }
}

impl<'a> Player<'a> {
    /// Somebody comes: her key, her names at bank, hospital and the log.
    pub(super) fn enters(world: &'a mut World, role: Role, step: &'static str) -> Result<Self, Error> {
        let mut player = Self::returns(world, role, step)?;
        let says = act::key_create(player.world.clock.now(), player.world.nonce());
        player.accept(&says)?;
        player.names()?;
        Ok(player)
    }

    /// Somebody is there already.
    pub(super) fn returns(world: &'a mut World, role: Role, step: &'static str) -> Result<Self, Error> {
        let signer = world.seed.signer("cast", role as u64);
        let life = Life { key: Some(key_hash(&signer)), ..Life::default() };
        let mut player = Self { world, signer, life, step };
        if player.world.node.knows_key(&key_hash(&player.signer))? {
            player.names()?;
        }
        Ok(player)
    }

    fn names(&mut self) -> Result<(), Error> {
        let key = key_hash(&self.signer);
        for domain in [
            None,
            Some(BANK),
            Some(HOSPITAL),
            Some(DATA_BROKER),
            Some(TELECOM),
            Some(AD_NETWORK),
            Some(ANONYMISER),
        ] {
            self.life.ppids.insert(domain, self.world.ppid(&key, domain)?);
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, says: &Statement) -> Result<Accepted, Error> {
        let item = item::sign(says, &self.signer)?;
        self.world.accept(self.step, says.kind(), item)
    }

    pub(super) fn refuse(&mut self, says: &Statement, code: &'static str) -> Result<(), Error> {
        let item = item::sign(says, &self.signer)?;
        self.world.refuse(self.step, says.kind(), item, code)
    }

    /// The statement of an act of hers, or of her ward's if a delegation is named.
    pub(super) fn says(&self, act: Act, by: Option<StatementId>) -> Result<Statement, Error> {
        let setting = Setting { world: self.world, life: &self.life, nonce: self.world.nonce(), by };
        Ok(setting.statement(act)?.0)
    }

    /// She acts, and it counts.
    pub(super) fn does(&mut self, act: Act) -> Result<Accepted, Error> {
        let accepted = self.accept(&self.says(act, None)?)?;
        self.life.applied(act, accepted.id);
        self.world.advance(1_000);
        Ok(accepted)
    }

    /// A controller asks about her and is told this.
    pub(super) fn asked(&mut self, offered: Offered, ask: Ask, told: Reason) -> Result<(), Error> {
        let ppid = self.life.ppid(Some(offered.offer().controller))?;
        asked(self.world, self.step, ppid, offered, ask, told)
    }
}

/// A question with the answer that must come.
pub(super) fn asked(
    world: &mut World,
    step: &'static str,
    ppid: Ppid,
    offered: Offered,
    ask: Ask,
    told: Reason,
) -> Result<(), Error> {
    answered(world, step, &act::question(ppid, offered, ask)?, told)
}

/// Any question with the answer that must come.
fn answered(world: &mut World, step: &'static str, asked: &Asked, told: Reason) -> Result<(), Error> {
    let answer = world.tell(asked);
    world.tally.decision(&answer);
    let reason = answer.answer.decision.told();
    if reason == told { Ok(()) } else { Err(Error::Unexpected { step, found: reason.as_str().to_owned() }) }
}

/// A plain grant of a year.
pub(super) const fn grant(offered: Offered, days: u16) -> Act {
    Act::Grant { offered, optional: 0, days, limited: false }
}

/// An old grant comes again after the withdrawal: the same answer as then, and no effect.
fn replay(world: &mut World, cast: &mut Vec<Life>) -> Result<(), Error> {
    let mut player = Player::enters(world, Role::Careful, "replay")?;
    let says = player.says(grant(Offered::Account, 365), None)?;
    let first = player.accept(&says)?;
    player.asked(Offered::Account, Ask::Use, Reason::ConsentGiven)?;
    player.does(Act::Withdraw(Offered::Account))?;
    player.asked(Offered::Account, Ask::Use, Reason::ConsentWithdrawn)?;
    if !player.accept(&says)?.duplicate {
        return Err(Error::Unexpected { step: "replay", found: "taken twice".into() });
    }
    player.asked(Offered::Account, Ask::Use, Reason::ConsentWithdrawn)?;
    // A new one that saw the grant but not the withdrawal.
    player.life.last.insert(Offered::Account, first.id);
    player.refuse(&player.says(grant(Offered::Account, 365), None)?, "superseded")?;
    cast.push(player.life);
    Ok(())
}

/// A browser's signal closes; the person lifts it herself.
fn signal(world: &mut World) -> Result<(), Error> {
    let mut player = Player::returns(world, Role::Careful, "signal")?;
    let given = player.does(grant(Offered::Marketing, 90))?;
    player.asked(Offered::Marketing, Ask::Use, Reason::ConsentGiven)?;
    let says = player.says(Act::Signal(Offered::Marketing), None)?;
    let item = player.world.signed(&says, BANK)?;
    let carried = player.world.accept("signal", Kind::ConsentSignal, item)?;
    player.asked(Offered::Marketing, Ask::Use, Reason::Objected)?;
    player.life.last.insert(Offered::Marketing, carried.id);
    player.refuse(&player.says(grant(Offered::Marketing, 90), None)?, "objected")?;
    player.life.last.insert(Offered::Marketing, given.id);
    player.refuse(&player.says(Act::Lift(Offered::Marketing), None)?, "superseded")?;
    player.life.last.insert(Offered::Marketing, carried.id);
    player.does(Act::Lift(Offered::Marketing))?;
    player.asked(Offered::Marketing, Ask::Use, Reason::ConsentNotGiven)?;
    player.does(grant(Offered::Marketing, 90))?;
    player.asked(Offered::Marketing, Ask::Use, Reason::ConsentGiven)
}

/// One objection covers everything the ad network does and will ask; nobody else feels it.
fn network(world: &mut World) -> Result<(), Error> {
    let mut player = Player::returns(world, Role::Careful, "network")?;
    player.does(grant(Offered::Targeted, 90))?;
    player.does(grant(Offered::Line, 90))?;
    player.asked(Offered::Targeted, Ask::Use, Reason::ConsentGiven)?;
    player.does(Act::ObjectNetwork)?;
    for offered in [Offered::Targeted, Offered::Recommended] {
        player.asked(offered, Ask::Use, Reason::Objected)?;
        player.refuse(&player.says(grant(offered, 90), None)?, "objected")?;
    }
    player.asked(Offered::Line, Ask::Use, Reason::ConsentGiven)?;
    // Lifting it leaves what was granted before as it was.
    player.does(Act::LiftNetwork)?;
    player.asked(Offered::Targeted, Ask::Use, Reason::ConsentGiven)?;
    player.asked(Offered::Recommended, Ask::Use, Reason::ConsentNotGiven)?;
    // Nothing recorded: her record may go into a release, until she objects to that one.
    player.asked(Offered::Release, Ask::Anonymise, Reason::OptOutDefaultAllow)?;
    player.does(Act::Object(Offered::Release))?;
    player.asked(Offered::Release, Ask::Anonymise, Reason::Objected)
}

/// What nobody may do, and what leaves no trace.
fn refusals(world: &mut World) -> Result<(), Error> {
    let mut player = Player::returns(world, Role::Careful, "refusals")?;
    let fresh = || grant(Offered::Care, 300);
    // One bit of a signed statement.
    let says = player.says(fresh(), None)?;
    let mut item = item::sign(&says, &player.signer)?;
    let middle = item.len() / 2;
    if let Some(byte) = item.get_mut(middle) {
        *byte ^= 1;
    }
    player.world.refuse("one bit", Kind::ConsentGrant, item, "malformed")?;
    // Signed two days ago, and in an hour.
    for shift in [2 * crate::cli::demo::world::DAY_MS, 0] {
        let Statement::ConsentGrant(mut says) = player.says(fresh(), None)? else { return Ok(()) };
        says.iat = if shift > 0 { says.iat.minus_ms(shift) } else { says.iat.plus_ms(3_600_000) };
        player.refuse(&(*says).into(), "window")?;
    }
    // Her name at the bank, shown to the hospital.
    let Statement::ConsentGrant(mut says) = player.says(fresh(), None)? else { return Ok(()) };
    says.ppid = player.life.ppid(Some(BANK))?;
    player.refuse(&(*says).into(), "not-this-subject")?;
    // The bank signs for her; a stranger does.
    let says = player.says(grant(Offered::Solvency, 90), None)?;
    let item = player.world.signed(&says, BANK)?;
    player.world.refuse("bank signs", Kind::ConsentGrant, item, "role")?;
    let item = item::sign(&says, &player.world.seed.signer("stranger", 0))?;
    player.world.refuse("stranger signs", Kind::ConsentGrant, item, "key-not-in-set")?;
    // Less than required, more than asked, longer than told.
    let Statement::ConsentGrant(says) = player.says(grant(Offered::Solvency, 90), None)? else {
        return Ok(());
    };
    let mut less = says.clone();
    less.categories = vec!["pd:Income".into()];
    player.refuse(&(*less).into(), "required-category")?;
    let mut more = says.clone();
    more.categories.push("pd:Race".into());
    player.refuse(&(*more).into(), "notice-mismatch")?;
    let mut longer = says.clone();
    longer.keep_until = says.iat.plus_ms(400 * crate::cli::demo::world::DAY_MS);
    player.refuse(&(*longer).into(), "dates")?;
    // Resuming what was never paused; the same key again.
    player.refuse(&player.says(Act::Resume(Offered::Care), None)?, "state")?;
    let says = act::key_create(player.world.clock.now(), player.world.nonce());
    player.refuse(&says, "key-taken")
}

/// Questions that dice rarely ask.
fn questions(world: &mut World) -> Result<(), Error> {
    let mut player = Player::returns(world, Role::Careful, "questions")?;
    let limited = Act::Grant { offered: Offered::Care, optional: 0, days: 30, limited: true };
    player.does(limited)?;
    player.asked(Offered::Care, Ask::Use, Reason::UseIdRequired)?;
    player.asked(Offered::Care, Ask::Share, Reason::RecipientMismatch)?;
    player.asked(Offered::Care, Ask::Reidentify, Reason::ReidentificationBlocked)?;
    player.asked(Offered::Care, Ask::Abroad, Reason::CrossBorderNotCovered)?;
    // Nobody of that name, and her name of another domain: the same answer.
    let nobody = Ppid([0x31; 16]);
    asked(player.world, "nobody", nobody, Offered::Care, Ask::Use, Reason::ConsentNotGiven)?;
    let foreign = player.life.ppid(Some(BANK))?;
    asked(player.world, "foreign", foreign, Offered::Care, Ask::Use, Reason::ConsentNotGiven)?;
    // A purpose in no notice of the hospital; a class no notice declares; a state nobody has seen.
    let ppid = player.life.ppid(Some(HOSPITAL))?;
    let mut question = act::question(ppid, Offered::Care, Ask::Use)?;
    question.question.purpose = "dpv:DirectMarketing".into();
    answered(player.world, "question", &question, Reason::PurposeMismatch)?;
    let mut question = act::question(ppid, Offered::Care, Ask::Use)?;
    question.question.action = AskedAction::Grantable(Action::Profile);
    answered(player.world, "question", &question, Reason::ActionNotCovered)?;
    let mut question = act::question(ppid, Offered::Care, Ask::Use)?;
    question.question.class = DataClass::Pseudonymous;
    answered(player.world, "question", &question, Reason::ClassNotEstablished)?;
    let mut question = act::question(ppid, Offered::Care, Ask::Use)?;
    question.min_index = Some(u64::MAX);
    answered(player.world, "question", &question, Reason::LogUnavailable)
}

/// A grant of three uses: each has a name, the same name is the same use, the fourth is denied.
fn counted(world: &mut World) -> Result<(), Error> {
    let player = Player::returns(world, Role::Careful, "counted")?;
    let ppid = player.life.ppid(Some(HOSPITAL))?;
    for (name, reason) in [
        ("visit-1", Reason::ConsentGiven),
        ("visit-2", Reason::ConsentGiven),
        ("visit-1", Reason::ConsentGiven),
        ("visit-3", Reason::ConsentGiven),
        ("visit-4", Reason::UsageLimitReached),
    ] {
        let mut asked = act::question(ppid, Offered::Care, Ask::Use)?;
        asked.question.use_id = Some(name.into());
        answered(player.world, "counted", &asked, reason)?;
        player.world.advance(1_000);
    }
    Ok(())
}
