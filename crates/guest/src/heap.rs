//! The runtime's own heap: dlmalloc over one region that the host has mapped, and the hot page for what every call
//! writes.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use dlmalloc::Dlmalloc;
use hlfuzz_abi::map;

/// Hands out the region from its start; nothing is ever given back, because a reset rewinds all of it.
struct Region {
    next: UnsafeCell<usize>,
    end: UnsafeCell<usize>,
}

// SAFETY: the VM has one vCPU and no interrupts.
unsafe impl Sync for Region {}
// SAFETY: as above.
unsafe impl Send for Region {}

static REGION: Region = Region { next: UnsafeCell::new(0), end: UnsafeCell::new(0) };

/// # Safety
/// Called once, before the first allocation, with a mapped, writable, zeroed region.
pub unsafe fn init(start: usize, len: usize) {
    // SAFETY: nobody else looks at the region yet.
    unsafe {
        *REGION.next.get() = start;
        *REGION.end.get() = start + len;
    }
}

/// The first page of the writable segment: the stack ends in its lower part, the rest is for what every call writes
/// (thread-local slots, the store, the instance), so that a small call dirties one page.
#[repr(C, align(4096))]
struct Hot {
    stack: UnsafeCell<[u8; map::HOT_STACK as usize]>,
    bytes: UnsafeCell<[u8; HOT_BYTES]>,
}

const HOT_BYTES: usize = (map::PAGE - map::HOT_STACK) as usize;

// SAFETY: one vCPU; parts are handed out once each.
unsafe impl Sync for Hot {}

#[unsafe(link_section = ".hot")]
static HOT: Hot =
    Hot { stack: UnsafeCell::new([0; map::HOT_STACK as usize]), bytes: UnsafeCell::new([0; HOT_BYTES]) };

/// Bytes of the hot page handed out, and whether allocations go there at all.
static HOT_USED: AtomicUsize = AtomicUsize::new(0);
static HOT_WANTED: AtomicBool = AtomicBool::new(false);

/// Runs `make` with allocations of 16-byte alignment or more than 1 KiB going to the hot page while they fit: those are
/// wasmtime's store and instance, which every call writes.
pub fn hot<T>(make: impl FnOnce() -> T) -> T {
    HOT_WANTED.store(true, Relaxed);
    let made = make();
    HOT_WANTED.store(false, Relaxed);
    made
}

/// A part of the hot page, never given back.
pub fn take_hot(layout: Layout) -> Option<*mut u8> {
    let used = HOT_USED.load(Relaxed).next_multiple_of(layout.align());
    if layout.align() > 64 || layout.size() > HOT_BYTES.saturating_sub(used) {
        return None;
    }
    HOT_USED.store(used + layout.size(), Relaxed);
    // SAFETY: the part lies inside the page.
    Some(unsafe { HOT.bytes.get().cast::<u8>().add(used) })
}

fn in_hot(block: *mut u8) -> bool {
    (block as usize).wrapping_sub(HOT.bytes.get() as usize) < HOT_BYTES
}

struct Pages;

// SAFETY: `alloc` returns disjoint, zeroed, page-aligned parts of the region.
unsafe impl dlmalloc::Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        // SAFETY: one vCPU; `next` and `end` are only touched here and in `init`.
        unsafe {
            let start = *REGION.next.get();
            let Some(size) = size.checked_next_multiple_of(4096) else { return (ptr::null_mut(), 0, 0) };
            if size > *REGION.end.get() - start {
                return (ptr::null_mut(), 0, 0);
            }
            *REGION.next.get() = start + size;
            (start as *mut u8, size, 0)
        }
    }
    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }
    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }
    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }
    fn can_release_part(&self, _: u32) -> bool {
        false
    }
    fn allocates_zeros(&self) -> bool {
        true
    }
    fn page_size(&self) -> usize {
        4096
    }
}

struct Heap(UnsafeCell<Dlmalloc<Pages>>);

// SAFETY: one vCPU, no interrupts, and the allocator never calls back.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages)));

// SAFETY: forwards to dlmalloc, which keeps the contract.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if HOT_WANTED.load(Relaxed)
            && (layout.align() >= 16 || layout.size() > 1024)
            && let Some(block) = take_hot(layout)
        {
            return block;
        }
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if HOT_WANTED.load(Relaxed)
            && layout.align() >= 16
            && let Some(block) = take_hot(layout)
        {
            return block; // parts are handed out once, so they are still zero
        }
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if in_hot(block) {
            return;
        }
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if in_hot(block) {
            // SAFETY: a new block of its own; the old one keeps its place.
            return unsafe {
                let new = (*self.0.get()).malloc(size, layout.align());
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                }
                new
            };
        }
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}
