//! Guest memory and globals, bounds-checked; comparing and hashing guest RAM.

use crate::codes::*;
use crate::sandbox::hl_sandbox;
use crate::types::hl_value;
use hlfuzz_abi::map;
use hlfuzz_vmm::Status;
use std::hash::Hasher;

/// # Safety
/// `sandbox` is NULL or valid.
unsafe fn view(sandbox: *mut hl_sandbox, memory: u32, ptr: u64, len: u64) -> Option<*mut u8> {
    // SAFETY: the caller's contract.
    let it = unsafe { sandbox.as_mut() }?.sandbox()?;
    it.view(export(memory), ptr, len).ok()?
}

fn export(memory: u32) -> Option<u32> {
    (memory != HL_DEFAULT_MEMORY).then_some(memory)
}

/// Size of a memory in bytes. `memory`: position in the export list, or HL_DEFAULT_MEMORY. 0, or -1 when it is no
/// memory or a call runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_mem_size(sandbox: *mut hl_sandbox, memory: u32, bytes: *mut u64) -> i32 {
    // SAFETY: the C contract.
    let range = unsafe { sandbox.as_mut() }
        .and_then(|it| it.sandbox())
        .and_then(|it| it.memory_range(export(memory)).ok());
    // SAFETY: the C contract.
    match (range, unsafe { bytes.as_mut() }) {
        (Some((_, len)), Some(bytes)) => {
            *bytes = len;
            0
        }
        _ => -1,
    }
}

/// `len` bytes at `ptr` of a memory, in place; NULL when they are out of range. Valid until the next call, resume or
/// reset. Bytes are the guest's: copy, then check, then use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_mem(sandbox: *mut hl_sandbox, memory: u32, ptr: u64, len: u64) -> *const u8 {
    // SAFETY: the C contract.
    unsafe { view(sandbox, memory, ptr, len) }.map_or(std::ptr::null(), |at| at.cast_const())
}

/// Copies `len` bytes at `ptr` of a memory to `to`. 0, or -1 when they are out of range; nothing was copied then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_mem_read(
    sandbox: *mut hl_sandbox,
    memory: u32,
    ptr: u64,
    to: *mut u8,
    len: u64,
) -> i32 {
    // SAFETY: the C contract.
    match unsafe { view(sandbox, memory, ptr, len) } {
        Some(at) => {
            if len != 0 {
                // SAFETY: `view` checked the source; the C contract gives the destination.
                unsafe { std::ptr::copy_nonoverlapping(at, to, len as usize) };
            }
            0
        }
        None => -1,
    }
}

/// Copies `len` bytes to `ptr` of a memory; they are part of the state that a reset wipes. 0, or -1 when they do not
/// fit; nothing was written then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_mem_write(
    sandbox: *mut hl_sandbox,
    memory: u32,
    ptr: u64,
    from: *const u8,
    len: u64,
) -> i32 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(|it| it.sandbox()) else { return -1 };
    // SAFETY: the C contract.
    let Ok(bytes) = (unsafe { crate::module::bytes(from, len as usize) }) else { return -1 };
    if it.write(export(memory), ptr, bytes) == Ok(true) { 0 } else { -1 }
}

/// Reads an exported global. 0, or -1 (no global there, a reference, or a call runs).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_global_get(sandbox: *mut hl_sandbox, global: u32, out: *mut hl_value) -> i32 {
    // SAFETY: the C contract.
    let value =
        unsafe { sandbox.as_mut() }.and_then(|it| it.sandbox()).and_then(|it| it.global_get(global).ok());
    // SAFETY: the C contract.
    match (value, unsafe { out.as_mut() }) {
        (Some(value), Some(out)) => {
            out.raw = value;
            0
        }
        _ => -1,
    }
}

/// Writes an exported mutable global. 0, or -1 (immutable, no global there, a reference, or a call runs).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_global_set(sandbox: *mut hl_sandbox, global: u32, value: *const hl_value) -> i32 {
    // SAFETY: the C contract; every bit pattern is valid for integers.
    let value = unsafe { value.as_ref().map(|value| value.raw) };
    // SAFETY: the C contract.
    let it = unsafe { sandbox.as_mut() }.and_then(|it| it.sandbox());
    match it.zip(value).map(|(it, value)| it.global_set(global, value)) {
        Some(Status::Done) => 0,
        _ => -1,
    }
}

/// Number of pages of guest RAM that differ from the snapshot right now; -1 when that cannot be said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verify(sandbox: *mut hl_sandbox) -> i64 {
    // SAFETY: the C contract.
    let it = unsafe { sandbox.as_mut() }.and_then(|it| it.sandbox());
    it.and_then(|it| it.differences().ok()).map_or(-1, |(pages, _)| pages as i64)
}

/// A hash of a region (HL_REGION_*) of guest RAM; equal for equal content within one process. 0, or -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_ram_hash(sandbox: *mut hl_sandbox, region: u32, hash: *mut u64) -> i32 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(|it| it.sandbox()) else { return -1 };
    let layout = it.layout();
    let all = std::slice::from_ref(&layout.whole);
    // the ring-0 stack is left out: an exception writes it, and a reset restores it
    let system = [map::PML4..map::RING0_STACK, map::TABLE_POOL..map::RUNTIME];
    let ranges = match region {
        HL_REGION_ALL => all,
        HL_REGION_SYSTEM => &system,
        HL_REGION_TEXT => &layout.text,
        _ => return -1,
    };
    let mut hasher = std::hash::DefaultHasher::new();
    for range in ranges {
        let Some(bytes) = it.ram_slice(range.start, range.end) else { return -1 };
        hasher.write(bytes);
    }
    // SAFETY: the C contract.
    match unsafe { hash.as_mut() } {
        Some(hash) => {
            *hash = hasher.finish();
            0
        }
        None => -1,
    }
}
