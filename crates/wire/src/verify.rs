//! The walk through a buffer: tables depth first, fields by slot, the first rule broken is the fault.

use crate::enums::Enum;
use crate::fault::{Checked, Fault, Rule, Step, fault};
use crate::program::{Check, Content, Field, Part, Program, Struct, Table, Variant};
use crate::window::Window;

/// Most tables inside each other, and the default limit: as in the FlatBuffers C++ verifier.
pub const MAX_DEPTH: u32 = 64;
/// Longest buffer in bytes: FlatBuffers offsets are 32-bit, and signed where they point backwards.
pub const MAX_SIZE: u64 = 0x7FFF_FFFE;
/// Shortest buffer in bytes: root offset, offset to the vtable, its sizes.
const MIN_SIZE: usize = 12;
/// Tables visited per byte of buffer: tables may be shared, but not so that they explode.
const TABLES_PER_BYTE: u64 = 8;
/// Bytes visited per byte of buffer, and in any buffer: bounds what shared strings and vectors add up to.
const BYTES_PER_BYTE: u64 = 64;
const FREE_BYTES: u64 = 1 << 20;

/// Bounds on what is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tables inside each other; taken as `MAX_DEPTH` if it is more.
    pub depth: u32,
    /// Tables in one buffer.
    pub tables: u64,
    /// Bytes in one buffer; taken as `MAX_SIZE` if it is more.
    pub size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: MAX_DEPTH, tables: 1_000_000, size: MAX_SIZE }
    }
}

impl Program {
    /// The first fault of a buffer whose root is table number `root`, if it has one. A `root` that is not below
    /// `tables()` has no values: its buffers are TOO_SHORT.
    pub fn verify(&self, root: usize, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let len = bytes.len() as u64;
        let mut walk = Walk {
            program: self,
            depth: limits.depth.min(MAX_DEPTH),
            tables: limits.tables.min(TABLES_PER_BYTE * len),
            bytes: BYTES_PER_BYTE * len + FREE_BYTES,
        };
        walk.buffer(root, bytes, limits.size.min(MAX_SIZE)).map_err(|trail| trail.finish(self))
    }
}

struct Walk<'a> {
    program: &'a Program,
    depth: u32,
    /// What is left of the budgets.
    tables: u64,
    bytes: u64,
}

/// The vtable of a table at `table`, whose own bytes are `inline` many.
struct Vtable {
    table: usize,
    at: usize,
    size: usize,
    inline: usize,
}

impl<'a> Walk<'a> {
    fn buffer(&mut self, root: usize, bytes: &[u8], longest: u64) -> Checked {
        if bytes.len() as u64 > longest {
            return fault(Rule::TooLong, 0);
        }
        let Some(root) = self.program.tables.get(root).filter(|_| bytes.len() >= MIN_SIZE) else {
            return fault(Rule::TooShort, 0);
        };
        if root.identifier.is_some_and(|wanted| bytes[4..8] != wanted) {
            return fault(Rule::Identifier, 4);
        }
        let w = Window { bytes, base: 0 };
        self.table(w, root, w.offset(0)?, 1)
    }

    #[inline]
    fn spend(&mut self, bytes: u64, at: usize) -> Checked {
        match self.bytes.checked_sub(bytes) {
            Some(left) => self.bytes = left,
            None => return fault(Rule::Tables, at),
        }
        Ok(())
    }

    fn table(&mut self, w: Window<'_>, table: &'a Table, p: usize, depth: u32) -> Checked {
        let vtable = self.vtable(w, p, depth)?;
        for field in &table.fields {
            if let Err(trail) = self.field(w, field, &vtable, depth) {
                return Err(trail.within(Step::Field(field.name)));
            }
        }
        Ok(())
    }

    fn vtable(&mut self, w: Window<'_>, p: usize, depth: u32) -> Checked<Vtable> {
        if !w.aligned(p, 4) {
            return fault(Rule::Alignment, p);
        }
        if p + 4 > w.end() {
            return fault(Rule::Bounds, p);
        }
        if depth > self.depth {
            return fault(Rule::Depth, p);
        }
        match self.tables.checked_sub(1) {
            Some(left) => self.tables = left,
            None => return fault(Rule::Tables, p),
        }
        let back = i64::from(w.u32(p)?.cast_signed());
        let at = match usize::try_from(p as i64 - back) {
            Ok(at) if at >= w.base && at + 4 <= w.end() && w.aligned(at, 2) => at,
            _ => return fault(Rule::Vtable, p),
        };
        let (size, inline) = (usize::from(w.u16(at)?), usize::from(w.u16(at + 2)?));
        if size % 2 != 0 || size < 4 || at + size > w.end() {
            return fault(Rule::Vtable, at);
        }
        if inline < 4 || p + inline > w.end() {
            return fault(Rule::Vtable, at + 2);
        }
        self.spend(inline as u64, p)?;
        Ok(Vtable { table: p, at, size, inline })
    }

    /// Where the value of slot `k` is, in the table; None: absent.
    #[inline]
    fn slot(w: Window<'_>, vtable: &Vtable, k: usize, size: u32, align: u32) -> Checked<Option<usize>> {
        let entry = 4 + 2 * k;
        if entry + 2 > vtable.size {
            return Ok(None);
        }
        let offset = usize::from(w.u16(vtable.at + entry)?);
        if offset == 0 {
            return Ok(None);
        }
        if offset < 4 || offset as u64 + u64::from(size) > vtable.inline as u64 {
            return fault(Rule::FieldBounds, vtable.at + entry);
        }
        let at = vtable.table + offset;
        if !w.aligned(at, align) {
            return fault(Rule::Alignment, at);
        }
        Ok(Some(at))
    }

    #[inline]
    fn field(&mut self, w: Window<'_>, field: &'a Field, vtable: &Vtable, depth: u32) -> Checked {
        let k = usize::from(field.slot);
        let (tags, inline, align) = match field.content {
            Content::Number(_) | Content::Struct(_) => (None, field.size, field.align),
            Content::Union(_) => (Self::slot(w, vtable, k.wrapping_sub(1), 1, 1)?, 4, 4),
            Content::Unions(_) => (Self::slot(w, vtable, k.wrapping_sub(1), 4, 4)?, 4, 4),
            _ => (None, 4, 4),
        };
        let value = Self::slot(w, vtable, k, inline, align)?;
        if field.required && value.is_none() {
            return fault(Rule::Required, vtable.table);
        }
        match field.content {
            Content::Union(union) => return self.union(w, union, tags, value, depth),
            Content::Unions(union) => return self.unions(w, union, tags, value, vtable.table, depth),
            _ => {}
        }
        let Some(x) = value else { return Ok(()) };
        match field.content {
            Content::Number(None) => Ok(()),
            Content::Number(Some(of)) => self.member(w, of, x),
            Content::Struct(of) => self.members(w, &self.program.structs[of as usize], x),
            _ => self.followed(w, field, w.offset(x)?, depth),
        }
    }

    /// What the offset of a field leads to.
    fn followed(&mut self, w: Window<'_>, field: &'a Field, q: usize, depth: u32) -> Checked {
        let program = self.program;
        match field.content {
            Content::String => self.string(w, q),
            Content::Table(of) => self.table(w, &program.tables[of as usize], q, depth + 1),
            Content::Numbers(of) => {
                let n = self.vector(w, q, field.size, field.align)?;
                match of {
                    Some(of) => self.numbers(w, &program.enums[of as usize], q + 4, n),
                    None => Ok(()),
                }
            }
            Content::Structs(of) => {
                let n = self.vector(w, q, field.size, field.align)?;
                let of = &program.structs[of as usize];
                if of.checks.is_empty() {
                    return Ok(());
                }
                each(n, |i| self.members(w, of, q + 4 + i * field.size as usize))
            }
            Content::Strings => {
                let n = self.vector(w, q, 4, 4)?;
                each(n, |i| self.string(w, w.offset(q + 4 + 4 * i)?))
            }
            Content::Tables(of) => {
                let n = self.vector(w, q, 4, 4)?;
                let of = &program.tables[of as usize];
                each(n, |i| self.table(w, of, w.offset(q + 4 + 4 * i)?, depth + 1))
            }
            Content::Nested(of) => {
                let n = self.vector(w, q, 1, 1)?;
                if n < MIN_SIZE {
                    return fault(Rule::Nested, q);
                }
                let w = Window { bytes: &w.bytes[..q + 4 + n], base: q + 4 };
                self.table(w, &program.tables[of as usize], w.offset(q + 4)?, depth + 1)
            }
            Content::Number(_) | Content::Struct(_) | Content::Union(_) | Content::Unions(_) => Ok(()),
        }
    }

    fn union(
        &mut self,
        w: Window<'_>,
        union: u32,
        tags: Option<usize>,
        value: Option<usize>,
        depth: u32,
    ) -> Checked {
        let tag = match tags {
            Some(t) => w.u8(t)?,
            None => 0,
        };
        let Some(t) = tags.filter(|_| tag != 0) else {
            return value.map_or(Ok(()), |x| fault(Rule::Union, x));
        };
        match (self.program.unions[union as usize].variant(tag), value) {
            (Some(variant), Some(x)) => self.variant(w, variant, w.offset(x)?, depth),
            _ => fault(Rule::Union, t),
        }
    }

    fn unions(
        &mut self,
        w: Window<'_>,
        union: u32,
        tags: Option<usize>,
        values: Option<usize>,
        table: usize,
        depth: u32,
    ) -> Checked {
        let (tags, values) = match (tags, values) {
            (None, None) => return Ok(()),
            (Some(tags), Some(values)) => (tags, values),
            _ => return fault(Rule::Union, table),
        };
        let tags = w.offset(tags)?;
        let count = self.vector(w, tags, 1, 1)?;
        let q = w.offset(values)?;
        let n = self.vector(w, q, 4, 4)?;
        if count != n {
            return fault(Rule::Union, q);
        }
        let union = &self.program.unions[union as usize];
        each(n, |i| {
            let t = tags + 4 + i;
            match w.u8(t)? {
                0 => Ok(()),
                tag => match union.variant(tag) {
                    Some(variant) => self.variant(w, variant, w.offset(q + 4 + 4 * i)?, depth),
                    None => fault(Rule::Union, t),
                },
            }
        })
    }

    fn variant(&mut self, w: Window<'_>, variant: Variant, y: usize, depth: u32) -> Checked {
        match variant {
            Variant::Table(of) => self.table(w, &self.program.tables[of as usize], y, depth + 1),
            Variant::String => self.string(w, y),
            Variant::Struct(of) => {
                let of = &self.program.structs[of as usize];
                if !w.aligned(y, of.align) {
                    return fault(Rule::Alignment, y);
                }
                if y as u64 + u64::from(of.size) > w.end() as u64 {
                    return fault(Rule::Bounds, y);
                }
                self.spend(u64::from(of.size), y)?;
                self.members(w, of, y)
            }
        }
    }

    /// The number of elements of the vector at `q`, which is in the window with all of them.
    fn vector(&mut self, w: Window<'_>, q: usize, size: u32, align: u32) -> Checked<usize> {
        if !w.aligned(q, 4) {
            return fault(Rule::Alignment, q);
        }
        if q + 4 > w.end() {
            return fault(Rule::Bounds, q);
        }
        let n = w.u32(q)?;
        let bytes = 4 + u64::from(n) * u64::from(size);
        if q as u64 + bytes > w.end() as u64 {
            return fault(Rule::Bounds, q);
        }
        if n > 0 && !w.aligned(q + 4, align) {
            return fault(Rule::Alignment, q + 4);
        }
        self.spend(bytes, q)?;
        Ok(n as usize)
    }

    fn string(&mut self, w: Window<'_>, q: usize) -> Checked {
        let n = self.vector(w, q, 1, 1)?;
        let end = q + 4 + n;
        if w.bytes.get(end) != Some(&0) {
            return fault(Rule::StringTerminator, end);
        }
        match core::str::from_utf8(w.slice(q + 4, n)?) {
            Ok(_) => Ok(()),
            Err(error) => fault(Rule::Utf8, q + 4 + error.valid_up_to()),
        }
    }

    fn member(&self, w: Window<'_>, of: u32, x: usize) -> Checked {
        let of = &self.program.enums[of as usize];
        match of.first_wrong(w.slice(x, of.width as usize)?) {
            None => Ok(()),
            Some(_) => fault(Rule::Enum, x),
        }
    }

    /// `n` numbers from `at` on, each of which must be a value; a fault names the element.
    fn numbers(&self, w: Window<'_>, of: &Enum, at: usize, n: usize) -> Checked {
        let width = of.width as usize;
        match of.first_wrong(w.slice(at, n * width)?) {
            None => Ok(()),
            Some(i) => fault(Rule::Enum, at + i * width).map_err(|trail| trail.within(Step::Element(i))),
        }
    }

    fn members(&self, w: Window<'_>, of: &Struct, x: usize) -> Checked {
        for check in &of.checks {
            if let Err(trail) = self.part(w, check, x + check.offset as usize) {
                return Err(trail.within(Step::Field(check.name)));
            }
        }
        Ok(())
    }

    fn part(&self, w: Window<'_>, check: &Check, x: usize) -> Checked {
        let stride = check.stride as usize;
        match (check.part, check.count) {
            (Part::Enum(of), None) => self.member(w, of, x),
            (Part::Enum(of), Some(n)) => self.numbers(w, &self.program.enums[of as usize], x, n as usize),
            (Part::Struct(of), None) => self.members(w, &self.program.structs[of as usize], x),
            (Part::Struct(of), Some(n)) => {
                let of = &self.program.structs[of as usize];
                each(n as usize, |i| self.members(w, of, x + i * stride))
            }
        }
    }
}

/// `check` for each of `n` elements; a fault names the element.
#[inline]
fn each(n: usize, mut check: impl FnMut(usize) -> Checked) -> Checked {
    for i in 0..n {
        if let Err(trail) = check(i) {
            return Err(trail.within(Step::Element(i)));
        }
    }
    Ok(())
}
