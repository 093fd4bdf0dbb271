//! A quick hasher for maps that only the writer sees. Keys come from strangers, so it is seeded
//! anew for each map: nobody can know which keys collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map with the quick hasher.
pub(crate) type QuickMap<K, V> = HashMap<K, V, Seed>;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// What makes the hashes of one map its own.
#[derive(Clone, Debug)]
pub(crate) struct Seed(u64);

impl Default for Seed {
    fn default() -> Seed {
        Seed(RandomState::new().build_hasher().finish() | 1)
    }
}

impl BuildHasher for Seed {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        Quick { state: self.0, seed: self.0 }
    }
}

/// Sixteen bytes at a time, folded into the state by a wide multiplication.
#[derive(Debug)]
pub(crate) struct Quick {
    state: u64,
    seed: u64,
}

fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    wide as u64 ^ (wide >> 64) as u64
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let pair = u128::from_le_bytes(*pair);
            self.state =
                fold(self.state ^ pair as u64, self.seed ^ (pair >> 64) as u64) ^ self.state.rotate_left(29);
        }
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let last = u128::from_le_bytes(last);
        self.write_u64(last as u64 ^ (bytes.len() as u64) << 48);
        self.write_u64((last >> 64) as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.state = fold(self.state ^ value, MULTIPLIER) ^ self.seed.rotate_left(23);
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value.cast_unsigned());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn finish(&self) -> u64 {
        fold(self.state, self.seed | 1 << 63)
    }
}
