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

use hlfuzz_abi::{Boot, answer, map};

/// The first instruction of the VM; the stack is ready, nothing else is.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: the host maps a filled boot record there, read-only, before the vCPU first runs.
    let record = unsafe { &*(map::BOOT as *const Boot) };
    // SAFETY: called once, before anything allocates.
    unsafe { heap::init(record.heap as usize, record.heap_len as usize) };
    platform::init();
    match boot::boot(record) {
        Ok(mut store) => serve::forever(&mut store),
        Err(error) => {
            let (word, aux) = serve::classify(&error);
            let word = if aux == hlfuzz_abi::trap::OTHER { answer::LINK_FAILED } else { word };
            exchange::answer_header(aux, 0);
            loop {
                exchange::exchange(word);
            }
        }
    }
}
