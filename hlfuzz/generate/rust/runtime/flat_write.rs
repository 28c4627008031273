/// Writes a buffer from front to back: a table, then what its offsets lead to.
#[derive(Default)]
pub struct FlatWriter {
    out: Vec<u8>,
    /// Where vtables are that later tables may share.
    vtables: Vec<usize>,
}

/// Vtables that are compared with a new one.
const SHARED_VTABLES: usize = 32;

/// Which fields of a table are present, and where they will be.
#[derive(Default)]
pub struct Layout {
    /// Offsets in the table by slot; 0: absent.
    slots: Vec<u16>,
    size: usize,
    align: usize,
}

impl Layout {
    pub fn new() -> Self {
        Self { slots: Vec::new(), size: 4, align: 4 }
    }

    /// Room for a field, if it is present.
    pub fn add(&mut self, present: bool, slot: usize, size: usize, align: usize) {
        if !present {
            return;
        }
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, 0);
        }
        self.size = self.size.next_multiple_of(align);
        self.align = self.align.max(align);
        // Too large a table is refused when it begins.
        self.slots[slot] = self.size as u16;
        self.size += size;
    }
}

/// A table that is being written.
pub struct FlatOpen {
    at: usize,
    slots: Vec<u16>,
}

impl FlatOpen {
    fn slot(&self, slot: usize) -> Option<usize> {
        let offset = usize::from(*self.slots.get(slot)?);
        (offset != 0).then_some(self.at + offset)
    }

    /// Where the table is.
    pub fn place(&self) -> usize {
        self.at
    }

    pub fn has(&self, slot: usize) -> bool {
        self.slot(slot).is_some()
    }
}

impl FlatWriter {
    pub fn buffer<T: FlatRecord>(root: &T) -> Result<Vec<u8>, Error> {
        let mut w = Self::default();
        w.out.extend_from_slice(&[0; 4]);
        if let Some(identifier) = T::IDENTIFIER {
            w.out.extend_from_slice(&identifier);
        }
        let at = root.write(&mut w, 1)?;
        w.point(0, at, T::NAME)?;
        if w.out.len() > MAX_BUFFER {
            return Err(unfit(T::NAME, "more than 2 GiB"));
        }
        Ok(w.out)
    }

    /// Zeros, until what follows `lead` bytes after the end is aligned.
    fn align(&mut self, lead: usize, align: usize) {
        let end = (self.out.len() + lead).next_multiple_of(align) - lead;
        self.out.resize(end, 0);
    }

    fn point(&mut self, from: usize, to: usize, place: &str) -> Result<(), Error> {
        if to > MAX_BUFFER {
            return Err(unfit(place, "more than 2 GiB"));
        }
        self.out[from..from + 4].copy_from_slice(&((to - from) as u32).to_le_bytes());
        Ok(())
    }

    pub fn begin(
        &mut self,
        layout: Layout,
        depth: u32,
        place: &'static str,
    ) -> Result<FlatOpen, Error> {
        if depth > MAX_DEPTH {
            return Err(unfit(place, "nested too deep"));
        }
        if layout.size > usize::from(u16::MAX) {
            return Err(unfit(place, "more than 64 KiB in one table"));
        }
        let vtable_size = 4 + 2 * layout.slots.len();
        let mut vtable = Vec::with_capacity(vtable_size);
        vtable.extend_from_slice(&(vtable_size as u16).to_le_bytes());
        vtable.extend_from_slice(&(layout.size as u16).to_le_bytes());
        vtable.extend(layout.slots.iter().flat_map(|offset| offset.to_le_bytes()));
        let shared = self.vtables.iter().rev().take(SHARED_VTABLES);
        let found = shared.copied().find(|at| self.out[*at..].starts_with(&vtable));
        let vtable = found.unwrap_or_else(|| {
            self.align(0, 2);
            let at = self.out.len();
            self.out.extend_from_slice(&vtable);
            self.vtables.push(at);
            at
        });
        self.align(0, layout.align);
        let at = self.out.len();
        self.out.resize(at + layout.size, 0);
        self.out[at..at + 4].copy_from_slice(&((at - vtable) as u32).to_le_bytes());
        Ok(FlatOpen { at, slots: layout.slots })
    }

    /// Writes a number or struct into its table, if it is present there.
    pub fn put<T: Inline>(
        &mut self,
        t: &FlatOpen,
        slot: usize,
        value: &T,
        place: &'static str,
    ) -> Result<(), Error> {
        let Some(at) = t.slot(slot) else { return Ok(()) };
        if !value.fits() {
            return Err(unfit(place, "no value of its enum"));
        }
        value.put(&mut self.out[at..at + T::SIZE]);
        Ok(())
    }

    /// Lets a field lead to what is at `to`.
    pub fn link(
        &mut self,
        t: &FlatOpen,
        slot: usize,
        to: usize,
        place: &'static str,
    ) -> Result<(), Error> {
        match t.slot(slot) {
            Some(at) => self.point(at, to, place),
            None => Ok(()),
        }
    }

    fn count(&mut self, count: usize, align: usize) -> usize {
        self.align(4, align.max(4));
        let at = self.out.len();
        // A number that does not fit belongs to a buffer that is too long.
        self.out.extend_from_slice(&(count as u32).to_le_bytes());
        at
    }

    pub fn string(&mut self, text: &str) -> usize {
        let at = self.bytes(text.as_bytes(), 1);
        self.out.push(0);
        at
    }

    pub fn bytes(&mut self, bytes: &[u8], align: usize) -> usize {
        let at = self.count(bytes.len(), align);
        self.out.extend_from_slice(bytes);
        at
    }

    pub fn inline<T: Inline>(&mut self, value: &T, place: &'static str) -> Result<usize, Error> {
        if !value.fits() {
            return Err(unfit(place, "no value of its enum"));
        }
        self.align(0, T::ALIGN.max(4));
        let at = self.out.len();
        self.out.resize(at + T::SIZE, 0);
        value.put(&mut self.out[at..]);
        Ok(at)
    }

    pub fn inlines<T: Inline>(
        &mut self,
        values: &[T],
        align: usize,
        place: &'static str,
    ) -> Result<usize, Error> {
        if !values.iter().all(T::fits) {
            return Err(unfit(place, "no value of its enum"));
        }
        let at = self.count(values.len(), align.max(T::ALIGN));
        let start = self.out.len();
        self.out.resize(start + values.len() * T::SIZE, 0);
        for (to, from) in self.out[start..].chunks_exact_mut(T::SIZE).zip(values) {
            from.put(to);
        }
        Ok(at)
    }

    /// A vector of offsets; `write` gives the place of an element, or `None` for no value.
    fn each<T>(
        &mut self,
        values: &[T],
        align: usize,
        place: &'static str,
        mut write: impl FnMut(&mut Self, &T) -> Result<Option<usize>, Error>,
    ) -> Result<usize, Error> {
        let at = self.count(values.len(), align);
        let start = self.out.len();
        self.out.resize(start + 4 * values.len(), 0);
        for (i, value) in values.iter().enumerate() {
            if let Some(to) = write(self, value)? {
                self.point(start + 4 * i, to, place)?;
            }
        }
        Ok(at)
    }

    pub fn strings(
        &mut self,
        values: &[String],
        align: usize,
        place: &'static str,
    ) -> Result<usize, Error> {
        self.each(values, align, place, |w, text| Ok(Some(w.string(text))))
    }

    pub fn tables<T: FlatRecord>(
        &mut self,
        values: &[T],
        align: usize,
        depth: u32,
        place: &'static str,
    ) -> Result<usize, Error> {
        self.each(values, align, place, |w, value| value.write(w, depth + 1).map(Some))
    }

    /// The tags of a vector of unions.
    pub fn tags<U: FlatUnion>(&mut self, values: &[Option<U>]) -> usize {
        let at = self.count(values.len(), 1);
        self.out.extend(values.iter().map(|value| value.as_ref().map_or(0, U::tag)));
        at
    }

    pub fn unions<U: FlatUnion>(
        &mut self,
        values: &[Option<U>],
        align: usize,
        depth: u32,
        place: &'static str,
    ) -> Result<usize, Error> {
        self.each(values, align, place, |w, value| match value {
            Some(value) => value.write(w, depth).map(Some),
            None => Ok(None),
        })
    }
}
