//! Validates, describes and compiles untrusted Wasm modules for the in-VM runtime.
//!
//! [`inspect`] answers what a module is; [`Module::new`] also compiles it, or takes the artifact from a cache on disk.
//! Compiled code never runs in this process.

mod cache;
mod collect;
mod compile;
mod config;
mod error;
mod features;
mod header;
mod inspect;
mod limits;
mod module;
mod runtime;
mod tunables;
mod types;

pub use cache::CacheStatus;
pub use config::{TARGET, enabled_cpu_features};
pub use error::{Error, ErrorCode};
pub use inspect::{CustomSection, Export, Import, Memory, ModuleInfo, PAGE_BYTES, SCHEMA, Table, inspect};
pub use limits::Limits;
pub use module::{DEFAULT_MAX_BYTES, Module, ModuleOptions};
pub use runtime::{RUNTIME_ELF, WASMTIME_VERSION};
pub use tunables::GC_HEAP;
pub use types::{ExternType, FuncType, GlobalType, MemoryType, TableType, ValType};
