//! `Symbols`: one module's answers to "what is at this address?".

use crate::elf::Elf;
use crate::unwind::{self, Registers, Stack};
use crate::wasm::Wasm;

/// What is known of one instruction; empty or 0 what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    pub name: String,
    /// Path of the source file, as the compiler wrote it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// Where the function begins.
    pub start: u64,
}

enum Kind {
    Wasm(Wasm),
    Elf(Elf),
}

/// A module's symbols and lines, read once; immutable.
pub struct Symbols {
    file: Vec<u8>,
    kind: Kind,
}

impl Symbols {
    /// Reads a Wasm module or an ELF file. Anything else has no symbols.
    pub fn new(file: Vec<u8>) -> Self {
        let kind = if file.starts_with(b"\0asm") {
            Kind::Wasm(Wasm::new(&file))
        } else {
            Kind::Elf(Elf::new(&file))
        };
        Self { file, kind }
    }

    /// An instruction of a Wasm function, by its offset in the module; `u64::MAX` for unknown. None for what the module
    /// does not have: whoever named it is not to be believed.
    pub fn wasm_site(&self, function: u32, offset: u64) -> Option<Site> {
        let Kind::Wasm(wasm) = &self.kind else { return None };
        if !wasm.has(function) {
            return None;
        }
        let name = wasm.name(&self.file, function);
        if offset == u64::MAX {
            return Some(Site { name, ..Site::default() });
        }
        let start = wasm.body(function, offset)?;
        let line = wasm.line(&self.file, offset);
        let (file, line) = line.map_or_else(Default::default, |line| (line.file, line.line));
        Some(Site { name, file, line, start })
    }

    /// Whether the module has that function, with an instruction there or at the unknown `u64::MAX`.
    pub fn has_wasm(&self, function: u32, offset: u64) -> bool {
        match &self.kind {
            Kind::Wasm(wasm) if offset == u64::MAX => wasm.has(function),
            Kind::Wasm(wasm) => wasm.body(function, offset).is_some(),
            Kind::Elf(_) => false,
        }
    }

    /// An instruction of native code.
    pub fn native_site(&self, address: u64) -> Site {
        let Kind::Elf(elf) = &self.kind else { return Site::default() };
        let (name, start) = elf.symbol(&self.file, address).unwrap_or_default();
        let line = elf.line(&self.file, address);
        let (file, line) = line.map_or_else(Default::default, |line| (line.file, line.line));
        Site { name, file, line, start }
    }

    /// The variable of a native program that covers an address: name, and where it begins.
    pub fn native_object(&self, address: u64) -> Option<(String, u64)> {
        let Kind::Elf(elf) = &self.kind else { return None };
        elf.object(&self.file, address)
    }

    /// Addresses of the native instructions that were running, innermost first: the crash, then for each caller the
    /// call itself.
    pub fn native_backtrace(&self, registers: &Registers, stack: Stack<'_>) -> Vec<u64> {
        match &self.kind {
            Kind::Elf(elf) => unwind::backtrace(elf, &self.file, registers, stack),
            Kind::Wasm(_) => Vec::new(),
        }
    }
}
