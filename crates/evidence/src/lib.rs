//! Where a guest crashed, and what it was like there: names and source lines for code addresses, backtraces, and core
//! files that debuggers open.
//!
//! `symbols` answers questions about one module (`wasm`, `elf`, and `lines` for DWARF below it), `unwind` walks a native
//! stack, `elf_core` and `wasm_core` write core files. Nothing here knows of VMs.
//!
//! Modules, debug information, stacks and registers are hostile input: every length is bounded, work is linear in the
//! size of what was given, and what cannot be understood is left out.

pub mod elf;
pub mod elf_core;
pub mod frames;
pub mod lines;
pub mod symbols;
pub mod unwind;
pub mod wasm;
pub mod wasm_core;

/// Bytes of a name or path that are kept.
pub const MAX_NAME: usize = 1024;

/// Text of untrusted bytes: cut to [`MAX_NAME`], control characters and bytes that are no UTF-8 replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME)])
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}
