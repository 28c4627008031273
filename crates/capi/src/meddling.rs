//! For tests of tests: memory that changes while the host reads it.

use crate::codes::*;
use crate::sandbox::hl_sandbox;
use hlfuzz_vmm::Status;
use hlfuzz_vmm::sandbox::{Change, Shared};

/// A change of memory that host and guest share. Set `size` to `sizeof(hl_test_change)`.
#[repr(C)]
pub struct hl_test_change {
    /// `sizeof(hl_test_change)`.
    pub size: u32,
    /// One of HL_SHARED_*.
    pub what: u32,
    /// Bytes from the start of that.
    pub offset: u64,
    /// Bytes that are written, 1, 4 or 8; aligned.
    pub width: u32,
    /// 0.
    pub reserved: u32,
    /// What is written; with HL_ALWAYS in turn with `second`.
    pub first: u64,
    /// See `first`.
    pub second: u64,
    /// Before which read of shared memory, counted from 0 at this call, it is written once; or HL_ALWAYS.
    pub at_read: u64,
}

/// For tests of tests: has memory that is shared with the guest changed while the host reads it.
///
/// A change begins with this call and ends with the next one.
///
/// @param sandbox The sandbox, no call running.
/// @param change The change; NULL ends the one before.
/// @param count NULL, or gets what came of the change before: how often the host has read shared memory, or a thread has
/// written it.
/// @return HL_DONE, HL_INVALID for what is not shared or not aligned, or HL_DEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_test_meddle(
    sandbox: *mut hl_sandbox,
    change: *const hl_test_change,
    count: *mut u64,
) -> i32 {
    // SAFETY: the C contract: its size comes first.
    let size = unsafe { change.cast::<u32>().as_ref() };
    if size.is_some_and(|size| *size as usize != size_of::<hl_test_change>()) {
        return HL_INVALID;
    }
    // SAFETY: the C contract, and it has the size.
    let change = unsafe { change.as_ref() };
    // SAFETY: the C contract.
    unsafe {
        hl_sandbox::on_sandbox(sandbox, |it| {
            let came_of_it = it.leave_alone();
            if let Some(count) = count.as_mut() {
                *count = came_of_it;
            }
            let Some(change) = change else { return Status::Done };
            let Some(what) = shared(change.what) else { return Status::Invalid };
            let at = (change.at_read != HL_ALWAYS).then_some(change.at_read);
            let values = [change.first, change.second];
            it.meddle(&Change { what, offset: change.offset, width: change.width, values }, at)
        })
    }
}

fn shared(what: u32) -> Option<Shared> {
    Some(match what {
        HL_SHARED_AUX => Shared::Aux,
        HL_SHARED_COUNT => Shared::Count,
        HL_SHARED_POSTED => Shared::Posted,
        HL_SHARED_MEMORY => Shared::Memory,
        HL_SHARED_MEMORY_LEN => Shared::MemoryLen,
        HL_SHARED_VALUES => Shared::Values,
        HL_SHARED_TEXT_LEN => Shared::TextLen,
        HL_SHARED_TEXT => Shared::Text,
        HL_SHARED_QUEUE => Shared::Queue,
        HL_SHARED_VECTOR_HEAD => Shared::VectorHead,
        HL_SHARED_GUEST => Shared::Guest,
        _ => return None,
    })
}
