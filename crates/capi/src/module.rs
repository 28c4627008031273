//! Modules: validate, describe, compile.

use crate::codes::*;
use crate::errors::{Failure, options, put_text, report};
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
    Wasm(Module),
    /// The bytes of an ELF program that `Program::parse` accepts.
    Native(Box<[u8]>),
}

/// `HL_ABI_VERSION` of the library.
#[unsafe(no_mangle)]
pub extern "C" fn hl_abi_version() -> u32 {
    HL_ABI_VERSION
}

/// The library's version, for people.
#[unsafe(no_mangle)]
pub extern "C" fn hl_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Release of wasmtime that compiles modules and runs them inside the VM. The caller frees it with `hl_string_free`.
#[unsafe(no_mangle)]
pub extern "C" fn hl_wasmtime_version() -> *mut c_char {
    to_c(hlfuzz_wasm::WASMTIME_VERSION.to_owned()).into_raw()
}

pub(crate) fn to_c(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Says what this machine's KVM can do. Always returns 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_probe(out: *mut hl_probe_info) -> i32 {
    // SAFETY: the C contract.
    let Some(out) = (unsafe { out.as_mut() }) else { return 0 };
    out.cpus = cpus::allowed().len() as u32;
    match Host::open() {
        Ok(host) => {
            let probe = host.probe();
            out.kvm_ok = 1;
            out.api_version = probe.api_version as u32;
            out.dirty_ring = probe.ring_entries;
            out.sync_regs = u32::from(probe.sync_regs);
            out.xsave = u32::from(probe.xsave);
            out.manual_protect = u32::from(probe.manual_protect);
            out.error_code = 0;
            out.message[0] = 0;
        }
        Err(error) => {
            out.kvm_ok = 0;
            let failure = Failure::from(error);
            out.error_code = failure.code;
            put_text(&mut out.message, &failure.message);
        }
    }
    0
}

/// Describes a module without compiling it: 0 and a JSON text (shape `hlfuzz.module/1`) that the caller frees with
/// `hl_string_free`, or -1 and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_inspect(
    wasm: *const u8,
    len: usize,
    json: *mut *mut c_char,
    error: *mut hl_error,
) -> i32 {
    // SAFETY: the C contract.
    let result = unsafe { bytes(wasm, len) }.and_then(|wasm| Ok(hlfuzz_wasm::inspect(wasm)?));
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from `CString::into_raw`.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Validates and compiles a module, or takes its artifact from the cache. NULL and `*error` when it is refused.
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

unsafe fn new_module(
    wasm: *const u8,
    len: usize,
    given: *const hl_module_options,
) -> Result<hl_module, Failure> {
    let fallback = hl_module_options { size: 0, flags: 0, cache_dir: std::ptr::null(), max_bytes: 0 };
    // SAFETY: the C contract.
    let (wasm, given) = unsafe { (bytes(wasm, len)?, options(given, fallback, "hl_module_options")?) };
    let mut how = ModuleOptions::default();
    if given.max_bytes != 0 {
        how.max_bytes = given.max_bytes;
    }
    if !given.cache_dir.is_null() {
        // SAFETY: the C contract: a NUL-terminated string.
        let dir = unsafe { CStr::from_ptr(given.cache_dir) };
        how.cache_dir = Some(PathBuf::from(OsStr::from_bytes(dir.to_bytes())));
    }
    let module = Module::new(wasm, &how)?;
    let json = to_c(module.json());
    Ok(hl_module { code: Code::Wasm(module), json })
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

/// The JSON of `hl_inspect` with `artifact_bytes` and `cache`, or of `hl_inspect_elf`; valid as long as the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_json(module: *const hl_module) -> *const c_char {
    // SAFETY: the C contract.
    unsafe { module.as_ref() }.map_or(c"".as_ptr(), |module| module.json.as_ptr())
}

/// Frees a module. Templates made from it live on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_free(module: *mut hl_module) {
    if !module.is_null() {
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(module) });
    }
}
