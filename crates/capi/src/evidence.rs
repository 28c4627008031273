//! Crash evidence: where a guest trapped, and its registers.

use crate::codes::*;
use crate::errors::{put_text, report};
use crate::module::bytes;
use crate::sandbox::hl_sandbox;
use crate::types::hl_error;
use hlfuzz_evidence::symbols::{Site, Symbols};
use hlfuzz_evidence::unwind::{self, Stack};
use hlfuzz_vmm::layout::Guest;
use hlfuzz_vmm::{General, Sandbox, TrapCause};
use std::ffi::c_char;

/// Symbols, source lines and unwind tables of one module; immutable, any thread.
pub struct hl_symbols {
    pub(crate) symbols: Symbols,
}

/// One active call of a guest.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hl_frame {
    /// Wasm: the function's index in the module. Native: HL_NATIVE.
    pub function: u32,
    /// 0.
    pub reserved: u32,
    /// Wasm: offset of the instruction in the module file, or UINT64_MAX. Native: its address. For a caller, that of the
    /// call.
    pub offset: u64,
}

/// What is at a frame's instruction.
#[repr(C)]
pub struct hl_site {
    /// `sizeof(hl_site)`, set by the caller.
    pub size: u32,
    /// Line in the source file, from 1; 0: not known.
    pub line: u32,
    /// Where the function begins: as `hl_frame.offset`; 0: not known.
    pub start: u64,
    /// The function as the compiler called it: NUL-terminated UTF-8, cut at a character when too long; empty: not known.
    pub name: [c_char; 1024],
    /// The source file, in the same way.
    pub file: [c_char; 1024],
}

/// General registers and segments of an x86-64 CPU.
#[repr(C)]
pub struct hl_registers {
    /// `sizeof(hl_registers)`, set by the caller.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15, rip, rflags, cs, ss, ds, es, fs, gs, fs_base, gs_base.
    pub values: [u64; 26],
}

/// Reads the symbols of a Wasm module or a native guest, and its DWARF lines; what is malformed in it is left out.
///
/// @param file The module; copied.
/// @param len Its bytes.
/// @param error Gets the reason of a failure; may be NULL.
/// @return The symbols, for `hl_symbols_free`; NULL for NULL in place of bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_symbols_new(
    file: *const u8,
    len: usize,
    error: *mut hl_error,
) -> *mut hl_symbols {
    // SAFETY: the C contract.
    let result = unsafe { bytes(file, len) }.map(|file| hl_symbols { symbols: Symbols::new(file.to_vec()) });
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

/// Frees symbols.
///
/// @param symbols The symbols; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_symbols_free(symbols: *mut hl_symbols) {
    if !symbols.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(symbols) });
    }
}

/// The calls that were active when the last call trapped, innermost first. A guest may lie about its own frames, but is
/// given none that its module does not have.
///
/// @param sandbox The sandbox.
/// @param symbols Those of the sandbox's module.
/// @param frames Gets the frames.
/// @param capacity Room in `frames`; more than 64 are never there.
/// @return Number of frames; 0 when the call did not trap, or nothing is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_trap_frames(
    sandbox: *const hl_sandbox,
    symbols: *const hl_symbols,
    frames: *mut hl_frame,
    capacity: u32,
) -> u32 {
    // SAFETY: the C contract.
    let (Some(it), Some(symbols)) = (unsafe { sandbox.as_ref() }, unsafe { symbols.as_ref() }) else {
        return 0;
    };
    let Some(it) = it.sandbox_ref() else { return 0 };
    let found = trap_frames(it, &symbols.symbols);
    let count = found.len().min(capacity as usize);
    if count != 0 {
        // SAFETY: the C contract: so many frames fit.
        unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), frames, count) };
    }
    count as u32
}

fn trap_frames(sandbox: &Sandbox, symbols: &Symbols) -> Vec<hl_frame> {
    let frame = |function, offset| hl_frame { function, reserved: 0, offset };
    if sandbox.layout().guest == Guest::Native {
        let Some((registers, start, bytes)) = sandbox.crash() else { return Vec::new() };
        let found = symbols.native_backtrace(&dwarf_order(registers), Stack { start, bytes });
        return found.into_iter().map(|address| frame(HL_NATIVE, address)).collect();
    }
    let known = sandbox.frames().iter().map_while(|[function, offset]| {
        let function = u32::try_from(*function).ok()?;
        symbols.has_wasm(function, *offset).then(|| frame(function, *offset))
    });
    known.collect()
}

/// x86-64 psABI, figure 3.36.
fn dwarf_order(r: &General) -> unwind::Registers {
    unwind::Registers([
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15, r.rip,
    ])
}

/// Says what is at a frame's instruction.
///
/// @param symbols The symbols.
/// @param frame The frame, from anywhere.
/// @param out Gets the answer.
/// @return 0, or -1: the module has no such function or instruction, or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_symbols_find(
    symbols: *const hl_symbols,
    frame: *const hl_frame,
    out: *mut hl_site,
) -> i32 {
    // SAFETY: the C contract.
    let (symbols, frame, out) = unsafe { (symbols.as_ref(), frame.as_ref(), out.as_mut()) };
    let (Some(symbols), Some(frame), Some(out)) = (symbols, frame, out) else { return -1 };
    let found = if frame.function == HL_NATIVE {
        Some(symbols.symbols.native_site(frame.offset))
    } else {
        symbols.symbols.wasm_site(frame.function, frame.offset)
    };
    let Some(Site { name, file, line, start }) = found else { return -1 };
    (out.line, out.start) = (line, start);
    put_text(&mut out.name, &name);
    put_text(&mut out.file, &file);
    0
}

/// Says which variable of a native guest an address lies in.
///
/// @param symbols The symbols.
/// @param address The address.
/// @param out Gets its name, and where it begins; no file, no line.
/// @return 0, or -1: none that the symbol table knows, no native guest, or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_symbols_variable(
    symbols: *const hl_symbols,
    address: u64,
    out: *mut hl_site,
) -> i32 {
    // SAFETY: the C contract.
    let (Some(symbols), Some(out)) = (unsafe { symbols.as_ref() }, unsafe { out.as_mut() }) else {
        return -1;
    };
    let Some((name, start)) = symbols.symbols.native_object(address) else { return -1 };
    (out.line, out.start) = (0, start);
    put_text(&mut out.name, &name);
    put_text(&mut out.file, "");
    0
}

/// The registers at the CPU exception that ended the last call.
///
/// @param sandbox The sandbox.
/// @param out Gets the registers.
/// @return 0, or -1: no exception did, or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_trap_registers(sandbox: *const hl_sandbox, out: *mut hl_registers) -> i32 {
    // SAFETY: the C contract.
    let (Some(it), Some(out)) = (unsafe { sandbox.as_ref() }, unsafe { out.as_mut() }) else { return -1 };
    let Some(it) = it.sandbox_ref() else { return -1 };
    match (it.trap(), it.crash()) {
        (Some(TrapCause::Exception(_)), Some((registers, _, _))) => {
            put_registers(out, registers);
            0
        }
        _ => -1,
    }
}

pub(crate) fn put_registers(out: &mut hl_registers, r: &General) {
    out.values = [
        r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15, r.rip, r.rflags, r.cs, r.ss, r.ds, r.es, r.fs, r.gs, r.fs_base, r.gs_base,
    ];
}
