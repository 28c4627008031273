//! In the steady state a call with its reset makes no system call: shown by a thread that may make none.
// Every call keeps the header's contract: objects are open, pointers valid for their lengths.
#![allow(clippy::undocumented_unsafe_blocks)]

use hlfuzz::*;
use std::io::Read;
use std::mem::zeroed;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

const MODULE: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "count") (result i32)
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (i32.load (i32.const 8))))"#;
const COUNT: u32 = 1;

#[derive(Clone, Copy)]
struct Moved(*mut hl_sandbox);
// A sandbox may be used from another thread, one at a time.
unsafe impl Send for Moved {}

fn open(tracking: u32) -> Moved {
    unsafe {
        let wasm = wat::parse_str(MODULE).unwrap();
        let mut error: hl_error = zeroed();
        error.size = size_of::<hl_error>() as u32;
        let module = hl_module_new(wasm.as_ptr(), wasm.len(), null(), &mut error);
        let mut how: hl_template_options = zeroed();
        (how.size, how.tracking) = (size_of::<hl_template_options>() as u32, tracking);
        let template = hl_template_new(module, &how, &mut error);
        assert!(!template.is_null());
        let mut options: hl_sandbox_options = zeroed();
        options.size = size_of::<hl_sandbox_options>() as u32;
        (options.transport, options.reset, options.cpu) = (HL_TRANSPORT_SPIN, HL_RESET_MEMORY, -1);
        options.idle_us = 10_000_000; // a thread that sleeps must be woken, which is a system call
        for _ in 0..600 {
            let it = hl_sandbox_new(template, &options, &mut error);
            if !it.is_null() {
                hl_template_free(template);
                hl_module_free(module);
                return Moved(it);
            }
            assert_eq!(error.code, HL_E_CPU);
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no second CPU for the spin transport within a minute");
    }
}

/// Runs `calls` calls in a thread that any system call kills. True: it came through with right results.
fn run_without_system_calls(it: Moved, calls: u32) -> bool {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writer = writer.into_raw_fd();
    let thread = Arc::new(AtomicI32::new(0));
    let name = thread.clone();
    std::thread::Builder::new()
        .spawn(move || unsafe {
            let it = it;
            name.store(libc::gettid(), Relaxed);
            // long enough that the reset has learned which pages every call writes: looking whether one of them has
            // become idle is what it makes system calls for, ever more rarely
            for _ in 0..5000 {
                hl_call(it.0, COUNT, null(), 0, HL_CALL_RESET);
            }
            forbid_system_calls();
            let mut right = 1u8;
            for _ in 0..calls {
                let status = hl_call(it.0, COUNT, null(), 0, HL_CALL_RESET);
                let results = hl_results(it.0, std::ptr::null_mut());
                if status != HL_DONE || (*results).i32 != 1 {
                    right = 0;
                }
            }
            libc::syscall(libc::SYS_write, writer, &raw const right, 1usize);
            libc::syscall(libc::SYS_exit, 0);
        })
        .unwrap();
    // it cannot be joined: it ends by a bare system call, or is killed
    while thread.load(Relaxed) == 0
        || std::path::Path::new(&format!("/proc/self/task/{}", thread.load(Relaxed))).exists()
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    // without a byte from the thread, reading ends here
    drop(unsafe { std::fs::File::from_raw_fd(writer) });
    let mut byte = [0];
    reader.read(&mut byte).unwrap_or(0) == 1 && byte[0] == 1
}

/// From now on any system call of this thread but write and exit kills it. (Seccomp's strict mode would forbid RDTSC too,
/// which calls use to account for their time.)
unsafe fn forbid_system_calls() {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0), // the call's number
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 2, 0, libc::SYS_write as u32),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, libc::SYS_exit as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_THREAD),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

fn comes_through(tracking: u32) -> bool {
    let it = open(tracking);
    let came_through = run_without_system_calls(it, 500);
    unsafe { hl_sandbox_close(it.0) }; // its other user has ended, one way or the other
    came_through
}

#[test]
fn calls_with_reset_make_no_system_call() {
    // On a busy machine a call may outlast the busy wait, which then yields its CPU: a legal system call. A reset that
    // needs one would fail every attempt.
    assert!((0..30).any(|_| comes_through(HL_TRACK_RING)), "no attempt came through without a system call");
}

#[test]
fn a_system_call_in_the_reset_would_be_noticed() {
    // reading the dirty log is one
    assert!(!comes_through(HL_TRACK_LOG));
}
