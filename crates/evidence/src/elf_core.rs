//! ELF core files of native guests, as debuggers of x86-64 Linux read them (gdb, lldb).
//!
//! The layout of the notes is that of Linux: `struct elf_prstatus`, `elf_prpsinfo`, `siginfo`, the FXSAVE image and the
//! XSAVE area, for one thread.

use std::io;
use std::ops::Range;

const PAGE: u64 = 4096;
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const MACHINE_X86_64: u16 = 62;
const TYPE_CORE: u16 = 4;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_NOTE: u32 = 4;

const NOTE_STATUS: u32 = 1;
const NOTE_FPU: u32 = 2;
const NOTE_PROCESS: u32 = 3;
const NOTE_XSTATE: u32 = 0x202;
const NOTE_SIGNAL: u32 = 0x5349_4749;

const FXSAVE_BYTES: usize = 512;
/// Legacy area, header, and the upper halves of the AVX registers.
const XSAVE_BYTES: usize = 512 + 64 + 256;
/// Where Linux leaves XCR0 in the software-reserved bytes of the area.
const XCR0_AT: usize = 464;
const XCR0: u64 = 7;

/// The one process of a guest; debuggers want a number above 0.
const PROCESS: u32 = 1;

/// Memory of the guest.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Multiples of 4096.
    pub range: Range<u64>,
    pub write: bool,
    pub execute: bool,
}

/// General registers in the order of Linux's `struct user_regs_struct`.
pub type Registers = [u64; 27];

/// Why the guest stopped, in a Unix program's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signal {
    pub number: u32,
    pub address: u64,
}

/// What is in a core file beside memory.
pub struct Core<'a> {
    pub segments: &'a [Segment],
    pub registers: Registers,
    /// The CPU's XSAVE area, not compacted.
    pub xsave: &'a [u8],
    pub signal: Signal,
    /// What debuggers call the program.
    pub name: &'a str,
}

/// The signal that a Unix kernel would send for a CPU exception.
pub fn signal_of(vector: u32) -> u32 {
    match vector {
        0 | 4 | 16 | 19 => 8, // SIGFPE
        1 | 3 => 5,           // SIGTRAP
        6 => 4,               // SIGILL
        17 => 7,              // SIGBUS
        _ => 11,              // SIGSEGV
    }
}

fn note(to: &mut Vec<u8>, owner: &str, kind: u32, content: &[u8]) {
    for word in [owner.len() as u32 + 1, content.len() as u32, kind] {
        to.extend(word.to_le_bytes());
    }
    for part in [owner.as_bytes(), &[0]] {
        to.extend(part);
    }
    to.resize(to.len().next_multiple_of(4), 0);
    to.extend(content);
    to.resize(to.len().next_multiple_of(4), 0);
}

fn put<const N: usize>(to: &mut [u8], at: usize, bytes: [u8; N]) {
    to[at..at + N].copy_from_slice(&bytes);
}

fn notes(core: &Core<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut status = vec![0; 336];
    put(&mut status, 0, core.signal.number.to_le_bytes());
    put(&mut status, 12, (core.signal.number as u16).to_le_bytes());
    put(&mut status, 32, PROCESS.to_le_bytes());
    for (index, value) in core.registers.iter().enumerate() {
        put(&mut status, 112 + 8 * index, value.to_le_bytes());
    }
    put(&mut status, 328, 1u32.to_le_bytes()); // the FPU note is valid
    note(&mut all, "CORE", NOTE_STATUS, &status);

    let mut process = vec![0; 136];
    put(&mut process, 24, PROCESS.to_le_bytes());
    let name: Vec<u8> = core.name.bytes().filter(|byte| *byte != 0).collect();
    for (at, room) in [(40, 15), (56, 79)] {
        let len = name.len().min(room);
        process[at..at + len].copy_from_slice(&name[..len]);
    }
    note(&mut all, "CORE", NOTE_PROCESS, &process);

    let mut signal = vec![0; 128];
    put(&mut signal, 0, core.signal.number.to_le_bytes());
    put(&mut signal, 16, core.signal.address.to_le_bytes());
    note(&mut all, "CORE", NOTE_SIGNAL, &signal);

    let mut xsave = core.xsave.to_vec();
    xsave.resize(XSAVE_BYTES, 0);
    note(&mut all, "CORE", NOTE_FPU, &xsave[..FXSAVE_BYTES]);
    put(&mut xsave, XCR0_AT, XCR0.to_le_bytes());
    note(&mut all, "LINUX", NOTE_XSTATE, &xsave);
    all
}

fn program_header(
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
    align: u64,
) -> [u8; PROGRAM_HEADER] {
    let mut header = [0; PROGRAM_HEADER];
    put(&mut header, 0, kind.to_le_bytes());
    put(&mut header, 4, flags.to_le_bytes());
    // offset, virtual and physical address, size in the file and in memory, alignment
    for (index, value) in [offset, address, address, size, size, align].into_iter().enumerate() {
        put(&mut header, 8 + 8 * index, value.to_le_bytes());
    }
    header
}

/// Writes a core file through `put_at(offset, bytes)`; what is not written must read as zeros. Returns the file's length.
/// `page` gives the content of the page at an address, None for zeros.
///
/// # Errors
/// Those of `put_at`.
pub fn write<'p>(
    core: &Core<'_>,
    page: impl Fn(u64) -> Option<&'p [u8]>,
    mut put_at: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let notes = notes(core);
    let headers = HEADER + PROGRAM_HEADER * (core.segments.len() + 1);
    let mut head = vec![0; HEADER];
    head[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    put(&mut head, 16, TYPE_CORE.to_le_bytes());
    put(&mut head, 18, MACHINE_X86_64.to_le_bytes());
    put(&mut head, 20, 1u32.to_le_bytes());
    put(&mut head, 32, (HEADER as u64).to_le_bytes());
    for (at, value) in [(52, HEADER), (54, PROGRAM_HEADER), (56, core.segments.len() + 1)] {
        put(&mut head, at, (value as u16).to_le_bytes());
    }
    head.extend(program_header(SEGMENT_NOTE, 0, headers as u64, 0, notes.len() as u64, 4));
    let mut offset = (headers as u64 + notes.len() as u64).next_multiple_of(PAGE);
    let first = offset;
    for Segment { range, write, execute } in core.segments {
        let flags = 4 | u32::from(*write) << 1 | u32::from(*execute);
        let size = range.end - range.start;
        head.extend(program_header(SEGMENT_LOAD, flags, offset, range.start, size, PAGE));
        offset += size;
    }
    head.extend(notes);
    put_at(0, &head)?;
    let mut at = first;
    for segment in core.segments {
        for address in segment.range.clone().step_by(PAGE as usize) {
            if let Some(content) = page(address) {
                put_at(at, content)?;
            }
            at += PAGE;
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::elf::{FileHeader, ProgramHeader};
    use object::{LittleEndian, elf};

    #[test]
    fn a_core_file_has_its_memory_where_its_headers_say() {
        let segments = [
            Segment { range: 0x400000..0x402000, write: false, execute: true },
            Segment { range: 0x800000..0x801000, write: true, execute: false },
        ];
        let core = Core {
            segments: &segments,
            registers: std::array::from_fn(|i| i as u64 + 1),
            xsave: &[7; 4096],
            signal: Signal { number: 11, address: 0x1234 },
            name: "guest",
        };
        let data = vec![0xab; 4096];
        let mut file = Vec::new();
        let length = write(
            &core,
            |at| (at != 0x401000).then_some(&data[..]),
            |at, bytes| {
                let at = at as usize;
                file.resize(file.len().max(at + bytes.len()), 0);
                file[at..at + bytes.len()].copy_from_slice(bytes);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(length as usize, file.len());
        let header = elf::FileHeader64::<LittleEndian>::parse(&*file).unwrap();
        let loads = header.program_headers(LittleEndian, &*file).unwrap();
        let text = loads[1].data(LittleEndian, &*file).unwrap();
        assert!(text[..4096].iter().all(|b| *b == 0xab) && text[4096..].iter().all(|b| *b == 0));
        assert_eq!(loads[2].p_vaddr(LittleEndian), 0x800000);
        let mut notes = loads[0].notes(LittleEndian, &*file).unwrap().unwrap();
        let mut kinds = Vec::new();
        while let Some(found) = notes.next().unwrap() {
            kinds.push((found.n_type(LittleEndian), found.desc().len()));
        }
        assert_eq!(kinds, [(1, 336), (3, 136), (NOTE_SIGNAL, 128), (2, 512), (NOTE_XSTATE, 832)]);
    }
}
