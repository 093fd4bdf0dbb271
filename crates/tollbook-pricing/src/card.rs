//! From a match to a rate card: dates, circumstances, tiers and the user's adjustments decided.

use crate::book::{Book, Match, Query, Target, Via};
use crate::index::Hit;
use crate::model::{DAYS, Model, Price};
use crate::rates::{Rates, price_text, scale, unit};
use crate::write::window_text;
use tollbook_types::{CardId, CardRate, Meter, RateCard, RateStep, Side};

/// A rate card and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The digest of the card.
    pub id: CardId,
    /// The rates, and why these.
    pub card: RateCard,
    /// Whether the user's own file made or changed the rates.
    pub is_override: bool,
    /// The user's discounts and markups in one, in trillionths; `None` without any.
    pub factor: Option<u64>,
    /// Whether the user's own price made the rates.
    pub is_own: bool,
}

/// Everything that decides a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    target: Target,
    via: Via,
    requested: bool,
    part: Part,
    /// For a price of the user's own: the book's part beneath it.
    beneath: Option<(Hit, Part)>,
    adjusts: u64,
}

/// The prices of one model that a call selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Part {
    plain: u16,
    /// Prices for circumstances that hold, by position.
    overlays: u64,
    surcharges: u64,
    /// The greatest threshold that the total input reaches.
    reached: u64,
}

impl Choice {
    pub fn of(found: &Match<'_>, query: &Query<'_>, total_input: u64) -> Choice {
        let book = found.book;
        let (part, beneath) = match found.candidate.target {
            Target::Book(hit) => (part(book, hit, query, total_input), None),
            Target::Own(nth) => {
                let price = &book.overrides.prices[usize::from(nth)].price;
                let below = match found.beneath {
                    Some(Target::Book(hit)) => Some((hit, part(book, hit, query, total_input))),
                    _ => None,
                };
                (
                    Part { reached: reached(std::slice::from_ref(price), total_input), ..Part::default() },
                    below,
                )
            }
        };
        Choice {
            target: found.candidate.target,
            via: found.candidate.via,
            requested: found.requested,
            part,
            beneath,
            adjusts: found.adjusts,
        }
    }
}

fn reached(prices: &[Price], total_input: u64) -> u64 {
    let tiers = prices.iter().filter(|price| !price.marginal).flat_map(|price| price.tiers.iter());
    tiers.map(|tier| tier.starts_at).filter(|start| total_input >= *start).max().unwrap_or(0)
}

fn part(book: &Book, hit: Hit, query: &Query<'_>, total_input: u64) -> Part {
    let model = book.index.model(hit);
    let at = query.at;
    let mut overlays = 0;
    for (nth, price) in model.prices.iter().enumerate().take(64) {
        if !price.is_plain() && price.covers(at) && price.in_window(at) && price.holds(query.conditions) {
            overlays |= 1 << nth;
        }
    }
    let surcharges = book.index.surcharges(hit, |surcharge| {
        surcharge.from.as_ref().is_none_or(|from| at >= from.at)
            && surcharge.to.as_ref().is_none_or(|to| at < to.at)
            && crate::model::all_hold(&surcharge.when, query.conditions)
    });
    Part {
        plain: model.plain_at(at).and_then(|nth| u16::try_from(nth).ok()).unwrap_or(0),
        overlays,
        surcharges,
        reached: reached(&model.prices, total_input),
    }
}

/// Rates while a card is put together.
#[derive(Default)]
struct Draft {
    rates: Vec<CardRate>,
    conditions: Vec<String>,
}

impl Draft {
    fn has(&self, meter: Meter) -> bool {
        self.rates.iter().any(|rate| rate.meter == meter)
    }

    fn add(&mut self, meter: Meter, picos: i64, steps: Vec<RateStep>) {
        self.rates.push(CardRate { meter, picos, per: unit(meter), steps });
    }

    /// Takes every rate of a price that no better price has given yet.
    fn take(&mut self, price: &Price, reached: u64, wanted: impl Fn(Meter) -> bool) {
        let mut tiered = None;
        for meter in Meter::ALL.iter().copied().filter(|meter| wanted(*meter)) {
            let Some(picos) = price.rate(meter, reached) else { continue };
            if self.has(meter) {
                continue;
            }
            let mut steps = Vec::new();
            if price.marginal {
                for tier in &price.tiers {
                    if let Some(picos) = tier.rates.get(&meter) {
                        steps.push(RateStep { above: tier.starts_at.saturating_sub(1), picos: *picos });
                    }
                }
            } else if price.rates.get(&meter) != Some(&picos) {
                tiered = price.tiers.iter().rev().find(|tier| reached >= tier.starts_at).map(|t| t.starts_at);
            }
            self.add(meter, picos, steps);
        }
        if let Some(start) = tiered {
            let words = format!("input > {}", start.saturating_sub(1));
            if !self.conditions.contains(&words) {
                self.conditions.push(words);
            }
        }
    }

    fn fees(&mut self, fees: &Rates) {
        for (meter, picos) in fees {
            if !self.has(*meter) {
                self.add(*meter, *picos, Vec::new());
            }
        }
    }

    /// Multiplies rates by a factor in trillionths.
    fn scale(&mut self, factor: u64, wanted: impl Fn(Meter) -> bool) {
        for rate in self.rates.iter_mut().filter(|rate| wanted(rate.meter)) {
            rate.picos = scale(rate.picos, factor).unwrap_or(i64::MAX);
            for step in &mut rate.steps {
                step.picos = scale(step.picos, factor).unwrap_or(i64::MAX);
            }
        }
    }

    /// Everything that one model of the book gives.
    fn model(&mut self, book: &Book, hit: Hit, part: &Part, wanted: impl Fn(Meter) -> bool + Copy) {
        let model = book.index.model(hit);
        let provider = book.index.at(hit.provider);
        for price in overlays(model, part) {
            let before = self.rates.len();
            self.take(price, part.reached, wanted);
            if self.rates.len() > before {
                self.conditions.extend(circumstance(price));
            }
        }
        if let Some(price) = model.prices.get(usize::from(part.plain)) {
            self.take(price, part.reached, wanted);
        }
        self.fees(&provider.fees);
        for (_, surcharge) in chosen(&provider.surcharges, part.surcharges) {
            self.scale(surcharge.factor, |meter| meter.is_token() && wanted(meter));
            let factor = price_text(i64::try_from(surcharge.factor).unwrap_or(i64::MAX));
            let when: Vec<String> = surcharge.when.iter().map(|(k, v)| format!("{k}={v}")).collect();
            self.conditions.push(format!("{}: x{factor}", when.join(" and ")));
        }
    }
}

/// The prices for circumstances that hold: stated conditions before parts of the day.
fn overlays<'m>(model: &'m Model, part: &Part) -> Vec<&'m Price> {
    let mut all: Vec<&Price> = chosen(&model.prices, part.overlays).map(|(_, price)| price).collect();
    all.sort_by_key(|price| std::cmp::Reverse(price.when.len()));
    all
}

fn chosen<T>(all: &[T], bits: u64) -> impl Iterator<Item = (usize, &T)> {
    all.iter().enumerate().take(64).filter(move |(nth, _)| bits & (1 << nth) != 0)
}

/// A price's circumstance in words.
pub(crate) fn circumstance(price: &Price) -> Vec<String> {
    let mut words: Vec<String> = price.when.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !price.daily.is_empty() {
        let windows: Vec<String> = price.daily.iter().map(window_text).collect();
        words.push(format!("daily {} UTC", windows.join(", ")));
    }
    if let Some(mask) = price.days {
        let days = DAYS.iter().enumerate().filter(|(day, _)| mask & (1 << day) != 0);
        words.push(days.map(|(_, name)| *name).collect::<Vec<_>>().join(" "));
    }
    words
}

impl Card {
    pub(crate) fn build(book: &Book, choice: &Choice) -> Card {
        let mut draft = Draft::default();
        let mut card = match choice.target {
            Target::Own(nth) => own(book, usize::from(nth), choice, &mut draft),
            Target::Book(hit) => {
                draft.model(book, hit, &choice.part, |_| true);
                of_book(book, hit, choice)
            }
        };
        let mut factor = None;
        for (_, adjust) in chosen(&book.overrides.adjusts, choice.adjusts) {
            draft.scale(adjust.factor, |_| true);
            let so_far = factor.unwrap_or(1_000_000_000_000_u64);
            let product = i64::try_from(so_far).ok().and_then(|so_far| scale(so_far, adjust.factor));
            factor = Some(product.and_then(|p| u64::try_from(p).ok()).unwrap_or(u64::MAX));
            let words = format!("{} ({})", adjust.text, adjust.scope.origin);
            card.overridden_by =
                Some(card.overridden_by.map_or(words.clone(), |before| format!("{before}, {words}")));
        }
        draft.rates.sort_by_key(|rate| rate.meter);
        card.rates = draft.rates;
        card.conditions = draft.conditions;
        let is_own = matches!(choice.target, Target::Own(_));
        Card { id: card.id(), is_override: card.overridden_by.is_some(), card, factor, is_own }
    }
}

/// A card of the user's own price; fees that it does not name come from the book's price beneath.
fn own(book: &Book, nth: usize, choice: &Choice, draft: &mut Draft) -> RateCard {
    let own = &book.overrides.prices[nth];
    draft.conditions.extend(circumstance(&own.price));
    draft.take(&own.price, choice.part.reached, |_| true);
    if let Some((hit, part)) = &choice.beneath {
        draft.model(book, *hit, part, |meter| meter.side() == Side::Other);
    }
    let name = own.scope.provider.clone().unwrap_or_else(|| "any".to_owned());
    let since = own.price.from.as_ref().map_or(String::new(), |from| format!("@{}", from.text));
    let model = own.scope.rules.first().map_or("*".to_owned(), |rule| rule.tests[0].parts().1.to_owned());
    let model = if model.is_empty() { "*".to_owned() } else { model };
    RateCard {
        price_id: format!("own:{name}/{model}{since}"),
        rule: via_words(book, choice, own.scope.text()),
        conditions: Vec::new(),
        source: own.price.source.clone().unwrap_or_else(|| own.scope.origin.clone()),
        checked: own.price.checked.clone().unwrap_or_default(),
        effective_from: own.price.from.as_ref().map(|bound| bound.text.clone()),
        effective_to: own.price.to.as_ref().map(|bound| bound.text.clone()),
        overridden_by: Some(format!("own price ({})", own.scope.origin)),
        book: book.hash().to_owned(),
        rates: Vec::new(),
    }
}

fn of_book(book: &Book, hit: Hit, choice: &Choice) -> RateCard {
    let provider = book.index.at(hit.provider);
    let model = book.index.model(hit);
    let plain = model.prices.get(usize::from(choice.part.plain));
    let from = plain.and_then(|price| price.from.as_ref()).map(|bound| bound.text.clone());
    let since = from.as_ref().map_or(String::new(), |from| format!("@{from}"));
    // Figures for a circumstance may have a source of their own.
    let of = |get: fn(&Price) -> Option<&String>| {
        let overlays = overlays(model, &choice.part);
        overlays.into_iter().chain(plain).find_map(|price| get(price).cloned())
    };
    RateCard {
        price_id: format!("{}/{}{since}", provider.id, model.id),
        rule: via_words(book, choice, book.index.rule_text(hit)),
        conditions: Vec::new(),
        source: of(|price| price.source.as_ref()).unwrap_or_else(|| provider.source.clone()),
        checked: of(|price| price.checked.as_ref()).unwrap_or_else(|| provider.checked.clone()),
        effective_from: from,
        effective_to: plain.and_then(|price| price.to.as_ref()).map(|bound| bound.text.clone()),
        overridden_by: None,
        book: book.hash().to_owned(),
        rates: Vec::new(),
    }
}

fn via_words(book: &Book, choice: &Choice, rule: String) -> String {
    let mut words = match choice.via {
        Via::Name => rule,
        Via::OwnAlias(nth) => {
            let alias = &book.overrides.aliases[usize::from(nth)];
            format!("alias {} = {} ({})", alias.scope.text(), alias.model, alias.scope.origin)
        }
        Via::BookAlias { provider, alias } => {
            let alias = &book.index.at(provider).aliases[usize::from(alias)];
            format!("alias {} = {}", alias.name, alias.model)
        }
    };
    if choice.requested {
        words.push_str(", of the requested model");
    }
    words
}
