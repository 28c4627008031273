//! One KVM VM with one vCPU: creation, registers, and running it until it leaves.

#[cfg(test)]
pub(crate) mod played;
mod state;

use crate::again::{kvm, number};
use crate::dirty::{Ring, enable_tracking};
use crate::error::{Error, Kind, Result};
use crate::host::{Host, Tracking};
use crate::inject::{self, point};
use crate::layout::Layout;
use crate::mapping::Mapping;
use crate::selectors::{Leak, Selectors};
use crate::tables::{CODE_SELECTOR, DATA_SELECTOR, GDT_LIMIT, IDT_LIMIT, TASK_SELECTOR, TSS_LIMIT};
use hlfuzz_abi::map;
use kvm_bindings::*;
use kvm_ioctls::{VcpuFd, VmFd};
pub use state::Register;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};
use std::sync::atomic::AtomicBool;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::{ioctl_io_nr, ioctl_iow_nr};

// What kvm-ioctls lacks, or offers only with an allocation or a `&mut` that two threads cannot share.
ioctl_io_nr!(KVM_RUN, KVMIO, 0x80);
ioctl_iow_nr!(KVM_SET_SIGNAL_MASK, KVMIO, 0x8b, kvm_signal_mask);

pub(crate) const RAM_SLOT: u32 = 0;
pub(crate) const MAILBOX_SLOT: u32 = 1;
/// Linux: arch/x86/include/uapi/asm/kvm.h, KVM_SYNC_X86_*.
const SYNC_REGS: u64 = 1;
const SYNC_SREGS: u64 = 2;
/// KVM_EXIT_DIRTY_RING_FULL.
const EXIT_RING_FULL: u32 = 31;
/// Times that KVM is asked to end an instruction of the guest. One access has at most two parts, and is then over.
const ROUNDS: u32 = 16;

/// Why the vCPU left guest code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A kick, or `immediate_exit`.
    Interrupted,
    /// A store to the doorbell page, with its value.
    Doorbell(u32),
    /// A CPU exception reached a ring-0 stub.
    Exception(Exception),
    /// The dirty ring has no room.
    RingFull,
    /// An access to a guest-physical address where nothing is; KVM is in the middle of the instruction.
    Outside(u64),
    /// The guest has brought the vCPU where it cannot go on.
    Broken(String),
    /// An operation of the host failed; the guest is not to blame.
    Failed(Error),
}

/// Which pages are tracked, and how.
#[derive(Clone, Copy, Debug)]
pub struct Track {
    pub how: Tracking,
    /// The mailbox too.
    pub everything: bool,
}

/// A CPU exception of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    pub vector: u32,
    pub error_code: u64,
    pub rip: u64,
    pub rsp: u64,
    /// CR2; only meaningful for a page fault.
    pub address: u64,
}

/// General registers and segments, as a debugger shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct General {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub cs: u64,
    pub ss: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

impl General {
    fn new(r: &kvm_regs, s: &kvm_sregs) -> Self {
        Self {
            rax: r.rax,
            rbx: r.rbx,
            rcx: r.rcx,
            rdx: r.rdx,
            rsi: r.rsi,
            rdi: r.rdi,
            rbp: r.rbp,
            rsp: r.rsp,
            r8: r.r8,
            r9: r.r9,
            r10: r.r10,
            r11: r.r11,
            r12: r.r12,
            r13: r.r13,
            r14: r.r14,
            r15: r.r15,
            rip: r.rip,
            rflags: r.rflags,
            cs: s.cs.selector.into(),
            ss: s.ss.selector.into(),
            ds: s.ds.selector.into(),
            es: s.es.selector.into(),
            fs: s.fs.selector.into(),
            gs: s.gs.selector.into(),
            fs_base: s.fs.base,
            gs_base: s.gs.base,
        }
    }
}

/// Everything of a vCPU that a guest at CPL3 can change.
#[derive(Default)]
pub struct Registers {
    pub(crate) regs: kvm_regs,
    pub(crate) sregs: kvm_sregs,
    pub(crate) xsave: Box<kvm_xsave>,
    events: kvm_vcpu_events,
}

impl Registers {
    pub fn general(&self) -> General {
        General::new(&self.regs, &self.sregs)
    }

    /// A copy with another XSAVE area, of the same size.
    pub(crate) fn with_xsave(&self, area: &[u8]) -> Self {
        let (regs, sregs, events) = (self.regs, self.sregs, self.events);
        let mut it = Self { regs, sregs, events, ..Self::default() };
        crate::xsave::area_mut(&mut it.xsave).copy_from_slice(area);
        it
    }
}

pub struct Machine {
    /// Mapped by `vcpu`, for as long as that lives.
    run: *mut kvm_run,
    // order matters: mappings before the descriptors they belong to
    pub(crate) ring: Option<Ring>,
    vcpu: VcpuFd,
    pub(crate) vm: VmFd,
    ram: *mut u8,
    pub(crate) leak: Leak,
    /// For tests: the vCPU thread takes an interruption that it was not told of for the end.
    pub(crate) interruption_ends: AtomicBool,
    #[cfg(test)]
    played: played::Played,
}

// SAFETY: the descriptors may be used from any thread; the protocol in `sandbox` and `spin` lets only one thread at a
// time run or change the vCPU.
unsafe impl Send for Machine {}
// SAFETY: as above.
unsafe impl Sync for Machine {}

impl Machine {
    /// A VM over `ram` and `mailbox`, which must outlive it. `track`: written pages of `ram` will be asked for, and of
    /// `mailbox` too with `Track::everything`.
    pub fn new(host: &Host, ram: &Mapping, mailbox: &Mapping, track: Option<Track>) -> Result<Self> {
        let vm = kvm("creating the VM", || host.kvm.create_vm())?;
        // needed on Intel without unrestricted guests; an address that nothing else uses
        kvm("placing KVM's own TSS", || vm.set_tss_address(0xfffb_d000))?;
        let ring_entries = match track {
            Some(track) => enable_tracking(host, &vm, track.how)?,
            None => 0,
        };
        let flags = |tracked: bool| if tracked { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        let both = track.is_some_and(|track| track.everything);
        for (slot, flags, address, memory) in
            [(RAM_SLOT, flags(track.is_some()), 0, ram), (MAILBOX_SLOT, flags(both), map::MAILBOX, mailbox)]
        {
            let region = kvm_userspace_memory_region {
                slot,
                flags,
                guest_phys_addr: address,
                memory_size: memory.len() as u64,
                userspace_addr: memory.as_ptr() as u64,
            };
            // SAFETY: the mapping is valid for its length and outlives the VM.
            kvm("giving the VM its memory", || unsafe { vm.set_user_memory_region(region) })?;
        }
        let mut vcpu = kvm("creating the vCPU", || vm.create_vcpu(0))?;
        let run = std::ptr::from_mut(vcpu.get_kvm_run());
        let ring = if ring_entries == 0 { None } else { Some(Ring::new(&vcpu, ring_entries)?) };
        kvm("setting CPUID", || vcpu.set_cpuid2(&host.cpuid))?;
        // x87, SSE and AVX; AVX-512 stays off, so that an artifact and a snapshot fit more machines
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
        xcrs.xcrs[0].value = 7;
        kvm("turning on AVX", || vcpu.set_xcrs(&xcrs))?;
        Ok(Self {
            run,
            ring,
            vcpu,
            vm,
            ram: ram.as_ptr(),
            leak: Leak::default(),
            interruption_ends: AtomicBool::new(false),
            #[cfg(test)]
            played: played::Played::default(),
        })
    }

    /// Registers for the first instruction of `layout`'s runtime, at CPL3.
    pub fn start_at(&self, layout: &Layout) -> Result<()> {
        let mut sregs = kvm("reading system registers", || self.vcpu.get_sregs())?;
        let code = kvm_segment {
            limit: u32::MAX,
            selector: CODE_SELECTOR,
            present: 1,
            type_: 11,
            dpl: 3,
            s: 1,
            l: 1,
            g: 1,
            ..Default::default()
        };
        let data = kvm_segment { selector: DATA_SELECTOR, type_: 3, l: 0, db: 1, ..code };
        sregs.cs = code;
        (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
        sregs.tr = kvm_segment {
            base: map::TSS,
            limit: TSS_LIMIT,
            selector: TASK_SELECTOR,
            present: 1,
            type_: 11,
            ..Default::default()
        };
        sregs.gdt = kvm_dtable { base: map::GDT, limit: GDT_LIMIT, ..Default::default() };
        sregs.idt = kvm_dtable { base: map::IDT, limit: IDT_LIMIT, ..Default::default() };
        sregs.cr3 = map::PML4;
        sregs.cr4 = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 18; // PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
        sregs.cr0 = 0x8005_0033; // PG, AM, WP, NE, ET, MP, PE
        // LME, LMA, NXE. Not SCE: there is no kernel that SYSCALL could enter, so it must be an exception
        sregs.efer = 1 << 8 | 1 << 10 | 1 << 11;
        kvm("setting system registers", || self.vcpu.set_sregs(&sregs))?;
        // the ABI wants rsp + 8 to be a multiple of 16 at a function's first instruction
        let regs = kvm_regs { rip: layout.entry, rsp: layout.stack_top - 8, rflags: 2, ..Default::default() };
        kvm("setting registers", || self.vcpu.set_regs(&regs))
    }

    /// While the vCPU runs, only `signal` reaches its thread; everything else waits.
    pub fn only_signal(&self, signal: i32) -> Result<()> {
        #[repr(C)]
        struct Mask {
            head: kvm_signal_mask,
            bits: [u8; 8],
        }
        let bits = !(1u64 << (signal - 1));
        let mask = Mask { head: kvm_signal_mask { len: 8, ..Default::default() }, bits: bits.to_le_bytes() };
        // SAFETY: the head says that eight bytes follow, and they do.
        number("setting the vCPU's signal mask", || unsafe {
            ioctl_with_ref(&self.vcpu, KVM_SET_SIGNAL_MASK(), &mask.head)
        })
        .map(drop)
    }

    fn run_page(&self) -> *mut kvm_run {
        self.run
    }

    /// Makes the next (or current, after its signal) `run` return at once.
    pub fn set_immediate_exit(&self, on: bool) {
        // SAFETY: the run page is mapped; the kernel reads this byte.
        unsafe { write_volatile(addr_of_mut!((*self.run_page()).immediate_exit), u8::from(on)) }
    }

    /// KVM_RUN.
    fn enter(&self) -> io::Result<()> {
        inject::check(point::RUN)?;
        let own = Selectors::read();
        // SAFETY: the protocol lets one thread run the vCPU at a time.
        let result = unsafe { libc::ioctl(self.vcpu.as_raw_fd(), KVM_RUN(), 0) };
        let error = (result < 0).then(io::Error::last_os_error);
        if self.leak.is_on() {
            own.put_back_but_data();
        } else {
            own.put_back();
        }
        error.map_or(Ok(()), Err)
    }

    /// Runs the vCPU until it leaves guest code.
    pub fn run(&self) -> Exit {
        #[cfg(test)]
        if let Some(exit) = self.played_exit() {
            return exit;
        }
        let page = self.run_page();
        if let Err(error) = self.enter() {
            return match error.raw_os_error() {
                Some(libc::EINTR | libc::EAGAIN) => Exit::Interrupted,
                _ => Exit::Failed(Error::os("running the vCPU", &error)),
            };
        }
        // SAFETY: the run page is mapped; the kernel has filled the part that the exit reason names.
        let reason = unsafe { read_volatile(addr_of!((*page).exit_reason)) };
        match reason {
            KVM_EXIT_MMIO => {
                // SAFETY: as above.
                let mmio = unsafe { read_volatile(addr_of!((*page).__bindgen_anon_1.mmio)) };
                if mmio.phys_addr == map::DOORBELL && mmio.is_write != 0 && mmio.len == 4 {
                    let [a, b, c, d, ..] = mmio.data;
                    Exit::Doorbell(u32::from_le_bytes([a, b, c, d]))
                } else {
                    Exit::Outside(mmio.phys_addr)
                }
            }
            KVM_EXIT_IO => {
                // SAFETY: as above.
                let port = unsafe { read_volatile(addr_of!((*page).__bindgen_anon_1.io)) }.port;
                if port == u16::from(map::EXCEPTION_PORT) {
                    self.exception().map_or_else(Exit::Failed, Exit::Exception)
                } else {
                    Exit::Broken(format!("the guest used I/O port {port:#x}"))
                }
            }
            EXIT_RING_FULL => Exit::RingFull,
            KVM_EXIT_SHUTDOWN => Exit::Broken("the vCPU shut down (triple fault)".into()),
            KVM_EXIT_INTERNAL_ERROR => {
                // SAFETY: as above.
                let code = unsafe { read_volatile(addr_of!((*page).__bindgen_anon_1.internal.suberror)) };
                Exit::Broken(format!("KVM gave up emulating the guest (internal error {code})"))
            }
            other => Exit::Broken(format!("unexpected VM exit {other}")),
        }
    }

    /// What the CPU and a stub left on the ring-0 stack (vector, error code, rip, cs, rflags, rsp, ss), with the registers,
    /// which the stub has not touched.
    fn exception_frame(&self) -> Result<([u64; 7], kvm_regs, kvm_sregs)> {
        let regs = kvm("reading registers", || self.vcpu.get_regs())?;
        let sregs = kvm("reading system registers", || self.vcpu.get_sregs())?;
        if regs.rsp < map::RING0_STACK || regs.rsp > map::RING0_STACK_TOP - 56 || regs.rsp % 8 != 0 {
            return Err(Error::new(
                Kind::Internal,
                format!("an exception with a ring-0 stack at {:#x}", regs.rsp),
            ));
        }
        // SAFETY: the ring-0 stack lies in guest RAM, and the frame inside it.
        let frame = unsafe { self.ram.add(regs.rsp as usize).cast::<[u64; 7]>().read_volatile() };
        Ok((frame, regs, sregs))
    }

    fn exception(&self) -> Result<Exception> {
        let ([vector, error_code, rip, _, _, rsp, _], _, sregs) = self.exception_frame()?;
        Ok(Exception { vector: vector as u32, error_code, rip, rsp, address: sregs.cr2 })
    }

    /// The guest's registers at the exception that stopped it.
    pub fn exception_registers(&self) -> Result<General> {
        let ([_, _, rip, cs, rflags, rsp, ss], regs, sregs) = self.exception_frame()?;
        Ok(General { rip, cs, rflags, rsp, ss, ..General::new(&regs, &sregs) })
    }

    /// Lets KVM finish what the last exit began (a store to the doorbell, an `out`).
    fn settle(&self) -> Exit {
        self.set_immediate_exit(true);
        let exit = self.run();
        self.set_immediate_exit(false);
        exit
    }

    /// Ends what KVM is doing for the guest, wherever that was stopped.
    ///
    /// A load from where nothing is leaves KVM inside the instruction, and a repeated one leaves it there as often as the
    /// guest has asked for. KVM would go on with it after the registers were set, and then set the guest's own instruction
    /// pointer: code of one call would run in the next.
    fn come_to_rest(&self) -> Result<()> {
        for _ in 0..ROUNDS {
            match self.settle() {
                Exit::Outside(_) | Exit::Doorbell(_) => {}
                Exit::Failed(error) => return Err(error),
                // a vCPU stopped by a triple fault or an emulation error has nothing pending
                _ => return Ok(()),
            }
            // a repeated instruction finds that this was its last round; any other goes on at the null page and faults
            let regs = kvm_regs { rcx: 1, rflags: 2, ..Default::default() };
            kvm("ending an instruction of the guest", || self.vcpu.set_regs(&regs))?;
        }
        Err(Error::new(Kind::Internal, "the vCPU did not come to rest; close the sandbox and open a new one"))
    }

    /// The registers at a quiet point.
    pub fn registers(&self) -> Result<Registers> {
        match self.settle() {
            Exit::Interrupted => {}
            Exit::Failed(error) => return Err(error),
            other => {
                return Err(Error::new(
                    Kind::Internal,
                    format!("the vCPU did not come to rest: {other:?}; take the snapshot between calls"),
                ));
            }
        }
        let what = "reading the vCPU's state";
        Ok(Registers {
            regs: kvm(what, || self.vcpu.get_regs())?,
            sregs: kvm(what, || self.vcpu.get_sregs())?,
            xsave: Box::new(kvm(what, || self.vcpu.get_xsave())?),
            events: kvm(what, || self.vcpu.get_vcpu_events())?,
        })
    }

    /// The FPU and vector state, as the CPU's XSAVE area.
    pub fn xsave(&self) -> Result<Vec<u8>> {
        let state = kvm("reading the vCPU's state", || self.vcpu.get_xsave())?;
        Ok(crate::xsave::area(&state).to_vec())
    }

    /// Sets everything, wherever the vCPU was stopped. `fresh`: it has never run, so there is nothing to settle.
    pub fn set_registers(&self, to: &Registers, fresh: bool) -> Result<()> {
        #[cfg(test)]
        if self.is_played() {
            return Ok(());
        }
        if !fresh {
            self.come_to_rest()?;
        }
        let what = "restoring the vCPU's state";
        kvm(what, || self.vcpu.set_sregs(&to.sregs))?;
        kvm(what, || self.vcpu.set_regs(&to.regs))?;
        kvm(what, || self.vcpu.set_vcpu_events(&to.events))?;
        self.set_fpu(to)
    }

    fn set_fpu(&self, to: &Registers) -> Result<()> {
        // SAFETY: the structure came from this kernel's KVM_GET_XSAVE.
        kvm("restoring the FPU and vector state", || unsafe { self.vcpu.set_xsave(&to.xsave) })
    }

    /// The same at a quiet point, cheaper: general and system registers travel with the next `run`.
    pub fn set_registers_with_next_run(&self, to: &Registers) -> Result<()> {
        #[cfg(test)]
        if self.is_played() {
            return Ok(());
        }
        self.set_fpu(to)?;
        let page = self.run_page();
        // SAFETY: the run page is mapped and the vCPU is not running; the kernel reads it in the next KVM_RUN.
        unsafe {
            (*page).s.regs.regs = to.regs;
            (*page).s.regs.sregs = to.sregs;
            (*page).kvm_dirty_regs = SYNC_REGS | SYNC_SREGS;
        }
        Ok(())
    }

    /// Guest TSC ticks per millisecond.
    pub fn tsc_khz(&self) -> u64 {
        kvm("reading the TSC's rate", || self.vcpu.get_tsc_khz()).map_or(2_000_000, u64::from)
    }
}
