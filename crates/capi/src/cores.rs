//! The state of a guest at one moment, and core files for debuggers.

use crate::codes::*;
use crate::errors::{Failure, report};
use crate::evidence::{hl_registers, hl_symbols, put_registers};
use crate::sandbox::hl_sandbox;
use crate::types::hl_error;
use hlfuzz_evidence::symbols::Symbols;
use hlfuzz_evidence::{elf_core, wasm_core};
use hlfuzz_vmm::layout::Guest;
use hlfuzz_vmm::{General, State, Status, TrapCause};
use std::ffi::{CStr, c_char};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;

/// The state of a guest at one moment; immutable, any thread.
pub struct hl_core {
    state: State,
    signal: elf_core::Signal,
}

/// Linux: struct user_regs_struct.
fn linux_order(r: &General) -> elf_core::Registers {
    [
        r.r15,
        r.r14,
        r.r13,
        r.r12,
        r.rbp,
        r.rbx,
        r.r11,
        r.r10,
        r.r9,
        r.r8,
        r.rax,
        r.rcx,
        r.rdx,
        r.rsi,
        r.rdi,
        u64::MAX,
        r.rip,
        r.cs,
        r.rflags,
        r.rsp,
        r.ss,
        r.fs_base,
        r.gs_base,
        r.ds,
        r.es,
        r.fs,
        r.gs,
    ]
}

/// Chooses whether the state of the guest is kept when a call traps or runs past its deadline, for `hl_core_kept`. It costs
/// a copy of what the call has written.
///
/// @param sandbox The sandbox.
/// @param on 0: no, the default.
/// @return HL_DONE, HL_DEAD, or HL_INVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_core_keep(sandbox: *mut hl_sandbox, on: u32) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        hl_sandbox::on_sandbox(sandbox, |it| {
            it.keep_state(on != 0);
            Status::Done
        })
    }
}

/// The state that was kept when the last call trapped or ran past its deadline, before the sandbox was restored. It is given
/// once.
///
/// @param sandbox The sandbox.
/// @return The core, for `hl_core_free`; NULL when none was kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_core_kept(sandbox: *mut hl_sandbox) -> *mut hl_core {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(hl_sandbox::sandbox) else {
        return std::ptr::null_mut();
    };
    let signal = match it.trap() {
        Some(TrapCause::Exception(exception)) => elf_core::Signal {
            number: elf_core::signal_of(exception.vector),
            address: if exception.vector == 14 { exception.address } else { exception.rip },
        },
        _ => elf_core::Signal::default(),
    };
    it.take_kept_state()
        .map_or(std::ptr::null_mut(), |state| Box::into_raw(Box::new(hl_core { state, signal })))
}

/// The state of the guest right now: between calls, or while a host call waits.
///
/// @param sandbox The sandbox.
/// @param error Gets the reason of a failure; may be NULL.
/// @return The core, for `hl_core_free`; NULL when a call runs or the sandbox is dead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_core_take(sandbox: *mut hl_sandbox, error: *mut hl_error) -> *mut hl_core {
    // SAFETY: the C contract.
    let result = unsafe { sandbox.as_mut() }
        .and_then(hl_sandbox::sandbox)
        .ok_or_else(|| Failure::argument("NULL in place of a sandbox"))
        .and_then(|it| it.state().map_err(|(_, message)| Failure::argument(message)))
        .map(|state| hl_core { state, signal: elf_core::Signal::default() });
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

/// Frees a core.
///
/// @param core The core; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_core_free(core: *mut hl_core) {
    if !core.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(core) });
    }
}

/// The registers of a core: the guest's own at a CPU exception or deadline, otherwise those of the code in it that waits for
/// the host.
///
/// @param core The core.
/// @param out Gets the registers.
/// @return 0, or -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_core_registers(core: *const hl_core, out: *mut hl_registers) -> i32 {
    // SAFETY: the C contract.
    let (Some(core), Some(out)) = (unsafe { core.as_ref() }, unsafe { out.as_mut() }) else { return -1 };
    put_registers(out, &core.state.registers);
    0
}

/// Writes a core file: for a native guest an ELF core file of x86-64 Linux, sparse, for gdb; for a Wasm guest a module in the
/// coredump format of WebAssembly's tool conventions.
///
/// @param core The core.
/// @param symbols Those of the guest's module.
/// @param name What debuggers call the program; NULL: "guest".
/// @param fd An empty file, open for writing; it stays the caller's.
/// @param error Gets the reason of a failure; may be NULL.
/// @return 0, or -1: HL_E_IO or HL_E_ARGUMENT; the file is then of no use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_core_write(
    core: *const hl_core,
    symbols: *const hl_symbols,
    name: *const c_char,
    fd: i32,
    error: *mut hl_error,
) -> i32 {
    // SAFETY: the C contract.
    let result = unsafe { core_write(core, symbols, name, fd) };
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(-1, |()| 0)
}

/// # Safety
/// As `hl_core_write`.
unsafe fn core_write(
    core: *const hl_core,
    symbols: *const hl_symbols,
    name: *const c_char,
    fd: i32,
) -> Result<(), Failure> {
    // SAFETY: the caller's contract.
    let core = unsafe { core.as_ref() }.ok_or_else(|| Failure::argument("NULL in place of a core"))?;
    // SAFETY: the caller's contract.
    let symbols = unsafe { symbols.as_ref() }.ok_or_else(|| Failure::argument("NULL in place of symbols"))?;
    let name = match name.is_null() {
        true => "guest".into(),
        // SAFETY: the caller's contract.
        false => unsafe { CStr::from_ptr(name) }.to_string_lossy(),
    };
    if fd < 0 {
        return Err(Failure::argument(format!("{fd} is no file descriptor; open a file for writing")));
    }
    // SAFETY: the caller's contract; the descriptor stays the caller's.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let written = match core.state.guest() {
        Guest::Native => write_elf(&core.state, core.signal, &name, &file),
        Guest::Wasm => file.write_all_at(&wasm(&core.state, &symbols.symbols, &name), 0),
    };
    written.map_err(|error| {
        Failure::new(HL_E_IO, format!("writing the core file: {error}; free space, or choose another place"))
    })
}

fn write_elf(state: &State, signal: elf_core::Signal, name: &str, file: &File) -> io::Result<()> {
    let ranges = state.ranges().into_iter();
    let segments: Vec<_> = ranges
        .map(|it| elf_core::Segment { range: it.range, write: it.write, execute: it.execute })
        .collect();
    let core = elf_core::Core {
        segments: &segments,
        registers: linux_order(&state.registers),
        xsave: &state.xsave,
        signal,
        name,
    };
    let length = elf_core::write(
        &core,
        |address| state.page((address / PAGE) as u32),
        |at, bytes| file.write_all_at(bytes, at),
    )?;
    file.set_len(length)
}

fn wasm(state: &State, symbols: &Symbols, name: &str) -> Vec<u8> {
    let mut memories = state.windows();
    // an exported memory that was imported is none of the module's own
    if let Some(memory) = &state.memory
        && memories.iter().all(|own| own.start != memory.start)
    {
        memories.insert(0, memory.clone());
    }
    let frames =
        state.frames.iter().map_while(|[function, offset]| Some((u32::try_from(*function).ok()?, *offset)));
    let frames: Vec<_> = frames.collect();
    let core = wasm_core::Core { frames: &frames, memories: &memories, globals: &[], name };
    wasm_core::encode(&core, symbols, |address, to| state.read(address, to))
}
