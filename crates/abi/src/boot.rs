//! The boot record: what the host tells the runtime before its first instruction.

/// Lives at [`crate::map::BOOT`], read-only for the guest. Addresses are guest addresses, lengths bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    pub heap: u64,
    pub heap_len: u64,
    pub artifact: u64,
    pub artifact_len: u64,
    /// Linear memories are placed here, so that growing one never moves it.
    pub arena: u64,
    pub arena_len: u64,
    /// Largest size of one linear memory.
    pub memory_limit: u64,
    /// Largest number of elements of one table.
    pub table_limit: u64,
    /// Wasm stack; the native stack below it is larger.
    pub wasm_stack: u64,
    /// Bits of [`boot_flag`].
    pub flags: u64,
}

/// `Boot::flags`.
pub mod boot_flag {
    /// `memory.grow` and `table.grow` beyond the limits trap, and do not return -1.
    pub const GROW_TRAPS: u64 = 1;
}

/// Linear memories that [`Windows`] has room for.
pub const WINDOWS: usize = 31;

/// Where the module's own linear memories are and how long, at the start of the runtime's heap: for whoever looks at a
/// crashed guest from outside. The runtime writes it when a memory is made and when it grows; a reset takes that back.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    pub count: u64,
    /// Address and bytes.
    pub memories: [[u64; 2]; WINDOWS],
}

const _: () = assert!(size_of::<Boot>() == 80 && size_of::<Windows>() == 504);
