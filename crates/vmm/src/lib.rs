//! The micro-VM manager: a KVM VM as a library object, with a way back to its first state that costs less than a
//! system call.
//!
//! `boot` makes a [`Template`] from a runtime and an artifact, `sandbox` runs calls in a copy of it. Below them:
//! `machine` (KVM), `image` and `tables` (what is in guest RAM), `reset` (back to the snapshot), `exchange`,
//! `handshake` and `spin` (how a request gets in and an answer out), `deadline`, `cpus`, `mapping`.
//! Nothing here prints, exits, installs a signal handler or keeps global state.

pub mod boot;
pub mod cpus;
pub mod deadline;
pub mod error;
mod exchange;
pub mod handshake;
pub mod host;
pub mod image;
pub mod machine;
pub mod mapping;
pub mod posted;
pub mod reset;
pub mod sandbox;
pub mod snapshot;
mod spin;
mod tables;

pub use boot::{Boot, Template};
pub use deadline::Deadline;
pub use error::{Error, Kind, Result};
pub use host::{Host, Tracking};
pub use sandbox::{Interface, Level, Options, Sandbox, Status, Transport, TrapCause};
