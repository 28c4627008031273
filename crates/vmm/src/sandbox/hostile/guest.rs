//! The guest that is played: one turn writes whatever it likes to the mailbox and to the memory that a guest can write.

use super::random::Random;
use super::{IMPORTS, Sandbox};
use crate::machine::{Exception, Exit};
use crate::mapping::Mapping;
use hlfuzz_abi::{MAX_VALUES, Mailbox, POSTED_BYTES, POSTED_MODES, TEXT_BYTES, answer, bell};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

/// What every byte of a text is, so that a byte from elsewhere shows.
pub const TEXT: u8 = b'x';
/// Turns after which a guest that the host let run on is stopped.
const TURNS: u32 = 64;

pub struct Played {
    mailbox: Arc<Mapping>,
    ram: Arc<Mapping>,
    /// Where a guest can write: heap and arena.
    writable: Range<u64>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    turns: u32,
    /// The deadline has passed: the vCPU is kicked.
    late: bool,
    touched: Vec<u32>,
}

impl Played {
    pub fn new(it: &Sandbox, seed: u64) -> Self {
        let layout = it.layout();
        Self {
            mailbox: it.mailbox.clone(),
            ram: it.ram.clone(),
            writable: layout.heap.start..layout.arena.end,
            state: Mutex::new(State {
                random: Random::new(seed),
                turns: 0,
                late: false,
                touched: Vec::new(),
            }),
        }
    }

    /// What follows comes from this seed.
    pub fn begin(&self, seed: u64, late: bool) {
        let mut state = self.state.lock().unwrap();
        (state.random, state.turns, state.late) = (Random::new(seed), 0, late);
    }

    /// Pages that were written since the last time that this was asked.
    pub fn touched(&self) -> Vec<u32> {
        std::mem::take(&mut self.state.lock().unwrap().touched)
    }

    pub fn turn(&self, written: &mut Vec<u32>) -> Exit {
        let state = &mut *self.state.lock().unwrap();
        state.turns += 1;
        if state.turns > TURNS {
            return Exit::Broken("the guest went on for too long".into());
        }
        let random = &mut state.random;
        self.write_memory(random, written);
        state.touched.extend_from_slice(written);
        self.write_mailbox(random);
        if state.late && random.one_in(2) {
            return Exit::Interrupted;
        }
        match random.below(40) {
            0 => Exit::Interrupted,
            1 => Exit::Doorbell(bell::IDLE),
            2 => Exit::Doorbell(random.hostile() as u32),
            3 => Exit::RingFull,
            4 => Exit::Broken("something".into()),
            5 => Exit::Exception(Exception {
                vector: random.below(32) as u32,
                error_code: random.hostile(),
                rip: random.hostile(),
                rsp: random.hostile(),
                address: random.hostile(),
            }),
            _ => Exit::Doorbell(bell::ANSWER),
        }
    }

    fn write_memory(&self, random: &mut Random, written: &mut Vec<u32>) {
        for _ in 0..random.below(4) {
            let at = self.writable.start + random.below(self.writable.end - self.writable.start - 8);
            let to = self.ram.range(at, 8).unwrap().cast::<u64>();
            // SAFETY: inside guest RAM.
            unsafe { to.write_unaligned(random.next()) };
            written.extend([(at / 4096) as u32, ((at + 7) / 4096) as u32]);
        }
    }

    fn write_mailbox(&self, random: &mut Random) {
        let mailbox: *mut Mailbox = self.mailbox.as_ptr().cast();
        // SAFETY: the mailbox has this layout and lives as long as `self`; every index is inside.
        unsafe {
            let from = &raw mut (*mailbox).from_guest;
            (&raw mut (*from).aux).write_volatile(match random.below(3) {
                0 => random.hostile() as u32,
                _ => random.below(IMPORTS.len() as u64) as u32,
            });
            (&raw mut (*from).n).write_volatile(random.hostile() as u32);
            let (memory, len) = self.memory(random);
            (&raw mut (*from).memory).write_volatile(memory);
            (&raw mut (*from).memory_len).write_volatile(len);
            let values = (&raw mut (*from).values).cast::<u64>();
            for at in 0..4 {
                values.add(at).write_volatile(match random.below(3) {
                    0 => random.below(128) << 32 | random.below(128), // a packed result that may be right
                    1 => self.writable.start + random.below(1 << 20),
                    _ => random.hostile(),
                });
            }
            values.add(random.below(2 * MAX_VALUES as u64) as usize).write_volatile(random.next());
            if random.one_in(4) {
                let len = random.hostile() as u32;
                (&raw mut (*mailbox).text.len).write_volatile(len);
                (&raw mut (*mailbox).text.bytes).cast::<u8>().write_bytes(TEXT, TEXT_BYTES);
            }
            let used = if random.one_in(3) { self.post(random) } else { 0 };
            (&raw mut (*from).posted).write_volatile(used);
            if random.one_in(8) {
                // what the host wrote for the guest, it must not read back
                let vector = (&raw mut (*mailbox).vector.head).cast::<u64>();
                (0..8).for_each(|at| vector.add(at).write_volatile(random.hostile()));
                let at = random.below(POSTED_MODES as u64) as usize;
                (&raw mut (*mailbox).posted_modes[at]).write_volatile(random.next() as u8);
                (&raw mut (*mailbox).control.transport).write_volatile(random.hostile() as u32);
                (&raw mut (*mailbox).to_guest.n).write_volatile(random.hostile() as u32);
            }
            let word = match random.below(12) {
                0 => random.hostile() as u32,
                1 => random.below(10) as u32,
                2 => 0,
                3 => answer::TRAP,
                4 => answer::NO_ROOM,
                5 | 6 => answer::HOSTCALL,
                _ => answer::DONE,
            };
            (*mailbox).from_guest.word.store(word, Relaxed);
            if random.one_in(16) {
                (*mailbox).to_guest.word.store(random.hostile() as u32, Relaxed);
            }
        }
    }

    /// Base and length of the default memory: often what an honest guest would say.
    fn memory(&self, random: &mut Random) -> (u64, u64) {
        let end = self.ram.len() as u64;
        match random.below(8) {
            0 => (random.hostile(), random.hostile()),
            1 => (self.writable.start.wrapping_sub(random.below(3)), random.hostile()),
            2 => (end.wrapping_sub(random.below(4096)), random.below(8192)),
            3 => (0, 0),
            _ => (self.writable.end - (1 << 20), 64 << 10),
        }
    }

    /// Fills the queue of posted calls and says how much of it is used.
    unsafe fn post(&self, random: &mut Random) -> u32 {
        let mailbox: *mut Mailbox = self.mailbox.as_ptr().cast();
        let mut at = 0u32;
        for _ in 0..random.below(4) {
            let import = if random.one_in(8) { random.hostile() as u32 } else { random.pick(&[1, 2, 5]) };
            let params = IMPORTS.get(import as usize).copied().flatten().map_or(0, |(params, _)| params);
            let n = if random.one_in(8) { random.hostile() as u32 } else { params };
            let bytes = if random.one_in(8) { random.hostile() as u32 } else { random.below(64) as u32 };
            if at as usize + 16 > POSTED_BYTES {
                break;
            }
            // SAFETY: the header lies in the area, as was just checked.
            unsafe {
                let area = (&raw mut (*mailbox).posted).cast::<u8>().add(at as usize).cast::<[u32; 4]>();
                area.write_volatile([import, n, bytes, 0]);
            }
            let need = 16u64 + 16 * u64::from(n) + u64::from(bytes).next_multiple_of(16);
            at = u64::from(at).saturating_add(need).min(POSTED_BYTES as u64) as u32;
        }
        if random.one_in(6) { random.hostile() as u32 } else { at }
    }
}
