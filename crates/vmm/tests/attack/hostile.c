/* A guest that does harm: in place of the runtime, with every right that code inside the VM can have.
   The request's index says what to do; values[0] is an address. See mod.rs and the tests beside it. */
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
       SEGMENTS, VECTORS, COUNT, DIRTY, PRIVILEGED, RUN, DUMP, POISON, ODD_BELL, ODD_ANSWER, FILL, SCAN, FLIP, HOST_STATE };

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

/* Every register of the moment at which a request was taken but eax, for DUMP: 15 general ones, flags, five selectors,
   and from byte 192 on what XSAVE stores of x87, SSE and AVX. */
unsigned char frame[1024] __attribute__((aligned(64)));
/* What POISON loads: the same, x87, SSE and AVX in the form that XRSTOR wants. */
unsigned char poison[1024] __attribute__((aligned(64)));
uint64_t kept_rsp, run_rsp, run_target;
uint32_t taken_op;

/* exchange(word): publishes an answer and waits. publish: the same from anywhere, with the word in eax and nothing else
   touched. spoil: fills every register, and then as exchange(1). run(registers): loads them and jumps. */
__asm__(
    ".text\n"
    "exchange:\n"
    "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  mov %rsp, kept_rsp(%rip)\n"
    "  mov %edi, %eax\n"
    "publish:\n"
    "  movabs %eax, 0x100004000\n"
    "  movabs 0x100008000, %eax\n"
    "  cmp $1, %eax\n"
    "  jne 1f\n"
    "  movabs %eax, 0x200000000\n"
    "1: movabs 0x100000000, %eax\n"
    "  test %eax, %eax\n"
    "  jz 1b\n"
    "  mov %eax, taken_op(%rip)\n"
    "  mov %rbx, frame(%rip)\n mov %rcx, frame+8(%rip)\n mov %rdx, frame+16(%rip)\n mov %rsi, frame+24(%rip)\n"
    "  mov %rdi, frame+32(%rip)\n mov %rbp, frame+40(%rip)\n mov %rsp, frame+48(%rip)\n mov %r8, frame+56(%rip)\n"
    "  mov %r9, frame+64(%rip)\n mov %r10, frame+72(%rip)\n mov %r11, frame+80(%rip)\n mov %r12, frame+88(%rip)\n"
    "  mov %r13, frame+96(%rip)\n mov %r14, frame+104(%rip)\n mov %r15, frame+112(%rip)\n"
    "  mov kept_rsp(%rip), %rsp\n"
    "  pushfq\n popq frame+120(%rip)\n push $2\n popfq\n"
    "  mov %ds, frame+128(%rip)\n mov %es, frame+136(%rip)\n mov %fs, frame+144(%rip)\n mov %gs, frame+152(%rip)\n"
    "  mov %ss, frame+160(%rip)\n"
    "  mov $7, %eax\n xor %edx, %edx\n"
    "  xsave64 frame+192(%rip)\n"
    "  xor %eax, %eax\n"
    "  movabs %eax, 0x100000000\n"
    "  mov taken_op(%rip), %eax\n"
    "  pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "  ret\n"
    "spoil:\n"
    "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  mov %rsp, kept_rsp(%rip)\n"
    "  mov $7, %eax\n xor %edx, %edx\n"
    "  xrstor64 poison+192(%rip)\n"
    "  mov poison+128(%rip), %ds\n mov poison+136(%rip), %es\n mov poison+144(%rip), %fs\n mov poison+152(%rip), %gs\n"
    "  push poison+120(%rip)\n popfq\n"
    "  mov poison(%rip), %rbx\n mov poison+8(%rip), %rcx\n mov poison+16(%rip), %rdx\n mov poison+24(%rip), %rsi\n"
    "  mov poison+32(%rip), %rdi\n mov poison+40(%rip), %rbp\n mov poison+48(%rip), %rsp\n mov poison+56(%rip), %r8\n"
    "  mov poison+64(%rip), %r9\n mov poison+72(%rip), %r10\n mov poison+80(%rip), %r11\n mov poison+88(%rip), %r12\n"
    "  mov poison+96(%rip), %r13\n mov poison+104(%rip), %r14\n mov poison+112(%rip), %r15\n"
    "  mov $1, %eax\n"
    "  jmp publish\n"
    "run:\n"
    "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  mov %rsp, run_rsp(%rip)\n"
    "  mov (%rdi), %rax\n mov %rax, run_target(%rip)\n"
    "  mov 80(%rdi), %rax\n test %rax, %rax\n cmovnz %rax, %rsp\n"
    "  lea 1f(%rip), %rax\n push %rax\n"
    "  mov 16(%rdi), %rax\n mov 32(%rdi), %rcx\n mov 48(%rdi), %rdx\n mov 64(%rdi), %rbx\n mov 96(%rdi), %rbp\n"
    "  mov 112(%rdi), %rsi\n mov 144(%rdi), %r8\n mov 160(%rdi), %r9\n mov 176(%rdi), %r10\n mov 192(%rdi), %r11\n"
    "  mov 208(%rdi), %r12\n mov 224(%rdi), %r13\n mov 240(%rdi), %r14\n mov 256(%rdi), %r15\n mov 128(%rdi), %rdi\n"
    "  jmp *run_target(%rip)\n"
    "1: mov run_rsp(%rip), %rsp\n"
    "  push $2\n popfq\n"
    "  pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "  ret\n");
uint32_t exchange(uint32_t word);
uint32_t spoil(void);
void run(const void *registers);

static void fill_poison(uint64_t seed) {
  uint64_t *words = (uint64_t *)poison;
  for (int i = 0; i < 128; i++) words[i] = seed * (uint64_t)(i + 1);
  words[15] = 0x244ed7; /* every flag but trap, nested, and the I/O privilege */
  words[16] = 3; /* ds: null, with a number in it */
  words[17] = 0x33; /* es: text, which may be read */
  words[18] = words[19] = 0x2b; /* fs, gs: data */
  unsigned char *x = poison + 192;
  for (int i = 512; i < 576; i++) x[i] = 0;
  x[512] = 7;
  *(uint32_t *)(x + 24) = 0x7f80; /* MXCSR */
  *(uint32_t *)(x + 28) = 0;
}

/* Stores to the doorbell that are none, and what else one can do with its address. */
static void odd_bell(uint64_t which) {
  volatile char *bell = (volatile char *)&BELL;
  uint64_t count = 3, text = MAILBOX + 0x9000, there = (uint64_t)bell;
  switch (which) {
  case 0: *(volatile uint8_t *)bell = 1; break;
  case 1: *(volatile uint16_t *)bell = 1; break;
  case 2: *(volatile uint64_t *)bell = 1; break;
  case 3: __asm__ volatile("movaps %%xmm0, (%0)" :: "r"(bell) : "memory"); break;
  case 4: __asm__ volatile("vmovaps %%ymm0, (%0)" :: "r"(bell) : "memory"); break;
  case 5: *(volatile uint32_t *)(bell + 1) = 1; break;
  case 6: *(volatile uint32_t *)(bell + 2) = 1; break;
  case 7: *(volatile uint32_t *)(bell + 4) = 1; break;
  case 8: *(volatile uint32_t *)(bell + 4094) = 1; break;
  case 9: (void)*(volatile uint32_t *)bell; break;
  case 10: __asm__ volatile("rep stosl" : "+D"(there), "+c"(count) : "a"(7) : "memory"); break;
  case 11: __asm__ volatile("lock incl (%0)" :: "r"(bell) : "memory"); break;
  case 12: __asm__ volatile("xchg %%eax, (%0)" :: "r"(bell), "a"(1) : "memory"); break;
  case 13: __asm__ volatile("mov %0, %%rsp\n push $1" :: "r"(bell + 8) : "memory"); break;
  case 14: __asm__ volatile("mov %0, %%rsp\n call 1f\n1:" :: "r"(bell + 8) : "memory"); break;
  case 15: __asm__ volatile("fxsave (%0)" :: "r"(bell) : "memory"); break;
  case 16: __asm__ volatile("movnti %1, (%0)" :: "r"(bell), "r"(7) : "memory"); break;
  case 17: __asm__ volatile("rep movsb" : "+S"(there), "+D"(text), "+c"(count) :: "memory"); break;
  case 18: __asm__ volatile("lock cmpxchg16b (%0)" :: "r"(bell), "a"(0), "b"(1), "c"(0), "d"(0) : "memory"); break;
  case 19: ((void (*)(void))(uintptr_t)bell)(); break;
  case 20: *(volatile uint32_t *)bell = 0; break;
  case 21: *(volatile uint32_t *)bell = 0xffffffff; break;
  case 22: __asm__ volatile("xsave (%0)" :: "r"(bell), "a"(7), "d"(0) : "memory"); break;
  case 23: __asm__ volatile("mov %0, %%rsp\n enter $0, $4" :: "r"(bell + 64) : "memory"); break;
  case 24: count = -1; __asm__ volatile("rep lodsl" : "+S"(there), "+c"(count) :: "eax", "memory"); break;
  case 25: count = -1; __asm__ volatile("repe scasl" : "+D"(there), "+c"(count) : "a"(0) : "memory"); break;
  case 26: count = -1; __asm__ volatile("std\n rep movsl" : "+S"(there), "+D"(text), "+c"(count) :: "memory"); break;
  case 27: count = -1; __asm__ volatile("rep movsq" : "+D"(there), "+S"(text), "+c"(count) :: "memory"); break;
  case 28: count = 1ul << 40; text = there; __asm__ volatile("rep movsl" : "+D"(there), "+S"(text), "+c"(count) :: "memory"); break;
  case 29: __asm__ volatile("mov (%0), %%rsp" :: "r"(bell) : "memory"); break;
  case 30: __asm__ volatile("mov %0, %%rsp\n ret" :: "r"(bell) : "memory"); break;
  case 31: __asm__ volatile("mov %0, %%rsp\n popfq" :: "r"(bell) : "memory"); break;
  case 32: __asm__ volatile("jmp *(%0)" :: "r"(bell) : "memory"); break;
  case 33: __asm__ volatile("mov (%0), %%ds" :: "r"(bell) : "memory"); break;
  case 34: __asm__ volatile("movdqu (%0), %%xmm5" :: "r"(bell) : "memory"); break;
  case 35: __asm__ volatile("mov %0, %%rsp\n iretq" :: "r"(bell) : "memory"); break;
  case 36: __asm__ volatile("fxrstor (%0)" :: "r"(bell) : "memory"); break;
  case 37: __asm__ volatile("repe cmpsb" : "+D"(there), "+S"(text), "+c"(count) :: "memory"); break;
  }
  for (;;) __builtin_ia32_pause();
}

/* Answers, and rings in a way in which nobody does. */
static void odd_answer(uint64_t which) {
  volatile uint32_t *bell = &BELL;
  uint64_t count = 3, there = (uint64_t)bell;
  FROM_WORD = 1;
  switch (which) {
  case 0: __asm__ volatile("rep stosl" : "+D"(there), "+c"(count) : "a"(1) : "memory"); break;
  case 1: __asm__ volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n movl $1, (%0)" :: "r"(bell) : "memory"); break;
  case 2: __asm__ volatile("mov %%ss, %%eax\n mov %%eax, %%ss\n movl $1, (%0)" :: "r"(bell) : "eax", "memory"); break;
  case 3: __asm__ volatile("pushfq\n orq $0x40000, (%%rsp)\n popfq\n movl $1, (%0)" :: "r"(bell) : "memory"); break;
  case 4: __asm__ volatile("movd %1, %%xmm3\n movss %%xmm3, (%0)" :: "r"(bell), "r"(1) : "memory"); break;
  case 5: __asm__ volatile("fld1\n fistpl (%0)" :: "r"(bell) : "memory"); break;
  case 6: __asm__ volatile("movnti %1, (%0)" :: "r"(bell), "r"(1) : "memory"); break;
  case 7: __asm__ volatile("std\n rep stosl" : "+D"(there), "+c"(count) : "a"(1) : "memory"); break;
  case 8: __asm__ volatile("xchg %%eax, (%0)" :: "r"(bell), "a"(1) : "memory"); break;
  case 9: __asm__ volatile("orl $1, (%0)" :: "r"(bell) : "memory"); break;
  case 10: __asm__ volatile("vmovd %1, %%xmm9\n vmovd %%xmm9, (%0)" :: "r"(bell), "r"(1) : "memory"); break;
  }
  __builtin_trap();
}

/* State that a ring-3 program has only where somebody turned it on: the host's kernel did, the guest's registers say no.
   `which` 0, 2, 4, 6, 8 read, the next one writes `value`. */
static uint64_t host_state(uint64_t which, uint64_t value) {
  uint64_t a = 0, d;
  switch (which) {
  case 0: __asm__ volatile("rdfsbase %0" : "=r"(a)); break;
  case 1: __asm__ volatile("wrfsbase %0" :: "r"(value)); break;
  case 2: __asm__ volatile("rdgsbase %0" : "=r"(a)); break;
  case 3: __asm__ volatile("wrgsbase %0" :: "r"(value)); break;
  case 4: __asm__ volatile("xor %%ecx, %%ecx\n rdpkru" : "=a"(a) :: "rcx", "rdx"); break;
  case 5: __asm__ volatile("xor %%ecx, %%ecx\n xor %%edx, %%edx\n wrpkru" :: "a"(value & 0xfffffffc) : "rcx", "rdx"); break;
  case 6: __asm__ volatile("vmovq %%xmm16, %0" : "=r"(a)); break;
  case 7: __asm__ volatile("vmovq %0, %%xmm16" :: "r"(value)); break;
  case 8: __asm__ volatile("kmovq %%k3, %0" : "=r"(a)); break;
  case 9: __asm__ volatile("kmovq %0, %%k3" :: "r"(value)); break;
  case 10: __asm__ volatile("xor %%ecx, %%ecx\n xgetbv" : "=a"(a), "=d"(d) :: "rcx"); break;
  }
  return a;
}

static void fill(uint64_t pattern) {
  static const uint32_t parts[][2] = { { 0x18, 0x1000 }, { 0x4020, 0x8000 }, { 0x9000, 0xa000 }, { 0xb000, 0x1b000 } };
  for (int part = 0; part < 4; part++)
    for (uint64_t at = parts[part][0]; at < parts[part][1]; at += 8) *(volatile uint64_t *)(MAILBOX + at) = pattern;
}

/* Counts what is left of an earlier call: all of the mailbox but this request, the host's settings and the answer. */
static uint64_t scan(void) {
  uint64_t found = 0;
  for (uint64_t at = 0x30; at < 0x2b000; at += 8) {
    if (at >= 0x4000 && at < 0x4020) continue;
    if (at >= 0x8000 && at < 0x9000) continue;
    if (at >= 0xa000 && at < 0xb000) continue;
    if (*(volatile uint64_t *)(MAILBOX + at)) found++;
  }
  return found;
}

/* Answers and keeps changing the answer until somebody asks again. */
static void flip(uint64_t seed) {
  FROM_WORD = 1;
  if (TRANSPORT == 1) BELL = 1;
  while (!TO_WORD) {
    seed = seed * 6364136223846793005ul + 1442695040888963407ul;
    uint32_t some = (uint32_t)(seed >> 40);
    switch (seed >> 61) {
    case 0: FROM_POSTED = some; break;
    case 1: FROM_POSTED = 0; break;
    case 2: FROM_AUX = some; break;
    case 3: FROM_MEMORY = seed; break;
    case 4: FROM_MEMORY_LEN = some; break;
    case 5: FROM_VALUE(0) = seed; break;
    case 6: *(volatile uint32_t *)(MAILBOX + 0x9000) = some; break;
    case 7: *(volatile uint32_t *)(MAILBOX + 0xb000 + (some & 0xfff0)) = some; break;
    }
  }
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
  case RUN: run((const void *)(MAILBOX + 0x10)); return 1;
  case ODD_BELL: odd_bell(at); return 1;
  case ODD_ANSWER: odd_answer(at); return 1;
  case FILL: fill(at); return 1;
  case SCAN: return scan();
  case HOST_STATE: return host_state(at, more);
  case DIRTY: for (uint64_t i = 0; i < more; i++) *(volatile uint64_t *)(at + 4096 * i) += 1; return *(volatile uint64_t *)at;
  }
  return 0;
}

void __attribute__((section(".text.start"), noreturn, force_align_arg_pointer)) _start(void) {
  FROM_MEMORY = FROM_MEMORY_LEN = 0;
  uint32_t word = 1, taken = 0;
  for (;;) {
    if (!taken) exchange(word);
    taken = 0;
    uint32_t what = TO_INDEX;
    uint64_t at = TO_VALUE(0), more = TO_VALUE(1);
    word = 1;
    switch (what) {
    case ANSWER: FROM_AUX = (uint32_t)more; word = (uint32_t)at; break;
    case POST: FROM_POSTED = (uint32_t)at; break;
    case LIE_MEMORY: FROM_MEMORY = at; FROM_MEMORY_LEN = more; break;
    case FORGE_HOSTCALL: FROM_AUX = (uint32_t)at; word = 2; break;
    case FLIP: flip(at); word = 0; break;
    case POISON: fill_poison(at); taken = spoil(); break;
    case DUMP:
      for (int i = 192 + 512; i < 192 + 520; i++) frame[i] = 0; /* which parts were in use is no state */
      for (int i = 0; i < 128; i++) *(volatile uint64_t *)(MAILBOX + 0x4020 + 8 * i) = ((uint64_t *)frame)[i];
      break;
    default: FROM_VALUE(0) = act(what, at, more);
    }
  }
}
