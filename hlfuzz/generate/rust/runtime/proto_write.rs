/// The value of a required field that is to be written.
pub fn need<'a, T>(value: &'a Option<T>, place: &'static str) -> Result<&'a T, Error> {
    value.as_ref().ok_or_else(|| unfit(place, "required, and absent"))
}

/// Writes a message.
pub struct ProtoWriter {
    out: Vec<u8>,
    depth: u32,
}

impl ProtoWriter {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    fn run(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn deeper(&mut self, place: &str) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(unfit(place, "nested too deep"));
        }
        Ok(())
    }

    /// What `write` writes, with its length in front.
    fn lengthy(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let start = self.out.len();
        write(self)?;
        let end = self.out.len();
        self.varint((end - start) as u64);
        let width = self.out.len() - end;
        self.out[start..].rotate_right(width);
        Ok(())
    }

    fn sub(
        &mut self,
        place: &str,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.deeper(place)?;
        self.lengthy(write)?;
        self.depth -= 1;
        Ok(())
    }

    pub fn field<K: Kind<T>, T>(
        &mut self,
        number: u32,
        value: &T,
        place: &'static str,
    ) -> Result<(), Error> {
        self.tag(number, K::WIRE);
        K::write(value, self, number, place)
    }

    pub fn packed<K: Kind<T>, T>(
        &mut self,
        number: u32,
        values: &[T],
        place: &'static str,
    ) -> Result<(), Error> {
        if values.is_empty() {
            return Ok(());
        }
        self.tag(number, LEN);
        self.lengthy(|w| values.iter().try_for_each(|value| K::write(value, w, number, place)))
    }

    pub fn map<A: Kind<K>, B: Kind<V>, K, V>(
        &mut self,
        number: u32,
        values: &BTreeMap<K, V>,
        place: &'static str,
    ) -> Result<(), Error> {
        for (key, value) in values {
            self.tag(number, LEN);
            self.sub(place, |w| {
                w.field::<A, K>(1, key, place)?;
                w.field::<B, V>(2, value, place)
            })?;
        }
        Ok(())
    }
}
