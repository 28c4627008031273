//! Tests only: a function in the place of the code inside the VM. The vCPU of such a machine never runs.

use super::{Exit, Machine};
use crate::snapshot::PAGE;
use hlfuzz_abi::Mailbox;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// One turn of the guest: it may write mailbox and RAM, and says why the vCPU left and which pages of RAM it wrote.
pub type Turn = Box<dyn FnMut(&mut Vec<u32>) -> Exit + Send>;

#[derive(Default)]
pub struct Played {
    on: AtomicBool,
    turn: Mutex<Option<Turn>>,
    written: Mutex<Vec<u32>>,
}

impl Machine {
    /// From now on `turn` plays the guest.
    pub fn play(&self, turn: Turn) {
        *self.played.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        self.played.on.store(true, Relaxed);
    }

    pub(super) fn is_played(&self) -> bool {
        self.played.on.load(Relaxed)
    }

    pub(super) fn played_exit(&self) -> Option<Exit> {
        if !self.is_played() {
            return None;
        }
        let mut turn = self.played.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = self.played.written.lock().unwrap_or_else(PoisonError::into_inner);
        turn.as_mut().map(|turn| turn(&mut written))
    }

    /// What a dirty ring would have reported: the pages of RAM, and all of the mailbox.
    pub(crate) fn played_writes(&self, page: impl FnMut(u32), mailbox: impl FnMut(u64)) {
        let mut written = self.played.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.drain(..).for_each(page);
        if self.is_played() {
            (0..(size_of::<Mailbox>() / PAGE) as u64).for_each(mailbox);
        }
    }
}
