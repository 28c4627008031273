//! `hlfuzz.h`: the public C API. Everything that the Python package does with a VM goes through these functions.
//!
//! Threads: modules and templates are immutable and may be used from any thread. A sandbox may be used by one thread
//! at a time, which may change. The library never prints, exits, installs signal handlers, calls back, or keeps global
//! state; it makes a thread only for a sandbox in the spin transport, and for one that `hl_dispatch_attach` was called
//! for. While a call runs, the signal SIGRTMIN+5 is blocked in the thread that runs the vCPU and used to end the call
//! at its deadline, or when it is kicked.
//!
//! Strings are UTF-8. Every function accepts NULL for an `hl_error *` and for the object of a `_free` or `_close`.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]
// The safety contract of every function is C's: pointers are NULL where that is allowed, or valid for their lengths.

mod codes;
mod cores;
mod differ;
mod dispatch;
mod errors;
mod evidence;
mod identity;
mod measure;
mod meddling;
mod memory;
mod module;
mod names;
mod native;
mod plan;
mod sandbox;
mod snapshot;
mod template;
mod types;
mod vectors;
mod verifier;

pub use codes::*;
pub use cores::*;
pub use differ::*;
pub use dispatch::*;
pub use evidence::*;
pub use measure::*;
pub use meddling::*;
pub use memory::*;
pub use module::*;
pub use names::*;
pub use native::*;
pub use sandbox::*;
pub use snapshot::*;
pub use template::*;
pub use types::*;
pub use vectors::*;
pub use verifier::*;
