//! What differs from the snapshot, and the registers of a vCPU: evidence for whoever checks resets.

use crate::codes::*;
use crate::errors::put_text;
use crate::sandbox::hl_sandbox;
use hlfuzz_vmm::Difference;
use hlfuzz_vmm::sandbox::SHOWN;
use std::ffi::c_char;

/// Bytes that differ from the snapshot. Differing bytes with fewer than 8 equal ones between them are one range.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hl_difference {
    /// Guest address of the first byte.
    pub address: u64,
    /// Number of bytes.
    pub length: u64,
    /// In a linear memory: the offset of the first byte.
    pub offset: u64,
    /// The linear memory it lies in, by its position among those that the module defines; HL_NO_MEMORY: none.
    pub memory: u32,
    /// Bytes in `before` and in `after`.
    pub shown: u32,
    /// The first bytes in the snapshot.
    pub before: [u8; 32],
    /// The same bytes now.
    pub after: [u8; 32],
    /// Which part of the memory map it begins in: NUL-terminated.
    pub part: [c_char; 32],
}

const _: () = assert!(SHOWN == 32);

/// Ranges that one call gives at most.
const MOST: u32 = 1 << 16;

/// Lists what differs from the snapshot right now, in order of address: guest RAM, and of a sandbox with strict resets the
/// mailbox, which such a reset leaves zeroed.
///
/// @param sandbox The sandbox, no call running.
/// @param region HL_REGION_ALL, or HL_REGION_READ_ONLY: only what the guest may not write.
/// @param out Gets the first ranges; NULL: they are only counted.
/// @param capacity Room in `out`; of more than 65536, the rest is not used.
/// @return number of ranges, which may be more than were given; -1 when that cannot be said, or there is no such region.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_differences(
    sandbox: *mut hl_sandbox,
    region: u32,
    out: *mut hl_difference,
    capacity: u32,
) -> i64 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(|it| it.sandbox()) else { return -1 };
    let read_only = match region {
        HL_REGION_ALL => false,
        HL_REGION_READ_ONLY => true,
        _ => return -1,
    };
    let room = if out.is_null() { 0 } else { capacity.min(MOST) as usize };
    let Ok((found, total)) = it.differing_bytes(read_only, room) else { return -1 };
    for (at, difference) in found.iter().enumerate() {
        // SAFETY: the C contract: there is room for `capacity`, and not more were asked for.
        unsafe { out.add(at).write(described(difference)) };
    }
    total as i64
}

fn described(difference: &Difference) -> hl_difference {
    let (memory, offset) = difference.memory.unwrap_or((HL_NO_MEMORY, 0));
    let mut it = hl_difference {
        address: difference.range.start,
        length: difference.range.end - difference.range.start,
        offset,
        memory,
        shown: difference.before.len() as u32,
        before: [0; 32],
        after: [0; 32],
        part: [0; 32],
    };
    it.before[..difference.before.len()].copy_from_slice(&difference.before);
    it.after[..difference.after.len()].copy_from_slice(&difference.after);
    put_text(&mut it.part, difference.part);
    it
}

/// One register of a vCPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hl_register {
    /// As assemblers call it, or its MSR's short name: NUL-terminated. A segment is selector, base, limit and attributes;
    /// "events" is what is pending.
    pub name: [c_char; 20],
    /// Bytes in `value`.
    pub length: u32,
    /// Little endian.
    pub value: [u8; 32],
}

/// Lists every register of the sandbox's vCPU that the host can read: for comparing it with another's.
///
/// Of a sandbox with the exit transport, between calls, these are what the next call begins with. With the spin transport
/// they are those of the loop that waits for it.
///
/// @param sandbox The sandbox, no call running.
/// @param out Gets the registers; NULL: they are only counted.
/// @param capacity Room in `out`.
/// @return number of registers, which may be more than were given; -1 when they cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_vcpu_registers(
    sandbox: *mut hl_sandbox,
    out: *mut hl_register,
    capacity: u32,
) -> i64 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(|it| it.sandbox()) else { return -1 };
    let Ok(found) = it.all_registers() else { return -1 };
    let room = if out.is_null() { 0 } else { capacity as usize };
    for (at, register) in found.iter().take(room).enumerate() {
        let mut row = hl_register { name: [0; 20], length: register.value.len() as u32, value: [0; 32] };
        row.value[..register.value.len()].copy_from_slice(&register.value);
        put_text(&mut row.name, &register.name);
        // SAFETY: the C contract.
        unsafe { out.add(at).write(row) };
    }
    found.len() as i64
}
