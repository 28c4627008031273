//! Sandboxes: calls in, calls out, reset.

use crate::codes::*;
use crate::errors::{Failure, fill, options, report};
use crate::template::hl_template;
use crate::types::*;
use hlfuzz_vmm::deadline::Deadline;
use hlfuzz_vmm::faults::Faults;
use hlfuzz_vmm::inject;
use hlfuzz_vmm::posted::Queue;
use hlfuzz_vmm::sandbox::{Careless, HostCall};
use hlfuzz_vmm::{Boot, CallLimits, Level, LimitCause, Options, Sandbox, Status, Transport, TrapCause};
use std::ffi::{CString, c_char};
use std::time::Duration;

/// One micro-VM with one guest. One thread at a time.
pub struct hl_sandbox {
    pub(crate) vm: Vm,
    /// Texts that were returned as pointers, valid until the next call.
    text: CString,
    trap_text: String,
    host_failure: String,
}

pub(crate) enum Vm {
    Boot(Box<Boot>),
    Live(Box<Sandbox>),
    /// With its worker, which runs a command.
    Away,
}

pub(crate) fn code(status: Status) -> i32 {
    match status {
        Status::Done => HL_DONE,
        Status::HostCall => HL_HOSTCALL,
        Status::Trap => HL_TRAP,
        Status::Timeout => HL_TIMEOUT,
        Status::Dead => HL_DEAD,
        Status::Busy => HL_BUSY,
        Status::Running => HL_RUNNING,
        Status::Invalid => HL_INVALID,
    }
}

impl hl_sandbox {
    pub(crate) fn boxed(vm: Vm) -> *mut Self {
        let text = CString::default();
        Box::into_raw(Box::new(Self { vm, text, trap_text: String::new(), host_failure: String::new() }))
    }

    /// The VM; None once a boot has become a template, and while a worker has it.
    pub(crate) fn sandbox(&mut self) -> Option<&mut Sandbox> {
        match &mut self.vm {
            Vm::Live(sandbox) => Some(sandbox),
            Vm::Boot(boot) => boot.sandbox(),
            Vm::Away => None,
        }
    }

    /// What a call comes back with where `sandbox` gives None.
    pub(crate) fn absent(&self) -> Status {
        if matches!(self.vm, Vm::Away) { Status::Busy } else { Status::Dead }
    }

    /// `fail` explains itself with this text, in `hl_trap`.
    pub(crate) fn set_host_failure(&mut self, text: String) {
        self.host_failure = text;
    }

    pub(crate) fn sandbox_ref(&self) -> Option<&Sandbox> {
        match &self.vm {
            Vm::Live(sandbox) => Some(sandbox),
            Vm::Boot(boot) => boot.sandbox_ref(),
            Vm::Away => None,
        }
    }

    /// Zeros in place of the results of an import.
    pub(crate) fn host_results(&self, import: u32) -> &'static [[u64; 2]] {
        static ZEROS: [[u64; 2]; hlfuzz_abi::MAX_VALUES] = [[0; 2]; hlfuzz_abi::MAX_VALUES];
        &ZEROS[..self.sandbox_ref().and_then(|it| it.import_results(import)).unwrap_or(0) as usize]
    }

    pub(crate) fn run_boot(&mut self) -> Status {
        match &mut self.vm {
            Vm::Boot(boot) => boot.run(),
            Vm::Live(_) | Vm::Away => Status::Busy,
        }
    }

    /// # Safety
    /// `this` is NULL or valid.
    pub(crate) unsafe fn with(this: *mut Self, act: impl FnOnce(&mut Self) -> Status) -> i32 {
        // SAFETY: the caller's contract.
        unsafe { this.as_mut() }.map_or(HL_INVALID, |it| code(act(it)))
    }

    /// # Safety
    /// As `with`.
    #[inline]
    pub(crate) unsafe fn on_sandbox(this: *mut Self, act: impl FnOnce(&mut Sandbox) -> Status) -> i32 {
        // SAFETY: the caller's contract.
        unsafe {
            Self::with(this, |it| {
                let absent = it.absent();
                it.sandbox().map_or(absent, act)
            })
        }
    }
}

/// # Safety
/// `values` is NULL or valid for `n` values.
pub(crate) unsafe fn values<'a>(values: *const hl_value, n: u32) -> &'a [[u64; 2]] {
    if values.is_null() || n == 0 {
        return &[];
    }
    // SAFETY: the caller's contract; the union has this layout and every bit pattern is valid.
    unsafe { std::slice::from_raw_parts(values.cast(), n as usize) }
}

fn fallback() -> hl_sandbox_options {
    hl_sandbox_options {
        size: 0,
        transport: HL_TRANSPORT_AUTO,
        reset: HL_RESET_STRICT,
        cpu: -1,
        cpu_us: 0,
        wall_us: 0,
        slice_us: 0,
        idle_us: 0,
        verify_every: 0,
        reserved: 0,
        hostcall_limit: 0,
        output_limit: 0,
    }
}

fn read_options(given: &hl_sandbox_options) -> Result<Options, Failure> {
    let default = Options::default();
    let micros = |given: u64, or: Duration| if given == 0 { or } else { Duration::from_micros(given) };
    Ok(Options {
        transport: match given.transport {
            HL_TRANSPORT_AUTO => Transport::Auto,
            HL_TRANSPORT_SPIN => Transport::Spin,
            HL_TRANSPORT_EXIT => Transport::Exit,
            other => return Err(Failure::argument(format!("transport {other} does not exist"))),
        },
        level: match given.reset {
            HL_RESET_STRICT => Level::Strict,
            HL_RESET_MEMORY => Level::Memory,
            other => return Err(Failure::argument(format!("reset level {other} does not exist"))),
        },
        cpu: given.cpu,
        deadline: deadline(given.cpu_us, given.wall_us, default.deadline),
        slice: (given.slice_us != 0).then(|| Duration::from_micros(given.slice_us)),
        idle: micros(given.idle_us, default.idle),
        verify_every: given.verify_every,
        limits: CallLimits {
            host_calls: if given.hostcall_limit == 0 { u64::MAX } else { given.hostcall_limit },
            output_bytes: if given.output_limit == 0 { u64::MAX } else { given.output_limit },
        },
    })
}

fn deadline(cpu_us: u64, wall_us: u64, default: Deadline) -> Deadline {
    let cpu = if cpu_us == 0 { default.cpu } else { Duration::from_micros(cpu_us) };
    // a wall cap that nobody chose must not be shorter than the CPU time that somebody did
    let wall = if wall_us == 0 { default.wall.max(cpu * 10) } else { Duration::from_micros(wall_us) };
    Deadline { cpu, wall }
}

/// A sandbox at the template's snapshot.
///
/// Any thread; it becomes the owner, and may hand the sandbox to another one between calls.
///
/// @param template_ What to clone; may be freed afterwards.
/// @param given NULL for the defaults.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_CPU, HL_E_NO_KVM, HL_E_KVM, HL_E_OUT_OF_MEMORY,
/// HL_E_OUT_OF_FDS, HL_E_FORKED, HL_E_INTERNAL.
/// @return a sandbox, which the caller closes with `hl_sandbox_close`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_sandbox_new(
    template: *const hl_template,
    given: *const hl_sandbox_options,
    error: *mut hl_error,
) -> *mut hl_sandbox {
    // SAFETY: the C contract.
    let result = unsafe { template.as_ref() }
        .ok_or_else(|| Failure::argument("NULL in place of a template"))
        .and_then(|template| {
            // SAFETY: the C contract.
            let given = unsafe { options(given, fallback(), "hl_sandbox_options")? };
            Ok(template.template.sandbox(read_options(&given)?)?)
        });
    // SAFETY: the C contract.
    unsafe { report(result, error) }
        .map_or(std::ptr::null_mut(), |sandbox| hl_sandbox::boxed(Vm::Live(Box::new(sandbox))))
}

/// Closes a sandbox, in whatever state, also with a call open.
///
/// All pointers that it has given out end here. In a forked child it only lets go of it.
///
/// @param sandbox The sandbox, not used again, by no thread; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_sandbox_close(sandbox: *mut hl_sandbox) {
    if !sandbox.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(sandbox) });
    }
}

/// Calls an exported function.
///
/// While a host call waits this is a nested call, at most 16 deep, and the flag is ignored.
///
/// @param sandbox The sandbox; used by one thread at a time.
/// @param func Position in the module's export list (all exports count); `hl_module_export` finds it.
/// @param args The arguments; need not outlive the call. NULL with 0.
/// @param n_args Their number, which must be that of the function's parameters.
/// @param flags 0 or HL_CALL_RESET.
/// @return HL_DONE (results in `hl_results`), HL_HOSTCALL (`hl_hostcall`, then `hl_resume` or `hl_fail`), HL_TRAP
/// (`hl_trap`, then `hl_reset` unless the flag was given), HL_TIMEOUT (the sandbox is at its snapshot), HL_RUNNING
/// (only with `slice_us`: `hl_wait` or `hl_kill`), HL_BUSY (a call runs, or 16 are open; nothing was done), HL_INVALID
/// (wrong arguments, see `hl_message`; nothing was done), HL_DEAD (see `hl_message`; close it).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_call(
    sandbox: *mut hl_sandbox,
    func: u32,
    args: *const hl_value,
    n_args: u32,
    flags: u32,
) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let args = values(args, n_args);
        hl_sandbox::on_sandbox(sandbox, |it| {
            it.reset_at_end(flags & HL_CALL_RESET != 0);
            let status = it.call(func, args);
            it.finish_call(status)
        })
    }
}

/// Answers the waiting host call with its results.
///
/// @param sandbox The sandbox.
/// @param results The results; need not outlive the call. NULL with 0.
/// @param n Their number, which must be that of the import's results.
/// @return as `hl_call`; HL_BUSY when no host call waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_resume(sandbox: *mut hl_sandbox, results: *const hl_value, n: u32) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let results = values(results, n);
        hl_sandbox::on_sandbox(sandbox, |it| {
            let status = it.resume(results);
            it.finish_call(status)
        })
    }
}

/// Says that the waiting host call failed: the guest unwinds and the call ends.
///
/// @param sandbox The sandbox.
/// @param message Why, in UTF-8, for `hl_trap`; need not outlive the call.
/// @param len Its length in bytes, without a NUL.
/// @return as `hl_call`: HL_TRAP of kind HL_TRAP_HOST with this message; HL_BUSY when no host call waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_fail(sandbox: *mut hl_sandbox, message: *const c_char, len: usize) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        let text = crate::module::bytes(message.cast(), len).unwrap_or_default();
        let text = String::from_utf8_lossy(text).into_owned();
        hl_sandbox::with(sandbox, |it| {
            it.set_host_failure(text);
            let absent = it.absent();
            it.sandbox().map_or(absent, |it| {
                let status = it.fail();
                it.finish_call(status)
            })
        })
    }
}

/// Waits on after HL_RUNNING.
///
/// @param sandbox The sandbox.
/// @return as `hl_call`; HL_BUSY when no call runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_wait(sandbox: *mut hl_sandbox) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        hl_sandbox::on_sandbox(sandbox, |it| {
            let status = it.wait();
            it.finish_call(status)
        })
    }
}

/// Ends the call that runs (HL_RUNNING) or waits (HL_HOSTCALL), with all calls round it, and restores the snapshot.
///
/// @param sandbox The sandbox, from its owner's thread.
/// @return HL_DONE, HL_INVALID for NULL, or HL_DEAD (see `hl_message`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_kill(sandbox: *mut hl_sandbox) -> i32 {
    // SAFETY: the C contract.
    unsafe { hl_sandbox::on_sandbox(sandbox, Sandbox::kill) }
}

/// Brings the sandbox back to its snapshot.
///
/// @param sandbox The sandbox.
/// @return HL_DONE, HL_BUSY while a call runs or waits, HL_INVALID for NULL, or HL_DEAD (see `hl_message`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_reset(sandbox: *mut hl_sandbox) -> i32 {
    // SAFETY: the C contract.
    unsafe { hl_sandbox::on_sandbox(sandbox, Sandbox::reset) }
}

/// An empty request: does the guest side still answer? The sandbox is not clean after it.
///
/// @param sandbox The sandbox.
/// @return HL_DONE when it answered; HL_BUSY while a call runs or waits; HL_INVALID for NULL; else what ended it, as
///     `hl_call`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_ping(sandbox: *mut hl_sandbox) -> i32 {
    // SAFETY: the C contract.
    unsafe { hl_sandbox::on_sandbox(sandbox, |it| if it.is_idle() { it.nop() } else { Status::Busy }) }
}

/// Whether the sandbox is at its snapshot: nothing was asked of the guest or written for it since the last reset.
///
/// @param sandbox The sandbox; NULL is not clean.
/// @return 1, or 0 when it may differ from its snapshot, or cannot go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_is_clean(sandbox: *const hl_sandbox) -> i32 {
    // SAFETY: the C contract.
    unsafe { sandbox.as_ref() }.and_then(hl_sandbox::sandbox_ref).is_some_and(Sandbox::is_clean).into()
}

/// Results of the last call that ended with HL_DONE.
///
/// @param sandbox The sandbox; NULL has no results.
/// @param n NULL, or gets their number.
/// @return the values, which belong to the sandbox and are valid until the next call; may only be read `*n` long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_results(sandbox: *const hl_sandbox, n: *mut u32) -> *const hl_value {
    // SAFETY: the C contract.
    let results =
        unsafe { sandbox.as_ref() }.and_then(hl_sandbox::sandbox_ref).map_or(&[][..], Sandbox::results);
    // SAFETY: the C contract.
    if let Some(n) = unsafe { n.as_mut() } {
        *n = results.len() as u32;
    }
    results.as_ptr().cast()
}

/// The host call that waits.
///
/// @param sandbox The sandbox.
/// @param out Filled in; what it points to belongs to the sandbox and is valid until the next call.
/// @return 0, or -1 when none waits or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_hostcall(sandbox: *const hl_sandbox, out: *mut hl_hostcall_info) -> i32 {
    // SAFETY: the C contract.
    let call: Option<&HostCall> =
        unsafe { sandbox.as_ref() }.and_then(hl_sandbox::sandbox_ref).and_then(Sandbox::host_call);
    // SAFETY: the C contract.
    match (call, unsafe { out.as_mut() }) {
        (Some(call), Some(out)) => {
            *out = hl_hostcall_info {
                import: call.import,
                n_args: call.args.len() as u32,
                args: call.args.as_ptr().cast(),
            };
            0
        }
        _ => -1,
    }
}

/// How the guest makes calls of an import without results.
///
/// @param sandbox The sandbox.
/// @param import Position in the import list.
/// @param mode 0 asks and waits; 1 posts: the call is queued and handed over with the end of the call (or with the next
/// host call), which saves an exchange; 2 posts with a copy of the bytes that two parameters name. Calls that do not fit
/// the queue are made the ordinary way, so be ready for both.
/// @param ptr_param Mode 2: the parameter that is the bytes' address; the next one is their length.
/// @return HL_DONE, HL_INVALID (no such import or parameters, or it has results), or HL_DEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_posted_mode(
    sandbox: *mut hl_sandbox,
    import: u32,
    mode: u32,
    ptr_param: u32,
) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        hl_sandbox::on_sandbox(sandbox, |it| match (mode, u8::try_from(ptr_param.saturating_add(2))) {
            (0 | 1, _) => it.set_posted_mode(import, mode as u8),
            (2, Ok(with_bytes)) => it.set_posted_mode(import, with_bytes),
            _ => Status::Invalid,
        })
    }
}

fn queue<'a>(sandbox: *const hl_sandbox) -> Option<&'a Queue> {
    // SAFETY: the C contract.
    unsafe { sandbox.as_ref() }.and_then(hl_sandbox::sandbox_ref).map(Sandbox::posted)
}

/// Number of posted calls that came with the last status, in order.
///
/// @param sandbox The sandbox; NULL has none.
/// @return the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_posted_count(sandbox: *const hl_sandbox) -> u32 {
    queue(sandbox).map_or(0, |queue| queue.calls.len() as u32)
}

/// One of the posted calls that came with the last status.
///
/// @param sandbox The sandbox.
/// @param i Which one, from 0.
/// @param out NULL, or filled in; what it points to is valid until the next call.
/// @param bytes NULL, or gets the copied bytes of mode 2, valid until the next call.
/// @param len NULL exactly when `bytes` is; gets their number.
/// @return 0, or -1 when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_posted(
    sandbox: *const hl_sandbox,
    i: u32,
    out: *mut hl_hostcall_info,
    bytes: *mut *const u8,
    len: *mut usize,
) -> i32 {
    let Some(queue) = queue(sandbox) else { return -1 };
    let Some(call) = queue.calls.get(i as usize) else { return -1 };
    // SAFETY: the C contract.
    unsafe {
        if let Some(out) = out.as_mut() {
            *out = hl_hostcall_info {
                import: call.import,
                n_args: call.args.len() as u32,
                args: call.args.as_ptr().cast(),
            };
        }
        let data = &queue.copy[call.bytes.clone()];
        if let (Some(bytes), Some(len)) = (bytes.as_mut(), len.as_mut()) {
            (*bytes, *len) = (data.as_ptr(), data.len());
        }
    }
    0
}

/// Vector of a page fault (Intel SDM vol. 3, table 6-1).
const PAGE_FAULT: u32 = 14;

/// The text of a Wasm trap; wasmtime's discriminants, in its order.
pub(crate) fn trap_text(code: u32, text: &str) -> String {
    const TEXTS: [&str; 17] = [
        "call stack exhausted",
        "out of bounds memory access",
        "misaligned memory access",
        "undefined element: out of bounds table access",
        "uninitialized element",
        "indirect call type mismatch",
        "integer overflow",
        "integer divide by zero",
        "invalid conversion to integer",
        "wasm `unreachable` instruction executed",
        "interrupt",
        "out of fuel",
        "atomic wait on non-shared memory",
        "null reference",
        "out of bounds array access",
        "allocation size too large",
        "cast failure",
    ];
    if !text.is_empty() {
        return text.to_owned();
    }
    match TEXTS.get(code as usize) {
        Some(text) => (*text).to_owned(),
        None if code == hlfuzz_abi::trap::EXCEPTION => "uncaught exception".into(),
        None => format!("wasm trap {code}"),
    }
}

/// Describes the last HL_TRAP.
///
/// @param sandbox The sandbox.
/// @param out Filled in; set its `size` before. Its message is valid until the next call.
/// @return 0, or -1 when the last status was no HL_TRAP, an argument is NULL or `size` is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_trap(sandbox: *mut hl_sandbox, out: *mut hl_trap_info) -> i32 {
    // SAFETY: the C contract.
    let (Some(it), Some(size)) = (unsafe { sandbox.as_mut() }, unsafe { out.as_ref() }.map(|out| out.size))
    else {
        return -1;
    };
    let Some(cause) = it.sandbox_ref().and_then(Sandbox::trap).cloned() else { return -1 };
    let mut info = hl_trap_info {
        size,
        kind: 0,
        code: 0,
        stack_overflow: 0,
        error_code: 0,
        address: 0,
        rip: 0,
        rsp: 0,
        message: std::ptr::null(),
        message_len: 0,
    };
    (info.kind, it.trap_text) = match cause {
        TrapCause::Wasm { code, text } => {
            info.code = code;
            (HL_TRAP_WASM, trap_text(code, &text))
        }
        TrapCause::HostFailed => (HL_TRAP_HOST, it.host_failure.clone()),
        TrapCause::Exception(exception) => {
            info.code = exception.vector;
            (info.error_code, info.address) = (exception.error_code, exception.address);
            (info.rip, info.rsp) = (exception.rip, exception.rsp);
            let layout = it.sandbox_ref().map(Sandbox::layout);
            let page_fault = exception.vector == PAGE_FAULT;
            let place =
                layout.map_or("", |it| it.name(if page_fault { exception.address } else { exception.rip }));
            info.stack_overflow =
                u32::from(page_fault && layout.is_some_and(|it| it.stack_guard.contains(&exception.address)));
            let text = format!(
                "CPU exception {} (error code {:#x}) at {:#x}, address {:#x} in {place}",
                exception.vector, exception.error_code, exception.rip, exception.address
            );
            (HL_TRAP_EXCEPTION, text)
        }
        TrapCause::Runtime(text) => (HL_TRAP_RUNTIME, text),
        TrapCause::Abi(text) => (HL_TRAP_ABI, text),
        TrapCause::Vector(text) => (HL_TRAP_VECTOR, text),
        TrapCause::Limit(LimitCause::HostCalls { allowed }) => {
            info.code = HL_LIMIT_HOSTCALLS;
            (HL_TRAP_LIMIT, format!("more than {allowed} host calls in one call"))
        }
        TrapCause::Limit(LimitCause::Output { bytes, allowed }) => {
            info.code = HL_LIMIT_OUTPUT;
            (HL_TRAP_LIMIT, format!("{bytes} bytes of output, over the limit of {allowed}"))
        }
    };
    info.message = it.trap_text.as_ptr().cast();
    info.message_len = it.trap_text.len();
    // SAFETY: the C contract.
    if unsafe { fill(out, size, info) } { 0 } else { -1 }
}

/// Why the last status was HL_DEAD or HL_INVALID.
///
/// @param sandbox The sandbox.
/// @return NUL-terminated UTF-8, never NULL; belongs to the sandbox and is valid until the next call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_message(sandbox: *mut hl_sandbox) -> *const c_char {
    // SAFETY: the C contract.
    let Some(it) = (unsafe { sandbox.as_mut() }) else { return c"NULL in place of a sandbox".as_ptr() };
    let absent = match it.absent() {
        Status::Busy => "a command runs in the sandbox's thread",
        _ => "this VM has become a template",
    };
    let text = it.sandbox_ref().map_or(absent, Sandbox::message).replace('\0', " ");
    it.text = CString::new(text).unwrap_or_default();
    it.text.as_ptr()
}

/// Another deadline for the calls that follow.
///
/// @param sandbox The sandbox.
/// @param cpu_us CPU time of the thread that runs the vCPU, in microseconds; 0: the default.
/// @param wall_us Wall time in microseconds; 0: the default.
/// @return HL_DONE, HL_INVALID for NULL, or HL_DEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_set_deadline(sandbox: *mut hl_sandbox, cpu_us: u64, wall_us: u64) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        hl_sandbox::on_sandbox(sandbox, |it| {
            it.set_deadline(deadline(cpu_us, wall_us, Deadline::default()));
            Status::Done
        })
    }
}

/// Counters of a sandbox.
///
/// @param sandbox The sandbox.
/// @param out Filled in; set its `size` before.
/// @return 0, or -1 when an argument is NULL, `size` is wrong, or the VM has become a template.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_stats_get(sandbox: *const hl_sandbox, out: *mut hl_stats) -> i32 {
    // SAFETY: the C contract.
    let sandbox = unsafe { sandbox.as_ref() }.and_then(hl_sandbox::sandbox_ref);
    // SAFETY: the C contract.
    let (Some(it), Some(size)) = (sandbox, unsafe { out.as_ref() }.map(|out| out.size)) else { return -1 };
    let (stats, resets) = it.stats();
    let thread = it.vcpu_thread();
    let counted = hl_stats {
        size,
        transport: if thread.is_some() { HL_TRANSPORT_SPIN } else { HL_TRANSPORT_EXIT },
        tracking: if it.tracks_by_ring() { HL_TRACK_RING } else { HL_TRACK_LOG },
        reset: if it.options().level == Level::Strict { HL_RESET_STRICT } else { HL_RESET_MEMORY },
        calls: stats.calls,
        hostcalls: stats.hostcalls,
        posted: stats.posted,
        traps: stats.traps,
        timeouts: stats.timeouts,
        resets: resets.resets,
        pages_restored: resets.pages_restored,
        last_pages: resets.last_pages,
        hot_pages: it.hot_pages() as u64,
        evictions: resets.evictions,
        verifies: stats.verifies,
        verify_failures: stats.verify_failures,
        parks: thread.map_or(0, |(_, parks)| parks),
        slow_waits: stats.slow_waits,
        late_waits: stats.late_waits,
        max_wait_ns: stats.max_wait.as_nanos() as u64,
        ring_full: stats.ring_full,
        kicks: stats.kicks,
        memory_bytes: it.ram_bytes(),
        vcpu_cpu: thread.map_or(-1, |(cpu, _)| cpu),
        reserved: 0,
    };
    // SAFETY: the C contract.
    if unsafe { fill(out, size, counted) } { 0 } else { -1 }
}

/// For tests: the `nth` operation that follows in this thread, of the kinds in `points`, fails with `error` and is not
/// made. Operations in the threads of sandboxes (`spin`, `hl_dispatch_attach`) that this thread opened while it had some
/// turned on count as its own. Other threads are not affected.
///
/// @param points Bits HL_POINT_*; 0 turns it off.
/// @param nth From 1; 0: none fails, they are only counted.
/// @param error An errno; HL_KICK: nothing fails, and a kick is pending when the operation begins.
/// @return How many such operations there were since the last call of this function.
#[unsafe(no_mangle)]
pub extern "C" fn hl_test_inject(points: u32, nth: u64, error: i32) -> u64 {
    inject::arm(points, nth, error)
}

const _: () = {
    use inject::point;
    assert!(HL_POINT_KVM == point::KVM && HL_POINT_RUN == point::RUN && HL_POINT_MEMORY == point::MEMORY);
    assert!(HL_POINT_TIMER == point::TIMER && HL_POINT_FILE == point::FILE && HL_KICK == inject::KICK);
};

/// For tests of tests: damages how this sandbox resets, reads and is kept apart, so that a check can be seen to notice.
///
/// @param sandbox The sandbox.
/// @param faults Bits HL_FAULT_*; 0 mends it, all but what is shared or left in a thread, which lasts until it is closed.
/// @return HL_DONE, HL_INVALID for NULL or when it cannot be done, or HL_DEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_test_fault(sandbox: *mut hl_sandbox, faults: u32) -> i32 {
    // SAFETY: the C contract.
    unsafe {
        hl_sandbox::on_sandbox(sandbox, |it| {
            let has = |bit: u32| faults & bit != 0;
            let set = it.set_faults(Faults {
                skip_one_page: has(HL_FAULT_SKIP_PAGE),
                forget_registers: has(HL_FAULT_FORGET_REGISTERS),
                forget_new_pages: has(HL_FAULT_FORGET_NEW_PAGES),
                do_nothing: has(HL_FAULT_NO_RESET),
                forget_mailbox: has(HL_FAULT_FORGET_MAILBOX),
                forget_host_writes: has(HL_FAULT_FORGET_HOST_WRITES),
                forget_vectors: has(HL_FAULT_FORGET_VECTORS),
                forget_vectors_after_crash: has(HL_FAULT_FORGET_VECTORS_AFTER_CRASH),
                forget_mxcsr: has(HL_FAULT_FORGET_MXCSR),
                forget_size: has(HL_FAULT_FORGET_SIZE),
                share_page: has(HL_FAULT_SHARE_PAGE),
                spoil_text: has(HL_FAULT_SPOIL_TEXT),
                spoil_tables: has(HL_FAULT_SPOIL_TABLES),
                spoil_snapshot: has(HL_FAULT_SPOIL_SNAPSHOT),
                keep_selectors: has(HL_FAULT_KEEP_SELECTORS),
                interruption_ends: has(HL_FAULT_INTERRUPTION_ENDS),
            });
            it.set_careless(Careless {
                reads_twice: has(HL_FAULT_READ_TWICE),
                without_bounds: has(HL_FAULT_NO_BOUNDS),
            });
            set.map_or(Status::Invalid, |()| Status::Done)
        })
    }
}
