//! The price book in force: the one that the program was started with, and on top of it the prices,
//! discounts and names that were set while it runs, each a document.
//!
//! Nothing that is recorded changes by them. It must never know how a price is written or matched.

use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::keys::new_id;
use crate::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tollbook_pricing::{Book, Problem};
use tollbook_store::Store;
use tollbook_types::Timestamp;

/// Where the documents are.
const DOCUMENTS: &str = "price/";
const ID_START: &str = "prc_";
/// How many there may be; more belong into a file.
const PRICES_MAX: usize = 1_000;

/// A price, discount, markup or name that was set while the books are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPrice {
    /// `prc_` and letters.
    pub id: String,
    /// What it says, as a file of one's own prices would.
    pub text: String,
    /// When it was set.
    pub created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Document {
    text: String,
    created_at: Timestamp,
}

/// Why a price is not taken.
#[derive(Debug)]
pub enum PriceError {
    /// What it says makes no sense, or contradicts what is there: everything that is wrong.
    Problems(Vec<Problem>),
    /// There are as many as there may be.
    TooMany,
    /// Recording failed.
    Ledger(LedgerError),
}

/// Those that the books have, in the order in which they were set.
///
/// # Errors
/// The store cannot be read, or a document cannot.
pub fn own_prices(store: &dyn Store) -> Result<Vec<OwnPrice>, LedgerError> {
    let mut own = Vec::new();
    let mut controls = store.controls(DOCUMENTS)?;
    // Ids tell instants apart, and positions the order: clocks stand still and go back.
    controls.sort_by_key(|control| control.seq);
    for control in controls {
        let (Some(body), Some(id)) = (control.body, control.key.strip_prefix(DOCUMENTS)) else { continue };
        let Document { text, created_at } = serde_json::from_str(&body)
            .map_err(|_| LedgerError::Invalid(format!("the document {} cannot be read", control.key)))?;
        own.push(OwnPrice { id: id.to_owned(), text, created_at });
    }
    Ok(own)
}

/// A book with these on top. What does not go with it, as where a file has come to say the same, is left
/// out, and told.
pub fn with_own_prices(base: &Arc<Book>, own: &[OwnPrice]) -> (Arc<Book>, Vec<Problem>) {
    let (mut book, mut left_out) = (base.clone(), Vec::new());
    for price in own {
        match book.with_override_file(&price.id, &price.text) {
            Ok(more) => book = Arc::new(more),
            Err(problems) => left_out.extend(problems),
        }
    }
    (book, left_out)
}

/// What is in force, and what it is made of.
#[derive(Debug)]
pub(crate) struct Prices {
    now: RwLock<Now>,
    /// Held from reading to writing.
    changing: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Now {
    base: Arc<Book>,
    own: Vec<OwnPrice>,
    book: Arc<Book>,
}

impl Prices {
    /// Those of the books on top of this one, and what had to be left out.
    pub fn load(store: &dyn Store, base: Arc<Book>) -> Result<(Prices, Vec<Problem>), LedgerError> {
        let own = own_prices(store)?;
        let (book, left_out) = with_own_prices(&base, &own);
        Ok((Prices { now: RwLock::new(Now { base, own, book }), changing: Mutex::default() }, left_out))
    }

    pub fn book(&self) -> Arc<Book> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).book.clone()
    }

    fn now(&self) -> Now {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, now: Now) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Ledger {
    /// The price book in force.
    pub fn book(&self) -> Arc<Book> {
        self.price_state().book()
    }

    /// Puts another price book below the prices of the books' own, for events from now on. What of these
    /// does not go with it is left out, and told.
    pub fn set_book(&self, base: Arc<Book>) -> Vec<Problem> {
        let prices = self.price_state();
        let _changing = prices.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let own = prices.now().own;
        let (book, left_out) = with_own_prices(&base, &own);
        prices.put(Now { base, own, book });
        left_out
    }

    /// The book without them.
    pub fn base_book(&self) -> Arc<Book> {
        self.price_state().now().base
    }

    /// Those that were set while the books are in use, in that order.
    pub fn own_prices(&self) -> Vec<OwnPrice> {
        self.price_state().now().own
    }

    /// Sets a price, discount, markup or name, written as in a file of them. On return it is durable, and in
    /// force for calls from now on.
    pub fn set_price(&self, by: &By, text: &str) -> Result<OwnPrice, PriceError> {
        let prices = self.price_state();
        let _changing = prices.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = prices.now();
        if now.own.len() >= PRICES_MAX {
            return Err(PriceError::TooMany);
        }
        let created_at = self.shared().clock.now();
        let id = new_id(ID_START, created_at).map_err(PriceError::Ledger)?;
        now.book = Arc::new(now.book.with_override_file(&id, text).map_err(PriceError::Problems)?);
        let own = OwnPrice { id, text: text.to_owned(), created_at };
        let document = Document { text: own.text.clone(), created_at };
        let body = serde_json::to_string(&document)
            .map_err(|error| PriceError::Ledger(LedgerError::Invalid(error.to_string())))?;
        let act = Act::new("price.set").on("price", own.id.as_str());
        self.write_documents(by, act, vec![(document_key(&own.id), Some(body))])
            .map_err(PriceError::Ledger)?;
        now.own.push(own.clone());
        prices.put(now);
        Ok(own)
    }

    /// Takes one away: calls from now on are priced without it. False when there is none.
    pub fn remove_price(&self, by: &By, id: &str) -> Result<bool, LedgerError> {
        let prices = self.price_state();
        let _changing = prices.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Now { base, mut own, .. } = prices.now();
        let Some(place) = own.iter().position(|price| price.id == id) else { return Ok(false) };
        let act = Act::new("price.remove").on("price", id);
        self.write_documents(by, act, vec![(document_key(id), None)])?;
        own.remove(place);
        let (book, _) = with_own_prices(&base, &own);
        prices.put(Now { base, own, book });
        Ok(true)
    }
}

fn document_key(id: &str) -> String {
    format!("{DOCUMENTS}{id}")
}
