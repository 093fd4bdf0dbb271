//! Cost lines: meters × card. Pure, and the same for ever: replay and explanation rely on it.

use std::fmt;
use tollbook_types::{CardRate, CostLine, Meter, Meters, Money, RateCard, charge};

/// Why a card cannot price some meters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpriced {
    /// The card has no rate for the meter, nor for any that it falls back to.
    NoRate(Meter, u64),
    /// The amount does not fit.
    TooLarge(Meter),
}

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unpriced::NoRate(meter, quantity) => write!(f, "the price has no rate for {meter} ({quantity})"),
            Unpriced::TooLarge(meter) => write!(f, "the amount for {meter} is too large"),
        }
    }
}

impl std::error::Error for Unpriced {}

/// The lines of a bill for `meters` at `card`, in meter order.
///
/// A meter without a rate is priced as its parent, and the line says so. A quantity of 0 needs no
/// rate. A card with a rate for requests bills one request where the meters do not count them.
///
/// ```
/// use tollbook_pricing::lines;
/// use tollbook_types::{CardRate, Meter, Meters, Money, RateCard};
/// let rate = |meter, picos| CardRate { meter, picos, per: 1_000_000, steps: vec![] };
/// let card = RateCard {
///     price_id: "openai/gpt-5-mini".into(), rule: "exact gpt-5-mini".into(), conditions: vec![],
///     source: "the provider's page".into(), checked: "2026-11-15".into(), effective_from: None,
///     effective_to: None, overridden_by: None, book: String::new(),
///     rates: vec![rate(Meter::Input, 250_000_000_000), rate(Meter::Output, 2_000_000_000_000)],
/// };
/// let meters = Meters::from_pairs([(Meter::Input, 4_153), (Meter::Output, 632)]);
/// let cost = Money::checked_sum(lines(&meters, &card).unwrap().iter().map(|line| line.cost));
/// assert_eq!(cost.unwrap().to_string(), "0.00230225");
/// ```
pub fn lines(meters: &Meters, card: &RateCard) -> Result<Vec<CostLine>, Unpriced> {
    let mut lines = Vec::new();
    for (meter, quantity) in meters.iter() {
        if quantity == 0 {
            continue;
        }
        let rate = rate_for(meter, card).ok_or(Unpriced::NoRate(meter, quantity))?;
        push(&mut lines, meter, quantity, rate).ok_or(Unpriced::TooLarge(meter))?;
    }
    if meters.get(Meter::Requests).is_none()
        && let Some(rate) = card.rate(Meter::Requests)
    {
        push(&mut lines, Meter::Requests, 1, rate).ok_or(Unpriced::TooLarge(Meter::Requests))?;
    }
    lines.sort_by_key(|line| line.meter);
    Ok(lines)
}

/// The rate of a meter, or of the nearest that it falls back to.
fn rate_for(meter: Meter, card: &RateCard) -> Option<&CardRate> {
    let mut at = Some(meter);
    while let Some(meter) = at {
        if let Some(rate) = card.rate(meter) {
            return Some(rate);
        }
        at = meter.parent();
    }
    None
}

/// One line, or one for each marginal step that the quantity reaches.
fn push(lines: &mut Vec<CostLine>, meter: Meter, quantity: u64, rate: &CardRate) -> Option<()> {
    let mut parts: Vec<(u64, i64)> = vec![(quantity, rate.picos)];
    for step in &rate.steps {
        if quantity > step.above {
            let last = parts.last_mut()?;
            let beyond = quantity - step.above;
            last.0 = last.0.checked_sub(beyond)?;
            parts.push((beyond, step.picos));
        }
    }
    for (quantity, picos) in parts {
        let (cost, rounded) = charge(quantity, i128::from(picos), rate.per)?;
        lines.push(CostLine { meter, quantity, priced_as: rate.meter, picos, per: rate.per, cost, rounded });
    }
    Some(())
}

/// The sums of some lines by side: input, output, fees.
pub(crate) fn by_side(lines: &[CostLine]) -> Option<[Money; 3]> {
    let mut sums = [Money::ZERO; 3];
    for line in lines {
        let side = &mut sums[line.meter.side() as usize];
        *side = side.checked_add(line.cost)?;
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_types::RateStep;

    fn card(rates: Vec<CardRate>) -> RateCard {
        RateCard {
            price_id: "p/m".into(),
            rule: "exact m".into(),
            conditions: vec![],
            source: "s".into(),
            checked: "2026-11-15".into(),
            effective_from: None,
            effective_to: None,
            overridden_by: None,
            book: String::new(),
            rates,
        }
    }

    fn rate(meter: Meter, picos: i64, per: u64) -> CardRate {
        CardRate { meter, picos, per, steps: vec![] }
    }

    #[test]
    fn missing_meters_fall_back_and_say_so() {
        let card =
            card(vec![rate(Meter::Input, 2, 1), rate(Meter::CacheWrite, 3, 1), rate(Meter::Output, 5, 1)]);
        let meters = Meters::from_pairs([
            (Meter::CacheReadAudio, 10),
            (Meter::CacheWrite1h, 10),
            (Meter::Reasoning, 10),
            (Meter::Images, 0),
        ]);
        let lines = lines(&meters, &card).unwrap();
        let seen: Vec<_> = lines.iter().map(|l| (l.meter, l.priced_as, l.cost.picos())).collect();
        assert_eq!(
            seen,
            [
                (Meter::CacheWrite1h, Meter::CacheWrite, 30),
                (Meter::CacheReadAudio, Meter::Input, 20),
                (Meter::Reasoning, Meter::Output, 50),
            ]
        );
    }

    #[test]
    fn a_fee_without_a_rate_is_unpriced() {
        let card = card(vec![rate(Meter::Input, 2, 1)]);
        let meters = Meters::from_pairs([(Meter::WebSearch, 1)]);
        assert_eq!(lines(&meters, &card), Err(Unpriced::NoRate(Meter::WebSearch, 1)));
        let huge = Meters::from_pairs([(Meter::Input, u64::MAX)]);
        assert!(lines(&huge, &self::card(vec![rate(Meter::Input, i64::MAX, 1)])).is_ok());
    }

    #[test]
    fn requests_are_counted_once_unless_reported() {
        let card = card(vec![rate(Meter::Requests, 5_000, 1_000)]);
        let cost =
            |meters: &Meters| lines(meters, &card).unwrap().iter().map(|l| l.cost.picos()).sum::<i128>();
        assert_eq!(cost(&Meters::new()), 5);
        assert_eq!(cost(&Meters::from_pairs([(Meter::Requests, 3)])), 15);
        assert_eq!(cost(&Meters::from_pairs([(Meter::Requests, 0)])), 0);
    }

    #[test]
    fn marginal_steps_give_a_line_each() {
        let mut stepped = rate(Meter::Input, 10, 1);
        stepped.steps = vec![RateStep { above: 100, picos: 20 }, RateStep { above: 200, picos: 40 }];
        let lines = lines(&Meters::from_pairs([(Meter::Input, 250)]), &card(vec![stepped])).unwrap();
        let seen: Vec<_> = lines.iter().map(|l| (l.quantity, l.picos)).collect();
        assert_eq!(seen, [(100, 10), (100, 20), (50, 40)]);
    }
}
