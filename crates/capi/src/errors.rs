//! From the crates' errors to `hl_error`.

use crate::codes::*;
use crate::types::hl_error;
use hlfuzz_vmm::savefile::Reason;
use hlfuzz_vmm::{Error as VmError, Kind};
use std::ffi::c_char;

/// A failure on its way to an `hl_error`.
pub struct Failure {
    pub code: u32,
    pub message: String,
}

impl Failure {
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(HL_E_ARGUMENT, message)
    }
}

impl From<VmError> for Failure {
    fn from(error: VmError) -> Self {
        let code = match error.kind {
            Kind::NoKvm => HL_E_NO_KVM,
            Kind::Permission => HL_E_PERMISSION,
            Kind::Kvm => HL_E_KVM,
            Kind::OutOfMemory => HL_E_OUT_OF_MEMORY,
            Kind::OutOfFds => HL_E_OUT_OF_FDS,
            Kind::Image => HL_E_ARTIFACT,
            Kind::Limit => HL_E_LIMIT,
            Kind::Link | Kind::Argument => HL_E_ARGUMENT,
            Kind::Cpu => HL_E_CPU,
            Kind::Forked => HL_E_FORKED,
            Kind::Snapshot(reason) => match reason {
                Reason::NotASnapshot => HL_E_NOT_SNAPSHOT,
                Reason::Version => HL_E_SNAPSHOT_VERSION,
                Reason::Truncated => HL_E_SNAPSHOT_TRUNCATED,
                Reason::Damaged => HL_E_SNAPSHOT_DAMAGED,
                Reason::OtherGuest => HL_E_SNAPSHOT_GUEST,
                Reason::Cpu => HL_E_SNAPSHOT_CPU,
                Reason::TooLarge => HL_E_SNAPSHOT_TOO_LARGE,
                Reason::Io => HL_E_SNAPSHOT_IO,
            },
            Kind::Internal => HL_E_INTERNAL,
        };
        Self::new(code, error.message)
    }
}

impl From<hlfuzz_wasm::Error> for Failure {
    fn from(error: hlfuzz_wasm::Error) -> Self {
        Self::new(error.code() as u32, error.to_string())
    }
}

/// Can a caller's struct of version 1 or later have this size?
pub fn is_size_of<T>(size: u32) -> bool {
    (8..=size_of::<T>()).contains(&(size as usize))
}

/// Writes a struct whose first field is its size, as the caller knows it: one that was compiled with an older header has
/// room for the first fields only. False, and nothing is written, when `out` is NULL or the caller's `size` is that of
/// no version.
///
/// # Safety
/// `out` is NULL or valid for `size` bytes.
pub unsafe fn fill<T>(out: *mut T, size: u32, value: T) -> bool {
    if out.is_null() || !is_size_of::<T>(size) {
        return false;
    }
    // SAFETY: the caller's contract; not more than a whole value is copied.
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), out.cast::<u8>(), size as usize);
    }
    true
}

/// Copies as much of `text` as fits, cut at a character, with a NUL behind it. NULs inside become spaces.
pub fn put_text(to: &mut [c_char], text: &str) {
    let mut n = text.len().min(to.len() - 1);
    while !text.is_char_boundary(n) {
        n -= 1;
    }
    for (to, from) in to.iter_mut().zip(text[..n].bytes()) {
        *to = if from == 0 { b' ' as c_char } else { from as c_char };
    }
    to[n] = 0;
}

/// Unwraps, or fills `*error` and returns None.
///
/// # Safety
/// `error` is NULL or valid.
pub unsafe fn report<T>(result: Result<T, Failure>, error: *mut hl_error) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(failure) => {
            // SAFETY: the caller's contract; every version of the struct has room for these fields.
            if let Some(error) = unsafe { error.as_mut() } {
                error.code = failure.code;
                put_text(&mut error.message, &failure.message);
            }
            None
        }
    }
}

/// Reads an options struct that the caller may have compiled with an older header: its `size` says how much of it is
/// there, the rest is `fallback`.
///
/// # Safety
/// `given` is NULL, or points to a struct whose first field is its size.
pub unsafe fn options<T>(given: *const T, fallback: T, what: &str) -> Result<T, Failure> {
    if given.is_null() {
        return Ok(fallback);
    }
    // SAFETY: the caller's contract.
    let size = unsafe { given.cast::<u32>().read() };
    if !is_size_of::<T>(size) {
        return Err(Failure::argument(format!(
            "{what}.size is {size}; set it to sizeof({what}), which is {} in this version",
            size_of::<T>()
        )));
    }
    let mut options = fallback;
    // SAFETY: `size` bytes are there, and fit.
    unsafe {
        std::ptr::copy_nonoverlapping(given.cast::<u8>(), (&raw mut options).cast::<u8>(), size as usize)
    };
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_of_an_older_header_is_filled_as_far_as_it_goes() {
        #[repr(C)]
        struct Counters {
            size: u32,
            first: u32,
            later: u64,
        }
        for (size, filled) in [(8, true), (16, true), (0, false), (24, false)] {
            let mut out = Counters { size, first: 0, later: 7 };
            // SAFETY: `out` has room for a whole one.
            let done = unsafe { fill(&raw mut out, size, Counters { size, first: 1, later: 2 }) };
            assert_eq!(done, filled, "size {size}");
            assert_eq!((out.first, out.later), (u32::from(filled), if size == 16 { 2 } else { 7 }));
        }
    }

    #[test]
    fn text_is_cut_at_a_character_and_terminated() {
        let mut to = [0x7f as c_char; 6];
        put_text(&mut to, "abcdé");
        let bytes: Vec<u8> = to.iter().map(|c| *c as u8).collect();
        assert_eq!(&bytes[..5], b"abcd\0");
        put_text(&mut to, "a\0b");
        assert_eq!(to[1] as u8, b' ');
    }
}
