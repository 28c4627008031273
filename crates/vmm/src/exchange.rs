//! The host's half of the exchange: hand over a request, wait for the guest, in either transport.

use crate::deadline::{Blocked, Timer, drain, thread_token};
use crate::error::Result;
use crate::handshake::{publish, take};
use crate::machine::Exit;
use crate::sandbox::{Driver, Event, Sandbox};
use hlfuzz_abi::{answer, bell};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Looks at the answer word before the clock is asked for the first time (about 0.1 ms).
const SPINS: u32 = 4096;
/// Looks between two questions to the clock after that.
const LOOKS: u32 = 1024;
/// Most CPU time that a guest is charged for those first looks. When they took longer, this thread waited for its own
/// CPU, and a vCPU that spins does not tell when its guest was done.
const SHORT_WAIT: Duration = Duration::from_millis(1);

#[inline]
fn ticks() -> u64 {
    // SAFETY: RDTSC is available to user code.
    unsafe { core::arch::x86_64::_rdtsc() }
}

impl Sandbox {
    fn words(&self) -> (&AtomicU32, &AtomicU32) {
        let mailbox = self.mailbox_ptr();
        // SAFETY: the mailbox lives as long as `self`, and the words are atomics.
        unsafe { (&(*mailbox).to_guest.word, &(*mailbox).from_guest.word) }
    }

    /// Hands over the request whose payload is already written.
    #[inline]
    pub(crate) fn begin(&mut self, op: u32) {
        self.touched();
        let (to, from) = self.words();
        from.store(0, Relaxed);
        match &self.driver {
            Driver::Spin(thread) => {
                if publish(to, op, &thread.shared.parked) {
                    thread.shared.unpark();
                }
            }
            // the same thread runs the guest, so program order is enough
            Driver::Exit(_) => to.store(op, Relaxed),
        }
        self.segment_start = ticks();
    }

    /// Waits until the guest answers or something else ends the wait.
    #[inline]
    pub(crate) fn await_guest(&mut self) -> Event {
        if matches!(self.driver, Driver::Spin(_)) {
            return self.await_spinning();
        }
        match self.await_exits() {
            Ok(event) => event,
            Err(error) => Event::Stopped(Exit::Failed(error)),
        }
    }

    /// A wait that ended quickly: nearly all of it was the guest's own time.
    #[inline]
    fn count_short_wait(&mut self) {
        let spent = self.segment(self.segment_start);
        self.used.cpu += spent.min(SHORT_WAIT);
        self.used.wall += spent;
    }

    fn segment(&self, start: u64) -> Duration {
        // 64 bits hold an hour and more of ticks in nanoseconds; a longer wait ended at a deadline anyway
        Duration::from_nanos(ticks().saturating_sub(start).saturating_mul(1_000_000) / self.tsc_khz)
    }

    #[inline]
    fn await_spinning(&mut self) -> Event {
        for _ in 0..SPINS {
            let word = take(self.words().1);
            if word != 0 {
                // one call by itself cannot flood; endless short calls of host functions can
                if word == answer::HOSTCALL {
                    self.count_short_wait();
                    if self.options.deadline.left(self.used.cpu, self.used.wall).is_none() {
                        return Event::DeadlineReached;
                    }
                }
                return Event::Answer(word);
            }
            std::hint::spin_loop();
        }
        self.await_long()
    }

    #[cold]
    fn await_long(&mut self) -> Event {
        self.stats.slow_waits += 1;
        let (wall_start, cpu_start) = (Instant::now(), self.vcpu_time());
        // what went before the first question to the clock belongs to both
        let before = self.segment(self.segment_start);
        let (cpu_used, wall_used) = (self.used.cpu + before.min(SHORT_WAIT), self.used.wall + before);
        // at the last look that found no answer
        let mut charged = Duration::ZERO;
        let event = loop {
            let mut word = 0;
            for _ in 0..LOOKS {
                word = take(self.words().1);
                if word != 0 {
                    break;
                }
                std::hint::spin_loop();
            }
            if word != 0 {
                break Event::Answer(word);
            }
            let Driver::Spin(thread) = &self.driver else {
                unreachable!("only the spin transport waits here")
            };
            if thread.shared.has_stopped() {
                match thread.shared.take_exit() {
                    Some(Exit::RingFull) => {
                        let shared = thread.shared.clone();
                        self.stats.ring_full += 1;
                        if let Err(error) = self.hot.make_room(&self.machine) {
                            break Event::Stopped(Exit::Failed(error));
                        }
                        shared.go_on();
                    }
                    Some(exit) => break Event::Stopped(exit),
                    None => {}
                }
            }
            let (wall, cpu) = (wall_start.elapsed(), self.vcpu_time().saturating_sub(cpu_start));
            if self.options.deadline.left(cpu_used + cpu, wall_used + wall).is_none() {
                // this thread may have waited for its CPU since it looked, long after the guest had answered
                break match take(self.words().1) {
                    0 => Event::DeadlineReached,
                    word => Event::Answer(word),
                };
            }
            charged = cpu;
            if self.is_stopped() || self.options.slice.is_some_and(|slice| wall >= slice) {
                break Event::SliceEnded;
            }
            std::thread::yield_now();
        };
        let wall = wall_start.elapsed() + before;
        self.used.wall += wall;
        self.used.cpu = cpu_used
            + match event {
                Event::Answer(_) => charged,
                _ => self.vcpu_time().saturating_sub(cpu_start),
            };
        self.segment_start = ticks();
        self.stats.max_wait = self.stats.max_wait.max(wall);
        if wall > self.options.deadline.cpu && matches!(event, Event::Answer(_)) {
            self.stats.late_waits += 1;
        }
        event
    }

    /// Runs the vCPU in this thread until its doorbell.
    fn await_exits(&mut self) -> Result<Event> {
        let thread = thread_token();
        let blocked = Blocked::kick();
        if !matches!(&self.driver, Driver::Exit(Some(timer)) if timer.thread == thread) {
            self.driver = Driver::Exit(Some(Timer::new()?));
        }
        let (wall_start, cpu_start) = (Instant::now(), self.vcpu_time());
        self.arm(self.options.deadline.left(self.used.cpu, self.used.wall), Duration::ZERO)?;
        let event = self.run_until_event(wall_start, cpu_start);
        if let Driver::Exit(Some(timer)) = &self.driver {
            match timer.disarm() {
                Ok(true) => {}
                Ok(false) => drain(),
                Err(_) => {
                    // deleted, it cannot fire later, when the signal is not blocked any more
                    self.driver = Driver::Exit(None);
                    drain();
                }
            }
        }
        drop(blocked);
        self.used.wall += wall_start.elapsed();
        self.used.cpu += self.vcpu_time().saturating_sub(cpu_start);
        Ok(event)
    }

    fn arm(&self, left: Option<Duration>, since_start: Duration) -> Result<()> {
        let left = left.unwrap_or(Duration::from_nanos(1));
        let until_slice = self.options.slice.map_or(left, |slice| slice.saturating_sub(since_start));
        match &self.driver {
            Driver::Exit(Some(timer)) => timer.arm(left.min(until_slice)),
            _ => Ok(()),
        }
    }

    fn run_until_event(&mut self, wall_start: Instant, cpu_start: Duration) -> Event {
        loop {
            match self.machine.run() {
                Exit::Doorbell(bell::ANSWER) => {
                    let word = take(self.words().1);
                    if word != 0 {
                        return Event::Answer(word);
                    }
                }
                // rung without need: run on, the deadline still holds
                Exit::Doorbell(bell::IDLE) => {}
                Exit::Interrupted => {
                    drain();
                    let (wall, cpu) = (wall_start.elapsed(), self.vcpu_time().saturating_sub(cpu_start));
                    let left = self.options.deadline.left(self.used.cpu + cpu, self.used.wall + wall);
                    if left.is_none() {
                        return Event::DeadlineReached;
                    }
                    if self.is_stopped() || self.options.slice.is_some_and(|slice| wall >= slice) {
                        return Event::SliceEnded;
                    }
                    if let Err(error) = self.arm(left, wall) {
                        return Event::Stopped(Exit::Failed(error));
                    }
                }
                Exit::RingFull => {
                    self.stats.ring_full += 1;
                    if let Err(error) = self.hot.make_room(&self.machine) {
                        return Event::Stopped(Exit::Failed(error));
                    }
                }
                other => return Event::Stopped(other),
            }
        }
    }
}
