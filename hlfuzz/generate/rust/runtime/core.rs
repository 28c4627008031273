use super::alloc;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// An error without a code of its own.
pub const UNSPECIFIED: u32 = 1;
/// The bytes do not verify.
pub const INVALID: u32 = 2;
/// Not implemented.
pub const UNKNOWN: u32 = 3;
pub const NO_MEMORY: u32 = 4;
/// The first code that an interface may give a meaning.
pub const APPLICATION: u32 = 16;

/// Records inside records, as in the host's verifier.
pub const MAX_DEPTH: u32 = 64;
/// Records in one buffer, as in the host's verifier.
const MAX_RECORDS: u64 = 1_000_000;

/// Why a method failed: what crosses the boundary in place of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Never 0, which would be success.
    pub code: u32,
    pub text: String,
}

impl Error {
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code: code.max(UNSPECIFIED), text: text.into() }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (code {})", self.text, self.code)
    }
}

impl core::error::Error for Error {}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::new(UNSPECIFIED, text)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::new(UNSPECIFIED, text)
    }
}

/// What a method takes or gives.
pub trait Message: Sized {
    /// Full name in the schema.
    const NAME: &'static str;
    fn encode(&self) -> Result<Vec<u8>, Error>;
    /// Verifies while it reads: bytes may come from anyone.
    fn decode(bytes: &[u8]) -> Result<Self, Error>;
}

#[cold]
fn refused(place: &str, why: &str, at: usize) -> Error {
    Error::new(INVALID, format!("{place}: {why} (byte {at})"))
}

#[cold]
fn unfit(place: &str, why: &str) -> Error {
    Error::new(UNSPECIFIED, format!("{place}: {why}"))
}

/// The response record of a request: status, zero, then the response or the error's text.
pub fn answer<Q: Message, A: Message>(
    request: &[u8],
    act: impl FnOnce(Q) -> Result<A, Error>,
) -> Vec<u8> {
    record(Q::decode(request).and_then(act).and_then(|response| response.encode()))
}

fn record(result: Result<Vec<u8>, Error>) -> Vec<u8> {
    let (status, payload) = match result {
        Ok(payload) => (0, payload),
        Err(error) => (error.code.max(UNSPECIFIED), error.text.into_bytes()),
    };
    let mut record = Vec::with_capacity(8 + payload.len());
    record.extend_from_slice(&u32::to_le_bytes(status));
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&payload);
    record
}

/// The response in a response record, or the error.
pub fn answered<A: Message>(record: &[u8]) -> Result<A, Error> {
    let (Some(status), Some(payload)) = (record.first_chunk(), record.get(8..)) else {
        return Err(Error::new(INVALID, "the host function's answer is no response record"));
    };
    match u32::from_le_bytes(*status) {
        0 => A::decode(payload),
        code => Err(Error::new(code, String::from_utf8_lossy(payload))),
    }
}
