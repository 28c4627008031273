//! Calls into the guest and out of it: requests, the waiting, and what the answers mean.

use super::{Event, HostCall, LimitCause, MAX_DEPTH, Phase, Sandbox, Status, TrapCause, Used};
use crate::deadline::Deadline;
use crate::error::{Error, Kind};
use crate::machine::Exit;
use hlfuzz_abi::{MAX_VALUES, ToGuest, Value, answer, op};
use std::mem::offset_of;
use std::time::Duration;

/// The runtime answers such a request in well under a microsecond; this is for machines that are very busy.
const ASK_DEADLINE: Deadline = Deadline { cpu: Duration::from_secs(1), wall: Duration::from_secs(10) };

/// What was asked of the guest last: it decides what may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To run its code: a call, or what follows a host call.
    Run,
    /// To unwind after a host function that failed.
    Unwind,
    /// Something that is answered at once.
    Question,
}

impl Sandbox {
    /// Calls the export at position `export`. While a host call waits, this is a nested call.
    #[inline]
    pub fn call(&mut self, export: u32, args: &[Value]) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase == Phase::Running {
            return Status::Busy;
        }
        if let Some(status) = self.ended.take() {
            return status;
        }
        let Some(&Some((params, results))) = self.interface.exports.get(export as usize) else {
            return self.invalid(format!("no exported function at position {export}"));
        };
        if params as usize != args.len() {
            return self.invalid(format!("the function takes {params} arguments, {} were given", args.len()));
        }
        if self.open.len() >= MAX_DEPTH {
            return self.invalid(format!("calls nested deeper than {MAX_DEPTH}"));
        }
        if self.open.is_empty() {
            self.begin_outermost();
        }
        self.stats.calls += 1;
        self.open.push(results);
        self.request(op::CALL, export, args);
        self.go()
    }

    /// Deadline and limits begin anew.
    #[inline]
    pub(super) fn begin_outermost(&mut self) {
        self.used = Used::default();
        self.host_calls_made = 0;
    }

    /// Whether the outermost call that begins next is to be followed by a reset.
    #[inline]
    pub fn reset_at_end(&mut self, on: bool) {
        if self.open.is_empty() {
            self.reset_after = on;
        }
    }

    /// Resets after `status` if it ended the outermost call and that was asked for. What the guest calls a refusal may
    /// have run all the same.
    #[inline]
    pub fn finish_call(&mut self, status: Status) -> Status {
        let status = if self.vector.is_open() { self.advance(status) } else { status };
        if self.reset_after
            && self.phase == Phase::Idle
            && self.open.is_empty()
            && matches!(status, Status::Done | Status::Trap | Status::Invalid)
        {
            self.reset_after = false;
            if let Err(error) = self.restore() {
                return self.die(error);
            }
        }
        status
    }

    /// Answers the waiting host call.
    #[inline]
    pub fn resume(&mut self, results: &[Value]) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if let Some(status) = self.ended.take() {
            return status;
        }
        if self.phase != Phase::HostCall {
            return Status::Busy;
        }
        let import = self.hostcalls.last().map_or(u32::MAX, |call| call.import);
        let want = self.interface.imports.get(import as usize).copied().flatten().map_or(0, |(_, n)| n);
        if results.len() != want as usize {
            return self
                .invalid(format!("the host function returns {want} values, {} were given", results.len()));
        }
        self.end_host_call();
        self.request(op::RESUME, 0, results);
        self.go()
    }

    /// Says that the waiting host call failed: the guest unwinds to the call that led there.
    pub fn fail(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if let Some(status) = self.ended.take() {
            return status;
        }
        if self.phase != Phase::HostCall {
            return Status::Busy;
        }
        self.end_host_call();
        self.request(op::FAIL, 0, &[]);
        self.go()
    }

    /// Its arguments' memory serves the next one.
    #[inline]
    fn end_host_call(&mut self) {
        self.spare.extend(self.hostcalls.pop().map(|call| call.args));
    }

    /// Goes on after `Status::Running`.
    pub fn wait(&mut self) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase != Phase::Running {
            return Status::Busy;
        }
        self.conclude()
    }

    /// Writes a request, all but its word.
    #[inline]
    pub(super) fn request(&mut self, op: u32, index: u32, values: &[Value]) {
        let mailbox = self.mailbox_ptr();
        // SAFETY: counts were checked against the interface, whose functions have at most MAX_VALUES of each.
        unsafe {
            debug_assert!(values.len() <= MAX_VALUES);
            let to = &raw mut (*mailbox).to_guest;
            (&raw mut (*to).index).write_volatile(index);
            (&raw mut (*to).n).write_volatile(values.len() as u32);
            let slots = (&raw mut (*to).values).cast::<Value>();
            std::ptr::copy_nonoverlapping(values.as_ptr(), slots, values.len());
        }
        self.hot.mailbox.by_host(0..offset_of!(ToGuest, values) + size_of_val(values));
        self.asked = match op {
            op::CALL | op::BYTES | op::RESUME => Asked::Run,
            op::FAIL => Asked::Unwind,
            _ => Asked::Question,
        };
        self.begin(op);
    }

    /// Leaves the values of imported globals for the runtime's boot.
    pub(crate) fn give_globals(&mut self, values: &[Value]) {
        let mailbox = self.mailbox_ptr();
        // SAFETY: the caller checked the count; the vCPU has not run yet.
        unsafe {
            (&raw mut (*mailbox).to_guest.n).write_volatile(values.len() as u32);
            let slots = (&raw mut (*mailbox).to_guest.values).cast::<Value>();
            std::ptr::copy_nonoverlapping(values.as_ptr(), slots, values.len());
        }
    }

    /// Runs a VM from its first instruction to its first answer.
    pub(crate) fn first_run(&mut self) -> Status {
        self.used = Used::default();
        self.open.push(0);
        self.go()
    }

    #[inline]
    pub(super) fn go(&mut self) -> Status {
        self.phase = Phase::Running;
        self.conclude()
    }

    fn conclude(&mut self) -> Status {
        let event = self.await_guest();
        match event {
            Event::Answer(word) => self.answered(word),
            Event::SliceEnded => Status::Running,
            Event::DeadlineReached => {
                self.stats.timeouts += 1;
                self.stats.kicks += 1;
                self.record_stop();
                if self.snapshot.is_none() {
                    self.die(Error::new(Kind::Limit, "instantiation did not end within its deadline"));
                    return Status::Timeout;
                }
                match self.recover() {
                    Ok(()) => Status::Timeout,
                    Err(error) => self.die(error),
                }
            }
            Event::Stopped(exit) => self.stopped(exit),
        }
    }

    #[inline]
    fn answered(&mut self, word: u32) -> Status {
        // Each field is read once, here; only these copies are used.
        // SAFETY: the mailbox has this layout.
        let from = unsafe { &raw const (*self.mailbox_ptr()).from_guest };
        self.looks();
        // SAFETY: as above.
        let aux = unsafe { (&raw const (*from).aux).read_volatile() };
        self.looks();
        // SAFETY: as above.
        let n = unsafe { (&raw const (*from).n).read_volatile() };
        self.looks();
        // SAFETY: as above.
        let posted = unsafe { (&raw const (*from).posted).read_volatile() };
        self.looks();
        // SAFETY: as above.
        let memory = unsafe { (&raw const (*from).memory).read_volatile() };
        self.looks();
        // SAFETY: as above.
        let memory_len = unsafe { (&raw const (*from).memory_len).read_volatile() };
        self.memory = (memory, memory_len);
        if (posted != 0 || !self.posted.calls.is_empty())
            && let Err(why) = self.take_posted(posted)
        {
            return self.violated(why);
        }
        if self.host_calls_made > self.options.limits.host_calls {
            return self.too_many_host_calls();
        }
        match word {
            answer::DONE if self.asked != Asked::Unwind => {
                let n = self.open.pop().unwrap_or(0) as usize;
                self.read_values(n);
                self.aux = aux;
                self.after_call();
                Status::Done
            }
            answer::HOSTCALL if self.asked == Asked::Run => {
                let Some(&Some((params, _))) = self.interface.imports.get(aux as usize) else {
                    return self.violated(format!("a call of import {aux}, which is no imported function"));
                };
                if self.hostcalls.len() >= MAX_DEPTH {
                    return self.violated("host calls nested too deep".into());
                }
                self.stats.hostcalls += 1;
                self.host_calls_made += 1;
                if self.host_calls_made > self.options.limits.host_calls {
                    return self.too_many_host_calls();
                }
                self.read_values(params as usize);
                let args = std::mem::replace(&mut self.results, self.spare.pop().unwrap_or_default());
                self.hostcalls.push(HostCall { import: aux, args });
                self.phase = Phase::HostCall;
                Status::HostCall
            }
            answer::TRAP if self.asked == Asked::Run => {
                let text = if aux >= hlfuzz_abi::trap::OTHER { self.text() } else { String::new() };
                self.trapped(TrapCause::Wasm { code: aux, text }, n)
            }
            answer::HOST_FAILED if self.asked == Asked::Unwind => self.trapped(TrapCause::HostFailed, 0),
            answer::NO_ROOM if self.begins_with_vector() => {
                self.open.pop();
                self.read_values(1);
                self.after_call();
                self.no_room()
            }
            answer::REFUSED if self.asked == Asked::Question || self.begins_with_vector() => {
                self.open.pop();
                self.after_call();
                let text = self.text();
                self.invalid(text)
            }
            answer::LINK_FAILED if self.snapshot.is_none() => {
                let text = self.text();
                self.trap = Some(TrapCause::Runtime(text.clone()));
                self.die(Error::new(Kind::Internal, text))
            }
            answer::FATAL => {
                let text = self.text();
                self.end_by(TrapCause::Runtime(text))
            }
            _ => self.violated(format!("answer {word}, which does not exist or does not fit the request")),
        }
    }

    /// The innermost call ended in a trap.
    fn trapped(&mut self, cause: TrapCause, frames: u32) -> Status {
        self.record_trap(frames);
        self.open.pop();
        self.after_call();
        self.stats.traps += 1;
        self.trap = Some(cause);
        Status::Trap
    }

    /// Is what the guest was asked last part of a byte-vector call, and not of a call nested in it?
    fn begins_with_vector(&self) -> bool {
        self.asked == Asked::Run
            && self.vector.is_at_once()
            && self.open.len() == 1
            && self.hostcalls.is_empty()
    }

    #[inline]
    fn after_call(&mut self) {
        self.phase = if self.open.is_empty() || self.hostcalls.len() < self.open.len() {
            Phase::Idle
        } else {
            Phase::HostCall
        };
    }

    #[inline]
    fn read_values(&mut self, n: usize) {
        debug_assert!(n <= MAX_VALUES);
        let mailbox = self.mailbox_ptr();
        self.results.clear();
        self.results.reserve(n);
        self.looks();
        // SAFETY: `n` values fit the block; the room was just reserved.
        unsafe {
            let slots = (&raw const (*mailbox).from_guest.values).cast::<Value>();
            std::ptr::copy_nonoverlapping(slots, self.results.as_mut_ptr(), n);
            self.results.set_len(n);
        }
    }

    fn text(&mut self) -> String {
        let mailbox = self.mailbox_ptr();
        self.looks();
        // SAFETY: the length is read once and cut to the area.
        let len = unsafe { (&raw const (*mailbox).text.len).read_volatile() } as usize;
        self.looks();
        // SAFETY: the bytes are copied before they are looked at.
        let bytes = unsafe {
            let from = (&raw const (*mailbox).text.bytes).cast::<u8>();
            let mut copy = vec![0; len.min(hlfuzz_abi::TEXT_BYTES)];
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), copy.len());
            copy
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn take_posted(&mut self, used: u32) -> std::result::Result<(), String> {
        let mailbox = self.mailbox_ptr();
        self.looks();
        let (interface, modes) = (&self.interface, &self.posted_modes);
        // SAFETY: the area has POSTED_BYTES; the guest waits, so resetting its counter does not race.
        unsafe {
            self.posted.take((&raw const (*mailbox).posted).cast(), used, |import| {
                // the host's own list of modes: the one in the mailbox is a copy for the guest
                modes.get(import as usize).filter(|mode| **mode != 0)?;
                interface.imports.get(import as usize).copied().flatten().map(|(params, _)| params)
            })?;
            (&raw mut (*mailbox).from_guest.posted).write_volatile(0);
        }
        self.stats.posted += self.posted.calls.len() as u64;
        self.host_calls_made += self.posted.calls.len() as u64;
        Ok(())
    }

    /// The guest broke the protocol: nothing it says can be used any more, but the snapshot can.
    pub(super) fn violated(&mut self, why: String) -> Status {
        self.end_by(TrapCause::Abi(why))
    }

    /// Posted calls of a call that went too far are not handed over.
    #[cold]
    fn too_many_host_calls(&mut self) -> Status {
        self.posted.clear();
        self.end_by(TrapCause::Limit(LimitCause::HostCalls { allowed: self.options.limits.host_calls }))
    }

    fn stopped(&mut self, exit: Exit) -> Status {
        let cause = match exit {
            Exit::Exception(exception) => TrapCause::Exception(exception),
            Exit::Doorbell(_) => TrapCause::Runtime(self.text()),
            Exit::Outside(address) => {
                TrapCause::Runtime(format!("the guest touched address {address:#x}, where nothing is"))
            }
            Exit::Broken(why) => TrapCause::Runtime(why),
            Exit::Failed(error) => return self.die(error),
            Exit::Interrupted | Exit::RingFull => {
                TrapCause::Runtime("the vCPU stopped without a reason".into())
            }
        };
        self.end_by(cause)
    }

    pub(super) fn end_by(&mut self, cause: TrapCause) -> Status {
        match &cause {
            TrapCause::Exception(_) => self.record_exception(),
            _ => self.record_stop(),
        }
        self.stats.traps += 1;
        let why = format!("{cause:?}");
        self.trap = Some(cause);
        if self.snapshot.is_none() {
            self.die(Error::new(Kind::Internal, why));
            return Status::Trap;
        }
        match self.recover() {
            Ok(()) => Status::Trap,
            Err(error) => self.die(Error::new(error.kind, format!("{why}; {}", error.message))),
        }
    }

    /// A request that is answered at once and changes nothing of the call that may be open.
    pub(super) fn ask(&mut self, op: u32, index: u32, values: &[Value], results: u32) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if self.phase == Phase::Running {
            return Status::Busy;
        }
        // it is no part of the call that may be open: neither its deadline nor its slices apply
        let (deadline, slice, used) = (self.options.deadline, self.options.slice.take(), self.used);
        self.options.deadline = ASK_DEADLINE;
        self.used = Used::default();
        let waits = self.phase == Phase::HostCall;
        self.open.push(results);
        self.request(op, index, values);
        let status = self.go();
        self.note_end(waits, status);
        (self.options.deadline, self.options.slice, self.used) = (deadline, slice, used);
        status
    }

    /// A guest that was asked something while a host call waited (`waits`) may have ended every open call by the way it
    /// answered. Whoever serves the host call learns it from the next thing that it does.
    pub(super) fn note_end(&mut self, waits: bool, status: Status) {
        if waits && self.phase == Phase::Idle {
            self.ended = Some(status);
        }
    }

    /// The exchange alone.
    pub fn nop(&mut self) -> Status {
        self.ask(op::NOP, 0, &[], 0)
    }
}
