//! Buffers and programs made by hand: what the contract says, without a schema compiler.

use hlfuzz_wire::{Fault, Limits, Program, Rule};

const NONE: u32 = u32::MAX;

/// A program, section by section.
#[derive(Default)]
struct Maker {
    names: Vec<&'static str>,
    enums: Vec<Vec<u8>>,
    structs: Vec<Vec<u8>>,
    unions: Vec<Vec<u8>>,
    tables: Vec<Vec<u8>>,
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Maker {
    fn name(&mut self, name: &'static str) -> u32 {
        self.names.push(name);
        self.names.len() as u32 - 1
    }

    fn members(&mut self, width: u8, flags: u8, values: &[u64]) {
        let mut bytes = vec![width, 0, flags, 0];
        bytes.extend((values.len() as u32).to_le_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self.enums.push(bytes);
    }

    /// Parts: offset, name, kind, index, count.
    fn structure(&mut self, size: u32, align: u32, parts: &[[u32; 5]]) {
        let name = self.name("S");
        let mut bytes = words(&[name, size, align, parts.len() as u32]);
        bytes.extend(parts.iter().flat_map(|part| words(part)));
        self.structs.push(bytes);
    }

    fn union(&mut self, variants: &[[u32; 3]]) {
        let name = self.name("U");
        let mut bytes = words(&[name, variants.len() as u32]);
        bytes.extend(variants.iter().flat_map(|variant| words(variant)));
        self.unions.push(bytes);
    }

    /// Fields: slot, operation, required, size, alignment, enum, target; named "f" and their slot.
    fn table(&mut self, fields: &[[u32; 7]]) {
        let name = self.name("T");
        let mut bytes = words(&[name, 0, 0, fields.len() as u32]);
        for &[slot, op, required, size, align, member, target] in fields {
            let name = self.name(["f0", "f1", "f2", "f3"][slot as usize % 4]);
            bytes.extend((slot as u16).to_le_bytes());
            bytes.extend([op as u8, required as u8]);
            bytes.extend(words(&[name, size, align, member, target]));
        }
        self.tables.push(bytes);
    }

    fn bytes(&self) -> Vec<u8> {
        let sections = [&self.enums, &self.structs, &self.unions, &self.tables];
        let mut bytes = b"HLV1".to_vec();
        bytes.extend((self.names.len() as u32).to_le_bytes());
        bytes.extend(sections.iter().flat_map(|section| (section.len() as u32).to_le_bytes()));
        for name in &self.names {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend(name.bytes());
        }
        bytes.extend(sections.into_iter().flatten().flatten());
        bytes
    }

    fn parse(&self) -> Program {
        Program::parse(&self.bytes()).unwrap()
    }

    fn refused(&self) -> &'static str {
        Program::parse(&self.bytes()).unwrap_err().message
    }
}

fn verify(program: &Program, bytes: &[u8]) -> Result<(), Fault> {
    program.verify(0, bytes, &Limits::default())
}

fn fault(rule: Rule, offset: usize, path: &str) -> Result<(), Fault> {
    Err(Fault { rule, offset, path: path.into() })
}

/// A buffer whose root table has one field, at slot `slot`, that is the offset to what `rest` holds.
///
/// 0 root offset; 4 vtable of 4 slots; 16 table: offset to its vtable, the field; 24 rest.
fn buffer(slot: usize, rest: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[16]);
    let mut vtable = [12u16, 8, 0, 0, 0, 0];
    vtable[2 + slot] = 4;
    bytes.extend(vtable.iter().flat_map(|entry| entry.to_le_bytes()));
    bytes.extend(words(&[12, 4]));
    bytes.extend(rest);
    bytes
}

#[test]
fn an_empty_table_is_valid_and_every_shorter_buffer_is_not() {
    let mut maker = Maker::default();
    maker.table(&[]);
    let program = maker.parse();
    let bytes = [8, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0];
    assert_eq!(verify(&program, &bytes), Ok(()));
    for end in 0..bytes.len() {
        assert_eq!(verify(&program, &bytes[..end]), fault(Rule::TooShort, 0, ""));
    }
    assert_eq!(program.table_index("T"), Some(0));
    assert_eq!(program.table_index("U"), None);
    assert_eq!(program.verify(1, &bytes, &Limits::default()), fault(Rule::TooShort, 0, ""));
    let limits = Limits { size: 11, ..Limits::default() };
    assert_eq!(program.verify(0, &bytes, &limits), fault(Rule::TooLong, 0, ""));
}

#[test]
fn strings_end_in_zero_and_are_utf_8() {
    let mut maker = Maker::default();
    maker.table(&[[0, 3, 1, 1, 1, NONE, NONE]]);
    let program = maker.parse();
    let string = |rest: &[u8]| verify(&program, &buffer(0, rest));
    assert_eq!(string(b"\x03\0\0\0abc\0"), Ok(()));
    assert_eq!(string(b"\0\0\0\0\0"), Ok(()));
    assert_eq!(string(b"\x03\0\0\0abcd"), fault(Rule::StringTerminator, 31, "f0"));
    assert_eq!(string(b"\x03\0\0\0abc"), fault(Rule::StringTerminator, 31, "f0"));
    assert_eq!(string(b"\x03\0\0\0a\xED\xA0\0"), fault(Rule::Utf8, 29, "f0"));
    assert_eq!(string(b"\x05\0\0\0abc\0"), fault(Rule::Bounds, 24, "f0"));
    assert_eq!(string(b"\xFF\xFF\xFF\xFFabc\0"), fault(Rule::Bounds, 24, "f0"));
    assert_eq!(verify(&program, &buffer(1, b"\0\0\0\0\0")), fault(Rule::Required, 16, "f0"));
}

#[test]
fn members_of_enums_are_checked_alone_in_vectors_and_in_structs() {
    let mut maker = Maker::default();
    maker.members(2, 0, &[1, 2, 700]);
    let part = maker.name("part");
    maker.structure(8, 4, &[[4, part, 4, 0, 2]]);
    maker.table(&[[0, 6, 0, 2, 2, 0, NONE], [1, 7, 0, 8, 4, NONE, 0]]);
    let program = maker.parse();
    let numbers = |numbers: &[u16]| {
        let mut rest = words(&[numbers.len() as u32]);
        rest.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        rest
    };
    assert_eq!(verify(&program, &buffer(0, &numbers(&[1, 2, 700]))), Ok(()));
    assert_eq!(verify(&program, &buffer(0, &numbers(&[1, 3]))), fault(Rule::Enum, 30, "f0[1]"));
    let mut structs = words(&[2]);
    structs.extend([9, 9, 9, 9, 1, 0, 2, 0, 9, 9, 9, 9, 1, 0, 0, 0]);
    assert_eq!(verify(&program, &buffer(1, &structs)), fault(Rule::Enum, 42, "f1[1].part[1]"));
}

#[test]
fn tags_and_values_of_unions_go_together() {
    let mut maker = Maker::default();
    maker.structure(4, 4, &[]);
    maker.union(&[[1, 3, NONE], [9, 2, 0]]);
    maker.table(&[[1, 5, 0, 4, 4, NONE, 0]]);
    let program = maker.parse();
    // 0 root; 4 vtable; 12 table: 12 soffset, 16 tag, 20 value; 24 what the value leads to
    let union = |tag: u8, with_value: bool, rest: &[u8]| {
        let mut bytes = words(&[12]);
        let vtable = [8u16, 12, 4, if with_value { 8 } else { 0 }];
        bytes.extend(vtable.iter().flat_map(|entry| entry.to_le_bytes()));
        bytes.extend(words(&[8, u32::from(tag), 4]));
        bytes.extend(rest);
        verify(&program, &bytes)
    };
    assert_eq!(union(1, true, b"\x01\0\0\0a\0"), Ok(()));
    assert_eq!(union(9, true, b"\x01\0\0\0"), Ok(()));
    assert_eq!(union(9, true, b"\x01\0\0"), fault(Rule::Bounds, 24, "f1"));
    assert_eq!(union(0, false, b""), Ok(()));
    assert_eq!(union(0, true, b"\0\0\0\0\0"), fault(Rule::Union, 20, "f1"));
    assert_eq!(union(1, false, b"\0\0\0\0\0"), fault(Rule::Union, 16, "f1"));
    assert_eq!(union(2, true, b"\0\0\0\0\0"), fault(Rule::Union, 16, "f1"));
}

#[test]
fn tables_nest_as_deep_as_the_limit_and_no_deeper() {
    let mut maker = Maker::default();
    maker.table(&[[0, 4, 0, 4, 4, NONE, 0], [1, 9, 0, 4, 4, NONE, 0]]);
    let program = maker.parse();
    // 0 root offset; 4 vtable; 16 first table, 8 bytes each: they all use its vtable.
    let chain = |tables: u32| {
        let mut bytes = buffer(0, &[]);
        for n in 1..tables {
            bytes.extend(words(&[12 + 8 * n, 4]));
        }
        // The last one's vtable, behind it, has no fields.
        let last = bytes.len() - 8;
        bytes[last..].copy_from_slice(&words(&[8u32.wrapping_neg(), 0]));
        bytes.extend([4, 0, 4, 0]);
        bytes
    };
    assert_eq!(verify(&program, &chain(64)), Ok(()));
    assert_eq!(verify(&program, &chain(65)), fault(Rule::Depth, 16 + 64 * 8, &["f0"; 64].join(".")));
    let limits = Limits { depth: 3, ..Limits::default() };
    assert_eq!(program.verify(0, &chain(64), &limits), fault(Rule::Depth, 16 + 3 * 8, "f0.f0.f0"));
    let limits = Limits { tables: 5, ..Limits::default() };
    assert_eq!(program.verify(0, &chain(64), &limits), fault(Rule::Tables, 16 + 5 * 8, "f0.f0.f0.f0.f0"));
}

/// Each byte of a valid buffer, then of a valid program, is set to each value.
#[test]
fn changed_bytes_never_panic() {
    let mut maker = Maker::default();
    maker.members(1, 1, &[7]);
    let part = maker.name("part");
    maker.structure(4, 2, &[[2, part, 4, 0, 0]]);
    maker.union(&[[1, 1, 0], [2, 2, 0], [3, 3, NONE]]);
    maker.table(&[[1, 10, 0, 4, 4, NONE, 0], [2, 9, 0, 4, 4, NONE, 0], [3, 11, 0, 1, 1, NONE, 0]]);
    let program = maker.parse();
    // 0 root; 4 vtable with slot 2 present; 16 table; 24 an empty vector of tables
    let inner = [16, 0, 0, 0, 10, 0, 8, 0, 0, 0, 0, 0, 4, 0, 0, 0, 12, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    let mut rest = words(&[inner.len() as u32]);
    rest.extend(inner);
    let bytes = buffer(3, &rest);
    verify(&program, &bytes).unwrap();
    let source = maker.bytes();
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = verify(&program, &changed);
        }
    }
    for at in 0..source.len() {
        for value in 0..=255 {
            let mut changed = source.clone();
            changed[at] = value;
            if let Ok(program) = Program::parse(&changed) {
                let _ = verify(&program, &bytes);
            }
        }
        assert!(Program::parse(&source[..at]).is_err());
    }
}

#[test]
fn programs_that_lie_are_refused() {
    let refused = |make: fn(&mut Maker)| {
        let mut maker = Maker::default();
        make(&mut maker);
        maker.refused()
    };
    assert_eq!(refused(|m| m.table(&[[0, 4, 0, 4, 4, NONE, 1]])), "an index is out of range");
    assert_eq!(refused(|m| m.table(&[[0, 5, 0, 4, 4, NONE, 0]])), "an index is out of range");
    assert_eq!(refused(|m| m.table(&[[0, 12, 0, 4, 4, NONE, NONE]])), "a field's operation is unknown");
    assert_eq!(refused(|m| m.table(&[[0, 1, 0, 3, 1, NONE, NONE]])), "a number has the wrong size");
    assert_eq!(refused(|m| m.table(&[[0, 3, 0, 4, 4, NONE, NONE]])), "a field has the wrong size");
    assert_eq!(
        refused(|m| m.table(&[[1, 3, 0, 1, 1, NONE, NONE], [1, 3, 0, 1, 1, NONE, NONE]])),
        "slots do not ascend"
    );
    assert_eq!(
        refused(|m| {
            m.union(&[]);
            m.table(&[[0, 5, 0, 4, 4, NONE, 0]]);
        }),
        "slots do not ascend"
    );
    assert_eq!(refused(|m| m.structure(0, 1, &[])), "a size is not a multiple of its alignment");
    assert_eq!(refused(|m| m.structure(6, 3, &[])), "an alignment is not a power of two");
    assert_eq!(
        refused(|m| m.structure(4, 4, &[[0, 0, 2, 0, 0]])),
        "structs are nested without end or more than 64 deep"
    );
    assert_eq!(
        refused(|m| {
            m.structure(4, 4, &[[0, 0, 2, 1, 0]]);
            m.structure(4, 4, &[[0, 0, 2, 0, 0]]);
        }),
        "structs are nested without end or more than 64 deep"
    );
    assert_eq!(
        refused(|m| {
            m.members(4, 0, &[1]);
            m.structure(4, 4, &[[0, 0, 4, 0, 2]]);
        }),
        "a part of a struct lies outside it"
    );
    assert_eq!(
        refused(|m| {
            m.members(1, 0, &[1]);
            m.structure(4, 4, &[[0, 0, 4, 0, 2], [1, 0, 4, 0, 0]]);
        }),
        "parts of a struct overlap or do not ascend"
    );
    assert_eq!(refused(|m| m.members(1, 0, &[300])), "an enum's value is wider than its type");
    assert_eq!(refused(|m| m.members(1, 0, &[2, 1])), "an enum's values do not ascend");
    assert_eq!(refused(|m| m.members(3, 0, &[1])), "an enum's width is not 1, 2, 4 or 8");
    assert_eq!(refused(|m| m.members(1, 1, &[1, 2])), "an enum of flags has other than one number");
    assert_eq!(refused(|m| m.union(&[[0, 3, NONE]])), "a union's tag is not 1…255");
    assert_eq!(refused(|m| m.union(&[[2, 3, NONE], [2, 3, NONE]])), "a union's tags do not ascend");
}

#[test]
fn a_program_that_counts_more_than_it_holds_takes_no_memory() {
    let mut bytes = b"HLV1".to_vec();
    bytes.extend(words(&[u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX]));
    assert_eq!(Program::parse(&bytes).unwrap_err().message, "it counts more than it holds");
}
