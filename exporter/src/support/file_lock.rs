//! Locks between processes: a file of mode 0600, which only its owner can open and lock.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// A lock that this process holds. Dropping it removes the file; the kernel releases the lock of a killed process.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// The open file holds the kernel's lock (`flock`).
    _file: File,
}

/// The outcome of taking a lock.
#[derive(Debug)]
pub enum LockOutcome {
    /// This process holds it.
    Acquired(Lock),
    /// Another process holds it: its id, if it is a process of this PID namespace.
    HeldBy(Option<i32>),
}

#[cfg(test)]
impl LockOutcome {
    /// The lock, which no other process may hold.
    pub(crate) fn acquired(self) -> Lock {
        match self {
            Self::Acquired(lock) => lock,
            Self::HeldBy(pid) => panic!("held by {pid:?}"),
        }
    }
}

/// Takes the lock of a file, which is created if missing, and writes this process's id into it.
///
/// # Errors
/// The file cannot be created or opened, or it belongs to another user, which could lock it as well.
pub fn take(path: PathBuf) -> io::Result<LockOutcome> {
    loop {
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(LockOutcome::HeldBy(owner(file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The former holder may have removed the file between our open and our lock.
        if is_at(&file, &path)? {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            return Ok(LockOutcome::Acquired(Lock { path, _file: file }));
        }
    }
}

/// The id that the holder wrote into the file. `None` if it has not written it yet, or if that process does not have
/// the file open: the id may be of another PID namespace.
fn owner(mut file: File) -> Option<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid: i32 = text.parse().ok()?;
    let lock = file.metadata().ok()?;
    // What another process has open is hidden without SYS_PTRACE.
    let may_be_lock = |found: io::Result<std::fs::Metadata>| match found {
        Ok(found) => (found.dev(), found.ino()) == (lock.dev(), lock.ino()),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(open) => open.flatten().any(|entry| may_be_lock(std::fs::metadata(entry.path()))).then_some(pid),
        Err(error) => (error.kind() == io::ErrorKind::PermissionDenied).then_some(pid),
    }
}

/// Opens the file without other users' permissions of earlier runs. Follows no link, does not block on a FIFO.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a file of this user"));
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Returns whether the path still names the open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, path.symlink_metadata());
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the lock file");
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

    use super::{LockOutcome, take};

    /// Id of another user.
    const OTHER_USER: u32 = 65_534;

    #[test]
    fn lock_excludes_others_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let lock = take(path.clone()).unwrap().acquired();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(take(path.clone()), Ok(LockOutcome::HeldBy(Some(pid))) if pid == own));
        // A holder of another PID namespace wrote an id that is another process's here.
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(&path, other.id().to_string()).unwrap();
        assert!(matches!(take(path.clone()), Ok(LockOutcome::HeldBy(None))));
        other.kill().unwrap();
        other.wait().unwrap();
        drop(lock);
        assert!(!path.exists());
        // The file of a killed process.
        std::fs::write(&path, "4194304777").unwrap();
        let lock = take(path.clone()).unwrap().acquired();
        assert_eq!(std::fs::read_to_string(path).unwrap(), own.to_string());
        drop(lock);
    }

    #[test]
    fn other_user_cannot_lock_it() {
        if !geteuid().is_root() {
            eyepiece_tests::skip!("another user's process needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("a.lock");
        // A file that an earlier run left open to other users.
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let lock = take(path.clone()).unwrap().acquired();
        let status =
            Command::new("flock").args(["--nonblock", "--shared"]).arg(&path).arg("true").uid(OTHER_USER).status();
        // EX_NOINPUT: the file cannot be opened.
        assert_eq!(status.unwrap().code(), Some(66));
        drop(lock);
        std::fs::write(&path, "").unwrap();
        chown(&path, Some(OTHER_USER), None).unwrap();
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
