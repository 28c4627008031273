//! The in-VM runtime, built by this crate's build script from `crates/guest`.

/// The runtime as a static ELF file, linked at `hlfuzz_abi::map::RUNTIME`.
pub static RUNTIME_ELF: &[u8] = include_bytes!(env!("HLFUZZ_RUNTIME_ELF"));

/// Release of wasmtime in both the compiler and the runtime; the build fails when they differ.
pub const WASMTIME_VERSION: &str = env!("HLFUZZ_WASMTIME");
