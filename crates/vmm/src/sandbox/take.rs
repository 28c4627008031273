//! Freezing a sandbox at a quiet point: its memory and registers become a template of their own.

use super::{Driver, Phase, Sandbox};
use crate::boot::Template;
use crate::error::{Error, Kind, Result};
use crate::inject::{self, point};
use crate::mapping::memory_file;
use crate::snapshot::{PAGE, Snapshot, is_zero};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

impl Sandbox {
    /// A template of the state right now. The sandbox goes on as if nothing had happened, and its own resets lead
    /// where they led before. Not while a call runs or waits for a host function.
    pub fn take_snapshot(&mut self) -> Result<Template> {
        if self.unusable().is_some() {
            let forked = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.fork.in_child());
            let kind = if forked { Kind::Forked } else { Kind::Internal };
            return Err(Error::new(kind, self.message()));
        }
        let Some(from) = self.snapshot.clone() else {
            return Err(Error::new(Kind::Argument, "a VM that boots has no state to take; finish its boot"));
        };
        if self.phase != Phase::Idle {
            return Err(Error::new(
                Kind::Argument,
                "a call runs, or waits for a host function; take the snapshot before it or after it",
            ));
        }
        if let Driver::Spin(thread) = &self.driver {
            thread.pause()?;
        }
        let frozen = self.freeze(&from);
        if let Driver::Spin(thread) = &self.driver {
            thread.resume();
        }
        Ok(Template::new(Arc::new(frozen?), self.interface.clone(), self.tracking, self.memory, None))
    }

    /// The vCPU is at rest.
    fn freeze(&mut self, from: &Snapshot) -> Result<Snapshot> {
        let registers = self.machine.registers()?;
        self.hot.harvest(&self.machine)?;
        let file = memory_file(self.ram.len() as u64)?;
        let layout = from.layout.clone();
        let mut run = Run::default();
        for page in 0..from.pages() as u32 {
            // Of what the guest may not write, the snapshot's content is taken, whatever happened to this copy.
            let written = self.hot.contains(page) && layout.may_write(u64::from(page) * PAGE as u64, 1);
            let at = if written { self.ram.as_ptr() } else { from.content() };
            let at = at.wrapping_add(page as usize * PAGE).cast_const();
            // SAFETY: both mappings cover all pages of guest RAM, and nobody writes them now.
            let has_content = (written || from.has_data(page)) && !is_zero(unsafe { &*at.cast() });
            if has_content && run.grow(at) {
                continue;
            }
            run.write(&file, page)?;
            if has_content {
                run.grow(at);
            }
        }
        run.write(&file, from.pages() as u32)?;
        Snapshot::new(from.host.clone(), file, registers, layout, from.identity.clone())
    }
}

/// Pages that lie one after the other in one mapping and are written together.
#[derive(Default)]
struct Run {
    start: Option<*const u8>,
    pages: usize,
}

impl Run {
    /// False: the page does not follow on the run.
    fn grow(&mut self, page: *const u8) -> bool {
        let start = *self.start.get_or_insert(page);
        let follows = start.wrapping_add(self.pages * PAGE) == page;
        self.pages += usize::from(follows);
        follows
    }

    /// Writes the run, which ends before `end`, and begins a new one.
    fn write(&mut self, file: &std::fs::File, end: u32) -> Result<()> {
        let Some(start) = self.start.take() else { return Ok(()) };
        let pages = std::mem::take(&mut self.pages);
        // SAFETY: so many pages of one mapping, which nobody writes meanwhile.
        let bytes = unsafe { std::slice::from_raw_parts(start, pages * PAGE) };
        inject::check(point::MEMORY)
            .and_then(|()| file.write_all_at(bytes, (end as u64 - pages as u64) * PAGE as u64))
            .map_err(|e| Error::os("writing the snapshot's memory file", &e))
    }
}
