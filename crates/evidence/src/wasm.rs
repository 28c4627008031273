//! What a Wasm module says about its code: where functions lie, what they are called, which lines they come from.

use crate::lines::{Line, Lines, Sections};
use crate::text;
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};

/// Names kept.
const MAX_NAMES: usize = 1 << 20;

/// The code of a module. Offsets are bytes from the start of the file.
#[derive(Debug, Default)]
pub struct Wasm {
    imported: u32,
    /// Body of each function that is defined here, in order.
    bodies: Vec<Range<usize>>,
    code_start: usize,
    name_section: Option<Range<usize>>,
    exports: HashMap<u32, Range<usize>>,
    line: Range<usize>,
    line_str: Range<usize>,
    str: Range<usize>,
    names: HashMap<u32, Range<usize>>,
    lines: Lines,
}

/// Where in `all` the bytes of `part` are.
fn range_of(all: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(all.as_ptr() as usize);
    if start <= all.len() && part.len() <= all.len() - start { start..start + part.len() } else { 0..0 }
}

impl Wasm {
    /// Reads `file` as far as it is well-formed.
    pub fn new(file: &[u8]) -> Self {
        let mut it = Self::default();
        for payload in Parser::new(0).parse_all(file) {
            let Ok(payload) = payload else { break };
            if it.take(file, payload).is_none() {
                break;
            }
        }
        it.read_names(file);
        let code = it.bodies.last().map_or(0, |body| body.end.saturating_sub(it.code_start)) as u64;
        // a sequence at 0 is code that the linker dropped: the first byte of the section counts the functions
        it.lines = Lines::new(it.sections(file), 4, |start| start != 0 && start < code);
        it
    }

    fn take(&mut self, file: &[u8], payload: Payload<'_>) -> Option<()> {
        match payload {
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let ty = import.ok()?.ty;
                    self.imported += u32::from(matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader.into_iter().take(MAX_NAMES) {
                    let export = export.ok()?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        let name = range_of(file, export.name.as_bytes());
                        self.exports.entry(export.index).or_insert(name);
                    }
                }
            }
            Payload::CodeSectionStart { range, .. } => self.code_start = range.start,
            Payload::CodeSectionEntry(body) => self.bodies.push(body.range()),
            Payload::CustomSection(section) => {
                let data = section.data_offset()..section.data_offset() + section.data().len();
                match section.name() {
                    ".debug_line" => self.line = data,
                    ".debug_line_str" => self.line_str = data,
                    ".debug_str" => self.str = data,
                    _ if matches!(section.as_known(), KnownCustom::Name(_)) => self.name_section = Some(data),
                    _ => {}
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Takes names until the first damage.
    fn read_names(&mut self, file: &[u8]) {
        let Some(data) = self.name_section.clone().and_then(|range| file.get(range)) else { return };
        let reader = wasmparser::NameSectionReader::new(wasmparser::BinaryReader::new(data, 0));
        for subsection in reader {
            let Ok(subsection) = subsection else { return };
            let Name::Function(map) = subsection else { continue };
            for naming in map.into_iter().take(MAX_NAMES) {
                let Ok(naming) = naming else { return };
                let name = range_of(file, naming.name.as_bytes());
                self.names.entry(naming.index).or_insert(name);
            }
        }
    }

    fn sections<'a>(&self, file: &'a [u8]) -> Sections<'a> {
        let get = |range: &Range<usize>| file.get(range.clone()).unwrap_or_default();
        Sections { line: get(&self.line), line_str: get(&self.line_str), str: get(&self.str) }
    }

    /// Start of the body of a function, if it has one that contains `offset`.
    pub fn body(&self, function: u32, offset: u64) -> Option<u64> {
        let body = self.bodies.get(function.checked_sub(self.imported)? as usize)?;
        let inside = offset >= body.start as u64 && offset < body.end as u64;
        inside.then_some(body.start as u64)
    }

    /// Whether the module has a function with this index.
    pub fn has(&self, function: u32) -> bool {
        u64::from(function) < u64::from(self.imported) + self.bodies.len() as u64
    }

    /// The function's name: from the name section, or of its first export; empty without one.
    pub fn name(&self, file: &[u8], function: u32) -> String {
        let name = self.names.get(&function).or_else(|| self.exports.get(&function));
        name.and_then(|range| file.get(range.clone())).map_or_else(String::new, text)
    }

    pub fn line(&self, file: &[u8], offset: u64) -> Option<Line> {
        self.lines.find(self.sections(file), offset.checked_sub(self.code_start as u64)?)
    }
}
