/* A guest that does harm: in place of the runtime, with every right that code inside the VM can have.
   The request's index says what to do; values[0] is an address. See hostile.rs. */
#include <stdint.h>

#define MAILBOX 0x100000000ul
#define BELL (*(volatile uint32_t *)0x200000000ul)
#define TO_WORD (*(volatile uint32_t *)(MAILBOX + 0x0))
#define TO_INDEX (*(volatile uint32_t *)(MAILBOX + 0x4))
#define TO_VALUE(i) (*(volatile uint64_t *)(MAILBOX + 0x10 + 16 * (i)))
#define FROM_WORD (*(volatile uint32_t *)(MAILBOX + 0x4000))
#define FROM_AUX (*(volatile uint32_t *)(MAILBOX + 0x4004))
#define FROM_POSTED (*(volatile uint32_t *)(MAILBOX + 0x400c))
#define FROM_MEMORY (*(volatile uint64_t *)(MAILBOX + 0x4010))
#define FROM_MEMORY_LEN (*(volatile uint64_t *)(MAILBOX + 0x4018))
#define FROM_VALUE(i) (*(volatile uint64_t *)(MAILBOX + 0x4020 + 16 * (i)))
#define TRANSPORT (*(volatile uint32_t *)(MAILBOX + 0x8000))

enum { READ, WRITE, EXECUTE, CALL_RET, RECURSE, PORT, HALT, ANSWER, POST, LIE_MEMORY, RING, SILENT, FORGE_HOSTCALL,
       SEGMENTS, VECTORS, COUNT, DIRTY, PRIVILEGED };

static volatile uint64_t counter = 7;
static unsigned char writable[4096] __attribute__((aligned(4096))) = { 0xc3 };

static uint64_t recurse(uint64_t n) {
  volatile char page[4096];
  page[n & 4095] = (char)n;
  return recurse(n + 1) + page[(n * 7) & 4095];
}

/* What only a kernel may do, and the ways to enter one. Vectors that must result are in hostile.rs. */
static void privileged(uint64_t which) {
  uint64_t table[2] = { 0, 0 };
  switch (which) {
  case 0: __asm__ volatile("syscall" ::: "rcx", "r11", "memory"); break;
  case 1: __asm__ volatile("sysenter" ::: "memory"); break;
  case 2: __asm__ volatile("int $0x80" ::: "memory"); break;
  case 3: __asm__ volatile("int3" ::: "memory"); break;
  case 4: __asm__ volatile("wrmsr" :: "a"(0), "c"(0xc0000082), "d"(0)); break;
  case 5: __asm__ volatile("rdmsr" :: "c"(0xc0000082) : "rax", "rdx"); break;
  case 6: __asm__ volatile("mov %0, %%cr3" :: "r"(0x1000ul)); break;
  case 7: __asm__ volatile("mov %%cr0, %0" : "=r"(table[0])); break;
  case 8: __asm__ volatile("lidt %0" :: "m"(table)); break;
  case 9: __asm__ volatile("lgdt %0" :: "m"(table)); break;
  case 10: __asm__ volatile("invlpg (%0)" :: "r"(0x1000ul)); break;
  case 11: __asm__ volatile("cli"); break;
  case 12: __asm__ volatile("inb $0x60, %%al" ::: "al"); break;
  case 13: __asm__ volatile("wbinvd" ::: "memory"); break;
  case 14: __asm__ volatile("ud2"); break;
  case 15: __asm__ volatile("xsetbv" :: "a"(7), "c"(0), "d"(0)); break;
  case 16: __asm__ volatile("iretq" ::: "memory"); break;
  }
}

static void answer(uint32_t word) {
  FROM_WORD = word;
  if (TRANSPORT == 1) BELL = 1;
}

static uint32_t wait(void) {
  uint32_t op;
  while (!(op = TO_WORD)) __builtin_ia32_pause();
  TO_WORD = 0;
  return op;
}

static uint64_t act(uint32_t what, uint64_t at, uint64_t more) {
  switch (what) {
  case READ: return *(volatile uint8_t *)at;
  case WRITE: *(volatile uint8_t *)at = 0x90; return 1;
  case EXECUTE: ((void (*)(void))at)(); return 1;
  case CALL_RET: ((void (*)(void))(uintptr_t)writable)(); return 1;
  case RECURSE: return recurse(1);
  case PORT: __asm__ volatile("outb %%al, $0x10" ::: "memory"); return 1;
  case HALT: __asm__ volatile("hlt"); return 1;
  case RING: for (;;) BELL = (uint32_t)at;
  case SILENT: for (;;) __builtin_ia32_pause();
  case SEGMENTS: { uint16_t ds; __asm__ volatile("mov %%ds, %0" : "=r"(ds)); uint16_t was = ds; ds = (uint16_t)at; __asm__ volatile("mov %0, %%ds" :: "r"(ds)); return was; }
  case VECTORS: { uint64_t was; uint32_t mxcsr; __asm__ volatile("stmxcsr %0" : "=m"(mxcsr)); __asm__ volatile("movq %%xmm15, %0" : "=r"(was)); __asm__ volatile("movq %0, %%xmm15" :: "r"(at)); uint32_t set = (uint32_t)more; __asm__ volatile("ldmxcsr %0" :: "m"(set)); return was ^ ((uint64_t)mxcsr << 32); }
  case COUNT: return ++counter;
  case PRIVILEGED: privileged(at); return 1;
  case DIRTY: for (uint64_t i = 0; i < more; i++) *(volatile uint64_t *)(at + 4096 * i) += 1; return *(volatile uint64_t *)at;
  }
  return 0;
}

void __attribute__((section(".text.start"), noreturn, force_align_arg_pointer)) _start(void) {
  FROM_MEMORY = FROM_MEMORY_LEN = 0;
  answer(1);
  for (;;) {
    wait();
    uint32_t what = TO_INDEX;
    uint64_t at = TO_VALUE(0), more = TO_VALUE(1);
    if (what == ANSWER) { FROM_AUX = (uint32_t)more; answer((uint32_t)at); continue; }
    if (what == POST) { FROM_POSTED = (uint32_t)at; answer(1); continue; }
    if (what == LIE_MEMORY) { FROM_MEMORY = at; FROM_MEMORY_LEN = more; answer(1); continue; }
    if (what == FORGE_HOSTCALL) { FROM_AUX = (uint32_t)at; answer(2); continue; }
    FROM_VALUE(0) = act(what, at, more);
    answer(1);
  }
}
