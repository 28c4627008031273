//! How far memories and tables may grow, and what happens beyond.

use core::fmt;
use hlfuzz_abi::{Boot, boot_flag, trap};
use wasmtime::{ResourceLimiter, Result};

/// The limits of the boot record.
pub struct Limits {
    memory_bytes: usize,
    table_elements: usize,
    traps: bool,
}

impl Limits {
    pub fn new(record: &Boot) -> Self {
        Self {
            memory_bytes: record.memory_limit as usize,
            table_elements: record.table_limit as usize,
            traps: record.flags & boot_flag::GROW_TRAPS != 0,
        }
    }

    /// A module's own maximum is part of its program, so exceeding that is -1 in either mode.
    fn allows(&self, desired: usize, limit: usize, maximum: Option<usize>, code: u32) -> Result<bool> {
        if desired > limit && self.traps {
            return Err(Exceeded { code, desired, limit }.into());
        }
        Ok(desired <= limit && maximum.is_none_or(|maximum| desired <= maximum))
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.allows(desired, self.memory_bytes, maximum, trap::MEMORY_LIMIT)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.allows(desired, self.table_elements, maximum, trap::TABLE_LIMIT)
    }
}

/// What unwinds a guest that wanted more than its limit. `code` is one of `trap`.
#[derive(Debug)]
pub struct Exceeded {
    pub code: u32,
    desired: usize,
    limit: usize,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, unit) = match self.code {
            trap::MEMORY_LIMIT => ("memory.grow", "bytes"),
            _ => ("table.grow", "elements"),
        };
        write!(f, "{what} to {} {unit}, over the limit of {}", self.desired, self.limit)
    }
}

impl core::error::Error for Exceeded {}
