//! The pages of a snapshot file, in and out, with the checksum of what was really written or read.
//!
//! Plain: page after page. Compressed: blocks of `BLOCK` bytes (the last may be shorter), each as the u32 length of a
//! zstd frame and the frame. A frame is expanded into a buffer of the length that it must have, so that one that says
//! otherwise costs nothing.

use super::index::Run;
use super::{damaged, unread};
use crate::error::Result;
use crate::inject::{check, point};
use std::io::{self, Read, Write};

/// Moved and hashed at a time: fits the cache.
const BLOCK: usize = 256 << 10;
/// zstd's own default is 3; a snapshot is mostly pointers and code tables, where more effort gains little.
const LEVEL: i32 = 3;

/// Writes the pages of `runs`, and returns their checksum and length.
pub(super) fn write(
    to: &mut impl Write,
    runs: &[Run],
    ram: &[u8],
    compressed: bool,
) -> io::Result<(blake3::Hash, u64)> {
    let mut out = Hashed { inner: to, hash: blake3::Hasher::new(), len: 0 };
    if !compressed {
        for block in runs.iter().flat_map(|run| ram[run.bytes()].chunks(BLOCK)) {
            out.put(block)?;
        }
        return Ok((out.hash.finalize(), out.len));
    }
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let mut block = Vec::with_capacity(BLOCK);
    for page in runs.iter().flat_map(|run| ram[run.bytes()].chunks(crate::snapshot::PAGE)) {
        block.extend_from_slice(page);
        if block.len() == BLOCK {
            out.put_frame(&compressor.compress(&block)?)?;
            block.clear();
        }
    }
    if !block.is_empty() {
        out.put_frame(&compressor.compress(&block)?)?;
    }
    Ok((out.hash.finalize(), out.len))
}

/// Reads `len` bytes of pages into `ram`, at `runs`, which were checked. The checksum of those bytes.
pub(super) fn read(
    from: &mut impl Read,
    len: u64,
    runs: &[Run],
    ram: &mut [u8],
    compressed: bool,
) -> Result<blake3::Hash> {
    let mut source = Hashed { inner: from, hash: blake3::Hasher::new(), len };
    if compressed {
        source.frames(runs, ram)?
    } else {
        source.plain(runs, ram)?
    }
    if source.len != 0 {
        return Err(damaged("it is longer than its pages"));
    }
    Ok(source.hash.finalize())
}

/// Hashes what passes. `len`: bytes written so far, or bytes left to read.
struct Hashed<'a, T> {
    inner: &'a mut T,
    hash: blake3::Hasher,
    len: u64,
}

impl<T: Write> Hashed<'_, T> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        check(point::FILE)?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    fn put_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.put(&(frame.len() as u32).to_le_bytes())?;
        self.put(frame)
    }
}

impl<T: Read> Hashed<'_, T> {
    fn get(&mut self, to: &mut [u8]) -> Result<()> {
        let left = self.len.checked_sub(to.len() as u64);
        self.len = left.ok_or_else(|| damaged("a compressed block is longer than the file"))?;
        self.inner.read_exact(to).map_err(|e| unread(&e))?;
        self.hash.update(to);
        Ok(())
    }

    fn plain(&mut self, runs: &[Run], ram: &mut [u8]) -> Result<()> {
        for run in runs {
            for block in ram[run.bytes()].chunks_mut(BLOCK) {
                self.get(block)?;
            }
        }
        Ok(())
    }

    fn frames(&mut self, runs: &[Run], ram: &mut [u8]) -> Result<()> {
        let mut expander = zstd::bulk::Decompressor::new().map_err(|e| unread(&e))?;
        let mut left: usize = runs.iter().map(|run| run.bytes().len()).sum();
        let mut pages = runs.iter().flat_map(|run| run.bytes().step_by(crate::snapshot::PAGE));
        let most = zstd::zstd_safe::compress_bound(BLOCK);
        let (mut frame, mut block) = (vec![0; most], vec![0; BLOCK]);
        while left > 0 {
            let want = left.min(BLOCK);
            let mut head = [0; 4];
            self.get(&mut head)?;
            let len = u32::from_le_bytes(head) as usize;
            let frame = frame.get_mut(..len).ok_or_else(|| damaged("a compressed block is too long"))?;
            self.get(frame)?;
            let got = expander.decompress_to_buffer(frame, &mut block[..want]);
            if got.ok() != Some(want) {
                return Err(damaged("a compressed block does not hold its pages"));
            }
            for (page, at) in block[..want].chunks(crate::snapshot::PAGE).zip(&mut pages) {
                ram[at..at + page.len()].copy_from_slice(page);
            }
            left -= want;
        }
        Ok(())
    }
}
