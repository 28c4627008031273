/* A native guest with state in each kind of memory that it may write: data, zeros, heap, and a value set at the start. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

static int32_t initial = 1; /* 0 after the start: what a snapshot must not take from the program's file */
static int32_t total;
static int32_t *on_heap;

void hl_guest_init(void) {
    initial = 0;
    on_heap = hlg_alloc(sizeof *on_heap);
    *on_heap = 0;
}

static int32_t push(int32_t n) {
    total += n;
    *on_heap += n;
    return total == *on_heap && initial == 0 ? total : -1;
}
HLG_EXPORT(int32_t, push, int32_t);
