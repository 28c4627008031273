//! Posted host calls: calls that want no answer, queued by the guest and read by the host with the next answer.
//!
//! The queue is written by the guest, so it is copied once and then read from the copy, bounds first.

use hlfuzz_abi::{POSTED_BYTES, PostedHeader, Value};
use std::ops::Range;

/// One queued call; ranges point into the private copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub import: u32,
    pub args: Vec<Value>,
    pub bytes: Range<usize>,
}

#[derive(Debug, Default)]
pub struct Queue {
    pub calls: Vec<Posted>,
    pub copy: Vec<u8>,
}

impl Queue {
    pub fn clear(&mut self) {
        self.calls.clear();
        self.copy.clear();
    }

    /// Takes `used` bytes of the shared area. `params`: parameter count of an import, None where there is no such
    /// import. `Err` says what the guest got wrong.
    ///
    /// # Safety
    /// `area` is valid for `POSTED_BYTES`.
    pub unsafe fn take(
        &mut self,
        area: *const u8,
        used: u32,
        params: impl Fn(u32) -> Option<u32>,
    ) -> Result<(), String> {
        self.clear();
        let used = used as usize;
        if used > POSTED_BYTES {
            return Err(format!("the queue of posted calls claims {used} bytes and has {POSTED_BYTES}"));
        }
        self.copy.reserve(used);
        // SAFETY: `used` bytes lie in the area, and were just reserved.
        unsafe {
            std::ptr::copy_nonoverlapping(area, self.copy.as_mut_ptr(), used);
            self.copy.set_len(used);
        }
        let result = self.parse(params);
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn parse(&mut self, params: impl Fn(u32) -> Option<u32>) -> Result<(), String> {
        let word = |at: usize| {
            self.copy.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok_or("truncated")
        };
        let mut at = 0;
        while at < self.copy.len() {
            let (import, n, bytes) = (word(at)?, word(at + 4)?, word(at + 8)?);
            if params(import) != Some(n) {
                return Err(format!("a posted call of import {import} with {n} arguments"));
            }
            let args_at = at + size_of::<PostedHeader>();
            let bytes_at = args_at + n as usize * size_of::<Value>();
            let end = bytes_at + (bytes as usize).next_multiple_of(16);
            if end > self.copy.len() {
                return Err(format!(
                    "a posted call ends at {end}, behind the queue's {} bytes",
                    self.copy.len()
                ));
            }
            let half = |at: usize| u64::from_le_bytes(self.copy[at..at + 8].try_into().expect("eight bytes"));
            let args =
                (0..n as usize).map(|i| [half(args_at + 16 * i), half(args_at + 16 * i + 8)]).collect();
            self.calls.push(Posted { import, args, bytes: bytes_at..bytes_at + bytes as usize });
            at = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(area: &[u8], used: u32) -> Result<Vec<Posted>, String> {
        let mut whole = area.to_vec();
        whole.resize(POSTED_BYTES, 0);
        let mut queue = Queue::default();
        // SAFETY: the area has the full size.
        unsafe { queue.take(whole.as_ptr(), used, |import| (import < 3).then_some(import)) }
            .map(|()| queue.calls)
    }

    #[test]
    fn an_entry_is_read_with_its_arguments_and_bytes() {
        let mut area = Vec::new();
        for word in [1u32, 1, 3, 0] {
            area.extend(word.to_le_bytes());
        }
        area.extend([7u64, 0].iter().flat_map(|v| v.to_le_bytes()));
        area.extend(b"abc");
        let calls = take(&area, 48).unwrap();
        assert_eq!(calls, [Posted { import: 1, args: vec![[7, 0]], bytes: 32..35 }]);
    }

    #[test]
    fn a_hostile_queue_is_refused_and_never_read_outside() {
        assert!(take(&[], POSTED_BYTES as u32 + 1).is_err());
        assert!(take(&[0; 16], 8).is_err(), "half a header");
        let mut seed = 7u64;
        for _ in 0..100_000 {
            let area: Vec<u8> = (0..64)
                .map(|i| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(i);
                    if seed >> 61 == 0 { (seed >> 40) as u8 } else { (seed >> 62) as u8 }
                })
                .collect();
            if let Ok(calls) = take(&area, (seed >> 30) as u32 % 65) {
                assert!(calls.iter().all(|call| call.bytes.end <= 64));
            }
        }
    }
}
