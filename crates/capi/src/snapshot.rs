//! Snapshots of running guests: taken at a quiet point.

use crate::errors::{Failure, report};
use crate::sandbox::{Vm, hl_sandbox};
use crate::template::hl_template;
use crate::types::{hl_error, hl_value};

/// The state of a sandbox right now, memory and registers, as a template: sandboxes made from it begin there and their
/// resets lead there. The sandbox itself goes on undisturbed, with its own snapshot. Between calls, or inside a span of
/// calls without a reset; NULL and `*error` (HL_E_ARGUMENT) while a call runs or waits for a host function, and for a VM
/// from hl_boot_new. One thread at a time, as every use of a sandbox. The caller frees the template.
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
    /// Bytes of guest RAM, and those of them that hold data.
    pub memory_bytes: u64,
    pub data_bytes: u64,
}

/// Describes a template: 0, or -1 for NULL or a wrong `size`.
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
    let globals = template.identity().globals.as_deref().unwrap_or_default();
    out.n_import_values = globals.len() as u32;
    out.import_values = globals.as_ptr().cast();
    (out.memory_bytes, out.data_bytes) = (template.layout().whole.end, template.data_bytes());
    0
}
