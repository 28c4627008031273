//! The vCPU thread of the `spin` transport: stays in KVM_RUN, parks when the guest is idle, stops when told.

use crate::cpus::{self, Claim};
use crate::deadline::{drain, kick_signal};
use crate::error::{Error, Kind, Result};
use crate::futex::{wait_while, wake};
use crate::handshake::may_sleep;
use crate::inject;
use crate::machine::{Exit, Machine};
use crate::mapping::Mapping;
use hlfuzz_abi::{Mailbox, bell};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const RUN: u32 = 0;
const PAUSE: u32 = 1;
const QUIT: u32 = 2;

/// What caller and vCPU thread share, in the host's private memory.
pub struct Shared {
    machine: Arc<Machine>,
    mailbox: Arc<Mapping>,
    command: AtomicU32,
    /// 1 while the thread sleeps for want of requests.
    pub parked: AtomicU32,
    /// 1 while the vCPU is at rest and may be changed by the caller.
    paused: AtomicU32,
    /// 1: the vCPU left for a reason that the caller must look at (`exit`).
    stopped: AtomicU32,
    exit: Mutex<Option<Exit>>,
    thread: AtomicI32,
    clock: AtomicI32,
    pub parks: AtomicU64,
}

pub struct VcpuThread {
    pub shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
    pub claim: Claim,
    /// A forked child does not have the thread.
    process: u32,
}

impl Shared {
    fn mailbox(&self) -> &Mailbox {
        // SAFETY: the mailbox mapping has this size and lives as long as `self`; only its atomics are used here.
        unsafe { &*self.mailbox.as_ptr().cast::<Mailbox>() }
    }

    /// Wakes the parked thread.
    pub fn unpark(&self) {
        self.parked.store(0, Release);
        wake(&self.parked);
    }

    pub fn has_stopped(&self) -> bool {
        self.stopped.load(Acquire) != 0
    }

    /// Why the vCPU is at rest by itself. It stays so until `go_on` or a pause.
    pub fn take_exit(&self) -> Option<Exit> {
        self.exit.lock().ok().and_then(|mut exit| exit.take())
    }

    pub fn go_on(&self) {
        self.stopped.store(0, Release);
        wake(&self.stopped);
    }

    /// Clock of the thread's CPU time.
    pub fn cpu_clock(&self) -> libc::clockid_t {
        self.clock.load(Relaxed)
    }

    fn body(&self, cpu: i32) {
        // SAFETY: plain data; all signals stay blocked in this thread, KVM lets only the kick through.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
            let mut clock = 0;
            libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock);
            self.clock.store(clock, Relaxed);
        }
        cpus::pin_this_thread(cpu);
        self.thread.store(crate::deadline::thread_id(), Release);
        loop {
            match self.command.load(SeqCst) {
                QUIT => break,
                PAUSE => {
                    self.rest(PAUSE);
                    continue;
                }
                _ => {}
            }
            match self.machine.run() {
                Exit::Interrupted if !self.ends_interrupted() => drain(),
                Exit::Doorbell(bell::IDLE) => self.park(),
                Exit::Doorbell(bell::ANSWER) => {}
                other => {
                    if let Ok(mut exit) = self.exit.lock() {
                        *exit = Some(other);
                    }
                    // at rest until the caller has looked; it answers with PAUSE (to restore) or QUIT
                    self.stopped.store(1, Release);
                    while self.stopped.load(Acquire) != 0 && self.command.load(SeqCst) == RUN {
                        wait_while(&self.stopped, 1);
                    }
                }
            }
        }
        self.paused.store(1, SeqCst);
        wake(&self.paused);
    }

    fn ends_interrupted(&self) -> bool {
        self.machine.interruption_ends.load(Relaxed) && self.command.load(SeqCst) == RUN
    }

    fn rest(&self, while_command: u32) {
        self.paused.store(1, SeqCst);
        wake(&self.paused);
        while self.command.load(SeqCst) == while_command {
            wait_while(&self.command, while_command);
        }
        self.paused.store(0, SeqCst);
    }

    fn park(&self) {
        if !may_sleep(&self.mailbox().to_guest.word, &self.parked) {
            return;
        }
        self.parks.fetch_add(1, Relaxed);
        while self.parked.load(Acquire) != 0 && self.command.load(SeqCst) == RUN {
            wait_while(&self.parked, 1);
        }
        self.parked.store(0, Relaxed);
    }
}

impl VcpuThread {
    pub fn start(machine: Arc<Machine>, mailbox: Arc<Mapping>, claim: Claim) -> Result<Self> {
        let shared = Arc::new(Shared {
            machine,
            mailbox,
            command: AtomicU32::new(RUN),
            parked: AtomicU32::new(0),
            paused: AtomicU32::new(0),
            stopped: AtomicU32::new(0),
            exit: Mutex::new(None),
            thread: AtomicI32::new(0),
            clock: AtomicI32::new(0),
            parks: AtomicU64::new(0),
        });
        let (body, cpu, failures) = (shared.clone(), claim.cpu, inject::armed());
        let handle = std::thread::Builder::new()
            .name("hlfuzz-vcpu".into())
            .stack_size(128 << 10)
            .spawn(move || {
                inject::adopt(failures);
                body.body(cpu);
            })
            .map_err(|e| Error::os("starting the vCPU thread", &e))?;
        while shared.thread.load(Acquire) == 0 {
            std::thread::yield_now();
        }
        Ok(Self { shared, handle: Some(handle), claim, process: std::process::id() })
    }

    fn command(&self, command: u32) {
        self.shared.command.store(command, SeqCst);
        wake(&self.shared.command);
        self.shared.stopped.store(0, SeqCst);
        wake(&self.shared.stopped);
        self.shared.unpark();
    }

    fn kick(&self) {
        // The signal stays pending until the thread is in KVM_RUN, so one is enough whenever it arrives.
        // It fails while the user's queue of pending signals is full (ulimit -i).
        // SAFETY: the thread lives until it is joined.
        while unsafe {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), self.shared.thread.load(Acquire), kick_signal())
        } != 0
            && !self.handle.as_ref().is_none_or(JoinHandle::is_finished)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Brings the vCPU to rest wherever it is.
    pub fn pause(&self) -> Result<()> {
        self.command(PAUSE);
        self.kick();
        while self.shared.paused.load(SeqCst) == 0 {
            if self.handle.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(Error::new(Kind::Internal, "the vCPU thread has ended"));
            }
            wait_while(&self.shared.paused, 0);
        }
        Ok(())
    }

    /// Lets it run on.
    pub fn resume(&self) {
        self.shared.command.store(RUN, SeqCst);
        wake(&self.shared.command);
        while self.shared.paused.load(SeqCst) != 0 {
            std::hint::spin_loop();
            std::thread::yield_now();
        }
    }
}

impl Drop for VcpuThread {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.handle.take());
        } else {
            self.command(QUIT);
            self.kick();
            let _ = self.handle.take().map(JoinHandle::join);
        }
    }
}
