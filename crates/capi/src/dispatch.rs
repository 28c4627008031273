//! Sandboxes in threads of their own, for event loops.
//!
//! A dispatcher belongs to one loop and has one descriptor to wait on. A worker runs one sandbox: the owner hands over
//! a command and gets on with other things; when the command has come to its end, the descriptor becomes readable and
//! `hl_dispatch_ready` names the worker's tag. From the hand-over to `hl_dispatch_end` the sandbox is away: functions
//! on it return HL_BUSY, -1 or NULL. At all other times they work as usual, in the owner's thread; so results, the
//! arguments of host calls and memory are read there, and host functions run there.
//!
//! A dispatcher and its workers are used by one thread, their owner; only `hl_dispatch_kick` may come from another.

use crate::codes::*;
use crate::errors::{Failure, report};
use crate::sandbox::{Vm, code, hl_sandbox, values};
use crate::types::{hl_error, hl_value};
use crate::vectors::{hl_bytes_call, wanted};
use hlfuzz_vmm::Status;
use hlfuzz_vmm::dispatch::{Command, Dispatcher, Worker};
use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

/// What one event loop waits on for all of its sandboxes.
pub struct hl_dispatcher {
    dispatcher: Arc<Dispatcher>,
    /// Tags that were taken and not yet given out, last first.
    tags: Vec<u64>,
}

/// The thread of one sandbox.
pub struct hl_worker {
    worker: Worker,
    sandbox: *mut hl_sandbox,
}

/// Makes a dispatcher.
///
/// Its owner is the thread that uses it, which may change; the workers' owner is the same.
///
/// @param error NULL, or where to say why: HL_E_OUT_OF_FDS, HL_E_OUT_OF_MEMORY.
/// @return a dispatcher, which the caller frees with `hl_dispatch_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_new(error: *mut hl_error) -> *mut hl_dispatcher {
    let made = Dispatcher::new().map_err(Failure::from);
    // SAFETY: the C contract.
    unsafe { report(made, error) }.map_or(std::ptr::null_mut(), |dispatcher| {
        Box::into_raw(Box::new(hl_dispatcher { dispatcher, tags: Vec::new() }))
    })
}

/// Frees a dispatcher; workers that are attached to it go on, and nobody hears of them.
///
/// Its descriptor is closed with the last of them.
///
/// @param dispatcher The dispatcher, not used again; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_free(dispatcher: *mut hl_dispatcher) {
    if !dispatcher.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(dispatcher) });
    }
}

/// The descriptor (an eventfd) that is readable when a command has come to its end.
///
/// Wait on it with poll, epoll or any loop, and do not read it: `hl_dispatch_ready` does.
///
/// @param dispatcher The dispatcher.
/// @return the descriptor, valid as long as the dispatcher; -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_fd(dispatcher: *const hl_dispatcher) -> i32 {
    // SAFETY: the C contract.
    unsafe { dispatcher.as_ref() }.map_or(-1, |it| it.dispatcher.fd())
}

/// Names the workers whose commands have come to their ends, in that order, and silences the descriptor.
///
/// Call it until it returns less than `n`: only then the descriptor becomes readable again for those that follow. Ask each
/// of them with `hl_dispatch_end`; one that `hl_dispatch_wait` has already ended may be named once more.
///
/// @param dispatcher The dispatcher.
/// @param tags Room for `n` tags.
/// @param n At most so many.
/// @return how many tags were written; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_ready(dispatcher: *mut hl_dispatcher, tags: *mut u64, n: u32) -> u32 {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { dispatcher.as_mut() }) else { return 0 };
    if tags.is_null() {
        return 0;
    }
    if it.tags.is_empty() {
        it.dispatcher.take(&mut it.tags);
        it.tags.reverse();
    }
    let mut count = 0;
    while count < n
        && let Some(tag) = it.tags.pop()
    {
        // SAFETY: the C contract: room for `n`.
        unsafe { tags.add(count as usize).write(tag) };
        count += 1;
    }
    count
}

/// Starts the thread of a sandbox.
///
/// Detach the worker before the sandbox is closed. All signals are blocked in the thread.
///
/// @param dispatcher Who is told of the ends of commands.
/// @param sandbox A sandbox from `hl_sandbox_new` that has no worker; it stays the caller's.
/// @param tag Its name in `hl_dispatch_ready`.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_OUT_OF_MEMORY (no more threads).
/// @return a worker, which the caller ends with `hl_dispatch_detach`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_attach(
    dispatcher: *const hl_dispatcher,
    sandbox: *mut hl_sandbox,
    tag: u64,
    error: *mut hl_error,
) -> *mut hl_worker {
    // SAFETY: the C contract.
    let made = match unsafe { (dispatcher.as_ref(), sandbox.as_ref()) } {
        (Some(it), Some(hl_sandbox { vm: Vm::Live(_), .. })) => {
            Worker::start(it.dispatcher.clone(), tag).map_err(Failure::from)
        }
        (None, _) => Err(Failure::argument("NULL in place of a dispatcher")),
        _ => Err(Failure::argument("no sandbox from hl_sandbox_new that is not with a worker already")),
    };
    // SAFETY: the C contract.
    unsafe { report(made, error) }
        .map_or(std::ptr::null_mut(), |worker| Box::into_raw(Box::new(hl_worker { worker, sandbox })))
}

/// Ends the thread; the sandbox is in the owner's hands again.
///
/// A command that runs is kicked first: a call is then open as after HL_RUNNING (`hl_wait`, `hl_kill`, `hl_sandbox_close`).
/// In a forked child it only lets go of both.
///
/// @param worker The worker, not used again, by no thread; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_detach(worker: *mut hl_worker) {
    if worker.is_null() {
        return;
    }
    // SAFETY: it came from `Box::into_raw`.
    let it = *unsafe { Box::from_raw(worker) };
    if let Some(vm) = it.worker.stop() {
        // SAFETY: the C contract: it is still open.
        unsafe { (*it.sandbox).vm = Vm::Live(vm) };
    }
}

/// Hands the sandbox over with the command that `make` makes. HL_DONE, or what keeps it from being done.
///
/// # Safety
/// `worker` is NULL or valid, with its sandbox open.
unsafe fn hand_over(worker: *mut hl_worker, make: impl FnOnce(&mut hl_sandbox) -> Option<Command>) -> i32 {
    // SAFETY: the caller's contract.
    let Some(it) = (unsafe { worker.as_ref() }) else { return HL_INVALID };
    // SAFETY: as above.
    let sandbox = unsafe { &mut *it.sandbox };
    match std::mem::replace(&mut sandbox.vm, Vm::Away) {
        Vm::Live(vm) => {
            let Some(command) = make(sandbox) else {
                sandbox.vm = Vm::Live(vm);
                return HL_INVALID;
            };
            match it.worker.hand_over(vm, command) {
                None => HL_DONE,
                Some(vm) => {
                    let forked = vm.in_forked_child();
                    sandbox.vm = Vm::Live(vm);
                    if forked { HL_DEAD } else { HL_BUSY }
                }
            }
        }
        other => {
            sandbox.vm = other;
            code(sandbox.absent())
        }
    }
}

/// Begins `hl_call` in the worker's thread.
///
/// @param worker The worker, with its sandbox open.
/// @param func As in `hl_call`.
/// @param args The arguments, which are copied. NULL with 0.
/// @param n_args Their number.
/// @param flags As in `hl_call`.
/// @return HL_DONE: handed over; HL_BUSY: the worker has the sandbox already; HL_INVALID; HL_DEAD in a forked child. What is
/// wrong with the command itself is seen by the thread, and `hl_dispatch_end` says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_call(
    worker: *mut hl_worker,
    func: u32,
    args: *const hl_value,
    n_args: u32,
    flags: u32,
) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let (args, reset) = (values(args, n_args).to_vec(), flags & HL_CALL_RESET != 0);
        hand_over(worker, |_| Some(Command::Call { export: func, args, reset }))
    }
}

/// Begins `hl_call_bytes` in the worker's thread.
///
/// `out` of the plan is not used: when the call has ended, its bytes are in `hl_result_bytes`.
///
/// @param worker The worker, with its sandbox open.
/// @param call What to call and how; copied.
/// @param data The bytes, which are copied. NULL with 0.
/// @param len Their number.
/// @param flags As in `hl_call`.
/// @return as `hl_dispatch_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_call_bytes(
    worker: *mut hl_worker,
    call: *const hl_bytes_call,
    data: *const u8,
    len: usize,
    flags: u32,
) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let Some(call) = call.as_ref().and_then(|call| wanted(call)) else { return HL_INVALID };
        let Ok(data) = crate::module::bytes(data, len) else { return HL_INVALID };
        let (call, data, reset) = ((&call).into(), data.to_vec(), flags & HL_CALL_RESET != 0);
        hand_over(worker, |_| Some(Command::CallBytes { call, data, reset }))
    }
}

/// Begins `hl_resume` in the worker's thread.
///
/// @param worker The worker, with its sandbox open.
/// @param results The results of the host call, which are copied. NULL with 0.
/// @param n Their number.
/// @return as `hl_dispatch_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_resume(worker: *mut hl_worker, results: *const hl_value, n: u32) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let results = values(results, n).to_vec();
        hand_over(worker, |_| Some(Command::Resume(results)))
    }
}

/// Begins `hl_fail` in the worker's thread.
///
/// @param worker The worker, with its sandbox open.
/// @param message Why, in UTF-8, for `hl_trap`; copied.
/// @param len Its length in bytes, without a NUL.
/// @return as `hl_dispatch_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_fail(worker: *mut hl_worker, message: *const c_char, len: usize) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let text = crate::module::bytes(message.cast(), len).unwrap_or_default();
        let text = String::from_utf8_lossy(text).into_owned();
        hand_over(worker, |sandbox| {
            sandbox.set_host_failure(text);
            Some(Command::Fail)
        })
    }
}

/// Begins `hl_wait` in the worker's thread: goes on with a call that was kicked.
///
/// @param worker The worker, with its sandbox open.
/// @return as `hl_dispatch_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_go_on(worker: *mut hl_worker) -> i32 {
    // SAFETY: the C contract.
    unsafe { hand_over(worker, |_| Some(Command::Wait)) }
}

/// Begins `hl_reset` in the worker's thread.
///
/// @param worker The worker, with its sandbox open.
/// @return as `hl_dispatch_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_reset(worker: *mut hl_worker) -> i32 {
    // SAFETY: the C contract.
    unsafe { hand_over(worker, |_| Some(Command::Reset)) }
}

/// Begins `hl_kill` in the worker's thread: ends a call that was kicked, or whose host call waits.
///
/// @param worker The worker, with its sandbox open.
/// @return as `hl_dispatch_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_kill(worker: *mut hl_worker) -> i32 {
    // SAFETY: the C contract.
    unsafe { hand_over(worker, |_| Some(Command::Kill)) }
}

/// Takes the sandbox back from a command that has come to its end.
///
/// @param worker The worker, with its sandbox open.
/// @return what the function that the command is named after returns; HL_RUNNING only after a kick. HL_BUSY while the
/// command runs, and when none was handed over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_end(worker: *mut hl_worker) -> i32 {
    // SAFETY: the C contract.
    unsafe { take_back(worker, Worker::end) }
}

/// As `hl_dispatch_end`, but sleeps until the command has come to its end.
///
/// @param worker The worker, with its sandbox open.
/// @param timeout_us At most so many microseconds.
/// @return as `hl_dispatch_end`; HL_BUSY when the time is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_wait(worker: *mut hl_worker, timeout_us: u64) -> i32 {
    // SAFETY: the C contract.
    unsafe { take_back(worker, |worker| worker.wait(Duration::from_micros(timeout_us))) }
}

/// # Safety
/// As `hand_over`.
unsafe fn take_back(
    worker: *mut hl_worker,
    end: impl FnOnce(&Worker) -> Option<(Box<hlfuzz_vmm::Sandbox>, Status)>,
) -> i32 {
    // SAFETY: the caller's contract.
    let Some(it) = (unsafe { worker.as_ref() }) else { return HL_INVALID };
    match end(&it.worker) {
        Some((vm, status)) => {
            // SAFETY: the caller's contract.
            unsafe { (*it.sandbox).vm = Vm::Live(vm) };
            code(status)
        }
        None => HL_BUSY,
    }
}

/// Makes the command that runs come back soon, with HL_RUNNING unless it ends by itself before that.
///
/// Then `hl_dispatch_kill` ends its call, or `hl_dispatch_go_on` goes on with it. Nothing when no command runs. The one
/// function that any thread may call.
///
/// @param worker The worker, not detached before this returns; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_dispatch_kick(worker: *const hl_worker) {
    // SAFETY: the C contract.
    if let Some(it) = unsafe { worker.as_ref() } {
        it.worker.kick();
    }
}
