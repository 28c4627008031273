//! Measuring loops behind the same functions that embedders call, so that no interpreter is in the figures.

use crate::codes::*;
use crate::memory::hl_mem_write;
use crate::sandbox::{hl_call, hl_hostcall, hl_reset, hl_resume, hl_sandbox, hl_wait};
use crate::types::{hl_hostcall_info, hl_value};
use hlfuzz_vmm::Status;
use std::hint::black_box;
use std::time::Instant;

/// # Safety
/// `samples` is valid for `n`.
unsafe fn sample(n: u32, samples: *mut u64, mut act: impl FnMut() -> Result<(), i32>) -> i32 {
    for i in 0..n as usize {
        let start = Instant::now();
        let result = act();
        let spent = start.elapsed().as_nanos() as u64;
        if let Err(status) = result {
            return status;
        }
        // SAFETY: the caller's contract.
        unsafe { samples.add(i).write(spent) };
    }
    HL_DONE
}

/// Makes `n` calls and takes the time of each, with no caller's language in the figures.
///
/// Host calls are answered with zeros. HL_TRAP and HL_TIMEOUT are followed by a reset and do not end the loop.
///
/// @param sandbox The sandbox.
/// @param func Position in the export list.
/// @param args The arguments of each call.
/// @param n_args Their number.
/// @param flags As in `hl_call`.
/// @param input Bytes that are written to the default memory before each call.
/// @param input_len Their number; 0: none.
/// @param input_ptr Their address.
/// @param n Number of calls.
/// @param samples Room for `n` numbers: nanoseconds of each call.
/// @return HL_DONE, or the first status that is not an end of a call; `samples` is filled as far as that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_measure_call(
    sandbox: *mut hl_sandbox,
    func: u32,
    args: *const hl_value,
    n_args: u32,
    flags: u32,
    input: *const u8,
    input_len: u64,
    input_ptr: u64,
    n: u32,
    samples: *mut u64,
) -> i32 {
    // SAFETY: the C contract, handed on.
    unsafe {
        sample(n, samples, || {
            if input_len != 0 && hl_mem_write(sandbox, HL_DEFAULT_MEMORY, input_ptr, input, input_len) != 0 {
                return Err(HL_INVALID);
            }
            let mut status = hl_call(sandbox, func, args, n_args, flags);
            while status == HL_HOSTCALL || status == HL_RUNNING {
                if status == HL_RUNNING {
                    status = hl_wait(sandbox);
                    continue;
                }
                let mut call = hl_hostcall_info { import: 0, n_args: 0, args: std::ptr::null() };
                hl_hostcall(sandbox, &raw mut call);
                let results = (*sandbox).host_results(call.import);
                status = hl_resume(sandbox, results.as_ptr().cast(), results.len() as u32);
            }
            match status {
                HL_DONE => Ok(()),
                HL_TRAP | HL_TIMEOUT if flags & HL_CALL_RESET != 0 => Ok(()),
                HL_TRAP | HL_TIMEOUT => {
                    hl_reset(sandbox);
                    Ok(())
                }
                other => Err(other),
            }
        })
    }
}

/// Measures what no sandbox can be faster than.
///
/// @param sandbox The sandbox, no call running.
/// @param what One of HL_FLOOR_*.
/// @param n Number of measurements.
/// @param samples Room for `n` numbers: nanoseconds of each.
/// @return HL_DONE, HL_INVALID, or HL_DEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_measure_floor(
    sandbox: *mut hl_sandbox,
    what: u32,
    n: u32,
    samples: *mut u64,
) -> i32 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }).and_then(|it| it.sandbox()) else { return HL_INVALID };
    // SAFETY: the C contract.
    unsafe {
        match what {
            HL_FLOOR_CLOCK => sample(n, samples, || Ok(())),
            HL_FLOOR_EXCHANGE => sample(n, samples, || match it.nop() {
                Status::Done => Ok(()),
                _ => Err(HL_DEAD),
            }),
            HL_FLOOR_VM_CREATE => sample(n, samples, || it.create_and_drop_machine().map_err(|_| HL_DEAD)),
            HL_FLOOR_PAGE_COPY => {
                let (from, mut to) = (vec![1u8; 4096], vec![0u8; 4096]);
                sample(n, samples, || {
                    to.copy_from_slice(black_box(&from));
                    black_box(&mut to);
                    Ok(())
                })
            }
            _ => HL_INVALID,
        }
    }
}
