//! Every supported Wasm feature compiles, and none of it needs AVX-512.

use hlfuzz_wasm::{Module, ModuleOptions};

fn compile(text: &str) -> Vec<u8> {
    let bytes = wat::parse_str(text).expect("test module");
    let module = Module::new(&bytes, &ModuleOptions::default());
    module.unwrap_or_else(|error| panic!("{text}: {error}")).artifact().to_vec()
}

#[test]
fn supported_features_compile() {
    for text in [
        "(module (func (export \"f\") (param i32) (result i32) local.get 0 i32.extend8_s))",
        "(module (func (export \"f\") (param f64) (result i64) local.get 0 i64.trunc_sat_f64_u))",
        "(module (func (export \"f\") (result i32 f64) i32.const 1 f64.const 2))",
        "(module (memory 1) (data $d \"x\") (func (export \"f\")
            i32.const 0 i32.const 0 i32.const 1 memory.init $d data.drop $d
            i32.const 0 i32.const 0 i32.const 1 memory.copy i32.const 0 i32.const 0 i32.const 1 memory.fill))",
        "(module (table 1 externref) (func (export \"f\") (param externref) i32.const 0 local.get 0 table.set 0))",
        "(module (func (export \"f\") (param v128) (result v128) local.get 0 local.get 0 i16x8.mul))",
        "(module (func (export \"f\") (param v128 v128 v128) (result v128)
            local.get 0 local.get 1 local.get 2 f32x4.relaxed_madd))",
        "(module (func $f (export \"f\") (param i32) (result i32) local.get 0 return_call $f))",
        "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
        "(module (memory 1) (memory $b 1) (func (export \"f\") (result i32) i32.const 0 i32.load $b))",
        "(module (memory i64 1) (func (export \"f\") (param i64) (result i32) local.get 0 i32.load))",
        "(module (tag $e (param i32)) (func (export \"f\") (result i32)
            (block $h (result i32) (try_table (result i32) (catch $e $h) (throw $e (i32.const 7))))))",
        "(module (type $s (struct (field (mut i32)))) (func (export \"f\") (result i32)
            (struct.get $s 0 (struct.new $s (i32.const 3)))))",
        "(module (type $a (array i8)) (func (export \"f\") (param anyref) (result i32)
            (array.len (ref.cast (ref $a) (local.get 0)))))",
        "(module (type $t (func (result i32))) (func (export \"f\") (param (ref $t)) (result i32)
            local.get 0 call_ref $t))",
    ] {
        assert!(compile(text).starts_with(b"\x7fELF"));
    }
}

#[test]
fn a_module_compiles_to_the_same_artifact_every_time() {
    let text = "(module (memory 1) (func (export \"f\") (param i32) (result i32) local.get 0 i32.load))";
    assert_eq!(compile(text), compile(text));
}
