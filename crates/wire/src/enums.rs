//! Whether numbers are values of an enum, one by one or a vector at a time.

use alloc::boxed::Box;
use alloc::vec;

/// An enum: the width of its numbers in bytes (1, 2, 4, 8), and which of them are values.
///
/// Numbers are compared in their own width, so that signs do not matter.
#[derive(Debug)]
pub(crate) struct Enum {
    pub width: u32,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// All numbers without bits other than these.
    Flags(u64),
    /// `first`, and the `more` numbers that follow it.
    Run { first: u64, more: u64 },
    /// `first + i` for each `present[i]`.
    Dense { first: u64, present: Box<[bool]> },
    /// Sorted.
    Sparse(Box<[u64]>),
}

/// Widest span of values that are kept as `Values::Dense`: bounds what a small program takes in memory.
const DENSE_SPAN: u64 = 1024;
/// Numbers checked without a branch between them.
const BLOCK: usize = 256;

/// The bits of a number of `width` bytes.
pub(crate) fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - 8 * width)
}

impl Enum {
    pub fn flags(width: u32, bits: u64) -> Self {
        Self { width, values: Values::Flags(bits & mask(width)) }
    }

    /// An enum of these values, sign-extended, each once.
    pub fn members(width: u32, signed: bool, values: &[u64]) -> Self {
        let mask = mask(width);
        // The sign bit flipped: the order of signed numbers becomes that of unsigned ones.
        let sign = if signed { 1 << 63 } else { 0 };
        let first = values.iter().map(|v| v ^ sign).min().unwrap_or(0) ^ sign;
        let last = values.iter().map(|v| v ^ sign).max().unwrap_or(0) ^ sign;
        let more = last.wrapping_sub(first);
        let values = if values.is_empty() {
            Values::Sparse(Box::new([]))
        } else if more == values.len() as u64 - 1 {
            Values::Run { first: first & mask, more }
        } else if more < DENSE_SPAN {
            let mut present = vec![false; more as usize + 1].into_boxed_slice();
            for value in values {
                present[value.wrapping_sub(first) as usize] = true;
            }
            Values::Dense { first: first & mask, present }
        } else {
            let mut sorted: Box<[u64]> = values.iter().map(|v| v & mask).collect();
            sorted.sort_unstable();
            Values::Sparse(sorted)
        };
        Self { width, values }
    }

    /// The first number in `bytes` (end to end, little-endian) that is no value: its index.
    pub fn first_wrong(&self, bytes: &[u8]) -> Option<usize> {
        match self.width {
            1 => self.scan::<1>(bytes),
            2 => self.scan::<2>(bytes),
            4 => self.scan::<4>(bytes),
            _ => self.scan::<8>(bytes),
        }
    }

    fn scan<const N: usize>(&self, bytes: &[u8]) -> Option<usize> {
        let (numbers, _) = bytes.as_chunks::<N>();
        let mask = mask(N as u32);
        match &self.values {
            Values::Flags(bits) => {
                let other = !bits & mask;
                find(numbers, |number| number & other != 0)
            }
            Values::Run { first, more } => find(numbers, |number| number.wrapping_sub(*first) & mask > *more),
            Values::Dense { first, present } => find(numbers, |number| {
                present.get((number.wrapping_sub(*first) & mask) as usize) != Some(&true)
            }),
            Values::Sparse(sorted) => find(numbers, |number| sorted.binary_search(&number).is_err()),
        }
    }
}

fn find<const N: usize>(numbers: &[[u8; N]], wrong: impl Fn(u64) -> bool) -> Option<usize> {
    let wrong = |number: &[u8; N]| {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(number);
        wrong(u64::from_le_bytes(wide))
    };
    let mut start = 0;
    for block in numbers.chunks(BLOCK) {
        if block.iter().fold(false, |any, number| any | wrong(number)) {
            return Some(start + block.iter().position(wrong)?);
        }
        start += block.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Every number of one or two bytes, against the definition.
    fn check(width: u32, signed: bool, values: &[i64]) {
        let of = Enum::members(width, signed, &values.iter().map(|v| *v as u64).collect::<Vec<_>>());
        for number in 0..1u64 << (8 * width) {
            let value = match (signed, width) {
                (true, 1) => i64::from(number as u8 as i8),
                (true, _) => i64::from(number as u16 as i16),
                _ => number as i64,
            };
            let right = values.contains(&value);
            let bytes = number.to_le_bytes();
            assert_eq!(of.first_wrong(&bytes[..width as usize]), (!right).then_some(0), "{value}");
        }
    }

    #[test]
    fn members_and_nothing_else_are_values() {
        for values in [&[0][..], &[3, 4, 5], &[0, 2, 100], &[]] {
            check(1, true, values);
            check(1, false, values);
            check(2, true, values);
            check(2, false, values);
        }
        check(1, true, &[-128, -1, 0, 127]);
        check(1, true, &[-2, -1, 0, 1]);
        check(2, true, &[-32768, 7, 32767]);
        check(2, false, &[0, 7, 65535]);
    }

    #[test]
    fn the_full_range_of_64_bits_works() {
        let ends = Enum::members(8, true, &[i64::MIN as u64, i64::MAX as u64]);
        assert_eq!(ends.first_wrong(&i64::MIN.to_le_bytes()), None);
        assert_eq!(ends.first_wrong(&i64::MAX.to_le_bytes()), None);
        assert_eq!(ends.first_wrong(&0i64.to_le_bytes()), Some(0));
        let top = Enum::members(8, false, &[u64::MAX - 1, u64::MAX]);
        assert_eq!(top.first_wrong(&u64::MAX.to_le_bytes()), None);
        assert_eq!(top.first_wrong(&0u64.to_le_bytes()), Some(0));
    }

    #[test]
    fn flags_are_combinations_of_declared_bits() {
        let of = Enum::flags(2, 0b1010);
        let numbers = [0u16, 0b1010, 0b0010, 0b0011, 0x8000];
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(of.first_wrong(&bytes), Some(3));
        assert_eq!(of.first_wrong(&bytes[..6]), None);
    }

    #[test]
    fn the_first_wrong_number_is_found_wherever_it_is() {
        let of = Enum::members(1, false, &[0, 1, 2]);
        let mut bytes = [1u8; 1000];
        assert_eq!(of.first_wrong(&bytes), None);
        for at in [999, 700, 256, 255, 0] {
            bytes[at] = 3;
            assert_eq!(of.first_wrong(&bytes), Some(at));
        }
    }
}
