//! From bytes to a program: every promise that `Program` makes is checked here, for programs come with snapshots and
//! are as untrusted as these.

use crate::enums::{Enum, mask};
use crate::program::{Check, Content, Field, Part, Program, ProgramError, Struct, Table, Union, Variant};
use crate::reader::{Parsed, Reader};
use alloc::vec;
use alloc::vec::Vec;

const MAGIC: &[u8] = b"HLV1";
const NONE: u32 = u32::MAX;
/// A vtable's size in bytes is a 16-bit number.
const MAX_SLOT: u16 = (u16::MAX - 4) / 2 - 1;
/// Structs inside structs.
const MAX_STRUCT_DEPTH: u32 = 64;

const KIND_TABLE: u32 = 1;
const KIND_STRUCT: u32 = 2;
const KIND_STRING: u32 = 3;
const KIND_ENUM: u32 = 4;

/// How many of each there are, known before the first is read.
#[derive(Clone, Copy)]
struct Counts {
    strings: u32,
    enums: u32,
    structs: u32,
    unions: u32,
    tables: u32,
}

impl Program {
    /// Reads and checks a program.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProgramError> {
        let mut r = Reader::new(bytes);
        if r.take(MAGIC.len()) != Ok(MAGIC) {
            return r.error("it does not begin with HLV1");
        }
        let counts = Counts {
            strings: r.u32()?,
            enums: r.u32()?,
            structs: r.u32()?,
            unions: r.u32()?,
            tables: r.u32()?,
        };
        let names = r.many(counts.strings, 4, |r| {
            r.begin();
            let len = r.u32()?;
            match core::str::from_utf8(r.take(len as usize)?) {
                Ok(text) => Ok(text.into()),
                Err(_) => r.error("a name is not UTF-8"),
            }
        })?;
        let enums = r.many(counts.enums, 8, read_enum)?;
        let mut structs = r.many(counts.structs, 16, |r| read_struct(r, counts))?;
        strides(&r, &mut structs, &enums)?;
        bound_nesting(&r, &structs)?;
        let unions = r.many(counts.unions, 8, |r| read_union(r, counts))?;
        let tables = r.many(counts.tables, 16, |r| read_table(r, counts, &enums, &structs))?;
        r.finish()?;
        Ok(Self { names, enums, structs, unions, tables })
    }
}

/// An index below `count`.
fn index(r: &Reader<'_>, index: u32, count: u32) -> Parsed<u32> {
    r.require(index < count, "an index is out of range")?;
    Ok(index)
}

fn read_enum(r: &mut Reader<'_>) -> Parsed<Enum> {
    r.begin();
    let width = u32::from(r.u8()?);
    r.require(matches!(width, 1 | 2 | 4 | 8), "an enum's width is not 1, 2, 4 or 8")?;
    let (signed, flags) = (r.flag()?, r.flag()?);
    r.zeros(1)?;
    let count = r.u32()?;
    let values = r.many(count, 8, Reader::u64)?;
    r.require(values.is_sorted_by(|a, b| a < b), "an enum's values do not ascend")?;
    let sign = 1u64 << (8 * width - 1);
    let fits = |v: &u64| {
        let low = v & mask(width);
        *v == if signed && low & sign != 0 { low | !mask(width) } else { low }
    };
    r.require(values.iter().all(fits), "an enum's value is wider than its type")?;
    if !flags {
        return Ok(Enum::members(width, signed, &values));
    }
    r.require(values.len() == 1, "an enum of flags has other than one number")?;
    Ok(Enum::flags(width, values[0]))
}

fn size_and_alignment(r: &Reader<'_>, size: u32, align: u32) -> Parsed<()> {
    r.require(align.is_power_of_two(), "an alignment is not a power of two")?;
    r.require(size != 0 && size.is_multiple_of(align), "a size is not a multiple of its alignment")
}

fn read_struct(r: &mut Reader<'_>, counts: Counts) -> Parsed<Struct> {
    r.begin();
    let name = r.u32()?;
    index(r, name, counts.strings)?;
    let (size, align, checks) = (r.u32()?, r.u32()?, r.u32()?);
    size_and_alignment(r, size, align)?;
    let checks = r.many(checks, 20, |r| {
        let offset = r.u32()?;
        let (name, kind, target, count) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
        index(r, name, counts.strings)?;
        let part = match kind {
            KIND_ENUM => Part::Enum(index(r, target, counts.enums)?),
            KIND_STRUCT => Part::Struct(index(r, target, counts.structs)?),
            _ => return r.error("a part of a struct is neither an enum nor a struct"),
        };
        Ok(Check { offset, name, part, stride: 0, count: (count != 0).then_some(count) })
    })?;
    Ok(Struct { size, align, checks: checks.into() })
}

/// Fills in the size of each part, once all structs are known. Parts lie one after the other inside their struct,
/// so that checking one takes no more steps than it has bytes.
fn strides(r: &Reader<'_>, structs: &mut [Struct], enums: &[Enum]) -> Parsed<()> {
    let sizes: Vec<u32> = structs.iter().map(|it| it.size).collect();
    for it in structs {
        let mut end = 0;
        for check in &mut it.checks {
            check.stride = match check.part {
                Part::Enum(index) => enums[index as usize].width,
                Part::Struct(index) => sizes[index as usize],
            };
            r.require(u64::from(check.offset) >= end, "parts of a struct overlap or do not ascend")?;
            end = u64::from(check.offset) + u64::from(check.stride) * u64::from(check.count.unwrap_or(1));
            r.require(end <= u64::from(it.size), "a part of a struct lies outside it")?;
        }
    }
    Ok(())
}

/// Structs that contain themselves, or too many others inside each other, are refused. Each round settles the structs
/// whose parts are settled, one level of nesting.
fn bound_nesting(r: &Reader<'_>, structs: &[Struct]) -> Parsed<()> {
    let mut depth = vec![0; structs.len()];
    let mut waiting: Vec<usize> = (0..structs.len()).collect();
    for level in 1..=MAX_STRUCT_DEPTH {
        waiting.retain(|&at| {
            let settled = structs[at].checks.iter().all(|check| match check.part {
                Part::Enum(_) => true,
                Part::Struct(inner) => (1..level).contains(&depth[inner as usize]),
            });
            if settled {
                depth[at] = level;
            }
            !settled
        });
        if waiting.is_empty() {
            return Ok(());
        }
    }
    r.error("structs are nested without end or more than 64 deep")
}

fn read_union(r: &mut Reader<'_>, counts: Counts) -> Parsed<Union> {
    r.begin();
    let (name, count) = (r.u32()?, r.u32()?);
    index(r, name, counts.strings)?;
    let variants = r.many(count, 12, |r| {
        let (tag, kind, target) = (r.u32()?, r.u32()?, r.u32()?);
        let tag = u8::try_from(tag).unwrap_or(0);
        r.require(tag != 0, "a union's tag is not 1…255")?;
        let variant = match kind {
            KIND_TABLE => Variant::Table(index(r, target, counts.tables)?),
            KIND_STRUCT => Variant::Struct(index(r, target, counts.structs)?),
            KIND_STRING if target == NONE => Variant::String,
            _ => return r.error("a union's variant is neither table, struct nor string"),
        };
        Ok((tag, variant))
    })?;
    r.require(variants.is_sorted_by(|a, b| a.0 < b.0), "a union's tags do not ascend")?;
    Ok(Union { variants: variants.into() })
}

fn read_table(r: &mut Reader<'_>, counts: Counts, enums: &[Enum], structs: &[Struct]) -> Parsed<Table> {
    r.begin();
    let name = r.u32()?;
    index(r, name, counts.strings)?;
    let wanted = r.flag()?;
    r.zeros(3)?;
    let identifier = r.four()?;
    r.require(wanted || identifier == [0; 4], "an identifier is given but not wanted")?;
    let count = r.u32()?;
    // The first slot that is free: a field with tags takes two.
    let mut free = 0;
    let fields = r.many(count, 24, |r| {
        let field = read_field(r, counts, enums, structs)?;
        let tagged = matches!(field.content, Content::Union(_) | Content::Unions(_));
        r.require(field.slot <= MAX_SLOT, "a slot is more than a vtable has")?;
        r.require(field.slot >= free + u16::from(tagged), "slots do not ascend")?;
        free = field.slot + 1;
        Ok(field)
    })?;
    Ok(Table { name, identifier: wanted.then_some(identifier), fields: fields.into() })
}

fn read_field(r: &mut Reader<'_>, counts: Counts, enums: &[Enum], structs: &[Struct]) -> Parsed<Field> {
    let (slot, op, required) = (r.u16()?, r.u8()?, r.flag()?);
    let (name, size, align) = (r.u32()?, r.u32()?, r.u32()?);
    let (member, target) = (r.u32()?, r.u32()?);
    index(r, name, counts.strings)?;
    size_and_alignment(r, size, align)?;
    let content = match op {
        1 => Content::Number(number(r, size, align, member, enums)?),
        2 => Content::Struct(structure(r, size, align, target, structs)?),
        3 => Content::String,
        4 => Content::Table(index(r, target, counts.tables)?),
        5 => Content::Union(index(r, target, counts.unions)?),
        6 => Content::Numbers(number(r, size, align, member, enums)?),
        7 => Content::Structs(structure(r, size, align, target, structs)?),
        8 => Content::Strings,
        9 => Content::Tables(index(r, target, counts.tables)?),
        10 => Content::Unions(index(r, target, counts.unions)?),
        11 => Content::Nested(index(r, target, counts.tables)?),
        _ => return r.error("a field's operation is unknown"),
    };
    let expected = match op {
        1 | 2 | 6 | 7 => (size, align),
        3 | 11 => (1, 1),
        _ => (4, 4),
    };
    r.require((size, align) == expected, "a field has the wrong size")?;
    r.require(matches!(op, 1 | 6) || member == NONE, "a field has an enum that it does not use")?;
    r.require(!matches!(op, 1 | 3 | 6 | 8) || target == NONE, "a field has a target that it does not use")?;
    Ok(Field { name, slot, required, size, align, content })
}

/// The enum of a number, if it has one.
fn number(r: &Reader<'_>, size: u32, align: u32, member: u32, enums: &[Enum]) -> Parsed<Option<u32>> {
    r.require(matches!(size, 1 | 2 | 4 | 8) && align == size, "a number has the wrong size")?;
    if member == NONE {
        return Ok(None);
    }
    match enums.get(member as usize) {
        Some(of) if of.width == size => Ok(Some(member)),
        Some(_) => r.error("an enum is not as wide as its field"),
        None => r.error("an index is out of range"),
    }
}

fn structure(r: &Reader<'_>, size: u32, align: u32, target: u32, structs: &[Struct]) -> Parsed<u32> {
    match structs.get(target as usize) {
        Some(of) if (of.size, of.align) == (size, align) => Ok(target),
        Some(_) => r.error("a field and its struct differ in size"),
        None => r.error("an index is out of range"),
    }
}
