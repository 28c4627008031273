/* A native guest that says which registers it finds when a call reaches it, and then changes all that it can. Two more
 * exports change them too, and do not return: one crashes, one goes on for ever. The bytes are in
 * hlfuzz/invariants/guests/register_probe.py:
 *
 *     gcc -c -o probe.o register_probe.S && objcopy -O binary -j .text probe.o probe.elf
 *
 * The file is its own first segment. Everything is at absolute addresses below 2 GiB, so that no register is needed to
 * store the others. It follows the protocol of docs/native-guests.md; while it waits it changes rax and flags only. */
    .set BASE, 0x200000
    .set DATA, 0x210000          /* what it found: general registers, flags, selectors; at 192 the XSAVE area */
    .set STACK, DATA + 0x1000
    .set MAILBOX, 0x100000000
    .set BELL, 0x200000000

    .text
    .set start, .
#define AT(label) (BASE + (label) - start)
/* ELF header: a static x86-64 program with three program headers. */
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0
    .quad 0
    .short 2, 62
    .long 1
    .quad AT(boot), 64, 0
    .long 0
    .short 64, 56, 3, 64, 0, 0
/* Type, flags, offset, address twice, size in the file and in memory, alignment. */
    .long 1, 5
    .quad 0, BASE, BASE, end - start, end - start, 4096
    .long 1, 6
    .quad 0, DATA, DATA, 0, 0x1000, 4096
    .long 4, 4
    .quad note - start, AT(note), AT(note), note_end - note, note_end - note, 4
note:
    .long 7, 40, 2
    .asciz "hlfuzz"
    .byte 0
    .long 1, 0
    .quad AT(exports), AT(exports_end), AT(exports_end), AT(exports_end)
note_end:
    .balign 8
exports:
    .quad AT(look), AT(type), AT(boot), 0
    .quad AT(crash), AT(type), AT(boot), 0
    .quad AT(hang), AT(type), AT(boot), 0
exports_end:
look:
    .asciz "look"
crash:
    .asciz "crash"
hang:
    .asciz "hang"
type:
    .asciz ":I"

    .balign 32
first:
    .fill 32, 1, 0xa5
changed:
    .fill 32, 1, 0x5a
mxcsr_first:
    .long 0x3f80
mxcsr_changed:
    .long 0xffbf
fcw_first:
    .short 0x27f
fcw_changed:
    .short 0xf7f

    .macro all_vectors from
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovups AT(\from), %ymm\n
    .endr
    .endm
    .macro selector name
    movl %ss, %eax
    movl %\name, %ecx
    testl %ecx, %ecx
    cmovnz %edx, %eax
    movl %eax, %\name
    .endm

boot:
    fninit
    fld1
    fldcw AT(fcw_first)
    ldmxcsr AT(mxcsr_first)
    all_vectors first
    movabs $MAILBOX, %r8
    movl $0, 0x4004(%r8)
    movl $0, 0x4008(%r8)
    movl $0, 0x400c(%r8)

answered:
    movl $1, %eax
    movabs %eax, MAILBOX + 0x4000
    movabs MAILBOX + 0x8000, %eax /* the transport */
    cmpl $1, %eax
    jne waiting
    movabs %eax, BELL
/* The snapshot is taken, and every reset leads, somewhere in this loop; with the doorbell to its beginning. */
waiting:
    pause
    movabs MAILBOX, %eax
    testl %eax, %eax
    jz waiting
    .set slot, 0
    .irp r, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15
    movq %\r, DATA + slot
    .set slot, slot + 8
    .endr
    movl $STACK, %esp
    pushfq
    popq DATA + 128
    movw %cs, DATA + 136
    movw %ss, DATA + 138
    movw %ds, DATA + 140
    movw %es, DATA + 142
    movw %fs, DATA + 144
    movw %gs, DATA + 146
    movl $7, %eax
    xorl %edx, %edx
    xsave64 DATA + 192

    movabs $MAILBOX, %r8
    movl (%r8), %ebx
    movl 4(%r8), %esi            /* which export */
    movl $0, (%r8)
    movq $DATA, 0x4020(%r8)
    movq $0, 0x4028(%r8)
    xorl %eax, %eax
    cmpl $1, %ebx                /* CALL: its one value; any other request: none */
    sete %al
    movl %eax, 0x4008(%r8)
    movl $0, 0x4004(%r8)
    movl $0, 0x400c(%r8)
    movl %esi, DATA + 1024
    fninit
    .rept 8
    fldpi
    .endr
    fldcw AT(fcw_changed)
    ldmxcsr AT(mxcsr_changed)
    all_vectors changed
    xorl %edx, %edx              /* a selector that is 0 becomes that of SS, any other 0 */
    selector ds
    selector es
    selector fs
    selector gs
    pushq $0x240cd7              /* arithmetic flags, DF, AC, ID */
    popfq
    .irp r, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15
    movabs $0x5a5a5a5a5a58, %\r
    .endr
    cmpl $1, DATA + 1024
    je 2f
    ja 3f
    jmp answered
2:
    ud2
3:
    jmp 3b
    .balign 16
end:
