//! What wasmtime and rustc expect of a platform: thread-local slots, panics, unwinding that never happens.

use crate::exchange::fatal;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// wasmtime's two "thread-local" slots; the VM has one thread.
static SLOTS: [AtomicPtr<u8>; 2] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 2];

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_get(slot: usize) -> *mut u8 {
    SLOTS[slot].load(Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_set(slot: usize, value: *mut u8) {
    SLOTS[slot].store(value, Relaxed);
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    fatal(&alloc::format!("{info}"))
}

// The prebuilt core and alloc carry unwind tables; with panic=abort nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    fatal("unwinding in a runtime that cannot unwind")
}
