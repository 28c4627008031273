//! Modules: validate, describe, compile.

use crate::codes::*;
use crate::errors::{Failure, fill, options, put_text, report};
use crate::types::{hl_error, hl_module_options, hl_probe_info};
use hlfuzz_vmm::{Host, cpus};
use hlfuzz_wasm::{Module, ModuleOptions};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A validated and compiled Wasm module, or a checked native guest; immutable.
pub struct hl_module {
    pub(crate) code: Code,
    pub(crate) json: CString,
}

pub(crate) enum Code {
    Wasm(Box<Module>),
    /// The bytes of an ELF program that `Program::parse` accepts.
    Native(Box<[u8]>),
}

/// `HL_ABI_VERSION` of the library.
///
/// A program that is linked to the shared library compares it with the constant of its header at start-up; the file name
/// (SONAME) changes with it too.
///
/// @return the number; never fails. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn hl_abi_version() -> u32 {
    HL_ABI_VERSION
}

/// The library's version, for people.
///
/// @return NUL-terminated text that lives as long as the library; never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn hl_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Release of wasmtime that compiles modules and runs them inside the VM.
///
/// @return NUL-terminated text; the caller owns it and frees it with `hl_string_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn hl_wasmtime_version() -> *mut c_char {
    to_c(hlfuzz_wasm::WASMTIME_VERSION.to_owned()).into_raw()
}

pub(crate) fn to_c(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Says what this machine's KVM can do.
///
/// Opens /dev/kvm and closes it again. Any thread.
///
/// @param out Filled in; set its `size` before. `kvm_ok` 0 is an answer and no error: `error_code` and `message` say why.
/// @return 0, or -1 when `out` is NULL or its `size` is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_probe(out: *mut hl_probe_info) -> i32 {
    // SAFETY: the C contract.
    let size = unsafe { out.as_ref() }.map_or(0, |out| out.size);
    let mut found = hl_probe_info {
        size,
        kvm_ok: 0,
        api_version: 0,
        dirty_ring: 0,
        sync_regs: 0,
        xsave: 0,
        manual_protect: 0,
        cpus: cpus::allowed().len() as u32,
        error_code: 0,
        message: [0; _],
    };
    match Host::open() {
        Ok(host) => {
            let probe = host.probe();
            found.kvm_ok = 1;
            found.api_version = probe.api_version as u32;
            found.dirty_ring = probe.ring_entries;
            found.sync_regs = u32::from(probe.sync_regs);
            found.xsave = u32::from(probe.xsave);
            found.manual_protect = u32::from(probe.manual_protect);
        }
        Err(error) => {
            let failure = Failure::from(error);
            found.error_code = failure.code;
            put_text(&mut found.message, &failure.message);
        }
    }
    // SAFETY: the C contract.
    if unsafe { fill(out, size, found) } { 0 } else { -1 }
}

/// Describes a module without compiling it.
///
/// Any thread.
///
/// @param wasm The module's bytes; they come from anywhere and need not outlive the call.
/// @param len Number of bytes.
/// @param given NULL for the defaults. With the `cache_dir` of an earlier `hl_module_new` a module whose artifact is there is
/// not validated again.
/// @param json Gets a NUL-terminated JSON text (shape `hlfuzz.module/1`), which the caller owns and frees with
/// `hl_string_free`. Untouched on failure.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_WASM, HL_E_COMPONENT, HL_E_INVALID_MODULE,
/// HL_E_UNSUPPORTED, HL_E_TOO_LARGE.
/// @return 0, or -1 and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_inspect(
    wasm: *const u8,
    len: usize,
    given: *const hl_module_options,
    json: *mut *mut c_char,
    error: *mut hl_error,
) -> i32 {
    // SAFETY: the C contract.
    let result = unsafe { module_options(given) }.and_then(|how| {
        // SAFETY: the C contract.
        Ok(Module::describe(unsafe { bytes(wasm, len)? }, &how)?)
    });
    // SAFETY: the C contract.
    match unsafe { report(result, error) } {
        Some(info) => {
            // SAFETY: the C contract.
            unsafe { *json = to_c(info.json()).into_raw() };
            0
        }
        None => -1,
    }
}

/// Frees a string that this library has returned as `char *`.
///
/// @param text The string, not used again; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from `CString::into_raw`.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Validates and compiles a module, or takes its artifact from the cache.
///
/// Any thread, several at once. The cache can only save time: whatever is wrong with it, the module is compiled.
///
/// @param wasm The module's bytes; they come from anywhere and need not outlive the call.
/// @param len Number of bytes.
/// @param given NULL for the defaults.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_WASM, HL_E_COMPONENT, HL_E_INVALID_MODULE,
/// HL_E_UNSUPPORTED, HL_E_TOO_LARGE, HL_E_INTERNAL.
/// @return a module, which the caller frees with `hl_module_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_new(
    wasm: *const u8,
    len: usize,
    given: *const hl_module_options,
    error: *mut hl_error,
) -> *mut hl_module {
    // SAFETY: the C contract.
    let result = unsafe { new_module(wasm, len, given) };
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

/// # Safety
/// `given` is NULL or valid, and its folder a NUL-terminated string or NULL.
pub(crate) unsafe fn module_options(given: *const hl_module_options) -> Result<ModuleOptions, Failure> {
    let fallback = hl_module_options { size: 0, flags: 0, cache_dir: std::ptr::null(), max_bytes: 0 };
    // SAFETY: the caller's contract.
    let given = unsafe { options(given, fallback, "hl_module_options")? };
    let mut how = ModuleOptions::default();
    if given.max_bytes != 0 {
        how.max_bytes = given.max_bytes;
    }
    if !given.cache_dir.is_null() {
        // SAFETY: the caller's contract.
        let dir = unsafe { CStr::from_ptr(given.cache_dir) };
        how.cache_dir = Some(PathBuf::from(OsStr::from_bytes(dir.to_bytes())));
    }
    Ok(how)
}

unsafe fn new_module(
    wasm: *const u8,
    len: usize,
    given: *const hl_module_options,
) -> Result<hl_module, Failure> {
    // SAFETY: the C contract.
    let (wasm, how) = unsafe { (bytes(wasm, len)?, module_options(given)?) };
    let module = Module::new(wasm, &how)?;
    let json = to_c(module.json());
    Ok(hl_module { code: Code::Wasm(Box::new(module)), json })
}

/// # Safety
/// `start` is NULL or valid for `len` bytes.
pub unsafe fn bytes<'a>(start: *const u8, len: usize) -> Result<&'a [u8], Failure> {
    if start.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(Failure::argument("NULL in place of bytes")) };
    }
    // SAFETY: the caller's contract.
    Ok(unsafe { std::slice::from_raw_parts(start, len) })
}

/// What `hl_inspect` says, with `artifact_bytes` and `cache`; for native guests what `hl_inspect_elf` says.
///
/// @param module A module; NULL gives "".
/// @return NUL-terminated JSON that belongs to the module and lives as long as it. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_json(module: *const hl_module) -> *const c_char {
    // SAFETY: the C contract.
    unsafe { module.as_ref() }.map_or(c"".as_ptr(), |module| module.json.as_ptr())
}

/// Frees a module. Templates made from it live on.
///
/// @param module The module, not used again, by no thread; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_free(module: *mut hl_module) {
    if !module.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(module) });
    }
}
