//! Source lines of code addresses, from the line programs of DWARF 2 to 5.
//!
//! Only `.debug_line` is read: its programs follow each other and every one is run once, so that the work is linear in
//! the section's size whatever it holds. Ranges, abbreviations and references, with which small files can demand much
//! work, are never followed. The price is that a line in an inlined function is reported under the function that it was
//! inlined into; the line itself is right.

use crate::text;
use gimli::{AttributeValue, DebugLine, DebugLineOffset, EndianSlice, LittleEndian, Reader};

/// A longer section is ignored.
const MAX_SECTION: usize = 64 << 20;
/// Longer line programs, and longer headers of them, are passed over.
const MAX_PROGRAM: u64 = 4 << 20;
const MAX_HEADER: u64 = 256 << 10;
/// Rows kept of all programs together, 16 bytes each.
const MAX_ROWS: usize = 4 << 20;
/// Sequences kept.
const MAX_SEQUENCES: usize = 1 << 20;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The debug sections that lines come from; empty where a file has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sections<'a> {
    pub line: &'a [u8],
    pub line_str: &'a [u8],
    pub str: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Row {
    address: u64,
    file: u32,
    line: u32,
}

/// Code whose rows are in ascending order.
#[derive(Clone, Copy, Debug)]
struct Sequence {
    start: u64,
    end: u64,
    /// Offset of its program in the section.
    program: u32,
    first: u32,
    count: u32,
}

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// Which line each instruction came from.
#[derive(Debug, Default)]
pub struct Lines {
    rows: Vec<Row>,
    sequences: Vec<Sequence>,
    address_size: u8,
}

/// Length of the unit at `at`, header length, and the offset after the unit, if all of it is there.
fn unit(section: &[u8], at: usize) -> Option<(u64, u64, usize)> {
    let read = |from: usize, n: usize| {
        let bytes = section.get(from..from.checked_add(n)?)?;
        Some(bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let short = read(at, 4)?;
    let (start, length, word) = match short {
        0xffff_ffff => (at + 12, read(at + 4, 8)?, 8),
        0xffff_fff0.. => return None,
        _ => (at + 4, short, 4),
    };
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    if end > section.len() {
        return None;
    }
    let version = read(start, 2)?;
    let header = read(start + if version >= 5 { 4 } else { 2 }, word)?;
    Some((length, header, end))
}

impl Lines {
    /// Runs every line program. `address_size` is that of the machine: 4 for Wasm, 8 for x86-64. `keep` says whether
    /// there is code at an address: what a linker dropped is left at 0 or at the end of the address space.
    pub fn new(sections: Sections<'_>, address_size: u8, keep: impl Fn(u64) -> bool) -> Self {
        let mut it = Self { address_size, ..Self::default() };
        if sections.line.len() > MAX_SECTION {
            return it;
        }
        let mut at = 0;
        while let Some((length, header, end)) = unit(sections.line, at) {
            if length <= MAX_PROGRAM && header <= MAX_HEADER {
                it.run(sections.line, at, &keep);
            }
            at = end;
        }
        it.sequences.sort_by_key(|sequence| sequence.start);
        it
    }

    fn run(&mut self, section: &[u8], at: usize, keep: &impl Fn(u64) -> bool) {
        let program =
            DebugLine::new(section, LittleEndian).program(DebugLineOffset(at), self.address_size, None, None);
        let Ok(program) = program else { return };
        let mut rows = program.rows();
        let mut first = self.rows.len();
        // a malformed program keeps the sequences that ended before the damage
        while let Ok(Some((_, row))) = rows.next_row() {
            if self.rows.len() >= MAX_ROWS || self.sequences.len() >= MAX_SEQUENCES {
                break;
            }
            if row.end_sequence() {
                self.end_sequence(first, row.address(), at as u32, keep);
                first = self.rows.len();
                continue;
            }
            let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
            let file = u32::try_from(row.file_index()).unwrap_or(u32::MAX);
            let new = Row { address: row.address(), file, line };
            match self.rows.get(first..).and_then(<[Row]>::last) {
                // one address may have several rows, of which the last one counts
                Some(last) if last.address == new.address => *self.rows.last_mut().expect("a row") = new,
                Some(last) if last.file == new.file && last.line == new.line => {}
                _ => self.rows.push(new),
            }
        }
        self.rows.truncate(first);
    }

    fn end_sequence(&mut self, first: usize, end: u64, program: u32, keep: &impl Fn(u64) -> bool) {
        let rows = &self.rows[first..];
        let sorted = rows.windows(2).all(|pair| pair[0].address < pair[1].address);
        match rows.first() {
            Some(row) if sorted && end > rows[rows.len() - 1].address && keep(row.address) => {
                self.sequences.push(Sequence {
                    start: row.address,
                    end,
                    program,
                    first: first as u32,
                    count: rows.len() as u32,
                });
            }
            _ => self.rows.truncate(first),
        }
    }

    /// The line of the instruction at `address`. `sections` are those that the table was made from.
    pub fn find(&self, sections: Sections<'_>, address: u64) -> Option<Line> {
        let after = self.sequences.partition_point(|sequence| sequence.start <= address);
        let sequence = self.sequences[..after].last()?;
        if address >= sequence.end {
            return None;
        }
        let rows = &self.rows[sequence.first as usize..][..sequence.count as usize];
        let row = rows[..rows.partition_point(|row| row.address <= address)].last()?;
        if row.line == 0 {
            return None; // compilers mark code that belongs to no line so
        }
        let file = self.file(sections, sequence.program as usize, row.file)?;
        Some(Line { file, line: row.line })
    }

    /// Path of a file of a line program, as the compiler wrote it.
    fn file(&self, sections: Sections<'_>, program: usize, index: u32) -> Option<String> {
        let program = DebugLine::new(sections.line, LittleEndian)
            .program(DebugLineOffset(program), self.address_size, None, None)
            .ok()?;
        let header = program.header();
        let entry = header.file(u64::from(index))?;
        let name = string(sections, entry.path_name())?;
        // directory 0 is the one that the compiler ran in, which says nothing about the source
        let directory = match entry.directory_index() {
            0 => None,
            _ => entry.directory(header).and_then(|directory| string(sections, directory)),
        };
        Some(match directory {
            Some(directory) if !name.starts_with('/') => text(format!("{directory}/{name}").as_bytes()),
            _ => name,
        })
    }
}

fn string(sections: Sections<'_>, value: AttributeValue<Slice<'_>>) -> Option<String> {
    let at = |section, offset: usize| {
        let mut rest = EndianSlice::new(section, LittleEndian);
        rest.skip(offset).ok()?;
        rest.read_null_terminated_slice().ok()
    };
    let bytes = match value {
        AttributeValue::String(bytes) => bytes,
        AttributeValue::DebugLineStrRef(offset) => at(sections.line_str, offset.0)?,
        AttributeValue::DebugStrRef(offset) => at(sections.str, offset.0)?,
        _ => return None,
    };
    Some(text(bytes.slice()))
}
