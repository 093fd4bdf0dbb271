//! A row of FOCUS 1.2: the columns in one list, and what stands in each.

use super::charge::{Item, Kind, PRICE_DECIMALS, Price, Sums};
use super::decimal::digits;
use super::names;
use crate::export::table::Cell;
use std::borrow::Cow;
use tollbook_store::{Interval, Zone, bucket_end, bucket_start};

/// Decimals of an amount in picodollars.
const MONEY_DECIMALS: usize = 12;
/// What the whole of the books is called as an account.
const ACCOUNT_NAME: &str = "Tollbook";

/// The columns, in the order of a row's cells: those of the specification, then our own.
pub const COLUMNS: [&str; 50] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    // Readers join on it: it stands here though nothing is ever in it.
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_CostBasis",
    "x_Evidence",
    "x_Meter",
    "x_Model",
    "x_PriceId",
    "x_RequestCount",
    "x_TollbookVersion",
];

/// The cells of a row of the books with this name. `None` if an amount does not fit, which no real ledger
/// reaches.
pub fn cells<'a>(account: &'a str, kind: &'a Kind, sums: &Sums) -> Option<[Cell<'a>; COLUMNS.len()]> {
    let item = Named::of(kind);
    let (provider, service) = names::provider(&kind.provider);
    let start = |interval| bucket_start(kind.day, interval, &Zone::UTC).map_or(Cell::Absent, Cell::Instant);
    let end = |interval| bucket_end(kind.day, interval, &Zone::UTC).map_or(Cell::Absent, Cell::Instant);
    let priced = Priced::of(kind, sums)?;
    let unit_price = || Cell::Decimal(priced.unit_price.clone());
    let list_cost = || Cell::Decimal(priced.cost.clone());
    let billed = || Cell::Decimal(digits(sums.cost.picos(), MONEY_DECIMALS));
    let project = || kind.project.as_deref().map_or(Cell::Absent, text);
    let sku = format!("{}/{}/{}", or_unknown(&kind.provider), or_unknown(&kind.model), item.id);
    let sku_price = sku_price(&sku, kind, &priced);
    Some([
        billed(),
        text(account),
        text(ACCOUNT_NAME),
        text("Organization"),
        text("USD"),
        end(Interval::Month),
        start(Interval::Month),
        text("Usage"),
        if kind.is_correction { text("Correction") } else { Cell::Absent },
        Cell::Text(Cow::Owned(format!("{} of {}", item.name, or_unknown(&kind.model)))),
        text("Usage-Based"),
        end(Interval::Day),
        start(Interval::Day),
        Cell::Absent,
        Cell::Decimal(digits(sums.quantity, 0)),
        text(item.unit),
        list_cost(),
        unit_price(),
        billed(),
        Cell::Absent,
        text(provider),
        list_cost(),
        unit_price(),
        text(if kind.price.is_some() { "Standard" } else { "Other" }),
        text("USD"),
        unit_price(),
        billed(),
        unit_price(),
        Cell::Decimal(priced.quantity),
        text(priced.unit),
        text(provider),
        text(names::publisher(&kind.provider, &kind.model)),
        text("AI and Machine Learning"),
        Cell::Text(service),
        text("Generative AI"),
        Cell::Text(Cow::Owned(sku)),
        text(item.name),
        Cell::Text(Cow::Owned(details(kind, item.id))),
        Cell::Text(Cow::Owned(sku_price)),
        project(),
        project(),
        if kind.project.is_some() { text("Project") } else { Cell::Absent },
        text(&kind.tags),
        text(kind.basis.name()),
        text(kind.evidence.name()),
        text(item.id),
        text(&kind.model),
        kind.price.as_ref().map_or(Cell::Absent, |price| text(&price.id)),
        Cell::Decimal(digits(i128::from(sums.calls), 0)),
        text(env!("CARGO_PKG_VERSION")),
    ])
}

/// An item's id, its name, and the unit that it is counted in.
struct Named {
    id: &'static str,
    name: &'static str,
    unit: &'static str,
}

impl Named {
    fn of(kind: &Kind) -> Named {
        match kind.item {
            Item::Meter(meter) => {
                let (name, unit) = names::meter(meter);
                Named { id: meter.name(), name, unit }
            }
            Item::Bill => Named { id: "bill", name: "Bills of the Provider", unit: "Requests" },
            Item::Call => Named { id: "call", name: "Calls", unit: "Requests" },
        }
    }
}

/// A price and what is priced, such that price × quantity is exactly the cost.
struct Priced {
    unit_price: String,
    quantity: String,
    unit: &'static str,
    cost: String,
}

impl Priced {
    fn of(kind: &Kind, sums: &Sums) -> Option<Priced> {
        if kind.item == Item::Bill {
            // Nobody says what the parts of a bill are: it is as many dollars, at one dollar each.
            let cost = digits(sums.cost.picos(), MONEY_DECIMALS);
            return Some(Priced { unit_price: "1.0".to_owned(), quantity: cost.clone(), unit: "USD", cost });
        }
        let quantity = sums.quantity;
        let per_unit = kind.price.as_ref().map_or(0, |price| price.per_unit);
        Some(Priced {
            unit_price: digits(per_unit, PRICE_DECIMALS),
            quantity: digits(quantity, 0),
            unit: Named::of(kind).unit,
            cost: digits(per_unit.checked_mul(quantity)?, PRICE_DECIMALS),
        })
    }
}

/// Names one price of one unit of one thing, for ever.
fn sku_price(sku: &str, kind: &Kind, priced: &Priced) -> String {
    let Some(price) = &kind.price else { return format!("{sku}@{}", kind.basis.name()) };
    let version = price.id.rsplit_once('@').map_or(price.id.as_str(), |(_, version)| version);
    let conditions = price.conditions.iter().map(|condition| format!("/{condition}"));
    format!("{sku}@{version}{}/{}", conditions.collect::<String>(), priced.unit_price)
}

/// What is to be known of a price: names of our own begin with `x_`.
fn details(kind: &Kind, item: &str) -> String {
    let mut details = serde_json::json!({ "x_Meter": item });
    if let Some(Price { conditions, priced_as, .. }) = &kind.price {
        details["x_PricedAs"] = priced_as.name().into();
        if !conditions.is_empty() {
            details["x_Conditions"] = conditions.join("; ").into();
        }
    }
    details.to_string()
}

fn text(text: &str) -> Cell<'_> {
    if text.is_empty() { Cell::Absent } else { Cell::Text(Cow::Borrowed(text)) }
}

fn or_unknown(name: &str) -> &str {
    if name.is_empty() { "unknown" } else { name }
}
