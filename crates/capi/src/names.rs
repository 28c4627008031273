//! From the names of exports and imports to the positions that calls use.

use crate::module::{Code, hl_module};
use hlfuzz_vmm::native::{MEMORY, Program};
use std::ffi::{CStr, c_char};

/// # Safety
/// `text` is NULL or a NUL-terminated string that outlives `'a`.
unsafe fn utf8<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's contract.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

fn position(found: Option<usize>) -> i32 {
    found.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1)
}

/// Finds an export by name, of any kind.
///
/// @param module The module; any thread.
/// @param name NUL-terminated UTF-8.
/// @return the position that `hl_call`, `hl_mem` and `hl_global_get` want, or -1 when there is none or an argument is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_export(module: *const hl_module, name: *const c_char) -> i32 {
    // SAFETY: the C contract.
    let (Some(module), Some(name)) = (unsafe { module.as_ref() }, unsafe { utf8(name) }) else { return -1 };
    position(match &module.code {
        Code::Wasm(module) => module.info().exports.iter().position(|it| it.name == name),
        // the memory follows the functions
        Code::Native(elf) => Program::parse(elf).ok().and_then(|program| {
            let names = program.exports.iter().map(|it| it.name.as_str());
            names.chain([MEMORY]).position(|it| it == name)
        }),
    })
}

/// Finds an import by its two names; the first one where several have the same.
///
/// @param module The module; any thread.
/// @param from NUL-terminated UTF-8: the module that it is imported from, "env".
/// @param name NUL-terminated UTF-8.
/// @return the position that `hl_hostcall_info.import` has, or -1 when there is none or an argument is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_module_import(
    module: *const hl_module,
    from: *const c_char,
    name: *const c_char,
) -> i32 {
    // SAFETY: the C contract.
    let (module, from, name) = unsafe { (module.as_ref(), utf8(from), utf8(name)) };
    let (Some(module), Some(from), Some(name)) = (module, from, name) else { return -1 };
    position(match &module.code {
        Code::Wasm(module) => {
            module.info().imports.iter().position(|it| it.module == from && it.name == name)
        }
        Code::Native(elf) => Program::parse(elf)
            .ok()
            .and_then(|program| program.imports.iter().position(|it| it.module == from && it.name == name)),
    })
}
