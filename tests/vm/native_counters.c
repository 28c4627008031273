/* A native guest that keeps state where only a complete reset finds it: in registers. It never leaves its own loop, which
 * adds one to each of them in every call. The answer has a byte for each: what it was before. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

static uint64_t count(void) { return 0; } /* what the table names; the loop below answers in its place */
HLG_EXPORT(uint64_t, count);

void hl_guest_init(void) {
    __asm__ volatile(
        "movq $0x100000000, %r8\n\t" /* the mailbox */
        "movq $0x200000000, %r9\n\t" /* the doorbell */
        "xorl %ebx, %ebx\n\txorl %r12d, %r12d\n\txorl %r15d, %r15d\n\t"
        "vxorps %ymm14, %ymm14, %ymm14\n\tvxorps %ymm15, %ymm15, %ymm15\n\t"
        "fninit\n\tfldz\n\t"
        "subq $32, %rsp\n\tmovl $0x1f80, (%rsp)\n\tldmxcsr (%rsp)\n\t"
        "movl $0, 0x4004(%r8)\n\tmovl $0, 0x4008(%r8)\n\t"
        "1:\n\t"
        "movl $1, 0x4000(%r8)\n\t"
        "cmpl $1, 0x8000(%r8)\n\tjne 2f\n\tmovl $1, (%r9)\n\t"
        "2:\n\tmovl (%r8), %eax\n\ttestl %eax, %eax\n\tjz 2b\n\tmovl $0, (%r8)\n\t"
        /* The answer, a byte each: rbx, r15, xmm15, ymm14's upper half, x87's st(0), MXCSR's rounding, the flag ID, es. */
        "movzbl %bl, %eax\n\t"
        "movzbl %r15b, %ecx\n\tshlq $8, %rcx\n\torq %rcx, %rax\n\t"
        "vmovq %xmm15, %rcx\n\tmovzbl %cl, %ecx\n\tshlq $16, %rcx\n\torq %rcx, %rax\n\t"
        "vextractf128 $1, %ymm14, %xmm13\n\tvmovq %xmm13, %rdx\n\tmovzbl %dl, %ecx\n\tshlq $24, %rcx\n\torq %rcx, %rax\n\t"
        "fld %st(0)\n\tfistpl (%rsp)\n\tmovzbl (%rsp), %ecx\n\tshlq $32, %rcx\n\torq %rcx, %rax\n\t"
        "stmxcsr (%rsp)\n\tmovl (%rsp), %ecx\n\tshrl $13, %ecx\n\tandl $3, %ecx\n\tshlq $40, %rcx\n\torq %rcx, %rax\n\t"
        "pushfq\n\tpopq %rcx\n\tshrl $21, %ecx\n\tandl $1, %ecx\n\tshlq $48, %rcx\n\torq %rcx, %rax\n\t"
        "movl %es, %ecx\n\tmovzbl %cl, %ecx\n\tshlq $56, %rcx\n\torq %rcx, %rax\n\t"
        /* One more in each. */
        "incl %ebx\n\tincl %r15d\n\t"
        "vmovq %xmm15, %rcx\n\tincq %rcx\n\tvmovq %rcx, %xmm15\n\t"
        "incq %rdx\n\tvmovq %rdx, %xmm13\n\tvinsertf128 $1, %xmm13, %ymm14, %ymm14\n\t"
        "fld1\n\tfaddp\n\t"
        "stmxcsr (%rsp)\n\tmovl (%rsp), %ecx\n\taddl $0x2000, %ecx\n\tandl $0x7fff, %ecx\n\tmovl %ecx, (%rsp)\n\t"
        "ldmxcsr (%rsp)\n\t"
        "pushfq\n\txorq $0x200000, (%rsp)\n\tpopfq\n\t"
        "movl %es, %ecx\n\ttestl %ecx, %ecx\n\tmovl $0, %ecx\n\tjnz 3f\n\tmovl %ss, %ecx\n\t3:\n\tmovl %ecx, %es\n\t"
        "movq %rax, 0x4020(%r8)\n\tmovq $0, 0x4028(%r8)\n\tmovl $1, 0x4008(%r8)\n\t"
        "jmp 1b");
}
