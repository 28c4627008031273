/* A native guest that does what tests ask: ordinary calls, host calls, every kind of crash, wrong addresses.
 * To be compiled with hlfuzz_guest.c, because it has an allocator of its own. */
#include "hlfuzz_guest.h"

HLG_IMPORT("env", "down", int32_t, host_down, int32_t);
HLG_IMPORT("env", "mix", double, host_mix, int64_t, float, double, uint32_t);
HLG_IMPORT("env", "bytes", hl_result, host_bytes, const char *, uint32_t);

static int32_t calls;
static uint8_t buffer[70000];

static int32_t add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
HLG_EXPORT(int32_t, add, int32_t, int32_t);

static double all(int32_t a, double f0, int64_t b, double f1, int32_t c, float f2, const void *d, double f3, uint32_t e,
                  double f4, int32_t f, double f5, double f6, double f7) {
    double floats = f0 * 2 + f1 * 4 + (double)f2 * 6 + f3 * 8 + f4 * 10 + f5 * 12 + f6 * 13 + f7 * 14;
    return a + (double)b * 3 + c * 5 + (double)(uintptr_t)d * 7 + e * 9 + f * 11 + floats;
}
HLG_EXPORT(double, all, int32_t, double, int64_t, double, int32_t, float, const void *, double, uint32_t, double, int32_t,
           double, double, double);

static int64_t negate(int64_t a) { return -a; }
HLG_EXPORT(int64_t, negate, int64_t);
static float half(float a) { return a / 2; }
HLG_EXPORT(float, half, float);
static void nothing(void) {}
HLG_EXPORT(void, nothing);
static int32_t count(void) { return ++calls; }
HLG_EXPORT(int32_t, count);

/* Host calls: nested ones through `down`, and what they leave behind when they fail. */
static int32_t go(int32_t n) {
    calls++;
    volatile int32_t kept = n * 3; /* on the stack, and in callee-saved registers of what comes between */
    int32_t answer = n > 0 ? host_down(n) : 0;
    return answer + kept - n * 3 + 1;
}
HLG_EXPORT(int32_t, go, int32_t);
static double mix(int64_t a, float b, double c, uint32_t d) { return host_mix(a, b, c, d); }
HLG_EXPORT(double, mix, int64_t, float, double, uint32_t);
static hl_result fetch(const uint8_t *data, uint32_t len) {
    (void)data, (void)len;
    hl_result found = host_bytes("what?", 5);
    for (uint32_t i = 0; i < found.len; i++) buffer[i] = (uint8_t)(found.data[i] ^ 1);
    return hl_returned(buffer, found.len);
}
HLG_EXPORT(hl_result, fetch, const uint8_t *, uint32_t);

/* Byte vectors. `steer` makes the allocator lie. */
static uint64_t steered;
static int32_t steering;
static void steer(uint64_t address) {
    steering = 1;
    steered = address;
}
HLG_EXPORT(void, steer, uint64_t);
void *hlfuzz_alloc(uint32_t len) {
    void *room = steering ? (void *)(uintptr_t)steered : hlg_alloc(len);
    if (len == 77) __asm__ volatile("std"); /* against the ABI */
    return room;
}
HLG_ALLOCATOR;
static hl_result echo(const uint8_t *data, uint32_t len) {
    for (uint32_t i = 0; i < len && i < sizeof buffer; i++) buffer[i] = data[i];
    return hl_returned(buffer, len < sizeof buffer ? len : sizeof buffer);
}
HLG_EXPORT(hl_result, echo, const uint8_t *, uint32_t);
static uint32_t where(const uint8_t *data, uint32_t len) { return (uint32_t)(uintptr_t)data + 0 * len; }
HLG_EXPORT(uint32_t, where, const uint8_t *, uint32_t);
/* Bytes that lie anywhere. */
static hl_result place(const uint8_t *data, uint32_t len, uint64_t address, uint32_t size) {
    (void)data, (void)len;
    return hl_returned((const void *)(uintptr_t)address, size);
}
HLG_EXPORT(hl_result, place, const uint8_t *, uint32_t, uint64_t, uint32_t);
static const void *pointer(uint64_t address) { return (const void *)(uintptr_t)address; }
HLG_EXPORT(const void *, pointer, uint64_t);
static void text(void) { hl_guest_abort("the guest says no"); }
HLG_EXPORT(void, text);

/* Addresses of its own parts. */
static const char fixed[] = "not to be written";
static uint64_t part(int32_t which) {
    switch (which) {
    case 0: return (uintptr_t)buffer;
    case 1: return (uintptr_t)fixed;
    case 2: return (uintptr_t)&add;
    case 3: return (uintptr_t)__builtin_frame_address(0);
    default: return *(volatile uint64_t *)(uintptr_t)0x1ff000; /* the heap, says the boot record */
    }
}
HLG_EXPORT(uint64_t, part, int32_t);

/* Crashes. */
static uint32_t load(uint64_t address) { return *(volatile uint8_t *)(uintptr_t)address; }
HLG_EXPORT(uint32_t, load, uint64_t);
static void store(uint64_t address) { *(volatile uint8_t *)(uintptr_t)address = 1; }
HLG_EXPORT(void, store, uint64_t);
static void jump(uint64_t address) { __asm__ volatile("call *%0" : : "r"(address) : "memory"); }
HLG_EXPORT(void, jump, uint64_t);
static void undefined(void) { __asm__ volatile("ud2"); }
HLG_EXPORT(void, undefined);
static void halt(void) { __asm__ volatile("hlt"); }
HLG_EXPORT(void, halt);
static void breakpoint(void) { __asm__ volatile("int3"); }
HLG_EXPORT(void, breakpoint);
static int32_t divide(int32_t a, int32_t b) {
    int32_t quotient, rest;
    __asm__ volatile("cltd\n\tidivl %3" : "=a"(quotient), "=&d"(rest) : "0"(a), "r"(b) : "cc");
    return quotient;
}
HLG_EXPORT(int32_t, divide, int32_t, int32_t);
static int32_t deeper(int32_t n) {
    volatile uint8_t frame[512];
    frame[n & 511] = (uint8_t)n;
    return n == INT32_MAX ? 0 : deeper(n + 1) + frame[n & 511];
}
static int32_t overflow(void) { return deeper(0); }
HLG_EXPORT(int32_t, overflow);
static void forever(void) {
    for (;;) __asm__ volatile("pause");
}
HLG_EXPORT(void, forever);

/* Bases of segments, where the CPU lets CPL3 have them. */
static uint64_t fs(void) {
    uint64_t base;
    __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}
HLG_EXPORT(uint64_t, fs);
static uint64_t gs(void) {
    uint64_t base;
    __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}
HLG_EXPORT(uint64_t, gs);
static void set_bases(uint64_t base) { __asm__ volatile("wrfsbase %0\n\twrgsbase %0" : : "r"(base)); }
HLG_EXPORT(void, set_bases, uint64_t);
/* All four selectors, 16 bits each; and a value for all but SS and CS. */
static uint64_t selectors(void) {
    uint16_t found[4];
    __asm__ volatile("movw %%ds, %0\n\tmovw %%es, %1\n\tmovw %%fs, %2\n\tmovw %%gs, %3"
                     : "=m"(found[0]), "=m"(found[1]), "=m"(found[2]), "=m"(found[3]));
    uint64_t all;
    __builtin_memcpy(&all, found, sizeof all);
    return all;
}
HLG_EXPORT(uint64_t, selectors);
static uint64_t set_selectors(void) {
    __asm__ volatile("movl %%ss, %%eax\n\tmovl %%eax, %%ds\n\tmovl %%eax, %%es\n\tmovl %%eax, %%fs\n\tmovl %%eax, %%gs"
                     : : : "eax");
    return selectors();
}
HLG_EXPORT(uint64_t, set_selectors);
