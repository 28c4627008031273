//! Templates: a module booted once and frozen.

use crate::codes::*;
use crate::errors::{Failure, report};
use crate::module::hl_module;
use crate::plan::{Plan, read};
use crate::sandbox::{Vm, hl_sandbox};
use crate::types::{hl_error, hl_template_options, hl_value};
use hlfuzz_vmm::{Boot, Deadline, Error as VmError, Host, Kind, Status, Template, TrapCause};
use std::sync::Arc;
use std::time::Duration;

/// A booted module, frozen; immutable.
pub struct hl_template {
    pub(crate) template: Template,
}

unsafe fn boot(module: *const hl_module, given: *const hl_template_options) -> Result<Boot, Failure> {
    // SAFETY: the C contract.
    let (module, given) = unsafe { read(module, given)? };
    let plan = Plan::new(module, &given)?;
    let micros = |given: u64, or: u64| Duration::from_micros(if given == 0 { or } else { given });
    let deadline = Deadline {
        cpu: micros(given.start_cpu_us, 5_000_000),
        wall: micros(given.start_wall_us, 30_000_000),
    };
    let slice = (given.slice_us != 0).then(|| Duration::from_micros(given.slice_us));
    let (host, globals) = (Arc::new(Host::open()?), &plan.identity.globals);
    let mut boot = Boot::new(host, &plan.image, plan.interface, globals, plan.tracking, deadline, slice)?;
    boot.identify(plan.identity);
    Ok(boot)
}

/// Boots a module and freezes it: instantiates it, runs its start function and `_initialize`.
///
/// Any thread, several at once; the thread runs the guest meanwhile. For modules whose start function calls imports use
/// `hl_boot_new`.
///
/// @param module What to boot; may be freed afterwards.
/// @param given NULL for the defaults.
/// @param error NULL, or where to say why: HL_E_ARGUMENT, HL_E_LIMIT, HL_E_UNSUPPORTED, HL_E_ARTIFACT, HL_E_NO_KVM,
/// HL_E_PERMISSION, HL_E_KVM, HL_E_OUT_OF_MEMORY, HL_E_OUT_OF_FDS, HL_E_START_TRAPPED, HL_E_START_TIMEOUT,
/// HL_E_START_HOSTCALL, HL_E_INTERNAL.
/// @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_template_new(
    module: *const hl_module,
    given: *const hl_template_options,
    error: *mut hl_error,
) -> *mut hl_template {
    // SAFETY: the C contract.
    let result = unsafe { boot(module, given) }.and_then(|mut boot| {
        let mut status = boot.run();
        while status == Status::Running {
            status = boot.sandbox().map_or(Status::Dead, |sandbox| sandbox.wait());
        }
        check_start(&boot, status)?;
        Ok(hl_template { template: boot.finish()? })
    });
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

/// Turns the end of an instantiation into an error, unless it ended well.
fn check_start(boot: &Boot, status: Status) -> Result<(), Failure> {
    let sandbox = boot.sandbox_ref();
    let message = sandbox.map_or("", |sandbox| sandbox.message());
    match status {
        Status::Done => Ok(()),
        Status::HostCall => Err(Failure::new(
            HL_E_START_HOSTCALL,
            "the module's start function calls an import; boot it with hl_boot_new and answer the call",
        )),
        Status::Timeout => Err(Failure::new(
            HL_E_START_TIMEOUT,
            "the module's start function (or _initialize) does not end within its deadline; raise the start deadline \
             or mend the guest",
        )),
        Status::Trap => {
            let what = match sandbox.and_then(|sandbox| sandbox.trap()) {
                Some(TrapCause::Wasm { code, text }) => crate::sandbox::trap_text(*code, text),
                other => format!("{other:?}"),
            };
            Err(Failure::new(
                HL_E_START_TRAPPED,
                format!("the module's instantiation or start function traps: {what}; mend the guest"),
            ))
        }
        _ => {
            let text = format!("the module cannot be instantiated: {message}");
            let kind = sandbox.and_then(|sandbox| sandbox.death()).map_or(Kind::Internal, |error| error.kind);
            Err(Failure::from(VmError::new(kind, text)))
        }
    }
}

/// Frees a template. Sandboxes made from it live on.
///
/// @param template_ The template, not used again, by no thread; NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_template_free(template: *mut hl_template) {
    if !template.is_null() {
        // SAFETY: it came from `Box::into_raw`; sandboxes hold what they need of it.
        drop(unsafe { Box::from_raw(template) });
    }
}

/// A VM that is about to instantiate a module whose start function may call imports.
///
/// `hl_boot_run` starts it and ends like a call; `hl_boot_finish` freezes it.
///
/// @param module What to boot; may be freed afterwards.
/// @param given NULL for the defaults.
/// @param error NULL, or where to say why: as for `hl_template_new`, without HL_E_START_*.
/// @return a sandbox that only boots, which the caller closes with `hl_sandbox_close`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_boot_new(
    module: *const hl_module,
    given: *const hl_template_options,
    error: *mut hl_error,
) -> *mut hl_sandbox {
    // SAFETY: the C contract.
    let result = unsafe { boot(module, given) };
    // SAFETY: the C contract.
    unsafe { report(result, error) }
        .map_or(std::ptr::null_mut(), |boot| hl_sandbox::boxed(Vm::Boot(Box::new(boot))))
}

/// Instantiates the module of `hl_boot_new`, once.
///
/// @param sandbox From `hl_boot_new`; used by one thread at a time.
/// @return a status as of `hl_call`; HL_BUSY when it has run before, or when this is no booting VM. After HL_DONE call
/// `hl_boot_finish`; after HL_HOSTCALL `hl_resume` or `hl_fail`; after anything else close it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_boot_run(sandbox: *mut hl_sandbox) -> i32 {
    // SAFETY: the C contract.
    unsafe { hl_sandbox::with(sandbox, |it| it.run_boot()) }
}

/// Freezes the VM after `hl_boot_run` (or the `hl_resume` that followed it) has ended with HL_DONE.
///
/// The sandbox cannot be called any more and must still be closed.
///
/// @param sandbox From `hl_boot_new`.
/// @param error NULL, or where to say why: HL_E_ARGUMENT (no booting VM, or not at its end), HL_E_START_TRAPPED,
/// HL_E_START_TIMEOUT, HL_E_START_HOSTCALL, HL_E_KVM, HL_E_OUT_OF_MEMORY, HL_E_OUT_OF_FDS, HL_E_INTERNAL.
/// @return a template, which the caller frees with `hl_template_free`, or NULL and `*error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hl_boot_finish(sandbox: *mut hl_sandbox, error: *mut hl_error) -> *mut hl_template {
    // SAFETY: the C contract.
    let result = match unsafe { sandbox.as_mut() }.map(|it| &mut it.vm) {
        Some(Vm::Boot(boot)) => {
            let status = boot.sandbox_ref().map_or(Status::Dead, |it| {
                if !it.message().is_empty() {
                    Status::Dead
                } else if it.trap().is_some() {
                    Status::Trap
                } else if it.is_idle() {
                    Status::Done
                } else {
                    Status::HostCall
                }
            });
            check_start(boot, status).and_then(|()| Ok(hl_template { template: boot.finish()? }))
        }
        _ => Err(Failure::argument("not a VM from hl_boot_new")),
    };
    // SAFETY: the C contract.
    unsafe { report(result, error) }.map_or(std::ptr::null_mut(), |it| Box::into_raw(Box::new(it)))
}

const _: () = assert!(size_of::<hl_value>() == 16);
