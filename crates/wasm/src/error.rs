//! What can be wrong with a module, as data: what, where, and what to do next.

use std::fmt;

/// Number of an error in the C API; the values are those of the `HL_E_*` constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorCode {
    NotWasm = 2,
    Component = 3,
    InvalidModule = 4,
    Unsupported = 5,
    TooLarge = 6,
    Limit = 7,
    Internal = 20,
}

/// Why a module is refused. The text of each variant is what the user reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes are not a Wasm binary; `looks_like` says what they seem to be.
    NotWasm { looks_like: String },
    /// A component, where a core module is expected.
    Component,
    /// The bytes end inside the part that starts at `offset`.
    Truncated { offset: u64, bytes: u64 },
    /// The validator refuses the module at `offset`.
    Invalid { offset: u64, message: String },
    /// The module is valid Wasm but uses features that the runtime lacks.
    Unsupported { features: Vec<String> },
    /// The module has more bytes than the limit.
    TooLarge { bytes: u64, limit: u64 },
    /// The module is small but what it declares or compiles to is too large to handle.
    TooComplex { what: String },
    /// The module asks for more memory or table elements at its start than the limit allows.
    Limit { what: String, wanted: u128, limit: u64, unit: &'static str },
    /// The compiler failed on a valid module.
    Internal { step: &'static str, message: String },
}

impl Error {
    /// An error of the compiler itself, with its whole chain of causes.
    pub(crate) fn internal(step: &'static str, error: &wasmtime::Error) -> Self {
        Self::Internal { step, message: format!("{error:#}") }
    }

    /// The number of this error in the C API.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotWasm { .. } => ErrorCode::NotWasm,
            Self::Component => ErrorCode::Component,
            Self::Truncated { .. } | Self::Invalid { .. } => ErrorCode::InvalidModule,
            Self::Unsupported { .. } => ErrorCode::Unsupported,
            Self::TooLarge { .. } | Self::TooComplex { .. } => ErrorCode::TooLarge,
            Self::Limit { .. } => ErrorCode::Limit,
            Self::Internal { .. } => ErrorCode::Internal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm { looks_like } => write!(
                f,
                "not a Wasm module (offset 0): it looks like {looks_like}; give a binary that starts with \\0asm"
            ),
            Self::Component => f.write_str(
                "a Wasm component, not a core module (offset 4): take the core module out of it \
                 (for example with `wasm-tools component unbundle`) or build the guest without the component step",
            ),
            Self::Truncated { offset, bytes } => write!(
                f,
                "the module is truncated: the part that starts at offset {offset} does not end within the {bytes} bytes \
                 given; check that the file was copied whole"
            ),
            Self::Invalid { offset, message } => write!(
                f,
                "invalid Wasm module (offset {offset}): {message}; rebuild the module, or check it with `wasm-tools validate`"
            ),
            Self::Unsupported { features } => write!(
                f,
                "the module needs what the in-VM runtime does not support: {}; rebuild the guest without it",
                features.join(", ")
            ),
            Self::TooLarge { bytes, limit } => write!(
                f,
                "the module has {bytes} bytes and the limit is {limit}; raise the limit on module bytes if you trust its size"
            ),
            Self::TooComplex { what } => write!(f, "the module is too large to handle: {what}; split the module"),
            Self::Limit { what, wanted, limit, unit } => write!(
                f,
                "the module needs {wanted} {unit} at its start ({what}) and the limit is {limit}; raise the limit, or build \
                 the guest with less"
            ),
            Self::Internal { step, message } => write!(
                f,
                "the compiler failed on a valid module ({step}): {message}; please report it with the module"
            ),
        }
    }
}

impl std::error::Error for Error {}
