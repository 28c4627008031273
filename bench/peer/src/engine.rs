//! The engine and a module that is ready to be instantiated many times.

use wasmtime::error::{Context as _, bail};
use wasmtime::{
    Config, Engine, ExternType, Func, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Result, Store, Val, ValType,
};

/// Bytes of each memory that the pool resets by copying instead of giving the pages back to the kernel.
const KEEP_RESIDENT: usize = 1 << 20;
/// One memory's bytes: what a guest of the benchmark may grow to.
const MAX_MEMORY: usize = 64 << 20;

/// A compiled module with its imports resolved.
pub struct Loaded {
    engine: Engine,
    ready: InstancePre<()>,
}

impl Loaded {
    /// Compiles `wasm` and gives each imported function an implementation that returns zeros.
    ///
    /// # Errors
    /// When the module is invalid or imports anything but functions.
    pub fn new(wasm: &[u8]) -> Result<Self> {
        let engine = Engine::new(&config())?;
        let module = Module::new(&engine, wasm)?;
        let mut linker: Linker<()> = Linker::new(&engine);
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else {
                bail!(
                    "import {}.{} is no function; the peer provides functions only",
                    import.module(),
                    import.name()
                );
            };
            let zeros = ty.results().map(zero).collect::<Result<Vec<_>>>()?;
            // A module may import one name twice with different types; the last one would be refused otherwise.
            linker.allow_shadowing(true);
            linker.func_new(import.module(), import.name(), ty, move |_, _, results| {
                results.clone_from_slice(&zeros);
                Ok(())
            })?;
        }
        let ready = linker.instantiate_pre(&module)?;
        Ok(Self { engine, ready })
    }

    /// A fresh instance: its store and the exported function.
    ///
    /// # Errors
    /// When the start function traps, or there is no function of that name.
    pub fn instantiate(&self, function: &str) -> Result<(Store<()>, Func)> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.ready.instantiate(&mut store)?;
        let func = instance
            .get_func(&mut store, function)
            .with_context(|| format!("no exported function named {function:?}"))?;
        Ok((store, func))
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(4)
        .total_memories(8)
        .total_tables(8)
        .max_memories_per_module(2)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT);
    let mut config = Config::new();
    config.concurrency_support(false);
    config.memory_init_cow(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn zero(ty: ValType) -> Result<Val> {
    match Val::default_for_ty(&ty) {
        Some(value) => Ok(value),
        None => bail!("an imported function returns {ty}, which has no default value"),
    }
}
