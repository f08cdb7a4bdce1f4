//! Tells whether another exporter of this network namespace lives that is attached by clsact.
//!
//! Filters of clsact outlive the process that made them, and do not show whether it lives. Without this a second exporter
//! would take the first one's filters for leavings, and remove them.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::support::file_lock;
pub use crate::support::file_lock::{Lock, Taken};

/// Where locks are. Only root writes in /run, so no other user's process can hold one.
pub const FOLDER: &str = "/run/eyepiece";

/// The lock's file of the network namespace with this inode.
pub fn path(folder: &Path, namespace: u32) -> PathBuf {
    folder.join(format!("clsact-{namespace}.lock"))
}

/// Takes the lock of a file, made where it is missing.
///
/// # Errors
/// The file or its folder cannot be made or opened.
pub fn take(path: PathBuf) -> io::Result<Taken> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    file_lock::take(path)
}

#[cfg(test)]
mod tests {
    use super::{Lock, Taken, path, take};

    fn taken(taken: std::io::Result<Taken>) -> Lock {
        match taken {
            Ok(Taken::Ours(lock)) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_namespace_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = |namespace| path(&folder.path().join("eyepiece"), namespace);
        let lock = taken(take(path(1)));
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(take(path(1)), Ok(Taken::Held(Some(pid))) if pid == own));
        let other = taken(take(path(2)));
        drop(lock);
        assert!(!path(1).exists() && path(2).exists());
        drop(other);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(take(path(file.path(), 1)).is_err());
    }
}
