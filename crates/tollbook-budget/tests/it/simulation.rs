//! Many calls at once against chains of budgets, with everything that can happen to them, compared
//! at every step with a fold over the calls. A seed replays.

use crate::rig::{Call, budget, call, cents, instant};
use std::collections::BTreeMap;
use tollbook_budget::{Booking, Budget, Engine, Item, Start, Sums};
use tollbook_types::{Money, TimeRange, Timestamp};

/// A generator of numbers that only depends on its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Flying,
    Booked(Money),
    Lost,
    Released,
}

struct World {
    dice: Dice,
    now: Timestamp,
    seq: u64,
    engine: Engine,
    budgets: Vec<Budget>,
    calls: Vec<(Call, State)>,
    /// Money by which bills were above their holds.
    excess: i128,
}

/// Five that all match, of which three are for single values.
const CHAIN: [(&str, &str); 5] = [
    ("all", r#""limit_usd":"6","window":"day","mode":"strict""#),
    ("project", r#""match":{"project":"web"},"limit_usd":"5","window":"week","mode":"strict""#),
    ("team", r#""match":{"tag.team":"ops"},"limit_usd":"4","window":"month","reset_day":31,"mode":"strict""#),
    ("users", r#""each":"user","limit_usd":"2","window":"rolling","minutes":120,"mode":"strict""#),
    ("key", r#""match":{"key":"k1","project":"web"},"limit_usd":"7","window":"total","mode":"strict""#),
];

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            dice: Dice(seed),
            now: instant("2026-11-29T22:00:00Z"),
            seq: 0,
            engine: Engine::default(),
            budgets: CHAIN.iter().map(|(id, members)| budget(id, members)).collect(),
            calls: Vec::new(),
            excess: 0,
        };
        for budget in world.budgets.clone() {
            world.engine.set(budget, &Start::default(), world.now);
        }
        world
    }

    fn step(&mut self, with_excess: bool) {
        match self.dice.below(100) {
            0..45 => self.ask(),
            45..75 => self.end(with_excess),
            75..82 => self.settle(),
            82..92 => {
                let seconds = self.dice.below(1_800);
                self.now = Timestamp::from_second(self.now.as_second() + seconds as i64).unwrap();
                self.engine.tick(self.now);
            }
            92..95 => self.edit(),
            95..97 => self.restart(),
            _ => {
                // The clock is set back for a moment.
                let before = self.now;
                self.now = Timestamp::from_second(before.as_second() - 60).unwrap();
                self.engine.tick(self.now);
                self.now = before;
            }
        }
    }

    fn ask(&mut self) {
        let user = self.dice.below(4);
        let worst = 1 + self.dice.below(60) as i128;
        let id = format!("c{}", self.calls.len());
        let who = format!("user=u{user} project=web tag.team=ops key=k1");
        let call = Call { at: self.now, ..call(&id, &who, worst) };
        if call.admit(&mut self.engine).is_ok() {
            self.calls.push((call, State::Flying));
            for budget in &self.budgets {
                for standing in self.engine.standings(&budget.id, self.now) {
                    let is_mine =
                        standing.instance.is_none() || standing.instance == Some(format!("u{user}"));
                    let limit = standing.limit + self.excess;
                    assert!(!is_mine || standing.sums.used() <= limit, "{standing:?}");
                }
            }
        }
    }

    fn pick(&mut self, wanted: State) -> Option<usize> {
        let same = |state: &State| std::mem::discriminant(state) == std::mem::discriminant(&wanted);
        let fitting: Vec<usize> = (0..self.calls.len()).filter(|n| same(&self.calls[*n].1)).collect();
        let place = self.dice.below(fitting.len().max(1) as u64) as usize;
        fitting.get(place).copied()
    }

    fn end(&mut self, with_excess: bool) {
        let Some(place) = self.pick(State::Flying) else { return };
        let (call, _) = self.calls[place].clone();
        self.seq += 1;
        let worst = call.worst.unwrap();
        self.calls[place].1 = match self.dice.below(10) {
            0 => {
                self.engine.release(&call.id, self.now);
                State::Released
            }
            1 => {
                self.book(&call, Money::ZERO, worst, 1, Some(&call.id));
                State::Lost
            }
            2 if with_excess => {
                let cost = cents(100);
                self.excess += cost.picos();
                self.book(&call, cost, Money::ZERO, 1, Some(&call.id));
                State::Booked(cost)
            }
            _ => {
                let cost = Money::from_picos(worst.picos() * self.dice.below(101) as i128 / 100);
                self.book(&call, cost, Money::ZERO, 1, Some(&call.id));
                State::Booked(cost)
            }
        };
    }

    /// Settles a lost call, or corrects a booked one downwards.
    fn settle(&mut self) {
        self.seq += 1;
        if let Some(place) = self.pick(State::Lost) {
            let (call, _) = self.calls[place].clone();
            let cost = Money::from_picos(call.worst.unwrap().picos() / 2);
            self.book(&call, Money::ZERO, Money::from_picos(-call.worst.unwrap().picos()), -1, None);
            self.book(&call, cost, Money::ZERO, 1, None);
            self.calls[place].1 = State::Booked(cost);
        } else if let Some(place) = self.pick(State::Booked(Money::ZERO)) {
            let (call, State::Booked(cost)) = self.calls[place].clone() else { return };
            let less = Money::from_picos(cost.picos() / 2);
            self.book(&call, Money::from_picos(-cost.picos()), Money::ZERO, -1, None);
            self.book(&call, less, Money::ZERO, 1, None);
            self.calls[place].1 = State::Booked(less);
        }
    }

    fn book(&mut self, call: &Call, cost: Money, unsettled: Money, calls: i128, hold: Option<&str>) {
        let items = [Item { model: "gpt-x", cost, tokens: 0, calls, unsettled }];
        let booking = Booking {
            seq: self.seq,
            at: call.at,
            subject: call.subject(),
            items: &items,
            hold,
            is_typical: false,
        };
        self.engine.book(&booking, self.now);
    }

    /// A budget is changed; it counts anew what was before, and what is in flight.
    fn edit(&mut self) {
        let place = self.dice.below(CHAIN.len() as u64) as usize;
        let mut changed = self.budgets[place].clone();
        changed.limit = tollbook_budget::Limit::Usd(cents(300 + self.dice.below(500) as i128));
        let start = self.start(&changed);
        self.engine.set(changed.clone(), &start, self.now);
        self.budgets[place] = changed;
    }

    /// The process begins anew, from the books and the calls that are in flight.
    fn restart(&mut self) {
        self.engine = Engine::default();
        // What is in flight comes back first: a budget that is set then holds for it.
        self.engine.set(
            budget("none", r#""limit_calls":1000000000,"window":"total""#),
            &Start::default(),
            self.now,
        );
        for (call, state) in &self.calls {
            if *state == State::Flying {
                call.admit(&mut self.engine).unwrap();
            }
        }
        for budget in self.budgets.clone() {
            let start = self.start(&budget);
            self.engine.set(budget, &start, self.now);
        }
        self.engine.remove("none");
    }

    /// What the books say that a budget's calls used.
    fn start(&self, budget: &Budget) -> Start {
        let used = self.calls.iter().filter_map(|(call, state)| {
            let sums = match state {
                State::Booked(cost) => Sums { spent: cost.picos(), ..Sums::default() },
                State::Lost => Sums { unsettled: call.worst.unwrap().picos(), ..Sums::default() },
                State::Flying | State::Released => return None,
            };
            let instance = budget.scope.each.is_some().then(|| call.who.user.clone()).flatten();
            Some((instance, call.at, sums))
        });
        Start { through: self.seq, used: used.collect() }
    }

    /// Every budget says what a fold over the calls says.
    fn check(&self, seed: u64) {
        for budget in &self.budgets {
            let mut wanted: BTreeMap<Option<String>, Sums> = BTreeMap::new();
            let range = budget.window.range(self.now, &budget.zone.1);
            for (call, state) in &self.calls {
                if !(TimeRange { to: None, ..range }).contains(call.at) {
                    continue;
                }
                let instance = budget.scope.each.is_some().then(|| call.who.user.clone()).flatten();
                let sums = wanted.entry(instance).or_default();
                match state {
                    State::Booked(cost) => sums.spent += cost.picos(),
                    State::Flying => sums.held += call.worst.unwrap().picos(),
                    State::Lost => sums.unsettled += call.worst.unwrap().picos(),
                    State::Released => {}
                }
            }
            wanted.retain(|_, sums| *sums != Sums::default());
            let found = self.engine.standings(&budget.id, self.now).into_iter();
            let found: BTreeMap<Option<String>, Sums> =
                found.map(|s| (s.instance, s.sums)).filter(|(_, sums)| *sums != Sums::default()).collect();
            assert_eq!(found, wanted, "seed {seed}, budget {} at {}", budget.id, self.now);
        }
    }
}

fn run(seeds: std::ops::Range<u64>, with_excess: bool) {
    for seed in seeds {
        let mut world = World::new(seed);
        for step in 0..600 {
            world.step(with_excess);
            if step % 7 == 0 {
                world.check(seed);
            }
        }
        // After quiet nothing is held.
        while let Some(place) = world.pick(State::Flying) {
            let (call, _) = world.calls[place].clone();
            world.seq += 1;
            world.book(&call, Money::ZERO, Money::ZERO, 1, Some(&call.id));
            world.calls[place].1 = State::Booked(Money::ZERO);
        }
        world.check(seed);
        assert_eq!(world.engine.holds(), 0, "seed {seed}");
    }
}

#[test]
fn whatever_happens_no_strict_budget_is_passed() {
    run(0..700, false);
}

#[test]
fn bills_above_their_holds_pass_it_by_no_more_than_their_excess() {
    run(1_000..1_300, true);
}

#[test]
fn two_hundred_calls_at_once_never_pass_any_of_five() {
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.ask();
        }
        for _ in 0..400 {
            world.end(false);
            for budget in &world.budgets {
                for standing in world.engine.standings(&budget.id, world.now) {
                    assert!(standing.sums.used() <= standing.limit, "seed {seed}: {standing:?}");
                }
            }
        }
        world.check(seed);
    }
}
