//! What a module may ask for at its start.

use crate::error::Error;
use crate::inspect::{ModuleInfo, PAGE_BYTES};

/// Upper bounds of what a module declares; growth while it runs is bounded by the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all linear memories together.
    pub memory_bytes: u64,
    /// Elements of one table.
    pub table_elements: u64,
}

impl Default for Limits {
    /// What any sandbox can have: the address space of one 32-bit memory, and the elements that engines agree on.
    /// <https://webassembly.github.io/spec/js-api/#limits>
    fn default() -> Self {
        Self { memory_bytes: 1 << 32, table_elements: 10_000_000 }
    }
}

impl Limits {
    /// Checks the initial memories and tables of `info`.
    ///
    /// # Errors
    /// [`Error::Limit`] names the memory or table that passes the limit.
    pub fn check(&self, info: &ModuleInfo) -> Result<(), Error> {
        let mut bytes: u128 = 0;
        for memory in &info.memories {
            // Wider than u64: a 64-bit memory may declare 2^48 pages.
            bytes += u128::from(memory.min_pages) * u128::from(PAGE_BYTES);
            if bytes > u128::from(self.memory_bytes) {
                return Err(Error::Limit {
                    what: format!(
                        "memory {} has at least {} pages of 64 KiB",
                        memory.index, memory.min_pages
                    ),
                    wanted: bytes,
                    limit: self.memory_bytes,
                    unit: "bytes of linear memory",
                });
            }
        }
        for table in &info.tables {
            if table.min > self.table_elements {
                return Err(Error::Limit {
                    what: format!("table {}", table.index),
                    wanted: table.min.into(),
                    limit: self.table_elements,
                    unit: "table elements",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;

    fn check(text: &str, limits: Limits) -> Result<(), Error> {
        limits.check(&inspect(&wat::parse_str(text).expect("test module")).expect("valid module"))
    }

    #[test]
    fn memories_count_together_and_imported_ones_too() {
        let limits = Limits { memory_bytes: 3 * PAGE_BYTES, ..Limits::default() };
        assert_eq!(check("(module (import \"m\" \"m\" (memory 1)) (memory 2))", limits), Ok(()));
        let error = check("(module (memory 2) (memory 2))", limits).expect_err("over the limit");
        assert!(
            error.to_string().contains("memory 1") && error.to_string().contains("262144 bytes"),
            "{error}"
        );
    }

    #[test]
    fn a_memory_that_no_machine_has_does_not_overflow() {
        let error =
            check("(module (memory i64 0x1000000000000))", Limits::default()).expect_err("2^64 bytes");
        assert!(error.to_string().contains("18446744073709551616 bytes"), "{error}");
    }

    #[test]
    fn tables_are_limited_one_by_one() {
        let limits = Limits { table_elements: 10, ..Limits::default() };
        assert_eq!(check("(module (table 10 funcref) (table 10 funcref))", limits), Ok(()));
        assert!(matches!(check("(module (table 11 funcref))", limits), Err(Error::Limit { .. })));
    }
}
