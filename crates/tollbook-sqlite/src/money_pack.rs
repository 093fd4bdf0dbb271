//! The amounts of a rating in few bytes: most of them follow from the others (`output = cost −
//! input`, the only leg costs what the book says), so each is stored as its distance from what is
//! expected, and a distance of 0 costs one bit. This module must never know what is right: any
//! amounts come back as they were.

use crate::pack::{Packer, Unpacker};
use crate::row::leg_of;
use crate::terms::Deal;
use tollbook_store::StoreError;
use tollbook_types::{Money, Rating};

/// Amounts that share one mask.
const CHUNK: usize = 49;

/// Collects distances and writes them in chunks: a mask of those that are not 0, then those.
pub(crate) struct AmountWriter<'a> {
    out: &'a mut Packer,
    mask: u64,
    count: usize,
    waiting: Vec<i128>,
}

impl AmountWriter<'_> {
    pub(crate) fn new(out: &mut Packer) -> AmountWriter<'_> {
        AmountWriter { out, mask: 0, count: 0, waiting: Vec::with_capacity(4) }
    }

    fn put(&mut self, amount: Option<Money>, expected: i128) -> i128 {
        let Some(amount) = amount else { return 0 };
        let distance = amount.picos().wrapping_sub(expected);
        if distance != 0 {
            self.mask |= 1 << self.count;
            self.waiting.push(distance);
        }
        self.count += 1;
        if self.count == CHUNK {
            self.flush();
        }
        amount.picos()
    }

    fn flush(&mut self) {
        self.out.uint(self.mask);
        for distance in self.waiting.drain(..) {
            self.out.int(distance);
        }
        (self.mask, self.count) = (0, 0);
    }

    /// All amounts but the cost, which has its own column.
    pub(crate) fn rating(&mut self, rating: &Rating) {
        let cost = rating.cost.map_or(0, Money::picos);
        let input = self.put(rating.input_cost, 0);
        let rest = cost.wrapping_sub(input);
        let output = self.put(rating.output_cost, rest);
        let other = self.put(rating.other_cost, rest.wrapping_sub(output));
        let book = self.put(rating.book_cost, cost);
        self.put(rating.worst_case, 0);
        let only = rating.legs.len() == 1;
        for leg in &rating.legs {
            let cost = self.put(leg.cost, if only { book } else { 0 });
            let input = self.put(leg.input_cost, if only { input } else { 0 });
            let rest = cost.wrapping_sub(input);
            let expected = if only { output } else { rest };
            let output = self.put(leg.output_cost, expected);
            let expected = if only { other } else { rest.wrapping_sub(output) };
            self.put(leg.other_cost, expected);
        }
    }

    pub(crate) fn finish(mut self) {
        if self.count > 0 {
            self.flush();
        }
    }
}

/// Reads what an [`AmountWriter`] wrote.
pub(crate) struct AmountReader<'a, 'b> {
    from: &'a mut Unpacker<'b>,
    mask: u64,
    left: usize,
}

impl<'a, 'b> AmountReader<'a, 'b> {
    pub(crate) fn new(from: &'a mut Unpacker<'b>) -> AmountReader<'a, 'b> {
        AmountReader { from, mask: 0, left: 0 }
    }

    fn take(&mut self, present: bool, expected: i128) -> Result<(Option<Money>, i128), StoreError> {
        if !present {
            return Ok((None, 0));
        }
        if self.left == 0 {
            self.mask = self.from.uint()?;
            self.left = CHUNK;
        }
        let distance = if self.mask & 1 == 1 { self.from.int()? } else { 0 };
        self.mask >>= 1;
        self.left -= 1;
        let picos = expected.wrapping_add(distance);
        Ok((Some(Money::from_picos(picos)), picos))
    }

    pub(crate) fn rating(&mut self, deal: &Deal, cost: Option<Money>) -> Result<Rating, StoreError> {
        let mut there = deal.amounts.bytes().map(|byte| byte == b'1');
        let mut next = || there.next().unwrap_or(false);
        let wrong = || StoreError::Corrupt("a cost is there that should not be, or missing".to_owned());
        if next() != cost.is_some() {
            return Err(wrong());
        }
        let total = cost.map_or(0, Money::picos);
        let (input_cost, input) = self.take(next(), 0)?;
        let rest = total.wrapping_sub(input);
        let (output_cost, output) = self.take(next(), rest)?;
        let (other_cost, other) = self.take(next(), rest.wrapping_sub(output))?;
        let (book_cost, book) = self.take(next(), total)?;
        let (worst_case, _) = self.take(next(), 0)?;
        let only = deal.cards.len() == 1;
        let mut legs = Vec::with_capacity(deal.cards.len());
        for card in &deal.cards {
            let mut leg = leg_of(*card);
            let (cost, picos) = self.take(next(), if only { book } else { 0 })?;
            let (input_cost, leg_input) = self.take(next(), if only { input } else { 0 })?;
            let rest = picos.wrapping_sub(leg_input);
            let (output_cost, leg_output) = self.take(next(), if only { output } else { rest })?;
            let expected = if only { other } else { rest.wrapping_sub(leg_output) };
            let (other_cost, _) = self.take(next(), expected)?;
            (leg.cost, leg.input_cost, leg.output_cost, leg.other_cost) =
                (cost, input_cost, output_cost, other_cost);
            legs.push(leg);
        }
        Ok(Rating {
            basis: deal.basis,
            cost,
            input_cost,
            output_cost,
            other_cost,
            book_cost,
            legs,
            note: deal.note.clone(),
            price_id: deal.price_id.clone(),
            worst_case,
        })
    }
}
