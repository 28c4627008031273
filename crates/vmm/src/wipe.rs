//! Wiping the mailbox: a strict reset leaves nothing there of what either side wrote for an earlier call.
//!
//! The mailbox is no part of the snapshot. Its pages are zeroed instead, those that were written: the host knows its own
//! stores, and KVM reports the guest's.

use crate::snapshot::PAGE;
use hlfuzz_abi::Mailbox;
use std::mem::offset_of;
use std::ops::Range;

/// Pages of the mailbox; they fit one word of bits.
const PAGES: usize = size_of::<Mailbox>() / PAGE;
const _: () = assert!(PAGES <= 64 && size_of::<Mailbox>().is_multiple_of(PAGE));

/// The host's settings, which no call changes and no guest can write.
const KEPT: u64 = bits(offset_of!(Mailbox, control)..offset_of!(Mailbox, text))
    | bits(offset_of!(Mailbox, posted_modes)..offset_of!(Mailbox, posted));

/// One bit for each page that `bytes` touches.
const fn bits(bytes: Range<usize>) -> u64 {
    below(bytes.end.div_ceil(PAGE)) & !below(bytes.start / PAGE)
}

/// One bit for each page before `page`.
const fn below(page: usize) -> u64 {
    if page >= 64 { u64::MAX } else { (1 << page) - 1 }
}

/// Pages that are zero after a strict reset, by number.
pub fn wiped() -> impl Iterator<Item = usize> {
    (0..PAGES).filter(|page| KEPT >> page & 1 == 0)
}

/// Written pages of one sandbox's mailbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct MailboxPages {
    /// Ever written by the guest: KVM reports a page once.
    guest: u64,
    /// Written by the host since the last wipe.
    host: u64,
}

impl MailboxPages {
    /// The guest has written this page.
    #[inline]
    pub fn by_guest(&mut self, page: u64) {
        if page < PAGES as u64 {
            self.guest |= 1 << page;
        }
    }

    /// The guest has written the pages of these bits.
    pub fn by_guest_bits(&mut self, pages: u64) {
        self.guest |= pages & bits(0..size_of::<Mailbox>());
    }

    /// The host writes these bytes.
    #[inline]
    pub fn by_host(&mut self, bytes: Range<usize>) {
        self.host |= bits(bytes);
    }

    /// Zeroes what was written.
    ///
    /// # Safety
    /// `mailbox` is a mailbox, and the vCPU is at rest.
    pub unsafe fn wipe(&mut self, mailbox: *mut u8) {
        let mut left = (self.guest | self.host) & !KEPT;
        self.host = 0;
        while left != 0 {
            let page = left.trailing_zeros() as usize;
            left &= left - 1;
            // SAFETY: the caller's contract; only pages of the mailbox have a bit.
            unsafe { std::ptr::write_bytes(mailbox.add(page * PAGE), 0, PAGE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_zeroed_and_the_hosts_settings_stay() {
        let mut mailbox = vec![0xeeu8; size_of::<Mailbox>()];
        let mut pages = MailboxPages::default();
        pages.by_guest(4);
        pages.by_guest(PAGES as u64);
        pages.by_guest_bits(1 << 9 | 1 << 63);
        let vector = offset_of!(Mailbox, vector);
        pages.by_host(vector..vector + PAGE + 1);
        pages.by_host(offset_of!(Mailbox, control)..offset_of!(Mailbox, control) + 8);
        // SAFETY: a buffer of this size that nobody runs on.
        unsafe { pages.wipe(mailbox.as_mut_ptr()) };
        let zeroed: Vec<usize> =
            (0..PAGES).filter(|page| mailbox[page * PAGE..][..PAGE].iter().all(|byte| *byte == 0)).collect();
        assert_eq!(zeroed, [4, 9, vector / PAGE, vector / PAGE + 1]);
        mailbox.fill(0xee);
        // SAFETY: as above.
        unsafe { pages.wipe(mailbox.as_mut_ptr()) };
        assert_eq!(mailbox[vector], 0xee, "the host has written nothing since");
        assert_eq!(mailbox[4 * PAGE], 0, "a page that the guest wrote once is not reported again");
    }
}
