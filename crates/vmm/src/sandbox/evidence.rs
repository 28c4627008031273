//! What is kept of a crash: the frames that the runtime reported, registers and stack of a CPU exception, and, where it
//! was asked for, the guest's whole state before the sandbox was restored.

use super::differ::windows;
use super::{Driver, Phase, Sandbox, Status};
use crate::error::{Error, Kind, Result};
use crate::layout::Guest;
use crate::machine::{General, Register};
use crate::snapshot::{PAGE, Snapshot};
use crate::tables::{Mapped, guest_ranges};
use hlfuzz_abi::{MAX_FRAMES, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of the stack that are kept of every CPU exception, from the stack pointer up: enough for the frames of a
/// backtrace, and little against the cost of the exception itself.
const STACK_BYTES: u64 = 32 << 10;

/// What is known of the last crash.
#[derive(Default)]
pub(super) struct Trail {
    frames: Vec<Value>,
    registers: Option<General>,
    stack: (u64, Vec<u8>),
    keep: bool,
    state: Option<State>,
}

impl Trail {
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.registers = None;
        self.stack.1.clear();
        self.state = None;
    }
}

/// The guest at one moment: registers, and memory as the snapshot's with what was written since.
pub struct State {
    snapshot: Arc<Snapshot>,
    written: BTreeMap<u32, Box<[u8; PAGE]>>,
    /// As KVM_GET_XSAVE gives it: the CPU's XSAVE area.
    pub xsave: Vec<u8>,
    pub registers: General,
    /// As `Sandbox::frames`.
    pub frames: Vec<Value>,
    /// The default exported memory as the guest last said it, checked: address and bytes.
    pub memory: Option<Range<u64>>,
}

impl State {
    /// What the guest may read, ascending, neighbours of one kind joined.
    pub fn ranges(&self) -> Vec<Mapped> {
        guest_ranges(|page| self.snapshot.page(page), self.snapshot.pages() as u64 * PAGE as u64)
    }

    /// Content of a page of guest RAM, by its number; None: zeros.
    pub fn page(&self, page: u32) -> Option<&[u8]> {
        match self.written.get(&page) {
            Some(page) => Some(&page[..]),
            None if (page as usize) < self.snapshot.pages() => self.snapshot.page(page),
            None => None,
        }
    }

    /// Fills `to` with guest RAM from `address` on; zeros where there is none.
    pub fn read(&self, address: u64, to: &mut [u8]) {
        let mut done = 0;
        while done < to.len() {
            let at = address + done as u64;
            let inside = (at % PAGE as u64) as usize;
            let part = (PAGE - inside).min(to.len() - done);
            match u32::try_from(at / PAGE as u64).ok().and_then(|page| self.page(page)) {
                Some(page) => to[done..done + part].copy_from_slice(&page[inside..inside + part]),
                None => to[done..done + part].fill(0),
            }
            done += part;
        }
    }

    /// What kind of guest it is.
    pub fn guest(&self) -> Guest {
        self.snapshot.layout().guest
    }

    /// The linear memories that the module defines, in order: address and length of each in guest RAM. A runtime that
    /// says anything impossible has none.
    pub fn windows(&self) -> Vec<Range<u64>> {
        let layout = self.snapshot.layout();
        windows(layout, self.page((layout.heap.start / PAGE as u64) as u32))
    }
}

impl Sandbox {
    /// Whether the guest's state is kept when a call traps or runs past its deadline, before it is restored. It costs a
    /// copy of what the call has written.
    pub fn keep_state(&mut self, on: bool) {
        self.trail.keep = on;
    }

    /// The state that was kept when the last call trapped or ran past its deadline. Given once.
    pub fn take_kept_state(&mut self) -> Option<State> {
        self.trail.state.take()
    }

    /// Frames of the last Wasm trap as its runtime reported them, innermost first: function index, and offset of the
    /// instruction in the module or `u64::MAX`. Not checked against the module.
    pub fn frames(&self) -> &[Value] {
        &self.trail.frames
    }

    /// Registers at the last CPU exception, with the bytes of the stack from its address on.
    pub fn crash(&self) -> Option<(&General, u64, &[u8])> {
        self.trail
            .registers
            .as_ref()
            .map(|registers| (registers, self.trail.stack.0, &self.trail.stack.1[..]))
    }

    /// The state right now, between calls or while a host call waits.
    pub fn state(&mut self) -> std::result::Result<State, (Status, String)> {
        if let Some(status) = self.unusable() {
            return Err((status, self.message().to_owned()));
        }
        if self.phase == Phase::Running {
            return Err((Status::Busy, "a call runs".to_owned()));
        }
        let paused = self.pause();
        let state =
            paused.and_then(|()| self.registers_at_rest()).and_then(|registers| self.capture(registers));
        self.unpause();
        state.map_err(|error| (Status::Invalid, error.message))
    }

    /// Every register of the vCPU that the host can read, between calls or while a host call waits. With `Transport::Spin`
    /// those of the loop that waits for a request.
    pub fn all_registers(&mut self) -> Result<Vec<Register>> {
        if self.unusable().is_some() || self.phase == Phase::Running {
            return Err(Error::new(Kind::Internal, "a call runs, or the sandbox is dead"));
        }
        let paused = self.pause();
        let registers = paused.and_then(|()| self.machine.all_registers());
        self.unpause();
        registers
    }

    fn pause(&self) -> Result<()> {
        match &self.driver {
            Driver::Spin(thread) => thread.pause(),
            Driver::Exit(_) => Ok(()),
        }
    }

    fn unpause(&self) {
        if let Driver::Spin(thread) = &self.driver {
            thread.resume();
        }
    }

    fn registers_at_rest(&self) -> Result<General> {
        Ok(self.machine.registers()?.general())
    }

    fn capture(&mut self, registers: General) -> Result<State> {
        let Some(snapshot) = self.snapshot.clone() else {
            return Err(Error::new(Kind::Internal, "a VM that boots has no snapshot"));
        };
        self.hot.harvest(&self.machine)?;
        let mut written = BTreeMap::new();
        for page in self.hot.pages() {
            let Some(have) = self.ram.range(u64::from(page) * PAGE as u64, PAGE as u64) else { continue };
            // SAFETY: a page of guest RAM, and the vCPU is at rest.
            unsafe {
                if !snapshot.same(page, have) {
                    written.insert(page, Box::new(have.cast::<[u8; PAGE]>().read()));
                }
            }
        }
        let (base, len) = self.memory;
        let memory = (len != 0 && snapshot.layout().may_read(base, len)).then(|| base..base + len);
        Ok(State {
            snapshot,
            written,
            xsave: self.machine.xsave()?,
            registers,
            frames: self.trail.frames.clone(),
            memory,
        })
    }

    /// The runtime says that the call trapped, with `n` frames among the values.
    pub(super) fn record_trap(&mut self, n: u32) {
        self.trail.clear();
        let n = (n as usize).min(MAX_FRAMES);
        let mailbox = self.mailbox_ptr();
        self.looks();
        // SAFETY: so many values are in the block; each is copied once.
        let values = unsafe {
            (&raw const (*mailbox).from_guest.values).cast::<[Value; MAX_FRAMES]>().read_volatile()
        };
        self.trail.frames.extend(&values[..n]);
        if self.trail.keep {
            self.keep_at_rest();
            self.unpause();
        }
    }

    /// A CPU exception stopped the guest; the sandbox will be restored. What cannot be read is left out: the exception itself
    /// is what matters.
    pub(super) fn record_exception(&mut self) {
        self.trail.clear();
        let Ok(registers) = self.machine.exception_registers() else { return };
        self.trail.registers = Some(registers);
        let (stack, top) = (&self.layout().stack, registers.rsp);
        if stack.contains(&top) {
            let len = STACK_BYTES.min(stack.end - top);
            if let Some(from) = self.ram.range(top, len) {
                // SAFETY: inside guest RAM; the vCPU is at rest.
                let bytes = unsafe { std::slice::from_raw_parts(from, len as usize) };
                self.trail.stack.0 = top;
                self.trail.stack.1.extend_from_slice(bytes);
            }
        }
        if self.trail.keep {
            self.trail.state = self.capture(registers).ok();
        }
    }

    /// The guest was stopped, or gave up; the sandbox will be restored.
    pub(super) fn record_stop(&mut self) {
        self.trail.clear();
        if self.trail.keep {
            self.keep_at_rest();
        }
    }

    /// Brings the vCPU to rest. A state that cannot be read is not kept: the crash itself is what matters.
    fn keep_at_rest(&mut self) {
        let registers = self.pause().and_then(|()| self.registers_at_rest());
        self.trail.state = registers.and_then(|registers| self.capture(registers)).ok();
    }
}
