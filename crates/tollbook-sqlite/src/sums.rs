//! Sums of a fixed size, quick to add, and how they are packed into a rollup row. What a call adds
//! is decided by [`tollbook_store::fold`]; this module must never decide that itself.

use crate::pack::{Packer, Unpacker, damaged};
use tollbook_store::{Measures, StoreError};
use tollbook_types::{Meter, Meters, Money};

const METERS: usize = 32;
const _: () = assert!(Meter::ALL.len() <= METERS, "every meter has a place");

/// [`Measures`] of a fixed size, quick to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    counts: [u64; COUNTS],
    meters: [u64; METERS],
    /// The meters that were reported, by code.
    reported: u64,
    cost: i128,
    input: i128,
    output: i128,
    other: i128,
    saved: i128,
    min: Option<i128>,
    max: Option<i128>,
}

const COUNTS: usize = 8;

fn too_large() -> StoreError {
    StoreError::Invalid("a sum does not fit".to_owned())
}

impl Sums {
    pub(crate) fn of(measures: &Measures) -> Sums {
        let mut sums = Sums {
            counts: [
                measures.calls,
                measures.errors,
                measures.unpriced_calls,
                measures.estimated_calls,
                measures.unknown_calls,
                measures.cache_hits,
                measures.latency_count,
                measures.latency_sum_ms,
            ],
            cost: measures.cost.picos(),
            input: measures.input_cost.picos(),
            output: measures.output_cost.picos(),
            other: measures.other_cost.picos(),
            saved: measures.saved.picos(),
            min: measures.cost_min.map(Money::picos),
            max: measures.cost_max.map(Money::picos),
            ..Sums::default()
        };
        for (meter, quantity) in measures.meters.iter() {
            sums.meters[usize::from(meter.code())] = quantity;
            sums.reported |= 1 << meter.code();
        }
        sums
    }

    pub(crate) fn measures(&self) -> Measures {
        let reported = Meter::ALL.iter().filter(|meter| self.reported >> meter.code() & 1 == 1);
        let quantity = |meter: &Meter| (*meter, self.meters[usize::from(meter.code())]);
        let [
            calls,
            errors,
            unpriced_calls,
            estimated_calls,
            unknown_calls,
            cache_hits,
            latency_count,
            latency,
        ] = self.counts;
        Measures {
            calls,
            errors,
            meters: Meters::from_pairs(reported.map(quantity)),
            cost: Money::from_picos(self.cost),
            input_cost: Money::from_picos(self.input),
            output_cost: Money::from_picos(self.output),
            other_cost: Money::from_picos(self.other),
            unpriced_calls,
            estimated_calls,
            unknown_calls,
            cache_hits,
            saved: Money::from_picos(self.saved),
            cost_min: self.min.map(Money::from_picos),
            cost_max: self.max.map(Money::from_picos),
            latency_sum_ms: latency,
            latency_count,
        }
    }

    pub(crate) fn add(&mut self, more: &Sums) -> Result<(), StoreError> {
        for (mine, theirs) in self.counts.iter_mut().zip(&more.counts) {
            *mine = mine.checked_add(*theirs).ok_or_else(too_large)?;
        }
        let mut rest = more.reported;
        while rest != 0 {
            let code = rest.trailing_zeros() as usize;
            self.meters[code] = self.meters[code].saturating_add(more.meters[code]);
            rest &= rest - 1;
        }
        self.reported |= more.reported;
        self.add_amounts([more.cost, more.input, more.output, more.other, more.saved])?;
        self.bounds(more.min, more.max);
        Ok(())
    }

    fn bounds(&mut self, min: Option<i128>, max: Option<i128>) {
        self.min = [self.min, min].into_iter().flatten().min();
        self.max = [self.max, max].into_iter().flatten().max();
    }

    pub(crate) fn pack(&self, out: &mut Packer) {
        let amounts = [self.cost.wrapping_sub(self.input).wrapping_sub(self.output), self.input, self.output];
        let amounts = [amounts[0], amounts[1], amounts[2], self.other.wrapping_sub(amounts[0]), self.saved];
        let mut mask = 0;
        for (at, count) in self.counts[1..].iter().enumerate() {
            mask |= u64::from(*count != 0) << at;
        }
        for (at, amount) in amounts.iter().enumerate() {
            mask |= u64::from(*amount != 0) << (7 + at);
        }
        mask |=
            u64::from(self.min.is_some()) << 12 | u64::from(self.max.is_some() && self.max != self.min) << 13;
        out.uint(mask);
        out.uint(self.counts[0]);
        for count in self.counts[1..].iter().filter(|count| **count != 0) {
            out.uint(*count);
        }
        for amount in amounts.iter().filter(|amount| **amount != 0) {
            out.int(*amount);
        }
        if let Some(min) = self.min {
            out.int(min);
            if let Some(max) = self.max.filter(|max| *max != min) {
                out.int(max);
            }
        }
        out.uint(self.reported);
        let mut rest = self.reported;
        while rest != 0 {
            out.uint(self.meters[rest.trailing_zeros() as usize]);
            rest &= rest - 1;
        }
    }

    /// Adds what [`Sums::pack`] wrote.
    pub(crate) fn add_packed(&mut self, from: &mut Unpacker<'_>) -> Result<(), StoreError> {
        let mask = from.uint()?;
        for at in 0..COUNTS {
            if at == 0 || mask >> (at - 1) & 1 == 1 {
                self.counts[at] = self.counts[at].checked_add(from.uint()?).ok_or_else(too_large)?;
            }
        }
        let mut amounts = [0_i128; 5];
        for (at, amount) in amounts.iter_mut().enumerate() {
            if mask >> (7 + at) & 1 == 1 {
                *amount = from.int()?;
            }
        }
        let [rest, input, output, other, saved] = amounts;
        let cost = rest.wrapping_add(input).wrapping_add(output);
        self.add_amounts([cost, input, output, other.wrapping_add(rest), saved])?;
        if mask >> 12 & 1 == 1 {
            let min = Some(from.int()?);
            let max = if mask >> 13 & 1 == 1 { Some(from.int()?) } else { min };
            self.bounds(min, max);
        }
        let mut rest = from.uint()?;
        if rest >> METERS != 0 {
            return Err(damaged());
        }
        self.reported |= rest;
        while rest != 0 {
            let code = rest.trailing_zeros() as usize;
            self.meters[code] = self.meters[code].saturating_add(from.uint()?);
            rest &= rest - 1;
        }
        if from.is_empty() { Ok(()) } else { Err(damaged()) }
    }

    fn add_amounts(&mut self, amounts: [i128; 5]) -> Result<(), StoreError> {
        let mine = [&mut self.cost, &mut self.input, &mut self.output, &mut self.other, &mut self.saved];
        for (mine, theirs) in mine.into_iter().zip(amounts) {
            *mine = mine.checked_add(theirs).ok_or_else(too_large)?;
        }
        Ok(())
    }
}
