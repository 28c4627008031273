//! Core files of Wasm guests in the coredump format of WebAssembly's tool conventions (Coredump.md): a module with the
//! frames in custom sections, and with the memories and globals as they were.
//!
//! Locals and operands are not recorded: compiled code keeps neither.

use crate::symbols::Symbols;
use std::ops::Range;
use wasm_encoder::{
    ConstExpr, CoreDumpInstancesSection, CoreDumpModulesSection, CoreDumpSection, CoreDumpStackSection,
    CoreDumpValue, DataSection, GlobalSection, GlobalType, IndirectNameMap, MemorySection, MemoryType,
    Module, NameMap, NameSection, ValType,
};

/// Runs of zeros are looked for in steps of so many bytes.
const BLOCK: u64 = 4096;
const WASM_PAGE: u64 = 64 << 10;

/// The value of a global.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
}

/// What is in a core file.
pub struct Core<'a> {
    /// Function index and offset in the module, innermost first.
    pub frames: &'a [(u32, u64)],
    /// Where each memory is, in whatever `read` reads.
    pub memories: &'a [Range<u64>],
    pub globals: &'a [Value],
    /// What debuggers call the module.
    pub name: &'a str,
}

/// Makes the file. `read(address, to)` fills `to` with guest memory.
pub fn encode(core: &Core<'_>, symbols: &Symbols, read: impl Fn(u64, &mut [u8])) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&CoreDumpSection::new(core.name));
    let mut modules = CoreDumpModulesSection::new();
    modules.module(core.name);
    module.section(&modules);
    let mut instances = CoreDumpInstancesSection::new();
    instances.instance(0, 0..core.memories.len() as u32, 0..core.globals.len() as u32);
    module.section(&instances);
    let (stack, names) = stack(core, symbols);
    module.section(&stack);
    if !core.memories.is_empty() {
        let mut memories = MemorySection::new();
        for memory in core.memories {
            let minimum = (memory.end - memory.start).div_ceil(WASM_PAGE);
            memories.memory(MemoryType {
                minimum,
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
        }
        module.section(&memories);
    }
    if !core.globals.is_empty() {
        module.section(&globals(core.globals));
    }
    let mut data = DataSection::new();
    for (index, memory) in core.memories.iter().enumerate() {
        fill(&mut data, index as u32, memory, &read);
    }
    if !data.is_empty() {
        module.section(&data);
    }
    module.section(&names);
    module.finish()
}

/// The frames; and the names of their functions, for tools that have only this file.
fn stack(core: &Core<'_>, symbols: &Symbols) -> (CoreDumpStackSection, NameSection) {
    let mut stack = CoreDumpStackSection::new("main");
    let mut known: Vec<(u32, String)> = Vec::new();
    for (function, offset) in core.frames {
        let Some(site) = symbols.wasm_site(*function, *offset) else { continue };
        let from_start = offset.checked_sub(site.start).filter(|_| site.start != 0);
        let from_start = from_start.and_then(|offset| u32::try_from(offset).ok()).unwrap_or(0);
        stack.frame(
            0,
            *function,
            from_start,
            std::iter::empty::<CoreDumpValue>(),
            std::iter::empty::<CoreDumpValue>(),
        );
        if !site.name.is_empty() {
            known.push((*function, site.name));
        }
    }
    known.sort();
    known.dedup_by_key(|(function, _)| *function);
    let mut functions = NameMap::new();
    for (function, name) in &known {
        functions.append(*function, name);
    }
    let mut names = NameSection::new();
    names.module(core.name);
    names.functions(&functions);
    names.locals(&IndirectNameMap::new());
    (stack, names)
}

fn globals(values: &[Value]) -> GlobalSection {
    let mut section = GlobalSection::new();
    for value in values {
        let (val_type, init) = match *value {
            Value::I32(value) => (ValType::I32, ConstExpr::i32_const(value)),
            Value::I64(value) => (ValType::I64, ConstExpr::i64_const(value)),
            Value::F32(bits) => (ValType::F32, ConstExpr::f32_const(f32::from_bits(bits).into())),
            Value::F64(bits) => (ValType::F64, ConstExpr::f64_const(f64::from_bits(bits).into())),
            Value::V128(bits) => (ValType::V128, ConstExpr::v128_const(bits as i128)),
        };
        section.global(GlobalType { val_type, mutable: false, shared: false }, &init);
    }
    section
}

/// One segment for each run of blocks that are not all zeros.
fn fill(data: &mut DataSection, index: u32, memory: &Range<u64>, read: impl Fn(u64, &mut [u8])) {
    let mut run: Vec<u8> = Vec::new();
    let mut start = 0;
    let mut flush = |start: u64, run: &mut Vec<u8>| {
        if !run.is_empty() {
            data.active(index, &ConstExpr::i32_const(start as i32), run.drain(..));
        }
    };
    let mut block = [0; BLOCK as usize];
    for address in memory.clone().step_by(BLOCK as usize) {
        let block = &mut block[..(memory.end - address).min(BLOCK) as usize];
        read(address, block);
        if block.iter().all(|byte| *byte == 0) {
            flush(start, &mut run);
        } else {
            if run.is_empty() {
                start = address - memory.start;
            }
            run.extend_from_slice(block);
        }
    }
    flush(start, &mut run);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{CoreDumpStackSection, DataKind, KnownCustom, Parser, Payload};

    #[test]
    fn frames_memories_and_globals_are_read_back() {
        let wasm = wat::parse_str(
            r#"(module (memory 1) (func $inner (param i32) i32.const 0 drop unreachable) (func $outer i32.const 1 call $inner))"#,
        )
        .unwrap();
        let symbols = Symbols::new(wasm.clone());
        let body = |n: usize| {
            let bodies = Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload {
                Ok(Payload::CodeSectionEntry(body)) => Some(body.range().start as u64),
                _ => None,
            });
            bodies.collect::<Vec<_>>()[n]
        };
        let mut ram = vec![0u8; 3 << 16];
        ram[(1 << 16) + 5000] = 9;
        ram[(2 << 16) - 1] = 8;
        let core = Core {
            frames: &[(0, body(0) + 3), (1, body(1) + 2), (7, 12)],
            memories: std::slice::from_ref(&(1 << 16..2 << 16)),
            globals: &[Value::I32(-1), Value::F64(1)],
            name: "guest",
        };
        let file = encode(&core, &symbols, |at, to| to.copy_from_slice(&ram[at as usize..][..to.len()]));
        let (mut frames, mut memory, mut globals) = (Vec::new(), vec![0u8; 1 << 16], 0);
        for payload in Parser::new(0).parse_all(&file) {
            match payload.unwrap() {
                Payload::CustomSection(section) => {
                    if let KnownCustom::CoreDumpStack(CoreDumpStackSection { frames: found, .. }) =
                        section.as_known()
                    {
                        frames = found.iter().map(|frame| (frame.funcidx, frame.codeoffset)).collect();
                    }
                }
                Payload::MemorySection(section) => {
                    assert_eq!(section.into_iter().next().unwrap().unwrap().initial, 1)
                }
                Payload::GlobalSection(section) => globals = section.count(),
                Payload::DataSection(section) => {
                    for segment in section {
                        let segment = segment.unwrap();
                        let DataKind::Active { offset_expr, .. } = segment.kind else { panic!("passive") };
                        let wasmparser::Operator::I32Const { value } =
                            offset_expr.get_operators_reader().read().unwrap()
                        else {
                            panic!("not a constant")
                        };
                        memory[value as usize..][..segment.data.len()].copy_from_slice(segment.data);
                    }
                }
                _ => {}
            }
        }
        assert_eq!(frames, [(0, 3), (1, 2)]); // function 7 does not exist
        assert_eq!(memory, ram[1 << 16..2 << 16]);
        assert_eq!(globals, 2);
        assert!(file.len() < 9000, "zeros are left out: {}", file.len());
    }
}
