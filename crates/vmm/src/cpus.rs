//! Which CPUs a spinning vCPU may have, and the claim that keeps two of them apart.

use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::AsRawFd;

/// CPUs that this thread may run on, ascending.
pub fn allowed() -> Vec<i32> {
    // SAFETY: an all-zero set is valid; the kernel fills it.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE).filter(|cpu| libc::CPU_ISSET(*cpu as usize, &set)).collect()
    }
}

pub fn current() -> i32 {
    // SAFETY: plain query.
    unsafe { libc::sched_getcpu() }
}

pub fn pin_this_thread(cpu: i32) -> bool {
    if !(0..libc::CPU_SETSIZE).contains(&cpu) {
        return false;
    }
    // SAFETY: an all-zero set is valid.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
    }
}

/// Says to all processes of this machine that a vCPU spins on a CPU: a lock on the CPU's directory in sysfs, which the
/// kernel gives up with the process, however that ends.
#[derive(Debug)]
pub struct Claim {
    pub cpu: i32,
    directory: File,
    /// A forked child has a copy of the descriptor, which holds the same lock.
    process: u32,
}

impl Claim {
    /// None when somebody else has the CPU.
    pub fn try_new(cpu: i32) -> Result<Option<Self>> {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}");
        let directory =
            File::open(&path).map_err(|e| Error::os(&format!("claiming CPU {cpu} ({path})"), &e))?;
        // SAFETY: plain call on our descriptor.
        if unsafe { libc::flock(directory.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(Self { cpu, directory, process: std::process::id() }));
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EWOULDBLOCK) => Ok(None),
            _ => Err(Error::last_os(&format!("claiming CPU {cpu} ({path})"))),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // closing alone would leave the lock to a forked child's copy
            // SAFETY: plain call on our descriptor.
            unsafe { libc::flock(self.directory.as_raw_fd(), libc::LOCK_UN) };
        }
    }
}

/// May a thread of this process run on `cpu`? Asked of the kernel, because a caller that is pinned itself may still name
/// another CPU for the vCPU.
fn may_use(cpu: i32) -> bool {
    std::thread::scope(|scope| scope.spawn(|| pin_this_thread(cpu)).join().unwrap_or(false))
}

/// A CPU for a spinning vCPU: `wanted`, or one of this thread's CPUs that is free and not the caller's. `Err` says why
/// there is none.
pub fn choose(wanted: i32) -> Result<Claim> {
    let here = current();
    let candidates: Vec<i32> = if wanted >= 0 {
        if !may_use(wanted) {
            return Err(Error::new(
                Kind::Cpu,
                format!("CPU {wanted} does not exist or is not given to this process; name another one"),
            ));
        }
        if allowed() == [wanted] {
            return Err(Error::new(
                Kind::Cpu,
                format!(
                    "the vCPU would spin on CPU {wanted}, the only one that the calling thread may use; name another \
                     CPU, or use transport exit"
                ),
            ));
        }
        vec![wanted]
    } else {
        allowed().into_iter().rev().filter(|cpu| *cpu != here).collect()
    };
    if candidates.is_empty() {
        return Err(Error::new(
            Kind::Cpu,
            "the spin transport needs two CPUs and the calling thread may use one; use transport exit, widen its \
             affinity (taskset, cpuset), or name the vCPU's CPU",
        ));
    }
    for cpu in &candidates {
        if let Some(claim) = Claim::try_new(*cpu)? {
            return Ok(claim);
        }
    }
    Err(Error::new(
        Kind::Cpu,
        format!(
            "a vCPU already spins on CPU {candidates:?}; close that sandbox, name another CPU, or use transport exit"
        ),
    ))
}
