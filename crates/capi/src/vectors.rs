//! Calls with a byte vector.

use crate::codes::*;
use crate::sandbox::{code, hl_sandbox, values};
use crate::types::hl_value;
use hlfuzz_vmm::Status;
use hlfuzz_vmm::sandbox::{BytesCall, Form, Room};

/// What `hl_call_bytes` calls, and how: made once for an export, and used for many calls.
#[repr(C)]
pub struct hl_bytes_call {
    /// `sizeof(hl_bytes_call)`, set by the caller.
    pub size: u32,
    /// Position of the function in the export list.
    pub func: u32,
    /// Number of `args`: that of the function's parameters.
    pub n_args: u32,
    /// The arguments at this position and the next become pointer and length of the bytes.
    pub vector_at: u32,
    /// One of `HL_BYTES_*`: how the results stand for bytes.
    pub form: u32,
    /// Position of the allocator in the export list: it gets `alloc_args`, of which the one at `alloc_len_at` becomes
    /// the length, and returns the address. HL_NO_ALLOCATOR: the bytes go to `scratch`.
    pub alloc_func: u32,
    /// Number of `alloc_args`, at most 8.
    pub n_alloc_args: u32,
    /// Which of `alloc_args` becomes the length.
    pub alloc_len_at: u32,
    /// The function's arguments.
    pub args: *const hl_value,
    /// The allocator's arguments.
    pub alloc_args: *const hl_value,
    /// Address of the bytes without an allocator.
    pub scratch: u64,
    /// Where the bytes that the call gives back are copied when they fit, beside `hl_result_bytes`; may be NULL.
    pub out: *mut u8,
    /// Room at `out`, in bytes.
    pub out_capacity: u64,
    /// Set by each HL_DONE: the number of bytes, also when they did not fit.
    pub out_len: u64,
}

/// The call that a plan describes; None when it is none.
///
/// # Safety
/// Its pointers are NULL or valid for their counts, for as long as the result lives.
pub(crate) unsafe fn wanted<'a>(call: &hl_bytes_call) -> Option<BytesCall<'a>> {
    let form = match call.form {
        HL_BYTES_NONE => Form::None,
        HL_BYTES_PAIR => Form::Pair,
        HL_BYTES_PACKED => Form::Packed,
        HL_BYTES_INPLACE => Form::InPlace,
        _ => return None,
    };
    if call.size as usize != size_of::<hl_bytes_call>() {
        return None;
    }
    // SAFETY: the caller's contract.
    let (args, alloc_args) =
        unsafe { (values(call.args, call.n_args), values(call.alloc_args, call.n_alloc_args)) };
    let room = match call.alloc_func {
        HL_NO_ALLOCATOR => Room::Scratch(call.scratch),
        export => Room::Allocator { export, args: alloc_args, len_at: call.alloc_len_at as usize },
    };
    Some(BytesCall { export: call.func, args, at: call.vector_at as usize, room, form })
}

/// Calls an export with bytes in guest memory (the default, 32-bit one): room from the guest's allocator, copy, call.
///
/// When the call comes back with HL_HOSTCALL or HL_RUNNING and ends later, its bytes are in `hl_result_bytes` only.
///
/// @param sandbox The sandbox; used by one thread at a time.
/// @param call What to call and how; set its `size` to `sizeof(hl_bytes_call)`. Need not outlive this function.
/// @param data The bytes; need not outlive this function. NULL with 0.
/// @param len Their number.
/// @param flags As in `hl_call`.
/// @return as `hl_call`, and HL_BUSY while any call is open. With HL_DONE the bytes that the results stand for are in
/// `hl_result_bytes`; an allocator or results that name bytes outside memory are HL_TRAP of kind HL_TRAP_VECTOR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_call_bytes(
    sandbox: *mut hl_sandbox,
    call: *mut hl_bytes_call,
    data: *const u8,
    len: usize,
    flags: u32,
) -> i32 {
    // SAFETY: the C contract.
    let (Some(sandbox), Some(call)) = (unsafe { sandbox.as_mut() }, unsafe { call.as_mut() }) else {
        return HL_INVALID;
    };
    // SAFETY: the C contract.
    let (Some(wanted), Ok(data)) = (unsafe { (wanted(call), crate::module::bytes(data, len)) }) else {
        return HL_INVALID;
    };
    let absent = code(sandbox.absent());
    let Some(it) = sandbox.sandbox() else { return absent };
    it.reset_at_end(flags & HL_CALL_RESET != 0);
    let status: Status = it.call_bytes(&wanted, data);
    let status = it.finish_call(status);
    if status == Status::Done {
        let bytes = it.result_bytes();
        call.out_len = bytes.len() as u64;
        if !call.out.is_null() && call.out_len <= call.out_capacity {
            // SAFETY: the C contract: room for that many bytes, of nobody else.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), call.out, bytes.len()) };
        }
    }
    code(status)
}

/// The bytes that the last `hl_call_bytes` with HL_DONE gave back.
///
/// @param sandbox The sandbox; NULL has none.
/// @param len NULL, or gets their number.
/// @return a copy that belongs to the sandbox and is valid until the next call; may only be read `*len` long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_result_bytes(sandbox: *mut hl_sandbox, len: *mut u64) -> *const u8 {
    // SAFETY: the C contract.
    let bytes =
        unsafe { sandbox.as_mut() }.and_then(|it| it.sandbox()).map_or(&[][..], |it| it.result_bytes());
    // SAFETY: the C contract.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = bytes.len() as u64;
    }
    bytes.as_ptr()
}
