/* Native guests that tell one tenant of another, one export each, and one that does the same with care.
 *
 * Each takes a tenant's bytes; what it sends to env.write before it looks at them is of the tenant before. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

HLG_ALLOCATOR;
HLG_IMPORT("env", "write", void, env_write, const void *, uint32_t);

enum { ROOM = 64 };
static uint8_t kept[ROOM];
static uint32_t last_length;
static volatile uint64_t last_time;

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static void static_buffer(const uint8_t *data, uint32_t len) {
    env_write(kept, ROOM);
    __builtin_memcpy(kept, data, least(len, ROOM));
}
HLG_EXPORT(void, static_buffer, const uint8_t *, uint32_t);

static void heap(const uint8_t *data, uint32_t len) {
    void *room = hlg_alloc(4096);
    if (!room) return;
    env_write(room, 4096);
    __builtin_memcpy(room, data, least(len, 4096));
}
HLG_EXPORT(void, heap, const uint8_t *, uint32_t);

/* The same frame, one call later; the compiler must not know that nobody has written it. */
__attribute__((noinline)) static void send_frame(void) {
    uint8_t frame[ROOM];
    __asm__ volatile("" : "=m"(frame));
    env_write(frame, ROOM);
}
__attribute__((noinline)) static void fill_frame(const uint8_t *data, uint32_t len) {
    uint8_t frame[ROOM];
    __builtin_memcpy(frame, data, least(len, ROOM));
    __asm__ volatile("" : : "m"(frame));
}
static void stack(const uint8_t *data, uint32_t len) {
    send_frame();
    fill_frame(data, len);
}
HLG_EXPORT(void, stack, const uint8_t *, uint32_t);

static void vector_register(const uint8_t *data, uint32_t len) {
    uint8_t found[16];
    __asm__ volatile("movups %%xmm12, %0" : "=m"(found));
    env_write(found, sizeof found);
    if (len < sizeof found) return;
    __builtin_memcpy(found, data, sizeof found);
    __asm__ volatile("movups %0, %%xmm12" : : "m"(found)); /* as if forgotten there */
}
HLG_EXPORT(void, vector_register, const uint8_t *, uint32_t);

static double third(void) {
    volatile double one = 1.0, three = 3.0;
    return one / three;
}
static void set_rounding(uint32_t mode) {
    uint32_t control = 0x1f80 | mode << 13;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
}
static uint32_t sum(const uint8_t *data, uint32_t len) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < len; i++) total += data[i];
    return total;
}
/* Rounds as the tenant wants it, and leaves it at that. */
static double rounding(const uint8_t *data, uint32_t len) {
    double answer = third();
    set_rounding(sum(data, len) & 2);
    return answer;
}
HLG_EXPORT(double, rounding, const uint8_t *, uint32_t);

/* A number like an address of a linear memory, where this guest has none. */
static uint32_t length_before(const uint8_t *data, uint32_t len) {
    uint32_t before = last_length;
    (void)data;
    last_length = (1 + len) << 8;
    return before;
}
HLG_EXPORT(uint32_t, length_before, const uint8_t *, uint32_t);

static void time_in_memory(const uint8_t *data, uint32_t len) {
    (void)data;
    (void)len;
    last_time = __builtin_ia32_rdtsc();
}
HLG_EXPORT(void, time_in_memory, const uint8_t *, uint32_t);

static void nothing(void) {}
HLG_EXPORT(void, nothing);

static uint32_t nothing_of(const uint8_t *data, uint32_t len) {
    (void)data;
    return len;
}
HLG_EXPORT(uint32_t, nothing_of, const uint8_t *, uint32_t);

/* Uses all of it, and leaves nothing of it: not accused of anything. */
static double careful(const uint8_t *data, uint32_t len) {
    uint8_t found[16] = {0};
    uint8_t *room = hlg_alloc(4096);
    double answer = third();
    if (!room) return 0;
    __builtin_memset(room, 0, 4096);
    __builtin_memcpy(room, data, least(len, 4096));
    env_write(room, least(len, 4096));
    __builtin_memset(room, 0, 4096);
    __builtin_memcpy(kept, data, least(len, ROOM));
    env_write(kept, least(len, ROOM));
    __builtin_memset(kept, 0, ROOM);
    __builtin_memcpy(found, data, least(len, sizeof found));
    __asm__ volatile("movups %0, %%xmm12" : : "m"(found));
    set_rounding(sum(data, len) & 2);
    answer += third();
    set_rounding(0);
    __asm__ volatile("pxor %xmm12, %xmm12");
    fill_frame(data, len);
    return answer;
}
HLG_EXPORT(double, careful, const uint8_t *, uint32_t);
