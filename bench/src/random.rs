//! Numbers that a seed decides.

/// A small, fast generator (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True so many times in a thousand.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// One of a list.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// A quantity whose logarithm is spread evenly, as token counts nearly are.
    pub fn spread(&mut self, low: u64, high: u64) -> u64 {
        let (low_ln, high_ln) = ((low as f64).ln(), (high as f64).ln());
        (low_ln + self.unit() * (high_ln - low_ln)).exp() as u64
    }

    /// So many letters and digits behind a prefix.
    pub fn name(&mut self, prefix: &str, length: usize) -> String {
        const SIGNS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut name = String::with_capacity(prefix.len() + length);
        name.push_str(prefix);
        for _ in 0..length {
            name.push(char::from(SIGNS[self.below(62) as usize]));
        }
        name
    }

    /// A UUID of version 7 made at an instant.
    pub fn uuid7(&mut self, millis: u64) -> String {
        let (high, low) = (self.bits(), self.bits());
        let hex = format!(
            "{:012x}{:04x}{:016x}",
            millis & 0xffff_ffff_ffff,
            0x7000 | (high & 0x0fff),
            (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000
        );
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// Ranks of which the first come most: rank r with a weight of 1/(r+1).
#[derive(Clone, Debug)]
pub struct Zipf(Vec<f64>);

impl Zipf {
    /// Over so many ranks.
    pub fn new(ranks: usize) -> Zipf {
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Zipf(sums.iter().map(|part| part / sum).collect())
    }

    /// A rank.
    pub fn draw(&self, random: &mut Random) -> usize {
        let at = random.unit();
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}
