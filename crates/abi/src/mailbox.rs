//! The mailbox: the only memory that both sides write. It is never part of a snapshot and never restored.
//!
//! Each direction has one block whose first cache line carries the word that hands it over, the header and the
//! first values, so that a small call costs one line each way. The host reads each field once, into private
//! memory, and trusts none of them.

use core::mem::offset_of;
use core::sync::atomic::AtomicU32;

/// One Wasm value: i32, i64, f32, f64 in the low bytes, or a v128; little endian.
pub type Value = [u64; 2];

/// Wasm limits a function to 1000 parameters and 1000 results (implementation limits of the JS API, which
/// every validator enforces), so a block always holds them.
pub const MAX_VALUES: usize = 1000;

/// Frames that an answer `TRAP` carries at most, innermost first, as values: function index, and offset of the instruction
/// in the module or `u64::MAX`.
pub const MAX_FRAMES: usize = 32;

pub const TEXT_BYTES: usize = 4096 - 8;
pub const POSTED_MODES: usize = 4096;
pub const POSTED_BYTES: usize = 64 * 1024;

/// Host to guest.
#[repr(C, align(4096))]
pub struct ToGuest {
    /// An `op`, or 0. Written last by the host, cleared by the guest.
    pub word: AtomicU32,
    pub index: u32,
    pub n: u32,
    pub reserved: u32,
    pub values: [Value; MAX_VALUES],
}

/// Guest to host.
#[repr(C, align(4096))]
pub struct FromGuest {
    /// An `answer`, or 0. Written last by the guest, cleared by the host.
    pub word: AtomicU32,
    pub aux: u32,
    pub n: u32,
    /// Bytes used in `Mailbox::posted`.
    pub posted: u32,
    /// Address and length of the default exported memory at this moment; 0, 0 where there is none.
    pub memory: u64,
    pub memory_len: u64,
    pub values: [Value; MAX_VALUES],
}

/// Written by the host only, between calls.
#[repr(C, align(4096))]
pub struct Control {
    pub transport: u32,
    pub reserved: u32,
    /// TSC ticks without a request after which a spinning guest rings `bell::IDLE`.
    pub idle_ticks: u64,
}

/// Head of one entry of the posted queue; `n` values and `bytes` bytes follow, padded to 16.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PostedHeader {
    pub import: u32,
    pub n: u32,
    pub bytes: u32,
    pub reserved: u32,
}

#[repr(C, align(4096))]
pub struct Text {
    pub len: u32,
    pub reserved: u32,
    pub bytes: [u8; TEXT_BYTES],
}

/// Bytes that one `op::BYTES` carries; longer vectors are written to guest RAM by the host.
pub const VECTOR_BYTES: usize = 64 * 1024 - size_of::<VectorHead>();
/// `op::BYTES` is for functions with at most this many parameters.
pub const VECTOR_PARAMS: usize = 16;
/// Arguments of an allocator at most.
pub const VECTOR_ALLOC_ARGS: usize = 4;
/// `VectorHead::alloc`: none, the bytes go to `scratch`.
pub const NO_ALLOCATOR: u32 = u32::MAX;

/// What `op::BYTES` does before the call: the export `alloc` is called with `n_alloc` of `alloc_args`, `len` bytes are
/// copied where it says, and the arguments at `at` and `at + 1` become their address and length. One cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct VectorHead {
    pub alloc: u32,
    pub n_alloc: u32,
    pub at: u32,
    pub len: u32,
    pub scratch: u64,
    pub alloc_args: [u64; VECTOR_ALLOC_ARGS],
    /// 0. With it no byte is padding, which would carry what the host's stack held to the guest.
    pub reserved: u64,
}

/// Host to guest: the byte vector of a request `op::BYTES`. With its answer `DONE` `FromGuest::aux` is the address.
#[repr(C, align(4096))]
pub struct VectorArea {
    pub head: VectorHead,
    pub data: [u8; VECTOR_BYTES],
}

#[repr(C, align(4096))]
pub struct Mailbox {
    pub to_guest: ToGuest,
    pub from_guest: FromGuest,
    pub control: Control,
    pub text: Text,
    /// For each import: 0 = call, 1 = posted, 2 + k = posted with the bytes that parameters k and k+1 name.
    pub posted_modes: [u8; POSTED_MODES],
    pub posted: [u8; POSTED_BYTES],
    pub vector: VectorArea,
}

const _: () = {
    assert!(offset_of!(ToGuest, values) == 16);
    assert!(offset_of!(FromGuest, values) == 32);
    assert!(size_of::<ToGuest>() == 0x4000);
    assert!(size_of::<FromGuest>() == 0x4000);
    assert!(offset_of!(Mailbox, from_guest) == 0x4000);
    assert!(offset_of!(Mailbox, control) == 0x8000);
    assert!(offset_of!(Mailbox, text) == 0x9000);
    assert!(offset_of!(Mailbox, posted_modes) == 0xa000);
    assert!(offset_of!(Mailbox, posted) == 0xb000);
    assert!(offset_of!(Mailbox, vector) == 0x1b000);
    assert!(size_of::<Mailbox>() == 0x2b000);
    assert!(size_of::<VectorHead>() == 64);
    assert!(offset_of!(VectorHead, reserved) + size_of::<u64>() == size_of::<VectorHead>());
    assert!(size_of::<VectorArea>() == 0x10000);
    assert!(size_of::<PostedHeader>() == 16);
    assert!(offset_of!(Control, idle_ticks) == 8);
};
