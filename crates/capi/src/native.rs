//! Native guests: check, describe.

use crate::codes::HL_E_NOT_NATIVE;
use crate::errors::{Failure, report};
use crate::module::{Code, bytes, hl_module, module_options, to_c};
use crate::types::{hl_error, hl_module_options};
use hlfuzz_vmm::Interface;
use hlfuzz_vmm::native::{Function, MEMORY, Program, Type};
use hlfuzz_wasm::{CustomSection, Export, ExternType, FuncType, Import, MemoryType, ModuleInfo, ValType};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::ffi::c_char;
use std::sync::Arc;

/// Name of the handshake's note where a Wasm module has its custom section.
const HANDSHAKE: &str = "hlfuzz.v1";

/// The JSON about a native guest: that of a module, and its handshake.
#[derive(Serialize)]
struct Description<'a> {
    #[serde(flatten)]
    info: ModuleInfo,
    /// The text of its handshake note; null without one.
    handshake: Option<std::borrow::Cow<'a, str>>,
}

fn checked(elf: &[u8]) -> Result<Program<'_>, Failure> {
    Program::parse(elf).map_err(|error| Failure::new(HL_E_NOT_NATIVE, error.message))
}

fn value(ty: Type) -> ValType {
    match ty {
        Type::I32 | Type::Pointer => ValType::I32,
        Type::I64 | Type::Bytes => ValType::I64,
        Type::F32 => ValType::F32,
        Type::F64 => ValType::F64,
    }
}

fn function(it: &Function) -> ExternType {
    ExternType::Func(Arc::new(FuncType {
        params: it.params.iter().copied().map(value).collect(),
        results: it.result.iter().copied().map(value).collect(),
    }))
}

fn describe(elf: &[u8]) -> Result<String, Failure> {
    let program = checked(elf)?;
    let mut exports: Vec<Export> =
        program.exports.iter().map(|it| Export { name: it.name.clone(), ty: function(it) }).collect();
    exports.push(Export {
        name: MEMORY.into(),
        ty: ExternType::Memory(MemoryType { min: 0, max: None, memory64: false, shared: false }),
    });
    let imports = program.imports.iter().map(|it| Import {
        module: it.module.clone(),
        name: it.name.clone(),
        ty: function(it),
    });
    let note =
        program.handshake.map(|text| CustomSection { name: HANDSHAKE.into(), bytes: text.len() as u64 });
    let description = Description {
        info: ModuleInfo {
            schema: hlfuzz_wasm::SCHEMA,
            bytes: elf.len() as u64,
            sha256: format!("{:x}", Sha256::digest(elf)),
            imports: imports.collect(),
            functions: (program.exports.len() + program.imports.len()) as u64,
            exports,
            memories: Vec::new(),
            tables: Vec::new(),
            globals: 0,
            start: false,
            features: vec!["native".into()],
            custom_sections: note.into_iter().collect(),
            data_segments: 0,
            elem_segments: 0,
            code_bytes: program.text_bytes(),
            producers: Default::default(),
            memory_bytes_min: program.data_bytes(),
        },
        handshake: program.handshake.map(String::from_utf8_lossy),
    };
    serde_json::to_string(&description).map_err(|error| Failure::argument(error.to_string()))
}

/// What the VM manager must know of the functions: the memory, which comes last, cannot be called.
pub(crate) fn interface(program: &Program<'_>) -> Interface {
    let counts = |all: &[Function]| all.iter().map(|it| Some(it.counts())).collect::<Vec<_>>();
    let mut exports = counts(&program.exports);
    exports.push(None);
    Interface { exports, imports: counts(&program.imports) }
}

/// Checks and describes a native guest: an ELF program for the bare micro-VM (see `docs/native-guests.md`).
///
/// Any thread.
///
/// @param elf The program's bytes; they come from anywhere and need not outlive the call.
/// @param len Number of bytes.
/// @param json Gets a NUL-terminated JSON text of the shape that `hl_inspect` gives, with the feature `native` and the text
/// of its handshake, which the caller owns and frees with `hl_string_free`. Untouched on failure.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_NATIVE.
/// @return 0, or -1 and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_inspect_elf(
    elf: *const u8,
    len: usize,
    json: *mut *mut c_char,
    error: *mut hl_error,
) -> i32 {
    // SAFETY: the C contract.
    let result = unsafe { bytes(elf, len) }.and_then(describe);
    // SAFETY: the C contract.
    match unsafe { report(result, error) } {
        Some(text) => {
            // SAFETY: the C contract.
            unsafe { *json = to_c(text).into_raw() };
            0
        }
        None => -1,
    }
}

/// Checks a native guest and keeps a copy of its bytes. It is used like a Wasm module, always with HL_RESET_STRICT.
///
/// Any thread, several at once.
///
/// @param elf The program's bytes; they come from anywhere and need not outlive the call.
/// @param len Number of bytes.
/// @param given NULL for the defaults; `cache_dir` is not used.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_NOT_NATIVE, HL_E_TOO_LARGE.
/// @return a module, which the caller frees with `hl_module_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_new_elf(
    elf: *const u8,
    len: usize,
    given: *const hl_module_options,
    error: *mut hl_error,
) -> *mut hl_module {
    // SAFETY: the C contract.
    let result = unsafe { new_module(elf, len, given) };
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

unsafe fn new_module(
    elf: *const u8,
    len: usize,
    given: *const hl_module_options,
) -> Result<hl_module, Failure> {
    // SAFETY: the C contract.
    let (elf, most) = unsafe { (bytes(elf, len)?, module_options(given)?.max_bytes) };
    if elf.len() as u64 > most {
        return Err(Failure::new(
            crate::codes::HL_E_TOO_LARGE,
            format!("the native guest has {} bytes, more than the limit of {most}", elf.len()),
        ));
    }
    Ok(hl_module { json: to_c(describe(elf)?), code: Code::Native(elf.into()) })
}
