//! The runtime's own heap: dlmalloc over one region that the host has mapped.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use dlmalloc::Dlmalloc;

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
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}
