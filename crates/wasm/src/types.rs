//! Types of imports and exports, with the names that the JSON description uses.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use wasmparser::{AbstractHeapType, HeapType, RefType};

/// Type of a value that crosses the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    FuncRef,
    ExternRef,
    /// Any other reference type, in text form: `anyref`, `(ref null 3)`.
    OtherRef(Box<str>),
}

impl From<wasmparser::ValType> for ValType {
    fn from(ty: wasmparser::ValType) -> Self {
        match ty {
            wasmparser::ValType::I32 => Self::I32,
            wasmparser::ValType::I64 => Self::I64,
            wasmparser::ValType::F32 => Self::F32,
            wasmparser::ValType::F64 => Self::F64,
            wasmparser::ValType::V128 => Self::V128,
            wasmparser::ValType::Ref(ty) => ty.into(),
        }
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> Self {
        if ty == RefType::FUNCREF {
            Self::FuncRef
        } else if ty == RefType::EXTERNREF {
            Self::ExternRef
        } else {
            Self::OtherRef(ref_name(ty).into())
        }
    }
}

/// The shortest text form of a reference type.
fn ref_name(ty: RefType) -> String {
    let heap: Cow<'static, str> = match ty.heap_type() {
        HeapType::Abstract { shared: false, ty: heap } => {
            if ty.is_nullable() {
                return nullable_short_name(heap).into();
            }
            heap_name(heap).into()
        }
        HeapType::Abstract { shared: true, ty: heap } => format!("(shared {})", heap_name(heap)).into(),
        HeapType::Concrete(index) => type_index(index).into(),
        HeapType::Exact(index) => format!("(exact {})", type_index(index)).into(),
    };
    let null = if ty.is_nullable() { "null " } else { "" };
    format!("(ref {null}{heap})")
}

fn type_index(index: wasmparser::UnpackedIndex) -> String {
    index.as_module_index().map_or_else(|| index.to_string(), |index| index.to_string())
}

fn heap_name(ty: AbstractHeapType) -> &'static str {
    match ty {
        AbstractHeapType::Func => "func",
        AbstractHeapType::Extern => "extern",
        AbstractHeapType::Any => "any",
        AbstractHeapType::None => "none",
        AbstractHeapType::NoExtern => "noextern",
        AbstractHeapType::NoFunc => "nofunc",
        AbstractHeapType::Eq => "eq",
        AbstractHeapType::Struct => "struct",
        AbstractHeapType::Array => "array",
        AbstractHeapType::I31 => "i31",
        AbstractHeapType::Exn => "exn",
        AbstractHeapType::NoExn => "noexn",
        AbstractHeapType::Cont => "cont",
        AbstractHeapType::NoCont => "nocont",
    }
}

fn nullable_short_name(ty: AbstractHeapType) -> &'static str {
    match ty {
        AbstractHeapType::Func => "funcref",
        AbstractHeapType::Extern => "externref",
        AbstractHeapType::Any => "anyref",
        AbstractHeapType::None => "nullref",
        AbstractHeapType::NoExtern => "nullexternref",
        AbstractHeapType::NoFunc => "nullfuncref",
        AbstractHeapType::Eq => "eqref",
        AbstractHeapType::Struct => "structref",
        AbstractHeapType::Array => "arrayref",
        AbstractHeapType::I31 => "i31ref",
        AbstractHeapType::Exn => "exnref",
        AbstractHeapType::NoExn => "nullexnref",
        AbstractHeapType::Cont => "contref",
        AbstractHeapType::NoCont => "nullcontref",
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::FuncRef => "funcref",
            Self::ExternRef => "externref",
            Self::OtherRef(name) => name,
        })
    }
}

impl Serialize for ValType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Signature of a function or tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FuncType {
    pub params: Vec<ValType>,
    pub results: Vec<ValType>,
}

impl From<&wasmparser::FuncType> for FuncType {
    fn from(ty: &wasmparser::FuncType) -> Self {
        Self {
            params: ty.params().iter().map(|&ty| ty.into()).collect(),
            results: ty.results().iter().map(|&ty| ty.into()).collect(),
        }
    }
}

/// Type of a linear memory; `min` and `max` are in pages of 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryType {
    pub min: u64,
    pub max: Option<u64>,
    pub memory64: bool,
    pub shared: bool,
}

impl From<wasmparser::MemoryType> for MemoryType {
    fn from(ty: wasmparser::MemoryType) -> Self {
        Self { min: ty.initial, max: ty.maximum, memory64: ty.memory64, shared: ty.shared }
    }
}

/// Type of a table; `min` and `max` are in elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableType {
    pub element: ValType,
    pub min: u64,
    pub max: Option<u64>,
    pub table64: bool,
}

impl From<wasmparser::TableType> for TableType {
    fn from(ty: wasmparser::TableType) -> Self {
        Self { element: ty.element_type.into(), min: ty.initial, max: ty.maximum, table64: ty.table64 }
    }
}

/// Type of a global.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GlobalType {
    pub value: ValType,
    pub mutable: bool,
}

impl From<wasmparser::GlobalType> for GlobalType {
    fn from(ty: wasmparser::GlobalType) -> Self {
        Self { value: ty.content_type.into(), mutable: ty.mutable }
    }
}

/// Kind and type of an import or export; serialised as the fields `kind` and `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "type", rename_all = "lowercase")]
pub enum ExternType {
    /// Shared, because many exports can have one signature.
    Func(Arc<FuncType>),
    Memory(MemoryType),
    Table(TableType),
    Global(GlobalType),
    Tag(Arc<FuncType>),
}
