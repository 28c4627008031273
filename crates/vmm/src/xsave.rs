//! The XSAVE area in its standard form (Intel SDM vol. 1, 13.4): where its parts are.

use kvm_bindings::kvm_xsave;
use std::ops::Range;

/// x87 control: FCW, FSW, FTW, FOP, FIP, FDP.
pub(crate) const X87: Range<usize> = 0..24;
pub(crate) const MXCSR: Range<usize> = 24..28;
pub(crate) const MXCSR_MASK: Range<usize> = 28..32;
pub(crate) const ST_XMM: Range<usize> = 32..416;
/// Which parts are not in their first state.
pub(crate) const XSTATE_BV: Range<usize> = 512..520;
/// The upper halves of YMM.
pub(crate) const YMM: Range<usize> = 576..832;

pub(crate) fn area(of: &kvm_xsave) -> &[u8] {
    // SAFETY: an array of integers, read as bytes.
    unsafe { std::slice::from_raw_parts(of.region.as_ptr().cast(), size_of_val(&of.region)) }
}

pub(crate) fn area_mut(of: &mut kvm_xsave) -> &mut [u8] {
    // SAFETY: an array of integers, written as bytes.
    unsafe { std::slice::from_raw_parts_mut(of.region.as_mut_ptr().cast(), size_of_val(&of.region)) }
}
