//! Which CPUs a spinning vCPU may have, and the claim that keeps two of them apart.

use crate::error::{Error, Kind, Result};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{FromRawFd, OwnedFd};

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
    // SAFETY: an all-zero set is valid.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
    }
}

/// Says to all processes of this machine that a vCPU spins on a CPU: a name in the abstract socket namespace, which
/// the kernel gives up with the descriptor, however the process ends.
#[derive(Debug)]
pub struct Claim {
    pub cpu: i32,
    _socket: OwnedFd,
}

impl Claim {
    /// None when somebody else has the CPU.
    pub fn try_new(cpu: i32) -> Result<Option<Self>> {
        // SAFETY: plain socket call; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(Error::last_os("claiming a CPU"));
        }
        // SAFETY: a new descriptor that nobody else owns.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all-zero is a valid address.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let name = format!("\0hlfuzz-spin-cpu{cpu}");
        for (to, from) in address.sun_path.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let len = (size_of::<libc::sa_family_t>() + name.len()) as libc::socklen_t;
        // SAFETY: address and length fit each other.
        if unsafe { libc::bind(fd, (&raw const address).cast(), len) } == 0 {
            return Ok(Some(Self { cpu, _socket: socket }));
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EADDRINUSE) => Ok(None),
            _ => Err(Error::last_os("claiming a CPU")),
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
