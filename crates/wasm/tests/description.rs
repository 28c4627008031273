//! The JSON description has the documented shape, whatever the module names its things.

use hlfuzz_wasm::{Module, ModuleOptions, inspect};
use serde_json::{Value, json};

fn described(text: &str) -> Value {
    let bytes = wat::parse_str(text).expect("test module");
    let info = inspect(&bytes).expect("valid module");
    assert!(!info.json().contains('\0'), "the C API hands the text out as a C string");
    serde_json::from_str(&info.json()).expect("JSON")
}

#[test]
fn the_shape_is_the_documented_one() {
    let module = r#"(module
        (import "env" "log" (func (param i32 i64) (result f32)))
        (import "env" "mem" (memory 1 2))
        (import "env" "tab" (table 3 externref))
        (import "env" "glob" (global (mut f64)))
        (func (export "run") (param v128 funcref) (result i32 i64) i32.const 1 i64.const 2)
        (memory (export "big") i64 5)
        (tag (export "oops") (param i32))
        (start 2) (func)
        (data (i32.const 0) "x") (elem func 1))"#;
    let mut json = described(module);
    let digest = json["sha256"].take();
    assert_eq!(digest.as_str().map(str::len), Some(64));
    assert_eq!(json["bytes"].as_u64(), Some(wat::parse_str(module).expect("test module").len() as u64));
    json["bytes"] = Value::Null;
    assert_eq!(
        json,
        json!({
            "schema": "hlfuzz.module/1",
            "bytes": null,
            "sha256": null,
            "imports": [
                {"module": "env", "name": "log", "kind": "func", "type": {"params": ["i32", "i64"], "results": ["f32"]}},
                {"module": "env", "name": "mem", "kind": "memory",
                 "type": {"min": 1, "max": 2, "memory64": false, "shared": false}},
                {"module": "env", "name": "tab", "kind": "table",
                 "type": {"element": "externref", "min": 3, "max": null, "table64": false}},
                {"module": "env", "name": "glob", "kind": "global", "type": {"value": "f64", "mutable": true}},
            ],
            "exports": [
                {"name": "run", "kind": "func", "type": {"params": ["v128", "funcref"], "results": ["i32", "i64"]}},
                {"name": "big", "kind": "memory", "type": {"min": 5, "max": null, "memory64": true, "shared": false}},
                {"name": "oops", "kind": "tag", "type": {"params": ["i32"], "results": []}},
            ],
            "memories": [
                {"index": 0, "min_pages": 1, "max_pages": 2, "memory64": false, "shared": false, "imported": true},
                {"index": 1, "min_pages": 5, "max_pages": null, "memory64": true, "shared": false, "imported": false},
            ],
            "tables": [
                {"index": 0, "element": "externref", "min": 3, "max": null, "table64": false, "imported": true},
            ],
            "globals": 1,
            "functions": 3,
            "start": true,
            "features": ["mutable-global", "reference-types", "multi-value", "bulk-memory", "simd", "multi-memory",
                         "exceptions", "memory64"],
            "custom_sections": [],
            "data_segments": 1,
            "elem_segments": 1,
            "code_bytes": 10,
            "producers": {},
            "memory_bytes_min": 6 * 65536,
        })
    );
}

#[test]
fn odd_names_survive() {
    let names = ["a\0b", "\u{1}\u{7f}\"\\/", "\u{202e}\u{feff}\u{1f4a9}", "", "\u{fffe}\u{10ffff}"];
    let mut text = String::from("(module (func $f)");
    for name in names {
        let escaped: String = name.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        text.push_str(&format!("(export \"{escaped}\" (func $f))"));
    }
    text.push(')');
    let json = described(&text);
    let found: Vec<&str> =
        json["exports"].as_array().expect("list").iter().filter_map(|e| e["name"].as_str()).collect();
    assert_eq!(found, names);
}

#[test]
fn reference_types_are_spelled_shortly() {
    let json = described(
        "(module (type $s (struct)) (import \"m\" \"f\" (func (param anyref i31ref (ref null 0) (ref extern) (ref 0)))))",
    );
    assert_eq!(
        json["imports"][0]["type"]["params"],
        json!(["anyref", "i31ref", "(ref null 0)", "(ref extern)", "(ref 0)"])
    );
}

#[test]
fn custom_sections_and_producers_are_listed() {
    let json = described(
        r#"(module (@custom "hlfuzz.v1" "12345") (@producers (processed-by "rustc" "1.95") (language "Rust" "2024")))"#,
    );
    assert_eq!(json["custom_sections"][0], json!({"name": "hlfuzz.v1", "bytes": 5}));
    assert_eq!(json["producers"], json!({"language": {"Rust": "2024"}, "processed-by": {"rustc": "1.95"}}));
}

#[test]
fn a_malformed_producers_section_is_no_error() {
    let json = described(r#"(module (@custom "producers" "\ff\ff\ff\ff\01\02"))"#);
    assert_eq!(json["producers"], json!({}));
}

#[test]
fn a_loaded_module_adds_its_artifact() {
    let bytes = wat::parse_str("(module (func (export \"f\")))").expect("test module");
    let module = Module::new(&bytes, &ModuleOptions::default()).expect("compiles");
    let json: Value = serde_json::from_str(&module.json()).expect("JSON");
    assert_eq!(json["artifact_bytes"].as_u64(), Some(module.artifact().len() as u64));
    assert_eq!(json["cache"], "off");
    assert_eq!(json["cache_reason"], "no cache folder was given");
    assert_eq!(json["exports"][0]["name"], "f");
}
