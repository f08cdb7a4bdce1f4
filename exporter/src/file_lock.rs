//! Locks between processes: a file of mode 0600 that only its owner can open, and so only its owner can lock.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// A lock that this process holds. Dropping it removes the file; the kernel frees the lock of a process that is killed.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// The kernel's lock (`flock`) is this open file's.
    _file: File,
}

/// Takes the lock of a file, which is created where it is missing. Returns `None` if another process holds it.
///
/// # Errors
/// The file cannot be created or opened, or it belongs to another user, who could lock it too.
pub fn take(path: PathBuf) -> io::Result<Option<Lock>> {
    loop {
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its former holder may have removed it between our opening and our locking.
        if is_at(&file, &path)? {
            return Ok(Some(Lock { path, _file: file }));
        }
    }
}

/// Opens the file, and closes it to other users if an earlier run left it open to them. Follows no link, and waits for
/// no reader where the path is a FIFO.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().write(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a file of this user"));
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Whether an open file is the one that a path names now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, path.symlink_metadata());
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
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use nix::unistd::geteuid;

    use super::take;

    /// The user `nobody`, by its number on Debian.
    const NOBODY: u32 = 65_534;

    #[test]
    fn lock_excludes_others_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let lock = take(path.clone()).unwrap().expect("free");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(take(path.clone()).unwrap().is_none());
        drop(lock);
        assert!(!path.exists());
        // What a killed process left behind.
        std::fs::write(&path, "").unwrap();
        assert!(take(path).unwrap().is_some());
    }

    #[test]
    fn other_user_cannot_lock_it() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("a.lock");
        // An earlier run left it open to all.
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let lock = take(path.clone()).unwrap().expect("free");
        let status = Command::new("flock").args(["--nonblock", "--shared"]).arg(&path).arg("true").uid(NOBODY).status();
        // EX_NOINPUT: the file cannot be opened.
        assert_eq!(status.unwrap().code(), Some(66));
        drop(lock);
        std::fs::write(&path, "").unwrap();
        chown(&path, Some(NOBODY), None).unwrap();
        assert_eq!(take(path).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("a.lock"));
        symlink(&target, &link).unwrap();
        assert!(take(link).is_err());
        assert!(!target.exists());
    }
}
