//! Bytes that are no module, or a module made to hurt: a typed error each, never a panic.

use std::time::{Duration, Instant};

use hlfuzz_wasm::{Error, ErrorCode, Module, ModuleOptions, inspect};

/// A module that has most kinds of sections, small enough to mutate many times.
const RICH: &str = r#"
(module $name
  (type $t (func (param i32 i64 f32 f64 v128) (result i32)))
  (import "env" "log" (func $log (param i32 i32)))
  (import "env" "base" (global $base i32))
  (memory (export "memory") 1 4)
  (table (export "table") 4 funcref)
  (tag $e (param i32))
  (global $g (export "counter") (mut i64) (i64.const 7))
  (func $f (export "f") (type $t)
    local.get 0 if (result i32) i32.const 1 else block (result i32) i32.const 2 br 0 end end
    (call $log (i32.const 0) (i32.const 4))
    (drop (i8x16.splat (i32.const 3)))
    (i32.store (i32.const 8) (i32.trunc_sat_f32_s (local.get 2))))
  (func $throws (export "throws") (block $h (try_table (catch_all $h) (throw $e (i32.const 1)))))
  (func $start (global.set $g (i64.const 8)))
  (start $start)
  (elem (i32.const 0) func $f $throws)
  (data (i32.const 16) "some bytes")
  (data "passive"))
"#;

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("test module")
}

fn refused(bytes: &[u8]) -> Error {
    Module::new(bytes, &ModuleOptions::default()).expect_err("a module that must be refused")
}

/// xorshift64*: the same mutations in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len().max(1));
            match self.below(6) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at.max(9)),
                3 => bytes.insert(at, self.below(256) as u8),
                4 => bytes[at] = [0x00, 0x7f, 0x80, 0xff][self.below(4)],
                _ => {
                    let end = (at + 1 + self.below(16)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copy);
                }
            }
        }
    }
}

#[test]
fn mutated_modules_get_an_answer() {
    let original = assemble(RICH);
    let started = Instant::now();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut valid, mut invalid) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = original.clone();
        random.mutate(&mut bytes);
        match inspect(&bytes) {
            Ok(info) => {
                valid += 1;
                assert!(serde_json::from_str::<serde_json::Value>(&info.json()).is_ok());
            }
            Err(error) => {
                invalid += 1;
                assert_ne!(error.code(), ErrorCode::Internal, "{error}");
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(valid > 100 && invalid > 100, "{valid} valid, {invalid} invalid: the mutations test nothing");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn mutated_modules_that_are_valid_compile() {
    let original = assemble(RICH);
    let mut random = Random(0x0123_4567_89ab_cdef);
    let mut compiled = 0;
    for _ in 0..600 {
        let mut bytes = original.clone();
        random.mutate(&mut bytes);
        match Module::new(&bytes, &ModuleOptions::default()) {
            Ok(module) => {
                assert!(module.artifact().starts_with(b"\x7fELF"));
                compiled += 1;
            }
            Err(error) => assert_ne!(error.code(), ErrorCode::Internal, "{error}"),
        }
    }
    assert!(compiled > 10, "{compiled}");
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(42);
    for length in 0..500 {
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        assert!(inspect(&bytes).is_err());
        bytes.splice(0..0, *b"\0asm\x01\0\0\0");
        if length > 0 {
            assert!(inspect(&bytes).is_err());
        }
    }
}

#[test]
fn each_refusal_has_its_code_and_says_what_and_where() {
    let truncated = &assemble(RICH)[..60];
    let mut invalid = assemble("(module (func (result i32) i32.const 1))");
    let end = invalid.iter().rposition(|&byte| byte == 0x41).expect("i32.const");
    invalid[end] = 0x42; // i64.const
    for (bytes, code, text) in [
        (&b""[..], ErrorCode::NotWasm, "empty file"),
        (b"(module)", ErrorCode::NotWasm, "WAT"),
        (b"\0asm\x0d\0\x01\0", ErrorCode::Component, "component"),
        (truncated, ErrorCode::InvalidModule, "within the 60 bytes"),
        (&invalid, ErrorCode::InvalidModule, "type mismatch"),
        (&assemble("(module (memory 1 2 shared))"), ErrorCode::Unsupported, "threads"),
        (&assemble("(module (memory i64 0x100000))"), ErrorCode::Limit, "memory 0"),
        (&assemble("(module (table i64 0x8000000000000000 funcref))"), ErrorCode::Limit, "table 0"),
    ] {
        let error = refused(bytes);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let limits = ModuleOptions { max_bytes: 7, ..ModuleOptions::default() };
    assert_eq!(
        Module::new(b"\0asm\x01\0\0\0", &limits).expect_err("over the limit"),
        Error::TooLarge { bytes: 8, limit: 7 }
    );
}

#[test]
fn one_hundred_thousand_exports_are_described_in_linear_time() {
    let count = 100_000;
    let mut text = String::from("(module (func $f (param i32) (result i32) local.get 0)");
    for number in 0..count {
        text.push_str(&format!("(export \"e{number}\" (func $f))"));
    }
    text.push(')');
    let bytes = assemble(&text);
    let started = Instant::now();
    let info = inspect(&bytes).expect("valid");
    let json = info.json();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(info.exports.len(), count);
    assert_eq!(info.exports[count - 1].name, format!("e{}", count - 1));
    assert!(json.len() < 20_000_000);
}

#[test]
fn a_description_out_of_proportion_is_refused() {
    let params = "i32 ".repeat(1000);
    let mut text = format!("(module (func $f (param {params}))");
    for number in 0..4001 {
        text.push_str(&format!("(export \"{number}\" (func $f))"));
    }
    text.push(')');
    let error = inspect(&assemble(&text)).expect_err("a description of 4,001,000 parameters");
    assert!(error.to_string().contains("type size"), "{error}");
}

#[test]
fn deep_nesting_is_no_stack_overflow() {
    let depth = 20_000;
    let body: Vec<u8> = [vec![0x00], [0x02, 0x40].repeat(depth), vec![0x0b; depth], vec![0x0b]].concat();
    let mut bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0".to_vec();
    let body_bytes = leb128(body.len());
    let section = [vec![1], body_bytes, body].concat();
    bytes.push(10);
    bytes.extend(leb128(section.len()));
    bytes.extend(section);
    inspect(&bytes).expect("valid");
    Module::new(&bytes, &ModuleOptions::default()).expect("compiles");
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
