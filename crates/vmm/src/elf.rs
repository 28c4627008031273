//! Reads 64-bit ELF files as hostile input: every offset is checked against the file before it is used.

use crate::error::{Error, Kind, Result};
use crate::tables::Access;
use hlfuzz_abi::map;
use std::ops::Range;

pub const PT_LOAD: u64 = 1;
/// e_machine of x86-64.
const EM_X86_64: u64 = 62;

/// A file with what messages call it and what to do about it.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    file: &'a [u8],
    what: &'static str,
    advice: &'static str,
    kind: Kind,
}

/// One program header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub kind: u64,
    pub flags: u64,
    pub offset: u64,
    pub address: u64,
    pub file_size: u64,
    pub size: u64,
}

/// A loadable part of a program: `bytes` at `address`, then zeros up to `size`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub address: u64,
    pub bytes: &'a [u8],
    pub size: u64,
    pub access: Access,
}

impl Segment<'_> {
    /// The pages that it lies in.
    pub fn pages(&self) -> Range<u64> {
        self.address & !(map::PAGE - 1)..(self.address + self.size).next_multiple_of(map::PAGE)
    }
}

impl<'a> Elf<'a> {
    /// Checks magic, class, byte order and machine. `kind`: of the errors about this file.
    pub fn new(file: &'a [u8], what: &'static str, advice: &'static str, kind: Kind) -> Result<Self> {
        let it = Self { file, what, advice, kind };
        if file.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
            return Err(it.bad("not a 64-bit little-endian ELF file"));
        }
        if it.int::<2>(18)? != EM_X86_64 {
            return Err(it.bad("not for x86-64"));
        }
        Ok(it)
    }

    pub fn bad(&self, why: impl std::fmt::Display) -> Error {
        Error::new(self.kind, format!("{}: {why}; {}", self.what, self.advice))
    }

    /// The little-endian number of `N` bytes at `at`.
    pub fn int<const N: usize>(&self, at: u64) -> Result<u64> {
        let start = usize::try_from(at).map_err(|_| self.bad("an offset lies outside the file"))?;
        let slice = start.checked_add(N).and_then(|end| self.file.get(start..end));
        let slice = slice.ok_or_else(|| self.bad("the file is truncated"))?;
        let mut wide = [0u8; 8];
        wide[..N].copy_from_slice(slice);
        Ok(u64::from_le_bytes(wide))
    }

    /// `len` bytes at `offset` of the file.
    pub fn slice(&self, offset: u64, len: u64, which: &str) -> Result<&'a [u8]> {
        let end = offset.checked_add(len).filter(|end| *end <= self.file.len() as u64);
        let end = end.ok_or_else(|| self.bad(format_args!("{which} lies outside the file")))?;
        Ok(&self.file[offset as usize..end as usize])
    }

    pub fn entry(&self) -> Result<u64> {
        self.int::<8>(24)
    }

    /// The program headers, at most `most`.
    pub fn headers(&self, most: u64) -> Result<Vec<Header>> {
        let (table, size, count) = (self.int::<8>(32)?, self.int::<2>(54)?, self.int::<2>(56)?);
        if count != 0 && size != 56 {
            return Err(self.bad("program headers of an unknown size"));
        }
        if count > most {
            return Err(self.bad(format_args!("{count} program headers, more than {most}")));
        }
        let mut found = Vec::with_capacity(count as usize);
        for index in 0..count {
            let at = table.checked_add(index * 56).ok_or_else(|| self.bad("the program headers overflow"))?;
            found.push(Header {
                kind: self.int::<4>(at)?,
                flags: self.int::<4>(at + 4)?,
                offset: self.int::<8>(at + 8)?,
                address: self.int::<8>(at + 16)?,
                file_size: self.int::<8>(at + 32)?,
                size: self.int::<8>(at + 40)?,
            });
        }
        Ok(found)
    }

    /// The loadable segment that `header` describes, inside `place`; None when it is empty.
    pub fn segment(&self, header: &Header, place: Range<u64>) -> Result<Option<Segment<'a>>> {
        if header.size == 0 && header.file_size == 0 {
            return Ok(None);
        }
        if header.file_size > header.size {
            return Err(self.bad("a segment has more bytes in the file than in memory"));
        }
        let bytes = self.slice(header.offset, header.file_size, "a segment")?;
        let end = header.address.checked_add(header.size);
        if header.address < place.start || end.is_none_or(|end| end > place.end) {
            return Err(self.bad(format_args!(
                "a segment at {:#x} with {:#x} bytes lies outside {:#x}..{:#x}",
                header.address, header.size, place.start, place.end
            )));
        }
        let access = match header.flags & 7 {
            5 => Access::ReadExecute,
            6 => Access::ReadWrite,
            4 => Access::ReadOnly,
            3 | 7 => return Err(self.bad("a segment is writable and executable")),
            _ => return Err(self.bad("a segment is neither text, data nor read-only")),
        };
        Ok(Some(Segment { address: header.address, bytes, size: header.size, access }))
    }

    /// Page-aligned file ranges of the executable sections; none for a module without functions.
    pub fn executable_sections(&self) -> Result<Vec<Range<u64>>> {
        const EXECUTABLE: u64 = 4; // SHF_EXECINSTR
        const NO_BITS: u64 = 8; // SHT_NOBITS
        let (table, entry_size, count) = (self.int::<8>(40)?, self.int::<2>(58)?, self.int::<2>(60)?);
        if entry_size != 64 {
            return Err(self.bad("section headers of an unknown size"));
        }
        let mut found = Vec::new();
        for index in 0..count {
            let at = table.checked_add(index * 64).ok_or_else(|| self.bad("the section headers overflow"))?;
            let (kind, flags) = (self.int::<4>(at + 4)?, self.int::<8>(at + 8)?);
            let (offset, size) = (self.int::<8>(at + 24)?, self.int::<8>(at + 32)?);
            if flags & EXECUTABLE == 0 || kind == NO_BITS || size == 0 {
                continue;
            }
            self.slice(offset, size, "its text")?;
            if offset % map::PAGE != 0 {
                return Err(self.bad("its text is not page-aligned"));
            }
            found.push(offset..(offset + size).next_multiple_of(map::PAGE));
        }
        Ok(found)
    }
}
