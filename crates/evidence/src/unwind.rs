//! Walks the stack of a native guest from its registers at a crash.
//!
//! Frames come from `.eh_frame`, which compilers emit also without debug information; where it says nothing, from frame
//! pointers. The stack belongs to the guest: it is a private copy here, each frame must lie above the last, each return
//! address in executable code, and the number of frames is bounded.

use crate::elf::Elf;
use crate::frames::Section;
use gimli::{CfaRule, Register, RegisterRule, UnwindContext};

/// Frames of a backtrace at most.
pub const MAX_FRAMES: usize = 64;

/// General registers in the order of the x86-64 psABI's DWARF numbering, the last one the return address (RIP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers(pub [u64; 17]);

const RBP: usize = 6;
const RSP: usize = 7;
const RIP: usize = 16;

/// A copy of the stack's end, from `start` on.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    pub start: u64,
    pub bytes: &'a [u8],
}

impl Stack<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// Addresses of the instructions that were running, innermost first. A caller's is the last byte of its call, so that
/// it lies in the line of the call also when nothing follows it.
pub fn backtrace(elf: &Elf, file: &[u8], registers: &Registers, stack: Stack<'_>) -> Vec<u64> {
    let mut at = *registers;
    let mut frames = vec![at.0[RIP]];
    let mut walker = Walker::new(elf, file);
    while frames.len() < MAX_FRAMES {
        // of a caller, the return address may already belong to the next function
        let looked_up = at.0[RIP].wrapping_sub(u64::from(frames.len() > 1));
        let Some(next) = walker.step(&at, looked_up, stack) else { break };
        if next.0[RSP] <= at.0[RSP] || !elf.is_text(next.0[RIP].wrapping_sub(1)) {
            break;
        }
        at = next;
        frames.push(at.0[RIP] - 1);
    }
    frames
}

struct Walker<'a> {
    elf: &'a Elf,
    section: Section<'a>,
    context: UnwindContext<usize>,
}

impl<'a> Walker<'a> {
    fn new(elf: &'a Elf, file: &'a [u8]) -> Self {
        Self { elf, section: elf.unwind_section(file), context: UnwindContext::new() }
    }

    fn step(&mut self, at: &Registers, address: u64, stack: Stack<'_>) -> Option<Registers> {
        if let Some(next) = self.by_table(at, address, stack) {
            return Some(next);
        }
        if !self.elf.is_text(address) {
            // a jump to nowhere: if it was a call, its return address is on top of the stack
            return returned(at, at.0[RSP], stack);
        }
        let mut next = returned(at, at.0[RBP].checked_add(8)?, stack)?;
        next.0[RBP] = stack.word(at.0[RBP])?;
        Some(next)
    }

    fn by_table(&mut self, at: &Registers, address: u64, stack: Stack<'_>) -> Option<Registers> {
        let row = self.elf.frames().row(&self.section, &mut self.context, address)?;
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                at.0.get(usize::from(register.0))?.checked_add_signed(*offset)?
            }
            CfaRule::Expression(_) => return None, // not what compilers write for C
        };
        let mut next = *at;
        for (number, value) in next.0.iter_mut().enumerate() {
            match row.register(Register(number as u16)) {
                Some(RegisterRule::Offset(offset)) => *value = stack.word(cfa.checked_add_signed(offset)?)?,
                Some(RegisterRule::ValOffset(offset)) => *value = cfa.checked_add_signed(offset)?,
                Some(RegisterRule::Register(other)) => *value = *at.0.get(usize::from(other.0))?,
                // without a return address, this is the outermost function
                _ if number == RIP => return None,
                // the caller's stack pointer is what it was before the call, as the psABI defines the frame's address
                _ if number == RSP => *value = cfa,
                _ => {}
            }
        }
        Some(next)
    }
}

/// The caller's registers when its return address lies at `slot`.
fn returned(at: &Registers, slot: u64, stack: Stack<'_>) -> Option<Registers> {
    let mut next = *at;
    next.0[RIP] = stack.word(slot)?;
    next.0[RSP] = slot.checked_add(8)?;
    Some(next)
}
