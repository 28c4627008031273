//! Sleeping on a word of this process's memory, and waking who sleeps there.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

fn futex(word: &AtomicU32, op: i32, value: u32, timeout: Option<Duration>) {
    let time = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(t.subsec_nanos() as i32),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: word and timeout outlive the call. A spurious return is fine: every caller looks again.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), op | libc::FUTEX_PRIVATE_FLAG, value, time, 0usize, 0)
    };
}

/// Sleeps while the word has this value, or returns for no reason.
pub fn wait_while(word: &AtomicU32, value: u32) {
    futex(word, libc::FUTEX_WAIT, value, None);
}

/// As `wait_while`, for so long at most.
pub fn wait_while_for(word: &AtomicU32, value: u32, timeout: Duration) {
    futex(word, libc::FUTEX_WAIT, value, Some(timeout));
}

/// Wakes all who sleep on the word.
pub fn wake(word: &AtomicU32) {
    futex(word, libc::FUTEX_WAKE, i32::MAX as u32, None);
}
