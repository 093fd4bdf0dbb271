//! Putting prices from two sources together: ends of dated prices, and hand-kept facts among others.

use crate::model::{Model, Price, Provider};
use crate::parse::same_kind;

/// Gives every price of one circumstance its end: where the next one of the same begins.
pub fn end_prices(prices: &mut [Price]) {
    let starts: Vec<Price> = prices
        .iter()
        .map(|p| Price {
            from: p.from.clone(),
            when: p.when.clone(),
            daily: p.daily.clone(),
            days: p.days,
            ..Price::default()
        })
        .collect();
    for (nth, price) in prices.iter_mut().enumerate() {
        let own = price.from.as_ref().map(|from| from.at);
        let later =
            starts.iter().enumerate().filter(|(other, start)| *other != nth && same_kind(start, price));
        let later = later.filter_map(|(_, start)| start.from.clone()).filter(|from| Some(from.at) > own);
        price.to = later.min_by_key(|from| from.at);
    }
}

/// Adds a provider's hand-kept facts: where both speak of a model and a time, the added one counts.
pub fn graft(provider: &mut Provider, extra: Provider) {
    provider.pages = extra.pages;
    provider.fallback = extra.fallback;
    provider.strip = extra.strip;
    provider.fees = extra.fees;
    provider.aliases = extra.aliases;
    provider.surcharges = extra.surcharges;
    for mut added in extra.models {
        for price in &mut added.prices {
            price.source.get_or_insert_with(|| extra.source.clone());
            price.checked.get_or_insert_with(|| extra.checked.clone());
        }
        match provider.models.iter_mut().find(|model| model.id == added.id) {
            Some(model) => graft_model(model, added),
            None => {
                release_names(&mut provider.models, &added);
                provider.models.push(added);
            }
        }
    }
}

/// A new model takes its exact names from the models that had them.
pub(crate) fn release_names(models: &mut [Model], new: &Model) {
    let names: Vec<&str> = new.rules.iter().filter_map(|rule| rule.exact()).collect();
    for model in models {
        model.rules.retain(|rule| rule.exact().is_none_or(|name| !names.contains(&name)));
    }
}

/// Adds one model's facts. Fees alone go into every plain price that lacks them; prices for parts
/// of the day stand in place of all such prices.
pub(crate) fn graft_model(model: &mut Model, added: Model) {
    let known: Vec<String> = model.rules.iter().map(ToString::to_string).collect();
    // The id as the only rule is what a text without rules means: it adds nothing.
    if !added.is_only_id() {
        model.rules.extend(added.rules.into_iter().filter(|rule| !known.contains(&rule.to_string())));
    }
    model.note = added.note.or(model.note.take());
    model.retired |= added.retired;
    if added.prices.iter().any(|price| !price.daily.is_empty()) {
        model.prices.retain(|price| price.daily.is_empty());
    }
    for price in added.prices {
        let fees_only = price.is_plain() && price.rates.keys().all(|meter| !meter.is_token());
        let plain = model.prices.iter().any(Price::is_plain);
        if fees_only && plain {
            for known in model.prices.iter_mut().filter(|known| known.is_plain()) {
                for (meter, picos) in &price.rates {
                    known.rates.entry(*meter).or_insert(*picos);
                }
            }
            continue;
        }
        make_room(&mut model.prices, &price);
        model.prices.push(price);
    }
    model.prices.sort_by_key(|price| (price.when.clone(), price.from.as_ref().map(|from| from.at)));
}

/// Cuts the dates of prices for the same circumstance where the new one counts.
pub(crate) fn make_room(prices: &mut Vec<Price>, new: &Price) {
    let mut kept = Vec::with_capacity(prices.len() + 1);
    for old in prices.drain(..) {
        if !same_kind(&old, new) {
            kept.push(old);
            continue;
        }
        let start = |price: &Price| price.from.as_ref().map(|bound| bound.at);
        // What of the old price lies before the new one, and what after.
        if start(&old) < start(new) {
            let mut before = old.clone();
            if before.to.as_ref().is_none_or(|to| Some(to.at) > start(new)) {
                before.to.clone_from(&new.from);
            }
            kept.push(before);
        }
        let outlasts = match (&old.to, &new.to) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(old), Some(new)) => old.at > new.at,
        };
        if outlasts {
            let mut after = old;
            if start(&after) < new.to.as_ref().map(|to| to.at) {
                after.from.clone_from(&new.to);
            }
            kept.push(after);
        }
    }
    *prices = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_bound;

    fn price(from: &str, to: &str) -> Price {
        Price { from: parse_bound(from), to: parse_bound(to), ..Price::default() }
    }

    fn dates(prices: &[Price]) -> Vec<(String, String)> {
        let text = |bound: &Option<crate::Bound>| bound.as_ref().map_or(String::new(), |b| b.text.clone());
        prices.iter().map(|p| (text(&p.from), text(&p.to))).collect()
    }

    #[test]
    fn a_new_price_cuts_the_old_ones() {
        let left = |from: &str, to: &str| {
            let mut prices = vec![price("", "")];
            make_room(&mut prices, &price(from, to));
            dates(&prices).iter().map(|(a, b)| format!("{a}..{b}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left("", "2024-10-01"), "2024-10-01..");
        assert_eq!(left("2025-01-01", ""), "..2025-01-01");
        assert_eq!(left("2025-01-01", "2026-01-01"), "..2025-01-01 2026-01-01..");
        assert_eq!(left("", ""), "");
    }

    #[test]
    fn each_price_ends_where_the_next_begins() {
        let mut prices = vec![price("", ""), price("2026-10-29", ""), price("2026-10-20", "")];
        end_prices(&mut prices);
        let want = [("", "2026-10-20"), ("2026-10-29", ""), ("2026-10-20", "2026-10-29")];
        assert_eq!(dates(&prices), want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
