/* A native guest that attacks the limits of its micro-VM: endless loops, recursion, its heap, its host, its walls.
 *
 *     gcc -std=c11 -Os -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static
 *         -fcf-protection=none -fno-pie -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code -s
 *         -I"$(hlfuzz include)" -o native_attacks.elf native_attacks.c
 *
 * What comes of it is in native_attacks.py. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

HLG_ALLOCATOR;
HLG_IMPORT("env", "tick", void, tick);

static volatile int32_t mark;

static int32_t left(void) { return mark; }
HLG_EXPORT(int32_t, left);

static void loop(void) {
    mark = 1;
    for (;;) mark++;
}
HLG_EXPORT(void, loop);

static int32_t deeper(volatile uint8_t *from) {
    volatile uint8_t frame[256];
    frame[0] = from[0];
    return mark ? deeper(frame) + frame[0] : 0;
}
static int32_t recurse(void) {
    mark = 1;
    return deeper((volatile uint8_t *)&mark);
}
HLG_EXPORT(int32_t, recurse);

/* Pages of 64 KiB that its heap has. */
static int32_t fill_heap(void) {
    mark = 1;
    int32_t pages = 0;
    for (uint8_t *page; (page = hlg_alloc(65536)); pages++) page[0] = page[65535] = 1;
    return pages;
}
HLG_EXPORT(int32_t, fill_heap);

static void flood(void) {
    mark = 1;
    for (;;) tick();
}
HLG_EXPORT(void, flood);

static void null(void) {
    mark = 1;
    volatile uint8_t *volatile nowhere = (volatile uint8_t *)8;
    *nowhere = 1;
}
HLG_EXPORT(void, null);

static void write_code(void) {
    mark = 1;
    *(volatile uint8_t *)(uintptr_t)&left = 0xc3;
}
HLG_EXPORT(void, write_code);

static void halt(void) {
    mark = 1;
    __asm__ volatile("cli; hlt");
}
HLG_EXPORT(void, halt);

/* Registers and flags as no compiler leaves them, and then an endless loop. */
static void games(void) {
    mark = 1;
    __asm__ volatile("std\n xor %esp, %esp\n xor %ebp, %ebp\n 1: jmp 1b");
}
HLG_EXPORT(void, games);
