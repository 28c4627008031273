//! A file that appears whole or not at all: without a name while it is written, where the file system can do that.

use crate::inject::{check, point};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Guest memory may hold what only its owner should read.
const MODE: u32 = 0o600;

/// A new file for `path`. Dropped without `publish`, it is gone.
pub(super) struct NewFile {
    pub file: File,
    path: PathBuf,
    folder: PathBuf,
    /// Its name meanwhile, if it needs one.
    temporary: Option<PathBuf>,
}

impl NewFile {
    pub fn for_path(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let path = path.to_owned();
        if let Ok(file) = without_name(&folder) {
            return Ok(Self { file, path, folder, temporary: None });
        }
        let temporary = temporary_in(&folder);
        check(point::FILE)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(&temporary)?;
        Ok(Self { file, path, folder, temporary: Some(temporary) })
    }

    /// Brings it to disk and gives it its name, in place of any file that had it.
    pub fn publish(mut self) -> io::Result<()> {
        check(point::FILE)?;
        self.file.sync_all()?;
        let temporary = match &self.temporary {
            Some(temporary) => temporary,
            // a name for a file without one must be new: the old file is replaced in a second step
            None => self.temporary.insert(name(&self.file, &self.folder)?),
        };
        check(point::FILE)?;
        fs::rename(temporary, &self.path)?;
        self.temporary = None;
        check(point::FILE)?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // what to report is why it was not published
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A file in `folder` that no other process can see and that ends with this one, however it ends.
fn without_name(folder: &Path) -> io::Result<File> {
    if !Path::new("/proc/self/fd").is_dir() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    check(point::FILE)?;
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(MODE).open(folder)
}

fn name(file: &File, folder: &Path) -> io::Result<PathBuf> {
    check(point::FILE)?;
    let temporary = temporary_in(folder);
    let from = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = std::ffi::CString::new(temporary.as_os_str().as_bytes())?;
    // SAFETY: two valid strings; the result is checked.
    let result = unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    if result == 0 { Ok(temporary) } else { Err(io::Error::last_os_error()) }
}

fn temporary_in(folder: &Path) -> PathBuf {
    folder.join(format!(".tmp-{:016x}", RandomState::new().hash_one(std::process::id())))
}
