//! The bytes that offsets of a buffer, or of a buffer nested in it, may lead to.

use crate::fault::{Checked, Rule, fault};

/// `[base, end)` of the outermost buffer; positions count from that buffer's start.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    /// The outermost buffer as far as `end`.
    pub bytes: &'a [u8],
    pub base: usize,
}

impl<'a> Window<'a> {
    pub fn end(&self) -> usize {
        self.bytes.len()
    }

    pub fn aligned(&self, at: usize, align: u32) -> bool {
        (at - self.base) & (align as usize - 1) == 0
    }

    fn array<const N: usize>(&self, at: usize) -> Checked<[u8; N]> {
        // The rules have placed `at` already; should they ever not, this is a fault and no panic.
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(array) => Ok(*array),
            None => fault(Rule::Bounds, at),
        }
    }

    #[inline]
    pub fn u8(&self, at: usize) -> Checked<u8> {
        Ok(self.array::<1>(at)?[0])
    }

    #[inline]
    pub fn u16(&self, at: usize) -> Checked<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub fn u32(&self, at: usize) -> Checked<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// Where the offset at `at` leads.
    #[inline]
    pub fn offset(&self, at: usize) -> Checked<usize> {
        let offset = self.u32(at)? as usize;
        if offset == 0 || offset >= 1 << 31 || at + offset >= self.end() {
            return fault(Rule::Bounds, at);
        }
        Ok(at + offset)
    }

    /// The bytes from `at` on, `len` of them.
    pub fn slice(&self, at: usize, len: usize) -> Checked<&'a [u8]> {
        match self.bytes.get(at..).and_then(|rest| rest.get(..len)) {
            Some(bytes) => Ok(bytes),
            None => fault(Rule::Bounds, at),
        }
    }
}
