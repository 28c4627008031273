//! The C API end to end, in a real VM: what any embedder does.
// Every call keeps the header's contract: objects are open, pointers valid for their lengths.
#![allow(clippy::undocumented_unsafe_blocks)]

use hlfuzz::*;
use std::ffi::CStr;
use std::mem::zeroed;
use std::ptr::{null, null_mut};

const MODULE: &str = r#"(module
  (import "env" "twice" (func $twice (param i32) (result i32)))
  (import "env" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1 4)
  (global $n (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "count") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 100)))
    (i32.add (global.get $n) (i32.load (i32.const 8))))
  (func (export "ask") (param i32) (result i32) (i32.add (call $twice (local.get 0)) (i32.const 1)))
  (func (export "spin") (loop (br 0)))
  (func (export "boom") (unreachable))
  (func (export "say") (param i32 i32) (call $log (local.get 0) (local.get 1)))
  (func (export "flood") (loop (drop (call $twice (i32.const 1))) (br 0)))
  (data (i32.const 100) "hello"))"#;
const ADD: u32 = 1;
const COUNT: u32 = 2;
const ASK: u32 = 3;
const SPIN: u32 = 4;
const BOOM: u32 = 5;
const SAY: u32 = 6;
const FLOOD: u32 = 7;

fn text(error: &hl_error) -> String {
    // SAFETY: the library terminates it.
    unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_string_lossy().into_owned()
}

fn i32s(values: &[i32]) -> Vec<hl_value> {
    values.iter().map(|v| hl_value { raw: [u64::from(*v as u32), 0] }).collect()
}

struct Opened(*mut hl_sandbox);

impl Drop for Opened {
    fn drop(&mut self) {
        unsafe { hl_sandbox_close(self.0) };
    }
}

fn template(wat: &str, tracking: u32) -> *mut hl_template {
    unsafe {
        let wasm = wat::parse_str(wat).unwrap();
        let mut error: hl_error = zeroed();
        error.size = size_of::<hl_error>() as u32;
        let module = hl_module_new(wasm.as_ptr(), wasm.len(), null(), &mut error);
        assert!(!module.is_null(), "{}", text(&error));
        let mut options: hl_template_options = zeroed();
        options.size = size_of::<hl_template_options>() as u32;
        options.tracking = tracking;
        let template = hl_template_new(module, &options, &mut error);
        assert!(!template.is_null(), "{}", text(&error));
        hl_module_free(module);
        template
    }
}

fn sandbox(template: *mut hl_template, transport: u32, reset: u32) -> Opened {
    unsafe {
        let mut error: hl_error = zeroed();
        error.size = size_of::<hl_error>() as u32;
        let mut options: hl_sandbox_options = zeroed();
        options.size = size_of::<hl_sandbox_options>() as u32;
        (options.transport, options.reset, options.cpu, options.verify_every) = (transport, reset, -1, 1);
        (options.cpu_us, options.wall_us) = (50_000, 2_000_000);
        let mut it = hl_sandbox_new(template, &options, &mut error);
        // another program of this machine may have claimed the CPU for a while
        for _ in 0..600 {
            if !it.is_null() || error.code != HL_E_CPU {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            it = hl_sandbox_new(template, &options, &mut error);
        }
        assert!(!it.is_null(), "{}", text(&error));
        Opened(it)
    }
}

fn call(it: &Opened, func: u32, args: &[i32], flags: u32) -> i32 {
    let args = i32s(args);
    unsafe { hl_call(it.0, func, args.as_ptr(), args.len() as u32, flags) }
}

fn result(it: &Opened) -> i32 {
    let mut n = 0;
    let values = unsafe { hl_results(it.0, &mut n) };
    assert_eq!(n, 1);
    unsafe { (*values).i32 }
}

fn message(it: &Opened) -> String {
    unsafe { CStr::from_ptr(hl_message(it.0)) }.to_string_lossy().into_owned()
}

fn trap(it: &Opened) -> (u32, u32, String) {
    unsafe {
        let mut info: hl_trap_info = zeroed();
        info.size = size_of::<hl_trap_info>() as u32;
        assert_eq!(hl_trap(it.0, &mut info), 0);
        let bytes = std::slice::from_raw_parts(info.message.cast::<u8>(), info.message_len);
        (info.kind, info.code, String::from_utf8_lossy(bytes).into_owned())
    }
}

fn exercise(transport: u32, reset: u32, tracking: u32) {
    let template = template(MODULE, tracking);
    let it = sandbox(template, transport, reset);
    assert_eq!(call(&it, ADD, &[40, 2], 0), HL_DONE, "{}", message(&it));
    assert_eq!(result(&it), 42);
    for _ in 0..3 {
        assert_eq!(call(&it, COUNT, &[], HL_CALL_RESET), HL_DONE, "{}", message(&it));
        assert_eq!(result(&it), 101, "state was reset");
    }
    for want in [101, 202, 303] {
        assert_eq!(call(&it, COUNT, &[], 0), HL_DONE);
        assert_eq!(result(&it), want, "state lasts without a reset");
    }
    assert_eq!(unsafe { hl_reset(it.0) }, HL_DONE, "{}", message(&it));

    assert_eq!(call(&it, ASK, &[20], HL_CALL_RESET), HL_HOSTCALL);
    let mut info: hl_hostcall_info = unsafe { zeroed() };
    assert_eq!(unsafe { hl_hostcall(it.0, &mut info) }, 0);
    assert_eq!((info.import, info.n_args, unsafe { (*info.args).i32 }), (0, 1, 20));
    assert_eq!(unsafe { hl_reset(it.0) }, HL_BUSY);
    // a call from inside the host function
    assert_eq!(call(&it, ADD, &[1, 2], 0), HL_DONE, "{}", message(&it));
    assert_eq!(result(&it), 3);
    let answer = i32s(&[40]);
    assert_eq!(unsafe { hl_resume(it.0, answer.as_ptr(), 1) }, HL_DONE);
    assert_eq!(result(&it), 41);

    assert_eq!(call(&it, ASK, &[20], HL_CALL_RESET), HL_HOSTCALL);
    assert_eq!(unsafe { hl_fail(it.0, c"no".as_ptr(), 2) }, HL_TRAP);
    assert_eq!(trap(&it), (HL_TRAP_HOST, 0, "no".into()));

    assert_eq!(call(&it, BOOM, &[], HL_CALL_RESET), HL_TRAP, "{}", message(&it));
    assert_eq!(trap(&it), (HL_TRAP_WASM, 9, "wasm `unreachable` instruction executed".into()));
    assert_eq!(call(&it, SPIN, &[], 0), HL_TIMEOUT, "{}", message(&it));
    assert_eq!(call(&it, COUNT, &[], HL_CALL_RESET), HL_DONE, "{}", message(&it));
    assert_eq!(result(&it), 101);

    assert_eq!(call(&it, ADD, &[1], 0), HL_INVALID);
    assert!(message(&it).contains("takes 2 arguments"), "{}", message(&it));
    assert_eq!(call(&it, 99, &[], 0), HL_INVALID);

    // memory
    let mut size = 0;
    assert_eq!(unsafe { hl_mem_size(it.0, HL_DEFAULT_MEMORY, &mut size) }, 0);
    assert_eq!(size, 65536);
    let (mut start, mut end) = (9, 0);
    let writable = |memory, from, start: &mut u64, end: &mut u64| unsafe {
        hl_mem_writable(it.0, memory, from, start, end)
    };
    assert_eq!(writable(HL_DEFAULT_MEMORY, 0, &mut start, &mut end), 1);
    assert_eq!((start, end), (0, 65536), "all of it");
    assert_eq!(writable(HL_DEFAULT_MEMORY, 65535, &mut start, &mut end), 1);
    assert_eq!((start, end), (65535, 65536));
    assert_eq!(writable(HL_DEFAULT_MEMORY, 65536, &mut start, &mut end), 0);
    assert_eq!(writable(COUNT, 0, &mut start, &mut end), -1, "a function");
    assert_eq!(unsafe { hl_mem_writable(it.0, HL_DEFAULT_MEMORY, 0, null_mut(), &mut end) }, -1);
    let mut bytes = [0u8; 5];
    assert_eq!(unsafe { hl_mem_read(it.0, HL_DEFAULT_MEMORY, 100, bytes.as_mut_ptr(), 5) }, 0);
    assert_eq!(&bytes, b"hello");
    assert_eq!(unsafe { hl_mem_read(it.0, 0, 65532, bytes.as_mut_ptr(), 5) }, -1);
    assert_eq!(unsafe { hl_mem_write(it.0, HL_DEFAULT_MEMORY, 8, [7, 0, 0, 0].as_ptr(), 4) }, 0);
    assert_eq!(call(&it, COUNT, &[], HL_CALL_RESET), HL_DONE);
    assert_eq!(result(&it), 108, "the guest saw what was written");
    assert_eq!(unsafe { hl_mem_read(it.0, HL_DEFAULT_MEMORY, 8, bytes.as_mut_ptr(), 4) }, 0);
    assert_eq!(bytes[0], 0, "and the reset wiped it");

    // posted calls
    assert_eq!(unsafe { hl_posted_mode(it.0, 1, 2, 0) }, HL_DONE, "{}", message(&it));
    assert_eq!(call(&it, SAY, &[100, 5], HL_CALL_RESET), HL_DONE, "{}", message(&it));
    assert_eq!(unsafe { hl_posted_count(it.0) }, 1);
    let (mut data, mut len) = (null(), 0);
    assert_eq!(unsafe { hl_posted(it.0, 0, &mut info, &mut data, &mut len) }, 0);
    assert_eq!(unsafe { std::slice::from_raw_parts(data, len) }, b"hello");

    // endless host calls are ended too
    let mut status = call(&it, FLOOD, &[], 0);
    let mut answered = 0u64;
    while status == HL_HOSTCALL {
        answered += 1;
        status = unsafe { hl_resume(it.0, answer.as_ptr(), 1) };
    }
    assert_eq!(status, HL_TIMEOUT, "after {answered} host calls");
    assert_eq!(unsafe { hl_verify(it.0) }, 0);
    drop(it);
    unsafe { hl_template_free(template) };
}

#[test]
fn what_a_call_changed_is_listed_as_far_as_there_is_room_and_counted_beyond() {
    let template = template(MODULE, HL_TRACK_AUTO);
    let it = sandbox(template, HL_TRANSPORT_EXIT, HL_RESET_STRICT);
    let listed = |region: u32, room: usize| unsafe {
        let mut rows = vec![zeroed::<hl_difference>(); room + 1];
        let count = hl_differences(it.0, region, rows.as_mut_ptr(), room as u32);
        assert_eq!(rows[room].length, 0, "nothing is written beyond the room");
        (count, rows)
    };
    assert_eq!(listed(HL_REGION_ALL, 4).0, 0);
    assert_eq!(call(&it, COUNT, &[], 0), HL_DONE);
    let (count, rows) = listed(HL_REGION_ALL, 64);
    let found: Vec<_> = rows.iter().filter(|row| row.length != 0).collect();
    assert_eq!(count as usize, found.len());
    let memory: Vec<_> = found.iter().filter(|row| row.memory == 0).collect();
    let [word] = memory[..] else { panic!("{} ranges of linear memory", memory.len()) };
    assert_eq!((word.offset, word.length, word.shown), (8, 1, 1));
    assert_eq!((word.before[0], word.after[0]), (0, 100));
    assert_eq!(listed(HL_REGION_ALL, 1).0, count, "what has no room is counted");
    unsafe {
        assert_eq!(hl_differences(it.0, HL_REGION_ALL, null_mut(), 9), count);
        assert_eq!(hl_differences(it.0, HL_REGION_READ_ONLY, null_mut(), 0), 0);
        assert_eq!(hl_differences(it.0, HL_REGION_TEXT, null_mut(), 0), -1);
        assert_eq!(hl_differences(null_mut(), HL_REGION_ALL, null_mut(), 0), -1);
        assert_eq!(hl_vcpu_registers(null_mut(), null_mut(), 0), -1);
        let registers = hl_vcpu_registers(it.0, null_mut(), 9);
        let mut rows = vec![zeroed::<hl_register>(); registers as usize];
        assert_eq!(hl_vcpu_registers(it.0, rows.as_mut_ptr(), rows.len() as u32), registers);
        assert!(rows.iter().all(|row| row.length > 0 && row.name[0] != 0));
        hl_template_free(template);
    }
}

#[test]
fn exit_strict() {
    exercise(HL_TRANSPORT_EXIT, HL_RESET_STRICT, HL_TRACK_AUTO);
}

#[test]
fn exit_memory_with_the_dirty_log() {
    exercise(HL_TRANSPORT_EXIT, HL_RESET_MEMORY, HL_TRACK_LOG);
}

#[test]
fn spin_memory_and_strict() {
    exercise(HL_TRANSPORT_SPIN, HL_RESET_MEMORY, HL_TRACK_AUTO);
    exercise(HL_TRANSPORT_SPIN, HL_RESET_STRICT, HL_TRACK_LOG);
}

#[test]
fn null_objects_are_refused_and_may_be_freed() {
    unsafe {
        assert_eq!(hl_call(null_mut(), 0, null(), 0, 0), HL_INVALID);
        hl_sandbox_close(null_mut());
        hl_template_free(null_mut());
        hl_module_free(null_mut());
        hl_string_free(null_mut());
        let mut error: hl_error = zeroed();
        error.size = size_of::<hl_error>() as u32;
        assert!(hl_module_new(null(), 3, null(), &mut error).is_null());
        assert_eq!(error.code, HL_E_ARGUMENT);
    }
}

#[test]
fn exports_and_imports_are_found_by_name() {
    unsafe {
        let wasm = wat::parse_str(MODULE).unwrap();
        let module = hl_module_new(wasm.as_ptr(), wasm.len(), null(), null_mut());
        let export = |name: &CStr| hl_module_export(module, name.as_ptr());
        assert_eq!((export(c"memory"), export(c"add"), export(c"flood")), (0, ADD as i32, FLOOD as i32));
        assert_eq!((export(c"twice"), hl_module_export(module, null())), (-1, -1));
        let import = |from: &CStr, name: &CStr| hl_module_import(module, from.as_ptr(), name.as_ptr());
        assert_eq!((import(c"env", c"twice"), import(c"env", c"log")), (0, 1));
        assert_eq!((import(c"host", c"log"), import(c"env", c"\xff")), (-1, -1));
        hl_module_free(module);
    }
}

#[test]
fn a_module_without_functions_boots() {
    let template =
        template("(module (memory (export \"memory\") 1) (data (i32.const 0) \"x\"))", HL_TRACK_AUTO);
    let it = sandbox(template, HL_TRANSPORT_EXIT, HL_RESET_STRICT);
    let mut byte = 0;
    assert_eq!(unsafe { hl_mem_read(it.0, HL_DEFAULT_MEMORY, 0, &mut byte, 1) }, 0);
    assert_eq!(byte, b'x');
    drop(it);
    unsafe { hl_template_free(template) };
}
