//! Reads a program's bytes in order, and says where they end too early.

use crate::program::ProgramError;
use alloc::vec::Vec;

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the record that is being read begins.
    record: usize,
}

pub(crate) type Parsed<T> = Result<T, ProgramError>;

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, record: 0 }
    }

    /// A record begins here: errors name this place.
    pub fn begin(&mut self) {
        self.record = self.at;
    }

    pub fn error<T>(&self, message: &'static str) -> Parsed<T> {
        Err(ProgramError { offset: self.record, message })
    }

    /// An error with `message` unless `holds`.
    pub fn require(&self, holds: bool, message: &'static str) -> Parsed<()> {
        if holds { Ok(()) } else { self.error(message) }
    }

    pub fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count));
        self.at += taken.map_or(0, <[u8]>::len);
        taken.ok_or(ProgramError { offset: self.at, message: "it ends too early" })
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Parsed<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Parsed<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A byte that is 0 or 1.
    pub fn flag(&mut self) -> Parsed<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.error("a flag is neither 0 nor 1"),
        }
    }

    /// `count` reserved bytes.
    pub fn zeros(&mut self, count: usize) -> Parsed<()> {
        let zeros = self.take(count)?.iter().all(|byte| *byte == 0);
        self.require(zeros, "a reserved byte is not zero")
    }

    pub fn four(&mut self) -> Parsed<[u8; 4]> {
        self.array()
    }

    /// `count` things of at least `each` bytes. More than there are bytes for is refused before memory is taken.
    pub fn many<T>(
        &mut self,
        count: u32,
        each: usize,
        mut read: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let count = count as usize;
        if count > (self.bytes.len() - self.at) / each {
            return Err(ProgramError { offset: self.at, message: "it counts more than it holds" });
        }
        let mut found = Vec::with_capacity(count);
        for _ in 0..count {
            found.push(read(self)?);
        }
        Ok(found)
    }

    pub fn finish(&self) -> Parsed<()> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(ProgramError { offset: self.at, message: "bytes follow its end" })
    }
}
