//! Puts the Wasm runtime, the artifact, stack, heap and arena into guest RAM and maps them.
//!
//! Both ELF files are read as hostile input: the artifact may come from a cache file that somebody changed.

use crate::elf::{Elf, PT_LOAD, Segment};
use crate::error::{Error, Kind, Result};
use crate::layout::{Guest, Layout, merged};
use crate::tables::{Access, Tables, build_ring0};
use hlfuzz_abi::{Boot, Mailbox, map};
use std::mem::offset_of;
use std::ops::Range;

/// Native stack beside the Wasm stack: the runtime's own frames.
const RUNTIME_STACK: u64 = 256 << 10;
/// Room for the runtime's segments.
const RUNTIME_ROOM: u64 = 64 << 20;
const ADVICE: &str = "rebuild hlfuzz, or delete its artifact cache";

/// What is to be booted. Lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The runtime: a static ELF linked at `map::RUNTIME`.
    pub runtime: &'a [u8],
    /// The compiled module.
    pub artifact: &'a [u8],
    pub heap: u64,
    pub arena: u64,
    pub memory_limit: u64,
    pub table_limit: u64,
    pub wasm_stack: u64,
    /// Growing a memory or table beyond its limit is a trap, and not -1.
    pub grow_traps: bool,
}

/// What can be put into guest RAM.
pub trait Image {
    /// Bytes of RAM that it needs, or why it cannot be.
    fn ram_size(&self) -> Result<u64>;
    /// The ranges that `build` fills, page-aligned, of so many bytes of RAM.
    fn filled(&self, ram: u64) -> Result<Vec<Range<u64>>>;
    /// Fills zeroed `ram` (of `ram_size` bytes) and returns where things are.
    fn build(&self, ram: &mut [u8]) -> Result<Layout>;
}

pub(crate) fn up(value: u64) -> u64 {
    value.next_multiple_of(map::PAGE)
}

/// The sum of `base` and of `parts` with a guard before and after each; an error with `needs` when the page tables
/// cannot map so much.
pub(crate) fn with_guards(base: u64, parts: &[u64], needs: &str) -> Result<u64> {
    let mut total = up(base);
    for part in parts {
        if *part > map::RAM_MAX {
            total = u64::MAX;
            break;
        }
        total += map::PAGE + up(*part) + map::PAGE;
    }
    if total > map::RAM_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!(
                "the sandbox would need more than {} MiB of guest RAM ({needs}); lower the memory limit",
                map::RAM_MAX >> 20
            ),
        ));
    }
    Ok(total)
}

/// The pages of tables and ring 0 that are filled for so many bytes of RAM.
pub(crate) fn filled_tables(ram: u64) -> Vec<Range<u64>> {
    let tables = map::TABLE_POOL + (ram.div_ceil(2 << 20) + 8) * map::PAGE;
    vec![map::PML4..map::RING0_STACK_TOP, map::TABLE_POOL..tables.min(map::TABLE_POOL_END)]
}

/// Maps the mailbox with what the guest has to write of it, doorbell and boot record, and fills the record.
/// `values`: the guest sends more values than the first page holds; `posted`: it posts host calls.
pub(crate) fn build_boundary(
    tables: &mut Tables<'_>,
    record: &Boot,
    values: bool,
    posted: bool,
) -> Result<()> {
    tables.map(map::MAILBOX, up(size_of::<Mailbox>() as u64), Access::ReadOnly)?;
    let mut open = |offset: usize, len: u64| tables.map(map::MAILBOX + offset as u64, len, Access::ReadWrite);
    // it clears the request's word
    open(offset_of!(Mailbox, to_guest), map::PAGE)?;
    let answer = size_of::<hlfuzz_abi::FromGuest>() as u64;
    open(offset_of!(Mailbox, from_guest), if values { answer } else { map::PAGE })?;
    open(offset_of!(Mailbox, text), map::PAGE)?;
    if posted {
        open(offset_of!(Mailbox, posted), hlfuzz_abi::POSTED_BYTES as u64)?;
    }
    tables.map(map::DOORBELL, map::PAGE, Access::ReadWrite)?;
    tables.map(map::BOOT, map::PAGE, Access::ReadOnly)?;
    // SAFETY: a plain struct of integers, read as bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast::<u8>(), size_of::<Boot>()) };
    tables.ram()[map::BOOT as usize..map::BOOT as usize + bytes.len()].copy_from_slice(bytes);
    Ok(())
}

/// What has been put into guest RAM, as a layout lists it.
#[derive(Default)]
pub(crate) struct Placed {
    pub text: Vec<Range<u64>>,
    pub writable: Vec<Range<u64>>,
    pub readable: Vec<Range<u64>>,
}

impl Placed {
    /// Copies a segment into RAM and maps its pages, which are returned.
    pub(crate) fn segment(&mut self, tables: &mut Tables<'_>, segment: &Segment<'_>) -> Result<Range<u64>> {
        let start = segment.address as usize;
        tables.ram()[start..start + segment.bytes.len()].copy_from_slice(segment.bytes);
        let pages = segment.pages();
        tables.map(pages.start, pages.end - pages.start, segment.access)?;
        match segment.access {
            Access::ReadExecute => self.text.push(pages.clone()),
            Access::ReadWrite => self.writable.push(pages.clone()),
            _ => {}
        }
        self.readable.push(pages.clone());
        Ok(pages)
    }

    /// Maps `len` zeroed bytes for reading and writing, an unmapped page after `before`, which is the end of something.
    pub(crate) fn fresh(&mut self, tables: &mut Tables<'_>, before: u64, len: u64) -> Result<Range<u64>> {
        let range = before + map::PAGE..before + map::PAGE + up(len);
        tables.map(range.start, range.end - range.start, Access::ReadWrite)?;
        self.writable.push(range.clone());
        Ok(range)
    }

    /// In order, without ranges that touch; what may be written may be read.
    pub(crate) fn merged(mut self) -> Self {
        self.readable.extend(self.writable.iter().cloned());
        Self { text: self.text, writable: merged(self.writable), readable: merged(self.readable) }
    }
}

impl Image for Spec<'_> {
    fn ram_size(&self) -> Result<u64> {
        let segments = runtime_segments(self.runtime)?;
        // the hot page is there whether the runtime has data or not
        let ends = segments.iter().map(|s| s.address + s.size);
        let runtime_end = ends.fold(map::RUNTIME_DATA + map::PAGE, u64::max);
        with_guards(
            runtime_end,
            &[self.artifact.len() as u64, self.wasm_stack + RUNTIME_STACK, self.heap, self.arena],
            &format!("heap {} MiB, linear memories {} MiB", self.heap >> 20, self.arena >> 20),
        )
    }

    fn filled(&self, ram: u64) -> Result<Vec<Range<u64>>> {
        let mut ranges = filled_tables(ram);
        let mut end = map::RUNTIME_DATA + map::PAGE;
        for segment in runtime_segments(self.runtime)? {
            end = end.max(segment.pages().end);
            ranges.push(segment.pages().start..up(segment.address + segment.bytes.len() as u64));
        }
        ranges.push(end + map::PAGE..end + map::PAGE + up(self.artifact.len() as u64));
        Ok(ranges)
    }

    fn build(&self, ram: &mut [u8]) -> Result<Layout> {
        let ram_len = ram.len() as u64;
        let mut tables = Tables::new(ram);
        build_ring0(&mut tables)?;
        let mut placed = Placed::default();
        // the stack, ending in the hot page; everything below it down to the runtime's read-only part is its guard
        let stack =
            map::RUNTIME_DATA - up(self.wasm_stack + RUNTIME_STACK)..map::RUNTIME_DATA + map::HOT_STACK;
        tables.map(stack.start, map::RUNTIME_DATA + map::PAGE - stack.start, Access::ReadWrite)?;
        placed.writable.push(stack.start..map::RUNTIME_DATA + map::PAGE);
        let mut at = map::RUNTIME_DATA + map::PAGE;
        for segment in runtime_segments(self.runtime)? {
            at = at.max(placed.segment(&mut tables, &segment)?.end);
        }
        let entry = runtime_elf(self.runtime)?.entry()?;

        let artifact = at + map::PAGE..at + map::PAGE + up(self.artifact.len() as u64);
        let start = artifact.start as usize;
        tables.ram()[start..start + self.artifact.len()].copy_from_slice(self.artifact);
        tables.map(artifact.start, artifact.end - artifact.start, Access::ReadOnly)?;
        let compiled = Elf::new(self.artifact, "the compiled artifact", ADVICE, Kind::Image)?;
        for range in compiled.executable_sections()? {
            let range = artifact.start + range.start..artifact.start + range.end;
            tables.map(range.start, range.end - range.start, Access::ReadExecute)?;
            placed.text.push(range);
        }
        placed.readable.push(artifact.clone());

        let heap = placed.fresh(&mut tables, artifact.end, self.heap)?;
        let arena = placed.fresh(&mut tables, heap.end, self.arena)?;
        let record = Boot {
            heap: heap.start,
            heap_len: heap.end - heap.start,
            artifact: artifact.start,
            artifact_len: self.artifact.len() as u64,
            arena: arena.start,
            arena_len: arena.end - arena.start,
            memory_limit: self.memory_limit,
            table_limit: self.table_limit,
            wasm_stack: self.wasm_stack,
            flags: if self.grow_traps { hlfuzz_abi::boot_flag::GROW_TRAPS } else { 0 },
        };
        build_boundary(&mut tables, &record, true, true)?;
        let Placed { text, writable, readable } = placed.merged();
        let below = readable.iter().map(|range| range.end).filter(|end| *end <= stack.start).max();
        Ok(Layout {
            guest: Guest::Wasm,
            entry,
            stack_top: stack.end,
            text,
            artifact,
            stack_guard: below.unwrap_or(map::RUNTIME)..stack.start,
            stack,
            heap,
            arena,
            writable,
            readable,
            whole: 0..ram_len,
        })
    }
}

fn runtime_elf(runtime: &[u8]) -> Result<Elf<'_>> {
    Elf::new(runtime, "the in-VM runtime", ADVICE, Kind::Image)
}

/// Loadable segments of the runtime, with bounds checked against file and map.
fn runtime_segments(runtime: &[u8]) -> Result<Vec<Segment<'_>>> {
    let elf = runtime_elf(runtime)?;
    let mut found = Vec::new();
    for header in elf.headers(u64::from(u16::MAX))?.iter().filter(|header| header.kind == PT_LOAD) {
        found.extend(elf.segment(header, map::RUNTIME..map::RUNTIME + RUNTIME_ROOM)?);
    }
    if found.is_empty() {
        return Err(elf.bad("no loadable segment"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_elf_files_are_refused_and_never_panic() {
        let mut file = vec![0u8; 512];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        file[18] = 62;
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..50_000 {
            let mut mutant = file.clone();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (seed >> 33) as usize % mutant.len();
                mutant[at] = (seed >> 56) as u8;
            }
            mutant.truncate(1 + (seed >> 20) as usize % 512);
            let _ = runtime_segments(&mutant);
            let _ = Elf::new(&mutant, "", "", Kind::Image).and_then(|elf| elf.executable_sections());
        }
        assert!(runtime_segments(b"").is_err());
        assert!(Elf::new(b"\0asm\x01\0\0\0", "", "", Kind::Image).is_err());
    }

    #[test]
    fn a_request_for_more_memory_than_the_tables_can_map_is_refused() {
        let mut elf = vec![0u8; 120];
        elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        elf[18] = 62;
        elf[32] = 64; // program headers
        elf[54] = 56; // size of one
        elf[56] = 1;
        elf[64] = 1; // PT_LOAD
        elf[68] = 4; // R
        elf[80..88].copy_from_slice(&map::RUNTIME.to_le_bytes());
        elf[104] = 1; // memory size
        let spec = Spec {
            runtime: &elf,
            artifact: &[],
            heap: 4 << 20,
            arena: u64::MAX / 2,
            memory_limit: 0,
            table_limit: 0,
            wasm_stack: 512 << 10,
            grow_traps: false,
        };
        assert_eq!(spec.ram_size().unwrap_err().kind, Kind::Limit);
        assert!(Spec { arena: 1 << 20, ..spec }.ram_size().is_ok());
    }
}
