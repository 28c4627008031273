//! The KVM of this machine: opened once per template, asked what it can do.

use crate::again::{kvm as again, number};
use crate::error::{Error, Kind, Result};
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm};
use std::io;
use std::os::fd::FromRawFd;
use std::sync::OnceLock;

/// How written pages are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracking {
    /// The ring where KVM has it, else the log.
    #[default]
    Auto,
    /// KVM_CAP_DIRTY_LOG_RING: written pages appear in shared memory.
    Ring,
    /// KVM_GET_DIRTY_LOG: a system call a reset.
    Log,
}

/// What `Host::probe` found.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    pub api_version: i32,
    /// Entries of the largest dirty ring; 0 where there is none.
    pub ring_entries: u32,
    pub sync_regs: bool,
    pub xsave: bool,
    /// KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.
    pub manual_protect: bool,
}

/// KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, which kvm-ioctls does not name.
pub(crate) const CAP_MANUAL_PROTECT: u32 = 168;
/// KVM_CAP_DIRTY_LOG_RING and its variant for weakly ordered CPUs; either serves on x86.
const CAP_RING: [u32; 2] = [192, 223];

#[derive(Debug)]
pub struct Host {
    pub(crate) kvm: Kvm,
    pub(crate) cpuid: CpuId,
    pub(crate) probe: Probe,
    pub(crate) ring_cap: u32,
}

impl Host {
    /// Opens /dev/kvm.
    pub fn open() -> Result<Self> {
        // SAFETY: a valid path; the result is checked.
        let fd = unsafe { libc::open(c"/dev/kvm".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        if fd < 0 {
            return Err(no_kvm(&io::Error::last_os_error()));
        }
        // SAFETY: a new descriptor of /dev/kvm that nobody else owns.
        let kvm = unsafe { Kvm::from_raw_fd(fd) };
        let api_version = number("asking /dev/kvm for its version", || kvm.get_api_version())?;
        if api_version != 12 {
            return Err(Error::new(
                Kind::NoKvm,
                format!("/dev/kvm speaks API version {api_version}, not 12; use a Linux kernel's own KVM"),
            ));
        }
        let cpuid = supported_cpuid(&kvm)?;
        let extension =
            |cap: u32| number("asking what KVM can do", || kvm.check_extension_raw(u64::from(cap)));
        let (mut ring_cap, mut ring_entries) = (0, 0);
        for cap in CAP_RING {
            let bytes = extension(cap)?;
            if bytes > 0 {
                (ring_cap, ring_entries) = (cap, bytes as u32 / 16);
                break;
            }
        }
        let probe = Probe {
            api_version,
            ring_entries,
            sync_regs: extension(Cap::SyncRegs as u32)? & 3 == 3,
            xsave: extension(Cap::Xsave as u32)? > 0,
            manual_protect: extension(CAP_MANUAL_PROTECT)? > 0,
        };
        Ok(Self { kvm, cpuid, probe, ring_cap })
    }

    pub fn probe(&self) -> &Probe {
        &self.probe
    }
}

/// What KVM can show to a guest. It does not change while the machine runs, and asking takes KVM a third of a
/// millisecond, so it is asked once.
fn supported_cpuid(kvm: &Kvm) -> Result<CpuId> {
    static CPUID: OnceLock<CpuId> = OnceLock::new();
    if let Some(cpuid) = CPUID.get() {
        return Ok(cpuid.clone());
    }
    let what = "reading the CPUID that KVM supports";
    let cpuid = again(what, || kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES))?;
    Ok(CPUID.get_or_init(|| cpuid).clone())
}

fn no_kvm(error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Error::new(
            Kind::NoKvm,
            "/dev/kvm does not exist; load the kvm module, turn on virtualisation in the firmware, or give the \
             container the device (--device /dev/kvm)",
        ),
        Some(libc::EACCES | libc::EPERM) => Error::new(
            Kind::Permission,
            "/dev/kvm may not be opened by this user; add the user to the group that owns it (often `kvm`) and log \
             in again",
        ),
        Some(libc::ENODEV | libc::ENXIO) => Error::new(
            Kind::NoKvm,
            "/dev/kvm is there but KVM does not answer; load kvm_intel, kvm_amd or kvm_pvm",
        ),
        _ => Error::os("opening /dev/kvm", error),
    }
}
