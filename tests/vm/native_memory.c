/* A native guest with state in each kind of memory that it may write: data, zeros, heap, and a value set at the start. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

/* A page of its own that is zero after the start: a snapshot must not take it from the program's file. */
static volatile int32_t initial[3 * 1024] __attribute__((aligned(4096))) = {[1024] = 1};
static int32_t total;
static int32_t *on_heap;

void hl_guest_init(void) {
    initial[1024] = 0;
    on_heap = hlg_alloc(sizeof *on_heap);
    *on_heap = 0;
}

static int32_t push(int32_t n) {
    total += n;
    *on_heap += n;
    return total == *on_heap && initial[1024] == 0 ? total : -1;
}
HLG_EXPORT(int32_t, push, int32_t);
