//! The micro-VM manager: a KVM VM as a library object, with a way back to its first state that costs less than a
//! system call.
//!
//! `boot` makes a [`Template`] from a runtime and an artifact, or from a native program; `sandbox` runs calls in a copy
//! of it. Below them: `machine` and `dirty` (KVM), `image`, `native`, `elf`, `layout` and `tables` (what is in guest RAM),
//! `reset` and `wipe` (back to the snapshot), `compare` (is it there?), `exchange`, `handshake` and `spin` (how a request gets in and an answer
//! out), `deadline`, `cpus`, `mapping`. Above it: `dispatch` runs a sandbox in a thread of its own and tells an event
//! loop, by way of `ready`, when it is its turn.
//! Nothing here prints, exits, installs a signal handler or keeps global state, but for `inject`: failures on purpose, in
//! one thread, for checks.
//!
//! Under `cfg(loom)` only `handshake` and `ready` are built, over loom's atomics, for their model checks.

pub mod handshake;
pub mod ready;

#[cfg(not(loom))]
mod again;
#[cfg(not(loom))]
mod compare;
#[cfg(not(loom))]
mod dirty;
#[cfg(not(loom))]
mod elf;
#[cfg(not(loom))]
mod exchange;
#[cfg(not(loom))]
mod futex;
#[cfg(not(loom))]
mod selectors;
#[cfg(not(loom))]
mod spin;
#[cfg(not(loom))]
mod tables;
#[cfg(not(loom))]
mod wipe;
#[cfg(not(loom))]
mod xsave;

#[cfg(not(loom))]
pub mod boot;
#[cfg(not(loom))]
pub mod cpus;
#[cfg(not(loom))]
pub mod deadline;
#[cfg(not(loom))]
pub mod dispatch;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
pub mod faults;
#[cfg(not(loom))]
pub mod host;
#[cfg(not(loom))]
pub mod image;
#[cfg(not(loom))]
pub mod inject;
#[cfg(not(loom))]
pub mod layout;
#[cfg(not(loom))]
pub mod machine;
#[cfg(not(loom))]
pub mod mapping;
#[cfg(not(loom))]
pub mod native;
#[cfg(not(loom))]
pub mod posted;
#[cfg(not(loom))]
pub mod reset;
#[cfg(not(loom))]
pub mod sandbox;
#[cfg(not(loom))]
pub mod savefile;
#[cfg(not(loom))]
pub mod snapshot;

#[cfg(not(loom))]
pub use {
    boot::{Boot, Template},
    deadline::Deadline,
    error::{Error, Kind, Result},
    host::{Host, Tracking},
    machine::{General, Register},
    sandbox::{
        CallLimits, Difference, Interface, Level, LimitCause, Options, Sandbox, State, Status, Transport,
        TrapCause,
    },
    tables::Mapped,
};
