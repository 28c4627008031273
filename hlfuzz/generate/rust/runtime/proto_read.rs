use alloc::boxed::Box;
use alloc::collections::BTreeMap;

const VARINT: u32 = 0;
const I64: u32 = 1;
const LEN: u32 = 2;
const GROUP: u32 = 3;
const END: u32 = 4;
const I32: u32 = 5;
const MAX_LENGTH: u64 = 0x7FFF_FFFF;

/// A message.
pub trait ProtoRecord: Default {
    const NAME: &'static str;
    /// Reads one field, which may be part of what came before.
    fn field(&mut self, r: &mut ProtoReader<'_>, tag: Tag) -> Result<(), Error>;
    fn write(&self, w: &mut ProtoWriter) -> Result<(), Error>;
    /// Whether everything that is required is there.
    fn complete(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<T: ProtoRecord> Message for T {
    const NAME: &'static str = T::NAME;

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut w = ProtoWriter { out: Vec::new(), depth: 1 };
        self.write(&mut w)?;
        if w.out.len() as u64 > MAX_LENGTH {
            return Err(unfit(T::NAME, "more than 2 GiB"));
        }
        Ok(w.out)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() as u64 > MAX_LENGTH {
            return Err(refused(T::NAME, "too long", 0));
        }
        let mut r = ProtoReader { bytes, at: 0, end: bytes.len(), depth: 0, records: 0 };
        let mut message = T::default();
        r.fields(&mut message, None)?;
        message.complete()?;
        Ok(message)
    }
}

/// An enum; every number is allowed in an open one.
pub trait ProtoEnum: Copy + Default {
    fn from_number(number: i32) -> Self;
    fn number(self) -> i32;
    fn allowed(self) -> bool;
}

/// A field's number and wire type.
#[derive(Clone, Copy)]
pub struct Tag {
    pub number: u32,
    wire: u32,
}

/// How a type is written. `read` gives `None` for an enum's number that is to be ignored.
pub trait Kind<T> {
    const WIRE: u32;
    fn read(r: &mut ProtoReader<'_>, tag: Tag, place: &'static str) -> Result<Option<T>, Error>;
    fn write(value: &T, w: &mut ProtoWriter, number: u32, place: &'static str)
    -> Result<(), Error>;
    /// What a map entry has where it has none.
    fn absent() -> T;
}

/// Integers and booleans.
pub struct Varint;
/// Signed integers whose sign is the lowest bit.
pub struct Zigzag;
/// Numbers of fixed width.
pub struct Fixed;
/// UTF-8.
pub struct Text;
/// Bytes, and text that may be none.
pub struct Raw;
pub struct Enums;
/// Messages with their length in front.
pub struct Sub;
/// Messages between two tags.
pub struct Delimited;

macro_rules! varints {
    ($($type:ty),*) => {$(
        impl Kind<$type> for Varint {
            const WIRE: u32 = VARINT;
            fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<$type>, Error> {
                Ok(Some(r.varint(place)? as $type))
            }
            fn write(value: &$type, w: &mut ProtoWriter, _: u32, _: &'static str) -> Result<(), Error> {
                // Negative numbers are extended to 64 bits.
                w.varint(*value as i64 as u64);
                Ok(())
            }
            fn absent() -> $type {
                0
            }
        }
    )*};
}

varints!(i32, u32, i64, u64);

impl Kind<bool> for Varint {
    const WIRE: u32 = VARINT;
    fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<bool>, Error> {
        Ok(Some(r.varint(place)? != 0))
    }
    fn write(value: &bool, w: &mut ProtoWriter, _: u32, _: &'static str) -> Result<(), Error> {
        w.varint(u64::from(*value));
        Ok(())
    }
    fn absent() -> bool {
        false
    }
}

macro_rules! zigzags {
    ($($type:ty: $unsigned:ty),*) => {$(
        impl Kind<$type> for Zigzag {
            const WIRE: u32 = VARINT;
            fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<$type>, Error> {
                let bits = r.varint(place)? as $unsigned;
                Ok(Some((bits >> 1) as $type ^ -((bits & 1) as $type)))
            }
            fn write(value: &$type, w: &mut ProtoWriter, _: u32, _: &'static str) -> Result<(), Error> {
                w.varint(u64::from((*value << 1 ^ *value >> (<$type>::BITS - 1)) as $unsigned));
                Ok(())
            }
            fn absent() -> $type {
                0
            }
        }
    )*};
}

zigzags!(i32: u32, i64: u64);

macro_rules! fixed {
    ($($type:ty: $wire:expr),*) => {$(
        impl Kind<$type> for Fixed {
            const WIRE: u32 = $wire;
            fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<$type>, Error> {
                Ok(Some(<$type>::from_le_bytes(r.array(place)?)))
            }
            fn write(value: &$type, w: &mut ProtoWriter, _: u32, _: &'static str) -> Result<(), Error> {
                w.out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            fn absent() -> $type {
                Default::default()
            }
        }
    )*};
}

fixed!(i32: I32, u32: I32, f32: I32, i64: I64, u64: I64, f64: I64);

impl Kind<String> for Text {
    const WIRE: u32 = LEN;
    fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<String>, Error> {
        let bytes = r.run(place)?;
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(refused(place, "not UTF-8", r.at - bytes.len())),
        }
    }
    fn write(value: &String, w: &mut ProtoWriter, _: u32, _: &'static str) -> Result<(), Error> {
        w.run(value.as_bytes());
        Ok(())
    }
    fn absent() -> String {
        String::new()
    }
}

impl Kind<Vec<u8>> for Raw {
    const WIRE: u32 = LEN;
    fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<Vec<u8>>, Error> {
        Ok(Some(r.run(place)?.into()))
    }
    fn write(value: &Vec<u8>, w: &mut ProtoWriter, _: u32, _: &'static str) -> Result<(), Error> {
        w.run(value);
        Ok(())
    }
    fn absent() -> Vec<u8> {
        Vec::new()
    }
}

impl<E: ProtoEnum> Kind<E> for Enums {
    const WIRE: u32 = VARINT;
    fn read(r: &mut ProtoReader<'_>, _: Tag, place: &'static str) -> Result<Option<E>, Error> {
        let value = E::from_number(r.varint(place)? as i32);
        Ok(value.allowed().then_some(value))
    }
    fn write(value: &E, w: &mut ProtoWriter, _: u32, place: &'static str) -> Result<(), Error> {
        if !value.allowed() {
            return Err(unfit(place, "no value of its enum"));
        }
        w.varint(i64::from(value.number()) as u64);
        Ok(())
    }
    fn absent() -> E {
        E::default()
    }
}

/// Messages, which may come in several parts.
pub trait Merge<M>: Kind<M> {
    fn merge(
        r: &mut ProtoReader<'_>,
        message: &mut M,
        tag: Tag,
        place: &'static str,
    ) -> Result<(), Error>;
}

impl<M: ProtoRecord> Merge<M> for Sub {
    fn merge(
        r: &mut ProtoReader<'_>,
        message: &mut M,
        _: Tag,
        place: &'static str,
    ) -> Result<(), Error> {
        let outer = r.end;
        r.end = r.length(place)?;
        r.fields(message, None)?;
        r.end = outer;
        Ok(())
    }
}

impl<M: ProtoRecord> Kind<M> for Sub {
    const WIRE: u32 = LEN;
    fn read(r: &mut ProtoReader<'_>, tag: Tag, place: &'static str) -> Result<Option<M>, Error> {
        let mut message = M::default();
        Self::merge(r, &mut message, tag, place)?;
        Ok(Some(message))
    }
    fn write(value: &M, w: &mut ProtoWriter, _: u32, place: &'static str) -> Result<(), Error> {
        w.sub(place, |w| value.write(w))
    }
    fn absent() -> M {
        M::default()
    }
}

impl<M: ProtoRecord> Merge<M> for Delimited {
    fn merge(
        r: &mut ProtoReader<'_>,
        message: &mut M,
        tag: Tag,
        _: &'static str,
    ) -> Result<(), Error> {
        r.fields(message, Some(tag.number))
    }
}

impl<M: ProtoRecord> Kind<M> for Delimited {
    const WIRE: u32 = GROUP;
    fn read(r: &mut ProtoReader<'_>, tag: Tag, place: &'static str) -> Result<Option<M>, Error> {
        let mut message = M::default();
        Self::merge(r, &mut message, tag, place)?;
        Ok(Some(message))
    }
    fn write(value: &M, w: &mut ProtoWriter, number: u32, place: &'static str) -> Result<(), Error> {
        w.deeper(place)?;
        value.write(w)?;
        w.depth -= 1;
        w.tag(number, END);
        Ok(())
    }
    fn absent() -> M {
        M::default()
    }
}

/// Reads a message by the rules of the host's verifier.
pub struct ProtoReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message that is being read ends.
    end: usize,
    depth: u32,
    records: u64,
}

impl<'a> ProtoReader<'a> {
    fn take(&mut self, len: usize, place: &str) -> Result<&'a [u8], Error> {
        let found = self.bytes[..self.end].get(self.at..).and_then(|rest| rest.get(..len));
        let found = found.ok_or_else(|| refused(place, "cut off", self.at))?;
        self.at += len;
        Ok(found)
    }

    fn array<const N: usize>(&mut self, place: &str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, place)?);
        Ok(array)
    }

    fn varint(&mut self, place: &str) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array(place)?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(refused(place, "a number of more than 10 bytes", self.at))
    }

    /// A tag or a length: at most five bytes.
    fn short(&mut self, most: u64, place: &str) -> Result<u64, Error> {
        let start = self.at;
        let value = self.varint(place)?;
        if self.at - start > 5 || value > most {
            return Err(refused(place, "a tag or length out of range", start));
        }
        Ok(value)
    }

    fn tag(&mut self, place: &str) -> Result<Tag, Error> {
        let start = self.at;
        let bits = self.short(u64::from(u32::MAX), place)? as u32;
        if bits < 8 || bits & 7 > I32 {
            return Err(refused(place, "no field number or wire type", start));
        }
        Ok(Tag { number: bits >> 3, wire: bits & 7 })
    }

    /// Reads a length: the end of what follows.
    fn length(&mut self, place: &str) -> Result<usize, Error> {
        let start = self.at;
        let len = self.short(MAX_LENGTH, place)? as usize;
        if len > self.end - self.at {
            return Err(refused(place, "a length out of bounds", start));
        }
        Ok(self.at + len)
    }

    fn run(&mut self, place: &str) -> Result<&'a [u8], Error> {
        let end = self.length(place)?;
        self.take(end - self.at, place)
    }

    fn deeper(&mut self, place: &str) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(refused(place, "too deep", self.at));
        }
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(refused(place, "too many messages", self.at));
        }
        Ok(())
    }

    /// The next tag of a message, or `None` at its end: of a group, the tag that ends it.
    fn next(&mut self, group: Option<u32>, place: &str) -> Result<Option<Tag>, Error> {
        if self.at == self.end {
            return match group {
                None => Ok(None),
                Some(_) => Err(refused(place, "a group without end", self.at)),
            };
        }
        let tag = self.tag(place)?;
        if tag.wire != END {
            return Ok(Some(tag));
        }
        match group == Some(tag.number) {
            true => Ok(None),
            false => Err(refused(place, "a group ends that was not open", self.at)),
        }
    }

    /// Reads fields up to the end of the message, or of its group.
    fn fields<M: ProtoRecord>(&mut self, message: &mut M, group: Option<u32>) -> Result<(), Error> {
        self.deeper(M::NAME)?;
        while let Some(tag) = self.next(group, M::NAME)? {
            message.field(self, tag)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over an unknown field.
    pub fn skip(&mut self, tag: Tag, place: &'static str) -> Result<(), Error> {
        match tag.wire {
            VARINT => self.varint(place).map(drop),
            I64 => self.take(8, place).map(drop),
            I32 => self.take(4, place).map(drop),
            LEN => self.run(place).map(drop),
            GROUP => {
                self.deeper(place)?;
                while let Some(inner) = self.next(Some(tag.number), place)? {
                    self.skip(inner, place)?;
                }
                self.depth -= 1;
                Ok(())
            }
            _ => Err(refused(place, "no wire type", self.at)),
        }
    }

    fn expect(&self, tag: Tag, wire: u32, place: &str) -> Result<(), Error> {
        if tag.wire != wire {
            return Err(refused(place, "another wire type", self.at));
        }
        Ok(())
    }

    pub fn one<K: Kind<T>, T>(&mut self, tag: Tag, place: &'static str) -> Result<Option<T>, Error> {
        self.expect(tag, K::WIRE, place)?;
        K::read(self, tag, place)
    }

    pub fn set<K: Kind<T>, T>(
        &mut self,
        to: &mut T,
        tag: Tag,
        place: &'static str,
    ) -> Result<(), Error> {
        if let Some(value) = self.one::<K, T>(tag, place)? {
            *to = value;
        }
        Ok(())
    }

    pub fn set_some<K: Kind<T>, T>(
        &mut self,
        to: &mut Option<T>,
        tag: Tag,
        place: &'static str,
    ) -> Result<(), Error> {
        if let Some(value) = self.one::<K, T>(tag, place)? {
            *to = Some(value);
        }
        Ok(())
    }

    pub fn merge<K: Merge<M>, M: ProtoRecord>(
        &mut self,
        to: &mut M,
        tag: Tag,
        place: &'static str,
    ) -> Result<(), Error> {
        self.expect(tag, K::WIRE, place)?;
        K::merge(self, to, tag, place)
    }

    pub fn push<K: Kind<T>, T>(
        &mut self,
        to: &mut Vec<T>,
        tag: Tag,
        place: &'static str,
    ) -> Result<(), Error> {
        if tag.wire != LEN || K::WIRE == LEN || K::WIRE == GROUP {
            to.extend(self.one::<K, T>(tag, place)?);
            return Ok(());
        }
        let outer = self.end;
        self.end = self.length(place)?;
        while self.at < self.end {
            to.extend(K::read(self, tag, place)?);
        }
        self.end = outer;
        Ok(())
    }

    pub fn insert<A: Kind<K>, B: Kind<V>, K: Ord, V>(
        &mut self,
        to: &mut BTreeMap<K, V>,
        tag: Tag,
        place: &'static str,
    ) -> Result<(), Error> {
        self.expect(tag, LEN, place)?;
        let outer = self.end;
        self.end = self.length(place)?;
        self.deeper(place)?;
        let (mut key, mut value) = (A::absent(), B::absent());
        // As the host's runtime has it: an entry with something unknown in it is unknown as a whole.
        let mut unknown = false;
        while let Some(part) = self.next(None, place)? {
            match part.number {
                1 => self.set::<A, K>(&mut key, part, place)?,
                2 => match self.one::<B, V>(part, place)? {
                    Some(found) => value = found,
                    None => unknown = true,
                },
                _ => {
                    self.skip(part, place)?;
                    unknown = true;
                }
            }
        }
        self.depth -= 1;
        self.end = outer;
        if !unknown {
            to.insert(key, value);
        }
        Ok(())
    }
}

/// Refuses a message that lacks a required field.
pub fn present(is: bool, place: &'static str) -> Result<(), Error> {
    if is { Ok(()) } else { Err(Error::new(INVALID, format!("{place}: required, and absent"))) }
}
