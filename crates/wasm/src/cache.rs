//! Artifacts on disk: a folder of files that are verified on load and replaced as a whole.
//!
//! A cache can only save time. Whatever is wrong with the folder or a file in it, the module is compiled and the
//! reason is reported.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::compile::Key;

const MAGIC: &[u8; 8] = b"hlfuzz\0a";
/// Layout of the file: magic, version, payload length, key, SHA-256 of the payload, number of bytes of the features' names,
/// the names, SHA-256 of all that, payload; integers little-endian.
const VERSION: u32 = 2;
const FIXED_BYTES: usize = 8 + 4 + 8 + 32 + 32 + 4;
/// All names together have about 500.
const MAX_NAMES_BYTES: usize = 4096;
/// Longer files are no artifacts: they would not fit the VM.
const MAX_PAYLOAD_BYTES: u64 = 1 << 31;

/// What the cache did for a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// The artifact came from the cache.
    Hit,
    /// The module was compiled and the artifact stored.
    Miss,
    /// The module was compiled and nothing was stored; the text says why.
    Off(String),
}

/// A cache folder that is private to the user.
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens `dir`, creating it (mode 0700) with its parents when it is missing.
    ///
    /// # Errors
    /// A reason, as text, when the folder cannot be used or others could plant files in it.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let reason = |error: io::Error| format!("cache folder {}: {error}", dir.display());
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(reason)?;
        let metadata = fs::metadata(dir).map_err(reason)?;
        if !metadata.is_dir() {
            return Err(format!("cache folder {}: not a folder", dir.display()));
        }
        if metadata.uid() != effective_uid() {
            return Err(format!("cache folder {}: it belongs to another user", dir.display()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!(
                "cache folder {}: others can write to it; run `chmod go-w` on it",
                dir.display()
            ));
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The artifact stored under `key`, if there is one and it is whole. Anything else counts as absent.
    pub fn load(&self, key: &Key) -> Option<Vec<u8>> {
        let (file, head, bytes) = self.open_file(key)?;
        let mut payload = Vec::new();
        payload.try_reserve_exact(bytes as usize).ok()?;
        file.take(bytes).read_to_end(&mut payload).ok()?;
        let names = std::str::from_utf8(head.get(FIXED_BYTES..head.len() - 32)?).ok()?;
        (head == header(key, names, &payload)).then_some(payload)
    }

    /// The names of the features that the module of `key` uses, if its artifact is there: then it was valid.
    pub fn features(&self, key: &Key) -> Option<Vec<String>> {
        let (_, head, _) = self.open_file(key)?;
        let (said, sum) = head.split_at(head.len() - 32);
        if said[..8] != *MAGIC
            || said[8..12] != VERSION.to_le_bytes()
            || said[20..52] != *key
            || sum != Sha256::digest(said).as_slice()
        {
            return None;
        }
        let names = std::str::from_utf8(&said[FIXED_BYTES..]).ok()?;
        Some(names.split_terminator('\n').map(str::to_owned).collect())
    }

    /// The file of `key` behind its head, the head, and the number of bytes that follow.
    fn open_file(&self, key: &Key) -> Option<(File, Vec<u8>, u64)> {
        // Not blocking, so that a FIFO in place of the file cannot stop us; not through links, which others may own.
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.path(key))
            .ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.uid() != effective_uid() {
            return None;
        }
        let mut head = vec![0; FIXED_BYTES];
        file.read_exact(&mut head).ok()?;
        let names = u32::from_le_bytes(head[FIXED_BYTES - 4..].try_into().ok()?) as usize;
        if names > MAX_NAMES_BYTES {
            return None;
        }
        head.resize(FIXED_BYTES + names + 32, 0);
        file.read_exact(&mut head[FIXED_BYTES..]).ok()?;
        let payload_bytes = metadata.len().checked_sub(head.len() as u64)?;
        (payload_bytes <= MAX_PAYLOAD_BYTES).then_some((file, head, payload_bytes))
    }

    /// Stores `payload` under `key`, with the names of the features that its module uses: other processes see the whole
    /// file or none.
    ///
    /// # Errors
    /// A reason, as text. Nothing is left behind.
    pub fn store(&self, key: &Key, features: &[String], payload: &[u8]) -> Result<(), String> {
        let names: String = features.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
        let head = header(key, &names, payload);
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!(".{}-{serial}.tmp", std::process::id()));
        let result = self.write(key, &head, payload, &temporary);
        if result.is_err() {
            // The reason to report is the one above.
            let _ = fs::remove_file(&temporary);
        }
        result.map_err(|error| {
            format!("cache folder {}: cannot store an artifact: {error}", self.dir.display())
        })
    }

    fn write(&self, key: &Key, head: &[u8], payload: &[u8], temporary: &Path) -> io::Result<()> {
        // A process with this id that was killed while it wrote may have left the name behind.
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let nameless = self.nameless()?;
        let mut file = match &nameless {
            Some(file) => file,
            None => &OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?,
        };
        file.write_all(head)?;
        file.write_all(payload)?;
        file.sync_all()?;
        let target = self.path(key);
        // A file that is in the way was no good, or comes from another process at the same time: it is replaced.
        if nameless.is_none() || !link(file, &target)? {
            if nameless.is_some() {
                link(file, temporary)?;
            }
            fs::rename(temporary, target)?;
        }
        File::open(&self.dir)?.sync_all()
    }

    /// A file that has no name until it is whole, so that a process which is killed leaves nothing behind. None where
    /// the file system has no such files.
    fn nameless(&self) -> io::Result<Option<File>> {
        let mut how = OpenOptions::new();
        match how.write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(&self.dir) {
            Ok(file) => Ok(Some(file)),
            // The second is what kernels say that do not know the flag.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name)
    }
}

/// Gives a nameless file its name. False when another file has it.
fn link(file: &File, name: &Path) -> io::Result<bool> {
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = CString::new(name.as_os_str().as_bytes())?;
    // SAFETY: two NUL-terminated paths; linkat touches no other memory.
    let result = unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(true),
        error if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        error => Err(error),
    }
}

fn header(key: &Key, names: &str, payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(FIXED_BYTES + names.len() + 32);
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend((payload.len() as u64).to_le_bytes());
    header.extend(key);
    header.extend(Sha256::digest(payload));
    header.extend((names.len() as u32).to_le_bytes());
    header.extend(names.as_bytes());
    let sum = Sha256::digest(&header);
    header.extend(sum);
    header
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid has no arguments, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}
