//! Registers in a snapshot file: those that a guest can change at CPL3, made harmless on the way in.
//!
//! Selectors, descriptors, control registers, EFER and pending events are not in a file: the host sets them as for a
//! guest's first instruction. Any value is fine for the others, because a guest could have put it there itself; where it
//! could not, the value is corrected, or the file is refused.

use super::damaged;
use crate::error::Result;
use crate::machine::Registers;
use crate::xsave::{MXCSR, MXCSR_MASK, ST_XMM, X87, XSTATE_BV, YMM, area, area_mut};

/// General registers, instruction pointer and flags; then the parts of the XSAVE area below; then XSTATE_BV.
pub(super) const BYTES: usize = 18 * 8 + 24 + 4 + 384 + 256 + 8;

/// x87, SSE and AVX: all that XCR0 turns on in a VM.
pub(super) const XCR0: u64 = 7;
/// The MXCSR bits of a CPU that says nothing else (Intel SDM vol. 1, 11.6.6).
const DEFAULT_MXCSR_MASK: u32 = 0xffbf;
/// Flags that code at CPL3 may leave set between two instructions: the arithmetic ones, DF, AC, ID. Never TF, IF, IOPL.
const FLAGS: u64 = 0x0024_0cd5;
const FLAGS_ALWAYS: u64 = 2;
/// Beyond this an address of the lower half is not canonical, and KVM could not enter the guest.
const CANONICAL: u64 = 1 << 47;

pub(super) fn encode(from: &Registers) -> [u8; BYTES] {
    let r = &from.regs;
    let general = [
        r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rsp, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15, r.rip, r.rflags,
    ];
    let mut out = Vec::with_capacity(BYTES);
    out.extend(general.iter().flat_map(|value| value.to_le_bytes()));
    let area = area(&from.xsave);
    for part in [X87, MXCSR, ST_XMM, YMM, XSTATE_BV] {
        out.extend(&area[part]);
    }
    out.try_into().unwrap_or([0; BYTES])
}

/// Puts what `encode` wrote, or what somebody made up, into the registers of a guest's first instruction.
pub(super) fn apply(from: &[u8; BYTES], to: &mut Registers) -> Result<()> {
    let (general, vector) = from.split_at(18 * 8);
    let mut values = general.chunks_exact(8).map(int);
    let r = &mut to.regs;
    for register in [
        &mut r.rax,
        &mut r.rbx,
        &mut r.rcx,
        &mut r.rdx,
        &mut r.rsi,
        &mut r.rdi,
        &mut r.rsp,
        &mut r.rbp,
        &mut r.r8,
        &mut r.r9,
        &mut r.r10,
        &mut r.r11,
        &mut r.r12,
        &mut r.r13,
        &mut r.r14,
        &mut r.r15,
        &mut r.rip,
        &mut r.rflags,
    ] {
        *register = values.next().unwrap_or(0);
    }
    if r.rip >= CANONICAL {
        return Err(damaged("its instruction pointer is no address"));
    }
    r.rflags = r.rflags & FLAGS | FLAGS_ALWAYS;
    let area = area_mut(&mut to.xsave);
    let mask = match int(&area[MXCSR_MASK]) as u32 {
        0 => DEFAULT_MXCSR_MASK,
        mask => mask,
    };
    let kept = area[MXCSR_MASK].to_vec();
    area.fill(0);
    let mut at = 0;
    for part in [X87, MXCSR, ST_XMM, YMM, XSTATE_BV] {
        let len = part.len();
        area[part].copy_from_slice(&vector[at..at + len]);
        at += len;
    }
    area[MXCSR_MASK].copy_from_slice(&kept);
    let mxcsr = int(&area[MXCSR]) as u32 & mask;
    area[MXCSR].copy_from_slice(&mxcsr.to_le_bytes());
    let parts = int(&area[XSTATE_BV]) & XCR0;
    area[XSTATE_BV].copy_from_slice(&parts.to_le_bytes());
    Ok(())
}

fn int(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(fill: u8) -> Registers {
        let mut it = Registers::default();
        area_mut(&mut it.xsave).fill(fill);
        area_mut(&mut it.xsave)[MXCSR_MASK].copy_from_slice(&0x0002_ffffu32.to_le_bytes());
        it
    }

    #[test]
    fn a_guests_registers_come_back_as_they_were() {
        let mut from = registers(0);
        (from.regs.rax, from.regs.r15, from.regs.rip, from.regs.rflags) = (1, u64::MAX, 0x20_0000, 0xcd7);
        let area = area_mut(&mut from.xsave);
        for part in [X87, ST_XMM, YMM] {
            area[part].fill(0xa5);
        }
        area[MXCSR].copy_from_slice(&0x1fa0u32.to_le_bytes());
        area[XSTATE_BV][0] = 7;
        let mut to = registers(0);
        apply(&encode(&from), &mut to).unwrap();
        assert_eq!(to.regs, from.regs);
        assert_eq!(area_mut(&mut to.xsave), area_mut(&mut from.xsave));
    }

    #[test]
    fn what_no_guest_could_have_set_is_taken_away() {
        let mut to = registers(0xff);
        let sregs = to.sregs;
        let mut bytes = [0xff; BYTES];
        bytes[16 * 8..17 * 8].copy_from_slice(&0x1234u64.to_le_bytes());
        apply(&bytes, &mut to).unwrap();
        assert_eq!(to.regs.rflags, 0x0024_0cd7);
        assert_eq!(to.sregs, sregs);
        let area = area(&to.xsave);
        assert_eq!(int(&area[XSTATE_BV]), 7);
        assert_eq!(int(&area[MXCSR]), 0x2_ffff);
        assert_eq!(int(&area[MXCSR_MASK]), 0x2_ffff);
        for reserved in [416..512, 520..576, 832..4096] {
            assert!(area[reserved].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn an_instruction_pointer_that_is_no_address_is_refused() {
        let mut bytes = [0; BYTES];
        for (rip, fine) in [(CANONICAL - 1, true), (CANONICAL, false), (u64::MAX, false)] {
            bytes[16 * 8..17 * 8].copy_from_slice(&rip.to_le_bytes());
            assert_eq!(apply(&bytes, &mut registers(0)).is_ok(), fine, "{rip:#x}");
        }
    }
}
