//! Observations by how large they are.

use std::array;

/// So many observations in each of `N` buckets; the last is without an end.
#[derive(Clone, Debug)]
pub struct Histogram<S, const N: usize> {
    /// Observations by bucket, each on its own.
    pub counts: [u64; N],
    /// All of them together.
    pub sum: S,
}

impl<S: Default, const N: usize> Default for Histogram<S, N> {
    fn default() -> Histogram<S, N> {
        Histogram { counts: array::from_fn(|_| 0), sum: S::default() }
    }
}

impl<S: Copy + PartialOrd, const N: usize> Histogram<S, N> {
    /// One more; `bounds` are the upper ends of all buckets but the last, `add` sums up.
    pub fn observe(&mut self, bounds: &[S], value: S, add: impl FnOnce(S, S) -> S) {
        let bucket = bounds.partition_point(|end| *end < value);
        if let Some(count) = self.counts.get_mut(bucket.min(N - 1)) {
            *count += 1;
        }
        self.sum = add(self.sum, value);
    }
}
