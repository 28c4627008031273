//! Damaged and hostile modules: symbols, lines and backtraces of them end, in proportion to their size, and never panic
//! (the profile aborts on a panic, so that one ends these tests).

use hlfuzz_evidence::symbols::Symbols;
use hlfuzz_evidence::unwind::{Registers, Stack};
use hlfuzz_evidence::wasm_core::{Core, encode};
use std::process::Command;
use std::sync::OnceLock;
use wasm_encoder::{CustomSection, Module, RawSection};

const SOURCE: &str = r#"
int depth;
__attribute__((noinline)) int parse(const int *at, int n) { depth++; return at[n] + 1; }
__attribute__((noinline)) int request(int n) { int here[4] = {1, 2, 3, n}; return parse(here, n) + here[1]; }
void _start(void) { request(depth); for (;;); }
"#;

/// A small program with everything that is read: symbols, lines, unwind tables. The linker of these tests is a C compiler.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("hlfuzz-evidence-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (source, out) = (folder.join("a.c"), folder.join("a.elf"));
        std::fs::write(&source, SOURCE).unwrap();
        let options = ["-g", "-O1", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie"];
        let done = Command::new("cc").args(options).arg("-o").arg(&out).arg(&source).status().unwrap();
        assert!(done.success());
        let program = std::fs::read(&out).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        program
    })
}

/// A Wasm module with the program's line tables.
fn module() -> Vec<u8> {
    use object::read::elf::{FileHeader, SectionHeader};
    let file = program();
    let header = object::elf::FileHeader64::<object::LittleEndian>::parse(file).unwrap();
    let sections = header.sections(object::LittleEndian, file).unwrap();
    let mut module = Module::new();
    let text = r#"(module (func $parse (export "parse") nop unreachable) (func (export "on") call 0))"#;
    let plain = wat::parse_str(text).unwrap();
    for payload in wasmparser::Parser::new(0).parse_all(&plain) {
        if let Some((id, range)) = payload.unwrap().as_section() {
            module.section(&RawSection { id, data: &plain[range] });
        }
    }
    for name in [".debug_line", ".debug_line_str", ".debug_str"] {
        if let Some((_, section)) = sections.section_by_name(object::LittleEndian, name.as_bytes()) {
            let data = section.data(object::LittleEndian, file).unwrap();
            module.section(&CustomSection { name: name.into(), data: data.into() });
        }
    }
    module.finish()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn mutant(&mut self, of: &[u8]) -> Vec<u8> {
        let mut bytes = of.to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => {
                    let (to, len) = (self.below(bytes.len()), self.below(64));
                    let part = bytes[at..(at + len).min(bytes.len())].to_vec();
                    let end = (to + part.len()).min(bytes.len());
                    bytes[to..end].copy_from_slice(&part[..end - to]);
                }
                2 => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(if self.below(2) == 0 { 0xff } else { 0 });
                }
                3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ if at < bytes.len() => bytes[at] = self.next() as u8,
                _ => {}
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }

    fn registers(&mut self, stack: u64) -> Registers {
        Registers(std::array::from_fn(|_| match self.below(4) {
            0 => self.next(),
            1 => 0x401000 + self.below(0x200) as u64,
            2 => stack + 8 * self.below(64) as u64,
            _ => u64::MAX - self.below(16) as u64,
        }))
    }
}

fn ask_everything(symbols: &Symbols, random: &mut Random) {
    for _ in 0..8 {
        let (function, offset) = (random.below(4) as u32, random.below(300) as u64);
        symbols.wasm_site(function, offset);
        symbols.native_site(0x401000 + random.below(0x100) as u64);
        symbols.native_site(random.next());
    }
    symbols.wasm_site(u32::MAX, u64::MAX);
    let start = 0x7000;
    let words: Vec<u8> = (0..64).flat_map(|_| random.registers(start).0[0].to_le_bytes()).collect();
    let frames = symbols.native_backtrace(&random.registers(start), Stack { start, bytes: &words });
    assert!(frames.len() <= 64);
}

#[test]
fn the_program_itself_has_symbols_lines_and_callers() {
    let symbols = Symbols::new(program().to_vec());
    let sites: Vec<_> = (0x401000..0x401100).map(|address| symbols.native_site(address)).collect();
    for (name, line) in [("parse", 3), ("request", 4), ("_start", 5)] {
        assert!(
            sites.iter().any(|site| site.name == name && site.line == line && site.file.ends_with("a.c"))
        );
    }
    let parse = sites.iter().find(|site| site.name == "parse").unwrap().start;
    assert_eq!(symbols.native_site(parse).line, 3);
    assert_ne!(symbols.native_site(parse - 1).name, "parse");
    // at the entry of `parse`, called by `request`: the return address is on top of the stack
    let first = |name| sites.iter().find(|site| site.name == name).unwrap().start;
    let (mut registers, start) = (Registers::default(), 0x7000);
    (registers.0[7], registers.0[16]) = (start, first("parse"));
    let mut stack = vec![0; 256];
    stack[..8].copy_from_slice(&(first("request") + 20).to_le_bytes());
    let frames = symbols.native_backtrace(&registers, Stack { start, bytes: &stack });
    assert_eq!(frames[..2], [first("parse"), first("request") + 19]);
}

#[test]
fn frame_pointers_that_lead_nowhere_or_in_a_circle_end_the_walk() {
    let name = b".eh_frame\0";
    let mut file = program().to_vec();
    let at = file.windows(name.len()).position(|part| part == name).unwrap();
    file[at + 1] = b'x';
    let symbols = Symbols::new(file);
    let code = (0x401000..).find(|address| symbols.native_site(*address).name == "parse").unwrap();
    let start = 0x7000;
    let walk = |frame: u64, next: u64, back: u64| {
        let mut registers = Registers::default();
        (registers.0[6], registers.0[7], registers.0[16]) = (frame, start, code + 9);
        let mut stack = vec![0; 256];
        stack[64..72].copy_from_slice(&next.to_le_bytes());
        stack[72..80].copy_from_slice(&back.to_le_bytes());
        symbols.native_backtrace(&registers, Stack { start, bytes: &stack }).len()
    };
    assert_eq!(walk(start + 64, 0, code + 5), 2);
    assert_eq!(walk(start + 64, start + 64, code + 5), 2); // a frame that is its own caller
    assert_eq!(walk(start + 64, 0, 0x1234), 1); // no code there
    assert_eq!(walk(u64::MAX, 0, code + 5), 1);
    assert_eq!(walk(start + 250, 0, code + 5), 1); // past the end of the copy
}

#[test]
fn ten_thousand_damaged_programs_are_read_without_a_panic() {
    let mut random = Random(1);
    for _ in 0..10_000 {
        let mutant = random.mutant(program());
        ask_everything(&Symbols::new(mutant), &mut random);
    }
}

#[test]
fn ten_thousand_damaged_modules_are_read_without_a_panic() {
    let mut random = Random(2);
    let module = module();
    assert_eq!(Symbols::new(module.clone()).wasm_site(0, u64::MAX).unwrap().name, "parse");
    for round in 0..10_000 {
        let symbols = Symbols::new(random.mutant(&module));
        ask_everything(&symbols, &mut random);
        if round % 10 == 0 {
            let frames = [(0, 60), (1, u64::MAX), (9, 9), (u32::MAX, random.next())];
            let core = Core {
                frames: &frames,
                memories: std::slice::from_ref(&(100..70_000)),
                globals: &[],
                name: "\0x",
            };
            encode(&core, &symbols, |at, to| to.fill(at as u8));
        }
    }
}

/// `.eh_frame` with hundreds of thousands of entries that all name one shared entry of 8 MiB.
fn entries_that_share_everything() -> Vec<u8> {
    let mut section = Vec::new();
    let filler = 8 << 20;
    section.extend((filler as u32).to_le_bytes());
    section.extend(0u32.to_le_bytes());
    section.extend([1, b'z']); // version; augmentation: a signal frame, said eight million times
    section.resize(4 + filler - 5, b'S');
    section.extend([0, 1, 0x78, 16, 0]); // alignments, return address, no augmentation data
    while section.len() < 15 << 20 {
        let at = section.len() as u32;
        section.extend(20u32.to_le_bytes());
        section.extend((at + 4).to_le_bytes());
        section.extend([0; 16]);
    }
    section
}

#[test]
fn unwind_tables_that_refer_to_each_other_cost_no_more_than_their_size() {
    let section = entries_that_share_everything();
    let section = hlfuzz_evidence::frames::Section::new(&section, 0x400000);
    let frames = hlfuzz_evidence::frames::Frames::new(&section);
    assert!(frames.row(&section, &mut gimli::UnwindContext::new(), 0).is_none());
}

#[test]
fn a_file_table_out_of_proportion_is_passed_over() {
    use hlfuzz_evidence::lines::{Lines, Sections};
    // version 2: a header of 8 MiB with names of one byte
    let names = 2 << 20;
    let mut header = vec![1, 1, 1, 0xfb, 14, 1, 0];
    for _ in 0..names {
        header.extend([b'a', 0, 0, 0, 0]);
    }
    header.push(0);
    let mut line = Vec::new();
    line.extend((header.len() as u32 + 6).to_le_bytes());
    line.extend(2u16.to_le_bytes());
    line.extend((header.len() as u32).to_le_bytes());
    line.extend(header);
    let sections = Sections { line: &line, ..Sections::default() };
    assert!(Lines::new(sections, 8, |_| true).find(sections, 0x1000).is_none());
}
