//! A verification program in memory. It is consistent: every index is in range, sizes add up, structs do not nest
//! without end (see `parse`).

use crate::enums::Enum;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A checked program; immutable.
#[derive(Debug)]
pub struct Program {
    pub(crate) names: Vec<Box<str>>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) structs: Vec<Struct>,
    pub(crate) unions: Vec<Union>,
    pub(crate) tables: Vec<Table>,
}

/// Why bytes are no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    /// In bytes, from the start of the program: the record at fault, or the place where it ends too early.
    pub offset: usize,
    pub message: &'static str,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a verification program: {} (byte {})", self.message, self.offset)
    }
}

impl core::error::Error for ProgramError {}

#[derive(Debug)]
pub(crate) struct Struct {
    pub size: u32,
    /// A power of two.
    pub align: u32,
    /// Empty: nothing in it can be wrong.
    pub checks: Box<[Check]>,
}

/// A part of a struct that has an enum somewhere in it.
#[derive(Debug)]
pub(crate) struct Check {
    pub offset: u32,
    pub name: u32,
    pub part: Part,
    /// Bytes of one element.
    pub stride: u32,
    /// None: a single value, not an array.
    pub count: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Enum(u32),
    Struct(u32),
}

#[derive(Debug)]
pub(crate) struct Union {
    /// By tag, ascending.
    pub variants: Box<[(u8, Variant)]>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Variant {
    Table(u32),
    Struct(u32),
    String,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub name: u32,
    pub identifier: Option<[u8; 4]>,
    /// By slot, ascending.
    pub fields: Box<[Field]>,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: u32,
    /// Unions and vectors of unions have their tags in the slot before.
    pub slot: u16,
    pub required: bool,
    /// Of a number or struct in the table; of an element in vectors.
    pub size: u32,
    /// A power of two.
    pub align: u32,
    pub content: Content,
}

/// What a slot holds; numbers are indices of the program's sections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Number(Option<u32>),
    Struct(u32),
    String,
    Table(u32),
    Union(u32),
    Numbers(Option<u32>),
    Structs(u32),
    Strings,
    Tables(u32),
    Unions(u32),
    Nested(u32),
}

impl Program {
    /// Number of tables, each of which may be the root of a buffer.
    pub fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Index of the table with this full name.
    pub fn table_index(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| self.name(table.name) == name)
    }

    pub(crate) fn name(&self, index: u32) -> &str {
        self.names.get(index as usize).map_or("", |name| name)
    }
}

impl Union {
    pub fn variant(&self, tag: u8) -> Option<Variant> {
        let found = self.variants.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        Some(self.variants[found].1)
    }
}
