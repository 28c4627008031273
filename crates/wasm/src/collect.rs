//! One pass over a validated module that gathers what its description needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmparser::{
    BinaryReaderError, CompositeInnerType, CustomSectionReader, ExternalKind, Imports, KnownCustom, Parser,
    Payload, TypeRef,
};

use crate::error::Error;
use crate::inspect::{CustomSection, Export, Import, Memory, Table};
use crate::types::{ExternType, FuncType, GlobalType, MemoryType, TableType};

/// What has been seen of the module so far.
#[derive(Default)]
pub struct Collector {
    /// `None` for types that are no functions.
    types: Vec<Option<Arc<FuncType>>>,
    memory_types: Vec<MemoryType>,
    table_types: Vec<TableType>,
    tags: Vec<Arc<FuncType>>,
    pub functions: Vec<Arc<FuncType>>,
    pub globals: Vec<GlobalType>,
    pub memories: Vec<Memory>,
    pub tables: Vec<Table>,
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    pub start: bool,
    pub custom_sections: Vec<CustomSection>,
    pub data_segments: u64,
    pub elem_segments: u64,
    pub code_bytes: u64,
    pub producers: BTreeMap<String, BTreeMap<String, String>>,
}

impl From<BinaryReaderError> for Error {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid { offset: error.offset() as u64, message: error.message().to_owned() }
    }
}

impl Collector {
    /// Reads the module `bytes`, which the validator has accepted.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the module was not validated.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut parser = Parser::new(0);
        let mut offset = 0;
        loop {
            let wasmparser::Chunk::Parsed { consumed, payload } = parser.parse(&bytes[offset..], true)?
            else {
                return Err(unvalidated(offset));
            };
            offset += consumed;
            match payload {
                Payload::CodeSectionStart { size, .. } => {
                    self.code_bytes = size.into();
                    parser.skip_section();
                    offset = offset.saturating_add(size as usize).min(bytes.len());
                }
                Payload::End(_) => return Ok(()),
                other => self.section(other)?,
            }
        }
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.into_types() {
                        self.types.push(match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(Arc::new(ty.into())),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports {
                    let Imports::Single(offset, import) = import? else { return Err(unvalidated(0)) };
                    let ty = self.import(import.ty, offset)?;
                    self.imports.push(Import { module: import.module.into(), name: import.name.into(), ty });
                }
            }
            Payload::FunctionSection(functions) => {
                for index in functions {
                    let ty = self.func_type(index?)?;
                    self.functions.push(ty);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.add_table(table?.ty.into(), false);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.add_memory(memory?.into(), false);
                }
            }
            Payload::TagSection(tags) => {
                for tag in tags {
                    let ty = self.func_type(tag?.func_type_idx)?;
                    self.tags.push(ty);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    self.globals.push(global?.ty.into());
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    let ty = self.export(export.kind, export.index)?;
                    self.exports.push(Export { name: export.name.into(), ty });
                }
            }
            Payload::StartSection { .. } => self.start = true,
            Payload::ElementSection(segments) => self.elem_segments = segments.count().into(),
            Payload::DataSection(segments) => self.data_segments = segments.count().into(),
            Payload::CustomSection(section) => self.custom(&section),
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, ty: TypeRef, offset: usize) -> Result<ExternType, Error> {
        Ok(match ty {
            TypeRef::Func(index) => {
                let ty = self.func_type(index)?;
                self.functions.push(ty.clone());
                ExternType::Func(ty)
            }
            TypeRef::Tag(tag) => {
                let ty = self.func_type(tag.func_type_idx)?;
                self.tags.push(ty.clone());
                ExternType::Tag(ty)
            }
            TypeRef::Table(ty) => {
                let ty = TableType::from(ty);
                self.add_table(ty.clone(), true);
                ExternType::Table(ty)
            }
            TypeRef::Memory(ty) => {
                let ty = MemoryType::from(ty);
                self.add_memory(ty.clone(), true);
                ExternType::Memory(ty)
            }
            TypeRef::Global(ty) => {
                let ty = GlobalType::from(ty);
                self.globals.push(ty.clone());
                ExternType::Global(ty)
            }
            TypeRef::FuncExact(_) => return Err(unvalidated(offset)),
        })
    }

    fn export(&mut self, kind: ExternalKind, index: u32) -> Result<ExternType, Error> {
        let index = index as usize;
        let ty = match kind {
            ExternalKind::Func => self.functions.get(index).cloned().map(ExternType::Func),
            ExternalKind::Tag => self.tags.get(index).cloned().map(ExternType::Tag),
            ExternalKind::Table => self.table_types.get(index).cloned().map(ExternType::Table),
            ExternalKind::Memory => self.memory_types.get(index).cloned().map(ExternType::Memory),
            ExternalKind::Global => self.globals.get(index).cloned().map(ExternType::Global),
            ExternalKind::FuncExact => None,
        };
        ty.ok_or_else(|| unvalidated(0))
    }

    fn add_memory(&mut self, ty: MemoryType, imported: bool) {
        self.memories.push(Memory {
            index: self.memories.len() as u32,
            min_pages: ty.min,
            max_pages: ty.max,
            memory64: ty.memory64,
            shared: ty.shared,
            imported,
        });
        self.memory_types.push(ty);
    }

    fn add_table(&mut self, ty: TableType, imported: bool) {
        self.tables.push(Table {
            index: self.tables.len() as u32,
            element: ty.element.clone(),
            min: ty.min,
            max: ty.max,
            table64: ty.table64,
            imported,
        });
        self.table_types.push(ty);
    }

    fn custom(&mut self, section: &CustomSectionReader<'_>) {
        self.custom_sections
            .push(CustomSection { name: section.name().into(), bytes: section.data().len() as u64 });
        if let KnownCustom::Producers(fields) = section.as_known() {
            for field in fields.into_iter().map_while(Result::ok) {
                let values = self.producers.entry(field.name.into()).or_default();
                for value in field.values.into_iter().map_while(Result::ok) {
                    values.insert(value.name.into(), value.version.into());
                }
            }
        }
    }

    fn func_type(&self, index: u32) -> Result<Arc<FuncType>, Error> {
        self.types.get(index as usize).cloned().flatten().ok_or_else(|| unvalidated(0))
    }
}

fn unvalidated(offset: usize) -> Error {
    Error::Invalid { offset: offset as u64, message: "unexpected section content".into() }
}
