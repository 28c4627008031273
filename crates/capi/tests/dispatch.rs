//! Sandboxes in threads of their own, as an event loop in C uses them.
// Every call keeps the header's contract: objects are open, pointers valid for their lengths.
#![allow(clippy::undocumented_unsafe_blocks)]

use hlfuzz::*;
use std::ffi::CStr;
use std::mem::zeroed;
use std::ptr::null;

const MODULE: &str = r#"(module
  (import "env" "twice" (func $twice (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 1024))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "ask") (param i32) (result i32) (i32.add (call $twice (local.get 0)) (i32.const 1)))
  (func (export "spin") (loop (br 0)))
  (func (export "count") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
  (func (export "sum") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func (export "alloc") (param i32) (result i32) (global.get $next)))"#;
const ADD: u32 = 1;
const ASK: u32 = 2;
const SPIN: u32 = 3;
const COUNT: u32 = 4;
const ECHO: u32 = 5;
const ALLOC: u32 = 6;
const LONG: u64 = 20_000_000;

/// A dispatcher with sandboxes of `MODULE`, each with its worker, which has the sandbox's position for a tag.
struct Loop {
    dispatcher: *mut hl_dispatcher,
    opened: Vec<(*mut hl_sandbox, *mut hl_worker)>,
}

fn checked<T>(pointer: *mut T, error: &hl_error) -> *mut T {
    let text = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    assert!(!pointer.is_null(), "{}", text.to_string_lossy());
    pointer
}

impl Loop {
    fn new(sandboxes: u64, transport: u32) -> Self {
        unsafe {
            let mut error: hl_error = zeroed();
            error.size = size_of::<hl_error>() as u32;
            let wasm = wat::parse_str(MODULE).unwrap();
            let module = checked(hl_module_new(wasm.as_ptr(), wasm.len(), null(), &mut error), &error);
            let template = checked(hl_template_new(module, null(), &mut error), &error);
            let dispatcher = checked(hl_dispatch_new(&mut error), &error);
            let mut options: hl_sandbox_options = zeroed();
            options.size = size_of::<hl_sandbox_options>() as u32;
            (options.transport, options.cpu, options.verify_every) = (transport, -1, 1);
            (options.cpu_us, options.wall_us, options.slice_us) = (500_000, 20_000_000, 0);
            let opened = (0..sandboxes)
                .map(|tag| {
                    let sandbox = checked(hl_sandbox_new(template, &options, &mut error), &error);
                    let worker = hl_dispatch_attach(dispatcher, sandbox, tag, &mut error);
                    (sandbox, checked(worker, &error))
                })
                .collect();
            hl_template_free(template);
            hl_module_free(module);
            Self { dispatcher, opened }
        }
    }

    /// Waits as poll does, and names who is ready.
    fn ready(&self) -> Vec<u64> {
        let mut tags = [0; 2]; // less than there are, to be called more than once
        let mut all = Vec::new();
        unsafe {
            let mut fd =
                libc::pollfd { fd: hl_dispatch_fd(self.dispatcher), events: libc::POLLIN, revents: 0 };
            assert_eq!(libc::poll(&raw mut fd, 1, 20_000), 1, "nobody became ready");
            loop {
                let n = hl_dispatch_ready(self.dispatcher, tags.as_mut_ptr(), 2);
                all.extend(&tags[..n as usize]);
                if n < 2 {
                    return all;
                }
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        for (sandbox, worker) in self.opened.drain(..) {
            unsafe {
                hl_dispatch_detach(worker);
                hl_sandbox_close(sandbox);
            }
        }
        unsafe { hl_dispatch_free(self.dispatcher) };
    }
}

fn i32s(values: &[i32]) -> Vec<hl_value> {
    values.iter().map(|v| hl_value { raw: [u64::from(*v as u32), 0] }).collect()
}

fn begin(worker: *mut hl_worker, func: u32, args: &[i32]) -> i32 {
    let args = i32s(args);
    unsafe { hl_dispatch_call(worker, func, args.as_ptr(), args.len() as u32, HL_CALL_RESET) }
}

fn result(sandbox: *mut hl_sandbox) -> i32 {
    unsafe { (*hl_results(sandbox, std::ptr::null_mut())).i32 }
}

#[test]
fn many_calls_end_on_one_descriptor_and_their_host_calls_are_answered_by_the_owner() {
    let it = Loop::new(5, HL_TRANSPORT_EXIT);
    for (n, (_, worker)) in it.opened.iter().enumerate() {
        assert_eq!(begin(*worker, ASK, &[n as i32]), HL_DONE);
    }
    let mut answers = vec![0; 5];
    let mut left = 5;
    while left > 0 {
        for tag in it.ready() {
            let (sandbox, worker) = it.opened[tag as usize];
            match unsafe { hl_dispatch_end(worker) } {
                HL_HOSTCALL => unsafe {
                    let mut call: hl_hostcall_info = zeroed();
                    assert_eq!(hl_hostcall(sandbox, &mut call), 0);
                    let doubled = i32s(&[(*call.args).i32 * 2]);
                    assert_eq!(hl_dispatch_resume(worker, doubled.as_ptr(), 1), HL_DONE);
                },
                HL_DONE => {
                    answers[tag as usize] = result(sandbox);
                    left -= 1;
                }
                other => panic!("status {other}"),
            }
        }
    }
    assert_eq!(answers, [1, 3, 5, 7, 9]);
}

#[test]
fn a_sandbox_that_is_away_cannot_be_used_and_one_that_is_back_can() {
    let it = Loop::new(1, HL_TRANSPORT_EXIT);
    let (sandbox, worker) = it.opened[0];
    unsafe {
        assert_eq!(hl_dispatch_end(worker), HL_BUSY, "nothing was handed over");
        assert_eq!(begin(worker, SPIN, &[]), HL_DONE);
        assert_eq!(hl_call(sandbox, COUNT, null(), 0, 0), HL_BUSY);
        assert_eq!(hl_reset(sandbox), HL_BUSY);
        assert!(hl_mem(sandbox, HL_DEFAULT_MEMORY, 0, 1).is_null());
        assert_eq!(begin(worker, COUNT, &[]), HL_BUSY);
        assert_eq!(hl_dispatch_end(worker), HL_BUSY, "it runs");
        assert_eq!(hl_dispatch_wait(worker, 1000), HL_BUSY, "it still runs");
        hl_dispatch_kick(worker);
        assert_eq!(hl_dispatch_wait(worker, LONG), HL_RUNNING);
        assert_eq!(hl_call(sandbox, COUNT, null(), 0, 0), HL_BUSY, "its call is open");
        assert_eq!(hl_dispatch_kill(worker), HL_DONE);
        assert_eq!(hl_dispatch_wait(worker, LONG), HL_DONE);
        assert_eq!(hl_call(sandbox, COUNT, null(), 0, HL_CALL_RESET), HL_DONE, "in the owner's own thread");
        assert_eq!(result(sandbox), 1);
    }
}

#[test]
fn a_kicked_call_can_go_on_to_its_deadline() {
    let it = Loop::new(1, HL_TRANSPORT_EXIT);
    let (_, worker) = it.opened[0];
    unsafe {
        assert_eq!(begin(worker, SPIN, &[]), HL_DONE);
        hl_dispatch_kick(worker);
        assert_eq!(hl_dispatch_wait(worker, LONG), HL_RUNNING);
        assert_eq!(hl_dispatch_go_on(worker), HL_DONE);
        assert_eq!(hl_dispatch_wait(worker, LONG), HL_TIMEOUT);
        assert_eq!(begin(worker, ADD, &[2, 3]), HL_DONE);
        assert_eq!(hl_dispatch_wait(worker, LONG), HL_DONE);
    }
}

#[test]
fn a_kick_that_comes_too_late_hits_no_later_call() {
    let it = Loop::new(1, HL_TRANSPORT_EXIT);
    let (sandbox, worker) = it.opened[0];
    for n in 0..200 {
        unsafe {
            assert_eq!(begin(worker, ADD, &[n, 1]), HL_DONE);
            hl_dispatch_kick(worker);
            match hl_dispatch_wait(worker, LONG) {
                HL_DONE => assert_eq!(result(sandbox), n + 1),
                HL_RUNNING => {
                    assert_eq!(hl_dispatch_kill(worker), HL_DONE);
                    assert_eq!(hl_dispatch_wait(worker, LONG), HL_DONE);
                }
                other => panic!("status {other}"),
            }
            hl_dispatch_kick(worker); // nothing runs
            assert_eq!(begin(worker, COUNT, &[]), HL_DONE);
            assert_eq!(hl_dispatch_wait(worker, LONG), HL_DONE);
            assert_eq!(result(sandbox), 1);
        }
    }
}

#[test]
fn bytes_travel_with_the_command() {
    let it = Loop::new(1, HL_TRANSPORT_EXIT);
    let (sandbox, worker) = it.opened[0];
    unsafe {
        let (args, alloc_args) = (i32s(&[0, 0]), i32s(&[0]));
        let mut call: hl_bytes_call = zeroed();
        call.size = size_of::<hl_bytes_call>() as u32;
        (call.func, call.n_args, call.form) = (ECHO, 2, HL_BYTES_PACKED);
        (call.alloc_func, call.n_alloc_args) = (ALLOC, 1);
        (call.args, call.alloc_args) = (args.as_ptr(), alloc_args.as_ptr());
        let data = b"over there".to_vec();
        assert_eq!(hl_dispatch_call_bytes(worker, &call, data.as_ptr(), data.len(), HL_CALL_RESET), HL_DONE);
        drop((data, args, alloc_args)); // all were copied
        assert_eq!(hl_dispatch_wait(worker, LONG), HL_DONE);
        let mut len = 0;
        let bytes = hl_result_bytes(sandbox, &mut len);
        assert_eq!(std::slice::from_raw_parts(bytes, len as usize), b"over there");
        call.form = 99;
        assert_eq!(hl_dispatch_call_bytes(worker, &call, null(), 0, 0), HL_INVALID);
        assert_eq!(hl_dispatch_end(worker), HL_BUSY, "it was not handed over");
    }
}

#[test]
fn detaching_ends_what_runs_and_gives_the_sandbox_back() {
    let mut it = Loop::new(1, HL_TRANSPORT_EXIT);
    let (sandbox, worker) = it.opened[0];
    unsafe {
        assert_eq!(begin(worker, SPIN, &[]), HL_DONE);
        hl_dispatch_detach(worker);
        it.opened[0].1 = std::ptr::null_mut();
        assert_eq!(hl_kill(sandbox), HL_DONE);
        assert_eq!(hl_call(sandbox, COUNT, null(), 0, HL_CALL_RESET), HL_DONE);
        assert_eq!(result(sandbox), 1);
    }
}

#[test]
fn a_forked_child_only_lets_go() {
    let it = Loop::new(2, HL_TRANSPORT_EXIT);
    assert_eq!(begin(it.opened[0].1, SPIN, &[]), HL_DONE);
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::alarm(20); // a child that waits for a thread that it does not have dies of this
            let busy = hl_dispatch_end(it.opened[0].1);
            let dead = begin(it.opened[1].1, COUNT, &[]);
            drop(it);
            libc::_exit(if (busy, dead) == (HL_BUSY, HL_DEAD) { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert_eq!(status, 0);
    }
}
