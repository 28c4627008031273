//! The form of a snapshot file: a header with everything but the pages, checked before anything in it is believed.
//!
//! Integers are little-endian. Lengths are in bytes.
//! ```text
//! 0    magic, u32 version, u32 length of the header, u64 length of the file, u32 flags, u32 zero
//! 32   BLAKE3 of the header without this field
//! 64   BLAKE3 of all that follows the header
//! 96   BLAKE3 of the memory that the guest cannot write, as the host built it
//! 128  u64 address and u64 length of the default memory; u64 guest RAM; u64 XCR0
//! 160  registers (`state`)
//!      u32 count of facts: each a text, then u32 0 and a u64, or u32 1 and a text
//!      u32 count of CPU features: each a text
//!      u32 count of imported globals: each 16 bytes
//!      u32 count of runs of pages: each u32 first page, u32 number of pages
//! ```
//! A text is its u32 length and its bytes, UTF-8. Pages follow the header in the order of the runs; with the flag for
//! compression as blocks (`pages`).

use super::identity::{Claim, FactValue};
use super::index::Run;
use super::{Reason, damaged, refused, state, truncated, unread};
use crate::error::Result;
use std::io::Read;

const MAGIC: [u8; 8] = *b"hlfuzz\0s";
/// Of the format. A reader knows one version.
pub const VERSION: u32 = 1;
pub(super) const COMPRESSED: u32 = 1;
/// From here on the header is covered by its checksum, which lies before.
const FIXED: usize = 64;
/// Facts, features and their texts are few and short.
const MAX_ITEMS: u32 = 64;
const MAX_TEXT: u32 = 256;
const MAX_GLOBALS: u32 = hlfuzz_abi::MAX_VALUES as u32;
/// Everything but the runs.
const MAX_REST: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub compressed: bool,
    pub header_len: u64,
    pub file_len: u64,
    pub body_hash: [u8; 32],
    pub image_hash: [u8; 32],
    pub memory: (u64, u64),
    pub ram: u64,
    pub registers: [u8; state::BYTES],
    pub claim: Claim,
    pub runs: Vec<Run>,
}

impl Header {
    /// The bytes of the header; lengths and hashes of the body are filled in. `body`: its length.
    pub fn encode(&mut self, body: u64) -> Vec<u8> {
        let mut out = vec![0; FIXED];
        out.extend(self.body_hash);
        out.extend(self.image_hash);
        for value in [self.memory.0, self.memory.1, self.ram, state::XCR0] {
            out.extend(value.to_le_bytes());
        }
        out.extend(self.registers);
        put_u32(&mut out, self.claim.facts.len());
        for (name, value) in &self.claim.facts {
            put_text(&mut out, name);
            match value {
                FactValue::Number(number) => {
                    put_u32(&mut out, 0);
                    out.extend(number.to_le_bytes());
                }
                FactValue::Text(text) => {
                    put_u32(&mut out, 1);
                    put_text(&mut out, text);
                }
            }
        }
        put_u32(&mut out, self.claim.cpu.len());
        for name in &self.claim.cpu {
            put_text(&mut out, name);
        }
        put_u32(&mut out, self.claim.globals.len());
        for value in &self.claim.globals {
            out.extend(value.iter().flat_map(|half| half.to_le_bytes()));
        }
        put_u32(&mut out, self.runs.len());
        for run in &self.runs {
            out.extend(run.first.to_le_bytes());
            out.extend(run.pages.to_le_bytes());
        }
        self.header_len = out.len() as u64;
        self.file_len = self.header_len + body;
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(self.header_len as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.file_len.to_le_bytes());
        out[24..28].copy_from_slice(&(if self.compressed { COMPRESSED } else { 0 }).to_le_bytes());
        seal(&mut out);
        out
    }

    /// Reads and checks the header of a file of `size` bytes, for a guest of `most_pages` pages. Nothing of the file
    /// that is longer than such a guest's header can be is read into memory.
    pub fn read(source: &mut impl Read, size: u64, most_pages: u64) -> Result<Self> {
        let mut bytes = vec![0; FIXED.min(usize::try_from(size).unwrap_or(FIXED))];
        source.read_exact(&mut bytes).map_err(|e| unread(&e))?;
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(refused(
                Reason::NotASnapshot,
                "not a snapshot file; give one that was saved by hlfuzz",
            ));
        }
        if bytes.len() < FIXED {
            return Err(truncated());
        }
        let mut fixed = Cursor(&bytes[8..32]);
        let (version, header_len) = (fixed.u32()?, u64::from(fixed.u32()?));
        let (file_len, flags, zero) = (fixed.u64()?, fixed.u32()?, fixed.u32()?);
        if version != VERSION {
            return Err(refused(
                Reason::Version,
                format!(
                    "the snapshot file has version {version} and this hlfuzz reads version {VERSION}; take the \
                     snapshot again"
                ),
            ));
        }
        if header_len > size || file_len > size {
            return Err(truncated());
        }
        if header_len > MAX_REST + most_pages.div_ceil(2) * 8 {
            return Err(refused(
                Reason::TooLarge,
                "the snapshot file lists more pages than this guest can have; load it with its own guest",
            ));
        }
        let rest =
            (header_len as usize).checked_sub(FIXED).ok_or_else(|| damaged("its header is too short"))?;
        bytes.resize(FIXED + rest, 0);
        source.read_exact(&mut bytes[FIXED..]).map_err(|e| unread(&e))?;
        if checksum(&bytes).as_bytes() != &bytes[32..64] {
            return Err(damaged("the checksum of its header is wrong"));
        }
        if file_len != size || zero != 0 || flags & !COMPRESSED != 0 {
            return Err(damaged("its header contradicts itself"));
        }
        Self::parse(&bytes[FIXED..], header_len, file_len, flags & COMPRESSED != 0)
    }

    fn parse(bytes: &[u8], header_len: u64, file_len: u64, compressed: bool) -> Result<Self> {
        let mut it = Cursor(bytes);
        let (body_hash, image_hash) = (it.array()?, it.array()?);
        let memory = (it.u64()?, it.u64()?);
        let (ram, xcr0) = (it.u64()?, it.u64()?);
        if xcr0 != state::XCR0 {
            return Err(refused(
                Reason::Cpu,
                format!(
                    "the snapshot has CPU state (XCR0 {xcr0:#x}) that sandboxes lack; take it again here"
                ),
            ));
        }
        let registers = it.array()?;
        let facts = it.list(MAX_ITEMS, |it| {
            let name = it.text()?;
            let value = match it.u32()? {
                0 => FactValue::Number(it.u64()?),
                1 => FactValue::Text(it.text()?),
                _ => return Err(damaged("its header has an unknown kind of fact")),
            };
            Ok((name, value))
        })?;
        let cpu = it.list(MAX_ITEMS, Cursor::text)?;
        let globals = it.list(MAX_GLOBALS, |it| Ok([it.u64()?, it.u64()?]))?;
        let runs = it.list(u32::MAX, |it| Ok(Run { first: it.u32()?, pages: it.u32()? }))?;
        if !it.0.is_empty() {
            return Err(damaged("its header is longer than what is in it"));
        }
        let claim = Claim { facts, cpu, globals };
        Ok(Self {
            compressed,
            header_len,
            file_len,
            body_hash,
            image_hash,
            memory,
            ram,
            registers,
            claim,
            runs,
        })
    }

    /// Length of what follows the header.
    pub fn body(&self) -> u64 {
        self.file_len - self.header_len
    }
}

/// Puts the checksum of a header where it belongs.
pub(super) fn seal(header: &mut [u8]) {
    let sum = checksum(header);
    header[32..64].copy_from_slice(sum.as_bytes());
}

fn checksum(header: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(&header[..32]).update(&header[64..]).finalize()
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend((value as u32).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u32(out, text.len());
    out.extend(text.as_bytes());
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.0.split_at_checked(len).ok_or_else(|| damaged("its header ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String> {
        let len = self.u32()?;
        if len > MAX_TEXT {
            return Err(damaged("a text in its header is too long"));
        }
        let bytes = self.take(len as usize)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| damaged("a text in its header is no UTF-8"))
    }

    /// At most `most` items. The list grows with what is really there, never with what its count says.
    fn list<T>(&mut self, most: u32, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()?;
        if count > most {
            return Err(damaged("a list in its header is too long"));
        }
        (0..count).map(|_| item(self)).collect()
    }
}
