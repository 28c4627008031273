//! Deadlines: CPU time of the thread that runs the vCPU, with a wall-clock cap.
//!
//! A wall deadline alone accuses a vCPU that was merely preempted; CPU time alone never ends one that gets no CPU.

use crate::error::{Error, Result};
use crate::inject::{self, point};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Signal that ends KVM_RUN. No handler is ever installed for it: it stays blocked in the thread that runs the vCPU,
/// is unblocked by KVM for the time of KVM_RUN only, and is taken off the queue afterwards.
pub fn kick_signal() -> i32 {
    libc::SIGRTMIN() + 5
}

/// How long one call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub cpu: Duration,
    pub wall: Duration,
}

impl Default for Deadline {
    fn default() -> Self {
        Self { cpu: Duration::from_secs(1), wall: Duration::from_secs(10) }
    }
}

impl Deadline {
    /// Has a call that used `cpu` and took `wall` reached its end? Else: how long until it can, at the earliest.
    pub fn left(&self, cpu: Duration, wall: Duration) -> Option<Duration> {
        if cpu >= self.cpu || wall >= self.wall {
            return None;
        }
        // a thread uses at most one second of CPU time a second
        Some((self.cpu - cpu).min(self.wall - wall))
    }
}

pub fn clock(id: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel fills the struct, or the call fails and it is not read.
    unsafe {
        if libc::clock_gettime(id, time.as_mut_ptr()) != 0 {
            return Duration::ZERO;
        }
        let time = time.assume_init();
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// Keeps the kick signal blocked in this thread while it runs a vCPU itself, and takes a late one off the queue.
pub struct Blocked(libc::sigset_t);

impl Blocked {
    pub fn kick() -> Self {
        // SAFETY: signal sets are plain data; the calls have no other precondition.
        unsafe {
            let (mut only, mut before) = (zeroed(), zeroed());
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, kick_signal());
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// For tests: leaves a kick pending in this thread. Not where the signal is not blocked: it would end the process.
pub(crate) fn kick_this_thread() {
    // SAFETY: plain data; a signal that is blocked stays pending.
    unsafe {
        let mut blocked = zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut blocked);
        if libc::sigismember(&raw const blocked, kick_signal()) == 1 {
            libc::raise(kick_signal());
        }
    }
}

/// Takes a pending kick off this thread's queue, if there is one.
pub fn drain() {
    // SAFETY: plain data; a zero timeout never blocks.
    unsafe {
        let mut only = zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, kick_signal());
        let now = zeroed::<libc::timespec>();
        while libc::sigtimedwait(&raw const only, std::ptr::null_mut(), &raw const now) == kick_signal() {}
    }
}

/// A timer that kicks the thread which made it.
#[derive(Debug)]
pub struct Timer {
    id: libc::timer_t,
    /// Whom it kicks, see [`thread_token`].
    pub thread: u64,
    /// A forked child does not inherit it.
    process: u32,
}

// SAFETY: a timer is named by an id that any thread of the process may use.
unsafe impl Send for Timer {}

impl Timer {
    /// For the calling thread.
    pub fn new() -> Result<Self> {
        let failed = |error| Error::os("creating the deadline's timer", &error);
        inject::check(point::TIMER).map_err(failed)?;
        // SAFETY: the event is plain data, fully set for SIGEV_THREAD_ID; the id is read only on success.
        unsafe {
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = kick_signal();
            event.sigev_notify_thread_id = thread_id();
            let mut id: libc::timer_t = zeroed();
            if libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut id) != 0 {
                return Err(failed(io::Error::last_os_error()));
            }
            Ok(Self { id, thread: thread_token(), process: std::process::id() })
        }
    }

    /// Fires once, `after` from now.
    pub fn arm(&self, after: Duration) -> Result<()> {
        let after = after.max(Duration::from_nanos(1));
        self.set(libc::timespec {
            tv_sec: after.as_secs() as i64,
            tv_nsec: i64::from(after.subsec_nanos()),
        })?;
        Ok(())
    }

    /// Does not fire any more. True when it was stopped in time; else it may have fired already.
    pub fn disarm(&self) -> Result<bool> {
        self.set(libc::timespec { tv_sec: 0, tv_nsec: 0 })
    }

    /// True when it was armed until now.
    fn set(&self, value: libc::timespec) -> Result<bool> {
        let failed = |error| Error::os("setting the deadline's timer", &error);
        inject::check(point::TIMER).map_err(failed)?;
        // SAFETY: our timer, plain data.
        unsafe {
            let mut spec: libc::itimerspec = zeroed();
            spec.it_value = value;
            let mut old: libc::itimerspec = zeroed();
            if libc::timer_settime(self.id, 0, &raw const spec, &raw mut old) != 0 {
                return Err(failed(io::Error::last_os_error()));
            }
            Ok(old.it_value.tv_sec != 0 || old.it_value.tv_nsec != 0)
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // SAFETY: our timer.
            unsafe { libc::timer_delete(self.id) };
        }
    }
}

/// This thread's id as the kernel knows it.
pub fn thread_id() -> i32 {
    // SAFETY: plain query.
    unsafe { libc::gettid() }
}

/// A number that no other thread of this process has or will have. The kernel uses a thread's id again once it has ended,
/// and a timer made for the old thread would never kick the new one.
pub fn thread_token() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static TOKEN: u64 = NEXT.fetch_add(1, Relaxed));
    TOKEN.with(|token| *token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preempted_call_is_not_accused_but_an_endless_wait_is() {
        let s = Duration::from_secs;
        let deadline = Deadline { cpu: s(1), wall: s(10) };
        assert_eq!(deadline.left(Duration::ZERO, s(5)), Some(s(1)));
        assert_eq!(deadline.left(s(1), s(1)), None);
        assert_eq!(deadline.left(Duration::ZERO, s(10)), None);
        assert_eq!(deadline.left(Duration::from_millis(900), s(1)), Some(Duration::from_millis(100)));
    }

    #[test]
    fn a_timer_kicks_only_while_armed_and_leaves_no_signal_behind() {
        let blocked = Blocked::kick();
        let timer = Timer::new().unwrap();
        timer.arm(Duration::from_millis(1)).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        assert!(!timer.disarm().unwrap(), "it has fired");
        drain();
        timer.arm(Duration::from_secs(60)).unwrap();
        assert!(timer.disarm().unwrap(), "it was stopped in time");
        drop(timer);
        drop(blocked); // a signal left over would end the process here
    }
}
