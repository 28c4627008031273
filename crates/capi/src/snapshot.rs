//! Snapshots of running guests: taken at a quiet point, saved, loaded, described.

use crate::codes::HL_SAVE_COMPRESSED;
use crate::errors::{Failure, report};
use crate::module::hl_module;
use crate::plan::{self, Plan};
use crate::sandbox::{Vm, hl_sandbox};
use crate::template::hl_template;
use crate::types::{hl_error, hl_template_options, hl_value};
use hlfuzz_vmm::Host;
use hlfuzz_vmm::savefile::{self, Wanted};
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// The state of a sandbox right now, memory and registers, as a template.
///
/// Sandboxes made from it begin there and their resets lead there. The sandbox itself goes on undisturbed, with its own
/// snapshot. Between calls, or inside a span of calls without a reset.
///
/// @param sandbox The sandbox, from its owner's thread.
/// @param error NULL, or where to say why: HL_E_ARGUMENT (a call runs or waits for a host function, the VM is from
/// `hl_boot_new`, a worker has it), HL_E_KVM, HL_E_OUT_OF_MEMORY, HL_E_OUT_OF_FDS, HL_E_FORKED, HL_E_INTERNAL.
/// @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_snapshot_take(
    sandbox: *mut hl_sandbox,
    error: *mut hl_error,
) -> *mut hl_template {
    // SAFETY: the C contract.
    let result = match unsafe { sandbox.as_mut() }.map(|it| &mut it.vm) {
        Some(Vm::Live(sandbox)) => sandbox.take_snapshot().map_err(Failure::from),
        Some(Vm::Boot(_)) => Err(Failure::argument("this VM boots; hl_boot_finish makes its template")),
        Some(Vm::Away) => {
            Err(Failure::argument("a command runs in the sandbox's thread; hl_dispatch_end first"))
        }
        None => Err(Failure::argument("NULL in place of a sandbox")),
    };
    // SAFETY: the C contract.
    unsafe { report(result, error) }
        .map_or(std::ptr::null_mut(), |template| Box::into_raw(Box::new(hl_template { template })))
}

/// What is known of a template, whether it came from a boot, from a running sandbox or from a file.
#[repr(C)]
pub struct hl_snapshot_info {
    /// Set to `sizeof(hl_snapshot_info)` before the call.
    pub size: u32,
    /// Number of values at `import_values`.
    pub n_import_values: u32,
    /// Values of the imported globals that the state began with, in order; valid as long as the template.
    pub import_values: *const hl_value,
    /// Bytes of guest RAM.
    pub memory_bytes: u64,
    /// Those of them that hold data.
    pub data_bytes: u64,
}

/// Describes a template.
///
/// @param template_ From a boot, from `hl_snapshot_take` or from `hl_snapshot_load`; any thread.
/// @param out Filled in; set its `size` before.
/// @return 0, or -1 when an argument is NULL or `size` is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_snapshot_info_get(
    template: *const hl_template,
    out: *mut hl_snapshot_info,
) -> i32 {
    // SAFETY: the C contract.
    let (Some(template), Some(out)) = (unsafe { template.as_ref() }, unsafe { out.as_mut() }) else {
        return -1;
    };
    if out.size as usize != size_of::<hl_snapshot_info>() {
        return -1;
    }
    let template = &template.template;
    let globals = &template.identity().globals;
    out.n_import_values = globals.len() as u32;
    out.import_values = globals.as_ptr().cast();
    (out.memory_bytes, out.data_bytes) = (template.layout().whole.end, template.data_bytes());
    0
}

/// # Safety
/// `path` is NULL or a NUL-terminated string.
unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path, Failure> {
    if path.is_null() {
        return Err(Failure::argument("NULL in place of a path"));
    }
    // SAFETY: the caller's contract.
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// Saves a template as one file, whole or not at all: a file of that name is replaced once the new one is on disk, and
/// whatever happens before leaves it as it was. Only its owner can read it. Any thread.
///
/// @param template_ From a boot, from `hl_snapshot_take` or from `hl_snapshot_load`.
/// @param path Where; its folder must exist.
/// @param flags 0, or HL_SAVE_COMPRESSED.
/// @param error NULL, or where to say why: HL_E_SNAPSHOT_IO, HL_E_FORKED, HL_E_ARGUMENT.
/// @return 0, or -1 and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_snapshot_save(
    template: *const hl_template,
    path: *const c_char,
    flags: u32,
    error: *mut hl_error,
) -> i32 {
    let save = || {
        // SAFETY: the C contract.
        let template = unsafe { template.as_ref() };
        let template = template.ok_or_else(|| Failure::argument("NULL in place of a template"))?;
        if flags & !HL_SAVE_COMPRESSED != 0 {
            return Err(Failure::argument(format!("flags {flags:#x} do not exist")));
        }
        // SAFETY: the C contract.
        let path = unsafe { self::path(path)? };
        Ok(template.template.save(path, flags & HL_SAVE_COMPRESSED != 0)?)
    };
    // SAFETY: the C contract.
    if unsafe { report(save(), error) }.is_some() { 0 } else { -1 }
}

/// Loads a file that `hl_snapshot_save` wrote. The file may come from anybody: it can do no more than a guest could, and
/// on an error nothing of it is left. Any thread.
///
/// @param module The guest that the state is of; may be freed afterwards.
/// @param given The options that its template was made with, or NULL for the defaults. Without `import_values` the
/// values of imported globals are what the file says (`hl_snapshot_info_get`).
/// @param path The file.
/// @param error NULL, or where to say why: HL_E_NOT_SNAPSHOT, HL_E_SNAPSHOT_VERSION, HL_E_SNAPSHOT_TRUNCATED,
/// HL_E_SNAPSHOT_DAMAGED, HL_E_SNAPSHOT_GUEST, HL_E_SNAPSHOT_CPU, HL_E_SNAPSHOT_TOO_LARGE, HL_E_SNAPSHOT_IO, or what
/// `hl_template_new` gives.
/// @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_snapshot_load(
    module: *const hl_module,
    given: *const hl_template_options,
    path: *const c_char,
    error: *mut hl_error,
) -> *mut hl_template {
    let load = || {
        // SAFETY: the C contract.
        let ((module, given), path) = unsafe { (plan::read(module, given)?, self::path(path)?) };
        let plan = Plan::new(module, &given)?;
        let wanted = Wanted {
            image: &plan.image,
            interface: plan.interface,
            identity: plan.identity,
            any_globals: given.import_values.is_null(),
            tracking: plan.tracking,
        };
        Ok(hl_template { template: savefile::load(Arc::new(Host::open()?), wanted, path)? })
    };
    // SAFETY: the C contract.
    unsafe { report(load(), error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}
