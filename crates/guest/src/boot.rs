//! From the artifact to an instance: engine, imports, start function, export table.

use crate::arena::Arena;
use crate::exchange;
use crate::heap;
use crate::serve::{self, State};
use crate::tunables;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use hlfuzz_abi::{Boot, MAX_FRAMES, Value, Windows};
use wasmtime::*;

/// The host has already mapped the artifact's text read-execute and the rest read-only.
struct HostMapped;

impl CustomCodeMemory for HostMapped {
    fn required_alignment(&self) -> usize {
        4096
    }
    fn publish_executable(&self, _: *const u8, _: usize) -> Result<()> {
        Ok(())
    }
    fn unpublish_executable(&self, _: *const u8, _: usize) -> Result<()> {
        Ok(())
    }
}

/// The compiler's settings (the same file) and what only the runtime decides.
fn config(record: &Boot) -> Config {
    let mut c = Config::new();
    tunables::apply(&mut c);
    c.wasm_backtrace_max_frames(NonZeroUsize::new(MAX_FRAMES));
    c.max_wasm_stack(record.wasm_stack as usize);
    // checked against the stack size although no fiber is ever made
    c.async_stack_size(record.wasm_stack as usize + (128 << 10));
    c.with_custom_code_memory(Some(Arc::new(HostMapped)));
    c.with_host_memory(Arc::new(Arena::new(
        record.arena as usize,
        record.arena_len as usize,
        record.memory_limit as usize,
        record.heap as *mut Windows,
    )));
    // SAFETY: the host compiled for the CPU that it and this VM run on.
    unsafe { c.detect_host_feature(|_| Some(true)) };
    c
}

pub fn boot(record: &Boot) -> Result<Store<State>> {
    let engine = Engine::new(&config(record))?;
    let artifact = NonNull::new(record.artifact as *mut u8).ok_or_else(|| Error::msg("no artifact"))?;
    let artifact = NonNull::slice_from_raw_parts(artifact, record.artifact_len as usize);
    // SAFETY: the artifact is mapped read-only for as long as the VM exists and was made by the matching compiler.
    let module = unsafe { Module::deserialize_raw(&engine, artifact)? };
    let mut store = heap::hot(|| Store::new(&engine, State::new(record)));
    store.limiter(|state| &mut state.limits);
    let given = given_globals();
    let mut given = given.iter();
    let mut imports = Vec::new();
    for (index, import) in module.imports().enumerate() {
        imports.push(provide(&mut store, index, import.ty(), &mut given)?);
    }
    let instance = instantiate(&mut store, &module, &imports)?;
    initialize(&mut store, &instance)?;
    let exports: Vec<Extern> = instance.exports(&mut store).map(Export::into_extern).collect();
    warm(&mut store)?;
    let names: Vec<bool> = module.exports().map(|export| export.name() == "memory").collect();
    serve::register(&mut store, &exports, &names);
    Ok(store)
}

/// Values of the imported globals, in order; the host left them in the request block.
fn given_globals() -> Vec<Value> {
    let n = (exchange::request_n() as usize).min(hlfuzz_abi::MAX_VALUES);
    // SAFETY: `n` values fit the block.
    unsafe { core::slice::from_raw_parts(exchange::request_values(), n) }.to_vec()
}

fn provide<'a>(
    store: &mut Store<State>,
    index: usize,
    ty: ExternType,
    given: &mut impl Iterator<Item = &'a Value>,
) -> Result<Extern> {
    Ok(match ty {
        ExternType::Func(ty) => serve::host_function(store, index, ty).into(),
        ExternType::Memory(ty) => Memory::new(store, ty)?.into(),
        ExternType::Global(ty) => {
            let value = serve::value_of(ty.content(), given.next().copied().unwrap_or_default())
                .or_else(|| Val::default_for_ty(ty.content()))
                .ok_or_else(|| Error::msg("an imported global has a type without a default value"))?;
            Global::new(store, ty, value)?.into()
        }
        ExternType::Table(ty) => {
            let null = Val::default_for_ty(&ValType::Ref(ty.element().clone()))
                .and_then(|val| val.ref_())
                .ok_or_else(|| Error::msg("an imported table has elements without a default value"))?;
            Table::new(store, ty, null)?.into()
        }
        ExternType::Tag(ty) => Tag::new(store, &ty)?.into(),
    })
}

/// One call before the snapshot, so that what wasmtime sets up at its first call is part of it and not undone by each
/// reset.
fn warm(store: &mut Store<State>) -> Result<()> {
    Func::wrap(&mut *store, || {}).typed::<(), ()>(&*store)?.call(&mut *store, ())
}

/// The start function runs inside; what it allocates must not crowd out the instance, which is allocated before it.
fn instantiate(store: &mut Store<State>, module: &Module, imports: &[Extern]) -> Result<Instance> {
    heap::hot(|| Instance::new(store, module, imports))
}

/// Reactor modules set themselves up in `_initialize`; a command's `_start` is never run.
fn initialize(store: &mut Store<State>, instance: &Instance) -> Result<()> {
    if let Some(function) = instance.get_func(&mut *store, "_initialize") {
        if let Ok(function) = function.typed::<(), ()>(&*store) {
            function.call(&mut *store, ())?;
        }
    }
    Ok(())
}
