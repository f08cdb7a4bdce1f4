//! The lock of an exporter that is attached by clsact in this network namespace.
//!
//! clsact filters outlive their process and do not show whether it lives. Without the lock a second exporter would
//! remove the first one's filters as stale.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::support::file_lock;
pub use crate::support::file_lock::{Lock, LockOutcome};

/// The directory of locks. Only root writes in /run, so no other user's process can hold one.
pub const FOLDER: &str = "/run/eyepiece";

/// The lock file of the network namespace with this inode.
pub fn path(folder: &Path, namespace: u32) -> PathBuf {
    folder.join(format!("clsact-{namespace}.lock"))
}

/// Takes the lock of a file, which is created if it is missing.
///
/// # Errors
/// The file or its folder cannot be made or opened.
pub fn take(path: PathBuf) -> io::Result<LockOutcome> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    file_lock::take(path)
}

#[cfg(test)]
mod tests {
    use super::{LockOutcome, path, take};

    #[test]
    fn each_namespace_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = |namespace| path(&folder.path().join("eyepiece"), namespace);
        let lock = take(path(1)).unwrap().acquired();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(take(path(1)), Ok(LockOutcome::HeldBy(Some(pid))) if pid == own));
        let other = take(path(2)).unwrap().acquired();
        drop(lock);
        assert!(!path(1).exists() && path(2).exists());
        drop(other);
    }

    #[test]
    fn uncreatable_folder_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(take(path(file.path(), 1)).is_err());
    }
}
