use alloc::boxed::Box;

/// Tables visited per byte of buffer, and bytes visited per byte and in any buffer: parts may be
/// shared, but must not explode.
const TABLES_PER_BYTE: u64 = 8;
const BYTES_PER_BYTE: u64 = 64;
const FREE_BYTES: u64 = 1 << 20;
/// Root offset, offset to the vtable, its sizes.
const MIN_BUFFER: usize = 12;
const MAX_BUFFER: usize = 0x7FFF_FFFE;

/// A table.
pub trait FlatRecord: Sized {
    const NAME: &'static str;
    const IDENTIFIER: Option<[u8; 4]>;
    fn read(r: &mut FlatReader<'_>, t: &FlatTable) -> Result<Self, Error>;
    fn write(&self, w: &mut FlatWriter, depth: u32) -> Result<usize, Error>;
}

impl<T: FlatRecord> Message for T {
    const NAME: &'static str = T::NAME;

    fn encode(&self) -> Result<Vec<u8>, Error> {
        FlatWriter::buffer(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        FlatReader::buffer(bytes)
    }
}

/// A union; `read` gives `None` for a tag that it does not know.
pub trait FlatUnion: Sized {
    fn read(
        r: &mut FlatReader<'_>,
        tag: u8,
        at: usize,
        depth: u32,
        place: &'static str,
    ) -> Result<Option<Self>, Error>;
    fn tag(&self) -> u8;
    fn write(&self, w: &mut FlatWriter, depth: u32) -> Result<usize, Error>;
}

/// A number, enum or struct: `SIZE` bytes that hold it, wherever it is.
pub trait Inline: Copy {
    const SIZE: usize;
    const ALIGN: usize;
    /// From exactly `SIZE` bytes; `None`: an enum in it has no such value.
    fn get(bytes: &[u8]) -> Option<Self>;
    fn put(&self, bytes: &mut [u8]);
    /// Whether all enums in it have values.
    fn fits(&self) -> bool {
        true
    }
}

macro_rules! numbers {
    ($($type:ty: $size:literal),*) => {$(
        impl Inline for $type {
            const SIZE: usize = $size;
            const ALIGN: usize = $size;
            fn get(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|bytes| Self::from_le_bytes(*bytes))
            }
            fn put(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

numbers!(i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, i64: 8, u64: 8, f32: 4, f64: 8);

impl Inline for bool {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;
    fn get(bytes: &[u8]) -> Option<Self> {
        bytes.first().map(|byte| *byte != 0)
    }
    fn put(&self, bytes: &mut [u8]) {
        bytes.fill(u8::from(*self));
    }
}

impl<T: Inline, const N: usize> Inline for [T; N] {
    const SIZE: usize = T::SIZE * N;
    const ALIGN: usize = T::ALIGN;
    fn get(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.chunks_exact(T::SIZE);
        let mut all = [T::get(parts.next()?)?; N];
        for (to, from) in all[1..].iter_mut().zip(parts) {
            *to = T::get(from)?;
        }
        Some(all)
    }
    fn put(&self, bytes: &mut [u8]) {
        for (to, from) in bytes.chunks_exact_mut(T::SIZE).zip(self) {
            from.put(to);
        }
    }
    fn fits(&self) -> bool {
        self.iter().all(T::fits)
    }
}

/// Reads a buffer by the rules of the host's verifier.
pub struct FlatReader<'a> {
    /// The outermost buffer, as far as the current one goes.
    bytes: &'a [u8],
    /// Where the current buffer starts.
    base: usize,
    tables: u64,
    budget: u64,
}

/// A table whose vtable is known.
pub struct FlatTable {
    at: usize,
    vtable: usize,
    vtable_size: usize,
    size: usize,
    depth: u32,
}

impl<'a> FlatReader<'a> {
    pub fn buffer<T: FlatRecord>(bytes: &'a [u8]) -> Result<T, Error> {
        if bytes.len() < MIN_BUFFER || bytes.len() > MAX_BUFFER {
            return Err(refused(T::NAME, "too short or too long for a buffer", 0));
        }
        if T::IDENTIFIER.is_some_and(|wanted| bytes[4..8] != wanted) {
            return Err(refused(T::NAME, "another file identifier", 4));
        }
        let len = bytes.len() as u64;
        let mut r = Self {
            bytes,
            base: 0,
            tables: MAX_RECORDS.min(TABLES_PER_BYTE * len),
            budget: BYTES_PER_BYTE * len + FREE_BYTES,
        };
        let at = r.follow(0, T::NAME)?;
        r.open(at, 1)
    }

    fn aligned(&self, at: usize, align: usize) -> bool {
        (at - self.base) & (align - 1) == 0
    }

    fn slice(&self, at: usize, len: usize, place: &str) -> Result<&'a [u8], Error> {
        let found = self.bytes.get(at..).and_then(|rest| rest.get(..len));
        found.ok_or_else(|| refused(place, "out of bounds", at))
    }

    fn number<T: Inline>(&self, at: usize, place: &str) -> Result<T, Error> {
        let bytes = self.slice(at, T::SIZE, place)?;
        T::get(bytes).ok_or_else(|| refused(place, "no value of its enum", at))
    }

    fn spend(&mut self, bytes: u64, at: usize, place: &str) -> Result<(), Error> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or_else(|| refused(place, "shared parts add up to too much", at))?;
        Ok(())
    }

    /// Where the offset at `at` leads.
    fn follow(&self, at: usize, place: &str) -> Result<usize, Error> {
        let offset = self.number::<u32>(at, place)? as usize;
        if offset == 0 || offset >= 1 << 31 || at + offset >= self.bytes.len() {
            return Err(refused(place, "an offset leads nowhere", at));
        }
        Ok(at + offset)
    }

    fn open<T: FlatRecord>(&mut self, at: usize, depth: u32) -> Result<T, Error> {
        let place = T::NAME;
        if !self.aligned(at, 4) || at + 4 > self.bytes.len() {
            return Err(refused(place, "a table out of place", at));
        }
        if depth > MAX_DEPTH {
            return Err(refused(place, "too deep", at));
        }
        let left = self.tables.checked_sub(1);
        self.tables = left.ok_or_else(|| refused(place, "too many tables", at))?;
        let vtable = at as i64 - i64::from(self.number::<i32>(at, place)?);
        let end = self.bytes.len();
        let vtable = match usize::try_from(vtable) {
            Ok(it) if it >= self.base && it + 4 <= end && self.aligned(it, 2) => it,
            _ => return Err(refused(place, "a vtable out of place", at)),
        };
        let vtable_size = usize::from(self.number::<u16>(vtable, place)?);
        let size = usize::from(self.number::<u16>(vtable + 2, place)?);
        if vtable_size % 2 != 0 || vtable_size < 4 || vtable + vtable_size > end {
            return Err(refused(place, "a vtable of a wrong size", vtable));
        }
        if size < 4 || at + size > end {
            return Err(refused(place, "a table of a wrong size", vtable + 2));
        }
        self.spend(size as u64, at, place)?;
        T::read(self, &FlatTable { at, vtable, vtable_size, size, depth })
    }

    fn slot(
        &self,
        t: &FlatTable,
        slot: usize,
        size: usize,
        align: usize,
        place: &str,
    ) -> Result<Option<usize>, Error> {
        let entry = 4 + 2 * slot;
        if entry + 2 > t.vtable_size {
            return Ok(None);
        }
        let offset = usize::from(self.number::<u16>(t.vtable + entry, place)?);
        if offset == 0 {
            return Ok(None);
        }
        if offset < 4 || offset + size > t.size {
            return Err(refused(place, "outside its table", t.vtable + entry));
        }
        if !self.aligned(t.at + offset, align) {
            return Err(refused(place, "not aligned", t.at + offset));
        }
        Ok(Some(t.at + offset))
    }

    /// What a field's offset leads to.
    fn target(&self, t: &FlatTable, slot: usize, place: &str) -> Result<Option<usize>, Error> {
        match self.slot(t, slot, 4, 4, place)? {
            Some(at) => self.follow(at, place).map(Some),
            None => Ok(None),
        }
    }

    /// The elements of the vector at `at`: their place and number.
    fn vector(
        &mut self,
        at: usize,
        size: usize,
        align: usize,
        place: &str,
    ) -> Result<(usize, usize), Error> {
        if !self.aligned(at, 4) {
            return Err(refused(place, "a vector out of place", at));
        }
        let count = self.number::<u32>(at, place)?;
        let bytes = 4 + u64::from(count) * size as u64;
        if at as u64 + bytes > self.bytes.len() as u64 {
            return Err(refused(place, "a vector longer than the buffer", at));
        }
        if count > 0 && !self.aligned(at + 4, align) {
            return Err(refused(place, "elements not aligned", at + 4));
        }
        self.spend(bytes, at, place)?;
        Ok((at + 4, count as usize))
    }

    fn text(&mut self, at: usize, place: &str) -> Result<String, Error> {
        let (start, count) = self.vector(at, 1, 1, place)?;
        if self.bytes.get(start + count) != Some(&0) {
            return Err(refused(place, "text without a zero at its end", start + count));
        }
        let bytes = self.slice(start, count, place)?;
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(refused(place, "not UTF-8", start + error.valid_up_to())),
        }
    }

    pub fn inline<T: Inline>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<T>, Error> {
        match self.slot(t, slot, T::SIZE, T::ALIGN, place)? {
            Some(at) => self.number(at, place).map(Some),
            None => Ok(None),
        }
    }

    pub fn string(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<String>, Error> {
        match self.target(t, slot, place)? {
            Some(at) => self.text(at, place).map(Some),
            None => Ok(None),
        }
    }

    pub fn table<T: FlatRecord>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Box<T>>, Error> {
        match self.target(t, slot, place)? {
            Some(at) => Ok(Some(Box::new(self.open(at, t.depth + 1)?))),
            None => Ok(None),
        }
    }

    pub fn bytes(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(at) = self.target(t, slot, place)? else { return Ok(None) };
        let (start, count) = self.vector(at, 1, 1, place)?;
        Ok(Some(self.slice(start, count, place)?.into()))
    }

    /// A buffer in a vector of bytes, which is read to see that it can be, and stays bytes.
    pub fn nested<T: FlatRecord>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(at) = self.target(t, slot, place)? else { return Ok(None) };
        let (start, count) = self.vector(at, 1, 1, place)?;
        if count < MIN_BUFFER {
            return Err(refused(place, "too short for a buffer", at));
        }
        let bytes = self.slice(start, count, place)?;
        let outer = (self.bytes, self.base);
        (self.bytes, self.base) = (&self.bytes[..start + count], start);
        let root = self.follow(start, place)?;
        self.open::<T>(root, t.depth + 1)?;
        (self.bytes, self.base) = outer;
        Ok(Some(bytes.into()))
    }

    pub fn inlines<T: Inline>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(at) = self.target(t, slot, place)? else { return Ok(None) };
        let (start, count) = self.vector(at, T::SIZE, T::ALIGN, place)?;
        let bytes = self.slice(start, count * T::SIZE, place)?;
        let mut all = Vec::with_capacity(count);
        for (i, part) in bytes.chunks_exact(T::SIZE).enumerate() {
            let value = T::get(part);
            let at = start + i * T::SIZE;
            all.push(value.ok_or_else(|| refused(place, "no value of its enum", at))?);
        }
        Ok(Some(all))
    }

    fn each<T>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
        mut read: impl FnMut(&mut Self, usize) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(at) = self.target(t, slot, place)? else { return Ok(None) };
        let (start, count) = self.vector(at, 4, 4, place)?;
        let mut all = Vec::new();
        for i in 0..count {
            let at = self.follow(start + 4 * i, place)?;
            all.push(read(self, at)?);
        }
        Ok(Some(all))
    }

    pub fn strings(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Vec<String>>, Error> {
        self.each(t, slot, place, |r, at| r.text(at, place))
    }

    pub fn tables<T: FlatRecord>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Vec<T>>, Error> {
        self.each(t, slot, place, |r, at| r.open(at, t.depth + 1))
    }

    pub fn union<U: FlatUnion>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<U>, Error> {
        let tag = match self.slot(t, slot - 1, 1, 1, place)? {
            Some(at) => self.number::<u8>(at, place)?,
            None => 0,
        };
        match (tag, self.slot(t, slot, 4, 4, place)?) {
            (0, None) => Ok(None),
            (0, Some(at)) => Err(refused(place, "a union's value without a tag", at)),
            (_, None) => Err(refused(place, "a union's tag without a value", t.at)),
            (tag, Some(at)) => self.variant(tag, at, t.depth, place).map(Some),
        }
    }

    fn variant<U: FlatUnion>(
        &mut self,
        tag: u8,
        at: usize,
        depth: u32,
        place: &'static str,
    ) -> Result<U, Error> {
        let target = self.follow(at, place)?;
        let value = U::read(self, tag, target, depth, place)?;
        value.ok_or_else(|| refused(place, "an unknown tag", at))
    }

    pub fn unions<U: FlatUnion>(
        &mut self,
        t: &FlatTable,
        slot: usize,
        place: &'static str,
    ) -> Result<Option<Vec<Option<U>>>, Error> {
        let (tags, values) = match (self.target(t, slot - 1, place)?, self.target(t, slot, place)?) {
            (None, None) => return Ok(None),
            (Some(tags), Some(values)) => (tags, values),
            _ => return Err(refused(place, "tags or values are missing", t.at)),
        };
        let (tags, count) = self.vector(tags, 1, 1, place)?;
        let (start, values) = self.vector(values, 4, 4, place)?;
        if count != values {
            return Err(refused(place, "not as many tags as values", start));
        }
        let mut all = Vec::new();
        for i in 0..count {
            all.push(match self.number::<u8>(tags + i, place)? {
                0 => None,
                tag => Some(self.variant(tag, start + 4 * i, t.depth, place)?),
            });
        }
        Ok(Some(all))
    }

    /// A union's value that is a table.
    pub fn table_at<T: FlatRecord>(&mut self, at: usize, depth: u32) -> Result<Box<T>, Error> {
        Ok(Box::new(self.open(at, depth + 1)?))
    }

    /// A union's value that is text.
    pub fn string_at(&mut self, at: usize, place: &'static str) -> Result<String, Error> {
        self.text(at, place)
    }

    /// A union's value that is a struct.
    pub fn inline_at<T: Inline>(&mut self, at: usize, place: &'static str) -> Result<T, Error> {
        if !self.aligned(at, T::ALIGN) {
            return Err(refused(place, "not aligned", at));
        }
        let value = self.number(at, place)?;
        self.spend(T::SIZE as u64, at, place)?;
        Ok(value)
    }
}

/// The value of a required field.
pub fn required<T>(value: Option<T>, place: &'static str) -> Result<T, Error> {
    value.ok_or_else(|| Error::new(INVALID, format!("{place}: required, and absent")))
}
