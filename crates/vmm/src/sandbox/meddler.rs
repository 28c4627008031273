//! For tests of tests: somebody else who writes the memory that host and guest share, and a host that reads it carelessly.
//!
//! `Sandbox::looks` stands before each place where the host reads what a guest has written. There a change can be made
//! to happen at an exact moment; a second thread makes it at any.

use super::{Sandbox, Status};
use crate::mapping::Mapping;
use crate::snapshot::PAGE;
use hlfuzz_abi::{FromGuest, Mailbox, Text, Value, VectorHead};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::thread::JoinHandle;

/// A part of what host and guest share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Fields of the guest's answer.
    Aux,
    Count,
    Posted,
    Memory,
    MemoryLen,
    Values,
    /// The text of a failure: its length, its bytes.
    TextLen,
    Text,
    /// Posted host calls.
    Queue,
    /// What the host has asked of a byte vector.
    VectorHead,
    /// The default memory, by the guest's own addresses.
    Guest,
}

/// What is written where: `width` bytes (1, 4 or 8) at `offset` from the start of `what`, which they must be aligned to.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub what: Shared,
    pub offset: u64,
    pub width: u32,
    /// A thread writes one and the other in turn; at an exact moment the first is written.
    pub values: [u64; 2],
}

/// How the host misreads on purpose what a byte-vector call gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Careless {
    /// The length is read once to check it and once more to use it.
    pub reads_twice: bool,
    /// Bytes anywhere in guest RAM are taken.
    pub without_bounds: bool,
}

impl Careless {
    #[inline]
    pub(super) fn is_any(self) -> bool {
        self.reads_twice || self.without_bounds
    }
}

pub(super) struct Place {
    mapping: Arc<Mapping>,
    offset: usize,
    width: u32,
}

impl Place {
    fn store(&self, value: u64) {
        let at = self.mapping.as_ptr().wrapping_add(self.offset);
        // SAFETY: `place` checked that so many bytes are inside and aligned; all access to them is by raw pointer.
        unsafe {
            match self.width {
                1 => AtomicU8::from_ptr(at).store(value as u8, Relaxed),
                4 => AtomicU32::from_ptr(at.cast()).store(value as u32, Relaxed),
                _ => AtomicU64::from_ptr(at.cast()).store(value, Relaxed),
            }
        }
    }
}

/// Who writes, and when.
pub(super) enum Meddler {
    AtRead { place: Place, value: u64, at: u64, reads: u64 },
    Always(Writer),
}

/// A thread that writes until it is dropped.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Writer {
    fn start(place: Place, values: [u64; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = stop.clone();
        let write = move || {
            let mut stores = 0;
            while !until.load(Relaxed) {
                place.store(values[(stores & 1) as usize]);
                stores += 1;
            }
            stores
        };
        Self { stop, thread: Some(std::thread::spawn(write)) }
    }

    fn end(&mut self) -> u64 {
        self.stop.store(true, Relaxed);
        self.thread.take().map_or(0, |thread| thread.join().unwrap_or(0))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Sandbox {
    /// The host is about to read what a guest may have written.
    #[inline]
    pub(super) fn looks(&mut self) {
        if let Some(meddler) = &mut self.meddler {
            meddler.looks();
        }
    }

    /// Has memory that is shared with the guest changed: before the `at`-th read of it from now on, or, where that is
    /// None, by a second thread, on and on. Ends what an earlier call of this began.
    pub fn meddle(&mut self, change: &Change, at: Option<u64>) -> Status {
        self.leave_alone();
        let Some(place) = self.place(change) else {
            return self
                .invalid(format!("{change:?} is not inside what host and guest share, or not aligned"));
        };
        let values = change.values;
        self.meddler = Some(Box::new(match at {
            Some(at) => Meddler::AtRead { place, value: values[0], at, reads: 0 },
            None => Meddler::Always(Writer::start(place, values)),
        }));
        Status::Done
    }

    /// Ends what `meddle` began: how often the host has read, or the thread has written.
    pub fn leave_alone(&mut self) -> u64 {
        self.meddler.take().map_or(0, |meddler| meddler.end())
    }

    pub fn set_careless(&mut self, careless: Careless) {
        self.careless = careless;
    }

    /// As `view`, by a host that is careless. Never outside of guest RAM, which is its own.
    #[cold]
    pub(super) fn view_carelessly(
        &mut self,
        address: u64,
        len: u64,
    ) -> (std::result::Result<Option<*mut u8>, Status>, u64) {
        let base = self.memory.0;
        let anywhere = |it: &Self, len| it.ram.range(base.wrapping_add(address), len);
        let found = if self.careless.without_bounds {
            Ok(anywhere(self, len))
        } else {
            self.view(None, address, len)
        };
        if !self.careless.reads_twice || !matches!(found, Ok(Some(_))) {
            return (found, len);
        }
        self.looks();
        // SAFETY: mailbox memory.
        let values = unsafe { (&raw const (*self.mailbox_ptr()).from_guest.values).cast::<Value>() };
        let position = self.results.len() - 1;
        // SAFETY: results were read from there.
        let again = unsafe { values.add(position).read_volatile() }[0] & u64::from(u32::MAX);
        match anywhere(self, again) {
            Some(at) => (Ok(Some(at)), again),
            None => (found, len),
        }
    }

    fn place(&mut self, change: &Change) -> Option<Place> {
        let answer = offset_of!(Mailbox, from_guest);
        let text = offset_of!(Mailbox, text);
        let (start, len) = match change.what {
            Shared::Aux => (answer + offset_of!(FromGuest, aux), 4),
            Shared::Count => (answer + offset_of!(FromGuest, n), 4),
            Shared::Posted => (answer + offset_of!(FromGuest, posted), 4),
            Shared::Memory => (answer + offset_of!(FromGuest, memory), 8),
            Shared::MemoryLen => (answer + offset_of!(FromGuest, memory_len), 8),
            Shared::Values => (answer + offset_of!(FromGuest, values), hlfuzz_abi::MAX_VALUES * 16),
            Shared::TextLen => (text + offset_of!(Text, len), 4),
            Shared::Text => (text + offset_of!(Text, bytes), hlfuzz_abi::TEXT_BYTES),
            Shared::Queue => (offset_of!(Mailbox, posted), hlfuzz_abi::POSTED_BYTES),
            Shared::VectorHead => (offset_of!(Mailbox, vector), size_of::<VectorHead>()),
            Shared::Guest => {
                let (base, len) = self.memory_range(None).ok()?;
                (base as usize, len as usize)
            }
        };
        let width = change.width as usize;
        let offset = usize::try_from(change.offset).ok()?;
        let at = start.checked_add(offset)?;
        if !matches!(width, 1 | 4 | 8) || offset.checked_add(width)? > len || at % width != 0 {
            return None;
        }
        let mapping = if change.what == Shared::Guest {
            // KVM does not report what others than the guest write
            self.touched();
            self.hot.insert((at / PAGE) as u32);
            self.ram.clone()
        } else {
            self.hot.mailbox.by_host(at..at + width);
            self.mailbox.clone()
        };
        mapping.range(at as u64, width as u64)?;
        Some(Place { mapping, offset: at, width: change.width })
    }
}

impl Meddler {
    fn looks(&mut self) {
        if let Self::AtRead { place, value, at, reads } = self {
            if *reads == *at {
                place.store(*value);
            }
            *reads += 1;
        }
    }

    fn end(self) -> u64 {
        match self {
            Self::AtRead { reads, .. } => reads,
            Self::Always(mut writer) => writer.end(),
        }
    }
}
