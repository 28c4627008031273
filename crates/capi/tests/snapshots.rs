//! Snapshots through the C API, and what states that somebody made up can do to the host: nothing.
//!
//! HLFUZZ_FUZZ_CASES and HLFUZZ_FUZZ_SEED choose how many hostile states are run and from which seed on.
#![allow(clippy::undocumented_unsafe_blocks)] // every call keeps the header's contract

use hlfuzz::*;
use std::ffi::{CStr, CString};
use std::mem::zeroed;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

const MODULE: &str = r#"(module
  (import "env" "seed" (global $seed i32))
  (memory (export "memory") 1 16)
  (global $n (mut i32) (i32.const 0))
  (func (export "count") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (global.get $seed)))
    (i32.add (global.get $n) (i32.load (i32.const 8)))))"#;
const COUNT: u32 = 1;
const SEED: u64 = 1000;

/// A folder that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hlfuzz-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn error() -> hl_error {
    hl_error { size: size_of::<hl_error>() as u32, ..unsafe { zeroed() } }
}

fn text(error: &hl_error) -> String {
    unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_string_lossy().into_owned()
}

fn name(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

struct Guest {
    module: *mut hl_module,
    seed: hl_value,
}

impl Guest {
    fn new() -> Self {
        let wasm = wat::parse_str(MODULE).unwrap();
        let mut error = error();
        let module = unsafe { hl_module_new(wasm.as_ptr(), wasm.len(), null(), &mut error) };
        assert!(!module.is_null(), "{}", text(&error));
        Self { module, seed: hl_value { raw: [SEED, 0] } }
    }

    fn options(&self) -> hl_template_options {
        let size = size_of::<hl_template_options>() as u32;
        let (import_values, n_import_values) = (&raw const self.seed, 1);
        hl_template_options { size, import_values, n_import_values, ..unsafe { zeroed() } }
    }

    fn template(&self) -> *mut hl_template {
        let mut error = error();
        let template = unsafe { hl_template_new(self.module, &self.options(), &mut error) };
        assert!(!template.is_null(), "{}", text(&error));
        template
    }

    fn load(&self, path: &Path) -> Result<*mut hl_template, (u32, String)> {
        let mut error = error();
        let template =
            unsafe { hl_snapshot_load(self.module, &self.options(), name(path).as_ptr(), &mut error) };
        if template.is_null() { Err((error.code, text(&error))) } else { Ok(template) }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        unsafe { hl_module_free(self.module) };
    }
}

fn open(template: *const hl_template) -> *mut hl_sandbox {
    let mut error = error();
    let options = hl_sandbox_options {
        size: size_of::<hl_sandbox_options>() as u32,
        transport: HL_TRANSPORT_EXIT,
        cpu: -1,
        cpu_us: 5_000,
        wall_us: 2_000_000,
        verify_every: 1,
        ..unsafe { zeroed() }
    };
    let sandbox = unsafe { hl_sandbox_new(template, &options, &mut error) };
    assert!(!sandbox.is_null(), "{}", text(&error));
    sandbox
}

fn count(sandbox: *mut hl_sandbox, flags: u32) -> i32 {
    let status = unsafe { hl_call(sandbox, COUNT, null(), 0, flags) };
    assert_eq!(status, HL_DONE, "{:?}", unsafe { CStr::from_ptr(hl_message(sandbox)) });
    unsafe { (*hl_results(sandbox, null_mut())).i32 }
}

/// A template after three calls.
fn counted(guest: &Guest) -> *mut hl_template {
    let (booted, mut error) = (guest.template(), error());
    let sandbox = open(booted);
    for call in 1..=3 {
        assert_eq!(count(sandbox, 0), call * 1001);
    }
    let taken = unsafe { hl_snapshot_take(sandbox, &mut error) };
    assert!(!taken.is_null(), "{}", text(&error));
    assert_eq!(count(sandbox, HL_CALL_RESET), 4004, "the sandbox goes on");
    assert_eq!(count(sandbox, HL_CALL_RESET), 1001, "and goes back to where it did");
    unsafe {
        hl_sandbox_close(sandbox);
        hl_template_free(booted);
    }
    taken
}

fn save(template: *const hl_template, path: &Path, flags: u32) {
    let mut error = error();
    let result = unsafe { hl_snapshot_save(template, name(path).as_ptr(), flags, &mut error) };
    assert_eq!(result, 0, "{}", text(&error));
}

fn check(template: *mut hl_template) {
    let sandbox = open(template);
    for _ in 0..2 {
        assert_eq!(count(sandbox, HL_CALL_RESET), 4004);
    }
    unsafe {
        hl_sandbox_close(sandbox);
        hl_template_free(template);
    }
}

#[test]
fn a_snapshot_is_taken_saved_described_and_loaded() {
    let (guest, folder) = (Guest::new(), Folder::new("taken"));
    let taken = counted(&guest);
    for flags in [0, HL_SAVE_COMPRESSED] {
        let path = folder.0.join("state");
        save(taken, &path, flags);
        let loaded = guest.load(&path).unwrap();
        let size = size_of::<hl_snapshot_info>() as u32;
        let mut info = hl_snapshot_info { size, ..unsafe { zeroed() } };
        assert_eq!(unsafe { hl_snapshot_info_get(loaded, &mut info) }, 0);
        assert_eq!((info.n_import_values, unsafe { (*info.import_values).raw }), (1, [SEED, 0]));
        assert!(info.data_bytes > 0 && info.data_bytes < info.memory_bytes);
        check(loaded);
    }
    check(taken);
}

#[test]
fn misuse_is_an_error_with_its_code() {
    let (guest, folder) = (Guest::new(), Folder::new("misuse"));
    let (taken, mut error) = (counted(&guest), error());
    let path = folder.0.join("state");
    save(taken, &path, 0);
    unsafe {
        assert!(hl_snapshot_take(null_mut(), &mut error).is_null());
        assert_eq!(error.code, HL_E_ARGUMENT);
        let boot = hl_boot_new(guest.module, &guest.options(), &mut error);
        assert!(hl_snapshot_take(boot, &mut error).is_null());
        assert_eq!(error.code, HL_E_ARGUMENT);
        hl_sandbox_close(boot);
        assert_eq!(hl_snapshot_save(taken, null(), 0, &mut error), -1);
        assert_eq!(hl_snapshot_save(null(), name(&path).as_ptr(), 0, null_mut()), -1);
        assert_eq!(hl_snapshot_save(taken, name(&path).as_ptr(), 2, &mut error), -1);
        assert!(text(&error).contains("flags"));
        assert!(hl_snapshot_load(null(), null(), name(&path).as_ptr(), &mut error).is_null());
        let mut other = guest.options();
        other.memory_limit = 32 << 20;
        assert!(hl_snapshot_load(guest.module, &other, name(&path).as_ptr(), &mut error).is_null());
        assert_eq!(error.code, HL_E_SNAPSHOT_GUEST, "{}", text(&error));
        let none = hl_value { raw: [7, 0] };
        other = guest.options();
        other.import_values = &none;
        assert!(hl_snapshot_load(guest.module, &other, name(&path).as_ptr(), &mut error).is_null());
        assert_eq!(error.code, HL_E_SNAPSHOT_GUEST, "{}", text(&error));
        other.import_values = null();
        let any = hl_snapshot_load(guest.module, &other, name(&path).as_ptr(), &mut error);
        assert!(!any.is_null(), "{}", text(&error));
        check(any);
    }
    assert_eq!(guest.load(&folder.0.join("missing")).unwrap_err().0, HL_E_SNAPSHOT_IO);
    std::fs::write(&path, b"text").unwrap();
    assert_eq!(guest.load(&path).unwrap_err().0, HL_E_NOT_SNAPSHOT);
    check(taken);
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Where the registers lie in a file, and where its length of the header (docs/snapshots.md).
const REGISTERS: usize = 160;
const REGISTER_BYTES: usize = 820;
const IMAGE_HASH: usize = 96;
const RAM: usize = 144;
const RIP: usize = REGISTERS + 16 * 8;

fn header_len(file: &[u8]) -> usize {
    u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize
}

/// Registers and memory that no guest has had, under right checksums.
fn make_up(file: &mut [u8], random: &mut Random) {
    const ADDRESSES: [u64; 10] = [
        0,
        0x1000,
        0x8000,
        0x20_0000,
        0x20_1234,
        0x80_0000,
        0x1_0000_0000,
        0x2_0000_0000,
        1 << 46,
        (1 << 47) - 1,
    ];
    let header = header_len(file);
    if random.below(3) != 0 {
        for at in (REGISTERS..REGISTERS + REGISTER_BYTES - 8).step_by(8) {
            if random.below(2) == 0 {
                let value = if random.below(2) == 0 {
                    ADDRESSES[random.below(ADDRESSES.len())].wrapping_add(random.below(64) as u64)
                } else {
                    random.next()
                };
                file[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        file[RIP + 6] = 0;
        file[RIP + 7] = 0;
        file[RIP + 5] &= 0x7f;
    }
    if random.below(2) == 0 {
        // the default memory, as the guest would have said
        let value = [0, 1 << 20, 0x80_0000, u64::MAX, 1 << 40][random.below(5)];
        let at = 128 + 8 * random.below(2);
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let body = file.len() - header;
    for _ in 0..random.below(400) {
        let at = header + random.below(body / 8) * 8;
        let value = ADDRESSES[random.below(ADDRESSES.len())] ^ random.next() >> random.below(64);
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    seal(file);
}

/// Makes both checksums right.
fn seal(file: &mut [u8]) {
    let header = header_len(file);
    let sum = blake3::hash(&file[header..]);
    file[64..96].copy_from_slice(sum.as_bytes());
    let sum = blake3::Hasher::new().update(&file[..32]).update(&file[64..header]).finalize();
    file[32..64].copy_from_slice(sum.as_bytes());
}

#[test]
fn a_state_that_was_made_on_other_code_or_other_tables_is_refused() {
    let (guest, folder) = (Guest::new(), Folder::new("image"));
    let taken = counted(&guest);
    let path = folder.0.join("state");
    save(taken, &path, 0);
    let whole = std::fs::read(&path).unwrap();
    for at in [IMAGE_HASH, IMAGE_HASH + 31, RAM] {
        let mut file = whole.clone();
        file[at] ^= 0x10;
        seal(&mut file);
        std::fs::write(&path, &file).unwrap();
        assert_eq!(guest.load(&path).unwrap_err().0, HL_E_SNAPSHOT_VERSION, "{at}");
    }
    check(taken);
}

#[test]
fn a_made_up_state_is_at_most_a_strange_guest() {
    let (seed, cases) = (setting("HLFUZZ_FUZZ_SEED", 1), setting("HLFUZZ_FUZZ_CASES", 15_000).div_ceil(100));
    let (guest, folder) = (Guest::new(), Folder::new("strange"));
    let taken = counted(&guest);
    let path = folder.0.join("state");
    save(taken, &path, 0);
    let whole = std::fs::read(&path).unwrap();
    let witness = open(taken);
    let mut seen = std::collections::HashMap::<i32, u64>::new();
    for case in seed..seed + cases {
        let mut file = whole.clone();
        make_up(&mut file, &mut Random(case));
        std::fs::write(&path, &file).unwrap();
        let template = guest.load(&path).unwrap_or_else(|why| panic!("HLFUZZ_FUZZ_SEED={case}: {why:?}"));
        let sandbox = open(template);
        for _ in 0..2 {
            let mut status = unsafe { hl_call(sandbox, COUNT, null(), 0, HL_CALL_RESET) };
            *seen.entry(status).or_default() += 1;
            if status == HL_HOSTCALL {
                status = unsafe { hl_kill(sandbox) };
            }
            assert_ne!(status, HL_DEAD, "HLFUZZ_FUZZ_SEED={case}: {:?}", unsafe {
                CStr::from_ptr(hl_message(sandbox))
            });
            assert_eq!(unsafe { hl_reset(sandbox) }, HL_DONE, "HLFUZZ_FUZZ_SEED={case}");
            let mut size = 0;
            unsafe { hl_mem_size(sandbox, HL_DEFAULT_MEMORY, &mut size) };
            assert_eq!(unsafe { hl_verify(sandbox) }, 0, "HLFUZZ_FUZZ_SEED={case}");
        }
        unsafe {
            hl_sandbox_close(sandbox);
            hl_template_free(template);
        }
        assert_eq!(count(witness, HL_CALL_RESET), 4004, "HLFUZZ_FUZZ_SEED={case}");
    }
    unsafe { hl_sandbox_close(witness) };
    check(taken);
    for expected in [HL_DONE, HL_TRAP] {
        assert!(cases < 50 || seen.contains_key(&expected), "{seen:?}");
    }
}
