/* What every guest of this folder shares: fixed-width types, the host function, the exports and a small allocator. No libc. */
#ifndef NETWORK_FILTER_GUEST_H
#define NETWORK_FILTER_GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;

#define EXPORT(name) __attribute__((export_name(#name), used))

/* The only thing this guest may ask of its host: send `len` bytes at `ptr` on to the other side of the connection. */
__attribute__((import_module("env"), import_name("write"))) extern void host_write(const u8 *ptr, u32 len);

extern u8 __heap_base; /* given by the linker: the first byte after the guest's own data and stack */

#define WASM_PAGE 65536u
#define ALIGNMENT 16u

static u32 heap_top;

/* Bytes of linear memory that exist now. */
static u32 memory_bytes(void) {
    return (u32)__builtin_wasm_memory_size(0) * WASM_PAGE;
}

/* The host allocates here before it hands over a byte vector. Returns null when memory cannot grow. */
EXPORT(malloc) u8 *malloc_export(u32 size) {
    if (heap_top == 0) heap_top = ((u32)&__heap_base + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (size > 0x7fff0000u) return 0;
    u32 start = heap_top;
    u32 end = start + ((size + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
    if (end < start) return 0;
    if (end > memory_bytes()) {
        u32 pages = (end - memory_bytes() + WASM_PAGE - 1) / WASM_PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == (u32)-1) return 0;
    }
    heap_top = end;
    return (u8 *)start;
}

/* Gives back everything from `ptr` on: byte vectors are freed in the opposite order of their allocation. */
EXPORT(free) void free_export(u8 *ptr) {
    u32 at = (u32)ptr;
    if (at >= (u32)&__heap_base && at < heap_top) heap_top = at;
}

static int bytes_equal(const u8 *a, const char *b, u32 len) {
    for (u32 i = 0; i < len; i++)
        if (a[i] != (u8)b[i]) return 0;
    return 1;
}

#endif
