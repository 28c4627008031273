/* hlfuzz: micro-VM sandboxes for untrusted guest code. Made from crates/capi by cbindgen: change it there. */

#ifndef HLFUZZ_H
#define HLFUZZ_H

#include <stddef.h>
#include <stdint.h>

/**
 * Version of this interface. A library with the same number can be used with this header.
 */
#define HL_ABI_VERSION 1

/**
 * The call has ended; its results are in `hl_results`.
 */
#define HL_DONE 1

/**
 * The guest called an import: look at `hl_hostcall`, then `hl_resume` or `hl_fail`. Nested calls into the guest are
 * allowed meanwhile.
 */
#define HL_HOSTCALL 2

/**
 * The call ended in a trap, see `hl_trap`. A reset makes the sandbox usable again.
 */
#define HL_TRAP 3

/**
 * The call was ended at its deadline; the sandbox is at its snapshot already.
 */
#define HL_TIMEOUT 4

/**
 * The sandbox cannot go on (`hl_message` says why); close it. Also every use in a forked child.
 */
#define HL_DEAD 5

/**
 * Not possible while a call runs or waits, or without one; nothing was done.
 */
#define HL_BUSY 6

/**
 * Only with `slice_us`: the call still runs; `hl_wait` or `hl_kill`.
 */
#define HL_RUNNING 7

/**
 * Wrong arguments (`hl_message` says which); nothing was done.
 */
#define HL_INVALID 8

/**
 * `hl_error.code`: an argument is wrong; the message says which and what it may be.
 */
#define HL_E_ARGUMENT 1

/**
 * The bytes are no Wasm module.
 */
#define HL_E_NOT_WASM 2

/**
 * The bytes are a Wasm component; only core modules run here.
 */
#define HL_E_COMPONENT 3

/**
 * The module breaks a rule of Wasm; the message says where.
 */
#define HL_E_INVALID_MODULE 4

/**
 * The module uses a Wasm feature that the runtime lacks; the message names it.
 */
#define HL_E_UNSUPPORTED 5

/**
 * The module is larger than `max_bytes`, or than the VM can hold.
 */
#define HL_E_TOO_LARGE 6

/**
 * The module needs more memory or table elements than the limit.
 */
#define HL_E_LIMIT 7

/**
 * This machine has no usable /dev/kvm.
 */
#define HL_E_NO_KVM 8

/**
 * /dev/kvm is there and this user may not open it.
 */
#define HL_E_PERMISSION 9

/**
 * A KVM operation failed; the message names it.
 */
#define HL_E_KVM 10

/**
 * The system has no memory, threads or timers left for it.
 */
#define HL_E_OUT_OF_MEMORY 11

/**
 * The process or the system has no file descriptors left for it.
 */
#define HL_E_OUT_OF_FDS 12

/**
 * The compiled artifact or the runtime is damaged.
 */
#define HL_E_ARTIFACT 13

/**
 * The module's start function or `_initialize` trapped.
 */
#define HL_E_START_TRAPPED 14

/**
 * The module's start function or `_initialize` did not end within its deadline.
 */
#define HL_E_START_TIMEOUT 15

/**
 * The start function calls an import: use `hl_boot_new`.
 */
#define HL_E_START_HOSTCALL 16

/**
 * A file cannot be read or written.
 */
#define HL_E_IO 17

/**
 * The spin transport was asked for and no second CPU is free.
 */
#define HL_E_CPU 18

/**
 * The object belongs to the parent process.
 */
#define HL_E_FORKED 19

/**
 * A defect of this library, or a signal storm; please report it.
 */
#define HL_E_INTERNAL 20

/**
 * The bytes are no native guest: not an ELF program of the right kind, or one that asks for what it cannot have.
 */
#define HL_E_NOT_NATIVE 21

/**
 * `hl_snapshot_load`: not a file that `hl_snapshot_save` wrote.
 */
#define HL_E_NOT_SNAPSHOT 30

/**
 * The snapshot file is of another version of the format or of hlfuzz.
 */
#define HL_E_SNAPSHOT_VERSION 31

/**
 * The file ends before what it announces.
 */
#define HL_E_SNAPSHOT_TRUNCATED 32

/**
 * The content of the file is not what was written.
 */
#define HL_E_SNAPSHOT_DAMAGED 33

/**
 * The snapshot file is of another guest, or of this one under other limits or imported globals.
 */
#define HL_E_SNAPSHOT_GUEST 34

/**
 * The snapshot file needs another CPU.
 */
#define HL_E_SNAPSHOT_CPU 35

/**
 * The snapshot file holds more than the guest can have.
 */
#define HL_E_SNAPSHOT_TOO_LARGE 36

/**
 * The snapshot file cannot be read or written.
 */
#define HL_E_SNAPSHOT_IO 37

/**
 * Spin for `HL_RESET_MEMORY` where two CPUs are free, else exit.
 */
#define HL_TRANSPORT_AUTO 0

/**
 * The vCPU has a thread and a CPU of its own and never leaves guest code.
 */
#define HL_TRANSPORT_SPIN 1

/**
 * The caller's thread runs the vCPU; no thread is made.
 */
#define HL_TRANSPORT_EXIT 2

/**
 * Memory and every register that a guest can change.
 */
#define HL_RESET_STRICT 0

/**
 * Memory only: sound while the runtime inside the VM is intact.
 */
#define HL_RESET_MEMORY 1

/**
 * The dirty ring where KVM has it, else the dirty log.
 */
#define HL_TRACK_AUTO 0

/**
 * KVM's dirty ring.
 */
#define HL_TRACK_RING 1

/**
 * KVM's dirty log: a system call a reset.
 */
#define HL_TRACK_LOG 2

/**
 * Flag of `hl_snapshot_save`: compress with zstd.
 */
#define HL_SAVE_COMPRESSED 1

/**
 * Flag of `hl_call`: when the call ends, reset before returning. Results, posted calls and the trap's description
 * were copied before.
 */
#define HL_CALL_RESET 1

/**
 * A Wasm trap.
 */
#define HL_TRAP_WASM 1

/**
 * The host function failed (`hl_fail`).
 */
#define HL_TRAP_HOST 2

/**
 * A CPU exception that no Wasm code can cause; the sandbox was restored.
 */
#define HL_TRAP_EXCEPTION 3

/**
 * The runtime inside the VM gave up; the sandbox was restored.
 */
#define HL_TRAP_RUNTIME 4

/**
 * The guest side broke the protocol; the sandbox was restored.
 */
#define HL_TRAP_ABI 5

/**
 * `hl_call_bytes`: the allocator or the results name bytes outside memory.
 */
#define HL_TRAP_VECTOR 6

/**
 * The call wanted more than its limits allow; the sandbox was restored, with every open call ended.
 */
#define HL_TRAP_LIMIT 7

/**
 * Which limit, in `hl_trap_info.code` of a HL_TRAP_LIMIT: `hostcall_limit`.
 */
#define HL_LIMIT_HOSTCALLS 1

/**
 * `output_limit`.
 */
#define HL_LIMIT_OUTPUT 2

/**
 * Flag of `hl_template_options`: growing a memory or table beyond its limit traps (codes 1002 and 1003), and does not
 * return -1 to the guest.
 */
#define HL_TEMPLATE_GROW_TRAPS 1

/**
 * The results of a byte-vector call do not stand for bytes.
 */
#define HL_BYTES_NONE 0

/**
 * Two results: pointer and length.
 */
#define HL_BYTES_PAIR 1

/**
 * One i64 result: pointer << 32 | length.
 */
#define HL_BYTES_PACKED 2

/**
 * One result: the length of what replaced the argument.
 */
#define HL_BYTES_INPLACE 3

/**
 * `hl_bytes_call`: there is no allocator, the bytes go to a fixed address.
 */
#define HL_NO_ALLOCATOR UINT32_MAX

/**
 * The default memory: the export "memory", else the first exported one.
 */
#define HL_DEFAULT_MEMORY UINT32_MAX

/**
 * Regions of `hl_ram_hash`: all of guest RAM.
 */
#define HL_REGION_ALL 0

/**
 * Page tables, descriptor tables, exception stubs, boot record.
 */
#define HL_REGION_SYSTEM 1

/**
 * Text of the runtime and of the compiled module.
 */
#define HL_REGION_TEXT 2

/**
 * `hl_ram_find`: the mailbox, which is no part of guest RAM.
 */
#define HL_REGION_MAILBOX 3

/**
 * All that the guest may not write; only for `hl_differences`.
 */
#define HL_REGION_READ_ONLY 4

/**
 * The snapshot itself, which all sandboxes of a template share; only for `hl_ram_hash`.
 */
#define HL_REGION_SNAPSHOT 5

/**
 * `hl_difference.memory`: it lies in no linear memory.
 */
#define HL_NO_MEMORY UINT32_MAX

/**
 * Bits of `hl_test_fault`: the reset leaves one dirty page alone.
 */
#define HL_FAULT_SKIP_PAGE 1

/**
 * The reset forgets registers.
 */
#define HL_FAULT_FORGET_REGISTERS 2

/**
 * The reset forgets pages that the snapshot has no data for.
 */
#define HL_FAULT_FORGET_NEW_PAGES 4

/**
 * The reset does nothing.
 */
#define HL_FAULT_NO_RESET 8

/**
 * A strict reset leaves the mailbox alone.
 */
#define HL_FAULT_FORGET_MAILBOX 16

/**
 * A strict reset leaves x87, SSE and AVX state alone.
 */
#define HL_FAULT_FORGET_VECTORS 32

/**
 * A strict reset leaves MXCSR alone.
 */
#define HL_FAULT_FORGET_MXCSR 64

/**
 * After a reset the host goes on saying how large the default memory was.
 */
#define HL_FAULT_FORGET_SIZE 128

/**
 * The first page of memory, of a native guest the last of its heap, is one with every other sandbox of this process that
 * has this fault.
 */
#define HL_FAULT_SHARE_PAGE 256

/**
 * Each reset changes a byte of code.
 */
#define HL_FAULT_SPOIL_TEXT 512

/**
 * Each reset changes a bit in a page table.
 */
#define HL_FAULT_SPOIL_TABLES 1024

/**
 * Each reset changes a byte of the snapshot, which other sandboxes have too.
 */
#define HL_FAULT_SPOIL_SNAPSHOT 2048

/**
 * Data selectors that the guest loads stay in the thread that runs it, until the sandbox is closed.
 */
#define HL_FAULT_KEEP_SELECTORS 4096

/**
 * A reset leaves alone what the host wrote to guest memory.
 */
#define HL_FAULT_FORGET_HOST_WRITES 8192

/**
 * What restores a sandbox after a crash or a deadline leaves x87, SSE and AVX state alone.
 */
#define HL_FAULT_FORGET_VECTORS_AFTER_CRASH 16384

/**
 * The vCPU thread of the spin transport takes an interruption that it was not told of for the end of the guest.
 */
#define HL_FAULT_INTERRUPTION_ENDS 32768

/**
 * A byte-vector call reads the length of its result once to check it and once more to use it.
 */
#define HL_FAULT_READ_TWICE (1 << 16)

/**
 * A byte-vector call takes bytes from anywhere in guest RAM.
 */
#define HL_FAULT_NO_BOUNDS (1 << 17)

/**
 * `hl_test_change.what`: the guest's answer: import of a host call, code of a trap, or address of a vector.
 */
#define HL_SHARED_AUX 1

/**
 * The guest's answer: how many values.
 */
#define HL_SHARED_COUNT 2

/**
 * The guest's answer: bytes of posted host calls.
 */
#define HL_SHARED_POSTED 3

/**
 * The guest's answer: where its default memory lies in RAM.
 */
#define HL_SHARED_MEMORY 4

/**
 * The guest's answer: how long its default memory is.
 */
#define HL_SHARED_MEMORY_LEN 5

/**
 * The guest's answer: results, or arguments of a host call, 16 bytes each.
 */
#define HL_SHARED_VALUES 6

/**
 * The length of the text of a failure.
 */
#define HL_SHARED_TEXT_LEN 7

/**
 * The text of a failure.
 */
#define HL_SHARED_TEXT 8

/**
 * Posted host calls.
 */
#define HL_SHARED_QUEUE 9

/**
 * What the host has asked of a byte vector.
 */
#define HL_SHARED_VECTOR_HEAD 10

/**
 * The default memory, by the guest's own addresses.
 */
#define HL_SHARED_GUEST 11

/**
 * `hl_test_change.at_read`: a second thread makes the change, on and on.
 */
#define HL_ALWAYS UINT64_MAX

/**
 * Bits of `hl_test_inject`: KVM operations that make, describe or change a VM.
 */
#define HL_POINT_KVM 1

/**
 * Running the vCPU.
 */
#define HL_POINT_RUN 2

/**
 * Mapping memory, and the memory file of a snapshot.
 */
#define HL_POINT_MEMORY 4

/**
 * The deadline's timer.
 */
#define HL_POINT_TIMER 8

/**
 * Writing a snapshot file.
 */
#define HL_POINT_FILE 16

/**
 * `hl_test_inject`, in the place of an errno: a kick.
 */
#define HL_KICK -1

/**
 * What `hl_measure_floor` measures: reading the clock.
 */
#define HL_FLOOR_CLOCK 1

/**
 * An empty request through the mailbox, in the sandbox's transport: the bare exchange, or the doorbell exit.
 */
#define HL_FLOOR_EXCHANGE 2

/**
 * Creating a VM with a vCPU over the guest's memory, and closing it.
 */
#define HL_FLOOR_VM_CREATE 3

/**
 * Copying one page that is in the cache.
 */
#define HL_FLOOR_PAGE_COPY 4

/**
 * Rules of `hl_verifier_check`: the buffer is shorter than any is.
 */
#define HL_RULE_TOO_SHORT 1

/**
 * The buffer is longer than the limit.
 */
#define HL_RULE_TOO_LONG 2

/**
 * A value does not lie at a multiple of its size.
 */
#define HL_RULE_ALIGNMENT 3

/**
 * An offset or a length leads outside the buffer.
 */
#define HL_RULE_BOUNDS 4

/**
 * A table's vtable is not whole, or its size is wrong.
 */
#define HL_RULE_VTABLE 5

/**
 * A field lies outside its table.
 */
#define HL_RULE_FIELD_BOUNDS 6

/**
 * A required field is absent.
 */
#define HL_RULE_REQUIRED 7

/**
 * A string has no NUL behind it.
 */
#define HL_RULE_STRING_TERMINATOR 8

/**
 * A string is no UTF-8.
 */
#define HL_RULE_UTF8 9

/**
 * A union's tag is unknown, or tag and value do not go together.
 */
#define HL_RULE_UNION 10

/**
 * Tables nest deeper than the limit.
 */
#define HL_RULE_DEPTH 11

/**
 * More tables, or more bytes by way of shared parts, than a buffer may have.
 */
#define HL_RULE_TABLES 12

/**
 * The file identifier is not the schema's.
 */
#define HL_RULE_IDENTIFIER 13

/**
 * A nested buffer is shorter than any is.
 */
#define HL_RULE_NESTED 14

/**
 * A number is no value of its enum.
 */
#define HL_RULE_ENUM 15

/**
 * `hl_frame`: the frame is native code.
 */
#define HL_NATIVE UINT32_MAX

/**
 * The state of a guest at one moment; immutable, any thread.
 */
typedef struct hl_core hl_core;

/**
 * What one event loop waits on for all of its sandboxes.
 */
typedef struct hl_dispatcher hl_dispatcher;

/**
 * A validated and compiled Wasm module, or a checked native guest; immutable.
 */
typedef struct hl_module hl_module;

/**
 * One micro-VM with one guest. One thread at a time.
 */
typedef struct hl_sandbox hl_sandbox;

/**
 * Symbols, source lines and unwind tables of one module; immutable, any thread.
 */
typedef struct hl_symbols hl_symbols;

/**
 * A booted module, frozen; immutable.
 */
typedef struct hl_template hl_template;

/**
 * The rules of one schema, ready for use by any number of threads; immutable.
 */
typedef struct hl_verifier hl_verifier;

/**
 * The thread of one sandbox.
 */
typedef struct hl_worker hl_worker;

/**
 * Where a function leaves the reason of a failure. Set `size` to `sizeof(hl_error)` before the call.
 */
typedef struct hl_error {
  /**
   * `sizeof(hl_error)`, set by the caller.
   */
  uint32_t size;
  /**
   * One of `HL_E_*`; 0 before any failure.
   */
  uint32_t code;
  /**
   * NUL-terminated UTF-8, cut at a character when too long.
   */
  char message[2040];
} hl_error;

/**
 * General registers and segments of an x86-64 CPU.
 */
typedef struct hl_registers {
  /**
   * `sizeof(hl_registers)`, set by the caller.
   */
  uint32_t size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15, rip, rflags, cs, ss, ds, es, fs, gs, fs_base, gs_base.
   */
  uint64_t values[26];
} hl_registers;

/**
 * Bytes that differ from the snapshot. Differing bytes with fewer than 8 equal ones between them are one range.
 */
typedef struct hl_difference {
  /**
   * Guest address of the first byte.
   */
  uint64_t address;
  /**
   * Number of bytes.
   */
  uint64_t length;
  /**
   * In a linear memory: the offset of the first byte.
   */
  uint64_t offset;
  /**
   * The linear memory it lies in, by its position among those that the module defines; HL_NO_MEMORY: none.
   */
  uint32_t memory;
  /**
   * Bytes in `before` and in `after`.
   */
  uint32_t shown;
  /**
   * The first bytes in the snapshot.
   */
  uint8_t before[32];
  /**
   * The same bytes now.
   */
  uint8_t after[32];
  /**
   * Which part of the memory map it begins in: NUL-terminated.
   */
  char part[32];
} hl_difference;

/**
 * One register of a vCPU.
 */
typedef struct hl_register {
  /**
   * As assemblers call it, or its MSR's short name: NUL-terminated. A segment is selector, base, limit and attributes;
   * "events" is what is pending.
   */
  char name[20];
  /**
   * Bytes in `value`.
   */
  uint32_t length;
  /**
   * Little endian.
   */
  uint8_t value[32];
} hl_register;

/**
 * One Wasm value: the member that the declared type names is valid, the other bytes are zero on input and undefined
 * on output.
 */
typedef union hl_value {
  /**
   * Type i32.
   */
  int32_t i32;
  /**
   * Type i64.
   */
  int64_t i64;
  /**
   * Type i32, read without its sign.
   */
  uint32_t u32;
  /**
   * Type i64, read without its sign.
   */
  uint64_t u64;
  /**
   * Type f32.
   */
  float f32;
  /**
   * Type f64.
   */
  double f64;
  /**
   * Type v128, in the order in which it lies in memory.
   */
  uint8_t v128[16];
  /**
   * Both halves, low first. Gives the union its alignment.
   */
  uint64_t raw[2];
} hl_value;

/**
 * What `hl_call_bytes` calls, and how: made once for an export, and used for many calls.
 */
typedef struct hl_bytes_call {
  /**
   * `sizeof(hl_bytes_call)`, set by the caller.
   */
  uint32_t size;
  /**
   * Position of the function in the export list.
   */
  uint32_t func;
  /**
   * Number of `args`: that of the function's parameters.
   */
  uint32_t n_args;
  /**
   * The arguments at this position and the next become pointer and length of the bytes.
   */
  uint32_t vector_at;
  /**
   * One of `HL_BYTES_*`: how the results stand for bytes.
   */
  uint32_t form;
  /**
   * Position of the allocator in the export list: it gets `alloc_args`, of which the one at `alloc_len_at` becomes
   * the length, and returns the address. HL_NO_ALLOCATOR: the bytes go to `scratch`.
   */
  uint32_t alloc_func;
  /**
   * Number of `alloc_args`, at most 8.
   */
  uint32_t n_alloc_args;
  /**
   * Which of `alloc_args` becomes the length.
   */
  uint32_t alloc_len_at;
  /**
   * The function's arguments.
   */
  const union hl_value *args;
  /**
   * The allocator's arguments.
   */
  const union hl_value *alloc_args;
  /**
   * Address of the bytes without an allocator.
   */
  uint64_t scratch;
  /**
   * Where the bytes that the call gives back are copied when they fit, beside `hl_result_bytes`; may be NULL.
   */
  uint8_t *out;
  /**
   * Room at `out`, in bytes.
   */
  uint64_t out_capacity;
  /**
   * Set by each HL_DONE: the number of bytes, also when they did not fit.
   */
  uint64_t out_len;
} hl_bytes_call;

/**
 * One active call of a guest.
 */
typedef struct hl_frame {
  /**
   * Wasm: the function's index in the module. Native: HL_NATIVE.
   */
  uint32_t function;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Wasm: offset of the instruction in the module file, or UINT64_MAX. Native: its address. For a caller, that of the
   * call.
   */
  uint64_t offset;
} hl_frame;

/**
 * What is at a frame's instruction.
 */
typedef struct hl_site {
  /**
   * `sizeof(hl_site)`, set by the caller.
   */
  uint32_t size;
  /**
   * Line in the source file, from 1; 0: not known.
   */
  uint32_t line;
  /**
   * Where the function begins: as `hl_frame.offset`; 0: not known.
   */
  uint64_t start;
  /**
   * The function as the compiler called it: NUL-terminated UTF-8, cut at a character when too long; empty: not known.
   */
  char name[1024];
  /**
   * The source file, in the same way.
   */
  char file[1024];
} hl_site;

/**
 * A change of memory that host and guest share. Set `size` to `sizeof(hl_test_change)`.
 */
typedef struct hl_test_change {
  /**
   * `sizeof(hl_test_change)`.
   */
  uint32_t size;
  /**
   * One of HL_SHARED_*.
   */
  uint32_t what;
  /**
   * Bytes from the start of that.
   */
  uint64_t offset;
  /**
   * Bytes that are written, 1, 4 or 8; aligned.
   */
  uint32_t width;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * What is written; with HL_ALWAYS in turn with `second`.
   */
  uint64_t first;
  /**
   * See `first`.
   */
  uint64_t second;
  /**
   * Before which read of shared memory, counted from 0 at this call, it is written once; or HL_ALWAYS.
   */
  uint64_t at_read;
} hl_test_change;

/**
 * What this machine's KVM can do.
 */
typedef struct hl_probe_info {
  /**
   * `sizeof(hl_probe_info)`, set by the caller.
   */
  uint32_t size;
  /**
   * 1: sandboxes can be made here.
   */
  uint32_t kvm_ok;
  /**
   * KVM's API version; 12.
   */
  uint32_t api_version;
  /**
   * Entries of the largest dirty ring; 0: none.
   */
  uint32_t dirty_ring;
  /**
   * 1: registers travel with KVM_RUN (KVM_CAP_SYNC_REGS).
   */
  uint32_t sync_regs;
  /**
   * 1: FPU and vector state can be set (KVM_CAP_XSAVE).
   */
  uint32_t xsave;
  /**
   * 1: the dirty log can be cleared by page (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2).
   */
  uint32_t manual_protect;
  /**
   * CPUs that this process may use.
   */
  uint32_t cpus;
  /**
   * One of `HL_E_*` when `kvm_ok` is 0.
   */
  uint32_t error_code;
  /**
   * Why, and what to do; NUL-terminated UTF-8.
   */
  char message[1020];
} hl_probe_info;

/**
 * How to load a module.
 */
typedef struct hl_module_options {
  /**
   * `sizeof(hl_module_options)`, set by the caller.
   */
  uint32_t size;
  /**
   * Must be 0.
   */
  uint32_t flags;
  /**
   * Folder of compiled artifacts, made if it is missing; NULL: compile every time.
   */
  const char *cache_dir;
  /**
   * Largest module that is accepted, in bytes; 0: 64 MiB.
   */
  uint64_t max_bytes;
} hl_module_options;

/**
 * How a sandbox runs. A 0 means the default.
 */
typedef struct hl_sandbox_options {
  /**
   * `sizeof(hl_sandbox_options)`, set by the caller.
   */
  uint32_t size;
  /**
   * One of `HL_TRANSPORT_*`.
   */
  uint32_t transport;
  /**
   * One of `HL_RESET_*`.
   */
  uint32_t reset;
  /**
   * CPU of the vCPU thread (spin); -1: choose.
   */
  int32_t cpu;
  /**
   * CPU time that a call may take in microseconds, of the thread that runs the vCPU; host functions are not counted.
   * Default 1 s.
   */
  uint64_t cpu_us;
  /**
   * Wall time that a call may take, host functions not counted; default 10 s, or ten times `cpu_us`.
   */
  uint64_t wall_us;
  /**
   * A call returns `HL_RUNNING` after so many microseconds, so that the caller can look at other things; 0: never.
   */
  uint64_t slice_us;
  /**
   * Spin: the vCPU thread sleeps after so many microseconds without a call; default 20 ms.
   */
  uint64_t idle_us;
  /**
   * Compare all guest memory with the snapshot after every so many resets; 0: never.
   */
  uint32_t verify_every;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Host calls of one call, nested and posted ones included; 0: no limit.
   */
  uint64_t hostcall_limit;
  /**
   * Bytes that a call of `hl_call_bytes` gives back; 0: no limit.
   */
  uint64_t output_limit;
} hl_sandbox_options;

/**
 * A host call that waits for its answer, or one that was posted. Pointers are valid until the next call.
 */
typedef struct hl_hostcall_info {
  /**
   * Position in the module's import list.
   */
  uint32_t import;
  /**
   * Number of arguments.
   */
  uint32_t n_args;
  /**
   * The arguments.
   */
  const union hl_value *args;
} hl_hostcall_info;

/**
 * Why a call ended with `HL_TRAP`.
 */
typedef struct hl_trap_info {
  /**
   * `sizeof(hl_trap_info)`, set by the caller.
   */
  uint32_t size;
  /**
   * One of `HL_TRAP_*`.
   */
  uint32_t kind;
  /**
   * Wasm trap: wasmtime's code (0 stack overflow, 1 out-of-bounds memory access, ...), 1000 uncaught exception,
   * 1001 other, 1002 memory limit, 1003 table limit. CPU exception: its vector. Limit: one of `HL_LIMIT_*`.
   */
  uint32_t code;
  /**
   * CPU exception: 1 when it is a page fault in the guard below the stack.
   */
  uint32_t stack_overflow;
  /**
   * CPU exception: error code.
   */
  uint64_t error_code;
  /**
   * Page fault: the address that was touched.
   */
  uint64_t address;
  /**
   * CPU exception: address of the instruction.
   */
  uint64_t rip;
  /**
   * CPU exception: the stack pointer.
   */
  uint64_t rsp;
  /**
   * What happened, in UTF-8, not NUL-terminated; valid until the next call.
   */
  const char *message;
  /**
   * Its length in bytes.
   */
  size_t message_len;
} hl_trap_info;

/**
 * Counters of one sandbox.
 */
typedef struct hl_stats {
  /**
   * `sizeof(hl_stats)`, set by the caller.
   */
  uint32_t size;
  /**
   * The transport in use, one of `HL_TRANSPORT_*`, never AUTO.
   */
  uint32_t transport;
  /**
   * The tracking in use, one of `HL_TRACK_*`, never AUTO.
   */
  uint32_t tracking;
  /**
   * The reset level, one of `HL_RESET_*`.
   */
  uint32_t reset;
  /**
   * Calls from outside.
   */
  uint64_t calls;
  /**
   * Calls of host functions that waited for an answer.
   */
  uint64_t hostcalls;
  /**
   * Calls of host functions that were posted.
   */
  uint64_t posted;
  /**
   * Calls that ended with HL_TRAP.
   */
  uint64_t traps;
  /**
   * Calls that ended with HL_TIMEOUT.
   */
  uint64_t timeouts;
  /**
   * Resets.
   */
  uint64_t resets;
  /**
   * Pages copied by all resets.
   */
  uint64_t pages_restored;
  /**
   * Pages copied by the last reset.
   */
  uint64_t last_pages;
  /**
   * Pages that the next reset would copy without being asked.
   */
  uint64_t hot_pages;
  /**
   * Times that idle pages were taken out of the hot set.
   */
  uint64_t evictions;
  /**
   * Comparisons of all memory with the snapshot.
   */
  uint64_t verifies;
  /**
   * Those that found a difference.
   */
  uint64_t verify_failures;
  /**
   * Times that the vCPU thread went to sleep (spin).
   */
  uint64_t parks;
  /**
   * Waits that outlasted the busy look (spin).
   */
  uint64_t slow_waits;
  /**
   * Waits that outlasted the CPU deadline in wall time without being the guest's fault: another program has used the
   * vCPU's CPU.
   */
  uint64_t late_waits;
  /**
   * The longest wait, in nanoseconds.
   */
  uint64_t max_wait_ns;
  /**
   * Times that the dirty ring was full.
   */
  uint64_t ring_full;
  /**
   * Times that a call was ended from outside.
   */
  uint64_t kicks;
  /**
   * Size of guest RAM; most of it is never touched.
   */
  uint64_t memory_bytes;
  /**
   * CPU of the vCPU thread; -1 without one.
   */
  int32_t vcpu_cpu;
  /**
   * 0.
   */
  uint32_t reserved;
} hl_stats;

/**
 * What is known of a template, whether it came from a boot, from a running sandbox or from a file.
 */
typedef struct hl_snapshot_info {
  /**
   * Set to `sizeof(hl_snapshot_info)` before the call.
   */
  uint32_t size;
  /**
   * Number of values at `import_values`.
   */
  uint32_t n_import_values;
  /**
   * Values of the imported globals that the state began with, in order; valid as long as the template.
   */
  const union hl_value *import_values;
  /**
   * Bytes of guest RAM.
   */
  uint64_t memory_bytes;
  /**
   * Those of them that hold data.
   */
  uint64_t data_bytes;
} hl_snapshot_info;

/**
 * What a template's guests may use. A 0 means the default.
 */
typedef struct hl_template_options {
  /**
   * `sizeof(hl_template_options)`, set by the caller.
   */
  uint32_t size;
  /**
   * One of `HL_TRACK_*`.
   */
  uint32_t tracking;
  /**
   * Bytes of one linear memory at most; default 64 MiB, or the initial size if that is larger.
   */
  uint64_t memory_limit;
  /**
   * Elements of one table at most; default 262144.
   */
  uint64_t table_limit;
  /**
   * Wasm stack in bytes; default 512 KiB.
   */
  uint64_t stack_bytes;
  /**
   * CPU time that instantiation and start function may take, in microseconds; default 5 s.
   */
  uint64_t start_cpu_us;
  /**
   * Wall time for the same; default 30 s.
   */
  uint64_t start_wall_us;
  /**
   * `hl_boot_run` returns `HL_RUNNING` after so many microseconds; 0: never.
   */
  uint64_t slice_us;
  /**
   * Value of each imported global, in order; missing ones are zero.
   */
  const union hl_value *import_values;
  /**
   * Number of them.
   */
  uint32_t n_import_values;
  /**
   * Bits `HL_TEMPLATE_*`.
   */
  uint32_t flags;
} hl_template_options;

/**
 * What a verifier accepts. A 0 means the default.
 */
typedef struct hl_verifier_options {
  /**
   * `sizeof(hl_verifier_options)`, set by the caller.
   */
  uint32_t size;
  /**
   * Tables inside each other at most; default and maximum 64.
   */
  uint32_t max_depth;
  /**
   * Tables in a buffer at most, each counted as often as it is referred to; default 1 000 000.
   */
  uint64_t max_tables;
  /**
   * Bytes of a buffer at most; default and maximum 2 GiB - 2.
   */
  uint64_t max_bytes;
} hl_verifier_options;

/**
 * The first rule that a buffer breaks. Set `size` to `sizeof(hl_wire_fault)` before the call.
 */
typedef struct hl_wire_fault {
  /**
   * `sizeof(hl_wire_fault)`, set by the caller.
   */
  uint32_t size;
  /**
   * One of `HL_RULE_*`; 0: none.
   */
  int32_t rule;
  /**
   * Where, in bytes from the start of the buffer.
   */
  uint64_t offset;
  /**
   * The field, "headers[2].name"; "" is the root. NUL-terminated UTF-8, cut at a character when too long.
   */
  char path[2032];
} hl_wire_fault;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Chooses whether the state of the guest is kept when a call traps or runs past its deadline, for `hl_core_kept`. It costs
 * a copy of what the call has written.
 *
 * @param sandbox The sandbox.
 * @param on 0: no, the default.
 * @return HL_DONE, HL_DEAD, or HL_INVALID for NULL.
 */
int32_t hl_core_keep(struct hl_sandbox *sandbox,
                     uint32_t on);

/**
 * The state that was kept when the last call trapped or ran past its deadline, before the sandbox was restored. It is given
 * once.
 *
 * @param sandbox The sandbox.
 * @return The core, for `hl_core_free`; NULL when none was kept.
 */
struct hl_core *hl_core_kept(struct hl_sandbox *sandbox);

/**
 * The state of the guest right now: between calls, or while a host call waits.
 *
 * @param sandbox The sandbox.
 * @param error Gets the reason of a failure; may be NULL.
 * @return The core, for `hl_core_free`; NULL when a call runs or the sandbox is dead.
 */
struct hl_core *hl_core_take(struct hl_sandbox *sandbox, struct hl_error *error);

/**
 * Frees a core.
 *
 * @param core The core; NULL is fine.
 */
void hl_core_free(struct hl_core *core);

/**
 * The registers of a core: the guest's own at a CPU exception or deadline, otherwise those of the code in it that waits for
 * the host.
 *
 * @param core The core.
 * @param out Gets the registers.
 * @return 0, or -1 for NULL.
 */
int32_t hl_core_registers(const struct hl_core *core,
                          struct hl_registers *out);

/**
 * Writes a core file: for a native guest an ELF core file of x86-64 Linux, sparse, for gdb; for a Wasm guest a module in the
 * coredump format of WebAssembly's tool conventions.
 *
 * @param core The core.
 * @param symbols Those of the guest's module.
 * @param name What debuggers call the program; NULL: "guest".
 * @param fd An empty file, open for writing; it stays the caller's.
 * @param error Gets the reason of a failure; may be NULL.
 * @return 0, or -1: HL_E_IO or HL_E_ARGUMENT; the file is then of no use.
 */
int32_t hl_core_write(const struct hl_core *core,
                      const struct hl_symbols *symbols,
                      const char *name,
                      int32_t fd,
                      struct hl_error *error);

/**
 * Lists what differs from the snapshot right now, in order of address: guest RAM, and of a sandbox with strict resets the
 * mailbox, which such a reset leaves zeroed.
 *
 * @param sandbox The sandbox, no call running.
 * @param region HL_REGION_ALL, or HL_REGION_READ_ONLY: only what the guest may not write.
 * @param out Gets the first ranges; NULL: they are only counted.
 * @param capacity Room in `out`; of more than 65536, the rest is not used.
 * @return number of ranges, which may be more than were given; -1 when that cannot be said, or there is no such region.
 */
int64_t hl_differences(struct hl_sandbox *sandbox,
                       uint32_t region,
                       struct hl_difference *out,
                       uint32_t capacity);

/**
 * Lists every register of the sandbox's vCPU that the host can read: for comparing it with another's.
 *
 * Of a sandbox with the exit transport, between calls, these are what the next call begins with. With the spin transport
 * they are those of the loop that waits for it.
 *
 * @param sandbox The sandbox, no call running.
 * @param out Gets the registers; NULL: they are only counted.
 * @param capacity Room in `out`.
 * @return number of registers, which may be more than were given; -1 when they cannot be read.
 */
int64_t hl_vcpu_registers(struct hl_sandbox *sandbox,
                          struct hl_register *out,
                          uint32_t capacity);

/**
 * Makes a dispatcher.
 *
 * Its owner is the thread that uses it, which may change; the workers' owner is the same.
 *
 * @param error NULL, or where to say why: HL_E_OUT_OF_FDS, HL_E_OUT_OF_MEMORY.
 * @return a dispatcher, which the caller frees with `hl_dispatch_free`, or NULL and `*error`.
 */
struct hl_dispatcher *hl_dispatch_new(struct hl_error *error);

/**
 * Frees a dispatcher; workers that are attached to it go on, and nobody hears of them.
 *
 * Its descriptor is closed with the last of them.
 *
 * @param dispatcher The dispatcher, not used again; NULL does nothing.
 */
void hl_dispatch_free(struct hl_dispatcher *dispatcher);

/**
 * The descriptor (an eventfd) that is readable when a command has come to its end.
 *
 * Wait on it with poll, epoll or any loop, and do not read it: `hl_dispatch_ready` does.
 *
 * @param dispatcher The dispatcher.
 * @return the descriptor, valid as long as the dispatcher; -1 for NULL.
 */
int32_t hl_dispatch_fd(const struct hl_dispatcher *dispatcher);

/**
 * Names the workers whose commands have come to their ends, in that order, and silences the descriptor.
 *
 * Call it until it returns less than `n`: only then the descriptor becomes readable again for those that follow. Ask each
 * of them with `hl_dispatch_end`; one that `hl_dispatch_wait` has already ended may be named once more.
 *
 * @param dispatcher The dispatcher.
 * @param tags Room for `n` tags.
 * @param n At most so many.
 * @return how many tags were written; 0 for NULL.
 */
uint32_t hl_dispatch_ready(struct hl_dispatcher *dispatcher,
                           uint64_t *tags,
                           uint32_t n);

/**
 * Starts the thread of a sandbox.
 *
 * Detach the worker before the sandbox is closed. All signals are blocked in the thread.
 *
 * @param dispatcher Who is told of the ends of commands.
 * @param sandbox A sandbox from `hl_sandbox_new` that has no worker; it stays the caller's.
 * @param tag Its name in `hl_dispatch_ready`.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_OUT_OF_MEMORY (no more threads).
 * @return a worker, which the caller ends with `hl_dispatch_detach`, or NULL and `*error`.
 */
struct hl_worker *hl_dispatch_attach(const struct hl_dispatcher *dispatcher,
                                     struct hl_sandbox *sandbox,
                                     uint64_t tag,
                                     struct hl_error *error);

/**
 * Ends the thread; the sandbox is in the owner's hands again.
 *
 * A command that runs is kicked first: a call is then open as after HL_RUNNING (`hl_wait`, `hl_kill`, `hl_sandbox_close`).
 * In a forked child it only lets go of both.
 *
 * @param worker The worker, not used again, by no thread; NULL does nothing.
 */
void hl_dispatch_detach(struct hl_worker *worker);

/**
 * Begins `hl_call` in the worker's thread.
 *
 * @param worker The worker, with its sandbox open.
 * @param func As in `hl_call`.
 * @param args The arguments, which are copied. NULL with 0.
 * @param n_args Their number.
 * @param flags As in `hl_call`.
 * @return HL_DONE: handed over; HL_BUSY: the worker has the sandbox already; HL_INVALID; HL_DEAD in a forked child. What is
 * wrong with the command itself is seen by the thread, and `hl_dispatch_end` says so.
 */
int32_t hl_dispatch_call(struct hl_worker *worker,
                         uint32_t func,
                         const union hl_value *args,
                         uint32_t n_args,
                         uint32_t flags);

/**
 * Begins `hl_call_bytes` in the worker's thread.
 *
 * `out` of the plan is not used: when the call has ended, its bytes are in `hl_result_bytes`.
 *
 * @param worker The worker, with its sandbox open.
 * @param call What to call and how; copied.
 * @param data The bytes, which are copied. NULL with 0.
 * @param len Their number.
 * @param flags As in `hl_call`.
 * @return as `hl_dispatch_call`.
 */
int32_t hl_dispatch_call_bytes(struct hl_worker *worker,
                               const struct hl_bytes_call *call,
                               const uint8_t *data,
                               size_t len,
                               uint32_t flags);

/**
 * Begins `hl_resume` in the worker's thread.
 *
 * @param worker The worker, with its sandbox open.
 * @param results The results of the host call, which are copied. NULL with 0.
 * @param n Their number.
 * @return as `hl_dispatch_call`.
 */
int32_t hl_dispatch_resume(struct hl_worker *worker, const union hl_value *results, uint32_t n);

/**
 * Begins `hl_fail` in the worker's thread.
 *
 * @param worker The worker, with its sandbox open.
 * @param message Why, in UTF-8, for `hl_trap`; copied.
 * @param len Its length in bytes, without a NUL.
 * @return as `hl_dispatch_call`.
 */
int32_t hl_dispatch_fail(struct hl_worker *worker, const char *message, size_t len);

/**
 * Begins `hl_wait` in the worker's thread: goes on with a call that was kicked.
 *
 * @param worker The worker, with its sandbox open.
 * @return as `hl_dispatch_call`.
 */
int32_t hl_dispatch_go_on(struct hl_worker *worker);

/**
 * Begins `hl_reset` in the worker's thread.
 *
 * @param worker The worker, with its sandbox open.
 * @return as `hl_dispatch_call`.
 */
int32_t hl_dispatch_reset(struct hl_worker *worker);

/**
 * Begins `hl_kill` in the worker's thread: ends a call that was kicked, or whose host call waits.
 *
 * @param worker The worker, with its sandbox open.
 * @return as `hl_dispatch_call`.
 */
int32_t hl_dispatch_kill(struct hl_worker *worker);

/**
 * Takes the sandbox back from a command that has come to its end.
 *
 * @param worker The worker, with its sandbox open.
 * @return what the function that the command is named after returns; HL_RUNNING only after a kick. HL_BUSY while the
 * command runs, and when none was handed over.
 */
int32_t hl_dispatch_end(struct hl_worker *worker);

/**
 * As `hl_dispatch_end`, but sleeps until the command has come to its end.
 *
 * @param worker The worker, with its sandbox open.
 * @param timeout_us At most so many microseconds.
 * @return as `hl_dispatch_end`; HL_BUSY when the time is over.
 */
int32_t hl_dispatch_wait(struct hl_worker *worker, uint64_t timeout_us);

/**
 * Makes the command that runs come back soon, with HL_RUNNING unless it ends by itself before that.
 *
 * Then `hl_dispatch_kill` ends its call, or `hl_dispatch_go_on` goes on with it. Nothing when no command runs. The one
 * function that any thread may call.
 *
 * @param worker The worker, not detached before this returns; NULL does nothing.
 */
void hl_dispatch_kick(const struct hl_worker *worker);

/**
 * Reads the symbols of a Wasm module or a native guest, and its DWARF lines; what is malformed in it is left out.
 *
 * @param file The module; copied.
 * @param len Its bytes.
 * @param error Gets the reason of a failure; may be NULL.
 * @return The symbols, for `hl_symbols_free`; NULL for NULL in place of bytes.
 */
struct hl_symbols *hl_symbols_new(const uint8_t *file,
                                  size_t len,
                                  struct hl_error *error);

/**
 * Frees symbols.
 *
 * @param symbols The symbols; NULL is fine.
 */
void hl_symbols_free(struct hl_symbols *symbols);

/**
 * The calls that were active when the last call trapped, innermost first. A guest may lie about its own frames, but is
 * given none that its module does not have.
 *
 * @param sandbox The sandbox.
 * @param symbols Those of the sandbox's module.
 * @param frames Gets the frames.
 * @param capacity Room in `frames`; more than 64 are never there.
 * @return Number of frames; 0 when the call did not trap, or nothing is known.
 */
uint32_t hl_trap_frames(const struct hl_sandbox *sandbox,
                        const struct hl_symbols *symbols,
                        struct hl_frame *frames,
                        uint32_t capacity);

/**
 * Says what is at a frame's instruction.
 *
 * @param symbols The symbols.
 * @param frame The frame, from anywhere.
 * @param out Gets the answer.
 * @return 0, or -1: the module has no such function or instruction, or an argument is NULL.
 */
int32_t hl_symbols_find(const struct hl_symbols *symbols, const struct hl_frame *frame, struct hl_site *out);

/**
 * Says which variable of a native guest an address lies in.
 *
 * @param symbols The symbols.
 * @param address The address.
 * @param out Gets its name, and where it begins; no file, no line.
 * @return 0, or -1: none that the symbol table knows, no native guest, or an argument is NULL.
 */
int32_t hl_symbols_variable(const struct hl_symbols *symbols, uint64_t address, struct hl_site *out);

/**
 * The registers at the CPU exception that ended the last call.
 *
 * @param sandbox The sandbox.
 * @param out Gets the registers.
 * @return 0, or -1: no exception did, or an argument is NULL.
 */
int32_t hl_trap_registers(const struct hl_sandbox *sandbox, struct hl_registers *out);

/**
 * Makes `n` calls and takes the time of each, with no caller's language in the figures.
 *
 * Host calls are answered with zeros. HL_TRAP and HL_TIMEOUT are followed by a reset and do not end the loop.
 *
 * @param sandbox The sandbox.
 * @param func Position in the export list.
 * @param args The arguments of each call.
 * @param n_args Their number.
 * @param flags As in `hl_call`.
 * @param input Bytes that are written to the default memory before each call.
 * @param input_len Their number; 0: none.
 * @param input_ptr Their address.
 * @param n Number of calls.
 * @param samples Room for `n` numbers: nanoseconds of each call.
 * @return HL_DONE, or the first status that is not an end of a call; `samples` is filled as far as that.
 */
int32_t hl_measure_call(struct hl_sandbox *sandbox,
                        uint32_t func,
                        const union hl_value *args,
                        uint32_t n_args,
                        uint32_t flags,
                        const uint8_t *input,
                        uint64_t input_len,
                        uint64_t input_ptr,
                        uint32_t n,
                        uint64_t *samples);

/**
 * Measures what no sandbox can be faster than.
 *
 * @param sandbox The sandbox, no call running.
 * @param what One of HL_FLOOR_*.
 * @param n Number of measurements.
 * @param samples Room for `n` numbers: nanoseconds of each.
 * @return HL_DONE, HL_INVALID, or HL_DEAD.
 */
int32_t hl_measure_floor(struct hl_sandbox *sandbox, uint32_t what, uint32_t n, uint64_t *samples);

/**
 * For tests of tests: has memory that is shared with the guest changed while the host reads it.
 *
 * A change begins with this call and ends with the next one.
 *
 * @param sandbox The sandbox, no call running.
 * @param change The change; NULL ends the one before.
 * @param count NULL, or gets what came of the change before: how often the host has read shared memory, or a thread has
 * written it.
 * @return HL_DONE, HL_INVALID for what is not shared or not aligned, or HL_DEAD.
 */
int32_t hl_test_meddle(struct hl_sandbox *sandbox,
                       const struct hl_test_change *change,
                       uint64_t *count);

/**
 * Size of a memory in bytes.
 *
 * @param sandbox The sandbox, no call running.
 * @param memory Position in the export list, or HL_DEFAULT_MEMORY.
 * @param bytes Gets the size.
 * @return 0, or -1 when it is no memory, a call runs, or an argument is NULL.
 */
int32_t hl_mem_size(struct hl_sandbox *sandbox, uint32_t memory, uint64_t *bytes);

/**
 * Where a memory may be written: all of a linear memory; data, stack and heap of a native guest, one range after the
 * other.
 *
 * @param sandbox The sandbox, no call running.
 * @param memory Position in the export list, or HL_DEFAULT_MEMORY.
 * @param from Address from which to look: 0, then the end of the range before.
 * @param start Gets the address at which the range begins.
 * @param end Gets the address behind its last byte.
 * @return 1, or 0 when there is no other range, or -1 when it is no memory, a call runs, or an argument is NULL.
 */
int32_t hl_mem_writable(struct hl_sandbox *sandbox,
                        uint32_t memory,
                        uint64_t from,
                        uint64_t *start,
                        uint64_t *end);

/**
 * Bytes of a memory, in place.
 *
 * What is there belongs to the guest: copy, then check, then use.
 *
 * @param sandbox The sandbox, no call running.
 * @param memory Position in the export list, or HL_DEFAULT_MEMORY.
 * @param ptr Address in that memory.
 * @param len Number of bytes.
 * @return a pointer that is valid until the next call, resume or reset, or NULL when the bytes are not all inside.
 */
const uint8_t *hl_mem(struct hl_sandbox *sandbox,
                      uint32_t memory,
                      uint64_t ptr,
                      uint64_t len);

/**
 * Copies bytes out of a memory.
 *
 * @param sandbox The sandbox, no call running.
 * @param memory Position in the export list, or HL_DEFAULT_MEMORY.
 * @param ptr Address in that memory.
 * @param to Room for `len` bytes.
 * @param len Number of bytes.
 * @return 0, or -1 when they are not all inside; nothing was copied then.
 */
int32_t hl_mem_read(struct hl_sandbox *sandbox, uint32_t memory, uint64_t ptr, uint8_t *to, uint64_t len);

/**
 * Copies bytes into a memory; they are part of the state that a reset wipes.
 *
 * @param sandbox The sandbox, no call running.
 * @param memory Position in the export list, or HL_DEFAULT_MEMORY.
 * @param ptr Address in that memory.
 * @param from The bytes.
 * @param len Number of bytes.
 * @return 0, or -1 when they do not fit; nothing was written then.
 */
int32_t hl_mem_write(struct hl_sandbox *sandbox,
                     uint32_t memory,
                     uint64_t ptr,
                     const uint8_t *from,
                     uint64_t len);

/**
 * Reads an exported global.
 *
 * @param sandbox The sandbox, no call running.
 * @param global Position in the export list.
 * @param out Gets the value.
 * @return 0, or -1: no global there, a reference, a call runs, or an argument is NULL.
 */
int32_t hl_global_get(struct hl_sandbox *sandbox, uint32_t global, union hl_value *out);

/**
 * Writes an exported mutable global.
 *
 * @param sandbox The sandbox, no call running.
 * @param global Position in the export list.
 * @param value The new value, in the member of the global's type.
 * @return 0, or -1: immutable, no global there, a reference, a call runs, or an argument is NULL.
 */
int32_t hl_global_set(struct hl_sandbox *sandbox, uint32_t global, const union hl_value *value);

/**
 * Compares guest RAM with the snapshot.
 *
 * @param sandbox The sandbox, no call running.
 * @return number of pages that differ right now, or -1 when that cannot be said.
 */
int64_t hl_verify(struct hl_sandbox *sandbox);

/**
 * A hash of a part of guest RAM; equal for equal content within one process.
 *
 * @param sandbox The sandbox, no call running.
 * @param region One of HL_REGION_*.
 * @param hash Gets the hash.
 * @return 0, or -1: no such region, or an argument is NULL.
 */
int32_t hl_ram_hash(struct hl_sandbox *sandbox, uint32_t region, uint64_t *hash);

/**
 * Looks for bytes in what a guest can read, for instance what an earlier tenant was given.
 *
 * @param sandbox The sandbox, no call running.
 * @param region HL_REGION_ALL or HL_REGION_MAILBOX.
 * @param needle The bytes, not all of them 0.
 * @param len Number of them, at least 1.
 * @param address Gets the guest address of the first place where they are.
 * @return 1 when they are there, 0 when not, -1: no such region, a call runs, or an argument is NULL or 0.
 */
int32_t hl_ram_find(struct hl_sandbox *sandbox,
                    uint32_t region,
                    const uint8_t *needle,
                    size_t len,
                    uint64_t *address);

/**
 * `HL_ABI_VERSION` of the library.
 *
 * A program that is linked to the shared library compares it with the constant of its header at start-up; the file name
 * (SONAME) changes with it too.
 *
 * @return the number; never fails. Any thread.
 */
uint32_t hl_abi_version(void);

/**
 * The library's version, for people.
 *
 * @return NUL-terminated text that lives as long as the library; never NULL. Any thread.
 */
const char *hl_version(void);

/**
 * Release of wasmtime that compiles modules and runs them inside the VM.
 *
 * @return NUL-terminated text; the caller owns it and frees it with `hl_string_free`. Any thread.
 */
char *hl_wasmtime_version(void);

/**
 * Says what this machine's KVM can do.
 *
 * Opens /dev/kvm and closes it again. Any thread.
 *
 * @param out Filled in; set its `size` before. `kvm_ok` 0 is an answer and no error: `error_code` and `message` say why.
 * @return 0, or -1 when `out` is NULL or its `size` is wrong.
 */
int32_t hl_probe(struct hl_probe_info *out);

/**
 * Describes a module without compiling it.
 *
 * Any thread.
 *
 * @param wasm The module's bytes; they come from anywhere and need not outlive the call.
 * @param len Number of bytes.
 * @param given NULL for the defaults. With the `cache_dir` of an earlier `hl_module_new` a module whose artifact is there is
 * not validated again.
 * @param json Gets a NUL-terminated JSON text (shape `hlfuzz.module/1`), which the caller owns and frees with
 * `hl_string_free`. Untouched on failure.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_WASM, HL_E_COMPONENT, HL_E_INVALID_MODULE,
 * HL_E_UNSUPPORTED, HL_E_TOO_LARGE.
 * @return 0, or -1 and `*error`.
 */
int32_t hl_inspect(const uint8_t *wasm,
                   size_t len,
                   const struct hl_module_options *given,
                   char **json,
                   struct hl_error *error);

/**
 * Frees a string that this library has returned as `char *`.
 *
 * @param text The string, not used again; NULL does nothing.
 */
void hl_string_free(char *text);

/**
 * Validates and compiles a module, or takes its artifact from the cache.
 *
 * Any thread, several at once. The cache can only save time: whatever is wrong with it, the module is compiled.
 *
 * @param wasm The module's bytes; they come from anywhere and need not outlive the call.
 * @param len Number of bytes.
 * @param given NULL for the defaults.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_WASM, HL_E_COMPONENT, HL_E_INVALID_MODULE,
 * HL_E_UNSUPPORTED, HL_E_TOO_LARGE, HL_E_INTERNAL.
 * @return a module, which the caller frees with `hl_module_free`, or NULL and `*error`.
 */
struct hl_module *hl_module_new(const uint8_t *wasm,
                                size_t len,
                                const struct hl_module_options *given,
                                struct hl_error *error);

/**
 * What `hl_inspect` says, with `artifact_bytes` and `cache`; for native guests what `hl_inspect_elf` says.
 *
 * @param module A module; NULL gives "".
 * @return NUL-terminated JSON that belongs to the module and lives as long as it. Any thread.
 */
const char *hl_module_json(const struct hl_module *module);

/**
 * Frees a module. Templates made from it live on.
 *
 * @param module The module, not used again, by no thread; NULL does nothing.
 */
void hl_module_free(struct hl_module *module);

/**
 * Finds an export by name, of any kind.
 *
 * @param module The module; any thread.
 * @param name NUL-terminated UTF-8.
 * @return the position that `hl_call`, `hl_mem` and `hl_global_get` want, or -1 when there is none or an argument is
 * NULL.
 */
int32_t hl_module_export(const struct hl_module *module,
                         const char *name);

/**
 * Finds an import by its two names; the first one where several have the same.
 *
 * @param module The module; any thread.
 * @param from NUL-terminated UTF-8: the module that it is imported from, "env".
 * @param name NUL-terminated UTF-8.
 * @return the position that `hl_hostcall_info.import` has, or -1 when there is none or an argument is NULL.
 */
int32_t hl_module_import(const struct hl_module *module, const char *from, const char *name);

/**
 * Checks and describes a native guest: an ELF program for the bare micro-VM (see `docs/native-guests.md`).
 *
 * Any thread.
 *
 * @param elf The program's bytes; they come from anywhere and need not outlive the call.
 * @param len Number of bytes.
 * @param json Gets a NUL-terminated JSON text of the shape that `hl_inspect` gives, with the feature `native` and the text
 * of its handshake, which the caller owns and frees with `hl_string_free`. Untouched on failure.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_NATIVE.
 * @return 0, or -1 and `*error`.
 */
int32_t hl_inspect_elf(const uint8_t *elf,
                       size_t len,
                       char **json,
                       struct hl_error *error);

/**
 * Checks a native guest and keeps a copy of its bytes. It is used like a Wasm module, always with HL_RESET_STRICT.
 *
 * Any thread, several at once.
 *
 * @param elf The program's bytes; they come from anywhere and need not outlive the call.
 * @param len Number of bytes.
 * @param given NULL for the defaults; `cache_dir` is not used.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_NATIVE, HL_E_TOO_LARGE.
 * @return a module, which the caller frees with `hl_module_free`, or NULL and `*error`.
 */
struct hl_module *hl_module_new_elf(const uint8_t *elf,
                                    size_t len,
                                    const struct hl_module_options *given,
                                    struct hl_error *error);

/**
 * A sandbox at the template's snapshot.
 *
 * Any thread; it becomes the owner, and may hand the sandbox to another one between calls.
 *
 * @param template_ What to clone; may be freed afterwards.
 * @param given NULL for the defaults.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_CPU, HL_E_NO_KVM, HL_E_KVM, HL_E_OUT_OF_MEMORY,
 * HL_E_OUT_OF_FDS, HL_E_FORKED, HL_E_INTERNAL.
 * @return a sandbox, which the caller closes with `hl_sandbox_close`, or NULL and `*error`.
 */
struct hl_sandbox *hl_sandbox_new(const struct hl_template *template_,
                                  const struct hl_sandbox_options *given,
                                  struct hl_error *error);

/**
 * Closes a sandbox, in whatever state, also with a call open.
 *
 * All pointers that it has given out end here. In a forked child it only lets go of it.
 *
 * @param sandbox The sandbox, not used again, by no thread; NULL does nothing.
 */
void hl_sandbox_close(struct hl_sandbox *sandbox);

/**
 * Calls an exported function.
 *
 * While a host call waits this is a nested call, at most 16 deep, and the flag is ignored.
 *
 * @param sandbox The sandbox; used by one thread at a time.
 * @param func Position in the module's export list (all exports count); `hl_module_export` finds it.
 * @param args The arguments; need not outlive the call. NULL with 0.
 * @param n_args Their number, which must be that of the function's parameters.
 * @param flags 0 or HL_CALL_RESET.
 * @return HL_DONE (results in `hl_results`), HL_HOSTCALL (`hl_hostcall`, then `hl_resume` or `hl_fail`), HL_TRAP
 * (`hl_trap`, then `hl_reset` unless the flag was given), HL_TIMEOUT (the sandbox is at its snapshot), HL_RUNNING
 * (only with `slice_us`: `hl_wait` or `hl_kill`), HL_BUSY (a call runs, or 16 are open; nothing was done), HL_INVALID
 * (wrong arguments, see `hl_message`; nothing was done), HL_DEAD (see `hl_message`; close it).
 */
int32_t hl_call(struct hl_sandbox *sandbox,
                uint32_t func,
                const union hl_value *args,
                uint32_t n_args,
                uint32_t flags);

/**
 * Answers the waiting host call with its results.
 *
 * @param sandbox The sandbox.
 * @param results The results; need not outlive the call. NULL with 0.
 * @param n Their number, which must be that of the import's results.
 * @return as `hl_call`; HL_BUSY when no host call waits.
 */
int32_t hl_resume(struct hl_sandbox *sandbox, const union hl_value *results, uint32_t n);

/**
 * Says that the waiting host call failed: the guest unwinds and the call ends.
 *
 * @param sandbox The sandbox.
 * @param message Why, in UTF-8, for `hl_trap`; need not outlive the call.
 * @param len Its length in bytes, without a NUL.
 * @return as `hl_call`: HL_TRAP of kind HL_TRAP_HOST with this message; HL_BUSY when no host call waits.
 */
int32_t hl_fail(struct hl_sandbox *sandbox, const char *message, size_t len);

/**
 * Waits on after HL_RUNNING.
 *
 * @param sandbox The sandbox.
 * @return as `hl_call`; HL_BUSY when no call runs.
 */
int32_t hl_wait(struct hl_sandbox *sandbox);

/**
 * Ends the call that runs (HL_RUNNING) or waits (HL_HOSTCALL), with all calls round it, and restores the snapshot.
 *
 * @param sandbox The sandbox, from its owner's thread.
 * @return HL_DONE, HL_INVALID for NULL, or HL_DEAD (see `hl_message`).
 */
int32_t hl_kill(struct hl_sandbox *sandbox);

/**
 * Brings the sandbox back to its snapshot.
 *
 * @param sandbox The sandbox.
 * @return HL_DONE, HL_BUSY while a call runs or waits, HL_INVALID for NULL, or HL_DEAD (see `hl_message`).
 */
int32_t hl_reset(struct hl_sandbox *sandbox);

/**
 * An empty request: does the guest side still answer? The sandbox is not clean after it.
 *
 * @param sandbox The sandbox.
 * @return HL_DONE when it answered; HL_BUSY while a call runs or waits; HL_INVALID for NULL; else what ended it, as
 *     `hl_call`.
 */
int32_t hl_ping(struct hl_sandbox *sandbox);

/**
 * Whether the sandbox is at its snapshot: nothing was asked of the guest or written for it since the last reset.
 *
 * @param sandbox The sandbox; NULL is not clean.
 * @return 1, or 0 when it may differ from its snapshot, or cannot go on.
 */
int32_t hl_is_clean(const struct hl_sandbox *sandbox);

/**
 * Results of the last call that ended with HL_DONE.
 *
 * @param sandbox The sandbox; NULL has no results.
 * @param n NULL, or gets their number.
 * @return the values, which belong to the sandbox and are valid until the next call; may only be read `*n` long.
 */
const union hl_value *hl_results(const struct hl_sandbox *sandbox,
                                 uint32_t *n);

/**
 * The host call that waits.
 *
 * @param sandbox The sandbox.
 * @param out Filled in; what it points to belongs to the sandbox and is valid until the next call.
 * @return 0, or -1 when none waits or an argument is NULL.
 */
int32_t hl_hostcall(const struct hl_sandbox *sandbox, struct hl_hostcall_info *out);

/**
 * How the guest makes calls of an import without results.
 *
 * @param sandbox The sandbox.
 * @param import Position in the import list.
 * @param mode 0 asks and waits; 1 posts: the call is queued and handed over with the end of the call (or with the next
 * host call), which saves an exchange; 2 posts with a copy of the bytes that two parameters name. Calls that do not fit
 * the queue are made the ordinary way, so be ready for both.
 * @param ptr_param Mode 2: the parameter that is the bytes' address; the next one is their length.
 * @return HL_DONE, HL_INVALID (no such import or parameters, or it has results), or HL_DEAD.
 */
int32_t hl_posted_mode(struct hl_sandbox *sandbox,
                       uint32_t import,
                       uint32_t mode,
                       uint32_t ptr_param);

/**
 * Number of posted calls that came with the last status, in order.
 *
 * @param sandbox The sandbox; NULL has none.
 * @return the number.
 */
uint32_t hl_posted_count(const struct hl_sandbox *sandbox);

/**
 * One of the posted calls that came with the last status.
 *
 * @param sandbox The sandbox.
 * @param i Which one, from 0.
 * @param out NULL, or filled in; what it points to is valid until the next call.
 * @param bytes NULL, or gets the copied bytes of mode 2, valid until the next call.
 * @param len NULL exactly when `bytes` is; gets their number.
 * @return 0, or -1 when there is none.
 */
int32_t hl_posted(const struct hl_sandbox *sandbox,
                  uint32_t i,
                  struct hl_hostcall_info *out,
                  const uint8_t **bytes,
                  size_t *len);

/**
 * Describes the last HL_TRAP.
 *
 * @param sandbox The sandbox.
 * @param out Filled in; set its `size` before. Its message is valid until the next call.
 * @return 0, or -1 when the last status was no HL_TRAP, an argument is NULL or `size` is wrong.
 */
int32_t hl_trap(struct hl_sandbox *sandbox, struct hl_trap_info *out);

/**
 * Why the last status was HL_DEAD or HL_INVALID.
 *
 * @param sandbox The sandbox.
 * @return NUL-terminated UTF-8, never NULL; belongs to the sandbox and is valid until the next call.
 */
const char *hl_message(struct hl_sandbox *sandbox);

/**
 * Another deadline for the calls that follow.
 *
 * @param sandbox The sandbox.
 * @param cpu_us CPU time of the thread that runs the vCPU, in microseconds; 0: the default.
 * @param wall_us Wall time in microseconds; 0: the default.
 * @return HL_DONE, HL_INVALID for NULL, or HL_DEAD.
 */
int32_t hl_set_deadline(struct hl_sandbox *sandbox, uint64_t cpu_us, uint64_t wall_us);

/**
 * Counters of a sandbox.
 *
 * @param sandbox The sandbox.
 * @param out Filled in; set its `size` before.
 * @return 0, or -1 when an argument is NULL, `size` is wrong, or the VM has become a template.
 */
int32_t hl_stats_get(const struct hl_sandbox *sandbox, struct hl_stats *out);

/**
 * For tests: the `nth` operation that follows in this thread, of the kinds in `points`, fails with `error` and is not
 * made. Operations in the threads of sandboxes (`spin`, `hl_dispatch_attach`) that this thread opened while it had some
 * turned on count as its own. Other threads are not affected.
 *
 * @param points Bits HL_POINT_*; 0 turns it off.
 * @param nth From 1; 0: none fails, they are only counted.
 * @param error An errno; HL_KICK: nothing fails, and a kick is pending when the operation begins.
 * @return How many such operations there were since the last call of this function.
 */
uint64_t hl_test_inject(uint32_t points,
                        uint64_t nth,
                        int32_t error);

/**
 * For tests of tests: damages how this sandbox resets, reads and is kept apart, so that a check can be seen to notice.
 *
 * @param sandbox The sandbox.
 * @param faults Bits HL_FAULT_*; 0 mends it, all but what is shared or left in a thread, which lasts until it is closed.
 * @return HL_DONE, HL_INVALID for NULL or when it cannot be done, or HL_DEAD.
 */
int32_t hl_test_fault(struct hl_sandbox *sandbox,
                      uint32_t faults);

/**
 * The state of a sandbox right now, memory and registers, as a template.
 *
 * Sandboxes made from it begin there and their resets lead there. The sandbox itself goes on undisturbed, with its own
 * snapshot. Between calls, or inside a span of calls without a reset.
 *
 * @param sandbox The sandbox, from its owner's thread.
 * @param error NULL, or where to say why: HL_E_ARGUMENT (a call runs or waits for a host function, the VM is from
 * `hl_boot_new`, a worker has it), HL_E_KVM, HL_E_OUT_OF_MEMORY, HL_E_OUT_OF_FDS, HL_E_FORKED, HL_E_INTERNAL.
 * @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
 */
struct hl_template *hl_snapshot_take(struct hl_sandbox *sandbox,
                                     struct hl_error *error);

/**
 * Describes a template.
 *
 * @param template_ From a boot, from `hl_snapshot_take` or from `hl_snapshot_load`; any thread.
 * @param out Filled in; set its `size` before.
 * @return 0, or -1 when an argument is NULL or `size` is wrong.
 */
int32_t hl_snapshot_info_get(const struct hl_template *template_, struct hl_snapshot_info *out);

/**
 * Saves a template as one file, whole or not at all: a file of that name is replaced once the new one is on disk, and
 * whatever happens before leaves it as it was. Only its owner can read it. Any thread.
 *
 * @param template_ From a boot, from `hl_snapshot_take` or from `hl_snapshot_load`.
 * @param path Where; its folder must exist.
 * @param flags 0, or HL_SAVE_COMPRESSED.
 * @param error NULL, or where to say why: HL_E_SNAPSHOT_IO, HL_E_FORKED, HL_E_ARGUMENT.
 * @return 0, or -1 and `*error`.
 */
int32_t hl_snapshot_save(const struct hl_template *template_,
                         const char *path,
                         uint32_t flags,
                         struct hl_error *error);

/**
 * Loads a file that `hl_snapshot_save` wrote. The file may come from anybody: it can do no more than a guest could, and
 * on an error nothing of it is left. Any thread.
 *
 * @param module The guest that the state is of; may be freed afterwards.
 * @param given The options that its template was made with, or NULL for the defaults. Without `import_values` the
 * values of imported globals are what the file says (`hl_snapshot_info_get`).
 * @param path The file.
 * @param error NULL, or where to say why: HL_E_NOT_SNAPSHOT, HL_E_SNAPSHOT_VERSION, HL_E_SNAPSHOT_TRUNCATED,
 * HL_E_SNAPSHOT_DAMAGED, HL_E_SNAPSHOT_GUEST, HL_E_SNAPSHOT_CPU, HL_E_SNAPSHOT_TOO_LARGE, HL_E_SNAPSHOT_IO, or what
 * `hl_template_new` gives.
 * @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
 */
struct hl_template *hl_snapshot_load(const struct hl_module *module,
                                     const struct hl_template_options *given,
                                     const char *path,
                                     struct hl_error *error);

/**
 * Boots a module and freezes it: instantiates it, runs its start function and `_initialize`.
 *
 * Any thread, several at once; the thread runs the guest meanwhile. For modules whose start function calls imports use
 * `hl_boot_new`.
 *
 * @param module What to boot; may be freed afterwards.
 * @param given NULL for the defaults.
 * @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_LIMIT, HL_E_UNSUPPORTED, HL_E_ARTIFACT, HL_E_NO_KVM,
 * HL_E_PERMISSION, HL_E_KVM, HL_E_OUT_OF_MEMORY, HL_E_OUT_OF_FDS, HL_E_START_TRAPPED, HL_E_START_TIMEOUT,
 * HL_E_START_HOSTCALL, HL_E_INTERNAL.
 * @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
 */
struct hl_template *hl_template_new(const struct hl_module *module,
                                    const struct hl_template_options *given,
                                    struct hl_error *error);

/**
 * Frees a template. Sandboxes made from it live on.
 *
 * @param template_ The template, not used again, by no thread; NULL does nothing.
 */
void hl_template_free(struct hl_template *template_);

/**
 * A VM that is about to instantiate a module whose start function may call imports.
 *
 * `hl_boot_run` starts it and ends like a call; `hl_boot_finish` freezes it.
 *
 * @param module What to boot; may be freed afterwards.
 * @param given NULL for the defaults.
 * @param error NULL, or where to say why: as for `hl_template_new`, without HL_E_START_*.
 * @return a sandbox that only boots, which the caller closes with `hl_sandbox_close`, or NULL and `*error`.
 */
struct hl_sandbox *hl_boot_new(const struct hl_module *module,
                               const struct hl_template_options *given,
                               struct hl_error *error);

/**
 * Instantiates the module of `hl_boot_new`, once.
 *
 * @param sandbox From `hl_boot_new`; used by one thread at a time.
 * @return a status as of `hl_call`; HL_BUSY when it has run before, or when this is no booting VM. After HL_DONE call
 * `hl_boot_finish`; after HL_HOSTCALL `hl_resume` or `hl_fail`; after anything else close it.
 */
int32_t hl_boot_run(struct hl_sandbox *sandbox);

/**
 * Freezes the VM after `hl_boot_run` (or the `hl_resume` that followed it) has ended with HL_DONE.
 *
 * The sandbox cannot be called any more and must still be closed.
 *
 * @param sandbox From `hl_boot_new`.
 * @param error NULL, or where to say why: HL_E_ARGUMENT (no booting VM, or not at its end), HL_E_START_TRAPPED,
 * HL_E_START_TIMEOUT, HL_E_START_HOSTCALL, HL_E_KVM, HL_E_OUT_OF_MEMORY, HL_E_OUT_OF_FDS, HL_E_INTERNAL.
 * @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
 */
struct hl_template *hl_boot_finish(struct hl_sandbox *sandbox,
                                   struct hl_error *error);

/**
 * Calls an export with bytes in guest memory (the default, 32-bit one): room from the guest's allocator, copy, call.
 *
 * When the call comes back with HL_HOSTCALL or HL_RUNNING and ends later, its bytes are in `hl_result_bytes` only.
 *
 * @param sandbox The sandbox; used by one thread at a time.
 * @param call What to call and how; set its `size` to `sizeof(hl_bytes_call)`. Need not outlive this function.
 * @param data The bytes; need not outlive this function. NULL with 0.
 * @param len Their number.
 * @param flags As in `hl_call`.
 * @return as `hl_call`, and HL_BUSY while any call is open. With HL_DONE the bytes that the results stand for are in
 * `hl_result_bytes`; an allocator or results that name bytes outside memory are HL_TRAP of kind HL_TRAP_VECTOR.
 */
int32_t hl_call_bytes(struct hl_sandbox *sandbox,
                      struct hl_bytes_call *call,
                      const uint8_t *data,
                      size_t len,
                      uint32_t flags);

/**
 * The bytes that the last `hl_call_bytes` with HL_DONE gave back.
 *
 * @param sandbox The sandbox; NULL has none.
 * @param len NULL, or gets their number.
 * @return a copy that belongs to the sandbox and is valid until the next call; may only be read `*len` long.
 */
const uint8_t *hl_result_bytes(struct hl_sandbox *sandbox, uint64_t *len);

/**
 * Makes a verifier from a verification program.
 *
 * Any thread, several at once.
 *
 * @param program The program's bytes; they may come from anywhere, all of them are checked. Need not outlive the call.
 * @param len Number of bytes.
 * @param given NULL for the defaults.
 * @param error NULL, or where to say why: HL_E_ARGUMENT.
 * @return a verifier, which the caller frees with `hl_verifier_free`, or NULL and `*error`.
 */
struct hl_verifier *hl_verifier_new(const uint8_t *program,
                                    size_t len,
                                    const struct hl_verifier_options *given,
                                    struct hl_error *error);

/**
 * Finds a table by its full name.
 *
 * @param verifier The verifier; any thread.
 * @param name NUL-terminated, "net.v1.Request".
 * @return the index for `hl_verifier_check`, or -1 when the schema has no such table or an argument is NULL.
 */
int32_t hl_verifier_root(const struct hl_verifier *verifier, const char *name);

/**
 * Verifies a buffer: after 0 everything in it can be read without looking again.
 *
 * Nobody may change the bytes meanwhile, nor before they are read: copy them out of a guest's memory first.
 *
 * @param verifier The verifier; any thread.
 * @param root Index of the root table.
 * @param data The buffer.
 * @param len Number of bytes.
 * @param fault NULL, or filled in when a rule is broken; set its `size` before.
 * @return 0, the rule that the buffer breaks first (HL_RULE_*), or -1 for wrong arguments.
 */
int32_t hl_verifier_check(const struct hl_verifier *verifier,
                          uint32_t root,
                          const uint8_t *data,
                          size_t len,
                          struct hl_wire_fault *fault);

/**
 * Verifies buffers that lie end to end, with the same root.
 *
 * @param verifier The verifier; any thread.
 * @param root Index of the root table.
 * @param data The buffers.
 * @param lengths Length of each in bytes.
 * @param count Number of buffers.
 * @param rules NULL, or room for `count` numbers: what `hl_verifier_check` returns for each.
 * @return how many keep every rule; 0 for wrong arguments.
 */
size_t hl_verifier_check_many(const struct hl_verifier *verifier,
                              uint32_t root,
                              const uint8_t *data,
                              const size_t *lengths,
                              size_t count,
                              int32_t *rules);

/**
 * Frees a verifier.
 *
 * @param verifier The verifier, not used again, by no thread; NULL does nothing.
 */
void hl_verifier_free(struct hl_verifier *verifier);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HLFUZZ_H */
