//! What wasmtime and rustc expect of a platform: thread-local slots, panics, unwinding that never happens.

use crate::exchange::fatal;
use crate::heap::take_hot;
use core::alloc::Layout;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// wasmtime's two "thread-local" slots; the VM has one thread. Every call writes them, so they live in the hot page.
static SLOTS: AtomicPtr<[AtomicPtr<u8>; 2]> = AtomicPtr::new(core::ptr::null_mut());

/// Places the slots; called once, before wasmtime is.
pub fn init() {
    match take_hot(Layout::new::<[AtomicPtr<u8>; 2]>()) {
        Some(place) => SLOTS.store(place.cast(), Relaxed), // zeroed, which is two null pointers
        None => fatal("no room for the thread-local slots"),
    }
}

fn slots() -> &'static [AtomicPtr<u8>; 2] {
    // SAFETY: `init` has placed them, for good.
    unsafe { &*SLOTS.load(Relaxed) }
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_get(slot: usize) -> *mut u8 {
    slots()[slot].load(Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_set(slot: usize, value: *mut u8) {
    slots()[slot].store(value, Relaxed);
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
