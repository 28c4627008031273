//! The guest-physical map. Virtual addresses equal physical ones everywhere.
//!
//! ```text
//! 0x0000_0000  null page, never mapped
//! 0x0000_1000  page-table root, GDT, IDT, TSS, exception stubs, ring-0 stack      supervisor only
//! 0x0001_0000  page-table pool                                                    supervisor only
//! 0x001f_f000  boot record                                                        read-only
//! 0x0020_0000  runtime: text R-X, rodata R--
//!              guard (all that is left of the gap), stack                          RW-
//! 0x0080_0000  runtime: hot page (end of the stack, then what every call writes), data, bss    RW-
//!              guard, artifact (text R-X, rest R--), guard, heap, guard, linear-memory arena    RW- unless said
//! 0x1_0000_0000  mailbox: a memslot of its own, never restored                    RW-
//! 0x2_0000_0000  doorbell: mapped, but no memslot behind it: a store exits
//! ```

pub const PAGE: u64 = 4096;

pub const PML4: u64 = 0x1000;
pub const GDT: u64 = 0x5000;
pub const IDT: u64 = 0x6000;
pub const TSS: u64 = 0x7000;
pub const STUBS: u64 = 0x8000;
/// Ring-0 stack: one page, `RING0_STACK_TOP` is its end.
pub const RING0_STACK: u64 = 0x9000;
pub const RING0_STACK_TOP: u64 = 0xa000;

pub const TABLE_POOL: u64 = 0x1_0000;
pub const TABLE_POOL_END: u64 = 0x1f_f000;

pub const BOOT: u64 = 0x1f_f000;
/// Where the runtime is linked (crates/guest/guest.ld says the same number; the loader checks it).
pub const RUNTIME: u64 = 0x20_0000;

/// Where the runtime's writable segment begins, with its hot page. The stack lies directly below and ends inside that
/// page, so that a small call dirties one page: a reset copies what was written, page by page.
pub const RUNTIME_DATA: u64 = 0x80_0000;
/// Bytes of the hot page that belong to the stack.
pub const HOT_STACK: u64 = 2048;
/// Largest stack, native frames of the runtime included; what is left of the gap below it is guard.
pub const STACK_MAX: u64 = 4 << 20;

pub const MAILBOX: u64 = 0x1_0000_0000;
pub const DOORBELL: u64 = 0x2_0000_0000;

/// The largest guest RAM whose page tables fit the pool (one table page maps 2 MiB; 16 are left for upper levels).
pub const RAM_MAX: u64 = ((TABLE_POOL_END - TABLE_POOL) / PAGE - 16) * (2 << 20);

const _: () = assert!(RAM_MAX < MAILBOX && RUNTIME + (1 << 20) < RUNTIME_DATA - STACK_MAX);

/// Port that an exception stub writes its vector to.
pub const EXCEPTION_PORT: u8 = 0x10;
