//! What a snapshot of a guest belongs to: the facts that a file of it carries and a load compares.

use hlfuzz_vmm::image::Spec;
use hlfuzz_vmm::savefile::{Fact, FactValue, Identity, Reason};
use hlfuzz_wasm::{ExternType, Module, WASMTIME_VERSION, enabled_cpu_features};
use sha2::{Digest, Sha256};

fn text(text: impl Into<String>) -> FactValue {
    FactValue::Text(text.into())
}

fn facts<const N: usize>(facts: [(&'static str, FactValue, Reason); N]) -> Vec<Fact> {
    facts.map(|(name, value, reason)| Fact { name, value, reason }).into()
}

fn cpu() -> Vec<String> {
    enabled_cpu_features().into_iter().map(|name| name.trim_start_matches("has_").to_owned()).collect()
}

/// `globals`: values of the imported globals; missing ones are zero.
pub(crate) fn of_wasm(module: &Module, spec: &Spec<'_>, mut globals: Vec<[u64; 2]>) -> Identity {
    let info = module.info();
    let imported = info.imports.iter().filter(|import| matches!(import.ty, ExternType::Global(_))).count();
    if globals.len() <= imported {
        globals.resize(imported, [0; 2]);
    }
    Identity {
        facts: facts([
            ("hlfuzz", text(env!("CARGO_PKG_VERSION")), Reason::Version),
            ("wasmtime", text(WASMTIME_VERSION), Reason::Version),
            ("module (SHA-256)", text(&info.sha256), Reason::OtherGuest),
            ("memory limit in bytes", FactValue::Number(spec.memory_limit), Reason::OtherGuest),
            ("table limit in elements", FactValue::Number(spec.table_limit), Reason::OtherGuest),
            ("stack limit in bytes", FactValue::Number(spec.wasm_stack), Reason::OtherGuest),
            ("growing traps", FactValue::Number(spec.grow_traps.into()), Reason::OtherGuest),
        ]),
        cpu: cpu(),
        globals,
        from_file: false,
    }
}

/// A native program was compiled elsewhere: it may use whatever this machine shows it, and has no imported globals.
pub(crate) fn of_native(elf: &[u8], heap: u64, stack: u64) -> Identity {
    Identity {
        facts: facts([
            ("hlfuzz", text(env!("CARGO_PKG_VERSION")), Reason::Version),
            ("program (SHA-256)", text(format!("{:x}", Sha256::digest(elf))), Reason::OtherGuest),
            ("memory limit in bytes", FactValue::Number(heap), Reason::OtherGuest),
            ("stack limit in bytes", FactValue::Number(stack), Reason::OtherGuest),
        ]),
        cpu: cpu(),
        globals: Vec::new(),
        from_file: false,
    }
}
