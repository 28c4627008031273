//! Who may sleep and who must wake: the ordering rules between a caller and a vCPU thread.
//!
//! The caller publishes a request and then looks whether the vCPU thread sleeps; the thread says that it will sleep
//! and then looks whether there is a request. Each side's store must be visible before its load (a full fence), or
//! both may look past each other and the call hangs. The `loom` test below tries every interleaving, and a planted
//! weaker ordering must fail it. The payload travels by release and acquire on the same word.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Caller: hands over the request whose payload is already written. True: the thread sleeps and must be woken.
#[inline]
pub fn publish(word: &AtomicU32, op: u32, parked: &AtomicU32) -> bool {
    word.store(op, Ordering::Release);
    fence(Ordering::SeqCst);
    parked.load(Ordering::Relaxed) != 0
}

/// vCPU thread: announces sleep. True: sleep until `parked` is 0. False: there is a request after all.
#[inline]
pub fn may_sleep(word: &AtomicU32, parked: &AtomicU32) -> bool {
    parked.store(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    if word.load(Ordering::Relaxed) != 0 {
        parked.store(0, Ordering::Relaxed);
        return false;
    }
    true
}

/// Either side: reads a word that the other publishes; its payload may be read when this is not 0.
#[inline]
pub fn take(word: &AtomicU32) -> u32 {
    word.load(Ordering::Acquire)
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    struct Shared {
        request: AtomicU32,
        answer: AtomicU32,
        parked: AtomicU32,
        payload: UnsafeCell<u64>,
    }

    // SAFETY: the test's point is that the protocol gives exclusive access; loom checks it.
    unsafe impl Sync for Shared {}
    // SAFETY: as above.
    unsafe impl Send for Shared {}

    /// Which rule is broken on purpose.
    #[derive(Clone, Copy, PartialEq)]
    enum Planted {
        Nothing,
        RelaxedPublish,
        NoFenceBeforeSleep,
    }

    fn caller(s: &Shared, value: u64, planted: Planted) -> u64 {
        s.payload.with_mut(|p| unsafe { *p = value });
        let wake = if planted == Planted::RelaxedPublish {
            s.request.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            s.parked.load(Ordering::Relaxed) != 0
        } else {
            publish(&s.request, 1, &s.parked)
        };
        if wake {
            s.parked.store(0, Ordering::Release);
        }
        while take(&s.answer) == 0 {
            thread::yield_now();
        }
        s.answer.store(0, Ordering::Relaxed);
        s.payload.with(|p| unsafe { *p })
    }

    /// The vCPU thread with its guest: sleeps at once when idle, which is the hardest case.
    fn guest(s: &Shared, planted: Planted) {
        loop {
            if take(&s.request) != 0 {
                s.request.store(0, Ordering::Relaxed);
                s.payload.with_mut(|p| unsafe { *p += 1 });
                s.answer.store(1, Ordering::Release);
                return;
            }
            let sleep = if planted == Planted::NoFenceBeforeSleep {
                let seen = s.request.load(Ordering::Relaxed);
                s.parked.store(1, Ordering::Relaxed);
                seen == 0
            } else {
                may_sleep(&s.request, &s.parked)
            };
            // a real thread sleeps in a futex until `parked` is 0; a lost wake-up spins here for ever, which loom
            // reports as a model that does not end
            while sleep && s.parked.load(Ordering::Acquire) != 0 {
                thread::yield_now();
            }
            thread::yield_now();
        }
    }

    fn model(planted: Planted) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.max_branches = 2_000;
        builder.check(move || {
            let shared = Arc::new(Shared {
                request: AtomicU32::new(0),
                answer: AtomicU32::new(0),
                parked: AtomicU32::new(0),
                payload: UnsafeCell::new(0),
            });
            let other = shared.clone();
            let thread = thread::spawn(move || guest(&other, planted));
            assert_eq!(caller(&shared, 41, planted), 42);
            thread.join().unwrap();
        });
    }

    #[test]
    fn every_interleaving_of_a_call_with_a_parking_thread_ends_with_its_answer() {
        model(Planted::Nothing);
    }

    #[test]
    #[should_panic(expected = "Causality violation")]
    fn a_relaxed_publish_is_found() {
        model(Planted::RelaxedPublish);
    }

    #[test]
    #[should_panic(expected = "exceeded maximum number of branches")]
    fn a_sleep_without_a_second_look_is_found() {
        model(Planted::NoFenceBeforeSleep);
    }
}
