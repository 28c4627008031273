//! Templates: a module booted once and frozen.

use crate::codes::*;
use crate::errors::{Failure, options, report};
use crate::identity;
use crate::module::{Code, hl_module};
use crate::sandbox::{Vm, hl_sandbox};
use crate::types::{hl_error, hl_template_options, hl_value};
use hlfuzz_vmm::image::Spec;
use hlfuzz_vmm::native;
use hlfuzz_vmm::{
    Boot, Deadline, Error as VmError, Host, Interface, Kind, Status, Template, Tracking, TrapCause,
};
use hlfuzz_wasm::{ExternType, GC_HEAP, Module, ModuleInfo, PAGE_BYTES, RUNTIME_ELF, ValType};
use std::sync::Arc;
use std::time::Duration;

/// A booted module, frozen; immutable.
pub struct hl_template {
    pub(crate) template: Template,
}

const DEFAULT_MEMORY: u64 = 64 << 20;
const DEFAULT_TABLE: u64 = 262_144;
const DEFAULT_STACK: u64 = 512 << 10;
const MIN_STACK: u64 = 64 << 10;
const MAX_STACK: u64 = 3 << 20;
/// Heap of the in-VM runtime beside what grows with the module; only touched pages cost memory.
const BASE_HEAP: u64 = 8 << 20;
/// A table element and its doubling while the table grows.
const BYTES_PER_ELEMENT: u64 = 24;

fn fallback() -> hl_template_options {
    hl_template_options {
        size: 0,
        tracking: HL_TRACK_AUTO,
        memory_limit: 0,
        table_limit: 0,
        stack_bytes: 0,
        start_cpu_us: 0,
        start_wall_us: 0,
        slice_us: 0,
        import_values: std::ptr::null(),
        n_import_values: 0,
        flags: 0,
    }
}

fn is_number(ty: &ValType) -> bool {
    matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 | ValType::V128)
}

/// A host function cannot make a reference, and a forged one would break the runtime inside the VM.
fn refuse_reference_results(info: &ModuleInfo) -> Result<(), Failure> {
    for import in &info.imports {
        if let ExternType::Func(ty) = &import.ty
            && let Some(result) = ty.results.iter().find(|ty| !is_number(ty))
        {
            return Err(Failure::new(
                HL_E_UNSUPPORTED,
                format!(
                    "the import {}.{} returns a reference ({result}), which no host function can make; pass a handle \
                     as i32 instead",
                    import.module, import.name
                ),
            ));
        }
    }
    Ok(())
}

/// What the VM manager must know of the functions. Exports that take or return references cannot be called.
fn interface(info: &ModuleInfo) -> Interface {
    let counts = |ty: &ExternType| match ty {
        ExternType::Func(ty) => Some((ty.params.len() as u32, ty.results.len() as u32)),
        _ => None,
    };
    let callable = |ty: &ExternType| match ty {
        ExternType::Func(ty) if !ty.params.iter().chain(ty.results.iter()).all(is_number) => None,
        other => counts(other),
    };
    Interface {
        exports: info.exports.iter().map(|export| callable(&export.ty)).collect(),
        imports: info.imports.iter().map(|import| counts(&import.ty)).collect(),
    }
}

fn stack_bytes(given: &hl_template_options) -> Result<u64, Failure> {
    let bytes = if given.stack_bytes == 0 { DEFAULT_STACK } else { given.stack_bytes };
    if !(MIN_STACK..=MAX_STACK).contains(&bytes) {
        return Err(Failure::argument(format!(
            "stack_bytes is {bytes}; choose between {MIN_STACK} and {MAX_STACK}"
        )));
    }
    Ok(bytes)
}

/// How much the VM must have for this module under these limits.
fn spec<'a>(module: &'a Module, given: &hl_template_options) -> Result<Spec<'a>, Failure> {
    let info = module.info();
    let smallest = info.memories.iter().map(|m| m.min_pages.saturating_mul(PAGE_BYTES)).max().unwrap_or(0);
    let memory_limit =
        if given.memory_limit == 0 { DEFAULT_MEMORY.max(smallest) } else { given.memory_limit };
    let table_limit = if given.table_limit == 0 { DEFAULT_TABLE } else { given.table_limit };
    let wasm_stack = stack_bytes(given)?;
    if smallest > memory_limit {
        return Err(Failure::new(
            HL_E_LIMIT,
            format!(
                "the module starts with {smallest} bytes of linear memory and the limit is {memory_limit}; raise the \
                 memory limit, or build the guest with less"
            ),
        ));
    }
    if let Some(table) = info.tables.iter().find(|table| table.min > table_limit) {
        return Err(Failure::new(
            HL_E_LIMIT,
            format!(
                "table {} starts with {} elements and the limit is {table_limit}; raise the table limit",
                table.index, table.min
            ),
        ));
    }
    let largest = |memory: &hlfuzz_wasm::Memory| {
        memory.max_pages.map_or(memory_limit, |pages| pages.saturating_mul(PAGE_BYTES)).min(memory_limit)
    };
    let sum = |imported: bool| -> u64 {
        let some = info.memories.iter().filter(|m| m.imported == imported);
        some.map(largest).fold(0, u64::saturating_add)
    };
    let gc = if info.features.iter().any(|f| f == "gc" || f == "exceptions" || f == "reference-types") {
        GC_HEAP
    } else {
        0
    };
    let items = (info.exports.len() + info.imports.len()) as u64 + info.functions;
    let tables = info.tables.len() as u64 * table_limit.saturating_mul(BYTES_PER_ELEMENT);
    // imported memories are made by the runtime itself, on its heap, where growing one keeps the old copy for a while
    let heap = BASE_HEAP
        .saturating_add(items * 512)
        .saturating_add(info.bytes * 2)
        .saturating_add(tables)
        .saturating_add(sum(true).saturating_mul(3));
    Ok(Spec {
        runtime: RUNTIME_ELF,
        artifact: module.artifact(),
        heap,
        arena: sum(false).saturating_add(gc).max(PAGE_BYTES),
        memory_limit,
        table_limit,
        wasm_stack,
        grow_traps: given.flags & HL_TEMPLATE_GROW_TRAPS != 0,
    })
}

unsafe fn boot(module: *const hl_module, given: *const hl_template_options) -> Result<Boot, Failure> {
    // SAFETY: the C contract.
    let module = unsafe { module.as_ref() }.ok_or_else(|| Failure::argument("NULL in place of a module"))?;
    // SAFETY: the C contract.
    let given = unsafe { options(given, fallback(), "hl_template_options")? };
    let tracking = match given.tracking {
        HL_TRACK_AUTO => Tracking::Auto,
        HL_TRACK_RING => Tracking::Ring,
        HL_TRACK_LOG => Tracking::Log,
        other => return Err(Failure::argument(format!("tracking {other} does not exist"))),
    };
    if given.flags & !HL_TEMPLATE_GROW_TRAPS != 0 {
        return Err(Failure::argument(format!("flags {:#x} do not exist", given.flags)));
    }
    let globals: Vec<[u64; 2]> = if given.import_values.is_null() {
        Vec::new()
    } else {
        // SAFETY: the C contract: so many values are there.
        let values =
            unsafe { std::slice::from_raw_parts(given.import_values, given.n_import_values as usize) };
        // SAFETY: every bit pattern is valid for integers.
        values.iter().map(|value| unsafe { value.raw }).collect()
    };
    let micros = |given: u64, or: u64| Duration::from_micros(if given == 0 { or } else { given });
    let deadline = Deadline {
        cpu: micros(given.start_cpu_us, 5_000_000),
        wall: micros(given.start_wall_us, 30_000_000),
    };
    let slice = (given.slice_us != 0).then(|| Duration::from_micros(given.slice_us));
    match &module.code {
        Code::Wasm(module) => {
            refuse_reference_results(module.info())?;
            let spec = spec(module, &given)?;
            let interface = Arc::new(interface(module.info()));
            let mut boot =
                Boot::new(Arc::new(Host::open()?), &spec, interface, &globals, tracking, deadline, slice)?;
            boot.identify(identity::of_wasm(module, &spec, Some(globals)));
            Ok(boot)
        }
        Code::Native(elf) => {
            let program = native::Program::parse(elf)?;
            let heap = if given.memory_limit == 0 { DEFAULT_MEMORY } else { given.memory_limit };
            let spec = native::Spec { program: &program, stack: stack_bytes(&given)?, heap };
            let interface = Arc::new(crate::native::interface(&program));
            let mut boot =
                Boot::new(Arc::new(Host::open()?), &spec, interface, &[], tracking, deadline, slice)?;
            boot.identify(identity::of_native(elf, &spec));
            Ok(boot)
        }
    }
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
