/* ---- The guest's memory --------------------------------------------------------------------------------- */

static struct {
    hl_arena arena;
    uint32_t calls; /* typed exports that are running, one inside another through host functions */
    bool finished;
} hl_guest;

#if defined(__wasm__)
extern uint8_t __heap_base; /* the linker's: the first byte after data and stack */

hl_arena *hl_guest_arena(void) {
    if (!hl_guest.arena.start) {
        size_t size = (size_t)__builtin_wasm_memory_size(0) << 16;
        hl_arena_init(&hl_guest.arena, &__heap_base, size - (size_t)&__heap_base);
        hl_guest.arena.grows = true;
    }
    return &hl_guest.arena;
}
#else
void hl_guest_memory(void *memory, size_t size) {
    hl_arena_init(&hl_guest.arena, memory, size);
}

hl_arena *hl_guest_arena(void) { return &hl_guest.arena; }
#endif

void hl_finish(void) { hl_guest.finished = true; }

/* The host asks for room before it hands over bytes. The first time after a call has ended, everything is given
 * back. Returns NULL when there is no memory. */
HL_EXPORT(HL_ALLOCATOR) void *hlfuzz_alloc(uint32_t len);
void *hlfuzz_alloc(uint32_t len) {
    hl_arena *arena = hl_guest_arena();
    if (hl_guest.finished && hl_guest.calls == 0) {
        hl_arena_reset(arena);
        hl_guest.finished = false;
    }
    return hl_alloc_aligned(arena, len, 16);
}
HL_LIST_EXPORT(hlfuzz_alloc, HL_ALLOCATOR, "i:p")
