//! The numbers of the C API.

/// Version of this interface. A library with the same number can be used with this header.
pub const HL_ABI_VERSION: u32 = 1;

/// The call has ended; its results are in `hl_results`.
pub const HL_DONE: i32 = 1;
/// The guest called an import: look at `hl_hostcall`, then `hl_resume` or `hl_fail`. Nested calls into the guest are
/// allowed meanwhile.
pub const HL_HOSTCALL: i32 = 2;
/// The call ended in a trap, see `hl_trap`. A reset makes the sandbox usable again.
pub const HL_TRAP: i32 = 3;
/// The call was ended at its deadline; the sandbox is at its snapshot already.
pub const HL_TIMEOUT: i32 = 4;
/// The sandbox cannot go on (`hl_message` says why); close it. Also every use in a forked child.
pub const HL_DEAD: i32 = 5;
/// Not possible while a call runs or waits, or without one; nothing was done.
pub const HL_BUSY: i32 = 6;
/// Only with `slice_us`: the call still runs; `hl_wait` or `hl_kill`.
pub const HL_RUNNING: i32 = 7;
/// Wrong arguments (`hl_message` says which); nothing was done.
pub const HL_INVALID: i32 = 8;

/// `hl_error.code`: an argument is wrong; the message says which and what it may be.
pub const HL_E_ARGUMENT: u32 = 1;
/// The bytes are no Wasm module.
pub const HL_E_NOT_WASM: u32 = 2;
/// The bytes are a Wasm component; only core modules run here.
pub const HL_E_COMPONENT: u32 = 3;
/// The module breaks a rule of Wasm; the message says where.
pub const HL_E_INVALID_MODULE: u32 = 4;
/// The module uses a Wasm feature that the runtime lacks; the message names it.
pub const HL_E_UNSUPPORTED: u32 = 5;
/// The module is larger than `max_bytes`, or than the VM can hold.
pub const HL_E_TOO_LARGE: u32 = 6;
/// The module needs more memory or table elements than the limit.
pub const HL_E_LIMIT: u32 = 7;
/// This machine has no usable /dev/kvm.
pub const HL_E_NO_KVM: u32 = 8;
/// /dev/kvm is there and this user may not open it.
pub const HL_E_PERMISSION: u32 = 9;
/// A KVM operation failed; the message names it.
pub const HL_E_KVM: u32 = 10;
/// The system has no memory, threads or timers left for it.
pub const HL_E_OUT_OF_MEMORY: u32 = 11;
/// The process or the system has no file descriptors left for it.
pub const HL_E_OUT_OF_FDS: u32 = 12;
/// The compiled artifact or the runtime is damaged.
pub const HL_E_ARTIFACT: u32 = 13;
/// The module's start function or `_initialize` trapped.
pub const HL_E_START_TRAPPED: u32 = 14;
/// The module's start function or `_initialize` did not end within its deadline.
pub const HL_E_START_TIMEOUT: u32 = 15;
/// The start function calls an import: use `hl_boot_new`.
pub const HL_E_START_HOSTCALL: u32 = 16;
/// A file cannot be read or written.
pub const HL_E_IO: u32 = 17;
/// The spin transport was asked for and no second CPU is free.
pub const HL_E_CPU: u32 = 18;
/// The object belongs to the parent process.
pub const HL_E_FORKED: u32 = 19;
/// A defect of this library, or a signal storm; please report it.
pub const HL_E_INTERNAL: u32 = 20;
/// The bytes are no native guest: not an ELF program of the right kind, or one that asks for what it cannot have.
pub const HL_E_NOT_NATIVE: u32 = 21;
/// `hl_snapshot_load`: not a file that `hl_snapshot_save` wrote.
pub const HL_E_NOT_SNAPSHOT: u32 = 30;
/// The snapshot file is of another version of the format or of hlfuzz.
pub const HL_E_SNAPSHOT_VERSION: u32 = 31;
/// The file ends before what it announces.
pub const HL_E_SNAPSHOT_TRUNCATED: u32 = 32;
/// The content of the file is not what was written.
pub const HL_E_SNAPSHOT_DAMAGED: u32 = 33;
/// The snapshot file is of another guest, or of this one under other limits or imported globals.
pub const HL_E_SNAPSHOT_GUEST: u32 = 34;
/// The snapshot file needs another CPU.
pub const HL_E_SNAPSHOT_CPU: u32 = 35;
/// The snapshot file holds more than the guest can have.
pub const HL_E_SNAPSHOT_TOO_LARGE: u32 = 36;
/// The snapshot file cannot be read or written.
pub const HL_E_SNAPSHOT_IO: u32 = 37;

/// Spin for `HL_RESET_MEMORY` where two CPUs are free, else exit.
pub const HL_TRANSPORT_AUTO: u32 = 0;
/// The vCPU has a thread and a CPU of its own and never leaves guest code.
pub const HL_TRANSPORT_SPIN: u32 = 1;
/// The caller's thread runs the vCPU; no thread is made.
pub const HL_TRANSPORT_EXIT: u32 = 2;

/// Memory and every register that a guest can change.
pub const HL_RESET_STRICT: u32 = 0;
/// Memory only: sound while the runtime inside the VM is intact.
pub const HL_RESET_MEMORY: u32 = 1;

/// The dirty ring where KVM has it, else the dirty log.
pub const HL_TRACK_AUTO: u32 = 0;
/// KVM's dirty ring.
pub const HL_TRACK_RING: u32 = 1;
/// KVM's dirty log: a system call a reset.
pub const HL_TRACK_LOG: u32 = 2;

/// Flag of `hl_snapshot_save`: compress with zstd.
pub const HL_SAVE_COMPRESSED: u32 = 1;

/// Flag of `hl_call`: when the call ends, reset before returning. Results, posted calls and the trap's description
/// were copied before.
pub const HL_CALL_RESET: u32 = 1;

/// A Wasm trap.
pub const HL_TRAP_WASM: u32 = 1;
/// The host function failed (`hl_fail`).
pub const HL_TRAP_HOST: u32 = 2;
/// A CPU exception that no Wasm code can cause; the sandbox was restored.
pub const HL_TRAP_EXCEPTION: u32 = 3;
/// The runtime inside the VM gave up; the sandbox was restored.
pub const HL_TRAP_RUNTIME: u32 = 4;
/// The guest side broke the protocol; the sandbox was restored.
pub const HL_TRAP_ABI: u32 = 5;
/// `hl_call_bytes`: the allocator or the results name bytes outside memory.
pub const HL_TRAP_VECTOR: u32 = 6;
/// The call wanted more than its limits allow; the sandbox was restored, with every open call ended.
pub const HL_TRAP_LIMIT: u32 = 7;

/// Which limit, in `hl_trap_info.code` of a HL_TRAP_LIMIT: `hostcall_limit`.
pub const HL_LIMIT_HOSTCALLS: u32 = 1;
/// `output_limit`.
pub const HL_LIMIT_OUTPUT: u32 = 2;

/// Flag of `hl_template_options`: growing a memory or table beyond its limit traps (codes 1002 and 1003), and does not
/// return -1 to the guest.
pub const HL_TEMPLATE_GROW_TRAPS: u32 = 1;

/// The results of a byte-vector call do not stand for bytes.
pub const HL_BYTES_NONE: u32 = 0;
/// Two results: pointer and length.
pub const HL_BYTES_PAIR: u32 = 1;
/// One i64 result: pointer << 32 | length.
pub const HL_BYTES_PACKED: u32 = 2;
/// One result: the length of what replaced the argument.
pub const HL_BYTES_INPLACE: u32 = 3;
/// `hl_bytes_call`: there is no allocator, the bytes go to a fixed address.
pub const HL_NO_ALLOCATOR: u32 = u32::MAX;

/// The default memory: the export "memory", else the first exported one.
pub const HL_DEFAULT_MEMORY: u32 = u32::MAX;

/// Regions of `hl_ram_hash`: all of guest RAM.
pub const HL_REGION_ALL: u32 = 0;
/// Page tables, descriptor tables, exception stubs, boot record.
pub const HL_REGION_SYSTEM: u32 = 1;
/// Text of the runtime and of the compiled module.
pub const HL_REGION_TEXT: u32 = 2;
/// `hl_ram_find`: the mailbox, which is no part of guest RAM.
pub const HL_REGION_MAILBOX: u32 = 3;
/// All that the guest may not write; only for `hl_differences`.
pub const HL_REGION_READ_ONLY: u32 = 4;
/// The snapshot itself, which all sandboxes of a template share; only for `hl_ram_hash`.
pub const HL_REGION_SNAPSHOT: u32 = 5;
/// `hl_difference.memory`: it lies in no linear memory.
pub const HL_NO_MEMORY: u32 = u32::MAX;

/// Bits of `hl_test_fault`: the reset leaves one dirty page alone.
pub const HL_FAULT_SKIP_PAGE: u32 = 1;
/// The reset forgets registers.
pub const HL_FAULT_FORGET_REGISTERS: u32 = 2;
/// The reset forgets pages that the snapshot has no data for.
pub const HL_FAULT_FORGET_NEW_PAGES: u32 = 4;
/// The reset does nothing.
pub const HL_FAULT_NO_RESET: u32 = 8;
/// A strict reset leaves the mailbox alone.
pub const HL_FAULT_FORGET_MAILBOX: u32 = 16;
/// A strict reset leaves x87, SSE and AVX state alone.
pub const HL_FAULT_FORGET_VECTORS: u32 = 32;
/// A strict reset leaves MXCSR alone.
pub const HL_FAULT_FORGET_MXCSR: u32 = 64;
/// After a reset the host goes on saying how large the default memory was.
pub const HL_FAULT_FORGET_SIZE: u32 = 128;
/// The first page of memory, of a native guest the last of its heap, is one with every other sandbox of this process that
/// has this fault.
pub const HL_FAULT_SHARE_PAGE: u32 = 256;
/// Each reset changes a byte of code.
pub const HL_FAULT_SPOIL_TEXT: u32 = 512;
/// Each reset changes a bit in a page table.
pub const HL_FAULT_SPOIL_TABLES: u32 = 1024;
/// Each reset changes a byte of the snapshot, which other sandboxes have too.
pub const HL_FAULT_SPOIL_SNAPSHOT: u32 = 2048;
/// Data selectors that the guest loads stay in the thread that runs it, until the sandbox is closed.
pub const HL_FAULT_KEEP_SELECTORS: u32 = 4096;
/// A reset leaves alone what the host wrote to guest memory.
pub const HL_FAULT_FORGET_HOST_WRITES: u32 = 8192;
/// What restores a sandbox after a crash or a deadline leaves x87, SSE and AVX state alone.
pub const HL_FAULT_FORGET_VECTORS_AFTER_CRASH: u32 = 16384;
/// The vCPU thread of the spin transport takes an interruption that it was not told of for the end of the guest.
pub const HL_FAULT_INTERRUPTION_ENDS: u32 = 32768;

/// A byte-vector call reads the length of its result once to check it and once more to use it.
pub const HL_FAULT_READ_TWICE: u32 = 1 << 16;
/// A byte-vector call takes bytes from anywhere in guest RAM.
pub const HL_FAULT_NO_BOUNDS: u32 = 1 << 17;

/// `hl_test_change.what`: the guest's answer: import of a host call, code of a trap, or address of a vector.
pub const HL_SHARED_AUX: u32 = 1;
/// The guest's answer: how many values.
pub const HL_SHARED_COUNT: u32 = 2;
/// The guest's answer: bytes of posted host calls.
pub const HL_SHARED_POSTED: u32 = 3;
/// The guest's answer: where its default memory lies in RAM.
pub const HL_SHARED_MEMORY: u32 = 4;
/// The guest's answer: how long its default memory is.
pub const HL_SHARED_MEMORY_LEN: u32 = 5;
/// The guest's answer: results, or arguments of a host call, 16 bytes each.
pub const HL_SHARED_VALUES: u32 = 6;
/// The length of the text of a failure.
pub const HL_SHARED_TEXT_LEN: u32 = 7;
/// The text of a failure.
pub const HL_SHARED_TEXT: u32 = 8;
/// Posted host calls.
pub const HL_SHARED_QUEUE: u32 = 9;
/// What the host has asked of a byte vector.
pub const HL_SHARED_VECTOR_HEAD: u32 = 10;
/// The default memory, by the guest's own addresses.
pub const HL_SHARED_GUEST: u32 = 11;
/// `hl_test_change.at_read`: a second thread makes the change, on and on.
pub const HL_ALWAYS: u64 = u64::MAX;

/// Bits of `hl_test_inject`: KVM operations that make, describe or change a VM.
pub const HL_POINT_KVM: u32 = 1;
/// Running the vCPU.
pub const HL_POINT_RUN: u32 = 2;
/// Mapping memory, and the memory file of a snapshot.
pub const HL_POINT_MEMORY: u32 = 4;
/// The deadline's timer.
pub const HL_POINT_TIMER: u32 = 8;
/// Writing a snapshot file.
pub const HL_POINT_FILE: u32 = 16;
/// `hl_test_inject`, in the place of an errno: a kick.
pub const HL_KICK: i32 = -1;

/// What `hl_measure_floor` measures: reading the clock.
pub const HL_FLOOR_CLOCK: u32 = 1;
/// An empty request through the mailbox, in the sandbox's transport: the bare exchange, or the doorbell exit.
pub const HL_FLOOR_EXCHANGE: u32 = 2;
/// Creating a VM with a vCPU over the guest's memory, and closing it.
pub const HL_FLOOR_VM_CREATE: u32 = 3;
/// Copying one page that is in the cache.
pub const HL_FLOOR_PAGE_COPY: u32 = 4;

/// Rules of `hl_verifier_check`: the buffer is shorter than any is.
pub const HL_RULE_TOO_SHORT: i32 = 1;
/// The buffer is longer than the limit.
pub const HL_RULE_TOO_LONG: i32 = 2;
/// A value does not lie at a multiple of its size.
pub const HL_RULE_ALIGNMENT: i32 = 3;
/// An offset or a length leads outside the buffer.
pub const HL_RULE_BOUNDS: i32 = 4;
/// A table's vtable is not whole, or its size is wrong.
pub const HL_RULE_VTABLE: i32 = 5;
/// A field lies outside its table.
pub const HL_RULE_FIELD_BOUNDS: i32 = 6;
/// A required field is absent.
pub const HL_RULE_REQUIRED: i32 = 7;
/// A string has no NUL behind it.
pub const HL_RULE_STRING_TERMINATOR: i32 = 8;
/// A string is no UTF-8.
pub const HL_RULE_UTF8: i32 = 9;
/// A union's tag is unknown, or tag and value do not go together.
pub const HL_RULE_UNION: i32 = 10;
/// Tables nest deeper than the limit.
pub const HL_RULE_DEPTH: i32 = 11;
/// More tables, or more bytes by way of shared parts, than a buffer may have.
pub const HL_RULE_TABLES: i32 = 12;
/// The file identifier is not the schema's.
pub const HL_RULE_IDENTIFIER: i32 = 13;
/// A nested buffer is shorter than any is.
pub const HL_RULE_NESTED: i32 = 14;
/// A number is no value of its enum.
pub const HL_RULE_ENUM: i32 = 15;

/// `hl_frame`: the frame is native code.
pub const HL_NATIVE: u32 = u32::MAX;
