//! Turns a validated module into an artifact for the in-VM runtime.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use crate::config;
use crate::error::Error;

/// A digest that tells artifacts apart.
pub type Key = [u8; 32];

/// The engine and the digest of its configuration. Both are immutable, and the digest costs a compilation, so that one
/// serves the whole process.
struct Compiler {
    engine: Engine,
    fingerprint: Key,
}

fn compiler() -> Result<&'static Compiler, Error> {
    static COMPILER: OnceLock<Result<Compiler, Error>> = OnceLock::new();
    COMPILER
        .get_or_init(|| {
            let engine = config::compiler_engine()?;
            let fingerprint = fingerprint(&engine)?;
            Ok(Compiler { engine, fingerprint })
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// Digest of everything but the module that an artifact depends on. An artifact records the target, the CPU flags, the
/// settings and the Wasm features that it was compiled with, so that the one of the empty module stands for them all.
fn fingerprint(engine: &Engine) -> Result<Key, Error> {
    let empty = engine
        .precompile_module(b"\0asm\x01\0\0\0")
        .map_err(|error| Error::internal("compiler fingerprint", &error))?;
    let mut digest = Sha256::new();
    for part in [env!("CARGO_PKG_VERSION").as_bytes(), crate::runtime::WASMTIME_VERSION.as_bytes(), &empty] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Ok(digest.finalize().into())
}

/// The name of the artifact of `wasm`: equal only for equal modules under equal compilers.
pub fn artifact_key(wasm: &[u8]) -> Result<Key, Error> {
    let mut digest = Sha256::new();
    digest.update(compiler()?.fingerprint);
    digest.update(wasm);
    Ok(digest.finalize().into())
}

/// Compiles `wasm`, which must have been validated.
///
/// # Errors
/// [`Error::TooComplex`] when a function is larger than the compiler can handle, [`Error::Internal`] otherwise.
pub fn compile(wasm: &[u8]) -> Result<Vec<u8>, Error> {
    compiler()?.engine.precompile_module(wasm).map_err(|error| {
        let message = format!("{error:#}");
        // Cranelift's CodegenError::CodeTooLarge and ImplLimitExceeded, which wasmtime passes on as text only.
        if message.contains("Code for function is too large")
            || message.contains("Implementation limit exceeded")
        {
            Error::TooComplex { what: message }
        } else {
            Error::internal("compilation", &error)
        }
    })
}
