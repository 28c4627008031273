//! Snapshots in files: one versioned, checksummed file that a hostile hand may have made, checksums and all.
//!
//! A file carries only what a guest could have brought about itself: the pages that it may write and the registers
//! that it may change at CPL3. Page tables, descriptors, ring-0 memory, code and system registers never come from a
//! file: at load the host builds them anew from its own guest, and lays the file's pages over that.
//!
//! `identity` decides whether a file belongs to a guest, `header` is the form, `index` says which pages there are,
//! `pages` moves them, `state` the registers; `save` and `load` are the two directions, `place` is how a file appears
//! whole or not at all.

mod header;
mod identity;
mod index;
mod load;
mod pages;
mod place;
mod save;
mod state;
#[cfg(test)]
mod tests;

pub use header::VERSION;
pub use identity::{Fact, FactValue, Identity};
pub use load::{Wanted, load};

use crate::error::{Error, Kind};

/// Why a snapshot file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    NotASnapshot,
    /// Another version of the format, or of hlfuzz.
    Version,
    Truncated,
    Damaged,
    /// Of another guest, or of the same one under other limits or imported values.
    OtherGuest,
    /// Its code needs what this CPU lacks, or was compiled for less than this one has.
    Cpu,
    /// More than this guest can have.
    TooLarge,
    /// The operating system refused to read or write it.
    Io,
}

fn refused(reason: Reason, why: impl Into<String>) -> Error {
    Error::new(Kind::Snapshot(reason), why)
}

fn damaged(why: impl std::fmt::Display) -> Error {
    refused(Reason::Damaged, format!("the snapshot file is damaged: {why}; take the snapshot again"))
}

fn truncated() -> Error {
    refused(Reason::Truncated, "the snapshot file is truncated; copy it again, or take the snapshot again")
}

/// Of reading, where the end of the file is not the operating system's fault.
fn unread(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        truncated()
    } else {
        refused(Reason::Io, format!("reading the snapshot file: {error}; check the path and its permissions"))
    }
}
