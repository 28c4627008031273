//! A sandbox: one VM at a snapshot, with calls into it, calls out of it, and the way back to the snapshot.

use crate::cpus;
use crate::deadline::{Deadline, Timer, clock};
use crate::error::{Error, Kind, Result};
use crate::host::Tracking;
use crate::machine::{Exception, Exit, Machine};
use crate::mapping::Mapping;
use crate::posted::Queue;
use crate::reset::{Faults, HotSet, ResetStats, differences};
use crate::snapshot::{PAGE, Snapshot};
use crate::spin::VcpuThread;
use hlfuzz_abi::{MAX_VALUES, Mailbox, Value, answer, map, op, transport};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Calls into the guest that may be open at once: one from outside, the others from inside host functions.
pub const MAX_DEPTH: usize = 16;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    HostCall,
}

/// How much of its deadline the open call has used, host functions not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub cpu: Duration,
    pub wall: Duration,
}

pub(crate) enum Driver {
    Spin(VcpuThread),
    Exit(Option<Timer>),
}

pub struct Sandbox {
    // order of drop: the thread, then the machine, then what it runs on
    pub(crate) driver: Driver,
    pub(crate) machine: Arc<Machine>,
    pub(crate) mailbox: Arc<Mapping>,
    pub(crate) ram: Arc<Mapping>,
    /// None while the VM boots.
    snapshot: Option<Arc<Snapshot>>,
    interface: Arc<Interface>,
    pub(crate) hot: HotSet,
    pub(crate) options: Options,
    pub(crate) stats: Stats,
    pub(crate) used: Used,
    /// TSC when the guest was last set going.
    pub(crate) segment_start: u64,
    phase: Phase,
    /// Result counts of the open calls, outermost first.
    open: Vec<u32>,
    hostcalls: Vec<HostCall>,
    reset_after: bool,
    results: Vec<Value>,
    posted: Queue,
    trap: Option<TrapCause>,
    /// Why the sandbox is dead, once it is.
    dead: Option<String>,
    /// Why the last call was refused.
    refusal: String,
    /// Address and length of the default memory as the guest last said; checked when used.
    memory: (u64, u64),
    first_memory: (u64, u64),
    pub(crate) tsc_khz: u64,
    tracking: Tracking,
    faults: Faults,
}

/// What ended a wait for the guest.
pub(crate) enum Event {
    Answer(u32),
    DeadlineReached,
    SliceEnded,
    Stopped(Exit),
}

impl Sandbox {
    /// A sandbox at `snapshot`.
    pub fn new(
        snapshot: Arc<Snapshot>,
        interface: Arc<Interface>,
        tracking: Tracking,
        first_memory: (u64, u64),
        options: Options,
    ) -> Result<Self> {
        let claim = match (options.transport, options.level) {
            (Transport::Exit, _) | (Transport::Auto, Level::Strict) => None,
            (Transport::Auto, Level::Memory) => cpus::choose(options.cpu).ok(),
            (Transport::Spin, _) => Some(cpus::choose(options.cpu)?),
        };
        let ram = Mapping::copy_on_write(&snapshot.file, snapshot.pages() * PAGE, "guest RAM")?;
        let mailbox = Arc::new(new_mailbox()?);
        let machine = Machine::new(&snapshot.host, &ram, &mailbox, Some(tracking))?;
        machine.only_signal(crate::deadline::kick_signal())?;
        machine.set_registers(&snapshot.registers, true)?;
        let hot = HotSet::new(snapshot.pages(), machine.has_ring());
        let mut it = Self::assemble(machine, mailbox, Arc::new(ram), interface, hot, options);
        it.memory = first_memory;
        it.first_memory = first_memory;
        it.snapshot = Some(snapshot);
        it.tracking = tracking;
        let exits = claim.is_none();
        it.set_control(if exits { transport::EXIT } else { transport::SPIN });
        if let Some(claim) = claim {
            it.driver = Driver::Spin(VcpuThread::start(it.machine.clone(), it.mailbox.clone(), claim)?);
        }
        Ok(it)
    }

    pub(crate) fn assemble(
        machine: Machine,
        mailbox: Arc<Mapping>,
        ram: Arc<Mapping>,
        interface: Arc<Interface>,
        hot: HotSet,
        options: Options,
    ) -> Self {
        let tsc_khz = machine.tsc_khz();
        Self {
            driver: Driver::Exit(None),
            machine: Arc::new(machine),
            mailbox,
            ram,
            snapshot: None,
            interface,
            hot,
            options,
            stats: Stats::default(),
            used: Used::default(),
            segment_start: 0,
            phase: Phase::Idle,
            open: Vec::with_capacity(MAX_DEPTH),
            hostcalls: Vec::with_capacity(MAX_DEPTH),
            reset_after: false,
            results: Vec::new(),
            posted: Queue::default(),
            trap: None,
            dead: None,
            refusal: String::new(),
            memory: (0, 0),
            first_memory: (0, 0),
            tsc_khz,
            tracking: Tracking::Auto,
            faults: Faults::default(),
        }
    }

    pub(crate) fn set_control(&self, transport: u32) {
        let control = self.mailbox_ptr();
        let idle = self.options.idle.as_micros() as u64;
        // SAFETY: the mailbox has this layout; the guest only reads these fields.
        unsafe {
            (&raw mut (*control).control.transport).write_volatile(transport);
            (&raw mut (*control).control.idle_ticks).write_volatile(idle.saturating_mul(self.tsc_khz) / 1000);
        }
    }

    pub(crate) fn mailbox_ptr(&self) -> *mut Mailbox {
        self.mailbox.as_ptr().cast()
    }

    /// None, or the status that refuses any use.
    fn unusable(&mut self) -> Option<Status> {
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.fork.in_child()) {
            self.dead = Some("this sandbox belongs to the parent process; open a new one after fork".into());
        }
        self.dead.as_ref().map(|_| Status::Dead)
    }

    fn invalid(&mut self, why: String) -> Status {
        self.trap = None;
        self.results.clear();
        self.refusal = why;
        Status::Invalid
    }

    /// Calls the export at position `export`. While a host call waits, this is a nested call.
    #[inline]
    pub fn call(&mut self, export: u32, args: &[Value]) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase == Phase::Running {
            return Status::Busy;
        }
        let Some(&Some((params, results))) = self.interface.exports.get(export as usize) else {
            return self.invalid(format!("no exported function at position {export}"));
        };
        if params as usize != args.len() {
            return self.invalid(format!("the function takes {params} arguments, {} were given", args.len()));
        }
        if self.open.len() >= MAX_DEPTH {
            return self.invalid(format!("calls nested deeper than {MAX_DEPTH}"));
        }
        if self.open.is_empty() {
            self.used = Used::default();
        }
        self.stats.calls += 1;
        self.open.push(results);
        self.request(op::CALL, export, args);
        self.go()
    }

    /// Whether the outermost call that begins next is to be followed by a reset.
    #[inline]
    pub fn reset_at_end(&mut self, on: bool) {
        if self.open.is_empty() {
            self.reset_after = on;
        }
    }

    /// Resets after `status` if it ended the outermost call and that was asked for.
    #[inline]
    pub fn finish_call(&mut self, status: Status) -> Status {
        if self.reset_after
            && self.phase == Phase::Idle
            && self.open.is_empty()
            && matches!(status, Status::Done | Status::Trap)
        {
            self.reset_after = false;
            if let Err(error) = self.restore() {
                return self.die(error.message);
            }
        }
        status
    }

    /// Answers the waiting host call.
    #[inline]
    pub fn resume(&mut self, results: &[Value]) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase != Phase::HostCall {
            return Status::Busy;
        }
        let import = self.hostcalls.last().map_or(u32::MAX, |call| call.import);
        let want = self.interface.imports.get(import as usize).copied().flatten().map_or(0, |(_, n)| n);
        if results.len() != want as usize {
            return self
                .invalid(format!("the host function returns {want} values, {} were given", results.len()));
        }
        self.hostcalls.pop();
        self.request(op::RESUME, 0, results);
        self.go()
    }

    /// Says that the waiting host call failed: the guest unwinds to the call that led there.
    pub fn fail(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase != Phase::HostCall {
            return Status::Busy;
        }
        self.hostcalls.pop();
        self.request(op::FAIL, 0, &[]);
        self.go()
    }

    /// Goes on after `Status::Running`.
    pub fn wait(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase != Phase::Running {
            return Status::Busy;
        }
        self.conclude()
    }

    /// Ends an open call and restores the snapshot.
    pub fn kill(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        self.stats.kicks += 1;
        match self.recover() {
            Ok(()) => Status::Done,
            Err(error) => self.die(error.message),
        }
    }

    /// Brings the sandbox back to its snapshot.
    #[inline]
    pub fn reset(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase != Phase::Idle {
            return Status::Busy;
        }
        match self.restore() {
            Ok(()) => Status::Done,
            Err(error) => self.die(error.message),
        }
    }

    fn restore(&mut self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Err(Error::new(Kind::Internal, "a VM that boots has nothing to go back to"));
        };
        if self.options.level == Level::Strict && !self.faults.forget_registers {
            match &self.driver {
                Driver::Exit(_) => self.machine.set_registers_with_next_run(&snapshot.registers)?,
                Driver::Spin(thread) => {
                    thread.pause()?;
                    self.machine.set_registers(&snapshot.registers, false)?;
                }
            }
        }
        self.hot.restore(&self.machine, snapshot, &self.ram, self.faults)?;
        if let (Driver::Spin(thread), Level::Strict, false) =
            (&self.driver, self.options.level, self.faults.forget_registers)
        {
            thread.resume();
        }
        self.memory = self.first_memory;
        self.verify_if_due()
    }

    fn verify_if_due(&mut self) -> Result<()> {
        let every = u64::from(self.options.verify_every);
        if every == 0 || !self.hot.stats.resets.is_multiple_of(every) {
            return Ok(());
        }
        let (pages, first) = self.differences()?;
        self.stats.verifies += 1;
        if let Some(first) = first {
            self.stats.verify_failures += 1;
            let address = u64::from(first) * PAGE as u64;
            let name = self.snapshot.as_ref().map_or("", |s| s.layout().name(address));
            return Err(Error::new(
                Kind::Internal,
                format!(
                    "state-reset violated by the platform: {pages} pages differ from the snapshot after a reset, the \
                     first at {address:#x} in {name}"
                ),
            ));
        }
        Ok(())
    }

    /// Pages of guest RAM that differ from the snapshot, and the first of them.
    pub fn differences(&self) -> Result<(u64, Option<u32>)> {
        match &self.snapshot {
            Some(snapshot) => differences(snapshot, &self.ram, &self.hot),
            None => Err(Error::new(Kind::Internal, "a VM that boots has no snapshot")),
        }
    }

    /// Restores registers and memory wherever the vCPU was.
    fn recover(&mut self) -> Result<()> {
        if let Driver::Spin(thread) = &self.driver {
            thread.pause()?;
        }
        let Some(snapshot) = self.snapshot.clone() else {
            return Err(Error::new(
                Kind::Internal,
                "instantiation was ended; there is nothing to go back to",
            ));
        };
        self.machine.set_registers(&snapshot.registers, false)?;
        self.hot.restore(&self.machine, &snapshot, &self.ram, self.faults)?;
        let mailbox = self.mailbox_ptr();
        // SAFETY: the vCPU is at rest; the words are atomics.
        unsafe {
            (*mailbox).to_guest.word.store(0, Relaxed);
            (*mailbox).from_guest.word.store(0, Relaxed);
            (&raw mut (*mailbox).from_guest.posted).write_volatile(0);
        }
        if let Driver::Spin(thread) = &self.driver {
            thread.resume();
        }
        self.open.clear();
        self.hostcalls.clear();
        self.phase = Phase::Idle;
        self.memory = self.first_memory;
        self.verify_if_due()
    }

    fn die(&mut self, why: String) -> Status {
        self.open.clear();
        self.hostcalls.clear();
        self.phase = Phase::Idle;
        self.dead = Some(why);
        Status::Dead
    }

    /// Writes a request, all but its word.
    #[inline]
    fn request(&mut self, op: u32, index: u32, values: &[Value]) {
        let mailbox = self.mailbox_ptr();
        // SAFETY: counts were checked against the interface, whose functions have at most MAX_VALUES of each.
        unsafe {
            debug_assert!(values.len() <= MAX_VALUES);
            let to = &raw mut (*mailbox).to_guest;
            (&raw mut (*to).index).write_volatile(index);
            (&raw mut (*to).n).write_volatile(values.len() as u32);
            let slots = (&raw mut (*to).values).cast::<Value>();
            std::ptr::copy_nonoverlapping(values.as_ptr(), slots, values.len());
        }
        self.begin(op);
    }

    /// Leaves the values of imported globals for the runtime's boot.
    pub(crate) fn give_globals(&mut self, values: &[Value]) {
        let mailbox = self.mailbox_ptr();
        // SAFETY: the caller checked the count; the vCPU has not run yet.
        unsafe {
            (&raw mut (*mailbox).to_guest.n).write_volatile(values.len() as u32);
            let slots = (&raw mut (*mailbox).to_guest.values).cast::<Value>();
            std::ptr::copy_nonoverlapping(values.as_ptr(), slots, values.len());
        }
    }

    /// Runs a VM from its first instruction to its first answer.
    pub(crate) fn first_run(&mut self) -> Status {
        self.used = Used::default();
        self.open.push(0);
        self.go()
    }

    /// Lets go of the memory; the interface and the machine, which must not run any more, are left.
    pub(crate) fn retire(self) -> (Arc<Interface>, Arc<Machine>) {
        (self.interface.clone(), self.machine.clone())
    }

    #[inline]
    fn go(&mut self) -> Status {
        self.phase = Phase::Running;
        self.conclude()
    }

    fn conclude(&mut self) -> Status {
        let event = self.await_guest();
        match event {
            Event::Answer(word) => self.answered(word),
            Event::SliceEnded => Status::Running,
            Event::DeadlineReached => {
                self.stats.timeouts += 1;
                self.stats.kicks += 1;
                if self.snapshot.is_none() {
                    self.die("instantiation did not end within its deadline".into());
                    return Status::Timeout;
                }
                match self.recover() {
                    Ok(()) => Status::Timeout,
                    Err(error) => self.die(error.message),
                }
            }
            Event::Stopped(exit) => self.stopped(exit),
        }
    }

    #[inline]
    fn answered(&mut self, word: u32) -> Status {
        let mailbox = self.mailbox_ptr();
        // Each field is read once, here; only these copies are used.
        // SAFETY: the mailbox has this layout.
        let (aux, posted, memory, memory_len) = unsafe {
            let from = &raw const (*mailbox).from_guest;
            (
                (&raw const (*from).aux).read_volatile(),
                (&raw const (*from).posted).read_volatile(),
                (&raw const (*from).memory).read_volatile(),
                (&raw const (*from).memory_len).read_volatile(),
            )
        };
        self.memory = (memory, memory_len);
        if (posted != 0 || !self.posted.calls.is_empty())
            && let Err(why) = self.take_posted(posted)
        {
            return self.violated(why);
        }
        match word {
            answer::DONE => {
                let n = self.open.pop().unwrap_or(0) as usize;
                self.read_values(n);
                self.after_call();
                Status::Done
            }
            answer::HOSTCALL => {
                let Some(&Some((params, _))) = self.interface.imports.get(aux as usize) else {
                    return self.violated(format!("a call of import {aux}, which is no imported function"));
                };
                if self.hostcalls.len() >= MAX_DEPTH {
                    return self.violated("host calls nested too deep".into());
                }
                self.stats.hostcalls += 1;
                self.read_values(params as usize);
                let args = std::mem::take(&mut self.results);
                self.hostcalls.push(HostCall { import: aux, args });
                self.phase = Phase::HostCall;
                Status::HostCall
            }
            answer::TRAP | answer::HOST_FAILED => {
                self.open.pop();
                self.after_call();
                self.stats.traps += 1;
                self.trap = Some(if word == answer::TRAP {
                    let text = if aux >= hlfuzz_abi::trap::OTHER { self.text() } else { String::new() };
                    TrapCause::Wasm { code: aux, text }
                } else {
                    TrapCause::HostFailed
                });
                Status::Trap
            }
            answer::REFUSED => {
                self.open.pop();
                self.after_call();
                let text = self.text();
                self.invalid(text)
            }
            answer::LINK_FAILED => {
                let text = self.text();
                self.trap = Some(TrapCause::Runtime(text.clone()));
                self.die(text)
            }
            _ => self.violated(format!("answer {word}, which does not exist")),
        }
    }

    #[inline]
    fn after_call(&mut self) {
        self.phase = if self.open.is_empty() || self.hostcalls.len() < self.open.len() {
            Phase::Idle
        } else {
            Phase::HostCall
        };
    }

    #[inline]
    fn read_values(&mut self, n: usize) {
        debug_assert!(n <= MAX_VALUES);
        let mailbox = self.mailbox_ptr();
        self.results.clear();
        self.results.reserve(n);
        // SAFETY: `n` values fit the block; the room was just reserved.
        unsafe {
            let slots = (&raw const (*mailbox).from_guest.values).cast::<Value>();
            std::ptr::copy_nonoverlapping(slots, self.results.as_mut_ptr(), n);
            self.results.set_len(n);
        }
    }

    fn text(&self) -> String {
        let mailbox = self.mailbox_ptr();
        // SAFETY: the length is read once and cut to the area; the bytes are copied before they are looked at.
        let bytes = unsafe {
            let len = (&raw const (*mailbox).text.len).read_volatile() as usize;
            let from = (&raw const (*mailbox).text.bytes).cast::<u8>();
            let mut copy = vec![0; len.min(hlfuzz_abi::TEXT_BYTES)];
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), copy.len());
            copy
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn take_posted(&mut self, used: u32) -> std::result::Result<(), String> {
        let mailbox = self.mailbox_ptr();
        let interface = &self.interface;
        // SAFETY: the area has POSTED_BYTES; the guest waits, so resetting its counter does not race.
        unsafe {
            self.posted.take((&raw const (*mailbox).posted).cast(), used, |import| {
                interface.imports.get(import as usize).copied().flatten().map(|(params, _)| params)
            })?;
            (&raw mut (*mailbox).from_guest.posted).write_volatile(0);
        }
        self.stats.posted += self.posted.calls.len() as u64;
        Ok(())
    }

    /// The guest broke the protocol: nothing it says can be used any more, but the snapshot can.
    fn violated(&mut self, why: String) -> Status {
        self.end_by(TrapCause::Abi(why))
    }

    fn stopped(&mut self, exit: Exit) -> Status {
        let cause = match exit {
            Exit::Exception(exception) => TrapCause::Exception(exception),
            Exit::Doorbell(_) => TrapCause::Runtime(self.text()),
            Exit::Broken(why) => TrapCause::Runtime(why),
            Exit::Interrupted | Exit::RingFull => {
                TrapCause::Runtime("the vCPU stopped without a reason".into())
            }
        };
        self.end_by(cause)
    }

    fn end_by(&mut self, cause: TrapCause) -> Status {
        self.stats.traps += 1;
        let why = format!("{cause:?}");
        self.trap = Some(cause);
        match self.recover() {
            Ok(()) => Status::Trap,
            Err(error) => self.die(format!("{why}; {}", error.message)),
        }
    }

    /// A request that is answered at once and changes nothing of the call that may be open.
    fn ask(&mut self, op: u32, index: u32, values: &[Value], results: u32) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase == Phase::Running {
            return Status::Busy;
        }
        if self.open.is_empty() {
            self.used = Used::default();
        }
        self.open.push(results);
        self.request(op, index, values);
        self.go()
    }

    /// The exchange alone.
    pub fn nop(&mut self) -> Status {
        self.ask(op::NOP, 0, &[], 0)
    }

    /// Address in guest RAM and length of a memory, checked; `export` None: the default one.
    pub fn memory_range(&mut self, export: Option<u32>) -> std::result::Result<(u64, u64), Status> {
        if let Some(status) = self.unusable() {
            return Err(status);
        }
        if self.phase == Phase::Running {
            return Err(Status::Busy);
        }
        let (base, len) = match export {
            None => self.memory,
            Some(index) => {
                let status = self.ask(op::MEMORY, index, &[], 1);
                if status != Status::Done {
                    return Err(status);
                }
                (self.results[0][0], self.results[0][1])
            }
        };
        // both came from the guest: they must lie where the host has put writable memory for it
        let layout = self.snapshot.as_ref().map(|snapshot| snapshot.layout().heap.start);
        let lowest = layout.unwrap_or(map::RUNTIME);
        if len != 0 && (base < lowest || base.checked_add(len).is_none_or(|end| end > self.ram.len() as u64))
        {
            return Err(
                self.violated(format!("a linear memory at {base:#x} with {len} bytes, outside of guest RAM"))
            );
        }
        Ok((base, len))
    }

    /// A pointer to `len` bytes at `ptr` of a memory, valid until the guest runs again; None: out of range.
    pub fn view(
        &mut self,
        export: Option<u32>,
        ptr: u64,
        len: u64,
    ) -> std::result::Result<Option<*mut u8>, Status> {
        let (base, size) = self.memory_range(export)?;
        if ptr.checked_add(len).is_none_or(|end| end > size) {
            return Ok(None);
        }
        Ok(self.ram.range(base + ptr, len))
    }

    /// Writes to a memory of the guest. False: out of range, nothing was written.
    pub fn write(
        &mut self,
        export: Option<u32>,
        ptr: u64,
        bytes: &[u8],
    ) -> std::result::Result<bool, Status> {
        let Some(to) = self.view(export, ptr, bytes.len() as u64)? else {
            return Ok(false);
        };
        if bytes.is_empty() {
            return Ok(true);
        }
        let start = to as usize - self.ram.as_ptr() as usize;
        for page in start / PAGE..=(start + bytes.len() - 1) / PAGE {
            self.hot.insert(page as u32);
        }
        // SAFETY: `view` checked the range; the guest is at rest or waits.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(true)
    }

    pub fn global_get(&mut self, export: u32) -> std::result::Result<Value, Status> {
        match self.ask(op::GLOBAL_GET, export, &[], 1) {
            Status::Done => Ok(self.results[0]),
            status => Err(status),
        }
    }

    pub fn global_set(&mut self, export: u32, value: Value) -> Status {
        self.ask(op::GLOBAL_SET, export, &[value], 0)
    }

    /// How the guest makes calls of `import`: 0 asks and waits, 1 posts, 2 + k posts with the bytes that parameters
    /// k and k + 1 name.
    pub fn set_posted_mode(&mut self, import: u32, mode: u8) -> Status {
        let Some(&Some((params, results))) = self.interface.imports.get(import as usize) else {
            return self.invalid(format!("no imported function at position {import}"));
        };
        if import as usize >= hlfuzz_abi::POSTED_MODES || mode != 0 && results != 0 {
            return self.invalid(format!("import {import} cannot be posted: it returns {results} values"));
        }
        if mode >= 2 && u32::from(mode) > params {
            return self
                .invalid(format!("import {import} has {params} parameters, no pointer and length there"));
        }
        // SAFETY: the index was checked.
        unsafe { (&raw mut (*self.mailbox_ptr()).posted_modes[import as usize]).write_volatile(mode) };
        Status::Done
    }

    pub fn results(&self) -> &[Value] {
        &self.results
    }

    pub fn host_call(&self) -> Option<&HostCall> {
        if self.phase == Phase::HostCall { self.hostcalls.last() } else { None }
    }

    pub fn posted(&self) -> &Queue {
        &self.posted
    }

    pub fn trap(&self) -> Option<&TrapCause> {
        self.trap.as_ref()
    }

    /// Why the last status was `Dead` or `Invalid`.
    pub fn message(&self) -> &str {
        self.dead.as_deref().unwrap_or(&self.refusal)
    }

    /// Number of results of an imported function.
    pub fn import_results(&self, import: u32) -> Option<u32> {
        self.interface.imports.get(import as usize).copied().flatten().map(|(_, results)| results)
    }

    /// Makes a VM like this one's over the same memory, and closes it: the floor of making a sandbox.
    pub fn create_and_drop_machine(&self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Err(Error::new(Kind::Internal, "a VM that boots is not measured"));
        };
        Machine::new(&snapshot.host, &self.ram, &self.mailbox, Some(self.tracking)).map(drop)
    }

    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.options.deadline = deadline;
    }

    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn stats(&self) -> (Stats, ResetStats) {
        (self.stats, self.hot.stats)
    }

    pub fn hot_pages(&self) -> usize {
        self.hot.count()
    }

    pub fn ram_bytes(&self) -> u64 {
        self.ram.len() as u64
    }

    pub fn tracks_by_ring(&self) -> bool {
        self.machine.has_ring()
    }

    /// CPU of the vCPU thread and how often it parked; None with the exit transport.
    pub fn vcpu_thread(&self) -> Option<(i32, u64)> {
        match &self.driver {
            Driver::Spin(thread) => Some((thread.claim.cpu, thread.shared.parks.load(Relaxed))),
            Driver::Exit(_) => None,
        }
    }

    /// The bytes of guest RAM in `range`, for hashing. The guest is at rest or waits.
    pub fn ram_slice(&self, start: u64, end: u64) -> Option<&[u8]> {
        let len = end.checked_sub(start)?;
        // SAFETY: the range is inside; nobody writes while the guest waits.
        self.ram.range(start, len).map(|at| unsafe { std::slice::from_raw_parts(at, len as usize) })
    }

    pub fn layout(&self) -> Option<&crate::image::Layout> {
        self.snapshot.as_ref().map(|snapshot| snapshot.layout())
    }

    /// The CPU time of the thread that runs the vCPU.
    pub(crate) fn vcpu_time(&self) -> Duration {
        match &self.driver {
            Driver::Spin(thread) => clock(thread.shared.cpu_clock()),
            Driver::Exit(_) => clock(libc::CLOCK_THREAD_CPUTIME_ID),
        }
    }
}

pub(crate) fn new_mailbox() -> Result<Mapping> {
    Mapping::anonymous(size_of::<Mailbox>().next_multiple_of(PAGE), "the mailbox")
}
