//! Sandboxes that run in threads of their own, for an event loop: a command is handed over together with the sandbox,
//! and when it has come to its end a file descriptor becomes readable.
//!
//! Ownership is what keeps the two threads apart: the `Box<Sandbox>` itself travels. Between two commands the owner
//! has it, and reads results, the arguments of host calls and memory without asking anybody; while a command runs the
//! thread has it. One [`Dispatcher`] serves all sandboxes of a loop: one descriptor, one wake-up for many of them.

use crate::deadline::{drain, kick_signal, thread_id};
use crate::error::{Error, Result};
use crate::futex::{wait_while, wait_while_for, wake};
use crate::inject;
use crate::ready::{Entry, Ready};
use crate::sandbox::{BytesCall, Form, Room, Sandbox, Status};
use hlfuzz_abi::Value;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the thread is to do with the sandbox: the functions of [`Sandbox`] that run the guest, or reset it.
pub enum Command {
    Call { export: u32, args: Vec<Value>, reset: bool },
    CallBytes { call: BytesPlan, data: Vec<u8>, reset: bool },
    Resume(Vec<Value>),
    Fail,
    Wait,
    Reset,
    Kill,
}

/// A [`BytesCall`] that owns its arguments.
pub struct BytesPlan {
    pub export: u32,
    pub args: Vec<Value>,
    pub at: usize,
    pub room: PlanRoom,
    pub form: Form,
}

/// A [`Room`] that owns its arguments.
pub enum PlanRoom {
    Allocator { export: u32, args: Vec<Value>, len_at: usize },
    Scratch(u64),
}

impl From<Room<'_>> for PlanRoom {
    fn from(room: Room) -> Self {
        match room {
            Room::Allocator { export, args, len_at } => {
                Self::Allocator { export, args: args.to_vec(), len_at }
            }
            Room::Scratch(address) => Self::Scratch(address),
        }
    }
}

impl From<&BytesCall<'_>> for BytesPlan {
    fn from(call: &BytesCall) -> Self {
        let (export, at, form) = (call.export, call.at, call.form);
        Self { export, args: call.args.to_vec(), at, room: call.room.into(), form }
    }
}

impl BytesPlan {
    fn run(&self, sandbox: &mut Sandbox, data: &[u8]) -> Status {
        let room = match &self.room {
            PlanRoom::Allocator { export, args, len_at } => {
                Room::Allocator { export: *export, args, len_at: *len_at }
            }
            PlanRoom::Scratch(address) => Room::Scratch(*address),
        };
        let (export, at, form) = (self.export, self.at, self.form);
        sandbox.call_bytes(&BytesCall { export, args: &self.args, at, room, form }, data)
    }
}

impl Command {
    fn run(self, sandbox: &mut Sandbox) -> Status {
        let status = match self {
            Self::Call { export, args, reset } => {
                sandbox.reset_at_end(reset);
                sandbox.call(export, &args)
            }
            Self::CallBytes { call, data, reset } => {
                sandbox.reset_at_end(reset);
                call.run(sandbox, &data)
            }
            Self::Resume(results) => sandbox.resume(&results),
            Self::Fail => sandbox.fail(),
            Self::Wait => sandbox.wait(),
            Self::Reset => return sandbox.reset(),
            Self::Kill => return sandbox.kill(),
        };
        sandbox.finish_call(status)
    }
}

/// What an event loop waits for: which of its sandboxes are ready.
pub struct Dispatcher {
    bell: OwnedFd,
    ready: Ready,
}

impl Dispatcher {
    pub fn new() -> Result<Arc<Self>> {
        // SAFETY: plain call; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::last_os("making the dispatcher's event descriptor"));
        }
        // SAFETY: a new descriptor that nobody else owns.
        let bell = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Arc::new(Self { bell, ready: Ready::default() }))
    }

    /// Readable when somebody is ready.
    pub fn fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    fn announce(&self, entry: &Arc<Entry>) {
        if self.ready.push(entry) {
            let one = 1u64;
            // SAFETY: eight bytes of ours. It cannot fail: the counter is far from its end, and a signal that
            // interrupts is blocked in this thread.
            unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
        }
    }

    /// Adds the tags of those that are ready, in the order in which they became so. One thread at a time. A tag may
    /// come though its command's end was seen before, by `Worker::wait`.
    pub fn take(&self, tags: &mut Vec<u64>) {
        let mut count = 0u64;
        // SAFETY: eight bytes of ours; a descriptor with nothing to read says so and is left alone.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
        self.ready.take(tags);
    }
}

/// In other things: it waits for the dispatcher, if at all.
const ELSEWHERE: u32 = 0;
/// In a futex, until the state changes.
const SLEEPS: u32 = 1;
/// It looks at the state again and again.
const LOOKS: u32 = 2;
/// Who waits no longer than this looks, and lets others run in between: to be woken by a timer that soon takes longer
/// than the wait itself, where setting one leaves a VM.
const BRIEFLY: Duration = Duration::from_millis(1);

/// The owner has the sandbox, or will have it once it asks.
const REST: u32 = 0;
/// The thread has it.
const WORK: u32 = 1;
const QUIT: u32 = 2;

struct Job {
    sandbox: Box<Sandbox>,
    /// None once it has run.
    command: Option<Command>,
    status: Status,
}

struct Shared {
    state: AtomicU32,
    /// How the owner waits for the end of the command, if it does.
    owner_waits: AtomicU32,
    /// Whose turn it is decides who takes this lock, so nobody ever waits for it.
    job: Mutex<Option<Job>>,
    stop: Arc<AtomicBool>,
    /// The thread's id, 0 until it runs.
    thread: AtomicU32,
    dispatcher: Arc<Dispatcher>,
    entry: Arc<Entry>,
}

impl Shared {
    fn body(&self) {
        // SAFETY: plain data; all signals stay blocked in this thread, KVM lets only the kick through.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        }
        self.thread.store(thread_id() as u32, Release);
        wake(&self.thread);
        loop {
            match self.state.load(Acquire) {
                QUIT => return,
                WORK => self.work(),
                _ => wait_while(&self.state, REST),
            }
        }
    }

    fn work(&self) {
        if let Ok(mut job) = self.job.lock()
            && let Some(job) = job.as_mut()
            && let Some(command) = job.command.take()
        {
            job.status = command.run(&mut job.sandbox);
            while job.status == Status::Running && !self.stop.load(SeqCst) {
                let status = job.sandbox.wait();
                job.status = job.sandbox.finish_call(status);
            }
            if self.stop.load(SeqCst) {
                drain();
            }
        }
        self.state.store(REST, SeqCst);
        match self.owner_waits.load(SeqCst) {
            ELSEWHERE => self.dispatcher.announce(&self.entry),
            SLEEPS => wake(&self.state),
            _ => {}
        }
    }
}

/// A thread that runs commands on one sandbox, as its owner sees it.
pub struct Worker {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
    /// A forked child does not have the thread.
    process: u32,
}

impl Worker {
    /// Starts a thread that announces ends of commands to `dispatcher` under `tag`.
    pub fn start(dispatcher: Arc<Dispatcher>, tag: u64) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU32::new(REST),
            owner_waits: AtomicU32::new(ELSEWHERE),
            job: Mutex::new(None),
            stop: Arc::default(),
            thread: AtomicU32::new(0),
            dispatcher,
            entry: Entry::new(tag),
        });
        let (body, failures) = (shared.clone(), inject::armed());
        let handle = std::thread::Builder::new()
            .name("hlfuzz-dispatch".into())
            .stack_size(256 << 10)
            .spawn(move || {
                inject::adopt(failures);
                body.body();
            })
            .map_err(|e| Error::os("starting the sandbox's thread", &e))?;
        while shared.thread.load(Acquire) == 0 {
            wait_while(&shared.thread, 0);
        }
        Ok(Self { shared, handle: Some(handle), process: std::process::id() })
    }

    /// Whether the sandbox is with the worker: from `hand_over` to the `end` or `wait` that gives it back.
    pub fn has_sandbox(&self) -> bool {
        self.shared.state.load(Acquire) == WORK || self.job().is_some()
    }

    fn job(&self) -> std::sync::MutexGuard<'_, Option<Job>> {
        self.shared.job.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Hands a sandbox over to run a command. Gives it back when that cannot be: it has one, or was forked.
    pub fn hand_over(&self, mut sandbox: Box<Sandbox>, command: Command) -> Option<Box<Sandbox>> {
        if self.has_sandbox() || sandbox.in_forked_child() {
            return Some(sandbox);
        }
        self.shared.stop.store(false, SeqCst);
        sandbox.set_stop(&self.shared.stop);
        *self.job() = Some(Job { sandbox, command: Some(command), status: Status::Running });
        self.shared.state.store(WORK, Release);
        wake(&self.shared.state);
        None
    }

    /// The sandbox and what its command came back with; None while it runs, and when there is none.
    pub fn end(&self) -> Option<(Box<Sandbox>, Status)> {
        if self.shared.state.load(SeqCst) == WORK || self.process != std::process::id() {
            return None;
        }
        let job = self.job().take()?;
        // nothing runs that it could be meant for
        self.shared.stop.store(false, SeqCst);
        Some((job.sandbox, job.status))
    }

    /// As `end`, and sleeps until then, for so long at most.
    pub fn wait(&self, timeout: Duration) -> Option<(Box<Sandbox>, Status)> {
        let (state, start) = (&self.shared.state, Instant::now());
        let looks = timeout <= BRIEFLY;
        self.shared.owner_waits.store(if looks { LOOKS } else { SLEEPS }, SeqCst);
        while looks && state.load(SeqCst) == WORK && start.elapsed() < timeout {
            std::thread::yield_now();
        }
        while state.load(SeqCst) == WORK {
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                break;
            };
            wait_while_for(state, WORK, left);
        }
        // The thread looks at this after it has come to rest: either it saw that the owner waits, and `end` sees that
        // it rests; or it sees that the owner is elsewhere, and announces.
        self.shared.owner_waits.store(ELSEWHERE, SeqCst);
        self.end()
    }

    /// Any thread: the command that runs comes back soon, with `Status::Running` unless it ends by itself before that.
    /// Does nothing when none runs.
    pub fn kick(&self) {
        if self.process != std::process::id() || self.shared.state.load(SeqCst) != WORK {
            return;
        }
        self.shared.stop.store(true, SeqCst);
        // The signal stays pending until the thread is in KVM_RUN, so one is enough whenever it arrives.
        // SAFETY: the thread lives until it is joined.
        unsafe {
            let thread = self.shared.thread.load(Acquire);
            libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, kick_signal());
        }
    }

    /// Ends the thread. The sandbox if it had one, with its call, if one was open, still open.
    pub fn stop(mut self) -> Option<Box<Sandbox>> {
        self.finish();
        self.end().map(|(sandbox, _)| sandbox)
    }

    fn finish(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if self.process != std::process::id() {
            // the thread is not here, and what it has, perhaps with its lock held, cannot be touched
            std::mem::forget((handle, self.shared.clone()));
            return;
        }
        while self.shared.state.load(SeqCst) == WORK {
            self.kick();
            self.shared.owner_waits.store(SLEEPS, SeqCst);
            wait_while_for(&self.shared.state, WORK, Duration::from_millis(10));
        }
        self.shared.state.store(QUIT, SeqCst);
        wake(&self.shared.state);
        let _ = handle.join();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.finish();
    }
}
