//! Puts the runtime, the artifact, stack, heap and arena into guest RAM and maps them.
//!
//! Both ELF files are read as hostile input: the artifact may come from a cache file that somebody changed.

use crate::error::{Error, Kind, Result};
use crate::tables::{Access, Tables, build_ring0};
use hlfuzz_abi::{Boot, Mailbox, map};
use std::ops::Range;

/// Native stack beside the Wasm stack: the runtime's own frames.
const RUNTIME_STACK: u64 = 256 << 10;

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
}

/// Where things are, for the registers and for later checks.
#[derive(Clone, Debug)]
pub struct Layout {
    pub entry: u64,
    pub stack_top: u64,
    /// Executable ranges: the runtime's text and the artifact's.
    pub text: Vec<Range<u64>>,
    pub artifact: Range<u64>,
    pub stack: Range<u64>,
    pub heap: Range<u64>,
    pub arena: Range<u64>,
    /// All of guest RAM.
    pub whole: Range<u64>,
}

impl Layout {
    /// Which part of the map an address lies in, for messages.
    pub fn name(&self, address: u64) -> &'static str {
        let inside = |range: &Range<u64>| range.contains(&address);
        if address < map::PAGE {
            "the null page"
        } else if address < map::BOOT {
            "supervisor pages"
        } else if self.text.iter().any(inside) {
            "text"
        } else if inside(&self.artifact) {
            "the artifact"
        } else if inside(&self.stack) {
            "the stack"
        } else if inside(&self.heap) {
            "the runtime's heap"
        } else if inside(&self.arena) {
            "linear memory"
        } else if address >= map::RUNTIME && address < self.artifact.start {
            "the runtime's data"
        } else if address >= map::MAILBOX && address < map::MAILBOX + size_of::<Mailbox>() as u64 {
            "the mailbox"
        } else {
            "an unmapped page"
        }
    }
}

fn up(value: u64) -> u64 {
    value.next_multiple_of(map::PAGE)
}

/// Bytes of RAM that `spec` needs, or why it cannot be.
pub fn ram_size(spec: &Spec<'_>) -> Result<u64> {
    let runtime_end =
        segments(spec.runtime)?.iter().map(|s| s.address + s.size).max().unwrap_or(map::RUNTIME);
    let parts = [spec.artifact.len() as u64, spec.wasm_stack + RUNTIME_STACK, spec.heap, spec.arena];
    let mut total = up(runtime_end);
    for part in parts {
        if part > map::RAM_MAX {
            total = u64::MAX;
            break;
        }
        total += map::PAGE + up(part) + map::PAGE; // guards
    }
    if total > map::RAM_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!(
                "the sandbox would need more than {} MiB of guest RAM (heap {} MiB, linear memories {} MiB); lower \
                 the memory limit",
                map::RAM_MAX >> 20,
                spec.heap >> 20,
                spec.arena >> 20
            ),
        ));
    }
    Ok(total)
}

/// The ranges that `build` fills, page-aligned.
pub fn filled(spec: &Spec<'_>, ram: u64) -> Result<Vec<Range<u64>>> {
    let tables = map::TABLE_POOL + (ram.div_ceil(2 << 20) + 8) * map::PAGE;
    let mut ranges = vec![map::PML4..map::RING0_STACK_TOP, map::TABLE_POOL..tables.min(map::TABLE_POOL_END)];
    let mut end = map::RUNTIME_DATA + map::PAGE;
    for segment in segments(spec.runtime)? {
        let range = segment.address & !(map::PAGE - 1)..up(segment.address + segment.bytes.len() as u64);
        end = end.max(up(segment.address + segment.size));
        ranges.push(range);
    }
    ranges.push(end + map::PAGE..end + map::PAGE + up(spec.artifact.len() as u64));
    Ok(ranges)
}

/// Fills zeroed `ram` (of `ram_size` bytes) and returns where things are.
pub fn build(spec: &Spec<'_>, ram: &mut [u8]) -> Result<Layout> {
    let ram_len = ram.len() as u64;
    let mut tables = Tables::new(ram);
    build_ring0(&mut tables)?;
    let mut text = Vec::new();
    // the stack, ending in the hot page; everything below it down to the runtime's read-only part is its guard
    let stack = map::RUNTIME_DATA - up(spec.wasm_stack + RUNTIME_STACK)..map::RUNTIME_DATA + map::HOT_STACK;
    tables.map(stack.start, map::RUNTIME_DATA + map::PAGE - stack.start, Access::ReadWrite)?;
    let mut at = map::RUNTIME_DATA + map::PAGE;
    for segment in segments(spec.runtime)? {
        let start = segment.address as usize;
        tables.ram()[start..start + segment.bytes.len()].copy_from_slice(segment.bytes);
        let (first, last) = (segment.address & !(map::PAGE - 1), up(segment.address + segment.size));
        tables.map(first, last - first, segment.access)?;
        if segment.access == Access::ReadExecute {
            text.push(first..last);
        }
        at = at.max(last);
    }
    let entry = entry(spec.runtime)?;

    let artifact = at + map::PAGE..at + map::PAGE + up(spec.artifact.len() as u64);
    let start = artifact.start as usize;
    tables.ram()[start..start + spec.artifact.len()].copy_from_slice(spec.artifact);
    tables.map(artifact.start, artifact.end - artifact.start, Access::ReadOnly)?;
    for range in executable_sections(spec.artifact)? {
        let range = artifact.start + range.start..artifact.start + range.end;
        tables.map(range.start, range.end - range.start, Access::ReadExecute)?;
        text.push(range);
    }

    // an unmapped guard page lies before and after each of these
    let mut place = |before: u64, len: u64| -> Result<Range<u64>> {
        let range = before + map::PAGE..before + map::PAGE + up(len);
        tables.map(range.start, range.end - range.start, Access::ReadWrite)?;
        Ok(range)
    };
    let heap = place(artifact.end, spec.heap)?;
    let arena = place(heap.end, spec.arena)?;
    tables.map(map::MAILBOX, up(size_of::<Mailbox>() as u64), Access::ReadWrite)?;
    tables.map(map::DOORBELL, map::PAGE, Access::ReadWrite)?;
    tables.map(map::BOOT, map::PAGE, Access::ReadOnly)?;

    let record = Boot {
        heap: heap.start,
        heap_len: heap.end - heap.start,
        artifact: artifact.start,
        artifact_len: spec.artifact.len() as u64,
        arena: arena.start,
        arena_len: arena.end - arena.start,
        memory_limit: spec.memory_limit,
        table_limit: spec.table_limit,
        wasm_stack: spec.wasm_stack,
    };
    // SAFETY: a plain struct of integers, read as bytes.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const record).cast::<u8>(), size_of::<Boot>()) };
    tables.ram()[map::BOOT as usize..map::BOOT as usize + bytes.len()].copy_from_slice(bytes);
    Ok(Layout { entry, stack_top: stack.end, text, artifact, stack, heap, arena, whole: 0..ram_len })
}

struct Segment<'a> {
    address: u64,
    bytes: &'a [u8],
    size: u64,
    access: Access,
}

fn bad(what: &str, why: &str) -> Error {
    Error::new(Kind::Image, format!("{what}: {why}; rebuild hlfuzz, or delete its artifact cache"))
}

fn int<const N: usize>(file: &[u8], at: u64, what: &str) -> Result<u64> {
    let start = usize::try_from(at).map_err(|_| bad(what, "an offset lies outside the file"))?;
    let slice = start.checked_add(N).and_then(|end| file.get(start..end));
    let slice = slice.ok_or_else(|| bad(what, "the file is truncated"))?;
    let mut wide = [0u8; 8];
    wide[..N].copy_from_slice(slice);
    Ok(u64::from_le_bytes(wide))
}

/// Checks magic, class and machine of a 64-bit little-endian x86-64 ELF.
fn check_header(file: &[u8], what: &str) -> Result<()> {
    if file.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return Err(bad(what, "not a 64-bit little-endian ELF file"));
    }
    if int::<2>(file, 18, what)? != 62 {
        return Err(bad(what, "not for x86-64"));
    }
    Ok(())
}

fn entry(runtime: &[u8]) -> Result<u64> {
    int::<8>(runtime, 24, "the in-VM runtime")
}

/// Loadable segments of the runtime, with bounds checked against file and map.
fn segments(runtime: &[u8]) -> Result<Vec<Segment<'_>>> {
    let what = "the in-VM runtime";
    check_header(runtime, what)?;
    let (table, count) = (int::<8>(runtime, 32, what)?, int::<2>(runtime, 56, what)?);
    let mut found = Vec::new();
    for index in 0..count {
        let at = table.checked_add(index * 56).ok_or_else(|| bad(what, "the program headers overflow"))?;
        if int::<4>(runtime, at, what)? != 1 {
            continue;
        }
        let flags = int::<4>(runtime, at + 4, what)?;
        let (offset, address) = (int::<8>(runtime, at + 8, what)?, int::<8>(runtime, at + 16, what)?);
        let (file_size, size) = (int::<8>(runtime, at + 32, what)?, int::<8>(runtime, at + 40, what)?);
        if size == 0 {
            continue;
        }
        let end =
            offset.checked_add(file_size).filter(|end| *end <= runtime.len() as u64 && file_size <= size);
        let end = end.ok_or_else(|| bad(what, "a segment lies outside the file"))?;
        if address < map::RUNTIME
            || address.checked_add(size).is_none_or(|last| last > map::RUNTIME + (64 << 20))
        {
            return Err(bad(what, "a segment lies outside the runtime's place"));
        }
        let access = match flags & 7 {
            5 => Access::ReadExecute,
            6 => Access::ReadWrite,
            4 => Access::ReadOnly,
            _ => return Err(bad(what, "a segment is neither text, data nor read-only")),
        };
        found.push(Segment { address, bytes: &runtime[offset as usize..end as usize], size, access });
    }
    if found.is_empty() {
        return Err(bad(what, "no loadable segment"));
    }
    Ok(found)
}

/// Page-aligned ranges of the artifact's executable sections; none for a module without functions.
fn executable_sections(artifact: &[u8]) -> Result<Vec<Range<u64>>> {
    let what = "the compiled artifact";
    check_header(artifact, what)?;
    let (table, entry_size, count) =
        (int::<8>(artifact, 40, what)?, int::<2>(artifact, 58, what)?, int::<2>(artifact, 60, what)?);
    if entry_size != 64 {
        return Err(bad(what, "section headers of an unknown size"));
    }
    let mut found = Vec::new();
    for index in 0..count {
        let at = table.checked_add(index * 64).ok_or_else(|| bad(what, "the section headers overflow"))?;
        let (kind, flags) = (int::<4>(artifact, at + 4, what)?, int::<8>(artifact, at + 8, what)?);
        let (offset, size) = (int::<8>(artifact, at + 24, what)?, int::<8>(artifact, at + 32, what)?);
        const EXECUTABLE: u64 = 4; // SHF_EXECINSTR
        const NO_BITS: u64 = 8; // SHT_NOBITS
        if flags & EXECUTABLE == 0 || kind == NO_BITS || size == 0 {
            continue;
        }
        if offset.checked_add(size).is_none_or(|end| end > artifact.len() as u64) {
            return Err(bad(what, "its text lies outside the file"));
        }
        if offset % map::PAGE != 0 {
            return Err(bad(what, "its text is not page-aligned"));
        }
        found.push(offset..up(offset + size));
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
            let _ = segments(&mutant);
            let _ = executable_sections(&mutant);
        }
        assert!(segments(b"").is_err());
        assert!(executable_sections(b"\0asm\x01\0\0\0").is_err());
    }

    #[test]
    fn a_request_for_more_memory_than_the_tables_can_map_is_refused() {
        let mut elf = vec![0u8; 120];
        elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        elf[18] = 62;
        elf[32] = 64; // program headers
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
        };
        assert_eq!(ram_size(&spec).unwrap_err().kind, Kind::Limit);
        assert!(ram_size(&Spec { arena: 1 << 20, ..spec }).is_ok());
    }
}
