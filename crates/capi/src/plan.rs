//! What a boot, or the load of a snapshot, needs to know of a module under given options.

use crate::codes::*;
use crate::errors::{Failure, options};
use crate::identity;
use crate::module::{Code, hl_module};
use crate::types::hl_template_options;
use hlfuzz_vmm::image::{Image, Spec};
use hlfuzz_vmm::layout::Layout;
use hlfuzz_vmm::native::{self, Program};
use hlfuzz_vmm::savefile::Identity;
use hlfuzz_vmm::{Interface, Tracking};
use hlfuzz_wasm::{ExternType, GC_HEAP, Module, ModuleInfo, PAGE_BYTES, RUNTIME_ELF, ValType};
use std::ops::Range;
use std::sync::Arc;

/// A module with its options resolved.
pub(crate) struct Plan<'a> {
    pub image: GuestImage<'a>,
    pub interface: Arc<Interface>,
    /// Its globals are those that the options give, missing ones zero.
    pub identity: Identity,
    pub tracking: Tracking,
}

/// What is put into guest RAM.
pub(crate) enum GuestImage<'a> {
    Wasm(Spec<'a>),
    Native(Box<Native<'a>>),
}

impl Image for GuestImage<'_> {
    fn ram_size(&self) -> hlfuzz_vmm::Result<u64> {
        match self {
            Self::Wasm(spec) => spec.ram_size(),
            Self::Native(native) => native.spec().ram_size(),
        }
    }

    fn filled(&self, ram: u64) -> hlfuzz_vmm::Result<Vec<Range<u64>>> {
        match self {
            Self::Wasm(spec) => spec.filled(ram),
            Self::Native(native) => native.spec().filled(ram),
        }
    }

    fn build(&self, ram: &mut [u8]) -> hlfuzz_vmm::Result<Layout> {
        match self {
            Self::Wasm(spec) => spec.build(ram),
            Self::Native(native) => native.spec().build(ram),
        }
    }
}

/// A native program with what its VM gets, in bytes.
pub(crate) struct Native<'a> {
    program: Program<'a>,
    stack: u64,
    heap: u64,
}

impl Native<'_> {
    fn spec(&self) -> native::Spec<'_> {
        native::Spec { program: &self.program, stack: self.stack, heap: self.heap }
    }
}

/// The module and the options that a C caller gave.
///
/// # Safety
/// As in C: both are NULL or valid.
pub(crate) unsafe fn read<'a>(
    module: *const hl_module,
    given: *const hl_template_options,
) -> Result<(&'a hl_module, hl_template_options), Failure> {
    // SAFETY: the C contract.
    let module = unsafe { module.as_ref() }.ok_or_else(|| Failure::argument("NULL in place of a module"))?;
    // SAFETY: the C contract.
    Ok((module, unsafe { options(given, fallback(), "hl_template_options")? }))
}

impl<'a> Plan<'a> {
    pub fn new(module: &'a hl_module, given: &hl_template_options) -> Result<Self, Failure> {
        let tracking = match given.tracking {
            HL_TRACK_AUTO => Tracking::Auto,
            HL_TRACK_RING => Tracking::Ring,
            HL_TRACK_LOG => Tracking::Log,
            other => return Err(Failure::argument(format!("tracking {other} does not exist"))),
        };
        if given.flags & !HL_TEMPLATE_GROW_TRAPS != 0 {
            return Err(Failure::argument(format!("flags {:#x} do not exist", given.flags)));
        }
        match &module.code {
            Code::Wasm(module) => {
                refuse_reference_results(module.info())?;
                let spec = spec(module, given)?;
                Ok(Self {
                    interface: Arc::new(interface(module.info())),
                    identity: identity::of_wasm(module, &spec, globals(given)),
                    image: GuestImage::Wasm(spec),
                    tracking,
                })
            }
            Code::Native(elf) => {
                let program = Program::parse(elf)?;
                let heap = if given.memory_limit == 0 { DEFAULT_MEMORY } else { given.memory_limit };
                let stack = stack_bytes(given)?;
                Ok(Self {
                    interface: Arc::new(crate::native::interface(&program)),
                    identity: identity::of_native(elf, heap, stack),
                    image: GuestImage::Native(Box::new(Native { program, stack, heap })),
                    tracking,
                })
            }
        }
    }
}

fn globals(given: &hl_template_options) -> Vec<[u64; 2]> {
    if given.import_values.is_null() {
        return Vec::new();
    }
    // SAFETY: the C contract: so many values are there.
    let values = unsafe { std::slice::from_raw_parts(given.import_values, given.n_import_values as usize) };
    // SAFETY: every bit pattern is valid for integers.
    values.iter().map(|value| unsafe { value.raw }).collect()
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
