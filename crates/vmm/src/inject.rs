//! Failures on purpose: the n-th operation of a kind fails in this thread without being made. Inert until armed.
//!
//! For checks of what a failed operation leaves behind. Only the thread that armed it is affected, so that a check does
//! no harm to sandboxes that other threads of the process use meanwhile.

use std::cell::Cell;
use std::io;

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

#[derive(Clone, Copy)]
struct Plan {
    points: u32,
    nth: u64,
    error: i32,
    seen: u64,
}

const OFF: Plan = Plan { points: 0, nth: 0, error: 0, seen: 0 };

thread_local!(static PLAN: Cell<Plan> = const { Cell::new(OFF) });

/// From here on the `nth` operation of the kinds in `points` fails with `error`, an errno; 0: none fails, they are only
/// counted. No kinds: off. Returns how many there were since it was armed before.
pub fn arm(points: u32, nth: u64, error: i32) -> u64 {
    PLAN.replace(Plan { points, nth, error, seen: 0 }).seen
}

/// The errno with which this operation must fail, if it must.
#[inline]
pub(crate) fn failing(point: u32) -> Option<i32> {
    let plan = PLAN.get();
    if plan.points & point == 0 {
        return None;
    }
    PLAN.set(Plan { seen: plan.seen + 1, ..plan });
    (plan.seen + 1 == plan.nth).then_some(plan.error)
}

/// The same as an error of the system.
#[inline]
pub(crate) fn check(point: u32) -> io::Result<()> {
    failing(point).map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(error)))
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
}
