//! Verification of FlatBuffers that an untrusted side made.

use crate::codes::*;
use crate::errors::{Failure, fill, is_size_of, options, put_text, report};
use crate::module::bytes;
use crate::types::hl_error;
use hlfuzz_wire::{Fault, Limits, MAX_DEPTH, Program, Rule};
use std::ffi::{CStr, c_char};

/// The rules of one schema, ready for use by any number of threads; immutable.
pub struct hl_verifier {
    program: Program,
    limits: Limits,
}

/// What a verifier accepts. A 0 means the default.
#[repr(C)]
pub struct hl_verifier_options {
    /// `sizeof(hl_verifier_options)`, set by the caller.
    pub size: u32,
    /// Tables inside each other at most; default and maximum 64.
    pub max_depth: u32,
    /// Tables in a buffer at most, each counted as often as it is referred to; default 1 000 000.
    pub max_tables: u64,
    /// Bytes of a buffer at most; default and maximum 2 GiB - 2.
    pub max_bytes: u64,
}

/// The first rule that a buffer breaks. Set `size` to `sizeof(hl_wire_fault)` before the call.
#[repr(C)]
pub struct hl_wire_fault {
    /// `sizeof(hl_wire_fault)`, set by the caller.
    pub size: u32,
    /// One of `HL_RULE_*`; 0: none.
    pub rule: i32,
    /// Where, in bytes from the start of the buffer.
    pub offset: u64,
    /// The field, "headers[2].name"; "" is the root. NUL-terminated UTF-8, cut at a character when too long.
    pub path: [c_char; 2032],
}

/// Makes a verifier from a verification program.
///
/// Any thread, several at once.
///
/// @param program The program's bytes; they may come from anywhere, all of them are checked. Need not outlive the call.
/// @param len Number of bytes.
/// @param given NULL for the defaults.
/// @param error NULL, or where to say why: HL_E_ARGUMENT.
/// @return a verifier, which the caller frees with `hl_verifier_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verifier_new(
    program: *const u8,
    len: usize,
    given: *const hl_verifier_options,
    error: *mut hl_error,
) -> *mut hl_verifier {
    // SAFETY: the C contract.
    let result = unsafe { new_verifier(program, len, given) };
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

unsafe fn new_verifier(
    program: *const u8,
    len: usize,
    given: *const hl_verifier_options,
) -> Result<hl_verifier, Failure> {
    let fallback = hl_verifier_options { size: 0, max_depth: 0, max_tables: 0, max_bytes: 0 };
    // SAFETY: the C contract.
    let (program, given) =
        unsafe { (bytes(program, len)?, options(given, fallback, "hl_verifier_options")?) };
    if given.max_depth > MAX_DEPTH {
        return Err(Failure::argument(format!(
            "max_depth is {}; FlatBuffers nest at most {MAX_DEPTH} deep",
            given.max_depth
        )));
    }
    let mut limits = Limits::default();
    if given.max_depth != 0 {
        limits.depth = given.max_depth;
    }
    if given.max_tables != 0 {
        limits.tables = given.max_tables;
    }
    if given.max_bytes != 0 {
        limits.size = given.max_bytes;
    }
    match Program::parse(program) {
        Ok(program) => Ok(hl_verifier { program, limits }),
        Err(error) => Err(Failure::argument(format!(
            "{error}; make it anew from the schema with this version of hlfuzz"
        ))),
    }
}

/// Finds a table by its full name.
///
/// @param verifier The verifier; any thread.
/// @param name NUL-terminated, "net.v1.Request".
/// @return the index for `hl_verifier_check`, or -1 when the schema has no such table or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verifier_root(verifier: *const hl_verifier, name: *const c_char) -> i32 {
    // SAFETY: the C contract.
    let Some(verifier) = (unsafe { verifier.as_ref() }) else { return -1 };
    if name.is_null() {
        return -1;
    }
    // SAFETY: the C contract: a NUL-terminated string.
    let name = unsafe { CStr::from_ptr(name) };
    let found = name.to_str().ok().and_then(|name| verifier.program.table_index(name));
    found.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1)
}

/// Verifies a buffer: after 0 everything in it can be read without looking again.
///
/// Nobody may change the bytes meanwhile, nor before they are read: copy them out of a guest's memory first.
///
/// @param verifier The verifier; any thread.
/// @param root Index of the root table.
/// @param data The buffer.
/// @param len Number of bytes.
/// @param fault NULL, or filled in when a rule is broken; set its `size` before.
/// @return 0, the rule that the buffer breaks first (HL_RULE_*), or -1 for wrong arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verifier_check(
    verifier: *const hl_verifier,
    root: u32,
    data: *const u8,
    len: usize,
    fault: *mut hl_wire_fault,
) -> i32 {
    // SAFETY: the C contract.
    let (Some(verifier), Ok(data)) = (unsafe { verifier.as_ref() }, unsafe { bytes(data, len) }) else {
        return -1;
    };
    // SAFETY: the C contract.
    let size = unsafe { fault.as_ref() }.map(|fault| fault.size);
    if !verifier.has(root) || size.is_some_and(|size| !is_size_of::<hl_wire_fault>(size)) {
        return -1;
    }
    let Err(found) = verifier.program.verify(root as usize, data, &verifier.limits) else { return 0 };
    let rule = code(found.rule);
    if let Some(size) = size {
        let mut filled = hl_wire_fault { size, rule, offset: found.offset as u64, path: [0; _] };
        put_text(&mut filled.path, &found.path);
        // SAFETY: the C contract.
        unsafe { fill(fault, size, filled) };
    }
    rule
}

/// Verifies buffers that lie end to end, with the same root.
///
/// @param verifier The verifier; any thread.
/// @param root Index of the root table.
/// @param data The buffers.
/// @param lengths Length of each in bytes.
/// @param count Number of buffers.
/// @param rules NULL, or room for `count` numbers: what `hl_verifier_check` returns for each.
/// @return how many keep every rule; 0 for wrong arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verifier_check_many(
    verifier: *const hl_verifier,
    root: u32,
    data: *const u8,
    lengths: *const usize,
    count: usize,
    rules: *mut i32,
) -> usize {
    // SAFETY: the C contract.
    let Some(verifier) = (unsafe { verifier.as_ref() }) else { return 0 };
    if data.is_null() || lengths.is_null() || !verifier.has(root) {
        return 0;
    }
    let (mut good, mut start) = (0, data);
    for i in 0..count {
        // SAFETY: the C contract: `count` lengths, whose sum is that of `data`.
        let buffer = unsafe {
            let len = *lengths.add(i);
            let buffer = std::slice::from_raw_parts(start, len);
            start = start.add(len);
            buffer
        };
        let rule = match verifier.program.verify(root as usize, buffer, &verifier.limits) {
            Ok(()) => 0,
            Err(Fault { rule, .. }) => code(rule),
        };
        good += usize::from(rule == 0);
        if !rules.is_null() {
            // SAFETY: the C contract: room for `count` numbers.
            unsafe { *rules.add(i) = rule };
        }
    }
    good
}

/// Frees a verifier.
///
/// @param verifier The verifier, not used again, by no thread; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_verifier_free(verifier: *mut hl_verifier) {
    if !verifier.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(verifier) });
    }
}

impl hl_verifier {
    fn has(&self, root: u32) -> bool {
        (root as usize) < self.program.tables()
    }
}

fn code(rule: Rule) -> i32 {
    match rule {
        Rule::TooShort => HL_RULE_TOO_SHORT,
        Rule::TooLong => HL_RULE_TOO_LONG,
        Rule::Alignment => HL_RULE_ALIGNMENT,
        Rule::Bounds => HL_RULE_BOUNDS,
        Rule::Vtable => HL_RULE_VTABLE,
        Rule::FieldBounds => HL_RULE_FIELD_BOUNDS,
        Rule::Required => HL_RULE_REQUIRED,
        Rule::StringTerminator => HL_RULE_STRING_TERMINATOR,
        Rule::Utf8 => HL_RULE_UTF8,
        Rule::Union => HL_RULE_UNION,
        Rule::Depth => HL_RULE_DEPTH,
        Rule::Tables => HL_RULE_TABLES,
        Rule::Identifier => HL_RULE_IDENTIFIER,
        Rule::Nested => HL_RULE_NESTED,
        Rule::Enum => HL_RULE_ENUM,
    }
}
