//! Describes an untrusted module: imports, exports, memories, features, sections.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::collect::Collector;
use crate::error::Error;
use crate::types::{ExternType, ValType};
use crate::{features, header};

/// Bytes of a page of linear memory.
pub const PAGE_BYTES: u64 = 1 << 16;
/// Name and version of the JSON shape.
pub const SCHEMA: &str = "hlfuzz.module/1";

/// What a module needs and offers. Serialises to the JSON shape [`SCHEMA`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleInfo {
    pub schema: &'static str,
    /// Size of the module in bytes.
    pub bytes: u64,
    /// SHA-256 of the module, in hexadecimal.
    pub sha256: String,
    /// In the module's order.
    pub imports: Vec<Import>,
    /// In the module's order: the position is the number by which the C API calls a function.
    pub exports: Vec<Export>,
    /// The whole index space, imported memories first.
    pub memories: Vec<Memory>,
    /// The whole index space, imported tables first.
    pub tables: Vec<Table>,
    /// Size of the index space of globals, imported ones included.
    pub globals: u64,
    /// Size of the index space of functions, imported ones included.
    pub functions: u64,
    /// Whether the module has a start function.
    pub start: bool,
    /// Wasm features beyond the first version of Wasm that the module uses.
    pub features: Vec<String>,
    pub custom_sections: Vec<CustomSection>,
    pub data_segments: u64,
    pub elem_segments: u64,
    /// Size of the code section in bytes.
    pub code_bytes: u64,
    /// The `producers` section: field, then name and version. Empty when there is none or it is malformed.
    pub producers: BTreeMap<String, BTreeMap<String, String>>,
    /// Initial bytes of all memories together; `u64::MAX` when they are more.
    pub memory_bytes_min: u64,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    pub module: String,
    pub name: String,
    #[serde(flatten)]
    pub ty: ExternType,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Export {
    pub name: String,
    #[serde(flatten)]
    pub ty: ExternType,
}

/// One linear memory; sizes are in pages of [`PAGE_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub index: u32,
    pub min_pages: u64,
    pub max_pages: Option<u64>,
    pub memory64: bool,
    pub shared: bool,
    pub imported: bool,
}

/// One table; sizes are in elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    pub index: u32,
    pub element: ValType,
    pub min: u64,
    pub max: Option<u64>,
    pub table64: bool,
    pub imported: bool,
}

/// One custom section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomSection {
    pub name: String,
    /// Size of its contents in bytes, without the name.
    pub bytes: u64,
}

/// Validates and describes `bytes`, which may be anything.
///
/// # Errors
/// Every variant of [`Error`] except `TooLarge` (the caller's limit), `Limit` and `Internal`.
pub fn inspect(bytes: &[u8]) -> Result<ModuleInfo, Error> {
    inspect_known(bytes, || None)
}

/// The same. `known` gives the features of these very bytes if they were validated before; it is asked for them only
/// when the bytes look like a module at all.
pub fn inspect_known(bytes: &[u8], known: impl FnOnce() -> Option<Vec<String>>) -> Result<ModuleInfo, Error> {
    header::check_header(bytes)?;
    header::check_complete(bytes)?;
    let features = known().map_or_else(|| features::validate(bytes), Ok)?;
    let mut collector = Collector::default();
    collector.read(bytes)?;
    let memory_bytes: u128 =
        collector.memories.iter().map(|memory| u128::from(memory.min_pages) * u128::from(PAGE_BYTES)).sum();
    Ok(ModuleInfo {
        schema: SCHEMA,
        bytes: bytes.len() as u64,
        sha256: format!("{:x}", Sha256::digest(bytes)),
        globals: collector.globals.len() as u64,
        functions: collector.functions.len() as u64,
        imports: collector.imports,
        exports: collector.exports,
        memories: collector.memories,
        tables: collector.tables,
        start: collector.start,
        features,
        custom_sections: collector.custom_sections,
        data_segments: collector.data_segments,
        elem_segments: collector.elem_segments,
        code_bytes: collector.code_bytes,
        producers: collector.producers,
        memory_bytes_min: u64::try_from(memory_bytes).unwrap_or(u64::MAX),
    })
}
