//! The plain data of the C API. Options and results begin with their size, so that they can grow.

use std::ffi::c_char;

/// One Wasm value: the member that the declared type names is valid, the other bytes are zero on input and undefined
/// on output.
#[repr(C)]
#[derive(Clone, Copy)]
pub union hl_value {
    /// Type i32.
    pub i32: i32,
    /// Type i64.
    pub i64: i64,
    /// Type i32, read without its sign.
    pub u32: u32,
    /// Type i64, read without its sign.
    pub u64: u64,
    /// Type f32.
    pub f32: f32,
    /// Type f64.
    pub f64: f64,
    /// Type v128, in the order in which it lies in memory.
    pub v128: [u8; 16],
    /// Both halves, low first. Gives the union its alignment.
    pub raw: [u64; 2],
}

/// Where a function leaves the reason of a failure. Set `size` to `sizeof(hl_error)` before the call.
#[repr(C)]
pub struct hl_error {
    /// `sizeof(hl_error)`, set by the caller.
    pub size: u32,
    /// One of `HL_E_*`; 0 before any failure.
    pub code: u32,
    /// NUL-terminated UTF-8, cut at a character when too long.
    pub message: [c_char; 2040],
}

/// How to load a module.
#[repr(C)]
pub struct hl_module_options {
    /// `sizeof(hl_module_options)`, set by the caller.
    pub size: u32,
    /// Must be 0.
    pub flags: u32,
    /// Folder of compiled artifacts, made if it is missing; NULL: compile every time.
    pub cache_dir: *const c_char,
    /// Largest module that is accepted, in bytes; 0: 64 MiB.
    pub max_bytes: u64,
}

/// What a template's guests may use. A 0 means the default.
#[repr(C)]
pub struct hl_template_options {
    /// `sizeof(hl_template_options)`, set by the caller.
    pub size: u32,
    /// One of `HL_TRACK_*`.
    pub tracking: u32,
    /// Bytes of one linear memory at most; default 64 MiB, or the initial size if that is larger.
    pub memory_limit: u64,
    /// Elements of one table at most; default 262144.
    pub table_limit: u64,
    /// Wasm stack in bytes; default 512 KiB.
    pub stack_bytes: u64,
    /// CPU time that instantiation and start function may take, in microseconds; default 5 s.
    pub start_cpu_us: u64,
    /// Wall time for the same; default 30 s.
    pub start_wall_us: u64,
    /// `hl_boot_run` returns `HL_RUNNING` after so many microseconds; 0: never.
    pub slice_us: u64,
    /// Value of each imported global, in order; missing ones are zero.
    pub import_values: *const hl_value,
    /// Number of them.
    pub n_import_values: u32,
    /// Bits `HL_TEMPLATE_*`.
    pub flags: u32,
}

/// How a sandbox runs. A 0 means the default.
#[repr(C)]
pub struct hl_sandbox_options {
    /// `sizeof(hl_sandbox_options)`, set by the caller.
    pub size: u32,
    /// One of `HL_TRANSPORT_*`.
    pub transport: u32,
    /// One of `HL_RESET_*`.
    pub reset: u32,
    /// CPU of the vCPU thread (spin); -1: choose.
    pub cpu: i32,
    /// CPU time that a call may take in microseconds, of the thread that runs the vCPU; host functions are not counted.
    /// Default 1 s.
    pub cpu_us: u64,
    /// Wall time that a call may take, host functions not counted; default 10 s, or ten times `cpu_us`.
    pub wall_us: u64,
    /// A call returns `HL_RUNNING` after so many microseconds, so that the caller can look at other things; 0: never.
    pub slice_us: u64,
    /// Spin: the vCPU thread sleeps after so many microseconds without a call; default 20 ms.
    pub idle_us: u64,
    /// Compare all guest memory with the snapshot after every so many resets; 0: never.
    pub verify_every: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Host calls of one call, nested and posted ones included; 0: no limit.
    pub hostcall_limit: u64,
    /// Bytes that a call of `hl_call_bytes` gives back; 0: no limit.
    pub output_limit: u64,
}

/// A host call that waits for its answer, or one that was posted. Pointers are valid until the next call.
#[repr(C)]
pub struct hl_hostcall_info {
    /// Position in the module's import list.
    pub import: u32,
    /// Number of arguments.
    pub n_args: u32,
    /// The arguments.
    pub args: *const hl_value,
}

/// Why a call ended with `HL_TRAP`.
#[repr(C)]
pub struct hl_trap_info {
    /// `sizeof(hl_trap_info)`, set by the caller.
    pub size: u32,
    /// One of `HL_TRAP_*`.
    pub kind: u32,
    /// Wasm trap: wasmtime's code (0 stack overflow, 1 out-of-bounds memory access, ...), 1000 uncaught exception,
    /// 1001 other, 1002 memory limit, 1003 table limit. CPU exception: its vector. Limit: one of `HL_LIMIT_*`.
    pub code: u32,
    /// CPU exception: 1 when it is a page fault in the guard below the stack.
    pub stack_overflow: u32,
    /// CPU exception: error code.
    pub error_code: u64,
    /// Page fault: the address that was touched.
    pub address: u64,
    /// CPU exception: address of the instruction.
    pub rip: u64,
    /// CPU exception: the stack pointer.
    pub rsp: u64,
    /// What happened, in UTF-8, not NUL-terminated; valid until the next call.
    pub message: *const c_char,
    /// Its length in bytes.
    pub message_len: usize,
}

/// Counters of one sandbox.
#[repr(C)]
pub struct hl_stats {
    /// `sizeof(hl_stats)`, set by the caller.
    pub size: u32,
    /// The transport in use, one of `HL_TRANSPORT_*`, never AUTO.
    pub transport: u32,
    /// The tracking in use, one of `HL_TRACK_*`, never AUTO.
    pub tracking: u32,
    /// The reset level, one of `HL_RESET_*`.
    pub reset: u32,
    /// Calls from outside.
    pub calls: u64,
    /// Calls of host functions that waited for an answer.
    pub hostcalls: u64,
    /// Calls of host functions that were posted.
    pub posted: u64,
    /// Calls that ended with HL_TRAP.
    pub traps: u64,
    /// Calls that ended with HL_TIMEOUT.
    pub timeouts: u64,
    /// Resets.
    pub resets: u64,
    /// Pages copied by all resets.
    pub pages_restored: u64,
    /// Pages copied by the last reset.
    pub last_pages: u64,
    /// Pages that the next reset would copy without being asked.
    pub hot_pages: u64,
    /// Times that idle pages were taken out of the hot set.
    pub evictions: u64,
    /// Comparisons of all memory with the snapshot.
    pub verifies: u64,
    /// Those that found a difference.
    pub verify_failures: u64,
    /// Times that the vCPU thread went to sleep (spin).
    pub parks: u64,
    /// Waits that outlasted the busy look (spin).
    pub slow_waits: u64,
    /// Waits that outlasted the CPU deadline in wall time without being the guest's fault: another program has used the
    /// vCPU's CPU.
    pub late_waits: u64,
    /// The longest wait, in nanoseconds.
    pub max_wait_ns: u64,
    /// Times that the dirty ring was full.
    pub ring_full: u64,
    /// Times that a call was ended from outside.
    pub kicks: u64,
    /// Size of guest RAM; most of it is never touched.
    pub memory_bytes: u64,
    /// CPU of the vCPU thread; -1 without one.
    pub vcpu_cpu: i32,
    /// 0.
    pub reserved: u32,
}

/// What this machine's KVM can do.
#[repr(C)]
pub struct hl_probe_info {
    /// `sizeof(hl_probe_info)`, set by the caller.
    pub size: u32,
    /// 1: sandboxes can be made here.
    pub kvm_ok: u32,
    /// KVM's API version; 12.
    pub api_version: u32,
    /// Entries of the largest dirty ring; 0: none.
    pub dirty_ring: u32,
    /// 1: registers travel with KVM_RUN (KVM_CAP_SYNC_REGS).
    pub sync_regs: u32,
    /// 1: FPU and vector state can be set (KVM_CAP_XSAVE).
    pub xsave: u32,
    /// 1: the dirty log can be cleared by page (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2).
    pub manual_protect: u32,
    /// CPUs that this process may use.
    pub cpus: u32,
    /// One of `HL_E_*` when `kvm_ok` is 0.
    pub error_code: u32,
    /// Why, and what to do; NUL-terminated UTF-8.
    pub message: [c_char; 1020],
}
