//! A sandbox: one VM at a snapshot, with calls into it, calls out of it, and the way back to the snapshot.

mod access;
mod calls;
mod differ;
mod evidence;
#[cfg(test)]
mod hostile;
mod meddler;
mod model;
mod take;
mod vectors;

use crate::cpus;
use crate::deadline::{Deadline, Timer, clock};
use crate::error::{Error, Kind, Result};
use crate::faults::Faults;
use crate::host::Tracking;
use crate::layout::{Guest, Layout};
use crate::machine::{Exit, Machine, Track};
use crate::mapping::Mapping;
use crate::posted::Queue;
use crate::reset::{HotSet, ResetStats};
use crate::snapshot::{PAGE, Snapshot};
use crate::spin::VcpuThread;
use calls::Asked;
pub use differ::{Difference, SHOWN};
pub use evidence::State;
use evidence::Trail;
use hlfuzz_abi::{Mailbox, Value, transport};
use meddler::Meddler;
pub use meddler::{Careless, Change, Shared};
pub use model::{
    CallLimits, HostCall, Interface, Level, LimitCause, Options, Stats, Status, Transport, TrapCause,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;
use vectors::VectorCall;
pub use vectors::{BytesCall, Form, Room};

/// Calls into the guest that may be open at once: one from outside, the others from inside host functions.
pub const MAX_DEPTH: usize = 16;

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
    layout: Arc<Layout>,
    pub(crate) hot: HotSet,
    pub(crate) options: Options,
    pub(crate) stats: Stats,
    pub(crate) used: Used,
    /// TSC when the guest was last set going.
    pub(crate) segment_start: u64,
    phase: Phase,
    /// Host calls of the open call so far, posted ones too.
    host_calls_made: u64,
    /// Nothing was asked of the guest or written for it since the last restore.
    clean: bool,
    /// Result counts of the open calls, outermost first.
    open: Vec<u32>,
    hostcalls: Vec<HostCall>,
    /// Buffers of host calls that have ended, at most `MAX_DEPTH`.
    spare: Vec<Vec<Value>>,
    reset_after: bool,
    vector: VectorCall,
    results: Vec<Value>,
    /// `FromGuest::aux` of the last `DONE`.
    aux: u32,
    /// What the guest was asked last.
    asked: Asked,
    /// How every open call ended while a host function was looking at the guest: it has not been told yet.
    ended: Option<Status>,
    posted: Queue,
    /// The posted mode of each import that was given one, by position.
    posted_modes: Vec<u8>,
    trap: Option<TrapCause>,
    trail: Trail,
    /// Why the sandbox is dead, once it is.
    dead: Option<Error>,
    /// Why the last call was refused.
    refusal: String,
    /// Address and length of the default memory as the guest last said; checked when used.
    memory: (u64, u64),
    first_memory: (u64, u64),
    pub(crate) tsc_khz: u64,
    tracking: Tracking,
    faults: Faults,
    careless: Careless,
    meddler: Option<Box<Meddler>>,
    /// Somebody in another thread wants the call to come back early.
    stop: Arc<AtomicBool>,
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
        let strict = options.level == Level::Strict;
        let track = Track { how: tracking, everything: strict };
        let machine = Machine::new(&snapshot.host, &ram, &mailbox, Some(track))?;
        machine.only_signal(crate::deadline::kick_signal())?;
        machine.set_registers(&snapshot.registers, true)?;
        let hot = HotSet::new(snapshot.pages(), machine.has_ring(), strict);
        let mut it =
            Self::assemble(machine, mailbox, Arc::new(ram), interface, snapshot.layout.clone(), hot, options);
        it.memory = first_memory;
        it.first_memory = first_memory;
        it.snapshot = Some(snapshot);
        it.clean = true;
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
        layout: Arc<Layout>,
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
            layout,
            hot,
            options,
            stats: Stats::default(),
            used: Used::default(),
            segment_start: 0,
            phase: Phase::Idle,
            host_calls_made: 0,
            clean: false,
            open: Vec::with_capacity(MAX_DEPTH),
            hostcalls: Vec::with_capacity(MAX_DEPTH),
            spare: Vec::with_capacity(MAX_DEPTH),
            reset_after: false,
            vector: VectorCall::default(),
            results: Vec::new(),
            aux: 0,
            asked: Asked::Run,
            ended: None,
            posted: Queue::default(),
            posted_modes: Vec::new(),
            trap: None,
            trail: Trail::default(),
            dead: None,
            refusal: String::new(),
            memory: (0, 0),
            first_memory: (0, 0),
            tsc_khz,
            tracking: Tracking::Auto,
            faults: Faults::default(),
            careless: Careless::default(),
            meddler: None,
            stop: Arc::default(),
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
        if self.in_forked_child() {
            let why = "this sandbox belongs to the parent process; open a new one after fork";
            self.dead = Some(Error::new(Kind::Forked, why));
        }
        self.dead.as_ref().map(|_| Status::Dead)
    }

    fn invalid(&mut self, why: String) -> Status {
        self.trap = None;
        self.results.clear();
        self.posted.clear();
        self.refusal = why;
        Status::Invalid
    }

    /// Ends an open call and restores the snapshot.
    pub fn kill(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        self.stats.kicks += 1;
        self.ended = None;
        match self.recover() {
            Ok(()) => Status::Done,
            Err(error) => self.die(error),
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
        self.ended = None;
        match self.restore() {
            Ok(()) => Status::Done,
            Err(error) => self.die(error),
        }
    }

    fn restore(&mut self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Err(Error::new(Kind::Internal, "a VM that boots has nothing to go back to"));
        };
        if self.options.level == Level::Strict && !self.faults.forget_registers {
            if let Driver::Spin(thread) = &self.driver {
                thread.pause()?;
            }
            let damaged = match self.faults.in_registers() {
                true => Some(self.faults.mix(self.machine.xsave()?, &snapshot.registers)),
                false => None,
            };
            let to = damaged.as_ref().unwrap_or(&snapshot.registers);
            match &self.driver {
                Driver::Exit(_) => self.machine.set_registers_with_next_run(to)?,
                Driver::Spin(_) => self.machine.set_registers(to, false)?,
            }
        }
        self.hot.restore(&self.machine, snapshot, &self.ram, self.faults)?;
        let spared = self.faults.forget_mailbox || self.faults.do_nothing;
        if self.options.level == Level::Strict && !spared {
            // SAFETY: it is a mailbox, and the vCPU is at rest: it exits after each answer, or was paused above.
            unsafe { self.hot.mailbox.wipe(self.mailbox.as_ptr()) };
        }
        self.clean = true;
        if let (Driver::Spin(thread), Level::Strict, false) =
            (&self.driver, self.options.level, self.faults.forget_registers)
        {
            thread.resume();
        }
        if !self.faults.forget_size {
            self.memory = self.first_memory;
        }
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
            let name = self.layout.name(address);
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
        let damaged = match self.faults.forget_vectors_after_crash {
            true => Some(snapshot.registers.with_xsave(&self.machine.xsave()?)),
            false => None,
        };
        self.machine.set_registers(damaged.as_ref().unwrap_or(&snapshot.registers), false)?;
        self.hot.restore(&self.machine, &snapshot, &self.ram, self.faults)?;
        self.clean = true;
        let mailbox = self.mailbox_ptr();
        // SAFETY: the vCPU is at rest; the words are atomics.
        unsafe {
            self.hot.mailbox.wipe(mailbox.cast());
            (*mailbox).to_guest.word.store(0, Relaxed);
            (*mailbox).from_guest.word.store(0, Relaxed);
            (&raw mut (*mailbox).from_guest.posted).write_volatile(0);
        }
        if let Driver::Spin(thread) = &self.driver {
            thread.resume();
        }
        self.open.clear();
        self.hostcalls.clear();
        self.vector.end();
        self.posted.clear();
        self.phase = Phase::Idle;
        self.memory = self.first_memory;
        self.verify_if_due()
    }

    fn die(&mut self, why: Error) -> Status {
        self.open.clear();
        self.hostcalls.clear();
        self.vector.end();
        self.phase = Phase::Idle;
        self.dead = Some(why);
        Status::Dead
    }

    /// Lets go of the memory; the interface and the machine, which must not run any more, are left.
    pub(crate) fn retire(self) -> (Arc<Interface>, Arc<Machine>) {
        (self.interface.clone(), self.machine.clone())
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
        self.dead.as_ref().map_or(&self.refusal, |error| &error.message)
    }

    /// Why the last status was `Dead`, with its kind.
    pub fn death(&self) -> Option<&Error> {
        self.dead.as_ref()
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
        let track = Track { how: self.tracking, everything: self.options.level == Level::Strict };
        Machine::new(&snapshot.host, &self.ram, &self.mailbox, Some(track)).map(drop)
    }

    /// Whether it is at its snapshot: nothing was asked of the guest or written for it since the last restore.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.clean && self.dead.is_none()
    }

    pub(crate) fn touched(&mut self) {
        self.clean = false;
    }

    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.options.deadline = deadline;
    }

    /// Where another thread says, before it sends the kick signal, that a call is to come back with `Status::Running`.
    pub(crate) fn set_stop(&mut self, stop: &Arc<AtomicBool>) {
        self.stop.clone_from(stop);
    }

    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    pub fn in_forked_child(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.fork.in_child())
    }

    /// For tests: damages this sandbox. Mended by `Faults::default()`, all but what is shared or left in a thread, which
    /// lasts until the sandbox is closed.
    pub fn set_faults(&mut self, faults: Faults) -> Result<()> {
        self.faults = faults;
        self.machine.interruption_ends.store(faults.interruption_ends, Relaxed);
        if faults.keep_selectors {
            self.machine.leak.begin();
        }
        if faults.share_page {
            let first = self.layout.writable.first().map_or(0, |range| range.start);
            // of a native guest the heap's end: its data is written by each call, and this page by nobody
            let last = self.layout.writable.last().map_or(0, |range| range.end - PAGE as u64);
            let base = match self.layout.guest {
                Guest::Native => last,
                _ if self.first_memory.1 == 0 => first,
                _ => self.first_memory.0,
            };
            self.ram.share_page(base / PAGE as u64)?;
        }
        Ok(())
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

    pub fn layout(&self) -> &Layout {
        &self.layout
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
