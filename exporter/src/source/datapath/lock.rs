//! Tells whether another exporter of this network namespace lives that is attached by clsact.
//!
//! Filters of clsact outlive who made them, and do not say whether he lives. Without this a second exporter would take
//! the first one's filters for leavings, and remove them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where locks are. Only root writes in /run, so nobody else can hold one.
pub const FOLDER: &str = "/run/eyepiece";

/// Held by the exporter that is attached by clsact; it goes with its process, however that ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// The kernel's lock (`flock`) is this open file's.
    _file: File,
}

/// The lock's file of the network namespace with this inode.
pub fn path(folder: &Path, namespace: u32) -> PathBuf {
    folder.join(format!("clsact-{namespace}.lock"))
}

/// What became of taking a lock.
#[derive(Debug)]
pub enum Taken {
    /// It is ours.
    Ours(Lock),
    /// Another process has it, by the id that it wrote there.
    Held(Option<i32>),
}

/// Takes the lock of a file, made where it is missing.
///
/// # Errors
/// The file or its folder cannot be made or opened.
pub fn take(path: PathBuf) -> io::Result<Taken> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    loop {
        // Whoever may open a file may lock it: nobody but its owner.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Taken::Held(owner(file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its former owner may have removed it between our opening and our locking.
        if is_at(&file, &path)? {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            return Ok(Taken::Ours(Lock { path, _file: file }));
        }
    }
}

/// The id that the owner of a lock has written; none where it has only just taken it.
fn owner(mut file: File) -> Option<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Whether an open file is the one that a path names now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, path.metadata());
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a lock's file");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Lock, Taken, path, take};

    fn taken(taken: std::io::Result<Taken>) -> Lock {
        match taken {
            Ok(Taken::Ours(lock)) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = |namespace| path(&folder.path().join("eyepiece"), namespace);
        let lock = taken(take(path(1)));
        assert_eq!(path(1).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(take(path(1)), Ok(Taken::Held(Some(pid))) if pid == own));
        let other = taken(take(path(2)));
        drop(lock);
        assert!(!path(1).exists() && path(2).exists());
        drop(other);
        // What a process left that was killed.
        std::fs::write(path(1), "4194304777").unwrap();
        let lock = taken(take(path(1)));
        assert_eq!(std::fs::read_to_string(path(1)).unwrap(), own.to_string());
        drop(lock);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(take(path(file.path(), 1)).is_err());
    }
}
