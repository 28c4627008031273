/* A guest that crashes, with calls and variables that a debugger can show. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

HLG_ALLOCATOR;

struct header { int32_t length; const volatile int32_t *items; };
static int32_t items[4] = {10, 20, 30, 40};
int32_t progress;
static volatile uint8_t scratch[1 << 16];

__attribute__((noinline)) int32_t parse_header(const struct header *at, int32_t step) {
    progress = step;
    int32_t value = at->items[step]; /* line: the crash */
    return value + at->length;
}

__attribute__((noinline)) int32_t on_request(int32_t step) {
    struct header one = {4, items};
    if (step >= 1000) one.items = 0;
    scratch[5000] = 0xab;
    int32_t result = parse_header(&one, step); /* line: the call */
    return result + 1;
}
HLG_EXPORT(int32_t, on_request, int32_t);

static int32_t divide(int32_t by) { return 100 / by; }
HLG_EXPORT(int32_t, divide, int32_t);

static int32_t jump(int32_t to) {
    int32_t (*function)(void) = (int32_t (*)(void))(uintptr_t)(uint32_t)to;
    return function() + 1;
}
HLG_EXPORT(int32_t, jump, int32_t);

static int32_t loop(int32_t unused) {
    volatile int32_t turn = unused;
    do turn++; while (unused == 0);
    return turn;
}
HLG_EXPORT(int32_t, loop, int32_t);

/* Leaves a stack of its own making, and crashes. */
static int32_t forge(int32_t word) {
    __asm__ volatile("mov %0, %%rax\n"
                     "mov $4000, %%ecx\n"
                     "1: push %%rax\n"
                     "dec %%ecx\n"
                     "jnz 1b\n"
                     "mov %%rax, %%rbp\n"
                     "ud2" ::"r"((uint64_t)(uint32_t)word) : "rax", "rcx");
    return 0;
}
HLG_EXPORT(int32_t, forge, int32_t);
