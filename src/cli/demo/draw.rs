//! A citizen's year on paper: what she will do and be asked on which day.
//!
//! A [`Leaning`] says how likely each choice is; dice of the citizen's own number
//! make a [`Citizen`] of it. So nobody's year depends on anybody else's. Lacks
//! statements and ppids: those are made on the day (`act`).

use crate::cli::demo::offer::Offered;
use crate::cli::demo::seed::Dice;

/// Days of the year: 2024-11-01 to 2025-10-31.
pub(super) const DAYS: u16 = 365;

/// What a citizen (or a party about her) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// She grants: which optional categories by bits, for how many days, with a limit of uses or not.
    Grant { offered: Offered, optional: u8, days: u16, limited: bool },
    /// She refuses.
    Refuse(Offered),
    /// She withdraws.
    Withdraw(Offered),
    /// She pauses.
    Pause(Offered),
    /// She resumes.
    Resume(Offered),
    /// She objects to one purpose.
    Object(Offered),
    /// She lifts that objection.
    Lift(Offered),
    /// She objects to everything the ad network does.
    ObjectNetwork,
    /// She lifts that.
    LiftNetwork,
    /// She objects to all anonymous releases of everybody.
    ObjectAll,
    /// She lifts that.
    LiftAll,
    /// The controller attests an older consent.
    Attest(Offered),
    /// She disputes it.
    Dispute(Offered),
    /// The controller saw `Sec-GPC: 1`.
    Signal(Offered),
}

/// What a controller asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// May I use what you always need?
    Use,
    /// May I collect it?
    Collect,
    /// May I use the first optional category, too?
    Optional,
    /// May I share it with the hospital?
    Share,
    /// May I share it with somebody who is in no grant?
    ShareElsewhere,
    /// May I use it abroad?
    Abroad,
    /// May this record go into an anonymous release?
    Anonymise,
    /// Who is it?
    Reidentify,
}

/// One citizen's year.
#[derive(Clone, Debug, Default)]
pub(super) struct Citizen {
    /// Day of her `key.create`.
    pub(super) joins: u16,
    /// Days and acts, in order.
    pub(super) acts: Vec<(u16, Act)>,
    /// Days and questions about her.
    pub(super) asks: Vec<(u16, Offered, Ask)>,
}

/// One purpose put before her.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) offered: Offered,
    /// So many of a thousand grant.
    pub(super) grants: u16,
    /// Optional categories she has at all.
    pub(super) has: u8,
}

/// How likely her choices are; all in thousandths.
#[derive(Clone, Debug)]
pub(super) struct Leaning {
    /// What is put before her, in this order.
    pub(super) asked: Vec<Asked>,
    /// Withdraws a grant later.
    pub(super) withdraws: u16,
    /// Pauses it, if she does not withdraw.
    pub(super) pauses: u16,
    /// Objects to marketing or to anonymous releases.
    pub(super) objects: u16,
    /// Has an older consent that the bank attests.
    pub(super) attested: u16,
    /// Her browser sends `Sec-GPC: 1`.
    pub(super) signals: u16,
    /// Objects to everything the ad network does.
    pub(super) shuns: u16,
    /// The anonymiser asks whether her record may go into a release.
    pub(super) released: u16,
    /// Joins before this day.
    pub(super) joins_before: u16,
}

impl Citizen {
    /// Draws a year.
    pub(super) fn draw(leaning: &Leaning, mut dice: Dice) -> Self {
        let joins = dice.below(leaning.joins_before);
        let mut citizen = Self { joins, ..Self::default() };
        for asked in &leaning.asked {
            citizen.answer(*asked, leaning, &mut dice);
        }
        citizen.object(leaning, &mut dice);
        citizen.shun(leaning, &mut dice);
        citizen.acts.retain(|(day, _)| *day < DAYS);
        citizen.asks.retain(|(day, ..)| *day < DAYS);
        citizen.acts.sort_by_key(|(day, _)| *day);
        citizen
    }

    fn answer(&mut self, asked: Asked, leaning: &Leaning, dice: &mut Dice) {
        let offered = asked.offered;
        let day = self.joins + dice.below(20);
        if offered == Offered::Account && dice.chance(leaning.attested) {
            self.acts.push((day, Act::Attest(offered)));
            if dice.chance(333) {
                self.acts.push((day + dice.between(5, 40), Act::Dispute(offered)));
            }
        } else if dice.chance(asked.grants) {
            self.grant(day, asked, dice);
            self.change(day, offered, leaning, dice);
        } else {
            self.acts.push((day, Act::Refuse(offered)));
            // Some think again.
            if dice.chance(100) {
                self.grant(day + dice.between(10, 60), asked, dice);
            }
        }
        self.question(day, offered, dice);
    }

    fn grant(&mut self, day: u16, asked: Asked, dice: &mut Dice) {
        let most = u16::try_from(asked.offered.offer().keep_days).unwrap_or(u16::MAX);
        let days = dice.of(&[30, 60, 90, 180, 365, 365], 90).min(most);
        let wish = u8::try_from(dice.below(256)).unwrap_or_default() | u8::from(dice.chance(500));
        let grant =
            Act::Grant { offered: asked.offered, optional: wish & asked.has, days, limited: dice.chance(20) };
        self.acts.push((day, grant));
    }

    fn change(&mut self, day: u16, offered: Offered, leaning: &Leaning, dice: &mut Dice) {
        if dice.chance(leaning.withdraws) {
            self.acts.push((day + dice.between(1, 150), Act::Withdraw(offered)));
        } else if dice.chance(leaning.pauses) {
            let pause = day + dice.between(1, 60);
            self.acts.push((pause, Act::Pause(offered)));
            if dice.chance(700) {
                self.acts.push((pause + dice.between(1, 30), Act::Resume(offered)));
            }
        }
    }

    fn object(&mut self, leaning: &Leaning, dice: &mut Dice) {
        let day = self.joins + dice.between(1, 200);
        if dice.chance(leaning.objects) {
            let (object, lift) = match dice.below(4) {
                0 => (Act::Object(Offered::Marketing), Act::Lift(Offered::Marketing)),
                1 => (Act::Object(Offered::BankStatistics), Act::Lift(Offered::BankStatistics)),
                2 => (Act::Object(Offered::CareStatistics), Act::Lift(Offered::CareStatistics)),
                _ => (Act::ObjectAll, Act::LiftAll),
            };
            self.acts.push((day, object));
            if dice.chance(200) {
                self.acts.push((day + dice.between(10, 90), lift));
            }
            let statistics = dice.of(&[Offered::BankStatistics, Offered::CareStatistics], Offered::Account);
            self.asks.push((day + dice.between(0, 60), statistics, Ask::Anonymise));
        }
        if dice.chance(leaning.signals) {
            self.acts.push((day + dice.below(30), Act::Signal(Offered::Marketing)));
        }
        if dice.chance(300) {
            self.asks.push((day + dice.below(120), Offered::BankStatistics, Ask::Anonymise));
        }
    }

    /// The ad network as a whole, and the anonymiser's question.
    fn shun(&mut self, leaning: &Leaning, dice: &mut Dice) {
        let day = self.joins + dice.between(1, 200);
        if dice.chance(leaning.shuns) {
            self.acts.push((day, Act::ObjectNetwork));
            if dice.chance(150) {
                self.acts.push((day + dice.between(10, 90), Act::LiftNetwork));
            }
            let offered = dice.of(&[Offered::Targeted, Offered::Recommended], Offered::Targeted);
            self.asks.push((day + dice.between(0, 60), offered, Ask::Use));
        }
        if dice.chance(leaning.released) {
            self.asks.push((day + dice.below(150), Offered::Release, Ask::Anonymise));
        }
    }

    /// One to three questions: one soon, others later, when dates may have passed.
    fn question(&mut self, day: u16, offered: Offered, dice: &mut Dice) {
        let kind = |dice: &mut Dice| match dice.below(20) {
            0..=10 => Ask::Use,
            11..=13 => Ask::Collect,
            14..=15 => Ask::Optional,
            16 => Ask::Share,
            17 => Ask::ShareElsewhere,
            18 => Ask::Abroad,
            _ => Ask::Reidentify,
        };
        // The day before she answers some ask already.
        let first = if dice.chance(100) { day.max(self.joins + 1) - 1 } else { day + dice.below(30) };
        let ask = kind(dice);
        self.asks.push((first, offered, ask));
        for _ in 0..dice.below(3) {
            let ask = kind(dice);
            self.asks.push((day + dice.between(30, 300), offered, ask));
        }
    }
}

/// The rule by which the 200 of the small demo lean, in words.
pub(super) const CROWD_RULE: &str = "Everybody is drawn alike: asked for account and marketing by the bank, for care by the hospital, for \
     the line by the telecom and for targeted advertising by the ad network; every second for solvency, research or a \
     survey, every third for mobility or recommendations. Of a thousand, 820 grant an account, 900 the line, 640 care, \
     550 research, 500 a survey, 450 solvency, 400 mobility, 350 marketing, 120 targeted advertising, 100 \
     recommendations; 250 of a thousand grants are withdrawn, 120 paused. Of a thousand persons 150 object to marketing \
     or to statistics, 300 to everything the ad network does, 60 have an older consent, 50 send a browser signal; the \
     anonymiser asks about 400.";

/// How a citizen of the small demo leans.
pub(super) fn crowd(dice: &mut Dice) -> Leaning {
    let asked = |offered, grants| Asked { offered, grants, has: 0xff };
    let mut list = vec![
        asked(Offered::Account, 820),
        asked(Offered::Marketing, 350),
        asked(Offered::Care, 640),
        asked(Offered::Line, 900),
        asked(Offered::Targeted, 120),
    ];
    if dice.chance(500) {
        let (offered, grants) = dice.of(
            &[(Offered::Solvency, 450), (Offered::Research, 550), (Offered::Survey, 500)],
            (Offered::Research, 550),
        );
        list.push(asked(offered, grants));
    }
    if dice.chance(333) {
        let (offered, grants) =
            dice.of(&[(Offered::Mobility, 400), (Offered::Recommended, 100)], (Offered::Mobility, 400));
        list.push(asked(offered, grants));
    }
    Leaning {
        asked: list,
        withdraws: 250,
        pauses: 120,
        objects: 150,
        attested: 60,
        signals: 50,
        shuns: 300,
        released: 400,
        joins_before: 120,
    }
}
