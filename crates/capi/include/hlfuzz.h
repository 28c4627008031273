/* hlfuzz: micro-VM sandboxes for untrusted guest code. Made from crates/capi by cbindgen: change it there. */

#ifndef HLFUZZ_H
#define HLFUZZ_H

#include <stddef.h>
#include <stdint.h>

/*
 Version of this interface. A library with the same number can be used with this header.
 */
#define HL_ABI_VERSION 1

/*
 The call has ended; its results are in `hl_results`.
 */
#define HL_DONE 1

/*
 The guest called an import: look at `hl_hostcall`, then `hl_resume` or `hl_fail`. Nested calls into the guest are
 allowed meanwhile.
 */
#define HL_HOSTCALL 2

/*
 The call ended in a trap, see `hl_trap`. A reset makes the sandbox usable again.
 */
#define HL_TRAP 3

/*
 The call was ended at its deadline; the sandbox is at its snapshot already.
 */
#define HL_TIMEOUT 4

/*
 The sandbox cannot go on (`hl_message` says why); close it. Also every use in a forked child.
 */
#define HL_DEAD 5

/*
 Not possible while a call runs or waits, or without one; nothing was done.
 */
#define HL_BUSY 6

/*
 Only with `slice_us`: the call still runs; `hl_wait` or `hl_kill`.
 */
#define HL_RUNNING 7

/*
 Wrong arguments (`hl_message` says which); nothing was done.
 */
#define HL_INVALID 8

#define HL_E_ARGUMENT 1

#define HL_E_NOT_WASM 2

#define HL_E_COMPONENT 3

#define HL_E_INVALID_MODULE 4

/*
 The module uses a Wasm feature that the runtime lacks; the message names it.
 */
#define HL_E_UNSUPPORTED 5

#define HL_E_TOO_LARGE 6

/*
 The module needs more memory or table elements than the limit.
 */
#define HL_E_LIMIT 7

#define HL_E_NO_KVM 8

#define HL_E_PERMISSION 9

#define HL_E_KVM 10

#define HL_E_OUT_OF_MEMORY 11

#define HL_E_OUT_OF_FDS 12

/*
 The compiled artifact or the runtime is damaged.
 */
#define HL_E_ARTIFACT 13

#define HL_E_START_TRAPPED 14

#define HL_E_START_TIMEOUT 15

/*
 The start function calls an import: use `hl_boot_new`.
 */
#define HL_E_START_HOSTCALL 16

#define HL_E_IO 17

/*
 The spin transport was asked for and no second CPU is free.
 */
#define HL_E_CPU 18

#define HL_E_FORKED 19

#define HL_E_INTERNAL 20

/*
 The bytes are no native guest: not an ELF program of the right kind, or one that asks for what it cannot have.
 */
#define HL_E_NOT_NATIVE 21

/*
 Spin for `HL_RESET_MEMORY` where two CPUs are free, else exit.
 */
#define HL_TRANSPORT_AUTO 0

/*
 The vCPU has a thread and a CPU of its own and never leaves guest code.
 */
#define HL_TRANSPORT_SPIN 1

/*
 The caller's thread runs the vCPU; no thread is made.
 */
#define HL_TRANSPORT_EXIT 2

/*
 Memory and every register that a guest can change.
 */
#define HL_RESET_STRICT 0

/*
 Memory only: sound while the runtime inside the VM is intact.
 */
#define HL_RESET_MEMORY 1

#define HL_TRACK_AUTO 0

/*
 KVM's dirty ring.
 */
#define HL_TRACK_RING 1

/*
 KVM's dirty log: a system call a reset.
 */
#define HL_TRACK_LOG 2

/*
 Flag of `hl_call`: when the call ends, reset before returning. Results, posted calls and the trap's description
 were copied before.
 */
#define HL_CALL_RESET 1

/*
 A Wasm trap.
 */
#define HL_TRAP_WASM 1

/*
 The host function failed (`hl_fail`).
 */
#define HL_TRAP_HOST 2

/*
 A CPU exception that no Wasm code can cause; the sandbox was restored.
 */
#define HL_TRAP_EXCEPTION 3

/*
 The runtime inside the VM gave up; the sandbox was restored.
 */
#define HL_TRAP_RUNTIME 4

/*
 The guest side broke the protocol; the sandbox was restored.
 */
#define HL_TRAP_ABI 5

/*
 `hl_call_bytes`: the allocator or the results name bytes outside memory.
 */
#define HL_TRAP_VECTOR 6

/*
 The results of a byte-vector call do not stand for bytes.
 */
#define HL_BYTES_NONE 0

/*
 Two results: pointer and length.
 */
#define HL_BYTES_PAIR 1

/*
 One i64 result: pointer << 32 | length.
 */
#define HL_BYTES_PACKED 2

/*
 One result: the length of what replaced the argument.
 */
#define HL_BYTES_INPLACE 3

/*
 `hl_bytes_call`: there is no allocator, the bytes go to a fixed address.
 */
#define HL_NO_ALLOCATOR UINT32_MAX

/*
 The default memory: the export "memory", else the first exported one.
 */
#define HL_DEFAULT_MEMORY UINT32_MAX

/*
 Regions of `hl_ram_hash`: all of guest RAM.
 */
#define HL_REGION_ALL 0

/*
 Page tables, descriptor tables, exception stubs, boot record.
 */
#define HL_REGION_SYSTEM 1

/*
 Text of the runtime and of the compiled module.
 */
#define HL_REGION_TEXT 2

/*
 Bits of `hl_test_fault`: the reset leaves one dirty page alone.
 */
#define HL_FAULT_SKIP_PAGE 1

/*
 The reset forgets registers.
 */
#define HL_FAULT_FORGET_REGISTERS 2

/*
 The reset forgets pages that the snapshot has no data for.
 */
#define HL_FAULT_FORGET_NEW_PAGES 4

/*
 The reset does nothing.
 */
#define HL_FAULT_NO_RESET 8

/*
 A strict reset leaves the mailbox alone.
 */
#define HL_FAULT_FORGET_MAILBOX 16

/*
 What `hl_measure_floor` measures: reading the clock.
 */
#define HL_FLOOR_CLOCK 1

/*
 An empty request through the mailbox, in the sandbox's transport: the bare exchange, or the doorbell exit.
 */
#define HL_FLOOR_EXCHANGE 2

/*
 Creating a VM with a vCPU over the guest's memory, and closing it.
 */
#define HL_FLOOR_VM_CREATE 3

/*
 Copying one page that is in the cache.
 */
#define HL_FLOOR_PAGE_COPY 4

/*
 Rules of `hl_verifier_check`: the buffer is shorter than any is.
 */
#define HL_RULE_TOO_SHORT 1

/*
 The buffer is longer than the limit.
 */
#define HL_RULE_TOO_LONG 2

#define HL_RULE_ALIGNMENT 3

/*
 An offset or a length leads outside the buffer.
 */
#define HL_RULE_BOUNDS 4

#define HL_RULE_VTABLE 5

/*
 A field lies outside its table.
 */
#define HL_RULE_FIELD_BOUNDS 6

/*
 A required field is absent.
 */
#define HL_RULE_REQUIRED 7

#define HL_RULE_STRING_TERMINATOR 8

#define HL_RULE_UTF8 9

/*
 A union's tag is unknown, or tag and value do not go together.
 */
#define HL_RULE_UNION 10

#define HL_RULE_DEPTH 11

/*
 More tables, or more bytes by way of shared parts, than a buffer may have.
 */
#define HL_RULE_TABLES 12

#define HL_RULE_IDENTIFIER 13

/*
 A nested buffer is shorter than any is.
 */
#define HL_RULE_NESTED 14

/*
 A number is no value of its enum.
 */
#define HL_RULE_ENUM 15

/*
 A validated and compiled Wasm module, or a checked native guest; immutable.
 */
typedef struct hl_module hl_module;

/*
 One micro-VM with one guest. One thread at a time.
 */
typedef struct hl_sandbox hl_sandbox;

/*
 A booted module, frozen; immutable.
 */
typedef struct hl_template hl_template;

/*
 The rules of one schema, ready for use by any number of threads; immutable.
 */
typedef struct hl_verifier hl_verifier;

/*
 One Wasm value: the member that the declared type names is valid, the other bytes are zero on input and undefined
 on output.
 */
typedef union hl_value {
  int32_t i32;
  int64_t i64;
  uint32_t u32;
  uint64_t u64;
  float f32;
  double f64;
  uint8_t v128[16];
  /*
   Both halves, low first. Gives the union its alignment.
   */
  uint64_t raw[2];
} hl_value;

/*
 What this machine's KVM can do.
 */
typedef struct hl_probe_info {
  uint32_t size;
  /*
   1: sandboxes can be made here.
   */
  uint32_t kvm_ok;
  uint32_t api_version;
  /*
   Entries of the largest dirty ring; 0: none.
   */
  uint32_t dirty_ring;
  uint32_t sync_regs;
  uint32_t xsave;
  uint32_t manual_protect;
  /*
   CPUs that this process may use.
   */
  uint32_t cpus;
  /*
   One of `HL_E_*` when `kvm_ok` is 0.
   */
  uint32_t error_code;
  char message[1020];
} hl_probe_info;

/*
 Where a function leaves the reason of a failure. Set `size` to `sizeof(hl_error)` before the call.
 */
typedef struct hl_error {
  uint32_t size;
  /*
   One of `HL_E_*`; 0 before any failure.
   */
  uint32_t code;
  /*
   NUL-terminated UTF-8, cut at a character when too long.
   */
  char message[2040];
} hl_error;

/*
 How to load a module.
 */
typedef struct hl_module_options {
  uint32_t size;
  /*
   Must be 0.
   */
  uint32_t flags;
  /*
   Folder of compiled artifacts, made if it is missing; NULL: compile every time.
   */
  const char *cache_dir;
  /*
   Largest module that is accepted, in bytes; 0: 64 MiB.
   */
  uint64_t max_bytes;
} hl_module_options;

/*
 How a sandbox runs. A 0 means the default.
 */
typedef struct hl_sandbox_options {
  uint32_t size;
  /*
   One of `HL_TRANSPORT_*`.
   */
  uint32_t transport;
  /*
   One of `HL_RESET_*`.
   */
  uint32_t reset;
  /*
   CPU of the vCPU thread (spin); -1: choose.
   */
  int32_t cpu;
  /*
   Deadline of a call in microseconds: CPU time of the thread that runs the vCPU, and wall time; host functions
   are not counted. Default 1 s and 10 s.
   */
  uint64_t cpu_us;
  uint64_t wall_us;
  /*
   A call returns `HL_RUNNING` after so many microseconds, so that the caller can look at other things; 0: never.
   */
  uint64_t slice_us;
  /*
   Spin: the vCPU thread sleeps after so many microseconds without a call; default 20 ms.
   */
  uint64_t idle_us;
  /*
   Compare all guest memory with the snapshot after every so many resets; 0: never.
   */
  uint32_t verify_every;
  /*
   Must be 0.
   */
  uint32_t reserved;
} hl_sandbox_options;

/*
 A host call that waits for its answer, or one that was posted. Pointers are valid until the next call.
 */
typedef struct hl_hostcall_info {
  /*
   Position in the module's import list.
   */
  uint32_t import;
  uint32_t n_args;
  const union hl_value *args;
} hl_hostcall_info;

/*
 Why a call ended with `HL_TRAP`.
 */
typedef struct hl_trap_info {
  uint32_t size;
  /*
   One of `HL_TRAP_*`.
   */
  uint32_t kind;
  /*
   Wasm trap: wasmtime's code (0 stack overflow, 1 out-of-bounds memory access, ...), 1000 uncaught exception,
   1001 other. CPU exception: its vector.
   */
  uint32_t code;
  /*
   CPU exception: 1 when it is a page fault in the guard below the stack.
   */
  uint32_t stack_overflow;
  /*
   CPU exception: error code, faulting address (page faults), instruction address.
   */
  uint64_t error_code;
  uint64_t address;
  uint64_t rip;
  /*
   CPU exception: the stack pointer.
   */
  uint64_t rsp;
  /*
   Not NUL-terminated; valid until the next call.
   */
  const char *message;
  size_t message_len;
} hl_trap_info;

/*
 Counters of one sandbox.
 */
typedef struct hl_stats {
  uint32_t size;
  /*
   The transport in use, one of `HL_TRANSPORT_*`, never AUTO.
   */
  uint32_t transport;
  /*
   The tracking in use, one of `HL_TRACK_*`, never AUTO.
   */
  uint32_t tracking;
  uint32_t reset;
  uint64_t calls;
  uint64_t hostcalls;
  uint64_t posted;
  uint64_t traps;
  uint64_t timeouts;
  uint64_t resets;
  /*
   Pages copied by all resets, by the last one, and pages that the next one would copy.
   */
  uint64_t pages_restored;
  uint64_t last_pages;
  uint64_t hot_pages;
  /*
   Times that idle pages were taken out of the hot set.
   */
  uint64_t evictions;
  uint64_t verifies;
  uint64_t verify_failures;
  /*
   Times that the vCPU thread went to sleep (spin).
   */
  uint64_t parks;
  /*
   Waits that outlasted the busy look (spin), and those that outlasted the CPU deadline in wall time without
   being the guest's fault: another program has used the vCPU's CPU.
   */
  uint64_t slow_waits;
  uint64_t late_waits;
  uint64_t max_wait_ns;
  /*
   Times that the dirty ring was full.
   */
  uint64_t ring_full;
  /*
   Times that a call was ended from outside.
   */
  uint64_t kicks;
  /*
   Size of guest RAM; most of it is never touched.
   */
  uint64_t memory_bytes;
  /*
   CPU of the vCPU thread; -1 without one.
   */
  int32_t vcpu_cpu;
  uint32_t reserved;
} hl_stats;

/*
 What a template's guests may use. A 0 means the default.
 */
typedef struct hl_template_options {
  uint32_t size;
  /*
   One of `HL_TRACK_*`.
   */
  uint32_t tracking;
  /*
   Bytes of one linear memory at most; default 64 MiB, or the initial size if that is larger.
   */
  uint64_t memory_limit;
  /*
   Elements of one table at most; default 262144.
   */
  uint64_t table_limit;
  /*
   Wasm stack in bytes; default 512 KiB.
   */
  uint64_t stack_bytes;
  /*
   Deadline of instantiation and start function: CPU time and wall time in microseconds; default 5 s and 30 s.
   */
  uint64_t start_cpu_us;
  uint64_t start_wall_us;
  /*
   `hl_boot_run` returns `HL_RUNNING` after so many microseconds; 0: never.
   */
  uint64_t slice_us;
  /*
   Value of each imported global, in order; missing ones are zero.
   */
  const union hl_value *import_values;
  uint32_t n_import_values;
  /*
   Must be 0.
   */
  uint32_t reserved;
} hl_template_options;

/*
 What `hl_call_bytes` calls, and how: made once for an export, and used for many calls.
 */
typedef struct hl_bytes_call {
  uint32_t size;
  /*
   Position of the function in the export list; `n_args` values are in `args`.
   */
  uint32_t func;
  uint32_t n_args;
  /*
   The arguments at this position and the next become pointer and length of the bytes.
   */
  uint32_t vector_at;
  /*
   One of `HL_BYTES_*`: how the results stand for bytes.
   */
  uint32_t form;
  /*
   Position of the allocator in the export list: it gets `alloc_args`, of which the one at `alloc_len_at` becomes
   the length, and returns the address. HL_NO_ALLOCATOR: the bytes go to `scratch`.
   */
  uint32_t alloc_func;
  /*
   At most 8.
   */
  uint32_t n_alloc_args;
  uint32_t alloc_len_at;
  const union hl_value *args;
  const union hl_value *alloc_args;
  uint64_t scratch;
  /*
   Where the bytes that the call gives back are copied when they fit, beside `hl_result_bytes`; may be NULL.
   */
  uint8_t *out;
  uint64_t out_capacity;
  /*
   Set by each HL_DONE: the number of bytes, also when they did not fit.
   */
  uint64_t out_len;
} hl_bytes_call;

/*
 What a verifier accepts. A 0 means the default.
 */
typedef struct hl_verifier_options {
  uint32_t size;
  /*
   Tables inside each other at most; default and maximum 64.
   */
  uint32_t max_depth;
  /*
   Tables in a buffer at most, each counted as often as it is referred to; default 1 000 000.
   */
  uint64_t max_tables;
  /*
   Bytes of a buffer at most; default and maximum 2 GiB - 2.
   */
  uint64_t max_bytes;
} hl_verifier_options;

/*
 The first rule that a buffer breaks. Set `size` to `sizeof(hl_wire_fault)` before the call.
 */
typedef struct hl_wire_fault {
  uint32_t size;
  /*
   One of `HL_RULE_*`; 0: none.
   */
  int32_t rule;
  /*
   Where, in bytes from the start of the buffer.
   */
  uint64_t offset;
  /*
   The field, "headers[2].name"; "" is the root. NUL-terminated UTF-8, cut at a character when too long.
   */
  char path[2032];
} hl_wire_fault;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes `n` calls and writes the nanoseconds of each to `samples`. Each one writes `input` to `input_ptr` of the
 default memory first (when `input_len` is not 0), answers host calls with zeros, and resets with HL_CALL_RESET.
 HL_DONE, or the first status that is not an end of a call (HL_TRAP and HL_TIMEOUT are followed by a reset and do
 not end the loop).
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

/*
 Measures what no sandbox can be faster than: `what` is one of HL_FLOOR_*. HL_DONE, or the status that stopped it.
 */
int32_t hl_measure_floor(struct hl_sandbox *sandbox,
                         uint32_t what,
                         uint32_t n,
                         uint64_t *samples);

/*
 Size of a memory in bytes. `memory`: position in the export list, or HL_DEFAULT_MEMORY. 0, or -1 when it is no
 memory or a call runs.
 */
int32_t hl_mem_size(struct hl_sandbox *sandbox,
                    uint32_t memory,
                    uint64_t *bytes);

/*
 `len` bytes at `ptr` of a memory, in place; NULL when they are out of range. Valid until the next call, resume or
 reset. Bytes are the guest's: copy, then check, then use.
 */
const uint8_t *hl_mem(struct hl_sandbox *sandbox,
                      uint32_t memory,
                      uint64_t ptr,
                      uint64_t len);

/*
 Copies `len` bytes at `ptr` of a memory to `to`. 0, or -1 when they are out of range; nothing was copied then.
 */
int32_t hl_mem_read(struct hl_sandbox *sandbox,
                    uint32_t memory,
                    uint64_t ptr,
                    uint8_t *to,
                    uint64_t len);

/*
 Copies `len` bytes to `ptr` of a memory; they are part of the state that a reset wipes. 0, or -1 when they do not
 fit; nothing was written then.
 */
int32_t hl_mem_write(struct hl_sandbox *sandbox,
                     uint32_t memory,
                     uint64_t ptr,
                     const uint8_t *from,
                     uint64_t len);

/*
 Reads an exported global. 0, or -1 (no global there, a reference, or a call runs).
 */
int32_t hl_global_get(struct hl_sandbox *sandbox, uint32_t global, union hl_value *out);

/*
 Writes an exported mutable global. 0, or -1 (immutable, no global there, a reference, or a call runs).
 */
int32_t hl_global_set(struct hl_sandbox *sandbox, uint32_t global, const union hl_value *value);

/*
 Number of pages of guest RAM that differ from the snapshot right now; -1 when that cannot be said.
 */
int64_t hl_verify(struct hl_sandbox *sandbox);

/*
 A hash of a region (HL_REGION_*) of guest RAM; equal for equal content within one process. 0, or -1.
 */
int32_t hl_ram_hash(struct hl_sandbox *sandbox, uint32_t region, uint64_t *hash);

/*
 `HL_ABI_VERSION` of the library.
 */
uint32_t hl_abi_version(void);

/*
 The library's version, for people.
 */
const char *hl_version(void);

/*
 Release of wasmtime that compiles modules and runs them inside the VM. The caller frees it with `hl_string_free`.
 */
char *hl_wasmtime_version(void);

/*
 Says what this machine's KVM can do. Always returns 0.
 */
int32_t hl_probe(struct hl_probe_info *out);

/*
 Describes a module without compiling it: 0 and a JSON text (shape `hlfuzz.module/1`) that the caller frees with
 `hl_string_free`, or -1 and `*error`.
 */
int32_t hl_inspect(const uint8_t *wasm,
                   size_t len,
                   char **json,
                   struct hl_error *error);

/*
 Frees a string that this library has returned as `char *`.
 */
void hl_string_free(char *text);

/*
 Validates and compiles a module, or takes its artifact from the cache. NULL and `*error` when it is refused.
 */
struct hl_module *hl_module_new(const uint8_t *wasm,
                                size_t len,
                                const struct hl_module_options *given,
                                struct hl_error *error);

/*
 The JSON of `hl_inspect` with `artifact_bytes` and `cache`, or of `hl_inspect_elf`; valid as long as the module.
 */
const char *hl_module_json(const struct hl_module *module);

/*
 Frees a module. Templates made from it live on.
 */
void hl_module_free(struct hl_module *module);

/*
 Checks and describes a native guest (an ELF program, see `docs/native-guests.md`): 0 and a JSON text of the shape that
 `hl_inspect` gives, with the feature `native` and the text of its handshake, that the caller frees with
 `hl_string_free`; or -1 and `*error` (HL_E_NOT_NATIVE).
 */
int32_t hl_inspect_elf(const uint8_t *elf,
                       size_t len,
                       char **json,
                       struct hl_error *error);

/*
 Checks a native guest and keeps a copy of its bytes. It is used like a Wasm module, always with HL_RESET_STRICT.
 `cache_dir` is not used. NULL and `*error` (HL_E_NOT_NATIVE, HL_E_TOO_LARGE, HL_E_ARGUMENT) when it is refused.
 */
struct hl_module *hl_module_new_elf(const uint8_t *elf,
                                    size_t len,
                                    const struct hl_module_options *given,
                                    struct hl_error *error);

/*
 A sandbox at the template's snapshot. NULL and `*error` when it cannot be made.
 */
struct hl_sandbox *hl_sandbox_new(const struct hl_template *template_,
                                  const struct hl_sandbox_options *given,
                                  struct hl_error *error);

/*
 Closes a sandbox, in whatever state. In a forked child it only lets go of it.
 */
void hl_sandbox_close(struct hl_sandbox *sandbox);

/*
 Calls the exported function at position `func` of the module's export list (all exports count). Returns one of
 HL_DONE, HL_HOSTCALL, HL_TRAP, HL_TIMEOUT, HL_DEAD, HL_BUSY, HL_RUNNING, HL_INVALID. `flags`: 0 or HL_CALL_RESET.
 While a host call waits this is a nested call, at most 16 deep, and the flag is ignored.
 */
int32_t hl_call(struct hl_sandbox *sandbox,
                uint32_t func,
                const union hl_value *args,
                uint32_t n_args,
                uint32_t flags);

/*
 Answers the waiting host call with its results. Returns as `hl_call`.
 */
int32_t hl_resume(struct hl_sandbox *sandbox, const union hl_value *results, uint32_t n);

/*
 Says that the waiting host call failed; the guest unwinds and the call ends with HL_TRAP of kind HL_TRAP_HOST and
 this message. Returns as `hl_call`.
 */
int32_t hl_fail(struct hl_sandbox *sandbox,
                const char *message,
                size_t len);

/*
 Waits on after HL_RUNNING. Returns as `hl_call`.
 */
int32_t hl_wait(struct hl_sandbox *sandbox);

/*
 Ends the call that runs (HL_RUNNING) or waits (HL_HOSTCALL), with all calls round it, and restores the snapshot.
 HL_DONE, or HL_DEAD.
 */
int32_t hl_kill(struct hl_sandbox *sandbox);

/*
 Brings the sandbox back to its snapshot. HL_DONE, HL_BUSY while a call runs or waits, or HL_DEAD.
 */
int32_t hl_reset(struct hl_sandbox *sandbox);

/*
 Results of the last call that ended with HL_DONE: `*n` values, valid until the next call.
 */
const union hl_value *hl_results(const struct hl_sandbox *sandbox, uint32_t *n);

/*
 The host call that waits. 0, or -1 when none does.
 */
int32_t hl_hostcall(const struct hl_sandbox *sandbox, struct hl_hostcall_info *out);

/*
 How the guest makes calls of an import without results: `mode` 0 asks and waits; 1 posts: the call is queued and
 handed over with the end of the call (or with the next host call), which saves an exchange; 2 posts with a copy of
 the bytes that parameters `ptr_param` and `ptr_param + 1` name. Posted calls that do not fit the queue are made the
 ordinary way, so be ready for both. HL_DONE or HL_INVALID.
 */
int32_t hl_posted_mode(struct hl_sandbox *sandbox,
                       uint32_t import,
                       uint32_t mode,
                       uint32_t ptr_param);

/*
 Number of posted calls that came with the last status, in order.
 */
uint32_t hl_posted_count(const struct hl_sandbox *sandbox);

/*
 Posted call `i`: 0, or -1 when there is none. `*bytes` and `*len` (may be NULL) get the copied bytes of mode 2.
 */
int32_t hl_posted(const struct hl_sandbox *sandbox,
                  uint32_t i,
                  struct hl_hostcall_info *out,
                  const uint8_t **bytes,
                  size_t *len);

/*
 Describes the last HL_TRAP. 0, or -1 when there was none.
 */
int32_t hl_trap(struct hl_sandbox *sandbox, struct hl_trap_info *out);

/*
 Why the last status was HL_DEAD or HL_INVALID. Valid until the next call.
 */
const char *hl_message(struct hl_sandbox *sandbox);

/*
 Another deadline for the calls that follow; a 0 means the default.
 */
int32_t hl_set_deadline(struct hl_sandbox *sandbox, uint64_t cpu_us, uint64_t wall_us);

/*
 Fills `*out`. 0, or -1 for NULL.
 */
int32_t hl_stats_get(const struct hl_sandbox *sandbox, struct hl_stats *out);

/*
 For tests of tests: damages the reset of this sandbox (bits HL_FAULT_*), so that a check can be seen to notice.
 */
int32_t hl_test_fault(struct hl_sandbox *sandbox,
                      uint32_t faults);

/*
 Boots a module and freezes it: instantiates it, runs its start function and `_initialize`. For modules whose start
 function calls imports use `hl_boot_new`. NULL and `*error` when that fails.
 */
struct hl_template *hl_template_new(const struct hl_module *module,
                                    const struct hl_template_options *given,
                                    struct hl_error *error);

/*
 Frees a template once its sandboxes are closed too; may be called before.
 */
void hl_template_free(struct hl_template *template_);

/*
 A VM that is about to instantiate a module. `hl_boot_run` starts it and ends like a call, so that a start function
 may call imports; `hl_boot_finish` freezes it. Close it with `hl_sandbox_close`.
 */
struct hl_sandbox *hl_boot_new(const struct hl_module *module,
                               const struct hl_template_options *given,
                               struct hl_error *error);

/*
 Instantiates: a status as of `hl_call`.
 */
int32_t hl_boot_run(struct hl_sandbox *sandbox);

/*
 Freezes the VM after `hl_boot_run` (or the `hl_resume` that followed it) has ended with HL_DONE. The sandbox cannot
 be called any more and must still be closed. NULL and `*error` when it has not come to its end, or failed.
 */
struct hl_template *hl_boot_finish(struct hl_sandbox *sandbox,
                                   struct hl_error *error);

/*
 Calls an export with `len` bytes in guest memory (the default, 32-bit one): room from the guest's allocator, copy,
 call. Returns as `hl_call`, and never while a call is open (HL_BUSY). With HL_DONE the bytes that the results stand
 for are in `hl_result_bytes`; an allocator or results that name bytes outside memory are HL_TRAP of kind
 HL_TRAP_VECTOR. `flags` as in `hl_call`. `call` and `data` need not outlive this function. When the call comes back
 with HL_HOSTCALL or HL_RUNNING and ends later, its bytes are in `hl_result_bytes` only.
 */
int32_t hl_call_bytes(struct hl_sandbox *sandbox,
                      struct hl_bytes_call *call,
                      const uint8_t *data,
                      size_t len,
                      uint32_t flags);

/*
 The bytes that the last `hl_call_bytes` with HL_DONE gave back: `*len` of them, a copy, valid until the next call.
 */
const uint8_t *hl_result_bytes(struct hl_sandbox *sandbox,
                               uint64_t *len);

/*
 Makes a verifier from a verification program, whose bytes may come from anywhere: all of them are checked. NULL and
 `*error` when it is refused.
 */
struct hl_verifier *hl_verifier_new(const uint8_t *program,
                                    size_t len,
                                    const struct hl_verifier_options *given,
                                    struct hl_error *error);

/*
 Index of the table with this full name ("net.v1.Request"), or -1 when the schema has none.
 */
int32_t hl_verifier_root(const struct hl_verifier *verifier, const char *name);

/*
 Verifies a buffer whose root is table number `root`: 0, then everything in it can be read without looking again, or
 the rule that it breaks first (`HL_RULE_*`), with `*fault` filled in unless that is NULL. -1: wrong arguments.
 Nobody may change the bytes meanwhile, nor before they are read: copy them out of a guest's memory first.
 */
int32_t hl_verifier_check(const struct hl_verifier *verifier,
                          uint32_t root,
                          const uint8_t *data,
                          size_t len,
                          struct hl_wire_fault *fault);

/*
 Verifies `count` buffers that lie end to end in `data`, `lengths[i]` bytes each, with the same root. Returns how many
 keep every rule; unless `rules` is NULL, `rules[i]` becomes what `hl_verifier_check` returns for buffer i.
 */
size_t hl_verifier_check_many(const struct hl_verifier *verifier,
                              uint32_t root,
                              const uint8_t *data,
                              const size_t *lengths,
                              size_t count,
                              int32_t *rules);

/*
 Frees a verifier.
 */
void hl_verifier_free(struct hl_verifier *verifier);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HLFUZZ_H */
