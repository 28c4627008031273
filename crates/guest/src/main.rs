//! The Wasm runtime inside the micro-VM: boots a module from its artifact, then serves the mailbox.
//!
//! All of it runs at CPL3 without a kernel. `boot` instantiates, `serve` answers requests, `exchange` is the
//! handshake, `arena` places linear memories, `heap` and `platform` are what a program without libc needs.
#![no_std]
#![no_main]

extern crate alloc;

mod arena;
mod boot;
mod exchange;
mod heap;
mod limits;
mod mem;
mod platform;
mod serve;
#[path = "../../wasm/src/tunables.rs"]
mod tunables;

use hlfuzz_abi::{Boot, Windows, answer, map};

/// The first instruction of the VM; the stack is ready, nothing else is.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: the host maps a filled boot record there, read-only, before the vCPU first runs.
    let record = unsafe { &*(map::BOOT as *const Boot) };
    // what is before the runtime's own heap is the table of linear memories
    let (heap, taken) = (record.heap as usize, size_of::<Windows>().next_multiple_of(map::PAGE as usize));
    // SAFETY: called once, before anything allocates.
    unsafe { heap::init(heap + taken, record.heap_len as usize - taken) };
    platform::init();
    match boot::boot(record) {
        Ok(mut store) => serve::forever(&mut store),
        Err(error) => {
            let word = serve::answer_failure(&error, answer::LINK_FAILED);
            loop {
                exchange::exchange(word);
            }
        }
    }
}
