//! Which pages the guest has written: KVM's dirty ring, or its dirty log where there is no ring.

use crate::again::{kvm, number};
use crate::error::{Error, Kind, Result};
use crate::host::{CAP_MANUAL_PROTECT, Host, Tracking};
use crate::machine::{MAILBOX_SLOT, Machine, RAM_SLOT};
use crate::mapping::Mapping;
use kvm_bindings::*;
use kvm_ioctls::{VcpuFd, VmFd};
use std::os::fd::AsRawFd;
use std::ptr::addr_of_mut;
use std::sync::atomic::{AtomicU32, Ordering};
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref};
use vmm_sys_util::{ioctl_io_nr, ioctl_iow_nr, ioctl_iowr_nr};

ioctl_io_nr!(KVM_RESET_DIRTY_RINGS, KVMIO, 0xc7);
ioctl_iow_nr!(KVM_GET_DIRTY_LOG, KVMIO, 0x42, kvm_dirty_log);
ioctl_iowr_nr!(KVM_CLEAR_DIRTY_LOG, KVMIO, 0xc0, kvm_clear_dirty_log);

/// Entries of the dirty ring that is asked for (a power of two). KVM allocates and clears it with each vCPU; a call that
/// writes more pages exits once for each time that it is full.
const RING_ENTRIES: u32 = 4096;
/// Flags of a ring entry: written by the guest; given back by us (Linux: include/uapi/linux/kvm.h).
const ENTRY_DIRTY: u32 = 1;
const ENTRY_RESET: u32 = 2;
/// The ring's page offset in a vCPU's file (KVM_DIRTY_LOG_PAGE_OFFSET).
const RING_PAGE: i64 = 64;

pub(crate) struct Ring {
    entries: Mapping,
    mask: u32,
    /// Next entry to look at. Only the sandbox's owner thread uses it.
    head: AtomicU32,
    /// First harvested entry that was not given back yet.
    tail: AtomicU32,
}

impl Ring {
    /// The ring of a vCPU whose VM was told to have one of so many entries.
    pub(crate) fn new(vcpu: &VcpuFd, entries: u32) -> Result<Self> {
        let len = entries as usize * size_of::<kvm_dirty_gfn>();
        let mapped = Mapping::device(vcpu.as_raw_fd(), len, RING_PAGE * 4096, "the dirty ring")?;
        Ok(Self { entries: mapped, mask: entries - 1, head: AtomicU32::new(0), tail: AtomicU32::new(0) })
    }
}

impl Machine {
    pub fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    /// Calls `page` for each page written since the last call, as page numbers of guest RAM, and `mailbox` for those of
    /// the mailbox.
    pub fn harvest_ring(&self, pages: u64, mut page: impl FnMut(u32), mut mailbox: impl FnMut(u64)) {
        #[cfg(test)]
        self.played_writes(&mut page, &mut mailbox);
        let Some(ring) = &self.ring else { return };
        let mut head = ring.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the index is masked to the ring's size.
            let entry =
                unsafe { ring.entries.as_ptr().cast::<kvm_dirty_gfn>().add((head & ring.mask) as usize) };
            // SAFETY: the kernel publishes an entry by setting its flag last.
            let flags = unsafe { AtomicU32::from_ptr(addr_of_mut!((*entry).flags)) };
            if flags.load(Ordering::Acquire) & ENTRY_DIRTY == 0 {
                break;
            }
            if head.wrapping_sub(ring.tail.load(Ordering::Relaxed)) > ring.mask {
                break; // all the way round: these are entries seen before
            }
            // SAFETY: as above.
            let (slot, offset) = unsafe { ((*entry).slot & 0xffff, (*entry).offset) };
            if slot == RAM_SLOT && offset < pages {
                page(offset as u32);
            } else if slot == MAILBOX_SLOT {
                mailbox(offset);
            }
            head = head.wrapping_add(1);
        }
        ring.head.store(head, Ordering::Relaxed);
    }

    /// Gives all harvested entries back: their pages are write-protected again and will be reported again.
    pub fn reprotect_ring(&self) -> Result<()> {
        let Some(ring) = &self.ring else { return Ok(()) };
        let (head, mut tail) = (ring.head.load(Ordering::Relaxed), ring.tail.load(Ordering::Relaxed));
        while tail != head {
            // SAFETY: the index is masked to the ring's size.
            let entry =
                unsafe { ring.entries.as_ptr().cast::<kvm_dirty_gfn>().add((tail & ring.mask) as usize) };
            // SAFETY: the kernel looks at this word only in the call below.
            unsafe { AtomicU32::from_ptr(addr_of_mut!((*entry).flags)) }
                .store(ENTRY_RESET, Ordering::Release);
            tail = tail.wrapping_add(1);
        }
        ring.tail.store(tail, Ordering::Relaxed);
        let what = "giving back the dirty ring";
        // SAFETY: plain ioctl without an argument.
        number(what, || unsafe { libc::ioctl(self.vm.as_raw_fd(), KVM_RESET_DIRTY_RINGS(), 0) }).map(drop)
    }

    /// Reads the dirty log of guest RAM: one bit a page.
    pub fn read_log(&self, bits: &mut [u64]) -> Result<()> {
        self.read_log_of(RAM_SLOT, bits)
    }

    /// The same of the mailbox, which has at most 64 pages.
    pub fn read_mailbox_log(&self) -> Result<u64> {
        let mut bits = [0];
        self.read_log_of(MAILBOX_SLOT, &mut bits)?;
        Ok(bits[0])
    }

    fn read_log_of(&self, slot: u32, bits: &mut [u64]) -> Result<()> {
        let log = kvm_dirty_log {
            slot,
            padding1: 0,
            __bindgen_anon_1: kvm_dirty_log__bindgen_ty_1 { dirty_bitmap: bits.as_mut_ptr().cast() },
        };
        // SAFETY: `bits` has a bit for each page of the slot.
        number("reading the dirty log", || unsafe { ioctl_with_ref(&self.vm, KVM_GET_DIRTY_LOG(), &log) })
            .map(drop)
    }

    /// Write-protects the pages in `bits` again.
    pub fn reprotect_log(&self, bits: &mut [u64], pages: u32) -> Result<()> {
        let mut log = kvm_clear_dirty_log {
            slot: RAM_SLOT,
            num_pages: pages,
            first_page: 0,
            __bindgen_anon_1: kvm_clear_dirty_log__bindgen_ty_1 { dirty_bitmap: bits.as_mut_ptr().cast() },
        };
        // SAFETY: `bits` has a bit for each page of the slot.
        number("clearing the dirty log", || unsafe {
            ioctl_with_mut_ref(&self.vm, KVM_CLEAR_DIRTY_LOG(), &mut log)
        })
        .map(drop)
    }
}

/// Turns on the ring (returns its entries) or the log (returns 0).
pub(crate) fn enable_tracking(host: &Host, vm: &VmFd, tracking: Tracking) -> Result<u32> {
    let wanted = RING_ENTRIES.min(host.probe.ring_entries);
    if tracking != Tracking::Log && wanted > 0 {
        let entries = 1 << wanted.ilog2();
        let mut cap = kvm_enable_cap { cap: host.ring_cap, ..Default::default() };
        cap.args[0] = u64::from(entries) * size_of::<kvm_dirty_gfn>() as u64;
        match kvm("turning on the dirty ring", || vm.enable_cap(&cap)) {
            Ok(()) => return Ok(entries),
            Err(error) if tracking == Tracking::Ring => return Err(error),
            Err(_) => {}
        }
    } else if tracking == Tracking::Ring {
        return Err(Error::new(
            Kind::Kvm,
            "this KVM has no dirty ring; let the tracking be chosen, or use the log",
        ));
    }
    if !host.probe.manual_protect {
        return Err(Error::new(
            Kind::Kvm,
            "this KVM has neither a dirty ring nor manual dirty-log protection (Linux 5.0 or newer is needed)",
        ));
    }
    let mut cap = kvm_enable_cap { cap: CAP_MANUAL_PROTECT, ..Default::default() };
    cap.args[0] = u64::from(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    kvm("turning on the dirty log", || vm.enable_cap(&cap))?;
    Ok(0)
}
