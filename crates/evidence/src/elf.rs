//! What a native guest's ELF file says about its code: symbols, lines, and how to unwind its stack.

use crate::frames::{Frames, Section};
use crate::lines::{Line, Lines, Sections};
use crate::text;
use object::elf::{FileHeader64, PF_X, PT_LOAD, SHN_UNDEF, SHT_SYMTAB, STT_FUNC, STT_NOTYPE, STT_OBJECT};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{LittleEndian, SectionIndex};
use std::ops::Range;

/// Symbols kept.
const MAX_SYMBOLS: usize = 1 << 20;
/// Executable segments kept; the loader takes no more program headers.
const MAX_SEGMENTS: usize = 64;

#[derive(Debug)]
struct Symbol {
    start: u64,
    /// One past the last byte; `start` where the file does not say.
    end: u64,
    name: Range<usize>,
}

/// The code of an ELF file.
#[derive(Debug, Default)]
pub struct Elf {
    symbols: Vec<Symbol>,
    /// Variables.
    objects: Vec<Symbol>,
    text: Vec<Range<u64>>,
    line: Range<usize>,
    line_str: Range<usize>,
    str: Range<usize>,
    /// `.eh_frame` and its address.
    unwind: (Range<usize>, u64),
    lines: Lines,
    frames: Frames,
}

impl Elf {
    /// Reads `file` as far as it is well-formed. Compressed debug sections are left out.
    pub fn new(file: &[u8]) -> Self {
        let mut it = Self::default();
        if it.read(file).is_none() {
            return Self::default();
        }
        let sections = it.sections(file);
        let text = &it.text;
        it.lines = Lines::new(sections, 8, |start| text.iter().any(|range| range.contains(&start)));
        it.frames = Frames::new(&it.unwind_section(file));
        it
    }

    fn read(&mut self, file: &[u8]) -> Option<()> {
        let endian = LittleEndian;
        let header = FileHeader64::<LittleEndian>::parse(file).ok()?;
        for segment in header.program_headers(endian, file).ok()?.iter().take(MAX_SEGMENTS) {
            if segment.p_type(endian) == PT_LOAD && segment.p_flags(endian) & PF_X != 0 {
                let start = segment.p_vaddr(endian);
                self.text.push(start..start.saturating_add(segment.p_memsz(endian)));
            }
        }
        // without sections, which a stripped file may lack, there are no names
        let Ok(sections) = header.sections(endian, file) else { return Some(()) };
        for section in sections.iter() {
            let Some((offset, size)) = section.file_range(endian) else { continue };
            let (Ok(start), Ok(size)) = (usize::try_from(offset), usize::try_from(size)) else { continue };
            let Some(end) = start.checked_add(size).filter(|end| *end <= file.len()) else { continue };
            if section.sh_flags(endian) & u64::from(object::elf::SHF_COMPRESSED) != 0 {
                continue;
            }
            match sections.section_name(endian, section) {
                Ok(b".debug_line") => self.line = start..end,
                Ok(b".debug_line_str") => self.line_str = start..end,
                Ok(b".debug_str") => self.str = start..end,
                Ok(b".eh_frame") => self.unwind = (start..end, section.sh_addr(endian)),
                _ => {}
            }
        }
        if let Ok(table) = sections.symbols(endian, file, SHT_SYMTAB) {
            let mut names = None;
            if let Ok(strings) = sections.section(SectionIndex(table.string_section().0))
                && let Some((offset, size)) = strings.file_range(endian)
            {
                names = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
            }
            if let Some((offset, size)) = names {
                let all = offset.checked_add(size).and_then(|end| file.get(offset..end)).unwrap_or_default();
                for symbol in table.iter().take(MAX_SYMBOLS) {
                    self.add_symbol(symbol, all, offset);
                }
            }
        }
        // of several names for one address the longest reach wins, then the first in the table
        for symbols in [&mut self.symbols, &mut self.objects] {
            symbols.sort_by_key(|symbol| (symbol.start, std::cmp::Reverse(symbol.end)));
            symbols.dedup_by_key(|symbol| symbol.start);
        }
        Some(())
    }

    fn add_symbol(&mut self, symbol: &object::elf::Sym64<LittleEndian>, names: &[u8], offset: usize) {
        let endian = LittleEndian;
        let start = symbol.st_value(endian);
        let code = matches!(symbol.st_type(), STT_FUNC | STT_NOTYPE) && self.is_text(start);
        let object = symbol.st_type() == STT_OBJECT && symbol.st_size(endian) != 0;
        if !(code || object) || symbol.st_shndx(endian) == SHN_UNDEF {
            return;
        }
        let at = symbol.st_name(endian) as usize;
        let Some(rest) = names.get(at..) else { return };
        let length = rest.iter().take(crate::MAX_NAME).take_while(|byte| **byte != 0).count();
        if length != 0 {
            let end = start.saturating_add(symbol.st_size(endian));
            let into = if object { &mut self.objects } else { &mut self.symbols };
            into.push(Symbol { start, end, name: offset + at..offset + at + length });
        }
    }

    fn sections<'a>(&self, file: &'a [u8]) -> Sections<'a> {
        let get = |range: &Range<usize>| file.get(range.clone()).unwrap_or_default();
        Sections { line: get(&self.line), line_str: get(&self.line_str), str: get(&self.str) }
    }

    /// Whether an address lies in an executable segment.
    pub fn is_text(&self, address: u64) -> bool {
        self.text.iter().any(|range| range.contains(&address))
    }

    /// The symbol that covers `address`, or the nearest before it that has no size: name and start.
    pub fn symbol(&self, file: &[u8], address: u64) -> Option<(String, u64)> {
        let after = self.symbols.partition_point(|symbol| symbol.start <= address);
        let symbol = self.symbols[..after].last()?;
        let covers = address < symbol.end || symbol.end == symbol.start;
        (covers && self.is_text(address))
            .then(|| (file.get(symbol.name.clone()).map_or_else(String::new, text), symbol.start))
    }

    /// The variable that covers `address`: name and start.
    pub fn object(&self, file: &[u8], address: u64) -> Option<(String, u64)> {
        let after = self.objects.partition_point(|symbol| symbol.start <= address);
        let symbol = self.objects[..after].last().filter(|symbol| address < symbol.end)?;
        Some((file.get(symbol.name.clone()).map_or_else(String::new, text), symbol.start))
    }

    pub fn line(&self, file: &[u8], address: u64) -> Option<Line> {
        self.lines.find(self.sections(file), address)
    }

    /// The unwind tables.
    pub fn unwind_section<'a>(&self, file: &'a [u8]) -> Section<'a> {
        Section::new(file.get(self.unwind.0.clone()).unwrap_or_default(), self.unwind.1)
    }

    pub fn frames(&self) -> &Frames {
        &self.frames
    }
}
