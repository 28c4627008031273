//! An index of `.eh_frame`: how each function's frames are laid out.
//!
//! The section is read once. An entry of one byte more can name any other entry, so lengths are
//! bounded: reading is linear, and so is a lookup, in what one function may say.

use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, EndianSlice, Error, LittleEndian,
    UnwindContext, UnwindSection, UnwindTableRow,
};

/// A longer section is ignored.
const MAX_SECTION: usize = 16 << 20;
/// Bytes of one entry: rules of one function, or what several share.
const MAX_ENTRY: usize = 64 << 10;
const MAX_SHARED_ENTRY: usize = 4 << 10;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Shared<'a> = CommonInformationEntry<Slice<'a>>;

#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    end: u64,
    offset: usize,
}

/// Which entry covers which code, ascending.
#[derive(Debug, Default)]
pub struct Frames {
    functions: Vec<Function>,
}

/// The section with what is needed to read it.
pub struct Section<'a> {
    section: EhFrame<Slice<'a>>,
    bases: BaseAddresses,
    bytes: &'a [u8],
}

impl<'a> Section<'a> {
    /// `address`: where the section is in memory.
    pub fn new(bytes: &'a [u8], address: u64) -> Self {
        let bytes = if bytes.len() > MAX_SECTION { &[] } else { bytes };
        let mut section = EhFrame::new(bytes, LittleEndian);
        section.set_address_size(8);
        Self { section, bases: BaseAddresses::default().set_eh_frame(address), bytes }
    }

    fn length(&self, offset: usize) -> Option<usize> {
        let bytes = self.bytes.get(offset..offset.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    }

    fn shared(&self, offset: usize) -> Result<Shared<'a>, Error> {
        match self.length(offset) {
            Some(length) if length <= MAX_SHARED_ENTRY => {
                self.section.cie_from_offset(&self.bases, offset.into())
            }
            _ => Err(Error::OffsetOutOfBounds(0)),
        }
    }
}

impl Frames {
    /// Reads as much of the section as is well-formed.
    pub fn new(section: &Section<'_>) -> Self {
        let mut functions = Vec::new();
        let mut entries = section.section.entries(&section.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let parsed = partial.parse(|_, _, offset| section.shared(offset.0));
            let Ok(function) = parsed else { continue };
            let (start, end) = (function.initial_address(), function.end_address());
            if start < end && function.entry_len() <= MAX_ENTRY {
                functions.push(Function { start, end, offset: function.offset() });
            }
        }
        functions.sort_by_key(|function| function.start);
        Self { functions }
    }

    /// How the frame of the function at `address` looks there.
    pub fn row<'c>(
        &self,
        section: &Section<'_>,
        context: &'c mut UnwindContext<usize>,
        address: u64,
    ) -> Option<&'c UnwindTableRow<usize>> {
        let after = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions[..after].last().filter(|function| address < function.end)?;
        let entry =
            section.section.fde_from_offset(&section.bases, function.offset.into(), |_, _, offset| {
                section.shared(offset.0)
            });
        entry.ok()?.unwind_info_for_address(&section.section, &section.bases, context, address).ok()
    }
}
