//! Which Wasm features a module uses, and whether the runtime has them.

use wasmparser::{
    BinaryReaderError, Parser, Payload, Validator, VisitOperator, VisitSimdOperator, WasmFeatures,
};

use crate::error::Error;
use crate::tunables::FEATURES;

/// Flags of the validator that name no proposal: every module has them.
const ALWAYS: WasmFeatures = WasmFeatures::MVP;

/// Validates `bytes` and returns the names of the Wasm features that they use, in the order in which the validator
/// lists them.
///
/// # Errors
/// [`Error::Unsupported`] when the module is valid with features that the runtime lacks, [`Error::Invalid`] otherwise.
pub fn validate(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let used = used_features(bytes)?;
    let unsupported = used.difference(FEATURES);
    if unsupported.is_empty() {
        Ok(names(used.difference(ALWAYS)))
    } else {
        Err(Error::Unsupported { features: names(unsupported) })
    }
}

/// The smallest feature set, as far as the validator tells, that makes `bytes` valid.
///
/// It starts from what the instructions need, found by one scan, and adds what the validator asks for: the parts that
/// are no instructions (types, memories, imports) are checked first, so that most attempts end early.
fn used_features(bytes: &[u8]) -> Result<WasmFeatures, Error> {
    let mut features = ALWAYS.union(instruction_features(bytes));
    loop {
        let Err(error) = check(bytes, features) else { return Ok(features) };
        match error.missing_wasm_feature() {
            Some(missing) if !features.contains(missing) => features = features.union(missing),
            _ => return without_needless(bytes, features),
        }
    }
}

/// For a module for which the validator did not name the feature it misses: takes away from a set that works.
fn without_needless(bytes: &[u8], needed: WasmFeatures) -> Result<WasmFeatures, Error> {
    let Err(error) = check(bytes, FEATURES) else { return Ok(shrink(bytes, FEATURES, needed)) };
    if check(bytes, WasmFeatures::all()).is_ok() {
        return Ok(shrink(bytes, WasmFeatures::all(), needed));
    }
    Err(Error::Invalid { offset: error.offset() as u64, message: error.message().to_owned() })
}

/// Removes from `works` every flag outside `keep` without which the module is still valid.
fn shrink(bytes: &[u8], works: WasmFeatures, keep: WasmFeatures) -> WasmFeatures {
    let mut features = works;
    for flag in works.difference(keep).iter() {
        if check(bytes, features.difference(flag)).is_ok() {
            features.remove(flag);
        }
    }
    features
}

fn check(bytes: &[u8], features: WasmFeatures) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(features).validate_all(bytes).map(drop)
}

fn names(features: WasmFeatures) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, flag) in features.iter_names() {
        let name = match flag {
            // Halves of proposals that the validator also lists on their own.
            WasmFeatures::BULK_MEMORY_OPT => "bulk-memory".to_owned(),
            WasmFeatures::CALL_INDIRECT_OVERLONG => "reference-types".to_owned(),
            _ => name.to_ascii_lowercase().replace('_', "-"),
        };
        names.push(name);
    }
    names
}

/// Features of the proposals that the module's instructions belong to. Stops at the first malformed part: what is
/// malformed is the validator's to report.
fn instruction_features(bytes: &[u8]) -> WasmFeatures {
    let mut used = Used(WasmFeatures::empty());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CodeSectionEntry(body)) => {
                let Ok(mut operators) = body.get_operators_reader() else { break };
                while !operators.eof() {
                    if operators.visit_operator(&mut used).is_err() {
                        break;
                    }
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    used.0
}

struct Used(WasmFeatures);

macro_rules! feature_of {
    (mvp) => {
        WasmFeatures::empty()
    };
    (exceptions) => {
        WasmFeatures::EXCEPTIONS
    };
    (tail_call) => {
        WasmFeatures::TAIL_CALL
    };
    (reference_types) => {
        WasmFeatures::REFERENCE_TYPES
    };
    (sign_extension) => {
        WasmFeatures::SIGN_EXTENSION
    };
    (saturating_float_to_int) => {
        WasmFeatures::SATURATING_FLOAT_TO_INT
    };
    (bulk_memory) => {
        WasmFeatures::BULK_MEMORY
    };
    (simd) => {
        WasmFeatures::SIMD
    };
    (relaxed_simd) => {
        WasmFeatures::RELAXED_SIMD
    };
    (gc) => {
        WasmFeatures::GC
    };
    (function_references) => {
        WasmFeatures::FUNCTION_REFERENCES
    };
    // Proposals that are not supported: the validator names them when it is asked for less.
    ($other:ident) => {
        WasmFeatures::empty()
    };
}

macro_rules! note_feature {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(fn $visit(&mut self $($(, _: $argty)*)?) {
            self.0 = self.0.union(feature_of!($proposal));
        })*
    };
}

impl<'a> VisitOperator<'a> for Used {
    type Output = ();

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = ()>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(note_feature);
}

impl VisitSimdOperator<'_> for Used {
    wasmparser::for_each_visit_simd_operator!(note_feature);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(text: &str) -> Vec<String> {
        validate(&wat::parse_str(text).expect("test module")).expect(text)
    }

    fn unsupported(text: &str) -> Vec<String> {
        match validate(&wat::parse_str(text).expect("test module")) {
            Err(Error::Unsupported { features }) => features,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn used_features_are_named() {
        for (text, expected) in [
            ("(module)", vec![]),
            ("(module (func (export \"f\") (param i32) (result i32) local.get 0))", vec![]),
            ("(module (global (export \"g\") (mut i32) (i32.const 0)))", vec!["mutable-global"]),
            ("(module (func (result i32 i32) i32.const 1 i32.const 2))", vec!["multi-value"]),
            ("(module (func (param i32) local.get 0 i32.extend8_s drop))", vec!["sign-extension"]),
            (
                "(module (func (param f32) local.get 0 i32.trunc_sat_f32_s drop))",
                vec!["saturating-float-to-int"],
            ),
            ("(module (func (param v128)))", vec!["simd"]),
            ("(module (memory 1) (data \"passive\"))", vec!["bulk-memory"]),
            ("(module (table 1 externref))", vec!["reference-types"]),
            ("(module (table 1 funcref) (table 1 funcref))", vec!["reference-types"]),
            ("(module (func $f return_call $f))", vec!["tail-call"]),
            ("(module (memory 1) (memory 1))", vec!["multi-memory"]),
            ("(module (memory i64 1))", vec!["memory64"]),
            ("(module (tag))", vec!["exceptions"]),
            ("(module (type (struct)))", vec!["gc"]),
            ("(module (global i32 (i32.add (i32.const 1) (i32.const 2))))", vec!["extended-const"]),
        ] {
            assert_eq!(features(text), expected, "{text}");
        }
    }

    #[test]
    fn missing_features_are_named() {
        for (text, expected) in [
            ("(module (memory 1 1 shared))", "threads"),
            ("(module (memory 1) (func i32.const 0 i32.atomic.load drop))", "threads"),
            ("(module (memory 1 (pagesize 1)))", "custom-page-sizes"),
            ("(module (type $f (func)) (type (cont $f)))", "stack-switching"),
            (
                "(module (func (param i64) local.get 0 local.get 0 i64.mul_wide_s drop drop))",
                "wide-arithmetic",
            ),
            ("(module (func try catch_all end))", "legacy-exceptions"),
            ("(module (memory 1) (func i32.const 0 i32.const 0 memory.discard))", "memory-control"),
        ] {
            assert!(unsupported(text).iter().any(|name| name == expected), "{text}: {:?}", unsupported(text));
        }
    }
}
