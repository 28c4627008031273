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

/// Size of a memory in bytes.
///
/// @param sandbox The sandbox, no call running.
/// @param memory Position in the export list, or HL_DEFAULT_MEMORY.
/// @param bytes Gets the size.
/// @return 0, or -1 when it is no memory, a call runs, or an argument is NULL.
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

/// Where a memory may be written: all of a linear memory; data, stack and heap of a native guest, one range after the
/// other.
///
/// @param sandbox The sandbox, no call running.
/// @param memory Position in the export list, or HL_DEFAULT_MEMORY.
/// @param from Address from which to look: 0, then the end of the range before.
/// @param start Gets the address at which the range begins.
/// @param end Gets the address behind its last byte.
/// @return 1, or 0 when there is no other range, or -1 when it is no memory, a call runs, or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_mem_writable(
    sandbox: *mut hl_sandbox,
    memory: u32,
    from: u64,
    start: *mut u64,
    end: *mut u64,
) -> i32 {
    // SAFETY: the C contract.
    let found = unsafe { sandbox.as_mut() }
        .and_then(|it| it.sandbox())
        .and_then(|it| it.writable(export(memory), from).ok());
    // SAFETY: the C contract.
    match (found, unsafe { start.as_mut() }, unsafe { end.as_mut() }) {
        (Some(Some(range)), Some(start), Some(end)) => {
            (*start, *end) = (range.start, range.end);
            1
        }
        (Some(None), Some(_), Some(_)) => 0,
        _ => -1,
    }
}

/// Bytes of a memory, in place.
///
/// What is there belongs to the guest: copy, then check, then use.
///
/// @param sandbox The sandbox, no call running.
/// @param memory Position in the export list, or HL_DEFAULT_MEMORY.
/// @param ptr Address in that memory.
/// @param len Number of bytes.
/// @return a pointer that is valid until the next call, resume or reset, or NULL when the bytes are not all inside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_mem(sandbox: *mut hl_sandbox, memory: u32, ptr: u64, len: u64) -> *const u8 {
    // SAFETY: the C contract.
    unsafe { view(sandbox, memory, ptr, len) }.map_or(std::ptr::null(), |at| at.cast_const())
}

/// Copies bytes out of a memory.
///
/// @param sandbox The sandbox, no call running.
/// @param memory Position in the export list, or HL_DEFAULT_MEMORY.
/// @param ptr Address in that memory.
/// @param to Room for `len` bytes.
/// @param len Number of bytes.
/// @return 0, or -1 when they are not all inside; nothing was copied then.
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

/// Copies bytes into a memory; they are part of the state that a reset wipes.
///
/// @param sandbox The sandbox, no call running.
/// @param memory Position in the export list, or HL_DEFAULT_MEMORY.
/// @param ptr Address in that memory.
/// @param from The bytes.
/// @param len Number of bytes.
/// @return 0, or -1 when they do not fit; nothing was written then.
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

/// Reads an exported global.
///
/// @param sandbox The sandbox, no call running.
/// @param global Position in the export list.
/// @param out Gets the value.
/// @return 0, or -1: no global there, a reference, a call runs, or an argument is NULL.
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

/// Writes an exported mutable global.
///
/// @param sandbox The sandbox, no call running.
/// @param global Position in the export list.
/// @param value The new value, in the member of the global's type.
/// @return 0, or -1: immutable, no global there, a reference, a call runs, or an argument is NULL.
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

/// Compares guest RAM with the snapshot.
///
/// @param sandbox The sandbox, no call running.
/// @return number of pages that differ right now, or -1 when that cannot be said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verify(sandbox: *mut hl_sandbox) -> i64 {
    // SAFETY: the C contract.
    let it = unsafe { sandbox.as_mut() }.and_then(|it| it.sandbox());
    it.and_then(|it| it.differences().ok()).map_or(-1, |(pages, _)| pages as i64)
}

/// A hash of a part of guest RAM; equal for equal content within one process.
///
/// @param sandbox The sandbox, no call running.
/// @param region One of HL_REGION_*.
/// @param hash Gets the hash.
/// @return 0, or -1: no such region, or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_ram_hash(sandbox: *mut hl_sandbox, region: u32, hash: *mut u64) -> i32 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(|it| it.sandbox()) else { return -1 };
    let layout = it.layout();
    // the ring-0 stack is left out: an exception writes it, and a reset restores it
    let system = [map::PML4..map::RING0_STACK, map::TABLE_POOL..map::RUNTIME];
    let ranges = match region {
        HL_REGION_SYSTEM => &system[..],
        HL_REGION_TEXT => &layout.text,
        HL_REGION_ALL | HL_REGION_SNAPSHOT => &[],
        _ => return -1,
    };
    let mut hasher = std::hash::DefaultHasher::new();
    let mut page = |number: u32, bytes: &[u8]| {
        hasher.write_u32(number);
        hasher.write(bytes);
    };
    match region {
        HL_REGION_ALL if it.each_page(&mut page).is_err() => return -1,
        HL_REGION_SNAPSHOT => it.each_snapshot_page(&mut page),
        _ => {}
    }
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

/// Looks for bytes in what a guest can read, for instance what an earlier tenant was given.
///
/// @param sandbox The sandbox, no call running.
/// @param region HL_REGION_ALL or HL_REGION_MAILBOX.
/// @param needle The bytes, not all of them 0.
/// @param len Number of them, at least 1.
/// @param address Gets the guest address of the first place where they are.
/// @return 1 when they are there, 0 when not, -1: no such region, a call runs, or an argument is NULL or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_ram_find(
    sandbox: *mut hl_sandbox,
    region: u32,
    needle: *const u8,
    len: usize,
    address: *mut u64,
) -> i32 {
    if needle.is_null() || len == 0 {
        return -1;
    }
    // SAFETY: the C contract: so many bytes.
    let needle = unsafe { std::slice::from_raw_parts(needle, len) };
    // SAFETY: the C contract.
    let (sandbox, address) = unsafe { (sandbox.as_mut(), address.as_mut()) };
    let Some((it, address)) = sandbox.and_then(|it| it.sandbox()).zip(address) else { return -1 };
    let found = match region {
        HL_REGION_ALL => it.find_in_ram(needle),
        HL_REGION_MAILBOX => it.find_in_mailbox(needle),
        _ => return -1,
    };
    match found {
        Ok(Some(at)) => {
            *address = at;
            1
        }
        Ok(None) => 0,
        Err(_) => -1,
    }
}
