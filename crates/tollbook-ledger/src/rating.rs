//! Rating on the way into the journal: the book's answer, and the cards it rests on.

use std::sync::Arc;
use tollbook_pricing::Book;
use tollbook_types::{Event, Rating};

/// A rate card with its id.
pub type Card = Arc<tollbook_pricing::Card>;

/// What is recorded of a rating.
#[derive(Clone, Debug)]
pub struct Rated {
    /// The rating.
    pub rating: Rating,
    /// The cards that it refers to.
    pub cards: Vec<Card>,
}

/// Rates an event.
pub fn rate_event(book: &Book, event: &Event) -> Rated {
    let rated = tollbook_pricing::rate(book, event);
    Rated { cards: rated.cards(), rating: rated.rating }
}
