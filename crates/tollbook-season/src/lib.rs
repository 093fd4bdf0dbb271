//! What an hour usually comes to, by the weeks before it: their days and weeks are taken apart from
//! their trend, and what is left tells how far an ordinary hour strays.
//!
//! The one place where an amount becomes a float: the series is a picture of the amounts, good enough to
//! say what is usual. What comes out is compared with exact amounts, and never booked. It must never
//! know what is counted.

use augurs_core::Fit;
use augurs_mstl::MSTLModel;

/// Hours of a day, and of a week.
const DAY: usize = 24;
const WEEK: usize = 7 * DAY;
/// Hours that it takes to know a season: each of a week twice.
pub const HOURS_MIN: usize = 2 * WEEK;
/// Hours that are looked at: what is older says little of today.
pub const HOURS_MAX: usize = 4 * WEEK;
/// Of so many hours one has to be used: what is used now and then has no usual hour.
const USED_MIN: usize = 20;
/// Of so many hours one is left out of account, as being out of line itself.
const ORDINARY: usize = 100;

/// What is usual of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// What it usually comes to.
    pub expected: i128,
    /// More than this is unusual.
    pub limit: i128,
}

/// What is usual of the hour after these, each an amount not below zero, the oldest first: unusual is
/// more than so many `times` what is expected that also lies so many times as far above it as 99 of 100
/// hours lie above their time of day. `None` with less than two weeks, and of what is used too seldom to say.
///
/// ```
/// use tollbook_season::{HOURS_MIN, usual};
/// // Ten of something in each hour from nine to five.
/// let office: Vec<i128> = (0..HOURS_MIN).map(|hour| if (9..17).contains(&(hour % 24)) { 10 } else { 0 }).collect();
/// let at_midnight = usual(&office, 3).unwrap();
/// assert!(at_midnight.expected <= 1 && at_midnight.limit < 10);
/// assert_eq!(usual(&office[1..], 3), None);
/// ```
pub fn usual(hours: &[i128], times: u32) -> Option<Usual> {
    let hours = hours.get(hours.len().saturating_sub(HOURS_MAX)..)?;
    let used = hours.iter().filter(|amount| **amount > 0).count();
    if hours.len() < HOURS_MIN || used * USED_MIN < hours.len() {
        return None;
    }
    // An hour that was out of line does not make the next one ordinary.
    let most = high(hours.to_vec())?;
    let series: Vec<f64> = hours.iter().map(|amount| picture((*amount).clamp(0, most), most)).collect();
    let fitted = MSTLModel::naive(vec![DAY, WEEK]).fit(&series).ok()?;
    let parts = fitted.fit();
    // The next hour is in its season where the hour a season before it was.
    let next = |(season, length): (&Vec<f32>, usize)| season.get(season.len().checked_sub(length)?).copied();
    let seasons = parts.seasonal().iter().zip([DAY, WEEK]).map(next).collect::<Option<Vec<f32>>>()?;
    let shares = seasons.into_iter().chain(parts.trend().last().copied());
    let expected = shares.map(|share| amount(share, most)).sum::<i128>().clamp(0, most);
    // A week that was seen two or three times takes much of what strays for its season: what is above
    // the days' counts.
    let weeks = parts.seasonal().get(1)?;
    let above = parts.remainder().iter().zip(weeks);
    let above = above.map(|(left, week)| (amount(*left, most) + amount(*week, most)).max(0)).collect();
    let times = i128::from(times);
    let limit = expected.checked_mul(times)?.max(expected.checked_add(high(above)?.checked_mul(times)?)?);
    Some(Usual { expected, limit })
}

/// What 99 of 100 amounts are not above.
fn high(mut amounts: Vec<i128>) -> Option<i128> {
    let place = amounts.len().checked_sub(1 + amounts.len() / ORDINARY)?;
    Some(*amounts.select_nth_unstable(place).1)
}

/// An amount as a share of the most there is: whatever the unit, the floats are of one size.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a picture of an amount")]
fn picture(amount: i128, most: i128) -> f64 {
    amount as f64 / most.max(1) as f64
}

/// The amount that a share of the most stands for.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "back from the picture of an amount"
)]
fn amount(share: f32, most: i128) -> i128 {
    (f64::from(share) * most as f64) as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same each time (splitmix64).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % bound
        }
    }

    /// Six weeks of a team: calls of very different cost, few at night and on weekends, growing slowly.
    fn ordinary(seed: u64) -> Vec<i128> {
        let mut dice = Dice(seed);
        let hour = |hour: usize| {
            let (day, of_day) = (hour / DAY, hour % DAY);
            let usual = match (day % 7, of_day) {
                (5 | 6, 9..18) => 4,
                (_, 8..12 | 13..19) => 24 + hour / 100,
                (_, 12) => 12,
                _ => 1,
            };
            let calls = usual as u64 / 2 + dice.below(usual as u64 + 1);
            // Most calls are cheap, one in thirty costs as much as twenty others.
            let cost = |dice: &mut Dice| match dice.below(30) {
                0 => 20_000_000_000 + dice.below(20_000_000_000),
                _ => dice.below(2_000_000_000),
            };
            (0..calls).map(|_| i128::from(cost(&mut dice))).sum()
        };
        (0..6 * WEEK).map(hour).collect()
    }

    #[test]
    fn twenty_ordinary_teams_have_no_unusual_hour() {
        for seed in 0..20 {
            let hours = ordinary(seed);
            for now in (HOURS_MIN..hours.len()).step_by(5) {
                let usual = usual(&hours[..now], 3).unwrap();
                assert!(hours[now] <= usual.limit, "seed {seed}, hour {now}: {} of {usual:?}", hours[now]);
            }
        }
    }

    #[test]
    fn a_spike_is_found_by_day_and_by_night_and_hides_no_second_one() {
        for seed in 0..5 {
            let mut hours = ordinary(seed);
            let busiest = *hours.iter().max().unwrap();
            // A Monday noon and a Sunday night, a week apart from the one before.
            for now in [35 * DAY + 12, 34 * DAY + 3] {
                for times in [1, 2] {
                    let (usual, spike) = (usual(&hours[..now], 3).unwrap(), busiest * 4);
                    assert!(spike > usual.limit, "seed {seed}, hour {now}, {times}: {spike} of {usual:?}");
                    hours[now - WEEK] = spike;
                }
            }
        }
    }

    #[test]
    fn nothing_is_usual_of_little() {
        let week = |hour: usize| i128::from(u8::from((9..17).contains(&(hour % DAY)))) * 10;
        let seldom = |hour: usize| i128::from(hour.is_multiple_of(50));
        for (what, hours, known) in [
            ("no hours", vec![], false),
            ("an hour too few", (0..HOURS_MIN - 1).map(week).collect(), false),
            ("enough", (0..HOURS_MIN).map(week).collect(), true),
            ("more than is looked at", (0..3 * HOURS_MAX).map(week).collect(), true),
            ("nothing used", vec![0; HOURS_MAX], false),
            ("used seldom", (0..HOURS_MAX).map(seldom).collect(), false),
            ("the same at all times", vec![7; HOURS_MAX], true),
            ("no less than there is", vec![i128::MIN; HOURS_MAX], false),
            ("more than fits", vec![i128::MAX; HOURS_MAX], false),
        ] {
            assert_eq!(usual(&hours, 3).is_some(), known, "{what}");
        }
        let flat = usual(&[7; HOURS_MAX], 3).unwrap();
        assert!((6..=7).contains(&flat.expected) && flat.limit <= 21, "{flat:?}");
    }
}
