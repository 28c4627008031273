//! Random numbers that a seed gives again, with a taste for the values at which checks go wrong.

use hlfuzz_abi::{POSTED_BYTES, TEXT_BYTES, VECTOR_BYTES, map};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A number that somebody might have forgotten.
    pub fn hostile(&mut self) -> u64 {
        const EDGES: [u64; 22] = [
            0,
            1,
            2,
            15,
            16,
            255,
            999,
            1000,
            1001,
            4095,
            4096,
            TEXT_BYTES as u64,
            VECTOR_BYTES as u64,
            POSTED_BYTES as u64,
            map::PML4,
            map::TABLE_POOL,
            map::RUNTIME,
            map::MAILBOX,
            map::DOORBELL,
            i32::MAX as u64,
            u32::MAX as u64,
            u64::MAX,
        ];
        match self.below(4) {
            0 => self.below(8),
            1 => self.pick(&EDGES).wrapping_add(self.below(5)).wrapping_sub(2),
            2 => self.below(1 << 21),
            _ => self.next() >> self.below(64),
        }
    }
}
