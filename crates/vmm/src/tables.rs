//! Page tables and the few bytes of ring 0: descriptor tables and exception stubs that only leave the VM.
//!
//! Everything here is supervisor-only. Accessed and dirty bits are set beforehand, so that the page walker never
//! writes a table and a table page never becomes dirty.

use crate::error::{Error, Kind, Result};
use hlfuzz_abi::map;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED_DIRTY: u64 = 3 << 5;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// How a page may be used. There is no writable and executable variant: W^X by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Ring 0 only: tables, stack, stubs.
    Supervisor,
    /// Ring 0 only, executable, not writable: the stubs.
    SupervisorCode,
    ReadOnly,
    ReadWrite,
    ReadExecute,
}

impl Access {
    fn bits(self) -> u64 {
        PRESENT
            | ACCESSED_DIRTY
            | match self {
                Self::Supervisor => WRITE | NO_EXECUTE,
                Self::SupervisorCode => 0,
                Self::ReadOnly => USER | NO_EXECUTE,
                Self::ReadWrite => USER | WRITE | NO_EXECUTE,
                Self::ReadExecute => USER,
            }
    }
}

/// Builds the tables in guest RAM, identity mapped.
pub struct Tables<'a> {
    ram: &'a mut [u8],
    next: u64,
}

impl<'a> Tables<'a> {
    /// `ram` is the whole of guest RAM, zeroed.
    pub fn new(ram: &'a mut [u8]) -> Self {
        Self { ram, next: map::TABLE_POOL }
    }

    pub fn ram(&mut self) -> &mut [u8] {
        self.ram
    }

    fn read(&self, address: u64) -> u64 {
        let at = address as usize;
        u64::from_le_bytes(self.ram[at..at + 8].try_into().expect("eight bytes"))
    }

    fn write(&mut self, address: u64, value: u64) {
        let at = address as usize;
        self.ram[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn entry(&mut self, address: u64) -> Result<u64> {
        let mut table = map::PML4;
        for level in [39, 30, 21] {
            let slot = table + 8 * ((address >> level) & 511);
            let mut value = self.read(slot);
            if value & PRESENT == 0 {
                if self.next >= map::TABLE_POOL_END {
                    return Err(Error::new(
                        Kind::Limit,
                        "the page-table pool is full; lower the memory limit",
                    ));
                }
                // upper levels allow everything; the leaf decides
                value = self.next | PRESENT | WRITE | USER | ACCESSED_DIRTY;
                self.write(slot, value);
                self.next += map::PAGE;
            }
            table = value & ADDRESS;
        }
        Ok(table + 8 * ((address >> 12) & 511))
    }

    /// Maps `len` bytes from `address` (both page-aligned) to themselves.
    pub fn map(&mut self, address: u64, len: u64, access: Access) -> Result<()> {
        let mut page = address;
        while page < address + len {
            let mut slot = self.entry(page)?;
            // one walk a table of 512 entries
            loop {
                self.write(slot, page | access.bits());
                page += map::PAGE;
                slot += 8;
                if page >= address + len || page & 0x1f_ffff == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Memory that the guest may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub range: std::ops::Range<u64>,
    pub write: bool,
    pub execute: bool,
}

/// What the tables in a guest RAM of `ram` bytes let CPL3 read there, ascending, neighbours of one kind joined. `page`
/// gives a page's content by its number, None for zeros.
pub fn guest_ranges<'p>(page: impl Fn(u32) -> Option<&'p [u8]>, ram: u64) -> Vec<Mapped> {
    let entry = |table: u64, index: u64| {
        let at = 8 * index as usize;
        let bytes = page((table / map::PAGE) as u32)?.get(at..at + 8)?;
        let value = u64::from_le_bytes(bytes.try_into().ok()?);
        (value & PRESENT != 0).then_some(value)
    };
    let mut found: Vec<Mapped> = Vec::new();
    let mut address = 0;
    while address < ram {
        let mut table = Some(map::PML4);
        for level in [39, 30, 21] {
            table =
                table.and_then(|table| entry(table, (address >> level) & 511)).map(|value| value & ADDRESS);
        }
        let Some(table) = table else {
            address = (address | 0x1f_ffff) + 1;
            continue;
        };
        if let Some(value) = entry(table, (address >> 12) & 511).filter(|value| value & USER != 0) {
            let (write, execute) = (value & WRITE != 0, value & NO_EXECUTE == 0);
            match found.last_mut() {
                Some(last) if last.range.end == address && (last.write, last.execute) == (write, execute) => {
                    last.range.end += map::PAGE;
                }
                _ => found.push(Mapped { range: address..address + map::PAGE, write, execute }),
            }
        }
        address += map::PAGE;
    }
    found
}

/// Selectors of the descriptor table below.
pub const CODE_SELECTOR: u16 = 0x33;
pub const DATA_SELECTOR: u16 = 0x2b;
pub const TASK_SELECTOR: u16 = 0x40;
pub const GDT_LIMIT: u16 = 0x7f;
pub const IDT_LIMIT: u16 = 0xfff;
pub const TSS_LIMIT: u32 = 0x67;

/// Exceptions for which the CPU pushes an error code (Intel SDM vol. 3, table 6-1, and AMD APM vol. 2, table 8-1).
const WITH_ERROR_CODE: [u8; 10] = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30];

/// Writes descriptor tables and stubs and maps them.
pub fn build_ring0(tables: &mut Tables<'_>) -> Result<()> {
    // flat 64-bit code and data for ring 0 (0x08, 0x10) and ring 3 (0x33, 0x2b)
    for (index, descriptor) in [
        (1, 0x00af_9b00_0000_ffff),
        (2, 0x00cf_9300_0000_ffff),
        (5, 0x00cf_f300_0000_ffff),
        (6, 0x00af_fb00_0000_ffff),
    ] {
        tables.write(map::GDT + 8 * index, descriptor);
    }
    // the TSS gives the ring-0 stack; its I/O bitmap offset lies past its limit: no port is open to ring 3
    tables.write(map::GDT + 64, 0x0000_8900_0000_0067 | (map::TSS << 16));
    tables.write(map::TSS + 4, map::RING0_STACK_TOP);
    let at = map::TSS as usize + 0x66;
    tables.ram[at..at + 2].copy_from_slice(&0x68u16.to_le_bytes());
    for vector in 0..32u8 {
        let stub = map::STUBS + 16 * u64::from(vector);
        let mut code = Vec::with_capacity(16);
        if !WITH_ERROR_CODE.contains(&vector) {
            code.extend([0x6a, 0]); // push 0: every frame has the same shape
        }
        code.extend([0x6a, vector]); // push vector
        code.extend([0xe6, map::EXCEPTION_PORT]); // out port, al: leaves the VM
        code.extend([0xeb, 0xfc]); // jmp to the out: an exception never returns into the guest
        tables.ram[stub as usize..stub as usize + code.len()].copy_from_slice(&code);
        let gate = map::IDT + 16 * u64::from(vector);
        let low = (stub & 0xffff) | 0x08 << 16 | 0x8e00 << 32 | ((stub >> 16) & 0xffff) << 48;
        tables.write(gate, low);
        tables.write(gate + 8, stub >> 32);
    }
    tables.map(map::PML4, map::STUBS - map::PML4, Access::Supervisor)?;
    tables.map(map::STUBS, map::PAGE, Access::SupervisorCode)?;
    tables.map(map::RING0_STACK, map::PAGE, Access::Supervisor)?;
    tables.map(map::TABLE_POOL, map::TABLE_POOL_END - map::TABLE_POOL, Access::Supervisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(ram: &mut [u8], address: u64) -> u64 {
        let mut tables = Tables { ram, next: map::TABLE_POOL_END };
        tables.entry(address).map_or(0, |slot| tables.read(slot))
    }

    #[test]
    fn no_page_is_writable_and_executable() {
        for access in [
            Access::Supervisor,
            Access::SupervisorCode,
            Access::ReadOnly,
            Access::ReadWrite,
            Access::ReadExecute,
        ] {
            let bits = access.bits();
            assert!(bits & WRITE == 0 || bits & NO_EXECUTE != 0, "{access:?}");
        }
    }

    #[test]
    fn a_mapping_reaches_across_tables_and_leaves_its_neighbours_unmapped() {
        let mut ram = vec![0u8; 4 << 20];
        let mut tables = Tables::new(&mut ram);
        tables.map(0x1f_e000, 0x3000, Access::ReadWrite).unwrap();
        for (page, mapped) in
            [(0x1f_d000, false), (0x1f_e000, true), (0x1f_f000, true), (0x20_0000, true), (0x20_1000, false)]
        {
            assert_eq!(leaf(&mut ram, page) & PRESENT != 0, mapped, "{page:#x}");
        }
        assert_eq!(leaf(&mut ram, 0x20_0000), 0x20_0000 | Access::ReadWrite.bits());
    }

    #[test]
    fn a_full_pool_is_an_error_and_not_a_write_elsewhere() {
        let mut ram = vec![0u8; 4 << 20];
        let mut tables = Tables { ram: &mut ram, next: map::TABLE_POOL_END };
        assert_eq!(tables.map(0x20_0000, 0x1000, Access::ReadOnly).unwrap_err().kind, Kind::Limit);
    }
}
