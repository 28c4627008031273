//! Writing a snapshot to a file.

use super::header::Header;
use super::place::NewFile;
use super::{Reason, index, pages, refused, state};
use crate::boot::Template;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::snapshot::{PAGE, is_zero};
use hlfuzz_abi::map;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

impl Template {
    /// Saves it as a file, whole or not at all, readable for its owner only; a file of that name is replaced.
    /// `compress`: with zstd.
    pub fn save(&self, path: &Path, compress: bool) -> Result<()> {
        let snapshot = &*self.snapshot;
        if snapshot.fork.in_child() {
            return Err(Error::new(
                Kind::Forked,
                "this snapshot belongs to the parent process; load it from a file",
            ));
        }
        if snapshot.identity.facts.is_empty() {
            return Err(Error::new(Kind::Argument, "nobody has said what this template's state belongs to"));
        }
        // SAFETY: the view covers all of guest RAM, is sealed, and lives as long as the snapshot.
        let ram = unsafe { std::slice::from_raw_parts(snapshot.content(), snapshot.pages() * PAGE) };
        let holds = |page| snapshot.has_data(page) && !is_zero(page_of(ram, page));
        let mut header = Header {
            compressed: compress,
            header_len: 0,
            file_len: 0,
            body_hash: [0; 32],
            image_hash: image_hash(ram, snapshot.layout(), |page| snapshot.has_data(page)).into(),
            memory: self.memory,
            ram: ram.len() as u64,
            registers: state::encode(&snapshot.registers),
            claim: snapshot.identity.claim(),
            runs: index::runs(index::writable_pages(snapshot.layout()), holds),
        };
        write(&mut header, ram, path).map_err(|error| {
            refused(
                Reason::Io,
                format!("writing the snapshot file: {error}; choose another folder, or make room"),
            )
        })
    }
}

fn write(header: &mut Header, ram: &[u8], path: &Path) -> io::Result<()> {
    let mut new = NewFile::for_path(path)?;
    // the checksums in the header come from what was written after it: it is written last, and has the same length
    let length = header.encode(0).len() as u64;
    new.file.seek(SeekFrom::Start(length))?;
    let (hash, len) = pages::write(&mut new.file, &header.runs, ram, header.compressed)?;
    header.body_hash = hash.into();
    let bytes = header.encode(len);
    new.file.rewind()?;
    new.file.write_all(&bytes)?;
    new.publish()
}

pub(super) fn page_of(ram: &[u8], page: u32) -> &[u8; PAGE] {
    ram[page as usize * PAGE..].first_chunk().expect("a page of guest RAM")
}

/// Hash of all that the guest cannot write: tables, stubs, boot record, code, constants. The ring-0 stack is left out,
/// where an exception leaves its frame. Pages without data are zeros, and zeros are left out too.
pub(super) fn image_hash(ram: &[u8], layout: &Layout, has_data: impl Fn(u32) -> bool) -> blake3::Hash {
    let mut hash = blake3::Hasher::new();
    hash.update(&layout.whole.end.to_le_bytes());
    for page in 0..(ram.len() / PAGE) as u32 {
        let address = u64::from(page) * PAGE as u64;
        if address == map::RING0_STACK || layout.may_write(address, 1) || !has_data(page) {
            continue;
        }
        let content = page_of(ram, page);
        if !is_zero(content) {
            hash.update(&page.to_le_bytes());
            hash.update(content);
        }
    }
    hash.finalize()
}
