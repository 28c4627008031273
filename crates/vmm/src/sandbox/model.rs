//! What a sandbox is asked and what it answers, as plain data.

use crate::deadline::Deadline;
use crate::machine::Exception;
use hlfuzz_abi::Value;
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// `Spin` for `Level::Memory` where two CPUs are free, else `Exit`.
    #[default]
    Auto,
    /// The vCPU has a thread and a CPU of its own and never leaves guest code.
    Spin,
    /// The caller's thread runs the vCPU for each call.
    Exit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Memory and every register that a guest can change, from outside, with the vCPU at rest.
    #[default]
    Strict,
    /// Memory only: sound while the runtime inside is intact, because its exchange loop keeps nothing in registers.
    Memory,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub transport: Transport,
    pub level: Level,
    /// CPU of the vCPU thread (`Spin`); -1: choose.
    pub cpu: i32,
    pub deadline: Deadline,
    /// Return `Status::Running` after this long, so that the caller can look at other things.
    pub slice: Option<Duration>,
    /// `Spin`: park the vCPU thread after this long without a request.
    pub idle: Duration,
    /// Compare all memory with the snapshot every so many resets; 0: never.
    pub verify_every: u32,
    pub limits: CallLimits,
}

/// What one call from outside may use, nested calls included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Host calls, posted ones too.
    pub host_calls: u64,
    /// Bytes that a byte-vector call gives back.
    pub output_bytes: u64,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { host_calls: u64::MAX, output_bytes: u64::MAX }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: Transport::Auto,
            level: Level::Strict,
            cpu: -1,
            deadline: Deadline::default(),
            slice: None,
            idle: Duration::from_millis(20),
            verify_every: 0,
            limits: CallLimits::default(),
        }
    }
}

/// Parameter and result counts of what can be called, by position in the module's lists; None: not a function.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    pub exports: Vec<Option<(u32, u32)>>,
    pub imports: Vec<Option<(u32, u32)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    HostCall,
    Trap,
    Timeout,
    Dead,
    Busy,
    Running,
    Invalid,
}

/// Why a call ended with `Status::Trap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrapCause {
    /// A Wasm trap, with wasmtime's code or one of `hlfuzz_abi::trap`.
    Wasm { code: u32, text: String },
    /// `fail` was called.
    HostFailed,
    /// The CPU raised an exception outside of anything Wasm can do; the sandbox was restored.
    Exception(Exception),
    /// The runtime gave up; the sandbox was restored.
    Runtime(String),
    /// The guest side broke the protocol; the sandbox was restored.
    Abi(String),
    /// `call_bytes`: the allocator or the results name bytes outside memory.
    Vector(String),
    /// The call wanted more than `CallLimits` allow; the sandbox was restored.
    Limit(LimitCause),
}

/// Which of `CallLimits` a call exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitCause {
    HostCalls { allowed: u64 },
    Output { bytes: u64, allowed: u64 },
}

/// An import call that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct HostCall {
    pub import: u32,
    pub args: Vec<Value>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub calls: u64,
    pub hostcalls: u64,
    pub posted: u64,
    pub traps: u64,
    pub timeouts: u64,
    pub verifies: u64,
    pub verify_failures: u64,
    /// Waits longer than the spinning ones (`Spin`).
    pub slow_waits: u64,
    /// Waits that outlasted the deadline in wall time because the vCPU did not get its CPU.
    pub late_waits: u64,
    pub max_wait: Duration,
    pub ring_full: u64,
    pub kicks: u64,
}
