//! The most that a call can cost, from bounds on its tokens: what a strict budget holds for it.

use crate::book::{Book, NoMatch, Query};
use std::sync::Arc;
use tollbook_types::{Meter, Money, Side, charge};

/// Bounds on what a call can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens in, whichever of the input meters they turn out to be.
    pub input: u64,
    /// Tokens out, likewise.
    pub output: u64,
}

/// The most that a call can cost: all its input at the dearest input rate that it can meet, all its
/// output at the dearest output rate. Tiers by context are looked at from both ends. A flat fee a
/// request is in it; fees by quantity (searches, images) are not: who asks knows that there are none.
///
/// ```
/// use tollbook_pricing::{Book, Query, Tokens, ceiling};
/// use tollbook_types::Conditions;
/// let at = "2026-11-22T10:30:00Z".parse().unwrap();
/// let conditions = Conditions::default();
/// let query = Query { provider: "openai", model: "gpt-4o-mini", request_model: None, at, conditions: &conditions };
/// let most = ceiling(&Book::embedded(), &query, Tokens { input: 1_000, output: 1_000 }).unwrap();
/// assert_eq!(most.unwrap().to_string(), "0.00075");
/// ```
///
/// `Ok(None)` when the amount does not fit, which no real call reaches.
pub fn ceiling(book: &Book, query: &Query<'_>, tokens: Tokens) -> Result<Option<Money>, NoMatch> {
    let found = book.find(query)?;
    let cards = [found.card(query, 0), found.card(query, tokens.input)];
    // One without tiers is the same from both ends.
    let cards = if Arc::ptr_eq(&cards[0], &cards[1]) { &cards[..1] } else { &cards };
    let most = |side: Side, quantity: u64| {
        let rates = cards.iter().flat_map(|card| &card.card.rates);
        let of_side = rates.filter(|rate| rate.meter.is_token() && rate.meter.side() == side);
        let amounts = of_side.flat_map(|rate| {
            let steps = rate.steps.iter().map(|step| step.picos);
            let picos = steps.chain([rate.picos]).max().unwrap_or(rate.picos);
            // A partial unit is a whole one here: a bound may be too high, never too low.
            charge(quantity, i128::from(picos), rate.per)
                .map(|(amount, rounded)| Money::from_picos(amount.picos() + i128::from(rounded)))
        });
        amounts.max().unwrap_or(Money::ZERO)
    };
    let flat = cards.iter().filter_map(|card| {
        let rate = card.card.rate(Meter::Requests)?;
        charge(1, i128::from(rate.picos), rate.per).map(|(amount, _)| amount)
    });
    let parts = [
        most(Side::Input, tokens.input),
        most(Side::Output, tokens.output),
        flat.max().unwrap_or(Money::ZERO),
    ];
    Ok(Money::checked_sum(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tollbook_types::{Conditions, Meters};

    /// No split of the tokens into meters costs more than the ceiling, at any model of the book.
    fn check(place: usize, input: u64, output: u64, cuts: [u64; 3]) {
        let book = Book::embedded();
        let models: Vec<(&str, &str)> = book
            .providers()
            .iter()
            .flat_map(|provider| {
                provider.models.iter().map(|model| (provider.id.as_str(), model.id.as_str()))
            })
            .collect();
        let (provider, model) = models[place % models.len()];
        let conditions = Conditions::default();
        let at = "2026-11-22T10:30:00Z".parse().unwrap();
        let query = Query { provider, model, request_model: None, at, conditions: &conditions };
        let Ok(card) = book.card(&query, input) else { return };
        let most = ceiling(&book, &query, Tokens { input, output }).unwrap().unwrap();
        let mut meters = Meters::default();
        let mut left = input;
        for (meter, cut) in [Meter::CacheRead, Meter::CacheWrite1h, Meter::InputAudio].into_iter().zip(cuts) {
            let part = cut.min(left);
            meters.set(meter, part);
            left -= part;
        }
        meters.set(Meter::Input, left);
        meters.set(Meter::Reasoning, output / 3);
        meters.set(Meter::Output, output - output / 3);
        let Ok(lines) = crate::lines(&meters, &card.card) else { return };
        let cost = Money::checked_sum(lines.iter().map(|line| line.cost)).unwrap();
        assert!(cost <= most, "{provider}/{model}: {cost} of {input}+{output} is above {most}");
    }

    proptest! {
        #[test]
        fn nothing_costs_more_than_its_ceiling(
            place in 0_usize..100_000,
            input in 0_u64..2_000_000,
            output in 0_u64..200_000,
            cuts in [0_u64..500_000, 0_u64..500_000, 0_u64..500_000],
        ) {
            check(place, input, output, cuts);
        }
    }
}
