//! The verifier through the C API: what it refuses to start from, and what it says of buffers.
// Every call keeps the header's contract: objects are open, pointers valid for their lengths.
#![allow(clippy::undocumented_unsafe_blocks)]

use hlfuzz::*;
use std::ffi::CStr;
use std::mem::zeroed;
use std::ptr::{null, null_mut};

/// One table, "T", without fields.
const PROGRAM: &[u8] = b"HLV1\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0T\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const GOOD: &[u8] = &[8, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0];
const CROOKED: &[u8] = &[9, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0, 0];

unsafe fn open(program: &[u8], depth: u32) -> Result<*mut hl_verifier, String> {
    unsafe {
        let mut options: hl_verifier_options = zeroed();
        (options.size, options.max_depth) = (size_of::<hl_verifier_options>() as u32, depth);
        let mut error: hl_error = zeroed();
        let it = hl_verifier_new(program.as_ptr(), program.len(), &options, &mut error);
        if it.is_null() {
            assert_eq!(error.code, HL_E_ARGUMENT);
            return Err(CStr::from_ptr(error.message.as_ptr()).to_string_lossy().into_owned());
        }
        Ok(it)
    }
}

#[test]
fn a_fault_has_its_rule_and_place() {
    unsafe {
        let it = open(PROGRAM, 0).unwrap();
        assert_eq!(hl_verifier_root(it, c"T".as_ptr()), 0);
        assert_eq!(hl_verifier_root(it, c"U".as_ptr()), -1);
        let mut fault: hl_wire_fault = zeroed();
        fault.size = size_of::<hl_wire_fault>() as u32;
        assert_eq!(hl_verifier_check(it, 0, GOOD.as_ptr(), GOOD.len(), &mut fault), 0);
        let rule = hl_verifier_check(it, 0, CROOKED.as_ptr(), CROOKED.len(), &mut fault);
        assert_eq!((rule, fault.rule, fault.offset), (HL_RULE_ALIGNMENT, HL_RULE_ALIGNMENT, 9));
        assert_eq!(CStr::from_ptr(fault.path.as_ptr()), c"");
        assert_eq!(hl_verifier_check(it, 0, null(), 0, null_mut()), HL_RULE_TOO_SHORT);
        hl_verifier_free(it);
    }
}

#[test]
fn many_buffers_are_told_apart() {
    unsafe {
        let it = open(PROGRAM, 0).unwrap();
        let data = [GOOD, CROOKED, GOOD].concat();
        let lengths = [GOOD.len(), CROOKED.len(), GOOD.len()];
        let mut rules = [7; 3];
        let good = hl_verifier_check_many(it, 0, data.as_ptr(), lengths.as_ptr(), 3, rules.as_mut_ptr());
        assert_eq!((good, rules), (2, [0, HL_RULE_ALIGNMENT, 0]));
        hl_verifier_free(it);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    unsafe {
        assert!(open(PROGRAM, 65).unwrap_err().contains("at most 64"));
        assert!(open(&PROGRAM[..30], 0).unwrap_err().contains("not a verification program"));
        assert!(open(b"", 0).unwrap_err().contains("HLV1"));
        let it = open(PROGRAM, 64).unwrap();
        let mut fault: hl_wire_fault = zeroed();
        assert_eq!(hl_verifier_check(it, 0, GOOD.as_ptr(), GOOD.len(), &mut fault), -1); // its size is not set
        assert_eq!(hl_verifier_check(it, 1, GOOD.as_ptr(), GOOD.len(), null_mut()), -1);
        assert_eq!(hl_verifier_check(it, 0, null(), 5, null_mut()), -1);
        assert_eq!(hl_verifier_check(null(), 0, GOOD.as_ptr(), GOOD.len(), null_mut()), -1);
        assert_eq!(hl_verifier_check_many(null(), 0, GOOD.as_ptr(), null(), 1, null_mut()), 0);
        assert_eq!(hl_verifier_root(it, null()), -1);
        hl_verifier_free(it);
        hl_verifier_free(null_mut());
    }
}
