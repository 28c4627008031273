//! Engine settings that the compiler and the in-VM runtime must share, in one place for both.
//!
//! `crates/guest` includes this very file (`#[path]`), so it uses nothing but `core` and `wasmtime`: an artifact that was
//! compiled under other settings is refused by the runtime when it loads it.

use wasmtime::{Collector, Config, WasmBacktraceDetails, WasmFeatures};

/// The Wasm features that a guest module may use; everything else is refused at load, by name.
///
/// Wasm 3.0 without threads: the runtime is `no_std` and a sandbox has one vCPU, so shared memories cannot be served.
pub const FEATURES: WasmFeatures =
    WasmFeatures::WASM3.union(WasmFeatures::GC_TYPES).difference(WasmFeatures::THREADS);

/// Bytes of the heap for garbage-collected values and exceptions, in modules that can have any.
pub const GC_HEAP: u64 = 16 << 20;

/// Sets on `config` everything that both sides must agree on.
pub fn apply(config: &mut Config) {
    config
        .wasm_features(FEATURES.complement(), false)
        .wasm_features(FEATURES, true)
        // The same result on every CPU: `determinism` and `differential` compare results.
        .relaxed_simd_deterministic(true)
        .collector(Collector::DeferredReferenceCounting)
        // Explicit bounds checks: a fault inside the VM would cost an exit, and the guest kernel has no signals.
        .signals_based_traps(false)
        .memory_reservation(0)
        .memory_guard_size(0)
        .memory_reservation_for_growth(0)
        .guard_before_linear_memory(false)
        // The reservation is also how the runtime tells the heap of collected values from a linear memory.
        .gc_heap_reservation(GC_HEAP)
        .gc_heap_guard_size(0)
        .gc_heap_reservation_for_growth(0)
        .gc_heap_may_move(true)
        .memory_init_cow(false)
        // Lazy initialisation would be undone by every reset, so that each call pays for it again.
        .table_lazy_init(false)
        // The deadline of a call is kept by the host, which stops the vCPU: no counters in guest code.
        .consume_fuel(false)
        .epoch_interruption(false)
        .concurrency_support(false)
        // The runtime says where a guest trapped, by function and offset in the module. Names and lines are the host's
        // business: nothing in the VM reads symbols or DWARF; `Disable` also ignores WASMTIME_BACKTRACE_DETAILS.
        .generate_address_map(true)
        .debug_info(false)
        .debug_symbols(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
}
