//! Calls with a byte vector: room from the guest's allocator, the call, and the bytes that it gives back, as one.
//!
//! What fits the mailbox goes there, and the runtime in the VM does it all in one exchange (`op::BYTES`). Longer
//! vectors are written to guest RAM between two calls. Either may make host calls and outlast a slice, so what is left
//! to do is kept here, and done when the call that is open ends (`finish_call`).

use super::{LimitCause, Phase, Sandbox, Status, TrapCause};
use hlfuzz_abi::{
    Mailbox, NO_ALLOCATOR, VECTOR_ALLOC_ARGS, VECTOR_BYTES, VECTOR_PARAMS, Value, VectorArea, VectorHead, op,
};
use std::mem::offset_of;

/// Where a byte vector goes.
#[derive(Clone, Copy, Debug)]
pub enum Room<'a> {
    /// What this export returns for these arguments, of which the one at `len_at` becomes the length.
    Allocator { export: u32, args: &'a [Value], len_at: usize },
    /// A fixed address.
    Scratch(u64),
}

/// How results stand for bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// They do not.
    #[default]
    None,
    /// Two results: pointer and length.
    Pair,
    /// One i64: pointer << 32 | length.
    Packed,
    /// One result: the length of what replaced the argument.
    InPlace,
}

impl Form {
    fn results(self, of_function: u32) -> u32 {
        match self {
            Form::None => of_function,
            Form::Pair => 2,
            Form::Packed | Form::InPlace => 1,
        }
    }
}

/// What is called with bytes, and how.
#[derive(Clone, Copy, Debug)]
pub struct BytesCall<'a> {
    pub export: u32,
    /// All arguments; those at `at` and `at + 1` become pointer and length.
    pub args: &'a [Value],
    pub at: usize,
    pub room: Room<'a>,
    pub form: Form,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    Allocating,
    Calling,
    /// As `Calling`, with the allocation and the copy as parts of the call.
    AtOnce,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    alloc: u32,
    len: u32,
    scratch: u64,
}

/// The byte-vector call that is open, and the bytes of the last one that ended well. Its buffers are kept.
#[derive(Debug, Default)]
pub(super) struct VectorCall {
    step: Step,
    export: u32,
    args: Vec<Value>,
    at: usize,
    form: Form,
    /// Of a call at once: what `VectorHead` says of the room. The one in the mailbox is a copy for the guest.
    room: Asked,
    address: u64,
    data: Vec<u8>,
    out: Vec<u8>,
}

/// Buffers above this are given back once the next call begins.
const KEPT_BYTES: usize = 16 << 20;

impl VectorCall {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.step != Step::Idle
    }

    #[inline]
    pub(super) fn is_at_once(&self) -> bool {
        self.step == Step::AtOnce
    }

    pub(super) fn end(&mut self) {
        self.step = Step::Idle;
    }
}

/// The request for `op::BYTES`; None when it cannot say this.
#[inline]
fn head(call: &BytesCall, len: usize) -> Option<VectorHead> {
    let mut head = VectorHead {
        alloc: NO_ALLOCATOR,
        n_alloc: 0,
        at: call.at as u32,
        len: len as u32,
        scratch: 0,
        alloc_args: [0; VECTOR_ALLOC_ARGS],
        reserved: 0,
    };
    match call.room {
        Room::Scratch(address) => head.scratch = address,
        Room::Allocator { export, args, len_at } => {
            (head.alloc, head.n_alloc) = (export, args.len() as u32);
            for (to, arg) in head.alloc_args.get_mut(..args.len())?.iter_mut().zip(args) {
                *to = arg[0];
            }
            *head.alloc_args.get_mut(..args.len())?.get_mut(len_at)? = len as u64;
        }
    }
    Some(head)
}

fn outside(address: u64, len: usize, size: u64) -> String {
    format!("the allocator returned {address} for {len} bytes, outside memory 0..{size}")
}

fn scratch_outside(address: u64, len: usize, size: u64) -> String {
    format!("{len} bytes at scratch address {address} are outside memory 0..{size}: choose a lower address")
}

/// Addresses are 32-bit: a result's upper half is not part of an i32.
const WORD: u64 = u32::MAX as u64;

impl Sandbox {
    /// Calls an export with `data` in guest memory. Not while another call is open.
    pub fn call_bytes(&mut self, call: &BytesCall, data: &[u8]) -> Status {
        if let Some(status) = self.unusable() {
            return status;
        }
        if let Some(status) = self.ended.take() {
            return status;
        }
        if self.phase != Phase::Idle || !self.open.is_empty() {
            return Status::Busy;
        }
        let Some(&Some((params, results))) = self.interface.exports.get(call.export as usize) else {
            return self.invalid(format!("no exported function at position {}", call.export));
        };
        if params as usize != call.args.len()
            || call.at.checked_add(2).is_none_or(|end| end > call.args.len())
        {
            return self
                .invalid(format!("the function takes {params} arguments, no vector fits at {}", call.at));
        }
        if call.form.results(results) != results {
            return self.invalid(format!("{results} results do not stand for bytes as {:?}", call.form));
        }
        if data.len() as u64 > WORD {
            return self.invalid(format!("{} bytes are more than a 32-bit memory has", data.len()));
        }
        let it = &mut self.vector;
        if it.out.capacity() > KEPT_BYTES || it.data.capacity() > KEPT_BYTES {
            (it.out, it.data) = (Vec::new(), Vec::new());
        }
        if data.len() <= VECTOR_BYTES
            && call.args.len() <= VECTOR_PARAMS
            && self.snapshot.is_some()
            && let Some(head) = head(call, data.len())
        {
            return self.call_at_once(call, head, data, results);
        }
        let it = &mut self.vector;
        (it.export, it.at, it.form) = (call.export, call.at, call.form);
        it.out.clear();
        it.args.clear();
        it.args.extend_from_slice(call.args);
        match call.room {
            Room::Scratch(address) => {
                if self.write(None, address, data) != Ok(true) {
                    return self.invalid(scratch_outside(address, data.len(), self.memory.1));
                }
                self.enter(address, data.len())
            }
            Room::Allocator { export, args, len_at } => {
                let mut with_len = [[0; 2]; 8];
                let Some(given) = with_len.get_mut(..args.len()).filter(|_| len_at < args.len()) else {
                    return self.invalid(format!("an allocator with {} arguments", args.len()));
                };
                given.copy_from_slice(args);
                given[len_at] = [data.len() as u64, 0];
                let status = self.call(export, given);
                if status == Status::Done {
                    return match self.allocated(data.len()) {
                        Ok(address) => self.placed(address, data),
                        Err(why) => self.lied(why),
                    };
                }
                if self.phase != Phase::Idle {
                    self.vector.step = Step::Allocating;
                    self.vector.data.clear();
                    self.vector.data.extend_from_slice(data);
                }
                status
            }
        }
    }

    #[inline]
    fn call_at_once(&mut self, call: &BytesCall, head: VectorHead, data: &[u8], results: u32) -> Status {
        let it = &mut self.vector;
        (it.step, it.form) = (Step::AtOnce, call.form);
        it.room = Asked { alloc: head.alloc, len: head.len, scratch: head.scratch };
        it.out.clear();
        let mailbox = self.mailbox_ptr();
        // SAFETY: the caller checked the length; the guest does not read before the request.
        unsafe {
            (&raw mut (*mailbox).vector.head).write_volatile(head);
            let to = (&raw mut (*mailbox).vector.data).cast::<u8>();
            std::ptr::copy_nonoverlapping(data.as_ptr(), to, data.len());
        }
        let area = offset_of!(Mailbox, vector);
        self.hot.mailbox.by_host(area..area + offset_of!(VectorArea, data) + data.len());
        self.begin_outermost();
        self.stats.calls += 1;
        self.open.push(results);
        self.request(op::BYTES, call.export, call.args);
        let status = self.go();
        if self.phase == Phase::Idle && self.open.is_empty() && self.vector.is_at_once() {
            self.vector.step = Step::Idle;
            if status == Status::Done {
                self.vector.address = u64::from(self.aux);
                return self.collect();
            }
        }
        status
    }

    /// The runtime found that the bytes do not fit where the allocator said.
    #[cold]
    pub(super) fn no_room(&mut self) -> Status {
        self.vector.step = Step::Idle;
        let asked = self.vector.room;
        let (len, size) = (asked.len as usize, self.memory.1);
        if asked.alloc == NO_ALLOCATOR {
            return self.invalid(scratch_outside(asked.scratch, len, size));
        }
        match self.allocated(len) {
            Ok(address) => self.lied(outside(address, len, size)),
            Err(why) => self.lied(why),
        }
    }

    /// The bytes that the last byte-vector call gave back.
    pub fn result_bytes(&self) -> &[u8] {
        &self.vector.out
    }

    /// What follows `status` of the open byte-vector call.
    #[cold]
    pub(super) fn advance(&mut self, status: Status) -> Status {
        if self.phase != Phase::Idle || !self.open.is_empty() {
            return status;
        }
        let step = std::mem::take(&mut self.vector.step);
        match (status, step) {
            (Status::Done, Step::Allocating) => {
                let data = std::mem::take(&mut self.vector.data);
                let status = match self.allocated(data.len()) {
                    Ok(address) => self.placed(address, &data),
                    Err(why) => self.lied(why),
                };
                self.vector.data = data;
                status
            }
            (Status::Done, Step::Calling) => self.collect(),
            (Status::Done, Step::AtOnce) => {
                self.vector.address = u64::from(self.aux);
                self.collect()
            }
            _ => status,
        }
    }

    /// The allocator's answer, checked.
    #[inline]
    fn allocated(&mut self, len: usize) -> Result<u64, String> {
        let address = self.results.first().map_or(0, |value| value[0] & WORD);
        if address == 0 && len != 0 {
            return Err(format!("the allocator returned null for {len} bytes"));
        }
        Ok(address)
    }

    #[inline]
    fn placed(&mut self, address: u64, data: &[u8]) -> Status {
        match self.write(None, address, data) {
            Ok(true) => self.enter(address, data.len()),
            Ok(false) => self.lied(outside(address, data.len(), self.memory.1)),
            Err(status) => status,
        }
    }

    #[inline]
    fn enter(&mut self, address: u64, len: usize) -> Status {
        let it = &mut self.vector;
        it.address = address;
        (it.args[it.at], it.args[it.at + 1]) = ([address, 0], [len as u64, 0]);
        let args = std::mem::take(&mut it.args);
        let export = it.export;
        let status = self.call(export, &args);
        self.vector.args = args;
        match status {
            Status::Done => self.collect(),
            _ => {
                if self.phase != Phase::Idle {
                    self.vector.step = Step::Calling;
                }
                status
            }
        }
    }

    /// Copies the bytes that the results stand for, once, before anybody looks at them.
    #[inline]
    fn collect(&mut self) -> Status {
        let word = |at: usize| self.results.get(at).map_or(0, |value| value[0]);
        let (address, len) = match self.vector.form {
            Form::None => return Status::Done,
            Form::Pair => (word(0) & WORD, word(1) & WORD),
            Form::Packed => (word(0) >> 32, word(0) & WORD),
            Form::InPlace => (self.vector.address, word(0) & WORD),
        };
        let allowed = self.options.limits.output_bytes;
        let (found, len) = match self.careless.is_any() {
            true => self.view_carelessly(address, len),
            false => (self.view(None, address, len), len),
        };
        match found {
            Ok(Some(_)) if len > allowed => {
                self.end_by(TrapCause::Limit(LimitCause::Output { bytes: len, allowed }))
            }
            Ok(Some(at)) => {
                if len != 0 {
                    // SAFETY: `view` checked the range; the guest is at rest.
                    let bytes = unsafe { std::slice::from_raw_parts(at.cast_const(), len as usize) };
                    self.vector.out.extend_from_slice(bytes);
                }
                Status::Done
            }
            Ok(None) => {
                let size = self.memory.1;
                self.lied(format!("results name {len} bytes at {address}, outside memory 0..{size}"))
            }
            Err(status) => status,
        }
    }

    /// The guest's answer is not what the interface promises. Its state is as any call leaves it.
    #[cold]
    fn lied(&mut self, why: String) -> Status {
        self.stats.traps += 1;
        self.trap = Some(TrapCause::Vector(why));
        Status::Trap
    }
}
