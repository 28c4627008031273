//! What a buffer breaks: the rule, where, and in which field.

use crate::program::Program;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The rule that bytes break. The numbers are those of `hlfuzz.schema.wire.base.Rule` and part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Rule {
    TooShort = 1,
    TooLong = 2,
    Alignment = 3,
    Bounds = 4,
    Vtable = 5,
    FieldBounds = 6,
    Required = 7,
    StringTerminator = 8,
    Utf8 = 9,
    Union = 10,
    Depth = 11,
    Tables = 12,
    Identifier = 13,
    Nested = 14,
    Enum = 15,
}

/// The first rule that a buffer breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub rule: Rule,
    /// In bytes, from the start of the (outermost) buffer.
    pub offset: usize,
    /// The field, "headers[2].name"; "" is the root.
    pub path: String,
}

/// A fault on its way out of the walk: each level that it passes adds its step, so that a good buffer pays nothing
/// for the path.
pub(crate) struct Trail {
    rule: Rule,
    offset: usize,
    /// Innermost first.
    steps: Vec<Step>,
}

pub(crate) enum Step {
    /// A field, by the index of its name.
    Field(u32),
    Element(usize),
}

pub(crate) type Checked<T = ()> = Result<T, Box<Trail>>;

/// The fault `rule @ offset`.
#[cold]
pub(crate) fn fault<T>(rule: Rule, offset: usize) -> Checked<T> {
    Err(Box::new(Trail { rule, offset, steps: Vec::new() }))
}

impl Trail {
    #[cold]
    pub(crate) fn within(mut self: Box<Self>, step: Step) -> Box<Self> {
        self.steps.push(step);
        self
    }

    pub(crate) fn finish(self, program: &Program) -> Fault {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(program.name(*name));
                }
                Step::Element(index) => path.push_str(&format!("[{index}]")),
            }
        }
        Fault { rule: self.rule, offset: self.offset, path }
    }
}
