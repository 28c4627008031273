/* A native guest that keeps what it is given wherever a program can, and shows all of it: data, heap, below its stack, in
 * the mailbox, in x87 and SSE registers and in MXCSR.
 *
 *     gcc -std=c11 -Os -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static
 *         -fcf-protection=none -fno-pie -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code -s
 *         -I"$(hlfuzz include)" -o native_notebook.elf native_notebook.c
 *
 * The program is in native_notebook.py. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

HLG_ALLOCATOR;
HLG_IMPORT("env", "note", void, note, const void *, uint32_t);

enum { SECRET = 32, BELOW = 16384, PAGE = 4096, FXSAVE = 512, MXCSR_AT = 24, ST_AT = 32, ST_BYTES = 128, XMM_BYTES = 256 };

static uint8_t kept[SECRET];
static uint8_t area[FXSAVE] __attribute__((aligned(16))); /* Intel SDM vol. 1, 10.5 */

/* The last bytes of the heap, which nothing else uses; a frame that no call reaches; the end of an answer's
 * first page. */
static uint8_t *heap_end(void) {
    return (uint8_t *)(uintptr_t)(hlg_boot(HLG_BOOT_HEAP) + hlg_boot(HLG_BOOT_HEAP_LEN) - SECRET);
}
static uint8_t *below_stack(void) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    return (uint8_t *)(here - here % PAGE - BELOW);
}
static volatile uint64_t *in_mailbox(void) { return hlg_wide(HLG_ANSWER + PAGE - SECRET); }

static void keep(const uint8_t *data, uint32_t len) {
    uint64_t words[SECRET / 8];
    uint32_t mix = 0, control;
    note(data, len);
    if (len < SECRET) return;
    __builtin_memcpy(kept, data, SECRET);
    __builtin_memcpy(heap_end(), data, SECRET);
    __builtin_memcpy(below_stack(), data, SECRET);
    __builtin_memcpy(words, data, SECRET);
    for (uint32_t i = 0; i < SECRET / 8; i++) in_mailbox()[i] = words[i];
    for (uint32_t i = 0; i < SECRET; i++) mix = mix * 31 + data[i];
    control = 0x1f80 | (mix & 0x3f) | (mix << 7 & 0xe000); /* sticky flags, rounding, flush to zero */
    __asm__ volatile("ldmxcsr %0\n\t"
                     "fildq %1\n\t"
                     "movups %1, %%xmm8\n\t"
                     "movups 16+%1, %%xmm9"
                     :
                     : "m"(control), "m"(words[0]), "m"(words));
}
HLG_EXPORT(void, keep, const uint8_t *, uint32_t);

static void show(void) {
    uint64_t words[SECRET / 8];
    __asm__ volatile("fxsave64 %0" : "=m"(area));
    note(area + MXCSR_AT, 4);
    note(area + ST_AT, ST_BYTES + XMM_BYTES);
    note(kept, SECRET);
    note(heap_end(), SECRET);
    note(below_stack(), SECRET);
    for (uint32_t i = 0; i < SECRET / 8; i++) words[i] = in_mailbox()[i];
    note(words, SECRET);
}
HLG_EXPORT(void, show);
