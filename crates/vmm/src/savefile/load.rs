//! Reading a snapshot from a file: the host's own image of the guest, and the file's pages over it.

use super::header::Header;
use super::identity::Identity;
use super::save::image_hash;
use super::{Reason, damaged, index, pages, refused, state, truncated, unread};
use crate::boot::Template;
use crate::error::Result;
use crate::host::{Host, Tracking};
use crate::image::Image;
use crate::layout::Layout;
use crate::machine::Machine;
use crate::mapping::{Mapping, data_pages, memory_file, punch};
use crate::sandbox::{Interface, new_mailbox};
use crate::snapshot::{PAGE, Snapshot};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// What a file is loaded for.
pub struct Wanted<'a, I: Image> {
    pub image: &'a I,
    pub interface: Arc<Interface>,
    pub identity: Identity,
    /// Take the values of imported globals from the file, whatever they are.
    pub any_globals: bool,
    pub tracking: Tracking,
}

/// A template at the state that `path` holds. The file is read once; on an error nothing of it is left.
pub fn load<I: Image>(host: Arc<Host>, wanted: Wanted<'_, I>, path: &Path) -> Result<Template> {
    let (mut source, size) = open(path)?;
    let ram_len = wanted.image.ram_size()?;
    let header = Header::read(&mut source, size, ram_len / PAGE as u64)?;
    wanted.identity.check(&header.claim, wanted.any_globals)?;
    if header.ram != ram_len {
        return Err(wanted.identity.compiled_otherwise(&header.claim));
    }
    let file = memory_file(ram_len)?;
    let ram = Mapping::shared(&file, ram_len as usize, "guest RAM")?;
    for range in wanted.image.filled(ram_len)? {
        ram.populate(range);
    }
    // SAFETY: a fresh mapping of this size that nobody else knows of.
    let bytes = || unsafe { std::slice::from_raw_parts_mut(ram.as_ptr(), ram.len()) };
    let layout = wanted.image.build(bytes())?;
    let data = data_pages(&file, ram_len)?;
    let has_data = |page: u32| data[page as usize / 64] >> (page % 64) & 1 != 0;
    if image_hash(bytes(), &layout, has_data).as_bytes() != &header.image_hash {
        return Err(wanted.identity.compiled_otherwise(&header.claim));
    }
    // what the host's image has there (initial values of variables) is older than the file's state
    for range in &layout.writable {
        punch(&file, range.clone())?;
    }
    let total = index::check(&header.runs, &layout)?;
    if !header.compressed && header.body() == total * PAGE as u64 {
        for run in &header.runs {
            ram.populate(run.first as u64 * PAGE as u64..(run.first + run.pages) as u64 * PAGE as u64);
        }
    }
    overlay(&mut source, &header, &layout, bytes())?;
    let mailbox = new_mailbox()?;
    let machine = Machine::new(&host, &ram, &mailbox, None)?;
    machine.start_at(&layout)?;
    let mut registers = machine.registers()?;
    state::apply(&header.registers, &mut registers)?;
    drop(ram); // the last writable mapping of the file; the machine never runs again
    let identity = Identity { globals: header.claim.globals, from_file: true, ..wanted.identity };
    let snapshot = Snapshot::new(host, file, registers, Arc::new(layout), Arc::new(identity))?;
    let retired = Some(Arc::new(machine));
    Ok(Template::new(Arc::new(snapshot), wanted.interface, wanted.tracking, header.memory, retired))
}

/// Lays the pages that follow `header` over `ram`, whose writable part is zero.
pub(super) fn overlay(
    source: &mut impl Read,
    header: &Header,
    layout: &Layout,
    ram: &mut [u8],
) -> Result<()> {
    let total = index::check(&header.runs, layout)?;
    if !header.compressed && header.body() != total * PAGE as u64 {
        return Err(damaged("its length is not that of its pages"));
    }
    let hash = pages::read(source, header.body(), &header.runs, ram, header.compressed)?;
    if hash != header.body_hash {
        return Err(damaged("the checksum of its pages is wrong"));
    }
    Ok(())
}

/// A regular file and its size. Not waiting, so that a pipe in its place cannot hold us up.
fn open(path: &Path) -> Result<(File, u64)> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = opened.map_err(|e| unread(&e))?;
    let metadata = file.metadata().map_err(|e| unread(&e))?;
    if !metadata.is_file() {
        return Err(refused(
            Reason::NotASnapshot,
            "not a regular file; give a file that was saved by hlfuzz",
        ));
    }
    if metadata.len() == 0 {
        return Err(truncated());
    }
    Ok((file, metadata.len()))
}
