//! The data segment selectors of a host thread. KVM-PVM runs guest code with them as they are and leaves the guest's
//! behind: what a guest loads would stand in this thread, and in every sandbox that it runs next.

use std::arch::asm;
use std::sync::OnceLock;

// Linux: arch/x86/include/uapi/asm/prctl.h
const ARCH_SET_GS: u32 = 0x1001;
const ARCH_SET_FS: u32 = 0x1002;
const ARCH_GET_FS: u32 = 0x1003;
const ARCH_GET_GS: u32 = 0x1004;

/// DS, ES, FS and GS of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selectors([u16; 4]);

impl Selectors {
    /// Those of this thread.
    #[inline]
    pub fn read() -> Self {
        let (ds, es, fs, gs): (u16, u16, u16, u16);
        // SAFETY: reads four registers.
        unsafe {
            asm!(
                "mov {0:x}, ds",
                "mov {1:x}, es",
                "mov {2:x}, fs",
                "mov {3:x}, gs",
                out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
                options(nomem, nostack, preserves_flags)
            );
        }
        Self([ds, es, fs, gs])
    }

    /// Brings this thread back to these.
    #[inline]
    pub fn put_back(self) {
        let now = Self::read();
        if now != self {
            self.reload(now);
        }
    }

    /// For tests: the data segments stay as the guest left them. FS and GS do not: they are how this thread finds what
    /// is its own.
    #[cold]
    pub fn put_back_but_data(self) {
        let [ds, es, ..] = Self::read().0;
        let [_, _, fs, gs] = self.0;
        Self([ds, es, fs, gs]).put_back();
    }

    #[cold]
    fn reload(self, now: Self) {
        let [ds, es, fs, gs] = self.0;
        // SAFETY: values that this thread had before; 64-bit code does not address memory by DS and ES.
        unsafe {
            asm!("mov ds, {0:x}", "mov es, {1:x}", in(reg) ds, in(reg) es, options(nomem, nostack, preserves_flags));
        }
        // To load FS would take the thread's own data away, so the kernel does it: setting a base makes the selector
        // 0, which is what a 64-bit thread has.
        if fs != now.0[2] {
            set_base(ARCH_GET_FS, ARCH_SET_FS);
        }
        if gs != now.0[3] {
            set_base(ARCH_GET_GS, ARCH_SET_GS);
        }
    }
}

/// For tests: the selectors that a thread had before a guest was let leave its own there. They come back with the drop.
#[derive(Debug, Default)]
pub struct Leak(OnceLock<Selectors>);

impl Leak {
    pub fn begin(&self) {
        self.0.get_or_init(Selectors::read);
    }

    pub fn is_on(&self) -> bool {
        self.0.get().is_some()
    }
}

impl Drop for Leak {
    fn drop(&mut self) {
        if let Some(before) = self.0.get() {
            before.put_back();
        }
    }
}

/// Sets a base to what it is.
fn set_base(get: u32, set: u32) {
    let mut base = 0u64;
    // SAFETY: the kernel writes one word and reads one number.
    unsafe {
        if libc::syscall(libc::SYS_arch_prctl, get, &raw mut base) == 0 {
            libc::syscall(libc::SYS_arch_prctl, set, base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_that_a_guest_left_are_gone_and_the_thread_keeps_its_own_data() {
        thread_local!(static OWN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
        OWN.set(7);
        let before = Selectors::read();
        // SAFETY: data segments that 64-bit code does not address memory by; nothing here uses GS.
        unsafe { asm!("mov ds, {0:x}", "mov es, {0:x}", "mov gs, {0:x}", in(reg) 0x2bu16) };
        assert_ne!(Selectors::read(), before);
        before.put_back();
        assert_eq!(Selectors::read(), before);
        set_base(ARCH_GET_FS, ARCH_SET_FS);
        assert_eq!(OWN.get(), 7);
    }
}
