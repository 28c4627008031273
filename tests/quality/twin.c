/* The same small guest for both walls: as Wasm, and as a native program. DIFFERS plants a fault in one build. */
#ifdef __wasm__
#include <stdint.h>
#define EXPORT(result, name) __attribute__((export_name(#name))) result name
static uint8_t room[4096];
EXPORT(void *, malloc)(uint32_t n) { return n > sizeof room ? 0 : room; }
#else
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"
HLG_ALLOCATOR;
#define EXPORT(result, name) static result name
#endif

#ifndef DIFFERS
#define DIFFERS 0
#endif

EXPORT(int32_t, sum)(const uint8_t *data, uint32_t n) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < n; i++) total = total * 31 + data[i];
    return (int32_t)(total + (DIFFERS && n > 40));
}

EXPORT(int64_t, mix)(int64_t a, int32_t b) {
    if (b == 7) __builtin_trap();
    return (int64_t)(((uint64_t)a ^ (uint64_t)a << 13) + (uint64_t)(int64_t)b);
}

#ifndef __wasm__
HLG_EXPORT(int32_t, sum, const uint8_t *, uint32_t);
HLG_EXPORT(int64_t, mix, int64_t, int32_t);
#endif
