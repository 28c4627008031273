//! Failures on purpose: the n-th operation of a kind fails without being made. Inert until armed.
//!
//! For checks of what a failed operation leaves behind. Affected are the thread that armed it and the threads of
//! sandboxes that it opened while something was armed, so that a check does no harm to sandboxes that other threads of
//! the process use meanwhile.

use crate::deadline::kick_this_thread;
use std::cell::OnceCell;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Kinds of operations, as bits.
pub mod point {
    /// A KVM operation that makes, describes or changes a VM.
    pub const KVM: u32 = 1;
    /// Running the vCPU.
    pub const RUN: u32 = 2;
    /// Mapping memory, and the memory file of a snapshot.
    pub const MEMORY: u32 = 4;
    /// The deadline's timer.
    pub const TIMER: u32 = 8;
    /// Writing a snapshot file.
    pub const FILE: u32 = 16;
}

/// In the place of an errno: the operation does not fail, and a kick is on its way to the thread that makes it, if that
/// is one which expects kicks.
pub const KICK: i32 = -1;

#[derive(Default)]
struct Order {
    nth: u64,
    error: i32,
    seen: u64,
}

/// What one thread has armed, for itself and for the threads of its sandboxes.
#[derive(Default)]
pub(crate) struct Plan {
    /// Kinds that count; 0: nothing is armed.
    points: AtomicU32,
    order: Mutex<Order>,
}

impl Plan {
    fn arm(&self, points: u32, order: Order) -> u64 {
        let mut now = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        self.points.store(points, Relaxed);
        std::mem::replace(&mut *now, order).seen
    }

    fn failing(&self, point: u32) -> Option<i32> {
        if self.points.load(Relaxed) & point == 0 {
            return None;
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if self.points.load(Relaxed) & point == 0 {
            return None; // it was turned off just now
        }
        order.seen += 1;
        (order.seen == order.nth).then_some(order.error)
    }
}

thread_local!(static PLAN: OnceCell<Arc<Plan>> = const { OnceCell::new() });

/// From here on the `nth` operation of the kinds in `points` fails with `error`, an errno or [`KICK`]; 0: none fails, they
/// are only counted. No kinds: off. Returns how many there were since it was armed before.
pub fn arm(points: u32, nth: u64, error: i32) -> u64 {
    PLAN.with(|plan| plan.get_or_init(Arc::default).arm(points, Order { nth, error, seen: 0 }))
}

/// What is armed in this thread, for a thread that it starts.
pub(crate) fn armed() -> Option<Arc<Plan>> {
    PLAN.with(|plan| plan.get().filter(|plan| plan.points.load(Relaxed) != 0).cloned())
}

/// This thread was started by one in which `plan` was armed.
pub(crate) fn adopt(plan: Option<Arc<Plan>>) {
    if let Some(plan) = plan {
        PLAN.with(|own| drop(own.set(plan)));
    }
}

/// The errno with which this operation must fail, if it must.
#[inline]
pub(crate) fn failing(point: u32) -> Option<i32> {
    // a sandbox may be closed by the destructor of another thread-local value
    PLAN.try_with(|plan| plan.get().and_then(|plan| plan.failing(point))).ok().flatten()
}

/// The same as an error of the system.
#[inline]
pub(crate) fn check(point: u32) -> io::Result<()> {
    match failing(point) {
        None => Ok(()),
        Some(KICK) => {
            kick_this_thread();
            Ok(())
        }
        Some(error) => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_operation_of_the_chosen_kind_fails_once_in_this_thread_only() {
        assert_eq!(arm(point::KVM | point::FILE, 2, libc::ENOMEM), 0);
        let here = [point::KVM, point::RUN, point::FILE, point::KVM].map(failing);
        let elsewhere = std::thread::spawn(|| [point::KVM; 3].map(failing)).join().unwrap();
        assert_eq!(here, [None, None, Some(libc::ENOMEM), None]);
        assert_eq!(elsewhere, [None; 3]);
        assert_eq!(arm(0, 0, 0), 3);
        assert_eq!(failing(point::KVM), None);
        assert_eq!(arm(0, 0, 0), 0);
    }

    #[test]
    fn a_thread_that_was_started_under_it_counts_with_the_one_that_armed_it() {
        assert!(armed().is_none());
        arm(point::RUN, 0, 0);
        let plan = armed();
        arm(point::RUN, 2, libc::EIO);
        let worker = std::thread::spawn(|| {
            adopt(plan);
            [point::RUN; 2].map(failing)
        });
        assert_eq!(worker.join().unwrap(), [None, Some(libc::EIO)]);
        assert_eq!(failing(point::RUN), None);
        assert_eq!(arm(0, 0, 0), 3);
        assert!(armed().is_none());
    }
}
