//! A compiled module: description, artifact, and where the artifact came from.

use std::path::PathBuf;

use serde::Serialize;

use crate::cache::{Cache, CacheStatus};
use crate::compile;
use crate::error::Error;
use crate::inspect::{ModuleInfo, inspect_known};
use crate::limits::Limits;

/// Bytes of a module that are accepted unless the caller says otherwise.
pub const DEFAULT_MAX_BYTES: u64 = 64 << 20;

/// How to load a module.
#[derive(Clone, Debug)]
pub struct ModuleOptions {
    /// Folder of compiled artifacts; `None` compiles every time.
    pub cache_dir: Option<PathBuf>,
    /// Bytes of the module.
    pub max_bytes: u64,
    /// What the module may declare.
    pub limits: Limits,
}

impl Default for ModuleOptions {
    fn default() -> Self {
        Self { cache_dir: None, max_bytes: DEFAULT_MAX_BYTES, limits: Limits::default() }
    }
}

/// A validated and compiled Wasm module; immutable.
#[derive(Debug)]
pub struct Module {
    info: ModuleInfo,
    artifact: Vec<u8>,
    cache: CacheStatus,
}

impl Module {
    /// Validates and compiles `wasm`, or takes its artifact from the cache.
    ///
    /// # Errors
    /// Every variant of [`Error`]. Problems with the cache are no errors: see [`Module::cache`].
    pub fn new(wasm: &[u8], options: &ModuleOptions) -> Result<Self, Error> {
        let Described { info, cache, key } = described(wasm, options)?;
        options.limits.check(&info)?;
        let (artifact, cache) = artifact(wasm, &info, cache, key)?;
        Ok(Self { info, artifact, cache })
    }

    /// Describes `wasm` without compiling it. A module whose artifact is in the cache was valid, and is not validated
    /// again.
    ///
    /// # Errors
    /// Those of [`crate::inspect`], and [`Error::TooLarge`].
    pub fn describe(wasm: &[u8], options: &ModuleOptions) -> Result<ModuleInfo, Error> {
        Ok(described(wasm, options)?.info)
    }

    /// What the in-VM runtime loads: an ELF file of wasmtime's own kind.
    pub fn artifact(&self) -> &[u8] {
        &self.artifact
    }

    /// What the module needs and offers.
    pub fn info(&self) -> &ModuleInfo {
        &self.info
    }

    /// Where the artifact came from.
    pub fn cache(&self) -> &CacheStatus {
        &self.cache
    }

    /// The description as JSON, with `artifact_bytes`, `cache` (`hit`, `miss`, `off`) and `cache_reason` (text or null).
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            info: &'a ModuleInfo,
            artifact_bytes: usize,
            cache: &'static str,
            cache_reason: Option<&'a str>,
        }
        let (cache, cache_reason) = match &self.cache {
            CacheStatus::Hit => ("hit", None),
            CacheStatus::Miss => ("miss", None),
            CacheStatus::Off(reason) => ("off", Some(reason.as_str())),
        };
        to_json(&Document { info: &self.info, artifact_bytes: self.artifact.len(), cache, cache_reason })
    }
}

impl ModuleInfo {
    /// The description as JSON of the shape [`crate::SCHEMA`].
    pub fn json(&self) -> String {
        to_json(self)
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("only maps with text keys, which JSON has")
}

struct Described {
    info: ModuleInfo,
    /// Or why there is none.
    cache: Result<Cache, String>,
    /// The artifact's name in the cache, where it was asked for already.
    key: Option<compile::Key>,
}

fn described(wasm: &[u8], options: &ModuleOptions) -> Result<Described, Error> {
    if wasm.len() as u64 > options.max_bytes {
        return Err(Error::TooLarge { bytes: wasm.len() as u64, limit: options.max_bytes });
    }
    let cache = match &options.cache_dir {
        None => Err("no cache folder was given".to_owned()),
        Some(dir) => Cache::open(dir),
    };
    let mut key = None;
    let info = inspect_known(wasm, || {
        let cache = cache.as_ref().ok()?;
        cache.features(key.insert(compile::artifact_key(wasm).ok()?))
    })?;
    Ok(Described { info, cache, key })
}

fn artifact(
    wasm: &[u8],
    info: &ModuleInfo,
    cache: Result<Cache, String>,
    key: Option<compile::Key>,
) -> Result<(Vec<u8>, CacheStatus), Error> {
    let cache = match cache {
        Ok(cache) => cache,
        Err(reason) => return Ok((compile::compile(wasm)?, CacheStatus::Off(reason))),
    };
    let key = key.map_or_else(|| compile::artifact_key(wasm), Ok)?;
    if let Some(artifact) = cache.load(&key) {
        return Ok((artifact, CacheStatus::Hit));
    }
    let artifact = compile::compile(wasm)?;
    let status = match cache.store(&key, &info.features, &artifact) {
        Ok(()) => CacheStatus::Miss,
        Err(reason) => CacheStatus::Off(reason),
    };
    Ok((artifact, status))
}
