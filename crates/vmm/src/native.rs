//! Native guests: a static ELF program in the place of the Wasm runtime, with the tables of what it exports and imports.
//!
//! The file is untrusted. What it asks for is checked here, before a byte of it is in guest RAM; what it does later is
//! held back by the page tables.

use crate::elf::{Elf, Header, PT_LOAD, Segment};
use crate::error::{Kind, Result};
use crate::image::{Image, Placed, build_boundary, filled_tables, up, with_guards};
use crate::layout::{Guest, Layout};
use crate::tables::{Access, Tables, build_ring0};
use hlfuzz_abi::{Boot, map};
use std::collections::HashSet;
use std::ops::Range;

/// Where segments may lie: what gcc, clang and lld choose by themselves is inside.
const PLACE: Range<u64> = map::RUNTIME..0x1000_0000;
const MAX_HEADERS: u64 = 64;
/// Unmapped below the stack: a function with a large frame must not step over it.
const STACK_GUARD: u64 = 1 << 20;
/// Exports, and imports, at most.
const MAX_ENTRIES: u64 = 4096;
const MAX_NAME: usize = 1024;
const MAX_TYPE: usize = 64;
/// What one call can pass in registers (System V ABI, x86-64): integers, floats.
const MAX_INTEGERS: usize = 6;
const MAX_FLOATS: usize = 8;

const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const PT_NOTE: u64 = 4;
const PT_TLS: u64 = 7;
const PT_GNU_STACK: u64 = 0x6474_e551;
const ET_EXEC: u64 = 2;

/// Owner and types of the notes: the handshake's text, and where the tables are.
const OWNER: &[u8] = b"hlfuzz\0";
const NOTE_HANDSHAKE: u64 = 1;
const NOTE_TABLES: u64 = 2;
const TABLES_VERSION: u64 = 1;
/// u32 version, u32 zero, four u64 addresses.
const TABLES_BYTES: u64 = 40;
/// Name, type, detail, zero.
const ENTRY_BYTES: u64 = 32;

const ADVICE: &str = "build the guest with hlfuzz_guest.h as a static, non-PIE program";

/// A parameter or result, as the tables write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    I32,
    I64,
    F32,
    F64,
    /// An address: below 4 GiB, so an i32 to the host.
    Pointer,
    /// Address and length of bytes: one i64 to the host, address << 32 | length. A result only.
    Bytes,
}

/// A function of a native guest, or one that it wants from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Of an import: the module in front of the name. Empty for an export.
    pub module: String,
    pub name: String,
    pub params: Vec<Type>,
    /// At most one.
    pub result: Option<Type>,
}

impl Function {
    /// Parameter and result counts.
    pub fn counts(&self) -> (u32, u32) {
        (self.params.len() as u32, u32::from(self.result.is_some()))
    }
}

/// A checked program.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    elf: Elf<'a>,
    segments: Vec<Segment<'a>>,
    pub exports: Vec<Function>,
    pub imports: Vec<Function>,
    /// The handshake's text, if the program carries one.
    pub handshake: Option<&'a [u8]>,
}

impl<'a> Program<'a> {
    /// Checks `file` from end to end. Errors of kind `Kind::Image` say what is wrong with it.
    pub fn parse(file: &'a [u8]) -> Result<Self> {
        let elf = Elf::new(file, "the native guest", ADVICE, Kind::Image)?;
        if elf.int::<2>(16)? != ET_EXEC {
            return Err(
                elf.bad("not a static executable (it is relocatable, shared, or position-independent)")
            );
        }
        let headers = elf.headers(MAX_HEADERS)?;
        for header in &headers {
            match header.kind {
                PT_INTERP | PT_DYNAMIC => return Err(elf.bad("it needs a dynamic linker")),
                PT_TLS => return Err(elf.bad("it has thread-local variables, for which there is no thread")),
                PT_GNU_STACK if header.flags & 1 != 0 => {
                    return Err(elf.bad("it wants an executable stack (link with -z noexecstack)"));
                }
                _ => {}
            }
        }
        let mut it = Self {
            segments: segments(&elf, &headers)?,
            elf,
            exports: vec![],
            imports: vec![],
            handshake: None,
        };
        let entry = elf.entry()?;
        if !it.executable(entry) {
            return Err(elf.bad(format_args!("its entry point {entry:#x} is not in its text")));
        }
        it.read_notes(&headers)?;
        Ok(it)
    }

    /// Bytes of the program that are executable.
    pub fn text_bytes(&self) -> u64 {
        self.of(Access::ReadExecute).map(|segment| segment.size).sum()
    }

    /// Bytes of the program that are writable when it starts.
    pub fn data_bytes(&self) -> u64 {
        self.of(Access::ReadWrite).map(|segment| segment.size).sum()
    }

    fn of(&self, access: Access) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter().filter(move |segment| segment.access == access)
    }

    fn executable(&self, address: u64) -> bool {
        self.of(Access::ReadExecute).any(|segment| {
            address.checked_sub(segment.address).is_some_and(|at| at < segment.bytes.len() as u64)
        })
    }

    /// Bytes of the file that lie at `address` once it is loaded, to the end of their segment.
    fn at(&self, address: u64, what: &str) -> Result<&'a [u8]> {
        self.segments
            .iter()
            .find_map(|segment| {
                let at = usize::try_from(address.checked_sub(segment.address)?).ok()?;
                segment.bytes.get(at..).filter(|rest| !rest.is_empty())
            })
            .ok_or_else(|| self.elf.bad(format_args!("{what} at {address:#x} is not in the file")))
    }

    fn read_notes(&mut self, headers: &[Header]) -> Result<()> {
        let elf = self.elf;
        let mut tables = None;
        for header in headers.iter().filter(|header| header.kind == PT_NOTE) {
            let all = elf.slice(header.offset, header.file_size, "a note")?;
            // Notes are padded to 4 bytes, those of a segment with alignment 8 (only GNU properties) to 8: these have
            // another owner, so a walk that ends early on them loses nothing of ours
            let mut rest = all;
            while let Some(Note { kind, owner, content, rest: next }) = note(rest) {
                if owner == OWNER {
                    let known = match kind {
                        NOTE_HANDSHAKE => self.handshake.replace(content).is_some(),
                        NOTE_TABLES => tables.replace(content).is_some(),
                        _ => false,
                    };
                    if known {
                        return Err(elf.bad(format_args!("two notes of type {kind}")));
                    }
                }
                rest = next;
            }
        }
        let Some(tables) = tables else {
            return Err(elf.bad("no note says where its exports are"));
        };
        let word = |at: usize| tables.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let (Some(version), Some(exports), Some(exports_end), Some(imports), Some(imports_end)) =
            (word(0), word(8), word(16), word(24), word(32))
        else {
            return Err(elf.bad(format_args!("the note about exports has less than {TABLES_BYTES} bytes")));
        };
        if version != TABLES_VERSION {
            return Err(elf.bad(format_args!(
                "its tables have version {version:#x}; this hlfuzz knows {TABLES_VERSION}"
            )));
        }
        self.exports = self.table(exports..exports_end, "an export", false)?;
        self.imports = self.table(imports..imports_end, "an import", true)?;
        let mut names = HashSet::new();
        if let Some(twice) = self.exports.iter().find(|export| !names.insert(export.name.as_str())) {
            return Err(elf.bad(format_args!("two exports have the name {:?}", twice.name)));
        }
        if names.contains(MEMORY) {
            return Err(
                elf.bad(format_args!("an export has the name {MEMORY:?}, which is the guest's memory"))
            );
        }
        Ok(())
    }

    fn table(&self, place: Range<u64>, what: &str, imports: bool) -> Result<Vec<Function>> {
        let elf = &self.elf;
        let size = place.end.checked_sub(place.start).filter(|size| size % ENTRY_BYTES == 0);
        let size = size.ok_or_else(|| elf.bad(format_args!("the table of {what} has no whole entries")))?;
        let count = size / ENTRY_BYTES;
        if count > MAX_ENTRIES {
            return Err(elf.bad(format_args!("more than {MAX_ENTRIES} entries ({what})")));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.at(place.start, what)?;
        let bytes = bytes.get(..size as usize).ok_or_else(|| elf.bad(format_args!("{what} is truncated")))?;
        let mut found = Vec::with_capacity(count as usize);
        for entry in bytes.chunks_exact(ENTRY_BYTES as usize) {
            let word = |at: usize| entry[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
            let name = self.text(word(0), MAX_NAME, what)?;
            let (params, result) = self.signature(&self.text(word(8), MAX_TYPE, what)?, &name)?;
            if name.is_empty() || word(24) != 0 {
                return Err(elf.bad(format_args!("{what} has no name, or an entry of an unknown form")));
            }
            let module = if imports {
                self.text(word(16), MAX_NAME, what)?
            } else if self.executable(word(16)) {
                String::new()
            } else {
                return Err(elf.bad(format_args!("the export {name:?} is not in its text")));
            };
            found.push(Function { module, name, params, result });
        }
        Ok(found)
    }

    fn text(&self, address: u64, most: usize, what: &str) -> Result<String> {
        let bytes = self.at(address, what)?;
        let bytes = &bytes[..bytes.len().min(most + 1)];
        let end = bytes.iter().position(|byte| *byte == 0);
        let text = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
        text.map(str::to_owned).ok_or_else(|| {
            self.elf.bad(format_args!("a text of {what} is not UTF-8, or longer than {most} bytes"))
        })
    }

    fn signature(&self, text: &str, name: &str) -> Result<(Vec<Type>, Option<Type>)> {
        let known = |letter: char| match letter {
            'i' => Some(Type::I32),
            'I' => Some(Type::I64),
            'f' => Some(Type::F32),
            'F' => Some(Type::F64),
            'p' => Some(Type::Pointer),
            'r' => Some(Type::Bytes),
            _ => None,
        };
        let parsed = text.split_once(':').and_then(|(params, results)| {
            let params: Option<Vec<Type>> = params.chars().map(known).collect();
            let results: Option<Vec<Type>> = results.chars().map(known).collect();
            Some((params?, results?))
        });
        let Some((params, results)) = parsed.filter(|(params, results)| {
            let floats = params.iter().filter(|ty| matches!(ty, Type::F32 | Type::F64)).count();
            results.len() <= 1
                && !params.contains(&Type::Bytes)
                && floats <= MAX_FLOATS
                && params.len() - floats <= MAX_INTEGERS
        }) else {
            return Err(self.elf.bad(format_args!(
                "the type {text:?} of {name:?} is none: up to {MAX_INTEGERS} of i, I, p and {MAX_FLOATS} of f, F, a \
                 colon, and at most one of i, I, f, F, p, r"
            )));
        };
        Ok((params, results.first().copied()))
    }
}

/// Name of the export that stands for all that a native guest may read.
pub const MEMORY: &str = "memory";

/// Loadable segments in order of address, none of which share a page.
fn segments<'a>(elf: &Elf<'a>, headers: &[Header]) -> Result<Vec<Segment<'a>>> {
    let mut found = Vec::new();
    for header in headers.iter().filter(|header| header.kind == PT_LOAD) {
        found.extend(elf.segment(header, PLACE)?);
    }
    found.sort_by_key(|segment| segment.address);
    if let Some(pair) = found.windows(2).find(|pair| pair[0].pages().end > pair[1].pages().start) {
        return Err(elf.bad(format_args!(
            "segments at {:#x} and {:#x} overlap, or share a page",
            pair[0].address, pair[1].address
        )));
    }
    if found.is_empty() {
        return Err(elf.bad("no loadable segment"));
    }
    Ok(found)
}

struct Note<'a> {
    kind: u64,
    owner: &'a [u8],
    content: &'a [u8],
    /// What follows.
    rest: &'a [u8],
}

/// The note at the start of `bytes`; None at the end, or where it is none.
fn note(bytes: &[u8]) -> Option<Note<'_>> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let (owner_len, len, kind) = (word(0)?, word(4)?, word(8)?);
    let content = 12usize.checked_add(owner_len.checked_next_multiple_of(4)?)?;
    let end = content.checked_add(len)?;
    let next = content.checked_add(len.checked_next_multiple_of(4)?)?;
    let owner = bytes.get(12..12usize.checked_add(owner_len)?)?;
    let rest = bytes.get(next..).unwrap_or_default();
    Some(Note { kind: kind as u64, owner, content: bytes.get(content..end)?, rest })
}

/// A native guest to be booted. Lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    pub program: &'a Program<'a>,
    pub stack: u64,
    pub heap: u64,
}

impl Spec<'_> {
    fn end(&self) -> u64 {
        self.program.segments.iter().map(|segment| segment.pages().end).max().unwrap_or(PLACE.start)
    }
}

impl Image for Spec<'_> {
    fn ram_size(&self) -> Result<u64> {
        let needs = format!("program up to {} MiB, heap {} MiB", self.end() >> 20, self.heap >> 20);
        with_guards(self.end() + STACK_GUARD, &[self.stack, self.heap], &needs)
    }

    fn filled(&self, ram: u64) -> Result<Vec<Range<u64>>> {
        let mut ranges = filled_tables(ram);
        ranges.extend(
            self.program
                .segments
                .iter()
                .map(|segment| segment.pages().start..up(segment.address + segment.bytes.len() as u64)),
        );
        Ok(ranges)
    }

    fn build(&self, ram: &mut [u8]) -> Result<Layout> {
        let ram_len = ram.len() as u64;
        let mut tables = Tables::new(ram);
        build_ring0(&mut tables)?;
        let mut placed = Placed::default();
        for segment in &self.program.segments {
            placed.segment(&mut tables, segment)?;
        }
        let below = self.end();
        let stack = placed.fresh(&mut tables, below + STACK_GUARD - map::PAGE, self.stack)?;
        let heap = placed.fresh(&mut tables, stack.end, self.heap)?;
        let record = Boot {
            heap: heap.start,
            heap_len: heap.end - heap.start,
            wasm_stack: self.stack,
            ..Boot::default()
        };
        build_boundary(&mut tables, &record, false, false)?;
        let Placed { text, writable, readable } = placed.merged();
        Ok(Layout {
            guest: Guest::Native,
            entry: self.program.elf.entry()?,
            stack_top: stack.end,
            text,
            artifact: 0..0,
            stack_guard: below..stack.start,
            stack,
            heap,
            arena: 0..0,
            writable,
            readable,
            whole: 0..ram_len,
        })
    }
}
