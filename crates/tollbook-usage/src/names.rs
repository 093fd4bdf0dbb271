//! Where a known name stands: places of open addressing, computed when the tables are compiled.
//!
//! It must never know what a name means.

/// Places of a table; far more than any table has names.
const PLACES: usize = 128;

/// Numbers of names (from 1) by place; 0 is a free place.
#[derive(Debug)]
pub(crate) struct Places([u8; PLACES]);

impl Places {
    /// No names.
    pub const NONE: Places = Places([0; PLACES]);

    /// Gives the next number to a name.
    pub const fn with(mut self, number: usize, name: &str) -> Places {
        assert!(number < PLACES / 2 && !name.is_empty(), "a table has room for its names");
        let bytes = name.as_bytes();
        let mut place = place(bytes.len(), bytes[0], bytes[bytes.len() - 1]);
        while self.0[place] != 0 {
            place = (place + 1) % PLACES;
        }
        self.0[place] = number as u8 + 1;
        self
    }

    /// The number of the name of this length and these ends that `is` confirms.
    #[inline]
    pub fn find(&self, length: usize, first: u8, last: u8, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut place = place(length, first, last);
        loop {
            let number = usize::from(self.0[place]).checked_sub(1)?;
            if is(number) {
                return Some(number);
            }
            place = (place + 1) % PLACES;
        }
    }
}

pub(crate) const fn place(length: usize, first: u8, last: u8) -> usize {
    (length.wrapping_mul(37) ^ (first as usize).wrapping_mul(5) ^ (last as usize).wrapping_mul(11)) % PLACES
}
