//! Why a micro-VM could not be made or cannot go on. Each message says what, where and the next step.

use crate::savefile::Reason;
use std::fmt;
use std::io;

/// What kind of problem it is, for callers that act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no usable KVM.
    NoKvm,
    /// KVM is there and may not be opened.
    Permission,
    /// A KVM operation failed.
    Kvm,
    OutOfMemory,
    OutOfFds,
    /// The runtime or the artifact is not what it must be.
    Image,
    /// More memory is asked for than the VM can have.
    Limit,
    /// Imports and module do not fit.
    Link,
    /// `spin` needs a second CPU.
    Cpu,
    /// Used in a forked child.
    Forked,
    /// A snapshot file was refused, or cannot be written.
    Snapshot(Reason),
    Argument,
    Internal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An operating-system error of `what`, with the advice that fits its errno.
    pub fn os(what: &str, error: &io::Error) -> Self {
        let (kind, advice) = match error.raw_os_error() {
            Some(libc::ENOMEM | libc::ENOSPC) => {
                (Kind::OutOfMemory, "free memory, or lower the memory limit or the number of sandboxes")
            }
            Some(libc::EMFILE) => (
                Kind::OutOfFds,
                "raise the limit on open files (ulimit -n; a sandbox needs two) or close sandboxes",
            ),
            Some(libc::ENFILE) => {
                (Kind::OutOfFds, "the whole system is out of file handles; close sandboxes")
            }
            Some(libc::EAGAIN) => (
                Kind::OutOfMemory,
                "raise the limits on threads (ulimit -u), on pending signals and timers (ulimit -i) and on locked memory (ulimit -l)",
            ),
            _ => (Kind::Kvm, "run `hlfuzz doctor` to see what this machine's KVM can do"),
        };
        Self::new(kind, format!("{what}: {error}; {advice}"))
    }

    /// The same, from errno.
    pub fn last_os(what: &str) -> Self {
        Self::os(what, &io::Error::last_os_error())
    }

    pub fn kvm(what: &str, error: kvm_ioctls::Error) -> Self {
        Self::os(what, &io::Error::from_raw_os_error(error.errno()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
